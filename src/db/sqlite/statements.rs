//! One table's statements, prepared once for the length of a batch: a row costs its binding and its step.

use super::cell::{bind, cells};
use super::sql::TableSql;
use crate::domain::packed::{Cell, Packed};
use crate::domain::value::{Row, Value};
use rusqlite::{CachedStatement, Connection, Result};

/// Parameters of one statement that puts many rows there: beginning and ending a statement costs more than a short row, and
/// each keeps the pages it changes once for its own undoing.
const PARAMETERS: usize = 512;
/// Rows of such a statement at least and at most. The least of them, of a table with the most columns (2,000), stay below the
/// most parameters of a statement (32,766).
const LEAST: usize = 16;
const MOST: usize = 128;

/// The statements of one table on one connection.
pub(super) struct Statements<'a> {
    conn: &'a Connection,
    pub(super) sql: &'a TableSql,
    row: Option<CachedStatement<'a>>,
    insert: Option<CachedStatement<'a>>,
    block: Option<CachedStatement<'a>>,
    upsert: Option<CachedStatement<'a>>,
    update: Option<CachedStatement<'a>>,
    delete: Option<CachedStatement<'a>>,
}

/// The statement, prepared at its first use.
fn ready<'a, 's>(
    slot: &'s mut Option<CachedStatement<'a>>,
    conn: &'a Connection,
    text: impl FnOnce() -> String,
) -> Result<&'s mut CachedStatement<'a>> {
    match slot {
        Some(statement) => Ok(statement),
        None => Ok(slot.insert(conn.prepare_cached(&text())?)),
    }
}

impl<'a> Statements<'a> {
    pub(super) fn new(conn: &'a Connection, sql: &'a TableSql) -> Self {
        Self {
            conn,
            sql,
            row: None,
            insert: None,
            block: None,
            upsert: None,
            update: None,
            delete: None,
        }
    }

    /// The row of a key, raw or normalised.
    pub(super) fn row<'v>(
        &mut self,
        key: impl IntoIterator<Item = &'v Value>,
    ) -> Result<Option<Row>> {
        let select = ready(&mut self.row, self.conn, || self.sql.row())?;
        bind(select, 1, key)?;
        let mut found = select.raw_query();
        found
            .next()?
            .map(|row| cells(row, 0, self.sql.width()))
            .transpose()
    }

    /// Puts a new row there.
    pub(super) fn insert<'v>(
        &mut self,
        row: impl IntoIterator<Item = impl Into<Cell<'v>>>,
    ) -> Result<()> {
        let insert = ready(&mut self.insert, self.conn, || self.sql.insert())?;
        bind(insert, 1, row)?;
        insert.raw_execute().map(drop)
    }

    /// How many rows [`insert_block`](Self::insert_block) puts there.
    pub(super) fn block(&self) -> usize {
        (PARAMETERS / self.sql.width().max(1)).clamp(LEAST, MOST)
    }

    /// Puts a block of new rows there, from one on; none of them, where one is in the way.
    pub(super) fn insert_block(&mut self, rows: &Packed, from: usize) -> Result<()> {
        let (width, block) = (self.sql.width(), self.block());
        let insert = ready(&mut self.block, self.conn, || self.sql.insert_block(block))?;
        for at in 0..block {
            bind(insert, 1 + at * width, rows.cells(from + at))?;
        }
        insert.raw_execute().map(drop)
    }

    /// Puts a row there, or makes the one with its key the same.
    pub(super) fn upsert(&mut self, row: &[Value]) -> Result<usize> {
        let upsert = ready(&mut self.upsert, self.conn, || self.sql.upsert())?;
        bind(upsert, 1, row)?;
        upsert.raw_execute()
    }

    /// Makes the row of a key this one; how many there were.
    pub(super) fn update<'v>(
        &mut self,
        key: impl IntoIterator<Item = &'v Value>,
        row: &[Value],
    ) -> Result<usize> {
        let width = self.sql.width();
        let update = ready(&mut self.update, self.conn, || self.sql.update())?;
        bind(update, 1, row)?;
        bind(update, width + 1, key)?;
        update.raw_execute()
    }

    /// Sets some cells of the row of a key; how many there were.
    pub(super) fn update_cells(&mut self, key: &[Value], cells: &[Option<Value>]) -> Result<usize> {
        let there = || {
            cells
                .iter()
                .enumerate()
                .filter_map(|(i, cell)| Some((i, cell.as_ref()?)))
        };
        let count = there().count();
        if count == 0 {
            return Ok(usize::from(self.row(key)?.is_some()));
        }
        let text = self.sql.update_cells(there().map(|(i, _)| i));
        let mut update = self.conn.prepare_cached(&text)?;
        bind(&mut update, 1, there().map(|(_, cell)| cell))?;
        bind(&mut update, count + 1, key)?;
        update.raw_execute()
    }

    /// Removes the row of a key; how many there were.
    pub(super) fn delete<'v>(&mut self, key: impl IntoIterator<Item = &'v Value>) -> Result<usize> {
        let delete = ready(&mut self.delete, self.conn, || self.sql.delete())?;
        bind(delete, 1, key)?;
        delete.raw_execute()
    }
}
