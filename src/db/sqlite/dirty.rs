//! The rows of dirty keys, as they are.

use super::cell::cells;
use super::place::{OrFault, Place};
use super::reader::{Reader, Tables};
use super::sql::TableSql;
use super::statements::Statements;
use crate::db::spill::Gathered;
use crate::domain::change::{Change, Image};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::key::{Collation, Key};
use crate::domain::value::Value;
use rusqlite::Connection;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A table of the plan while its dirty keys are read.
struct Dirty<'a> {
    id: TableId,
    rows: Statements<'a>,
    /// The keys that were told, where different raw keys can be one: `Abc` and `aBC` under NOCASE.
    told: Option<HashSet<Key>>,
}

/// What became of every key that is logged in `span`, each once, as of the connection's transaction. Tables that stopped are
/// left out. After a long pause that may be much: what does not fit into memory is written aside while it is read.
pub(super) fn dirty(
    conn: &Connection,
    reader: &Reader,
    tables: &Tables,
    stopped: &BTreeSet<TableId>,
    span: RangeInclusive<u64>,
) -> Result<Gathered> {
    let place = &*reader.place;
    let doing = "read the capture's log";
    let moved = || {
        reader
            .plan
            .ids()
            .filter(|(_, table)| table.key().is_some())
            .map(|(id, _)| id)
    };
    let followed: HashMap<i64, (TableId, Arc<TableSql>)> = moved()
        .filter(|id| !stopped.contains(id))
        .map(|id| Ok((id.0.into(), (id, tables.get(id)?))))
        .collect::<Result<_>>()?;
    let mut by_number: HashMap<i64, Dirty<'_>> = followed
        .iter()
        .map(|(number, (id, sql))| (*number, Dirty::new(conn, *id, sql)))
        .collect();
    let keys = key_columns(conn).or_fault(place, doing)?;
    // In key order: rows that lie together are read together.
    let sql = format!(
        "SELECT DISTINCT t{keys} FROM tidegate_log WHERE seq BETWEEN ?1 AND ?2 AND t >= 0 ORDER BY t{keys}"
    );
    let mut statement = conn.prepare_cached(&sql).or_fault(place, doing)?;
    let ends = [span.start().cast_signed(), span.end().cast_signed()];
    let mut logged = statement.query(ends).or_fault(place, doing)?;
    let mut changes = Gathered::new(&reader.spill);
    while let Some(entry) = logged.next().or_fault(place, doing)? {
        let number: i64 = entry.get(0).or_fault(place, doing)?;
        match by_number.get_mut(&number) {
            Some(table) => {
                let width = table.rows.sql.key_width();
                let raw = cells(entry, 1, width).or_fault(place, doing)?;
                if let Some(change) = table.change(&raw, place)? {
                    changes.push(change)?;
                }
            }
            None if moved().any(|id| i64::from(id.0) == number) => {}
            None => {
                return Err(place.capture_lost(format!(
                    "it logs a table number {number} that the plan does not have: it was installed for another plan"
                )));
            }
        }
    }
    Ok(changes)
}

/// `, k0, k1 …`: as many as the log was made with.
fn key_columns(conn: &Connection) -> rusqlite::Result<String> {
    let log = conn.prepare_cached("SELECT * FROM tidegate_log LIMIT 0")?;
    let width = log.column_count().saturating_sub(2);
    Ok((0..width).map(|part| format!(", k{part}")).collect())
}

impl<'a> Dirty<'a> {
    fn new(conn: &'a Connection, id: TableId, sql: &'a TableSql) -> Self {
        let spec = sql.table().key();
        let exact = spec.is_none_or(|spec| spec.collations.iter().all(|c| *c == Collation::Binary));
        Self {
            id,
            rows: Statements::new(conn, sql),
            told: (!exact).then(HashSet::new),
        }
    }

    fn change(&mut self, raw: &[Value], place: &Place) -> Result<Option<Change>> {
        let sql = self.rows.sql;
        let name = &sql.table().source;
        if raw.contains(&Value::Null) {
            return Err(null_key(name, place));
        }
        let row = self
            .rows
            .row(raw)
            .map_err(|error| place.fault(&format!("read a changed row of {name}"), &error))?;
        let (key, image) = match row {
            Some(row) => (sql.table().key_of(&row), Image::Present(row)),
            None => (sql.normal(raw), Image::Gone),
        };
        let first = match &mut self.told {
            Some(told) => told.insert(key.clone()),
            None => true,
        };
        let table = self.id;
        Ok(first.then_some(Change { table, key, image }))
    }
}

fn null_key(table: &str, place: &Place) -> Fault {
    Fault::new(
        Kind::Blocked,
        format!("a row of {table} has NULL in its key: {place}"),
    )
    .code("NULL-KEY")
    .hint("give it a key and declare the key's columns NOT NULL; a row without a key can't be followed")
}
