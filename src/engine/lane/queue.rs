//! What was delivered and is not applied yet.

use crate::db::Batch;
use crate::domain::change::{Net, Txn};
use crate::domain::id::TableId;
use crate::domain::position::Position;
use crate::domain::unit::Bytes;
use crate::state::stream::collapse;
use std::collections::VecDeque;
use std::sync::Arc;

/// The place of an item in the order of delivery. Unlike a position it also places markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Index(pub u64);

#[derive(Debug)]
enum What {
    Txn {
        txn: Arc<Txn>,
        weight: u64,
        after: Position,
    },
    /// Nothing to apply up to this position: our own transactions, an idle stream.
    Advance(Position),
    /// A table was emptied or redefined: nothing passes until a person has decided.
    Stop(TableId),
}

#[derive(Debug)]
struct Entry {
    index: Index,
    what: What,
}

/// A batch that is being applied.
#[derive(Debug)]
struct Flight {
    entries: usize,
    upto: Position,
}

/// Delivered, not applied.
#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    bytes: u64,
    changes: u64,
    flight: Option<Flight>,
    delivered: Index,
    delivered_position: Position,
    applied_position: Position,
    ledger: Position,
}

impl Queue {
    pub fn new(start: Position) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            changes: 0,
            flight: None,
            delivered: Index(0),
            delivered_position: start,
            applied_position: start,
            ledger: start,
        }
    }

    /// Takes the next place in the order of delivery.
    pub fn next_index(&mut self) -> Index {
        self.delivered.0 += 1;
        self.delivered
    }

    /// `after`: the position delivered before it.
    pub fn push_txn(&mut self, txn: Arc<Txn>, weight: u64, after: Position) {
        self.delivered_position = txn.head.position;
        self.bytes += weight;
        self.changes += txn.count();
        self.push(What::Txn { txn, weight, after });
    }

    pub fn push_advance(&mut self, position: Position) {
        self.delivered_position = position;
        let taken = self.flight.as_ref().map_or(0, |flight| flight.entries);
        if self.entries.len() > taken
            && let Some(Entry {
                index,
                what: What::Advance(last),
            }) = self.entries.back_mut()
        {
            *last = position;
            *index = self.delivered;
            return;
        }
        self.push(What::Advance(position));
    }

    pub fn push_stop(&mut self, table: TableId) {
        self.push(What::Stop(table));
    }

    fn push(&mut self, what: What) {
        self.entries.push_back(Entry {
            index: self.delivered,
            what,
        });
        self.settle();
    }

    /// Lets the stream pass the first stop of this table. False when there is none.
    pub fn resume_past(&mut self, table: TableId) -> bool {
        let place = self
            .entries
            .iter()
            .position(|entry| matches!(entry.what, What::Stop(t) if t == table));
        if let Some(at) = place {
            self.entries.remove(at);
            self.settle();
        }
        place.is_some()
    }

    pub fn has_stop(&self, table: TableId) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry.what, What::Stop(t) if t == table))
    }

    /// The next batch: transactions from the front, at most `limit` bytes (but at least one), up to the first that `held`
    /// refuses. One that has outgrown memory is a batch of its own. With `checkpoint` a mere advance of the position makes a
    /// batch too.
    pub fn take(
        &mut self,
        limit: Bytes,
        checkpoint: bool,
        mut held: impl FnMut(Index, &Txn) -> bool,
    ) -> Option<Batch> {
        if self.flight.is_some() {
            return None;
        }
        let mut log = Vec::new();
        let (mut bytes, mut entries, mut upto) = (0, 0, self.applied_position);
        let mut alone = false;
        for entry in &self.entries {
            match &entry.what {
                What::Txn { txn, weight, .. } => {
                    let beyond = txn.overflow.is_some();
                    let full = bytes > 0 && (beyond || alone || bytes + weight > limit.0);
                    if full || held(entry.index, txn) {
                        break;
                    }
                    alone = beyond;
                    bytes += weight;
                    upto = txn.head.position;
                    log.push(Arc::clone(txn));
                }
                What::Advance(position) => upto = *position,
                What::Stop(_) => break,
            }
            entries += 1;
        }
        if log.is_empty() && !(checkpoint && upto > self.ledger) {
            return None;
        }
        self.flight = Some(Flight { entries, upto });
        Some(Batch {
            net: match alone {
                true => Net::default(),
                false => collapse(&log),
            },
            log,
            after: self.ledger,
            upto,
        })
    }

    /// The batch in flight is applied. Gives the place up to which everything is, now.
    pub fn done(&mut self) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        for entry in self.entries.drain(..flight.entries) {
            if let What::Txn { txn, weight, .. } = entry.what {
                self.bytes -= weight;
                self.changes -= txn.count();
            }
        }
        self.applied_position = flight.upto;
        self.ledger = flight.upto;
        self.settle();
    }

    /// The batch in flight is certainly not applied: it stays at the front.
    pub fn undone(&mut self) {
        self.flight = None;
        self.settle();
    }

    /// Positions that nothing has to be applied for are passed at once, in memory only.
    fn settle(&mut self) {
        if self.flight.is_some() {
            return;
        }
        while let Some(Entry {
            what: What::Advance(position),
            ..
        }) = self.entries.front()
        {
            self.applied_position = *position;
            self.entries.pop_front();
        }
    }

    /// Everything delivered up to and with this place is applied.
    pub fn applied_through(&self, index: Index) -> bool {
        self.entries.front().is_none_or(|entry| entry.index > index)
    }

    /// Transactions that are not applied, each with the position delivered before it.
    pub fn txns(&self) -> impl Iterator<Item = (Index, &Txn, Position)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Txn { txn, after, .. } => Some((entry.index, &**txn, *after)),
            What::Advance(_) | What::Stop(_) => None,
        })
    }

    pub fn delivered(&self) -> Index {
        self.delivered
    }
    pub fn delivered_position(&self) -> Position {
        self.delivered_position
    }
    pub fn applied_position(&self) -> Position {
        self.applied_position
    }
    pub fn ledger(&self) -> Position {
        self.ledger
    }
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
    pub fn changes(&self) -> u64 {
        self.changes
    }
    pub fn in_flight(&self) -> bool {
        self.flight.is_some()
    }
}
