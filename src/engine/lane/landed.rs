//! How far each table has landed without a gap: what an update that finds no row is held against.

use crate::db::{ChunkMark, Ledger};
use crate::domain::id::TableId;
use crate::domain::key::{Key, Range};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
struct Table {
    /// The number of the next chunk that has not landed.
    next: u32,
    /// Everything below here has landed; none while nothing has.
    landed: Option<Range>,
    /// Landed beyond a gap, because parallel workers are not in step.
    beyond: BTreeMap<u32, Range>,
}

/// The landed beginnings of all tables. Cheap to clone: a batch takes the state at its start along.
#[derive(Debug, Clone, Default)]
pub(super) struct LandedRanges(Arc<BTreeMap<TableId, Table>>);

impl LandedRanges {
    /// As the ledger has it.
    pub fn of(ledger: &Ledger) -> Self {
        let tables = ledger.last.iter().map(|(table, no, hi)| {
            let landed = Range {
                lo: None,
                hi: hi.clone(),
            };
            let table_state = Table {
                next: no + 1,
                landed: Some(landed),
                beyond: BTreeMap::new(),
            };
            (*table, table_state)
        });
        Self(Arc::new(tables.collect()))
    }

    /// A chunk has landed.
    pub fn add(&mut self, mark: &ChunkMark) {
        let table = Arc::make_mut(&mut self.0)
            .entry(mark.chunk.table)
            .or_default();
        table.beyond.insert(mark.chunk.no, mark.range.clone());
        while let Some(range) = table.beyond.remove(&table.next) {
            table.next += 1;
            table.landed = Some(Range {
                lo: None,
                hi: range.hi,
            });
        }
    }

    /// Of these keys those of tables of which anything has landed, with the range that has.
    pub fn suspects(&self, missed: Vec<(TableId, Key)>) -> Vec<(TableId, Range, Vec<Key>)> {
        let mut suspects: BTreeMap<TableId, Vec<Key>> = BTreeMap::new();
        for (table, key) in missed {
            suspects.entry(table).or_default().push(key);
        }
        suspects
            .into_iter()
            .filter_map(|(table, keys)| {
                let landed = self.0.get(&table)?.landed.clone()?;
                Some((table, landed, keys))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{ChunkId, Token};
    use crate::domain::key::Bound;
    use crate::domain::position::Position;
    use crate::domain::unit::Rows;
    use crate::domain::value::Value;

    const T: TableId = TableId(3);

    fn bound(at: i64) -> Option<Bound> {
        Some(Bound([Value::Integer(at)].into()))
    }

    fn mark(no: u32, lo: Option<Bound>, hi: Option<Bound>) -> ChunkMark {
        ChunkMark {
            chunk: ChunkId { table: T, no },
            range: Range { lo, hi },
            rows: Rows(1),
        }
    }

    fn upto(ranges: &LandedRanges) -> Option<Range> {
        let key = Key::normal([Value::Integer(1)], &[]);
        let mut suspects = ranges.suspects(vec![(T, key)]);
        suspects.pop().map(|(_, range, _)| range)
    }

    #[test]
    fn a_chunk_beyond_a_gap_does_not_count_until_the_gap_is_closed() {
        let mut ranges = LandedRanges::default();
        assert_eq!(upto(&ranges), None);
        ranges.add(&mark(1, bound(10), bound(20)));
        assert_eq!(upto(&ranges), None);
        let before = ranges.clone();
        ranges.add(&mark(0, None, bound(10)));
        assert_eq!(upto(&ranges).unwrap().hi, bound(20));
        assert_eq!(upto(&before), None, "a batch keeps what it began with");
        ranges.add(&mark(2, bound(20), None));
        assert_eq!(upto(&ranges), Some(Range::default()));
    }

    #[test]
    fn a_ledger_tells_how_far_an_earlier_engine_came() {
        let ledger = Ledger {
            token: Token(1),
            applied: Position::START,
            last: vec![(T, 4, bound(50))],
        };
        let mut ranges = LandedRanges::of(&ledger);
        assert_eq!(upto(&ranges).unwrap().hi, bound(50));
        ranges.add(&mark(5, bound(50), bound(60)));
        assert_eq!(upto(&ranges).unwrap().hi, bound(60));
    }
}
