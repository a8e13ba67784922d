//! The statements for one table of the plan.
//!
//! Values are written as text and cast to the column's type without its length: a cast to `varchar(3)` would cut what an
//! assignment refuses. Ranges are row comparisons, which an index on the key serves.

use super::cell::{self, CopyBinary, CopyText, Form};
use super::connect::Session;
use super::digest;
use super::names::{literal, qualified, quote};
use super::place::OrFault;
use crate::db::across;
use crate::domain::bulk::LineForm;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::key::{Key, Range};
use crate::domain::plan::{Plan, Side};
use crate::domain::table::Table;
use crate::domain::unit::Rows;
use crate::domain::value::Value;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// One column, as it is on this side.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Quoted.
    pub(super) name: String,
    /// The type without its length, as a cast has it.
    pub(super) cast: String,
    pub(super) form: Form,
    /// The collation, of a type that has one.
    collation: Option<String>,
    /// The function that gives a value's bytes as the server sends them; none where its type has no such form.
    send: Option<String>,
    /// GENERATED ALWAYS AS IDENTITY: an UPDATE can't set it.
    always: bool,
    /// Ranges go by the bytes of its text: the other side orders it so, and its own order is another.
    bytes: bool,
}

impl Column {
    /// `expr`, a value of this column, as ranges compare it.
    fn ordered(&self, expr: &str) -> String {
        if self.bytes {
            format!("({expr}::text) COLLATE \"C\"")
        } else {
            expr.to_owned()
        }
    }
}

/// Whether the collation of a column orders by bytes.
const BYTEWISE: &str = "coalesce((SELECT CASE co.collprovider \
       WHEN 'd' THEN CASE coalesce(to_jsonb(d)->>'datlocprovider', 'c') \
         WHEN 'c' THEN d.datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') WHEN 'b' THEN true ELSE false END \
       WHEN 'c' THEN co.collcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') WHEN 'b' THEN true ELSE false END \
     FROM pg_catalog.pg_collation co, pg_catalog.pg_database d \
     WHERE co.oid = attcollation AND d.datname = pg_catalog.current_database()), false)";

/// What statements about one table are made of.
pub(super) struct TableSql {
    plan: Arc<Plan>,
    id: TableId,
    /// `"public"."orders"`.
    pub(super) from: String,
    pub(super) columns: Vec<Column>,
    pub(super) key: Vec<usize>,
    /// How this server hashes rows of these columns.
    pub(super) hashing: String,
    /// Whether the last changes of rows met some that are not there.
    pub(super) lacks_rows: AtomicBool,
}

/// The statements of the plan's tables, each read from the catalog at its first use.
pub(super) struct Tables {
    pub(super) plan: Arc<Plan>,
    side: Side,
    made: Mutex<HashMap<TableId, Arc<TableSql>>>,
}

impl Tables {
    pub(super) fn new(plan: &Arc<Plan>, side: Side) -> Self {
        Self {
            plan: Arc::clone(plan),
            side,
            made: Mutex::default(),
        }
    }

    /// The statements of a table.
    pub(super) async fn get(&self, session: &mut Session, id: TableId) -> Result<Arc<TableSql>> {
        let known = self
            .made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let made = Arc::new(TableSql::read(session, &self.plan, id, self.side).await?);
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, Arc::clone(&made));
        Ok(made)
    }
}

impl TableSql {
    async fn read(
        session: &mut Session,
        plan: &Arc<Plan>,
        id: TableId,
        side: Side,
    ) -> Result<Self> {
        let (table, spec) = plan
            .table(id)
            .and_then(|table| table.key().map(|key| (table, key)))
            .ok_or_else(|| {
                let what = format!("table {id} of the plan is not moved live");
                Fault::new(Kind::Usage, what)
            })?;
        let name = table.name_on(side);
        let from = qualified(name);
        let place = session.shared_place();
        let sql = format!(
            "SELECT attname::text, pg_catalog.format_type(atttypid, -1), attidentity::text, \
             (SELECT pg_catalog.format('%I.%I', n.nspname, c.collname) FROM pg_catalog.pg_collation c \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = attcollation), {BYTEWISE}, \
             (SELECT pg_catalog.format('%I.%I', n.nspname, p.proname) FROM pg_catalog.pg_type t \
              JOIN pg_catalog.pg_proc p ON p.oid = t.typsend \
              JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE t.oid = atttypid) \
             FROM pg_catalog.pg_attribute \
             WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped"
        );
        let found = sqlx::query_as(&sql)
            .bind(&from)
            .fetch_all(session.conn()?)
            .await
            .or_fault(&place, "read the columns of a table")?;
        type Found = (String, String, String, Option<String>, bool, Option<String>);
        let there: HashMap<String, Found> = found
            .into_iter()
            .map(|row: Found| (row.0.clone(), row))
            .collect();
        if there.is_empty() {
            let what = format!("there is no table {name} on the {}", side.label());
            return Err(Fault::new(Kind::Blocked, what).code("TABLE-MISSING"));
        }
        let columns: Vec<Column> = table
            .columns
            .iter()
            .map(|column| {
                let (_, cast, identity, collation, bytewise, send) =
                    there.get(&column.name).ok_or_else(|| {
                        let what = format!(
                            "{name} on the {} has no column {}",
                            side.label(),
                            column.name
                        );
                        Fault::new(Kind::Blocked, what).code("SCHEMA-DIFFERS")
                    })?;
                let form = Form::planned(column, side, cast);
                Ok(Column {
                    name: quote(&column.name),
                    form,
                    bytes: form == Form::Text && !bytewise && across::in_bytes(plan, side, cast),
                    cast: cast.clone(),
                    collation: collation.clone(),
                    send: send.clone(),
                    always: identity == "a",
                })
            })
            .collect::<Result<_>>()?;
        let types: Vec<_> = columns.iter().map(|column| column.cast.clone()).collect();
        let hashing = digest::hashing(session, &types).await?;
        Ok(Self {
            plan: Arc::clone(plan),
            id,
            from,
            columns,
            key: spec.columns.iter().map(|at| usize::from(*at)).collect(),
            hashing,
            lacks_rows: AtomicBool::new(false),
        })
    }

    /// The table as the plan has it.
    pub(super) fn table(&self) -> &Table {
        &self.plan.tables[usize::from(self.id.0)]
    }

    /// Whether rows that come here hold, column by column, what its type does, as [`across::fits`] has seen.
    pub(super) fn seen_to_fit(&self) -> bool {
        let mut columns = self.table().columns.iter().zip(&self.columns);
        across::kinds(&self.plan).is_some() && columns.all(|(c, here)| c.becomes == here.cast)
    }

    /// How each column's text is read.
    pub(super) fn forms(&self) -> Vec<Form> {
        self.columns.iter().map(|column| column.form).collect()
    }

    /// The form in which rows go on to the target untouched; none, where that is no PostgreSQL.
    pub(super) fn passes_on(&self) -> Option<Arc<dyn LineForm>> {
        let alike = self.plan.source.engine == self.plan.target.engine;
        alike.then(|| Arc::new(CopyText(self.forms())) as Arc<dyn LineForm>)
    }

    /// The binary form in which rows go on to the target without being looked into; none, where they can't.
    pub(super) fn seal(&self) -> Option<CopyBinary> {
        let alike = self.plan.source.engine == self.plan.target.engine;
        alike.then(|| CopyBinary::of(self.types(), &self.key))?
    }

    /// The columns' types, without their lengths.
    pub(super) fn types(&self) -> Vec<String> {
        self.columns
            .iter()
            .map(|column| column.cast.clone())
            .collect()
    }

    /// `"a", "b"`.
    pub(super) fn column_list(&self) -> String {
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        names.join(", ")
    }

    pub(super) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|at| self.columns.get(*at))
    }

    /// `"a", "b"` of the key.
    pub(super) fn key_list(&self) -> String {
        let names: Vec<_> = self
            .key_columns()
            .map(|column| column.name.as_str())
            .collect();
        names.join(", ")
    }

    /// Columns that can differ between two rows of one key.
    pub(super) fn settable(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(at, column)| !self.key.contains(at) && !column.always)
    }

    /// `('1'::integer, 'a'::text)`: a key as the key's columns have it.
    fn tuple(&self, parts: &[Value]) -> String {
        let parts: Vec<_> = self
            .key_columns()
            .zip(parts)
            .map(|(column, part)| typed(part, column))
            .collect();
        format!("({})", parts.join(", "))
    }

    /// An end of a range, as the key's columns are compared with it.
    fn end(&self, parts: &[Value]) -> String {
        let parts: Vec<_> = self
            .key_columns()
            .zip(parts)
            .map(|(column, part)| column.ordered(&typed(part, column)))
            .collect();
        format!("({})", parts.join(", "))
    }

    /// Whether `left` (the key's columns, or a key) lies in the range.
    fn within(&self, left: &str, range: &Range) -> String {
        let mut terms = Vec::new();
        if let Some(lo) = &range.lo {
            terms.push(format!("{left} >= {}", self.end(&lo.0)));
        }
        if let Some(hi) = &range.hi {
            terms.push(format!("{left} < {}", self.end(&hi.0)));
        }
        if terms.is_empty() {
            "true".to_owned()
        } else {
            terms.join(" AND ")
        }
    }

    /// The key's columns, as ranges go by them.
    fn order(&self) -> String {
        let parts: Vec<_> = self
            .key_columns()
            .map(|column| column.ordered(&column.name))
            .collect();
        parts.join(", ")
    }

    fn key_tuple(&self) -> String {
        format!("({})", self.order())
    }

    /// COPY of a range's rows, in any order.
    pub(super) fn copy_range(&self, range: &Range) -> String {
        format!(
            "COPY (SELECT {} FROM {} WHERE {}) TO STDOUT",
            self.column_list(),
            self.from,
            self.within(&self.key_tuple(), range),
        )
    }

    /// How many rows a range has, and the sums of their hashes under two seeds.
    pub(super) fn digest(&self, range: &Range) -> String {
        let cells: Vec<_> = self
            .columns
            .iter()
            .map(|column| digest::cell(&column.name, &column.cast, column.send.as_deref()))
            .collect();
        digest::select(
            &cells.join(", "),
            &self.from,
            &self.within(&self.key_tuple(), range),
        )
    }

    /// COPY of a range's rows in key order; of the first `most` of them and the one behind those.
    pub(super) fn copy_next(&self, range: &Range, most: Option<Rows>, binary: bool) -> String {
        let limit = most.map_or_else(String::new, |most| {
            format!(" LIMIT {}", most.0.saturating_add(1))
        });
        format!(
            "COPY (SELECT {} FROM {} WHERE {} ORDER BY {}{limit}) TO STDOUT{}",
            self.column_list(),
            self.from,
            self.within(&self.key_tuple(), range),
            self.order(),
            if binary { " (FORMAT binary)" } else { "" },
        )
    }

    /// COPY of the rows of these keys, in their order.
    pub(super) fn copy_keys(&self, keys: &[Key]) -> String {
        let wanted: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| {
                let tuple = self.tuple(key.parts());
                format!("{}, {n})", &tuple[..tuple.len() - 1])
            })
            .collect();
        let names: Vec<_> = (0..self.key.len()).map(|i| format!("k{i}")).collect();
        let same: Vec<_> = self
            .key_columns()
            .zip(&names)
            .map(|(column, k)| format!("r.{} = w.{k}", column.name))
            .collect();
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| format!("r.{}", column.name))
            .collect();
        format!(
            "COPY (SELECT {} FROM (VALUES {}) AS w({}, n) JOIN {} AS r ON {} ORDER BY w.n) TO STDOUT",
            columns.join(", "),
            wanted.join(", "),
            names.join(", "),
            self.from,
            same.join(" AND ")
        )
    }

    /// The key, as text, that lies so many rows after the bound, or after the start.
    pub(super) fn bound(&self, range: &Range, rows: u64) -> String {
        format!(
            "COPY (SELECT {} FROM {} WHERE {} ORDER BY {} OFFSET {rows} LIMIT 1) TO STDOUT",
            self.key_list(),
            self.from,
            self.within(&self.key_tuple(), range),
            self.order(),
        )
    }

    /// For each of these keys whether it lies in the range, by the key's own types and collations.
    pub(super) fn inside(&self, range: &Range, keys: &[Key]) -> String {
        // Compared with literals alone, a key would have lost its columns' collations.
        let collated = |key: &Key| {
            let parts: Vec<_> = self
                .key_columns()
                .zip(key.parts())
                .map(|(column, part)| match &column.collation {
                    Some(name) if !column.bytes => {
                        format!("{} COLLATE {name}", typed(part, column))
                    }
                    _ => column.ordered(&typed(part, column)),
                })
                .collect();
            format!("({})", parts.join(", "))
        };
        let terms: Vec<_> = keys
            .iter()
            .map(|key| format!("({})", self.within(&collated(key), range)))
            .collect();
        format!("COPY (VALUES {}) TO STDOUT", terms.join(", "))
    }
}

/// A value as a statement has it: `'1'::integer`.
fn typed(value: &Value, column: &Column) -> String {
    match cell::text(value) {
        Some(text) => format!("{}::{}", literal(&text), column.cast),
        None => format!("NULL::{}", column.cast),
    }
}
