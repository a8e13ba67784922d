//! Applying a batch of changes: its net effect set-wise, and by other ways when a constraint is in the way.
//!
//! The net effect of a consistent source is itself consistent, but its rows may exchange values of a unique constraint among
//! themselves (A takes B's, B takes A's), so that no order of single statements works. Then the rows of the batch's own keys
//! are taken out first and put back as they are to be. If even that meets a constraint, the batch is replayed in the
//! order in which it happened; and if that does too, the target cannot hold what the source holds, and the constraint is named.

use super::cell::bind;
use super::land::one_row;
use super::place::{OrFault, Place};
use super::reader;
use super::sql::TableSql;
use super::transact::{in_the_way, savepoint};
use crate::db::{Applied, Batch};
use crate::domain::change::{Change, Image};
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::value::{Row, Value};
use rusqlite::Connection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Applies inside the caller's transaction.
pub(super) fn apply(
    conn: &Connection,
    place: &Place,
    made: &reader::Tables,
    batch: &Batch,
) -> Result<Applied> {
    let mut tables = HashMap::new();
    let changes = batch
        .net
        .iter()
        .chain(batch.log.iter().flat_map(|txn| &txn.changes));
    for change in changes {
        if let Entry::Vacant(slot) = tables.entry(change.table) {
            slot.insert(made.get(change.table)?);
        }
    }
    let tables = Tables(tables);
    savepoint(conn, |conn| set_wise(conn, &tables, &batch.net))
        .or_else(|error| {
            again(error, || {
                savepoint(conn, |conn| exchanged(conn, &tables, &batch.net))
            })
        })
        .or_else(|error| {
            again(error, || {
                savepoint(conn, |conn| in_order(conn, &tables, batch))
            })
        })
        .or_fault(place, "apply changes")
}

fn again<T>(
    error: rusqlite::Error,
    other: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if in_the_way(&error) {
        other()
    } else {
        Err(error)
    }
}

struct Tables(HashMap<TableId, Arc<TableSql>>);

impl Tables {
    /// Every table of the batch was looked up before.
    fn of(&self, change: &Change) -> rusqlite::Result<&TableSql> {
        self.0
            .get(&change.table)
            .map(Arc::as_ref)
            .ok_or(rusqlite::Error::InvalidQuery)
    }
}

/// Deletions first, so that what they free can be taken.
fn set_wise(conn: &Connection, tables: &Tables, net: &[Change]) -> rusqlite::Result<Applied> {
    let mut applied = Applied::default();
    let (gone, rest): (Vec<&Change>, Vec<&Change>) =
        net.iter().partition(|change| change.image == Image::Gone);
    for change in gone.into_iter().chain(rest) {
        one(conn, tables.of(change)?, change, &mut applied)?;
    }
    Ok(applied)
}

fn in_order(conn: &Connection, tables: &Tables, batch: &Batch) -> rusqlite::Result<Applied> {
    let mut applied = Applied::default();
    for change in batch.log.iter().flat_map(|txn| &txn.changes) {
        one(conn, tables.of(change)?, change, &mut applied)?;
    }
    Ok(applied)
}

fn one(
    conn: &Connection,
    sql: &TableSql,
    change: &Change,
    applied: &mut Applied,
) -> rusqlite::Result<()> {
    match &change.image {
        Image::Gone => applied.changed += delete(conn, sql, &change.key)?,
        Image::Present(row) | Image::Inserted(row) => applied.changed += upsert(conn, sql, row)?,
        Image::Updated(row) => {
            let mut update = conn.prepare_cached(&sql.update(0..sql.width()))?;
            bind(&mut update, 1, row)?;
            bind(&mut update, sql.width() + 1, change.key.parts())?;
            hit(update.raw_execute()?, change, applied);
        }
        Image::Partial(cells) => {
            let there = || {
                cells
                    .iter()
                    .enumerate()
                    .filter_map(|(i, cell)| Some((i, cell.as_ref()?)))
            };
            let count = there().count();
            if count == 0 {
                let mut select = conn.prepare_cached(&sql.row())?;
                bind(&mut select, 1, change.key.parts())?;
                hit(
                    usize::from(one_row(&mut select, sql)?.is_some()),
                    change,
                    applied,
                );
                return Ok(());
            }
            let mut update = conn.prepare_cached(&sql.update(there().map(|(i, _)| i)))?;
            bind(&mut update, 1, there().map(|(_, cell)| cell))?;
            bind(&mut update, count + 1, change.key.parts())?;
            hit(update.raw_execute()?, change, applied);
        }
    }
    Ok(())
}

fn hit(rows: usize, change: &Change, applied: &mut Applied) {
    if rows == 0 {
        applied.missed.push((change.table, change.key.clone()));
    }
    applied.changed += rows as u64;
}

fn upsert(conn: &Connection, sql: &TableSql, row: &[Value]) -> rusqlite::Result<u64> {
    let mut upsert = conn.prepare_cached(&sql.upsert())?;
    bind(&mut upsert, 1, row)?;
    upsert.raw_execute().map(|rows| rows as u64)
}

fn delete(conn: &Connection, sql: &TableSql, key: &Key) -> rusqlite::Result<u64> {
    let mut delete = conn.prepare_cached(&sql.delete())?;
    bind(&mut delete, 1, key.parts())?;
    delete.raw_execute().map(|rows| rows as u64)
}

/// Takes every row of the batch out, then puts those that are to be there.
fn exchanged(conn: &Connection, tables: &Tables, net: &[Change]) -> rusqlite::Result<Applied> {
    let mut applied = Applied::default();
    let mut put: Vec<(&TableSql, Row)> = Vec::new();
    for change in net {
        let sql = tables.of(change)?;
        let mut select = conn.prepare_cached(&sql.row())?;
        bind(&mut select, 1, change.key.parts())?;
        let before = one_row(&mut select, sql)?;
        if before.is_some() {
            delete(conn, sql, &change.key)?;
        }
        let after = match (&change.image, before) {
            (Image::Gone, Some(_)) => {
                applied.changed += 1;
                None
            }
            (Image::Gone, None) => None,
            (Image::Present(row) | Image::Inserted(row), _) | (Image::Updated(row), Some(_)) => {
                Some(row.clone())
            }
            (Image::Partial(cells), Some(mut row)) => {
                for (old, new) in row.iter_mut().zip(cells) {
                    if let Some(new) = new {
                        old.clone_from(new);
                    }
                }
                Some(row)
            }
            (Image::Updated(_) | Image::Partial(_), None) => {
                applied.missed.push((change.table, change.key.clone()));
                None
            }
        };
        put.extend(after.map(|row| (sql, row)));
    }
    for (sql, row) in put {
        let mut insert = conn.prepare_cached(&sql.insert())?;
        bind(&mut insert, 1, &*row)?;
        applied.changed += insert.raw_execute()? as u64;
    }
    Ok(applied)
}
