//! Reads on their way from the source to the target.

use super::kept::Epoch;
use super::queue::Index;
use crate::db::{ChunkMark, Landing};
use crate::domain::bulk::Bulk;
use crate::domain::change::{Change, Txn};
use crate::domain::fault::Result;
use crate::domain::id::{ChunkId, TableId};
use crate::domain::key::{Key, Pick};
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::table::Table;
use crate::domain::unit::Rows;
use crate::state::stream::Fold;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// One read, from before its view was opened until it has landed. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// What a worker hands over: rows of one pick, read in one view.
#[derive(Debug, Clone)]
pub struct ChunkRead {
    /// The table.
    pub table: TableId,
    /// What the view contains of the source's stream.
    pub seen: Seen,
    /// How to know that the stream has passed the read; emitted after the view was opened.
    pub barrier: Barrier,
    /// Which rows these are: all of the range that the view has, or those of the keys that are there.
    pub pick: Pick,
    /// The rows.
    pub rows: Bulk,
    /// The chunk whose mark lands with them; none for a repair.
    pub chunk: Option<ChunkId>,
    /// Whether the replaced images are handed back, for undo.
    pub keep_before: bool,
}

/// What has landed, or is about to.
#[derive(Debug)]
pub(super) struct Held {
    pub table: TableId,
    /// Folded up to here.
    pub at: Index,
    /// Being landed now.
    pub landing: bool,
    rows: Arc<Bulk>,
    gone: Vec<Key>,
    mark: Option<ChunkMark>,
    keep_before: bool,
    /// Gathered at the first change of its table; none inside where one of them can't be told.
    keys: Option<Option<HashSet<Key>>>,
}

impl Held {
    /// Whether the transaction touches a row that is landing. The keys are only gathered when one comes along.
    pub fn touched_by(&mut self, txn: &Txn, table: &Table) -> bool {
        if !txn.touches(self.table) {
            return false;
        }
        let (rows, gone) = (&self.rows, &self.gone);
        let keys = self.keys.get_or_insert_with(|| {
            let there = (0..rows.len()).map(|at| table.key_in(rows, at));
            there.chain(gone.iter().cloned().map(Some)).collect()
        });
        // A key that can't be told may be any.
        let touches = |change: &Change| {
            change.table == self.table
                && keys.as_ref().is_none_or(|keys| keys.contains(&change.key))
        };
        // What can't be read waits like what touches: that it can't be read will come out when it is applied.
        txn.pieces()
            .any(|piece| piece.map_or(true, |piece| piece.iter().any(touches)))
    }

    /// `after`: what the target has committed by now.
    pub fn landing(&self, after: Position) -> Landing {
        Landing {
            table: self.table,
            mark: self.mark.clone(),
            after,
            rows: Arc::clone(&self.rows),
            gone: self.gone.clone(),
            keep_before: self.keep_before,
        }
    }
}

/// Rows are here, the marker is not.
#[derive(Debug)]
pub(super) struct Waiting {
    read: ChunkRead,
    fold: Fold,
}

impl Waiting {
    pub fn new(mut read: ChunkRead) -> Self {
        let rows = std::mem::take(&mut read.rows);
        Self {
            fold: Fold::over(rows, &read.pick),
            read,
        }
    }

    pub fn table(&self) -> TableId {
        self.read.table
    }

    pub fn barrier(&self) -> Barrier {
        self.read.barrier
    }

    /// Lays a delivered transaction over the rows, unless the view contains it.
    ///
    /// # Errors
    /// A transaction that can't be read: the rows are of no use any more.
    pub fn lay(&mut self, txn: &Txn, table: &Table) -> Result<()> {
        if self.read.seen.sees(&txn.head) || !txn.touches(self.read.table) {
            return Ok(());
        }
        for piece in txn.pieces() {
            for change in piece?.iter() {
                if change.table == self.read.table {
                    self.fold.lay(table, &change.key, &change.image);
                }
            }
        }
        Ok(())
    }

    /// Whether the rows can't be used any more.
    pub fn spoilt(&self) -> bool {
        self.fold.spoilt()
    }

    pub fn finish(self, at: Index, table: &Table) -> Held {
        let folded = self.fold.finish(table);
        let mark = match (self.read.chunk, self.read.pick) {
            (Some(chunk), Pick::Range(range)) => Some(ChunkMark {
                chunk,
                range,
                rows: Rows(folded.rows.len() as u64),
            }),
            _ => None,
        };
        Held {
            table: self.read.table,
            at,
            landing: false,
            rows: Arc::new(folded.rows),
            gone: folded.gone,
            mark,
            keep_before: self.read.keep_before,
            keys: None,
        }
    }
}

/// How far a read is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Announced: its view may be open, its rows are not here.
    Begun {
        epoch: Epoch,
        index: Index,
    },
    Waiting(Box<Waiting>),
    Folded(Box<Held>),
}

/// All reads under way: as many as there are workers, so everything here may look at each.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub stages: BTreeMap<Ticket, Stage>,
    next: u64,
}

impl Reads {
    pub fn begin(&mut self, epoch: Epoch, index: Index) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.stages.insert(ticket, Stage::Begun { epoch, index });
        ticket
    }

    /// The oldest begin whose rows are still to come.
    pub fn oldest_begin(&self) -> Option<Epoch> {
        self.stages
            .values()
            .filter_map(|stage| match stage {
                Stage::Begun { epoch, .. } => Some(*epoch),
                _ => None,
            })
            .min()
    }

    /// The first folded read, not landed yet, that a transaction delivered at `index` must not overtake.
    pub fn holding(&mut self, index: Index, txn: &Txn, tables: &[Table]) -> Option<Ticket> {
        self.stages.iter_mut().find_map(|(ticket, stage)| {
            let Stage::Folded(held) = stage else {
                return None;
            };
            let table = tables.get(usize::from(held.table.0))?;
            (held.at < index && held.touched_by(txn, table)).then_some(*ticket)
        })
    }

    /// Folds every waiting read whose barrier this settles.
    pub fn fold_reached(&mut self, at: Index, tables: &[Table], reached: impl Fn(Barrier) -> bool) {
        let due: Vec<Ticket> = self
            .stages
            .iter()
            .filter(|(_, stage)| matches!(stage, Stage::Waiting(w) if reached(w.barrier())))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in due {
            if let Some(Stage::Waiting(waiting)) = self.stages.remove(&ticket)
                && let Some(table) = tables.get(usize::from(waiting.table().0))
            {
                let held = Box::new(waiting.finish(at, table));
                self.stages.insert(ticket, Stage::Folded(held));
            }
        }
    }
}
