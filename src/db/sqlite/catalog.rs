//! A database's schema, exactly as SQLite holds it.
//!
//! Pragmas say most of it (<https://sqlite.org/pragma.html>: `table_list`, `table_xinfo`, `index_list`, `index_xinfo`,
//! `foreign_key_list`); what only the stored text says comes from [`ddl`]. Read in one read transaction.
//! Left out: `sqlite_*`, our own `tidegate_*`, temporary and attached schemas.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior};

use super::ddl::{self, Expr, IndexBody};
use super::identity::{self, Identity, NoKey, Rowid};

/// A database's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// `PRAGMA schema_version`: grows with each change of the schema, also with VACUUM.
    pub schema_version: i64,
    /// The tables, by name.
    pub tables: Vec<Table>,
    /// The application's views, by name.
    pub views: Vec<View>,
    /// The application's triggers, by name, on tables and views.
    pub triggers: Vec<Trigger>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name as first written; SQLite compares names without regard to ASCII case.
    pub name: String,
    /// The stored `CREATE TABLE`.
    pub sql: String,
    /// What kind of table it is.
    pub kind: TableKind,
    /// Made `WITHOUT ROWID`.
    pub without_rowid: bool,
    /// Made `STRICT`.
    pub strict: bool,
    /// Its key is `AUTOINCREMENT`.
    pub autoincrement: bool,
    /// Every column, hidden and generated ones too, in order.
    pub columns: Vec<Column>,
    /// Every index, also those SQLite made for PRIMARY KEY and UNIQUE.
    pub indexes: Vec<Index>,
    /// Its foreign keys, as declared.
    pub foreign_keys: Vec<ForeignKey>,
    /// The key that names a row here and on the target.
    pub identity: Identity,
    /// What the rowid is.
    pub rowid: Rowid,
}

/// What kind of table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableKind {
    /// A table with rows of its own.
    Ordinary,
    /// A virtual table of the module named.
    Virtual {
        /// The module after USING.
        module: String,
        /// Whether this build of SQLite has the module. Without it the shadow tables look ordinary.
        known: bool,
    },
    /// A table that a virtual table keeps for itself.
    Shadow,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The declared type, empty if there is none.
    pub declared: String,
    /// What SQLite makes of the declared type.
    pub affinity: Affinity,
    /// Declared NOT NULL, or made so by WITHOUT ROWID or STRICT.
    pub not_null: bool,
    /// The DEFAULT expression as written, without its outer parentheses.
    pub default: Option<String>,
    /// A function in the default whose value cannot be told beforehand (`random()`, or one of the application's own).
    pub unrepeatable_default: Option<String>,
    /// Its place in the PRIMARY KEY, from 1.
    pub primary_key: Option<u32>,
    /// Ordinary, hidden or generated.
    pub kind: ColumnKind,
    /// Its declared collation; `BINARY` if none. `None` when the stored text could not be read.
    pub collation: Option<String>,
}

/// Ordinary, hidden or generated. The expression is `None` when the stored text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnKind {
    /// Holds what is written into it.
    Ordinary,
    /// A hidden column of a virtual table.
    Hidden,
    /// Generated when read.
    Virtual(Option<Expr>),
    /// Generated when written.
    Stored(Option<Expr>),
}

/// How SQLite converts what is stored in a column (<https://sqlite.org/datatype3.html#type_affinity>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// Numbers become text.
    Text,
    /// As INTEGER.
    Numeric,
    /// Text that is a number becomes one.
    Integer,
    /// Numbers become floating point.
    Real,
    /// Nothing is converted.
    Blob,
}

impl Affinity {
    /// The affinity of a declared type. A STRICT table's ANY converts nothing.
    pub fn of(declared: &str, strict: bool) -> Self {
        let upper = declared.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        if strict && upper == "ANY" || upper.is_empty() {
            Self::Blob
        } else if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name; `sqlite_autoindex_…` for those SQLite made itself.
    pub name: String,
    /// Whether two rows may not hold the same values.
    pub unique: bool,
    /// What made it.
    pub origin: IndexOrigin,
    /// Whether it has a WHERE.
    pub partial: bool,
    /// The stored `CREATE INDEX`, none for those SQLite made itself.
    pub sql: Option<String>,
    /// Its key parts, in order.
    pub parts: Vec<IndexPart>,
    /// The WHERE, verbatim. `None` with `partial` set when the stored text could not be read.
    pub condition: Option<Expr>,
}

/// What made an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOrigin {
    /// CREATE INDEX.
    Created,
    /// A UNIQUE constraint.
    Unique,
    /// The PRIMARY KEY.
    PrimaryKey,
}

/// One part of an index's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPart {
    /// What is indexed.
    pub on: IndexedOn,
    /// The collation it is ordered and compared by.
    pub collation: String,
    /// Whether descending.
    pub desc: bool,
}

/// What a part of an index's key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexedOn {
    /// A column, by name.
    Column(String),
    /// An expression; `None` when the stored text could not be read.
    Expr(Option<Expr>),
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The table it points to.
    pub parent: String,
    /// Pairs of child column and parent column; no parent column means the parent's PRIMARY KEY.
    pub columns: Vec<(String, Option<String>)>,
    /// `CASCADE`, `SET NULL`, `SET DEFAULT`, `RESTRICT` or `NO ACTION`.
    pub on_update: String,
    /// As `on_update`.
    pub on_delete: String,
}

/// A view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// The stored `CREATE VIEW`.
    pub sql: String,
}

/// A trigger of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// The table or view it is on.
    pub on: String,
    /// The stored `CREATE TRIGGER`.
    pub sql: String,
}

impl Catalog {
    /// Reads the schema of the main database, in one read transaction unless one is open already.
    pub fn read(conn: &Connection) -> Result<Self> {
        if conn.is_autocommit() {
            let tx = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
            let catalog = Self::read_here(&tx)?;
            tx.commit()?;
            return Ok(catalog);
        }
        Self::read_here(conn)
    }

    /// The table of that name; ASCII case does not count, as in SQLite.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.name.eq_ignore_ascii_case(name))
    }

    fn read_here(conn: &Connection) -> Result<Self> {
        let schema_version = conn.query_row("PRAGMA main.schema_version", [], |row| row.get(0))?;
        let repeatable = Functions::read(conn)?;
        let listed: Vec<(String, String, bool, bool, String)> = rows(
            conn,
            "SELECT l.name, l.type, l.wr, l.strict, s.sql FROM pragma_table_list AS l \
             JOIN main.sqlite_schema AS s ON s.type = 'table' AND s.name = l.name \
             WHERE l.schema = 'main' AND l.type <> 'view' ORDER BY l.name",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )?;
        let tables = listed
            .into_iter()
            .filter(|(name, ..)| !ours_or_sqlites(name))
            .map(|(name, kind, without_rowid, strict, sql)| {
                let kind = table_kind(conn, &kind, &sql)?;
                read_table(
                    conn,
                    &repeatable,
                    Table {
                        name,
                        sql,
                        kind,
                        without_rowid,
                        strict,
                        autoincrement: false,
                        columns: Vec::new(),
                        indexes: Vec::new(),
                        foreign_keys: Vec::new(),
                        identity: Identity::None(NoKey::NoUnique),
                        rowid: Rowid::Absent,
                    },
                )
            })
            .collect::<Result<_>>()?;
        let objects: Vec<(String, String, String, String)> = rows(
            conn,
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY name",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let (mut views, mut triggers) = (Vec::new(), Vec::new());
        for (kind, name, on, sql) in objects
            .into_iter()
            .filter(|(_, name, ..)| !ours_or_sqlites(name))
        {
            match kind.as_str() {
                "view" => views.push(View { name, sql }),
                _ => triggers.push(Trigger { name, on, sql }),
            }
        }
        Ok(Self {
            schema_version,
            tables,
            views,
            triggers,
        })
    }
}

fn ours_or_sqlites(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("sqlite_") || lower.starts_with("tidegate_")
}

/// Rows of a query, all of them: schema queries only.
pub(super) fn rows<T>(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    conn.prepare(sql)?.query_map(params, read)?.collect()
}

fn table_kind(conn: &Connection, listed: &str, sql: &str) -> Result<TableKind> {
    Ok(match listed {
        "shadow" => TableKind::Shadow,
        "virtual" => {
            let tokens = ddl::tokens(sql).unwrap_or_default();
            let module = tokens
                .windows(2)
                .find(|pair| {
                    pair[0]
                        .name(sql)
                        .is_some_and(|word| word.eq_ignore_ascii_case("using"))
                })
                .and_then(|pair| pair[1].name(sql))
                .unwrap_or_default();
            let found: Option<i64> = conn
                .query_row(
                    "SELECT 1 FROM pragma_module_list WHERE name = ?1 COLLATE NOCASE",
                    [&module],
                    |row| row.get(0),
                )
                .optional()?;
            TableKind::Virtual {
                module,
                known: found.is_some(),
            }
        }
        _ => TableKind::Ordinary,
    })
}

/// The functions whose value is the same each time one statement calls them with the same arguments.
struct Functions(HashSet<String>);

impl Functions {
    fn read(conn: &Connection) -> Result<Self> {
        // 0x800 is SQLITE_DETERMINISTIC. Date functions are constant within a statement, and a trigger is part of it.
        let sql = "SELECT DISTINCT lower(name) FROM pragma_function_list WHERE builtin AND (flags & 2048) <> 0";
        let mut known: HashSet<String> =
            rows(conn, sql, [], |row| row.get(0))?.into_iter().collect();
        for name in [
            "date",
            "time",
            "datetime",
            "julianday",
            "unixepoch",
            "strftime",
            "timediff",
        ] {
            known.insert(name.to_owned());
        }
        Ok(Self(known))
    }

    fn first_unrepeatable(&self, default: &str) -> Option<String> {
        let expr = Expr {
            sql: default.to_owned(),
        };
        expr.functions()
            .into_iter()
            .find(|name| !self.0.contains(&name.to_ascii_lowercase()))
    }
}

fn read_table(conn: &Connection, functions: &Functions, mut table: Table) -> Result<Table> {
    let strict = table.strict;
    table.columns = rows(
        conn,
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid",
        [&table.name],
        |row| {
            let declared: String = row.get(1)?;
            let default: Option<String> = row.get(3)?;
            let pk: u32 = row.get(4)?;
            Ok(Column {
                name: row.get(0)?,
                affinity: Affinity::of(&declared, strict),
                declared,
                not_null: row.get(2)?,
                unrepeatable_default: default
                    .as_deref()
                    .and_then(|sql| functions.first_unrepeatable(sql)),
                default,
                primary_key: (pk > 0).then_some(pk),
                kind: match row.get::<_, i64>(5)? {
                    1 => ColumnKind::Hidden,
                    2 => ColumnKind::Virtual(None),
                    3 => ColumnKind::Stored(None),
                    _ => ColumnKind::Ordinary,
                },
                collation: None,
            })
        },
    )?;
    if table.kind == TableKind::Ordinary {
        add_table_text(&mut table);
    }
    table.indexes = read_indexes(conn, &table.name)?;
    table.foreign_keys = read_foreign_keys(conn, &table.name)?;
    table.rowid = identity::rowid(&table);
    table.identity = identity::identity(&table);
    Ok(table)
}

fn add_table_text(table: &mut Table) {
    let names: Vec<_> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let Some(body) = ddl::table_body(&table.sql, &names) else {
        return;
    };
    table.autoincrement = body.autoincrement;
    for (column, text) in table.columns.iter_mut().zip(body.columns) {
        column.collation = Some(text.collation.unwrap_or_else(|| "BINARY".to_owned()));
        if let ColumnKind::Virtual(expr) | ColumnKind::Stored(expr) = &mut column.kind {
            *expr = text.generated;
        }
    }
}

fn read_indexes(conn: &Connection, table: &str) -> Result<Vec<Index>> {
    let mut indexes = rows(
        conn,
        "SELECT l.name, l.\"unique\", l.origin, l.partial, s.sql FROM pragma_index_list(?1, 'main') AS l \
         LEFT JOIN main.sqlite_schema AS s ON s.type = 'index' AND s.name = l.name ORDER BY l.seq DESC",
        [table],
        |row| {
            Ok(Index {
                name: row.get(0)?,
                unique: row.get(1)?,
                origin: match row.get_ref(2)?.as_str()? {
                    "pk" => IndexOrigin::PrimaryKey,
                    "u" => IndexOrigin::Unique,
                    _ => IndexOrigin::Created,
                },
                partial: row.get(3)?,
                sql: row.get(4)?,
                parts: Vec::new(),
                condition: None,
            })
        },
    )?;
    for index in &mut indexes {
        let parts: Vec<(Option<String>, bool, String)> = rows(
            conn,
            "SELECT name, \"desc\", coll FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno",
            [&index.name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let body = index
            .sql
            .as_deref()
            .and_then(ddl::index_body)
            .filter(|body| {
                // A reading that disagrees with the pragmas is no reading.
                body.parts.len() == parts.len() && body.condition.is_some() == index.partial
            });
        let (exprs, condition) = match body {
            Some(IndexBody { parts, condition }) => {
                (parts.into_iter().map(Some).collect(), condition)
            }
            None => (vec![None; parts.len()], None),
        };
        index.condition = condition;
        index.parts = parts
            .into_iter()
            .zip(exprs)
            .map(|((name, desc, collation), expr)| {
                let on = name.map_or(IndexedOn::Expr(expr), IndexedOn::Column);
                IndexPart {
                    on,
                    collation,
                    desc,
                }
            })
            .collect();
    }
    Ok(indexes)
}

fn read_foreign_keys(conn: &Connection, table: &str) -> Result<Vec<ForeignKey>> {
    let parts: Vec<(i64, String, String, Option<String>, String, String)> = rows(
        conn,
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1, 'main') \
         ORDER BY id DESC, seq",
        [table],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        },
    )?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for (id, parent, from, to, on_update, on_delete) in parts {
        match keys.last_mut() {
            Some((last, key)) if *last == id => key.columns.push((from, to)),
            _ => keys.push((
                id,
                ForeignKey {
                    parent,
                    columns: vec![(from, to)],
                    on_update,
                    on_delete,
                },
            )),
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}
