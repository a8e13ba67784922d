//! Delivered transactions that a read yet to come may not see.

use super::queue::Index;
use crate::domain::change::Txn;
use crate::domain::position::Seen;
use std::collections::VecDeque;
use std::sync::Arc;

/// A moment in the order of *begin* and *proof*. Unlike an [`Index`] it moves without the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Epoch(pub u64);

#[derive(Debug)]
struct Entry {
    index: Index,
    txn: Arc<Txn>,
    weight: u64,
    /// When a view was first known to see it: every view opened after that sees it too. None: not proven.
    proven: Option<Epoch>,
    applied: bool,
}

/// Transactions kept for folding. One is needed by whoever began before it was proven visible.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: VecDeque<Entry>,
    /// Of those that are applied: the others are counted in the queue.
    bytes: u64,
    unproven: usize,
}

impl Kept {
    pub fn push(&mut self, index: Index, txn: Arc<Txn>, weight: u64, proven: Option<Epoch>) {
        self.unproven += usize::from(proven.is_none());
        self.entries.push_back(Entry {
            index,
            txn,
            weight,
            proven,
            applied: false,
        });
    }

    /// All of them with their places, in commit order.
    pub fn iter(&self) -> impl Iterator<Item = (Index, &Arc<Txn>)> {
        self.entries.iter().map(|entry| (entry.index, &entry.txn))
    }

    /// Those that no view is known to see.
    pub fn unproven(&self) -> impl Iterator<Item = (Index, &Arc<Txn>)> {
        self.entries
            .iter()
            .filter(|entry| entry.proven.is_none())
            .map(|entry| (entry.index, &entry.txn))
    }

    pub fn unproven_count(&self) -> usize {
        self.unproven
    }

    /// A view that was opened before `now` contains this.
    pub fn prove(&mut self, seen: &Seen, now: Epoch) {
        if self.unproven == 0 {
            return;
        }
        for entry in &mut self.entries {
            if entry.proven.is_none() && seen.sees(&entry.txn.head) {
                entry.proven = Some(now);
                self.unproven -= 1;
            }
        }
    }

    /// Forgets what nobody needs: proven, and nobody who has begun before the proof still has to hand over rows.
    pub fn prune(&mut self, oldest_begin: Option<Epoch>) {
        let bytes = &mut self.bytes;
        self.entries.retain(|entry| {
            let needed = entry
                .proven
                .is_none_or(|proven| oldest_begin.is_some_and(|begin| begin <= proven));
            if !needed && entry.applied {
                *bytes -= entry.weight;
            }
            needed
        });
    }

    /// Everything for which this holds is applied: from now on it is counted here.
    pub fn applied(&mut self, mut is_applied: impl FnMut(Index) -> bool) {
        for entry in &mut self.entries {
            if !is_applied(entry.index) {
                break;
            }
            if !entry.applied {
                entry.applied = true;
                self.bytes += entry.weight;
            }
        }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
