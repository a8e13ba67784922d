//! Landing rows: the fast way first, and exactly what it did.
//!
//! Rows are plain INSERTs, many in a statement. Where a row is in the way (the stream made it already, an adopted table, a repair, a chunk that landed
//! before), it is an UPDATE by key instead. Only when that runs into another unique constraint, because rows of the landing
//! exchange a value among themselves, is the landing done again with the rows of its own keys taken out first. A range is
//! never emptied, and no row is evicted: REPLACE is not used.

use super::ledger;
use super::place::{OrFault, Place};
use super::sql::TableSql;
use super::statements::Statements;
use super::transact::{in_the_way, savepoint};
use crate::db::{Landed, Landing};
use crate::domain::fault::Result;
use crate::domain::key::Key;
use crate::domain::packed::Packed;
use crate::domain::plan::Plan;
use crate::domain::value::Value;
use rusqlite::Connection;

/// Lands inside the caller's transaction.
pub(super) fn land(
    conn: &Connection,
    place: &Place,
    plan: &Plan,
    sql: &TableSql,
    landing: &Landing,
) -> Result<Landed> {
    let doing = format!("land rows of {}", sql.table().source);
    let keep = landing.keep_before;
    let mut landed = Landed::default();
    take_out(conn, sql, &landing.gone, keep, &mut landed).or_fault(place, &doing)?;
    let rows = &*landing.rows.packed()?;
    let put = savepoint(conn, |conn| insert_or_update(conn, sql, rows, keep))
        .or_else(|error| {
            if in_the_way(&error) {
                savepoint(conn, |conn| take_out_then_insert(conn, sql, rows, keep))
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
    rows: &Packed,
    keep: bool,
) -> rusqlite::Result<Landed> {
    let mut landed = Landed::default();
    let mut table = Statements::new(conn, sql);
    let block = table.block();
    let mut next = 0;
    while next < rows.len() {
        let mut many = 1;
        if !keep && next + block <= rows.len() {
            many = block;
            match table.insert_block(rows, next) {
                Ok(()) => {
                    landed.inserted += block as u32;
                    next += block;
                    continue;
                }
                Err(error) if in_the_way(&error) => {}
                Err(error) => return Err(error),
            }
        }
        for at in next..next + many {
            put_one(&mut table, rows, at, keep, &mut landed)?;
        }
        next += many;
    }
    Ok(landed)
}

fn put_one(
    table: &mut Statements<'_>,
    rows: &Packed,
    at: usize,
    keep: bool,
    landed: &mut Landed,
) -> rusqlite::Result<()> {
    let sql = table.sql;
    match table.insert(rows.cells(at)) {
        Ok(()) => {
            landed.inserted += 1;
            if keep {
                let key = sql.table().key_of(&rows.row(at));
                landed.before.push((key, None));
            }
        }
        Err(error) if in_the_way(&error) => {
            let row = rows.row(at);
            if keep {
                keep_before(table, &row, landed)?;
            }
            if table.update(sql.key_cells(&row), &row)? == 0 {
                // Not its own key is in the way, but another row.
                return Err(error);
            }
            landed.updated += 1;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn take_out_then_insert(
    conn: &Connection,
    sql: &TableSql,
    rows: &Packed,
    keep: bool,
) -> rusqlite::Result<Landed> {
    let mut landed = Landed::default();
    let mut table = Statements::new(conn, sql);
    for row in rows.iter() {
        if keep {
            keep_before(&mut table, &row, &mut landed)?;
        }
        landed.updated += u32::from(table.delete(sql.key_cells(&row))? > 0);
    }
    for at in 0..rows.len() {
        table.insert(rows.cells(at))?;
        landed.inserted += 1;
    }
    landed.inserted -= landed.updated;
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
    let mut table = Statements::new(conn, sql);
    for key in keys {
        if keep {
            landed.before.push((key.clone(), table.row(key.parts())?));
        }
        landed.deleted += u32::from(table.delete(key.parts())? > 0);
    }
    Ok(())
}

/// Keeps the image that is about to be replaced.
fn keep_before(
    table: &mut Statements<'_>,
    row: &[Value],
    landed: &mut Landed,
) -> rusqlite::Result<()> {
    let sql = table.sql;
    let before = table.row(sql.key_cells(row))?;
    landed.before.push((sql.table().key_of(row), before));
    Ok(())
}
