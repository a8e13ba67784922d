//! The objects that log changed keys in a SQLite source: planned, listed, installed, proven gone.
//!
//! A log of keys, not of images: `tidegate_log(seq, t, k0, k1, …)`, where `t` is the table's number in the migration and
//! the key columns have no type, so a key is logged byte for byte. Whoever reads it reads the rows of those keys as they
//! are now, in the same read transaction. AFTER triggers log the key of each changed row (OLD and NEW for an UPDATE);
//! BEFORE triggers log the rows a REPLACE would evict ([`probe`]).
//!
//! What the application can notice. `changes()` and `last_insert_rowid()` are as without us: SQLite restores both when a
//! trigger ends (<https://sqlite.org/c3ref/last_insert_rowid.html>, <https://sqlite.org/c3ref/changes.html>).
//! `total_changes()` does count the log rows. DROP COLUMN of a column that a trigger names fails while we are installed.
//! `seq` has no AUTOINCREMENT, which would leave `sqlite_sequence` behind; it never goes back as long as the newest row
//! is never pruned.
//!
//! The triggers use only SQL that old versions have (3.8 and later): no upsert, no row values, no CTE.

use std::fmt;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::catalog::{Catalog, Table, TableKind, rows};
use super::ddl::quote_name;
use super::identity::{Identity, Key, NoKey};
use super::probe::{self, Probe, ProbeForm, ProbePlan};
use crate::domain::fault::{Fault, Kind};
use crate::domain::id::TableId;

/// The log's table.
pub const LOG: &str = "tidegate_log";

/// How each of our triggers begins its writes, and so how a trigger of ours is known whatever it is called by now.
const LOG_WRITE: &str = "INSERT INTO tidegate_log(";

/// The log's first row, of no table. It starts `seq` at the clock, in microseconds, so that a log that was removed and made
/// again never gives a position that the older one gave: a reader of the older one finds its position gone.
const BIRTH: &str = "INSERT INTO tidegate_log(seq, t) SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000, -1 \
     WHERE NOT EXISTS (SELECT 1 FROM tidegate_log)";

/// A table to capture, and its number in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The table's name.
    pub table: String,
    /// What the log's `t` holds for it.
    pub id: TableId,
}

/// Everything that will be made, before it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The objects, in the order they are made.
    pub objects: Vec<Object>,
    /// The lookups inside the BEFORE triggers.
    pub probes: Vec<Probe>,
    /// How many key columns the log has.
    pub width: usize,
    tables: Vec<Captured>,
    form: ProbeForm,
}

/// An object in the source, ours or to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `table`, `index`, `trigger` or `view`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The table it is on; its own name for a table.
    pub on: String,
    /// The statement that makes it, exactly as SQLite will store it.
    pub sql: String,
}

/// Why a table cannot be captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such table.
    NoTable {
        /// As asked for.
        table: String,
    },
    /// Asked for twice, or its number is another's.
    Twice {
        /// The later one.
        table: String,
    },
    /// No key to log.
    NoKey {
        /// The table.
        table: String,
        /// Why.
        why: NoKey,
    },
    /// The stored text of an index could not be read, so what it makes unique is not known.
    UnreadableIndex {
        /// The table.
        table: String,
        /// The index.
        index: String,
    },
    /// The stored text of a column could not be read, and a unique index depends on it.
    UnreadableColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A unique index computes from the rowid, which is not known before the row is inserted.
    ComputedFromRowid {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// The INTEGER PRIMARY KEY.
        column: String,
    },
    /// A unique NOT NULL column has a default that cannot be told beforehand, and REPLACE stores it for NULL.
    UnrepeatableDefault {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The function in its default.
        function: String,
    },
}

impl Refusal {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTable { .. } => "TABLE-MISSING",
            Self::Twice { .. } => "TABLE-TWICE",
            Self::NoKey { .. } => "NO-KEY",
            Self::UnreadableIndex { .. } | Self::UnreadableColumn { .. } => {
                "SCHEMA-TEXT-UNREADABLE"
            }
            Self::ComputedFromRowid { .. } => "UNIQUE-FROM-ROWID",
            Self::UnrepeatableDefault { .. } => "UNIQUE-DEFAULT-UNREPEATABLE",
        }
    }

    /// The table it is about.
    pub fn table(&self) -> &str {
        match self {
            Self::NoTable { table }
            | Self::Twice { table }
            | Self::NoKey { table, .. }
            | Self::UnreadableIndex { table, .. }
            | Self::UnreadableColumn { table, .. }
            | Self::ComputedFromRowid { table, .. }
            | Self::UnrepeatableDefault { table, .. } => table,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoTable { .. } => "correct the name in the plan",
            Self::Twice { .. } => "name the table once",
            Self::NoKey { why, .. } => why.remedy(),
            Self::UnreadableIndex { .. } => "create the index again in a plain form",
            Self::UnreadableColumn { .. } => {
                "drop the unique index that depends on it for the migration"
            }
            Self::ComputedFromRowid { .. } => {
                "drop the index for the migration, or leave the table out"
            }
            Self::UnrepeatableDefault { .. } => {
                "change the default, or drop the unique index for the migration"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable { table } => write!(f, "there is no table {table}"),
            Self::Twice { table } => {
                write!(f, "table {table} is listed twice, or shares its number")
            }
            Self::NoKey { table, why } => {
                write!(f, "table {table} cannot be captured: {}", why.what())
            }
            Self::UnreadableIndex { table, index } => {
                write!(
                    f,
                    "the definition of unique index {index} on {table} cannot be read"
                )
            }
            Self::UnreadableColumn { table, column } => write!(
                f,
                "the definition of column {column} of {table} cannot be read, and a unique index needs it"
            ),
            Self::ComputedFromRowid {
                table,
                index,
                column,
            } => write!(
                f,
                "unique index {index} on {table} computes from {column}, which is assigned only while a row is \
                 inserted, so a row it evicts could not be seen"
            ),
            Self::UnrepeatableDefault {
                table,
                column,
                function,
            } => write!(
                f,
                "column {column} of {table} is in a unique index and its default calls {function}(), so a row that \
                 a REPLACE with NULL evicts could not be seen"
            ),
        }
    }
}

/// Why the capture was not installed. Nothing was changed.
#[derive(Debug)]
pub enum InstallError {
    /// SQLite said no; `SQLITE_BUSY` when the application held the write lock longer than the busy timeout.
    Sqlite(rusqlite::Error),
    /// The schema is not the one that was planned for: plan again.
    SchemaMoved,
    /// An object of that name is there and is another.
    Occupied {
        /// Its name.
        name: String,
    },
    /// With the triggers in place this table's writes would not compile: installing would break the application.
    WouldBreak {
        /// The table.
        table: String,
        /// What SQLite said.
        why: String,
    },
}

impl From<rusqlite::Error> for InstallError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => write!(f, "the capture could not be installed: {error}"),
            Self::SchemaMoved => write!(
                f,
                "the schema changed since the capture was planned: run the check again"
            ),
            Self::Occupied { name } => write!(
                f,
                "{name} exists already and is not what would be made: remove it first"
            ),
            Self::WouldBreak { table, why } => {
                write!(
                    f,
                    "with the capture in place writes to {table} would fail, so it was not installed: {why}"
                )
            }
        }
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sqlite(error) => Some(error),
            _ => None,
        }
    }
}

impl From<InstallError> for Fault {
    fn from(error: InstallError) -> Self {
        let kind = match &error {
            InstallError::Sqlite(cause)
                if matches!(
                    cause.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                ) =>
            {
                Kind::Transient
            }
            _ => Kind::Blocked,
        };
        let fault = Fault::new(
            kind,
            "the capture was not installed; the source is unchanged",
        );
        match error {
            InstallError::Sqlite(cause) => fault.cause(cause),
            InstallError::SchemaMoved => fault
                .cause("the schema changed since the capture was planned")
                .hint("run the check again"),
            InstallError::Occupied { .. } => fault.cause(error).hint("remove it, then try again"),
            InstallError::WouldBreak { .. } => fault.cause(error),
        }
    }
}

/// Plans the capture of `tables`. Reads nothing but the catalog.
///
/// A table whose key is [`Identity::Nullable`] is planned; the caller has made sure that it holds no NULL.
///
/// # Errors
/// Every table that cannot be captured, with the reason.
pub fn plan_capture(catalog: &Catalog, tables: &[Captured]) -> Result<Capture, Vec<Refusal>> {
    plan_capture_with(catalog, tables, ProbeForm::Full)
}

/// [`plan_capture`] in another [`ProbeForm`]: for tests that prove what each part of a probe is for.
#[doc(hidden)]
pub fn plan_capture_with(
    catalog: &Catalog,
    tables: &[Captured],
    form: ProbeForm,
) -> Result<Capture, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut found: Vec<(&Table, &Key, TableId)> = Vec::new();
    for Captured { table: name, id } in tables {
        let Some(table) = catalog.table(name) else {
            refusals.push(Refusal::NoTable {
                table: name.clone(),
            });
            continue;
        };
        if found
            .iter()
            .any(|(other, _, number)| other.name == table.name || number == id)
        {
            refusals.push(Refusal::Twice {
                table: name.clone(),
            });
            continue;
        }
        match &table.identity {
            Identity::Key(key) | Identity::Nullable(key) => found.push((table, key, *id)),
            Identity::None(why) => refusals.push(Refusal::NoKey {
                table: name.clone(),
                why: *why,
            }),
        }
    }
    let width = found
        .iter()
        .map(|(_, key, _)| key.columns.len())
        .max()
        .unwrap_or(1);
    let mut objects = vec![log_table(width)];
    let mut probes = Vec::new();
    for (table, key, id) in found {
        debug_assert_eq!(
            table.kind,
            TableKind::Ordinary,
            "only ordinary tables have a key"
        );
        match probe::build(table, key, form) {
            Ok(built) => {
                objects.extend(triggers(table, key, id, &built));
                probes.extend(built);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() {
        Ok(Capture {
            objects,
            probes,
            width,
            tables: tables.to_vec(),
            form,
        })
    } else {
        Err(refusals)
    }
}

fn log_columns(width: usize) -> String {
    (0..width).map(|part| format!(", k{part}")).collect()
}

fn log_table(width: usize) -> Object {
    let sql = format!(
        "CREATE TABLE {LOG}(seq INTEGER PRIMARY KEY, t INTEGER{})",
        log_columns(width)
    );
    Object {
        kind: "table".to_owned(),
        name: LOG.to_owned(),
        on: LOG.to_owned(),
        sql,
    }
}

fn triggers(table: &Table, key: &Key, id: TableId, probes: &[Probe]) -> Vec<Object> {
    let write = format!("{LOG_WRITE}t{})", log_columns(key.columns.len()));
    let log = |row: &str| format!(" {write} SELECT {id}, {};", probe::key_list(key, row));
    let evicted = |extra: &str| -> String {
        let from = probe::from(&table.name);
        let keys = probe::key_list(key, "");
        let lookup = |probe: &Probe| {
            format!(
                " {write} SELECT {id}, {keys} FROM {from} WHERE {}{extra};",
                probe.condition
            )
        };
        probes.iter().map(lookup).collect()
    };
    let others = format!(" AND {}", probe::not_old(key));
    let mut made = vec![
        ("ai", "AFTER INSERT", log("NEW.")),
        ("au", "AFTER UPDATE", log("OLD.") + &log("NEW.")),
        ("ad", "AFTER DELETE", log("OLD.")),
    ];
    if !probes.is_empty() {
        made.push(("bi", "BEFORE INSERT", evicted("")));
        made.push(("bu", "BEFORE UPDATE", evicted(&others)));
    }
    made.into_iter()
        .map(|(suffix, event, body)| {
            let name = format!("tidegate_{}_{suffix}", table.name);
            let sql = format!(
                "CREATE TRIGGER {} {event} ON {} BEGIN{body} END",
                quote_name(&name),
                quote_name(&table.name)
            );
            Object {
                kind: "trigger".to_owned(),
                name,
                on: table.name.clone(),
                sql,
            }
        })
        .collect()
}

/// Asks SQLite how it would run each probe of `capture`. Changes nothing; the capture need not be installed.
///
/// # Errors
/// Only when the database cannot be read.
pub fn explain_probes(conn: &Connection, capture: &Capture) -> rusqlite::Result<Vec<ProbePlan>> {
    probe::explain(conn, &capture.probes)
}

/// Makes the objects, in one immediate transaction of a few milliseconds. Installing what is installed changes nothing.
///
/// Under the write lock it plans again and refuses if the schema moved, and before it commits it compiles an INSERT, an
/// UPDATE and a DELETE of each table: SQLite accepts a trigger whose body cannot be compiled, and then fails the
/// application's writes. (A table whose writes do not compile on this connection even without us, because an application's
/// trigger calls a function of its own, is not tried; its probes were explained.)
///
/// # Errors
/// [`InstallError`]; the database is unchanged then.
pub fn install(conn: &Connection, capture: &Capture) -> Result<(), InstallError> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let catalog = Catalog::read(&tx)?;
    if plan_capture_with(&catalog, &capture.tables, capture.form).as_ref() != Ok(capture) {
        return Err(InstallError::SchemaMoved);
    }
    make(&tx, &catalog, capture)?;
    tx.commit()?;
    Ok(())
}

fn make(tx: &Transaction<'_>, catalog: &Catalog, capture: &Capture) -> Result<(), InstallError> {
    let present = present(tx)?;
    let mut compiling = Vec::new();
    for Captured { table, .. } in &capture.tables {
        if let Some(table) = catalog.table(table)
            && compile(tx, table).is_ok()
        {
            compiling.push(table);
        }
    }
    for object in &capture.objects {
        match present
            .iter()
            .find(|found| found.name.eq_ignore_ascii_case(&object.name))
        {
            Some(found) if found.sql == object.sql => {}
            Some(found) => {
                return Err(InstallError::Occupied {
                    name: found.name.clone(),
                });
            }
            None => tx.execute_batch(&object.sql)?,
        }
    }
    tx.execute_batch(BIRTH)?;
    for table in compiling {
        compile(tx, table).map_err(|error| InstallError::WouldBreak {
            table: table.name.clone(),
            why: error.to_string(),
        })?;
    }
    Ok(())
}

/// Compiles a write of each kind with its triggers, and runs none.
fn compile(conn: &Connection, table: &Table) -> rusqlite::Result<()> {
    let name = quote_name(&table.name);
    conn.prepare(&format!("INSERT INTO main.{name} DEFAULT VALUES"))?;
    if let Some(key) = table.identity.key() {
        let column = quote_name(&key.columns[0].name);
        conn.prepare(&format!("UPDATE main.{name} SET {column} = {column}"))?;
    }
    conn.prepare(&format!("DELETE FROM main.{name}"))?;
    Ok(())
}

/// What is in the database under our prefix, whoever made it.
///
/// # Errors
/// When the schema cannot be read.
pub fn present(conn: &Connection) -> rusqlite::Result<Vec<Object>> {
    rows(
        conn,
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM main.sqlite_schema \
         WHERE lower(substr(name, 1, 9)) = 'tidegate_' ORDER BY rowid",
        [],
        |row| {
            Ok(Object {
                kind: row.get(0)?,
                name: row.get(1)?,
                on: row.get(2)?,
                sql: row.get(3)?,
            })
        },
    )
}

/// Drops every trigger that writes the log, and the log, in one immediate transaction; needs no plan, so it also finds the
/// leftovers of an earlier run and triggers whose table was renamed. Returns what is still there under our prefix: the
/// objects of other parts of tidegate, or nothing.
///
/// # Errors
/// When SQLite says no; the database is unchanged then.
pub fn remove(conn: &Connection) -> rusqlite::Result<Vec<Object>> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let found = present(&tx)?;
    for object in found
        .iter()
        .filter(|object| object.kind == "trigger" && object.sql.contains(LOG_WRITE))
    {
        tx.execute_batch(&format!("DROP TRIGGER main.{}", quote_name(&object.name)))?;
    }
    if found
        .iter()
        .any(|object| object.kind == "table" && object.name.eq_ignore_ascii_case(LOG))
    {
        tx.execute_batch(&format!("DROP TABLE main.{LOG}"))?;
    }
    let left = present(&tx)?;
    tx.commit()?;
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_that_do_not_compile_are_never_committed() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY)")
            .unwrap();
        let catalog = Catalog::read(&conn).unwrap();
        let captured = [Captured {
            table: "t".into(),
            id: TableId(1),
        }];
        let mut capture = plan_capture(&catalog, &captured).unwrap();
        // A generator gone wrong: SQLite takes the trigger and would fail each write of the application.
        capture.objects[1].sql = capture.objects[1].sql.replace("NEW.", "NEW.no_such_");
        let tx = Transaction::new_unchecked(&conn, TransactionBehavior::Immediate).unwrap();
        let refused = make(&tx, &catalog, &capture);
        assert!(matches!(refused, Err(InstallError::WouldBreak { table, .. }) if table == "t"));
        drop(tx);
        assert_eq!(present(&conn).unwrap(), []);
    }
}
