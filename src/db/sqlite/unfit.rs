//! Rows that another kind of database can't hold as they are, found where they lie.
//!
//! All of a table is looked at, and hardly ever a row is found: so SQLite itself asks, by a function in the statement's
//! condition, and hands out no row but those. That takes half the time of reading the rows.

use super::cell::{bind, cell, pack};
use super::sql::TableSql;
use super::view::bounds;
use crate::db::Read;
use crate::db::across::{Holds, unfit};
use crate::domain::key::Range;
use crate::domain::packed::{Cell, Packed};
use crate::domain::unit::Bytes;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use std::sync::Arc;

const FUNCTION: &str = "tidegate_unfit";
/// Columns in one call: SQLite takes 127 arguments.
const COLUMNS: usize = 100;
/// What a cell counts beside its text or bytes.
const CELL: u64 = 8;

/// The rows of a range that don't fit, until about `budget` bytes have been looked at.
///
/// The function says no to rows that fit, yes to others, and yes to the one that is the first beyond the budget, whatever it
/// holds, so that the statement comes back to us.
pub(super) fn of_range(
    conn: &Connection,
    sql: &TableSql,
    range: &Range,
    holds: &Arc<[Holds]>,
    budget: Bytes,
) -> rusqlite::Result<Read> {
    let (its, mut looked) = (Arc::clone(holds), Bytes(0));
    conn.create_scalar_function(FUNCTION, -1, FunctionFlags::SQLITE_UTF8, move |row| {
        if looked > budget {
            looked = Bytes(0);
            return Ok(true);
        }
        let first: usize = row.get(0)?;
        let mut weight = 0;
        let cells = cells(row).inspect(|cell| weight += weigh(*cell));
        let unfit = unfit(its.get(first..).unwrap_or_default(), cells);
        looked += Bytes(weight);
        Ok(unfit)
    })?;
    let found = found(conn, sql, range, holds, budget);
    // An error of the read is the one to tell.
    let removed = conn.remove_function(FUNCTION, -1);
    found.and_then(|found| removed.map(|()| found))
}

fn cells<'a>(row: &'a Context<'_>) -> impl Iterator<Item = Cell<'a>> {
    (1..row.len()).map(|at| cell(row.get_raw(at)))
}

fn weigh(cell: Cell<'_>) -> u64 {
    match cell {
        Cell::Text(bytes) | Cell::Blob(bytes) => CELL + bytes.len() as u64,
        Cell::Null | Cell::Integer(_) | Cell::Real(_) => CELL,
    }
}

fn found(
    conn: &Connection,
    sql: &TableSql,
    range: &Range,
    holds: &[Holds],
    budget: Bytes,
) -> rusqlite::Result<Read> {
    let calls: Vec<_> = (0..sql.width())
        .step_by(COLUMNS)
        .map(|first| format!("{FUNCTION}({first}, {})", sql.some_columns(first, COLUMNS)))
        .collect();
    let mut statement = conn.prepare(&sql.rows_where(range, &calls.join(" OR ")))?;
    bind(&mut statement, 1, bounds(range))?;
    let (mut rows, mut cut) = (Packed::default(), None);
    let mut found = statement.raw_query();
    while let Some(row) = found.next()? {
        pack(&mut rows, row, sql.width())?;
        let last = rows.len() - 1;
        let fits = !unfit(holds, rows.cells(last));
        if !fits && (last == 0 || rows.bytes() <= budget) {
            continue;
        }
        cut = rows.pop().map(|row| sql.table().bound_of(&row));
        // Where SQLite sorts, it asks in another order, and the row may be the first: it was looked at just now.
        if !fits && last > 0 || cut != range.lo {
            break;
        }
        cut = None;
    }
    Ok(Read {
        rows: rows.into(),
        cut,
    })
}
