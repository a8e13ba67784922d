//! Applying a batch of changes: its net effect set-wise, and by other ways when a constraint is in the way.
//!
//! The net effect of a consistent source is itself consistent, but its rows may exchange values of a unique constraint among
//! themselves (A takes B's, B takes A's), so that no order of single statements works. Then the rows of the batch's own keys
//! are taken out first and put back as they are to be. If even that meets a constraint, the batch is replayed in the
//! order in which it happened; and if that does too, the target cannot hold what the source holds, and the constraint is named.

use super::place::{OrFault, Place};
use super::reader;
use super::sql::TableSql;
use super::statements::Statements;
use super::transact::{in_the_way, savepoint};
use crate::db::{Applied, Batch};
use crate::domain::change::{Change, Image};
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::value::Row;
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
    let log = || batch.log.iter().flat_map(|txn| &txn.changes);
    let net: Vec<&Change> = batch.changes().collect();
    let mut tables = HashMap::new();
    for change in net.iter().copied().chain(log()) {
        if let Entry::Vacant(vacant) = tables.entry(change.table) {
            vacant.insert(made.get(change.table)?);
        }
    }
    savepoint(conn, |conn| set_wise(&mut Tables::new(conn, &tables), &net))
        .or_else(|error| {
            again(error, || {
                savepoint(conn, |conn| {
                    exchanged(&mut Tables::new(conn, &tables), &net)
                })
            })
        })
        .or_else(|error| {
            again(error, || {
                savepoint(conn, |conn| {
                    in_order(&mut Tables::new(conn, &tables), log())
                })
            })
        })
        .or_fault(place, "apply changes")
}

pub(super) fn again<T>(
    error: rusqlite::Error,
    other: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if in_the_way(&error) {
        other()
    } else {
        Err(error)
    }
}

/// The statements of the batch's tables, each prepared at its first use.
pub(super) struct Tables<'a>(HashMap<TableId, Statements<'a>>);

impl<'a> Tables<'a> {
    pub(super) fn new(conn: &'a Connection, tables: &'a HashMap<TableId, Arc<TableSql>>) -> Self {
        let all = tables.iter();
        Self(
            all.map(|(id, sql)| (*id, Statements::new(conn, sql)))
                .collect(),
        )
    }

    /// Every table of the batch was looked up before.
    fn of(&mut self, change: &Change) -> rusqlite::Result<&mut Statements<'a>> {
        self.0
            .get_mut(&change.table)
            .ok_or(rusqlite::Error::InvalidQuery)
    }
}

/// Deletions first, so that what they free can be taken.
pub(super) fn set_wise(tables: &mut Tables<'_>, net: &[&Change]) -> rusqlite::Result<Applied> {
    let mut applied = Applied::default();
    let gone = |change: &&&Change| change.image == Image::Gone;
    for change in net.iter().filter(gone) {
        one(tables, change, &mut applied)?;
    }
    for change in net.iter().filter(|change| !gone(change)) {
        one(tables, change, &mut applied)?;
    }
    Ok(applied)
}

fn in_order<'c>(
    tables: &mut Tables<'_>,
    log: impl Iterator<Item = &'c Change>,
) -> rusqlite::Result<Applied> {
    let mut applied = Applied::default();
    for change in log {
        one(tables, change, &mut applied)?;
    }
    Ok(applied)
}

fn one(tables: &mut Tables<'_>, change: &Change, applied: &mut Applied) -> rusqlite::Result<()> {
    let (table, key) = (tables.of(change)?, change.key.parts());
    let changed = match &change.image {
        Image::Gone => table.delete(key)?,
        Image::Present(row) | Image::Inserted(row) => table.upsert(row)?,
        Image::Updated(row) => table.update(key, row)?,
        Image::Partial(cells) => table.update_cells(key, cells)?,
    };
    let update = matches!(change.image, Image::Updated(_) | Image::Partial(_));
    if update && changed == 0 {
        applied.missed.push((change.table, change.key.clone()));
    }
    applied.changed += changed as u64;
    Ok(())
}

/// Takes every row of the batch out, then puts those that are to be there.
pub(super) fn exchanged(tables: &mut Tables<'_>, net: &[&Change]) -> rusqlite::Result<Applied> {
    let mut applied = Applied::default();
    for (change, row) in taken_out(tables, net, &mut applied)? {
        tables.of(change)?.insert(&row)?;
        applied.changed += 1;
    }
    Ok(applied)
}

/// Takes every row of these keys out; gives those that are to be there instead.
pub(super) fn taken_out<'c>(
    tables: &mut Tables<'_>,
    net: &[&'c Change],
    applied: &mut Applied,
) -> rusqlite::Result<Vec<(&'c Change, Row)>> {
    let mut put = Vec::new();
    for change in net.iter().copied() {
        let (table, key) = (tables.of(change)?, change.key.parts());
        let before = table.row(key)?;
        if before.is_some() {
            table.delete(key)?;
        }
        let after = match (&change.image, before) {
            (Image::Gone, before) => {
                applied.changed += u64::from(before.is_some());
                None
            }
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
        put.extend(after.map(|row| (change, row)));
    }
    Ok(put)
}
