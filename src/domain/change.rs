//! What a change stream delivers.

use super::id::{Nonce, TableId};
use super::key::Key;
use super::position::{Head, Position};
use super::value::{Row, Value, row_weight};
use serde::{Deserialize, Serialize};

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Image {
    /// The log says INSERT, with the whole row.
    Inserted(Row),
    /// The log says UPDATE, with the whole new row. Applied as UPDATE: it never makes a row.
    Updated(Row),
    /// An UPDATE whose absent cells are unchanged (PostgreSQL's unchanged TOAST). It never makes a row.
    Partial(Box<[Option<Value>]>),
    /// The row as it stood at the transaction's position, however it came to be so (SQLite's dirty keys). Makes or replaces it.
    Present(Row),
    /// The row is not there (any more).
    Gone,
}

/// Lays a partial image over a whole row: absent cells keep what is there.
pub fn merge(row: &mut [Value], cells: &[Option<Value>]) {
    for (cell, new) in row.iter_mut().zip(cells) {
        if let Some(value) = new {
            *cell = value.clone();
        }
    }
}

/// One row's change. A change of the key itself arrives as `Gone` for the old key and `Inserted` or `Present` for the new
/// one: an image that makes a row, because an UPDATE of the new key would find none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which table.
    pub table: TableId,
    /// Which row.
    pub key: Key,
    /// What became of it.
    pub image: Image,
}

impl Change {
    /// Bytes it weighs in a buffer.
    pub fn weight(&self) -> u64 {
        let image = match &self.image {
            Image::Inserted(row) | Image::Updated(row) | Image::Present(row) => row_weight(row),
            Image::Partial(cells) => cells.iter().flatten().map(Value::weight).sum(),
            Image::Gone => 0,
        };
        self.key.weight() + image + size_of::<Self>() as u64
    }
}

/// A whole transaction of the stream, in the order of its statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    /// Where it lies, and whose it is.
    pub head: Head,
    /// Its row changes.
    pub changes: Vec<Change>,
}

impl Txn {
    /// Bytes it weighs in a buffer.
    pub fn weight(&self) -> u64 {
        self.changes.iter().map(Change::weight).sum::<u64>() + size_of::<Self>() as u64
    }
}

/// What the stream delivers next, in commit order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A committed transaction.
    Txn(Txn),
    /// A marker that one of our reads emitted.
    Marker(Nonce),
    /// A table was emptied at once.
    Truncate(TableId),
    /// A table's definition changed: the table stops and a person is asked.
    Schema(TableId),
    /// Nothing more up to here for now.
    Idle(Position),
}
