//! The lookups that find, before a row is written, the rows a REPLACE would evict for it.
//!
//! SQLite fires DELETE triggers for evicted rows only with `recursive_triggers` on, which belongs to the application's
//! connection. So a BEFORE trigger looks in every unique index for rows that hold the values the new row will have.
//! Finding too many is harmless (the row is read again); missing one loses a deletion. What makes a lookup exact:
//!
//! - the index's own collation for each part, and its partial condition verbatim, so that SQLite uses that index;
//! - an expression is evaluated over a one-row subquery that holds the new values under the columns' names, with each
//!   column's collation, and its affinity where the expression compares;
//! - a NOT NULL column with a default is `coalesce(NEW.c, default)`, because REPLACE stores the default for NULL, after
//!   BEFORE triggers ran;
//! - a generated column is computed from its expression, never read as `NEW.g`: `NEW.g` is computed before that default is
//!   taken, and in an UPDATE from columns SQLite did not load.
//!
//! A table's INTEGER PRIMARY KEY is not known before an INSERT that leaves it to SQLite, so a unique index that computes
//! from it cannot be looked up: such a table is refused.

use rusqlite::{Connection, Result};

use super::capture::Refusal;
use super::catalog::{Affinity, Column, ColumnKind, Index, IndexedOn, Table};
use super::ddl::{self, Expr, TokenKind, quote_name};
use super::identity::{Key, Rowid, collation_name};
use crate::domain::key::Collation;

/// How much of a probe is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeForm {
    /// All of it. The only form that loses nothing.
    Full,
    /// Without `coalesce(NEW.c, default)`. It misses evictions; tests use it to prove that they would see that.
    WithoutDefault,
}

/// What a probe looks in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// A unique index, by name.
    Index(String),
    /// The rowid beside the key.
    Rowid,
}

/// One lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The table it is for.
    pub table: String,
    /// What it looks in.
    pub against: Against,
    /// The condition on the evicted row as the trigger has it, over `NEW`.
    pub(super) condition: String,
    /// The same with parameters in place of `NEW`, as a query that can be explained.
    explainable: String,
    /// Unique indexes of the table with their number of parts: a search that binds all parts of one reads one row.
    unique: Vec<(String, usize)>,
}

/// How SQLite would run a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePlan {
    /// The table it is for.
    pub table: String,
    /// What it looks in.
    pub against: Against,
    /// The lines of EXPLAIN QUERY PLAN, as evidence.
    pub detail: Vec<String>,
    /// What they mean.
    pub verdict: Verdict,
}

/// Whether a probe may be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It reads at most one row of a unique index.
    Search,
    /// It would read more with every write of the application: refused.
    Scan,
    /// This SQLite cannot prepare it (a collation or function of the application's own), so nothing is proven: refused.
    Unreadable(String),
}

impl ProbePlan {
    /// Whether the probe may be installed.
    pub fn is_search(&self) -> bool {
        self.verdict == Verdict::Search
    }
}

/// Asks SQLite how it would run each probe. Changes nothing; the capture need not be installed.
///
/// # Errors
/// Only when the database cannot be read; a probe that cannot be prepared is a [`Verdict`].
pub fn explain(conn: &Connection, probes: &[Probe]) -> Result<Vec<ProbePlan>> {
    probes.iter().map(|probe| probe.explain(conn)).collect()
}

impl Probe {
    fn explain(&self, conn: &Connection) -> Result<ProbePlan> {
        let plan = |detail, verdict| ProbePlan {
            table: self.table.clone(),
            against: self.against.clone(),
            detail,
            verdict,
        };
        let mut statement = match conn.prepare(&format!("EXPLAIN QUERY PLAN {}", self.explainable))
        {
            Ok(statement) => statement,
            Err(rusqlite::Error::SqliteFailure(code, Some(why)))
                if code.extended_code == rusqlite::ffi::SQLITE_ERROR =>
            {
                return Ok(plan(Vec::new(), Verdict::Unreadable(why)));
            }
            Err(other) => return Err(other),
        };
        // Parameters stay unbound: the plan does not depend on them.
        let mut lines = statement.raw_query();
        let mut top = Vec::new();
        let mut detail = Vec::new();
        while let Some(line) = lines.next()? {
            let text: String = line.get(3)?;
            if line.get::<_, i64>(1)? == 0
                && (text.starts_with("SCAN") || text.starts_with("SEARCH"))
            {
                top.push(text.clone());
            }
            detail.push(text);
        }
        let search = !top.is_empty() && top.iter().all(|line| self.reads_one_row(line));
        Ok(plan(
            detail,
            if search {
                Verdict::Search
            } else {
                Verdict::Scan
            },
        ))
    }

    fn reads_one_row(&self, line: &str) -> bool {
        if !line.starts_with("SEARCH") {
            return false;
        }
        let bound = line.matches("=?").count();
        line.ends_with(" USING INTEGER PRIMARY KEY (rowid=?)")
            || self.unique.iter().any(|(name, parts)| {
                let named = format!(" INDEX {name} (");
                (line.contains(&named)
                    || name.starts_with("sqlite_autoindex_")
                        && line.contains(" USING PRIMARY KEY ("))
                    && bound >= *parts
            })
    }
}

/// How the new row is spelled: in a trigger, or with parameters.
#[derive(Clone, Copy)]
enum Spelling {
    Trigger,
    Parameters,
}

/// Builds the probes of one table, or says why there can be none.
pub(super) fn build(
    table: &Table,
    key: &Key,
    form: ProbeForm,
) -> std::result::Result<Vec<Probe>, Refusal> {
    let unique: Vec<_> = table
        .indexes
        .iter()
        .filter(|index| index.unique)
        .map(|index| (index.name.clone(), index.parts.len()))
        .collect();
    let spell = |spelling| Builder {
        table,
        form,
        spelling,
    };
    let (trigger, parameters) = (spell(Spelling::Trigger), spell(Spelling::Parameters));
    let probe = |against: Against, condition: String, explained: String| {
        let explainable = format!(
            "SELECT {} FROM {} WHERE {explained}",
            key_list(key, ""),
            from(&table.name)
        );
        Probe {
            table: table.name.clone(),
            against,
            condition,
            explainable,
            unique: unique.clone(),
        }
    };
    let mut probes = Vec::new();
    for index in table.indexes.iter().filter(|index| index.unique) {
        if key.index.as_ref() == Some(&index.name) && new_key_is_old_key(key) {
            continue;
        }
        let against = Against::Index(index.name.clone());
        probes.push(probe(
            against,
            trigger.index(index)?,
            parameters.index(index)?,
        ));
    }
    if let Rowid::Separate(Some(alias)) = table.rowid {
        let explained = format!("{alias} = ?{}", table.columns.len() + 1);
        probes.push(probe(
            Against::Rowid,
            format!("{alias} = NEW.{alias}"),
            explained,
        ));
    }
    Ok(probes)
}

/// The columns of a key as a list, each after `prefix`.
pub(super) fn key_list(key: &Key, prefix: &str) -> String {
    let names: Vec<_> = key
        .columns
        .iter()
        .map(|column| format!("{prefix}{}", quote_name(&column.name)))
        .collect();
    names.join(", ")
}

/// A table in FROM. A table named `new` or `old` would hide the row of the trigger, so it goes by another name.
pub(super) fn from(table: &str) -> String {
    let hides = table.eq_ignore_ascii_case("new") || table.eq_ignore_ascii_case("old");
    format!(
        "{}{}",
        quote_name(table),
        if hides { " AS tidegate_row" } else { "" }
    )
}

/// The condition that a row is not the one being updated, by the comparison of the key's own index.
pub(super) fn not_old(key: &Key) -> String {
    let same: Vec<_> = key
        .columns
        .iter()
        .map(|column| {
            let name = quote_name(&column.name);
            format!(
                "{name} COLLATE {} IS OLD.{name}",
                collation_name(column.collation)
            )
        })
        .collect();
    format!("NOT ({})", same.join(" AND "))
}

/// Whether keys that compare equal are the same bytes: then the row a REPLACE evicts by this key has the NEW key, which
/// the AFTER trigger logs. Not so for NOCASE or RTRIM, nor without affinity, where 1 and 1.0 are equal.
fn new_key_is_old_key(key: &Key) -> bool {
    key.columns
        .iter()
        .all(|column| column.collation == Collation::Binary && column.affinity != Affinity::Blob)
}

struct Builder<'a> {
    table: &'a Table,
    form: ProbeForm,
    spelling: Spelling,
}

type Built<T> = std::result::Result<T, Refusal>;

impl Builder<'_> {
    /// The condition under which a row holds the new row's values in `index`.
    fn index(&self, index: &Index) -> Built<String> {
        let unreadable = || Refusal::UnreadableIndex {
            table: self.table.name.clone(),
            index: index.name.clone(),
        };
        let mut terms = Vec::new();
        for part in &index.parts {
            let (held, new) = match &part.on {
                IndexedOn::Column(name) => {
                    let column = self.column(name).ok_or_else(unreadable)?;
                    let new = match column.kind {
                        // The plus takes away affinity and nothing else.
                        ColumnKind::Virtual(_) | ColumnKind::Stored(_) => {
                            format!(
                                "+({})",
                                self.over_new_row(
                                    &Expr {
                                        sql: quote_name(name)
                                    },
                                    index
                                )?
                            )
                        }
                        ColumnKind::Ordinary | ColumnKind::Hidden => {
                            self.value(column, Affinity::Blob)?
                        }
                    };
                    (quote_name(name), new)
                }
                IndexedOn::Expr(expr) => {
                    let expr = expr.as_ref().ok_or_else(unreadable)?;
                    (
                        format!("({})", expr.sql),
                        format!("+({})", self.over_new_row(expr, index)?),
                    )
                }
            };
            terms.push(format!(
                "{held} COLLATE {} = {new}",
                quote_name(&part.collation)
            ));
        }
        if index.partial {
            let condition = index.condition.as_ref().ok_or_else(unreadable)?;
            terms.push(format!("({})", condition.sql));
            // In a WHERE, SQLite takes `c IS NOT NULL` for true where `c` is NOT NULL, and then (3.46) no longer sees that
            // the partial index applies. `c = c` says the same and is kept.
            let never_null = |column: &&Column| column.not_null || self.is_rowid(column);
            let named =
                |column: &&Column| condition.tests_null() && condition.mentions(&column.name);
            for column in self.table.columns.iter().filter(never_null).filter(named) {
                terms.push(format!("{0} = {0}", quote_name(&column.name)));
            }
        }
        Ok(terms.join(" AND "))
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.table
            .columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }

    fn is_rowid(&self, column: &Column) -> bool {
        self.table.rowid == Rowid::IsKey && column.primary_key.is_some()
    }

    /// The new value of an ordinary column; a default is converted as storing it in a column of `affinity` would.
    fn value(&self, column: &Column, affinity: Affinity) -> Built<String> {
        let new = match self.spelling {
            Spelling::Trigger => format!("NEW.{}", quote_name(&column.name)),
            Spelling::Parameters => {
                let place = self
                    .table
                    .columns
                    .iter()
                    .position(|other| other.name == column.name)
                    .unwrap_or(0);
                format!("?{}", place + 1)
            }
        };
        let default = column
            .default
            .as_ref()
            .filter(|_| column.not_null && !self.is_rowid(column));
        let Some(default) = default else {
            return Ok(new);
        };
        if self.form == ProbeForm::WithoutDefault {
            return Ok(new);
        }
        let table = || self.table.name.clone();
        if let Some(function) = &column.unrepeatable_default {
            let (column, function) = (column.name.clone(), function.clone());
            return Err(Refusal::UnrepeatableDefault {
                table: table(),
                column,
                function,
            });
        }
        let default = ddl::default_expr(default).ok_or_else(|| Refusal::UnreadableColumn {
            table: table(),
            column: column.name.clone(),
        })?;
        Ok(format!(
            "coalesce({new}, {})",
            stored(&default.sql, affinity)
        ))
    }

    /// `expr` over the new row, as a SELECT of one value.
    fn over_new_row(&self, expr: &Expr, index: &Index) -> Built<String> {
        let (base, generated) = self.columns_of(expr)?;
        if let Some(rowid) = base.iter().find(|column| self.is_rowid(column)) {
            return Err(Refusal::ComputedFromRowid {
                table: self.table.name.clone(),
                index: index.name.clone(),
                column: rowid.name.clone(),
            });
        }
        let compares = expr.compares() || generated.iter().any(|(_, expr)| expr.compares());
        let mut names: Vec<String> = Vec::new();
        let mut values = Vec::new();
        for column in base {
            values.push(self.shaped(column, self.value(column, column.affinity)?, compares)?);
            names.push(quote_name(&column.name));
        }
        if values.is_empty() {
            values.push("NULL AS tidegate_nothing".to_owned());
        }
        let mut row = format!("(SELECT {})", values.join(", "));
        for (column, expr) in generated {
            let value = self.shaped(column, stored(&expr.sql, column.affinity), compares)?;
            let carried: String = names.iter().map(|name| format!("{name}, ")).collect();
            row = format!("(SELECT {carried}{value} FROM {row} AS tidegate_new)");
            names.push(quote_name(&column.name));
        }
        Ok(format!("SELECT {} FROM {row} AS tidegate_new", expr.sql))
    }

    /// `value` under the column's name, with its collation and, where it matters, its affinity.
    ///
    /// A SELECT has the affinity of its last arm, so an arm over the column that gives no row lends it. (`NEW.c` itself
    /// has the column's collation but not its affinity.)
    fn shaped(&self, column: &Column, value: String, compares: bool) -> Built<String> {
        let name = quote_name(&column.name);
        let value = if compares && column.affinity != Affinity::Blob {
            format!(
                "(SELECT {value} UNION ALL SELECT {name} FROM {} AS tidegate_shape WHERE 0)",
                quote_name(&self.table.name)
            )
        } else {
            value
        };
        let collation = column
            .collation
            .as_deref()
            .ok_or_else(|| self.unreadable(column))?;
        Ok(if collation.eq_ignore_ascii_case("BINARY") {
            format!("{value} AS {name}")
        } else {
            format!("{value} COLLATE {} AS {name}", quote_name(collation))
        })
    }

    fn unreadable(&self, column: &Column) -> Refusal {
        Refusal::UnreadableColumn {
            table: self.table.name.clone(),
            column: column.name.clone(),
        }
    }

    /// The ordinary columns `expr` needs, and the generated ones, each after those it needs itself.
    #[allow(
        clippy::type_complexity,
        reason = "two lists, taken apart at once by the caller"
    )]
    fn columns_of(&self, expr: &Expr) -> Built<(Vec<&Column>, Vec<(&Column, &Expr)>)> {
        let mut base: Vec<&Column> = Vec::new();
        let mut generated: Vec<(&Column, &Expr)> = Vec::new();
        self.collect(expr, &mut Vec::new(), &mut base, &mut generated)?;
        Ok((base, generated))
    }

    fn collect<'a>(
        &'a self,
        expr: &Expr,
        open: &mut Vec<&'a str>,
        base: &mut Vec<&'a Column>,
        generated: &mut Vec<(&'a Column, &'a Expr)>,
    ) -> Built<()> {
        for column in self
            .table
            .columns
            .iter()
            .filter(|column| expr.mentions(&column.name))
        {
            match &column.kind {
                ColumnKind::Ordinary | ColumnKind::Hidden => {
                    if !base.iter().any(|known| known.name == column.name) {
                        base.push(column);
                    }
                }
                ColumnKind::Virtual(inner) | ColumnKind::Stored(inner) => {
                    // SQLite permits no loop; a name met again on the way down is a string or a function.
                    if open.contains(&column.name.as_str())
                        || generated.iter().any(|(known, _)| known.name == column.name)
                    {
                        continue;
                    }
                    let inner = inner.as_ref().ok_or_else(|| self.unreadable(column))?;
                    open.push(&column.name);
                    self.collect(inner, open, base, generated)?;
                    open.pop();
                    generated.push((column, inner));
                }
            }
        }
        Ok(())
    }
}

/// `sql` as it is after being stored in a column of `affinity`.
fn stored(sql: &str, affinity: Affinity) -> String {
    let tokens = ddl::tokens(sql).unwrap_or_default();
    let digits = sql.bytes().all(|b| b.is_ascii_digit());
    let unchanged = match affinity {
        Affinity::Blob => true,
        Affinity::Text => matches!(&tokens[..], [only] if only.kind == TokenKind::Text),
        Affinity::Integer | Affinity::Numeric => digits,
        Affinity::Real => false,
    };
    if unchanged {
        return format!("({sql})");
    }
    // Text that is no number stays text: the comparison converts its right side as storing would.
    let as_is = |number: &str| {
        format!("WHEN CAST(({sql}) AS {number}) = ({sql}) THEN CAST(({sql}) AS {number})")
    };
    match affinity {
        Affinity::Text => {
            format!("CASE typeof({sql}) WHEN 'blob' THEN ({sql}) ELSE CAST(({sql}) AS TEXT) END")
        }
        Affinity::Real => format!("CASE {} ELSE ({sql}) END", as_is("REAL")),
        // First INTEGER: a whole floating-point number is stored as an integer, which CAST AS NUMERIC does not do.
        _ => format!(
            "CASE {} {} ELSE ({sql}) END",
            as_is("INTEGER"),
            as_is("NUMERIC")
        ),
    }
}
