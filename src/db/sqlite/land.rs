//! Landing rows: the fast way first, and exactly what it did.
//!
//! Each row is a plain INSERT. Where a row is in the way (the stream made it already, an adopted table, a repair, a chunk that landed
//! before), it is an UPDATE by key instead. Only when that runs into another unique constraint, because rows of the landing
//! exchange a value among themselves, is the landing done again with the rows of its own keys taken out first. A range is
//! never emptied, and no row is evicted: REPLACE is not used.

use super::cell::{bind, cells};
use super::ledger;
use super::place::{OrFault, Place};
use super::sql::TableSql;
use super::transact::{in_the_way, savepoint};
use crate::db::{Landed, Landing};
use crate::domain::fault::Result;
use crate::domain::key::Key;
use crate::domain::plan::Plan;
use crate::domain::value::{Row, Value};
use rusqlite::{CachedStatement, Connection};

/// Lands inside the caller's transaction.
pub(super) fn land(
    conn: &Connection,
    place: &Place,
    plan: &Plan,
    sql: &TableSql,
    landing: &Landing,
) -> Result<Landed> {
    let doing = format!("land rows of {}", sql.table().source);
    let mut landed = Landed::default();
    take_out(conn, sql, &landing.gone, landing.keep_before, &mut landed).or_fault(place, &doing)?;
    let keep = landing.keep_before;
    let put = savepoint(conn, |conn| {
        insert_or_update(conn, sql, &landing.rows, keep)
    })
    .or_else(|error| {
        if in_the_way(&error) {
            savepoint(conn, |conn| {
                take_out_then_insert(conn, sql, &landing.rows, keep)
            })
        } else {
            Err(error)
        }
    })
    .or_fault(place, &doing)?;
    landed.inserted += put.inserted;
    landed.updated += put.updated;
    landed.before.extend(put.before);
    if let Some(mark) = &landing.mark {
        ledger::mark(conn, place, plan, mark)?;
    }
    Ok(landed)
}

fn insert_or_update(
    conn: &Connection,
    sql: &TableSql,
    rows: &[Row],
    keep: bool,
) -> rusqlite::Result<Landed> {
    let mut landed = Landed::default();
    let mut insert = conn.prepare_cached(&sql.insert())?;
    let mut update = conn.prepare_cached(&sql.update(0..sql.width()))?;
    let mut before = Before::new(conn, sql, keep)?;
    for row in rows {
        bind(&mut insert, 1, row)?;
        match insert.raw_execute() {
            Ok(_) => {
                landed.inserted += 1;
                before.was_absent(row, &mut landed);
            }
            Err(error) if in_the_way(&error) => {
                before.note(row, &mut landed)?;
                bind(&mut update, 1, row)?;
                bind(&mut update, sql.width() + 1, sql.key_cells(row))?;
                if update.raw_execute()? == 0 {
                    // Not its own key is in the way, but another row.
                    return Err(error);
                }
                landed.updated += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(landed)
}

fn take_out_then_insert(
    conn: &Connection,
    sql: &TableSql,
    rows: &[Row],
    keep: bool,
) -> rusqlite::Result<Landed> {
    let mut landed = Landed::default();
    let mut delete = conn.prepare_cached(&sql.delete())?;
    let mut before = Before::new(conn, sql, keep)?;
    for row in rows {
        before.note(row, &mut landed)?;
        bind(&mut delete, 1, sql.key_cells(row))?;
        if delete.raw_execute()? > 0 {
            landed.updated += 1;
        }
    }
    let mut insert = conn.prepare_cached(&sql.insert())?;
    for row in rows {
        bind(&mut insert, 1, row)?;
        insert.raw_execute()?;
    }
    landed.inserted = count(rows.len()) - landed.updated;
    Ok(landed)
}

/// Removes the rows of these keys.
fn take_out(
    conn: &Connection,
    sql: &TableSql,
    keys: &[Key],
    keep: bool,
    landed: &mut Landed,
) -> rusqlite::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut delete = conn.prepare_cached(&sql.delete())?;
    let mut select = conn.prepare_cached(&sql.row())?;
    for key in keys {
        if keep {
            bind(&mut select, 1, key.parts())?;
            landed
                .before
                .push((key.clone(), one_row(&mut select, sql)?));
        }
        bind(&mut delete, 1, key.parts())?;
        landed.deleted += count(delete.raw_execute()?);
    }
    Ok(())
}

/// Keeps the images that are about to be replaced, when they are wanted.
struct Before<'a> {
    sql: &'a TableSql,
    select: Option<CachedStatement<'a>>,
}

impl<'a> Before<'a> {
    fn new(conn: &'a Connection, sql: &'a TableSql, keep: bool) -> rusqlite::Result<Self> {
        let select = if keep {
            Some(conn.prepare_cached(&sql.row())?)
        } else {
            None
        };
        Ok(Self { sql, select })
    }

    fn was_absent(&self, row: &[Value], landed: &mut Landed) {
        if self.select.is_some() {
            landed.before.push((self.sql.table().key_of(row), None));
        }
    }

    fn note(&mut self, row: &[Value], landed: &mut Landed) -> rusqlite::Result<()> {
        if let Some(select) = &mut self.select {
            bind(select, 1, self.sql.key_cells(row))?;
            landed
                .before
                .push((self.sql.table().key_of(row), one_row(select, self.sql)?));
        }
        Ok(())
    }
}

/// The one row of a lookup whose key is bound.
pub(super) fn one_row(
    select: &mut CachedStatement<'_>,
    sql: &TableSql,
) -> rusqlite::Result<Option<Row>> {
    let mut found = select.raw_query();
    found
        .next()?
        .map(|row| cells(row, 0, sql.width()))
        .transpose()
}

/// A landing never holds 2³² rows: it is bounded in bytes.
fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
