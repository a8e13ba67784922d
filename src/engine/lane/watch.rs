//! Which keys changed between two reads, one on each side: what a verifier must leave out, and nothing else.

use super::queue::Index;
use crate::domain::change::{Image, Txn};
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::position::{Head, Position, Seen};
use crate::domain::unit::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// A verifier's window, from before its first view until its last question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u64);

/// The answer to a verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Exactly these keys of the table changed between both reads.
    Keys(HashSet<Key>),
    /// The stream has not been delivered that far yet.
    NotYet,
    /// Too much changed to remember, or the table was emptied or redefined: read both sides again.
    Lost,
}

#[derive(Debug)]
enum What {
    Txn {
        head: Head,
        /// The position delivered before it: a batch of dirty keys spans from there to its own.
        after: Position,
        /// One transaction of the source, seen whole or not at all. False for a batch of dirty keys, which a read may
        /// fall into the middle of, and where it can't be told apart.
        atomic: bool,
        /// What [`Txn::read_before`] says: its rows may be newer on the target than in a read that doesn't see this.
        read_before: Option<u64>,
        keys: Vec<(TableId, Key)>,
        /// Tables of which any key may have changed: what has outgrown memory is not remembered by its keys.
        any: BTreeSet<TableId>,
    },
    Stop(TableId),
}

#[derive(Debug)]
struct Entry {
    index: Index,
    what: What,
    weight: u64,
}

#[derive(Debug)]
struct Window {
    begun: Index,
    /// The first transaction that the window's views may not both contain.
    needs: Index,
    /// What the target had committed; one that has less has gone back.
    applied: Position,
    lost: bool,
}

/// Keys of delivered transactions, while anybody watches.
#[derive(Debug)]
pub(super) struct WatchLog {
    windows: BTreeMap<WatchId, Window>,
    entries: VecDeque<Entry>,
    bytes: u64,
    budget: u64,
    next: u64,
}

impl WatchLog {
    pub fn new(budget: Bytes) -> Self {
        Self {
            windows: BTreeMap::new(),
            entries: VecDeque::new(),
            bytes: 0,
            budget: budget.0,
            next: 0,
        }
    }

    /// Opens a window. `older`: what was delivered and may not be contained in one of both views that come now, because it
    /// is not applied yet or not proven visible; each with the position delivered before it, or an earlier one. `applied`: what
    /// the target has committed.
    pub fn begin<'a>(
        &mut self,
        now: Index,
        applied: Position,
        older: impl Iterator<Item = (Index, &'a Txn, Position)>,
    ) -> WatchId {
        let mut needs = Index(now.0 + 1);
        for (index, txn, after) in older {
            needs = needs.min(index);
            let at = self.entries.partition_point(|e| e.index < index);
            if self.entries.get(at).is_none_or(|e| e.index != index) {
                let entry = Entry::of(index, txn, after);
                self.bytes += entry.weight;
                self.entries.insert(at, entry);
            }
        }
        self.next += 1;
        let window = Window {
            begun: now,
            needs,
            applied,
            lost: false,
        };
        self.windows.insert(WatchId(self.next), window);
        WatchId(self.next)
    }

    /// Closes a window.
    pub fn end(&mut self, watch: WatchId) {
        self.windows.remove(&watch);
        if self.windows.is_empty() {
            self.entries.clear();
            self.bytes = 0;
        }
    }

    pub fn delivered(&mut self, index: Index, txn: &Txn, after: Position) {
        if !self.windows.is_empty() {
            self.push(Entry::of(index, txn, after));
        }
    }

    pub fn stopped(&mut self, index: Index, table: TableId) {
        if !self.windows.is_empty() {
            self.push(Entry {
                index,
                what: What::Stop(table),
                weight: size_of::<Entry>() as u64,
            });
        }
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.weight;
        self.entries.push_back(entry);
        while self.bytes > self.budget
            && let Some(dropped) = self.entries.pop_front()
        {
            self.bytes -= dropped.weight;
            for window in self.windows.values_mut() {
                window.lost |= dropped.index >= window.needs;
            }
        }
    }

    /// Keys of `table` in which a read of the source that has `seen`, and a read of the target at `applied`, may differ.
    pub fn changed(
        &self,
        watch: WatchId,
        table: TableId,
        seen: &Seen,
        applied: Position,
        delivered: Position,
    ) -> Changed {
        let Some(window) = self.windows.get(&watch) else {
            return Changed::Lost;
        };
        if matches!(seen, Seen::UpTo(position) if *position > delivered) || applied > delivered {
            return Changed::NotYet;
        }
        if window.lost || applied < window.applied {
            return Changed::Lost;
        }
        let mut changed = HashSet::new();
        for entry in &self.entries {
            match &entry.what {
                What::Stop(stopped) if *stopped == table && entry.index > window.begun => {
                    return Changed::Lost;
                }
                What::Stop(_) => {}
                What::Txn {
                    head,
                    after,
                    atomic,
                    read_before,
                    keys,
                    any,
                } => {
                    let newer = read_before.is_some_and(|xid| !seen.sees_xid(xid));
                    if newer || between(seen, applied, head, *after, *atomic) {
                        if any.contains(&table) {
                            return Changed::Lost;
                        }
                        let mine = keys.iter().filter(|(t, _)| *t == table);
                        changed.extend(mine.map(|(_, key)| key.clone()));
                    }
                }
            }
        }
        Changed::Keys(changed)
    }
}

impl Entry {
    fn of(index: Index, txn: &Txn, after: Position) -> Self {
        if txn.overflow.is_some() {
            return Self::large(index, txn, after);
        }
        let keys: Vec<(TableId, Key)> = txn
            .changes
            .iter()
            .map(|change| (change.table, change.key.clone()))
            .collect();
        let weight: u64 = keys.iter().map(|(_, key)| key.weight() + 8).sum();
        Self {
            index,
            weight: weight + size_of::<Self>() as u64,
            what: What::Txn {
                head: txn.head,
                after,
                atomic: txn
                    .changes
                    .iter()
                    .any(|c| !matches!(c.image, Image::Present(_) | Image::Gone)),
                read_before: txn.read_before,
                keys,
                any: BTreeSet::new(),
            },
        }
    }

    /// Only for as long as the two reads stand on either side of it are both sides read again.
    fn large(index: Index, txn: &Txn, after: Position) -> Self {
        Self {
            index,
            weight: size_of::<Self>() as u64,
            what: What::Txn {
                head: txn.head,
                after,
                // It may be a batch of dirty keys, and those are between more reads.
                atomic: false,
                read_before: txn.read_before,
                keys: Vec::new(),
                any: txn.tables(),
            },
        }
    }
}

/// Whether one of both reads contains (part of) the transaction and the other does not.
fn between(seen: &Seen, applied: Position, head: &Head, after: Position, atomic: bool) -> bool {
    match seen {
        Seen::UpTo(position) if !atomic => {
            let (low, high) = (applied.min(*position), applied.max(*position));
            head.position > low && after < high
        }
        _ => seen.sees(head) != (head.position <= applied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::Change;
    use crate::domain::value::Value;

    const T: TableId = TableId(0);

    /// A row that got another key, of which cells were read later than that: `read_before`.
    fn moved(read_before: Option<u64>) -> Txn {
        let change = |key: i64, image| Change {
            table: T,
            key: Key::normal([Value::Integer(key)], &[]),
            image,
        };
        let row = vec![Value::Integer(2), Value::text("newer")].into();
        let head = Head {
            position: Position(10),
            xid: Some(100),
            own: false,
        };
        let changes = vec![change(1, Image::Gone), change(2, Image::Inserted(row))];
        Txn {
            read_before,
            ..Txn::new(head, changes)
        }
    }

    fn changed(txn: &Txn, xmax: u64) -> usize {
        let mut log = WatchLog::new(Bytes(1_000));
        let watch = log.begin(Index(0), Position::START, std::iter::empty());
        log.delivered(Index(1), txn, Position::START);
        let seen = Seen::Pg {
            xmin: xmax,
            xmax,
            xip: Vec::new(),
        };
        match log.changed(watch, T, &seen, Position(10), Position(10)) {
            Changed::Keys(keys) => keys.len(),
            other => panic!("{other:?}"),
        }
    }

    /// Of what was applied before the window nothing is remembered: a target that has lost some of that can't be compared.
    #[test]
    fn a_target_that_has_gone_back_is_not_compared() {
        let mut log = WatchLog::new(Bytes(1_000));
        let watch = log.begin(Index(0), Position(7), std::iter::empty());
        let at = |applied| log.changed(watch, T, &Seen::UpTo(Position(7)), applied, Position(7));
        assert!(matches!(at(Position(7)), Changed::Keys(keys) if keys.is_empty()));
        assert!(matches!(at(Position(6)), Changed::Lost));
    }

    #[test]
    fn a_row_read_later_than_the_other_view_may_differ_though_both_contain_its_change() {
        assert_eq!(changed(&moved(None), 101), 0);
        assert_eq!(changed(&moved(Some(105)), 101), 2);
        assert_eq!(changed(&moved(Some(105)), 106), 0);
    }
}
