//! What a change stream delivers.

use super::fault::Result;
use super::id::{Nonce, TableId};
use super::key::Key;
use super::position::{Head, Position};
use super::value::{Row, Value, row_weight};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

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

/// Changes of a transaction that has outgrown memory, kept elsewhere until nobody needs them any more.
pub trait Overflow: fmt::Debug + Send + Sync {
    /// How many changes these are.
    fn count(&self) -> u64;
    /// Bytes that they count as in a buffer: not what they are, for they are not there, but enough that a reader ahead of its
    /// time stops after a few.
    fn weight(&self) -> u64;
    /// Bytes that they take where they are.
    fn length(&self) -> u64;
    /// The tables that they are of, in order.
    fn tables(&self) -> Vec<TableId>;
    /// The changes in their order, a bounded number at a time. May be asked for several times, also at once.
    ///
    /// # Errors
    /// `SPILL-FAILED` where they can't be read any more; nothing comes after that.
    fn pieces(&self) -> Box<dyn Iterator<Item = Result<Vec<Change>>> + Send + '_>;
}

/// A whole transaction of the stream, in the order of its statements.
///
/// A small one is all in `changes`. Whoever walks a transaction goes through [`Txn::pieces`], which walks both.
#[derive(Debug, Clone)]
pub struct Txn {
    /// Where it lies, and whose it is.
    pub head: Head,
    /// Its row changes, or the first of them.
    pub changes: Vec<Change>,
    /// Those that come after them, where they have outgrown memory.
    pub overflow: Option<Arc<dyn Overflow>>,
    /// Where cells of it, which the stream left out, were read from the source later than it was committed: a transaction
    /// that began after that. A read of the source that does not see this one may be older than what was read.
    pub read_before: Option<u64>,
}

impl Txn {
    /// A transaction that fits into memory.
    pub fn new(head: Head, changes: Vec<Change>) -> Self {
        Self {
            head,
            changes,
            overflow: None,
            read_before: None,
        }
    }

    /// Bytes it weighs in a buffer.
    pub fn weight(&self) -> u64 {
        let beyond = self.overflow.as_ref().map_or(0, |more| more.weight());
        self.changes.iter().map(Change::weight).sum::<u64>() + beyond + size_of::<Self>() as u64
    }

    /// How many changes it has.
    pub fn count(&self) -> u64 {
        self.changes.len() as u64 + self.overflow.as_ref().map_or(0, |more| more.count())
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Whether it has changes of this table.
    pub fn touches(&self, table: TableId) -> bool {
        let beyond = |more: &Arc<dyn Overflow>| more.tables().contains(&table);
        self.changes.iter().any(|change| change.table == table)
            || self.overflow.as_ref().is_some_and(beyond)
    }

    /// The tables that it has changes of.
    pub fn tables(&self) -> BTreeSet<TableId> {
        let beyond = self.overflow.iter().flat_map(|more| more.tables());
        let here = self.changes.iter().map(|change| change.table);
        here.chain(beyond).collect()
    }

    /// All its changes in their order, a bounded number at a time.
    ///
    /// # Errors
    /// What [`Overflow::pieces`] says.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Cow<'_, [Change]>>> + Send {
        let here = (!self.changes.is_empty()).then(|| Ok(Cow::Borrowed(&self.changes[..])));
        let beyond = self.overflow.iter().flat_map(|more| more.pieces());
        here.into_iter()
            .chain(beyond.map(|piece| piece.map(Cow::Owned)))
    }
}

/// What overflowed is the same where it is one and the same.
impl PartialEq for Txn {
    fn eq(&self, other: &Self) -> bool {
        let beyond = match (&self.overflow, &other.overflow) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        };
        beyond
            && self.head == other.head
            && self.changes == other.changes
            && self.read_before == other.read_before
    }
}
impl Eq for Txn {}

/// What transactions come to: at most one change a key. A change that one of them has just so is not copied.
#[derive(Debug, Clone, Default)]
pub struct Net(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    /// The change at this place of the transaction at this place of the log.
    Logged {
        txn: usize,
        at: usize,
    },
    Made(Change),
}

impl Net {
    /// Adds the change at a place of a transaction's, as it is.
    pub fn push_logged(&mut self, txn: usize, at: usize) {
        self.0.push(Part::Logged { txn, at });
    }

    /// Adds one that no transaction has just so.
    pub fn push(&mut self, change: Change) {
        self.0.push(Part::Made(change));
    }

    /// All of them. `log`: the transactions that this was made of.
    pub fn changes<'a>(&'a self, log: &'a [Arc<Txn>]) -> impl Iterator<Item = &'a Change> {
        self.0.iter().filter_map(|part| match part {
            Part::Logged { txn, at } => log.get(*txn)?.changes.get(*at),
            Part::Made(change) => Some(change),
        })
    }
}

impl From<Vec<Change>> for Net {
    fn from(changes: Vec<Change>) -> Self {
        Self(changes.into_iter().map(Part::Made).collect())
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
