//! What is known of every chunk, in twelve bytes each and half a byte for sums: a million chunks are ordinary.

use crate::domain::unit::{Rows, Span, Tick};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Range;

/// How far a chunk is. Only landed chunks have a cell; what is not copied yet has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ChunkState {
    /// Compared and equal.
    Equal = 0,
    /// Copied, not compared yet.
    Landed = 1,
    /// Repaired, not compared again yet.
    Repaired = 2,
    /// Compared, and rows differ.
    Differs = 3,
}

impl ChunkState {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Equal, Self::Landed, Self::Repaired, Self::Differs]
            .into_iter()
            .find(|s| *s as u8 == byte)
    }
}

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    rows: u32,
    /// Seconds of the migration's clock at the last compare, plus one; 0: never compared.
    checked: u32,
    differ: u16,
    state: ChunkState,
    attempts: u8,
}

impl Cell {
    const BYTES: usize = 12;

    /// Rows in it, when it was last counted (copy or compare).
    pub fn rows(&self) -> Rows {
        Rows(u64::from(self.rows))
    }
    /// How far it is.
    pub fn state(&self) -> ChunkState {
        self.state
    }
    /// Rows known to differ (65,535 means at least so many).
    pub fn differ(&self) -> u32 {
        u32::from(self.differ)
    }
    /// How often it was landed.
    pub fn attempts(&self) -> u8 {
        self.attempts
    }
    /// Age of its last compare; none when it was never compared.
    pub fn age(&self, now: Tick) -> Option<Span> {
        age(self.checked, now)
    }

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[0..4].copy_from_slice(&self.rows.to_le_bytes());
        out[4..8].copy_from_slice(&self.checked.to_le_bytes());
        out[8..10].copy_from_slice(&self.differ.to_le_bytes());
        out[10] = self.state as u8;
        out[11] = self.attempts;
        out
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            rows: u32::from_le_bytes(bytes.get(0..4)?.try_into().ok()?),
            checked: u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?),
            differ: u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?),
            state: ChunkState::from_byte(*bytes.get(10)?)?,
            attempts: *bytes.get(11)?,
        })
    }
}

/// What some chunks come to when one has to stand for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worst {
    /// The worst state among them; none where there are none.
    pub state: Option<ChunkState>,
    /// Rows that differ in all of them.
    pub differ: u64,
    /// Age of the compare that is longest ago; none when one of them was never compared, or there are none.
    pub oldest: Option<Span>,
}

/// Chunks in a block. Fewer would cost memory, more would cost looking at the ends of what a screen sums up.
const BLOCK: usize = 32;

/// What a block of neighbouring chunks comes to, kept as they change: a frame looks at some thirty thousand of these instead
/// of a million chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    /// Rows that differ.
    differ: u32,
    /// The least `checked`: 0 where a chunk was never compared.
    checked: u32,
    /// The least `checked` of those that were compared; `u32::MAX` where none was.
    compared: u32,
    /// The worst state.
    state: ChunkState,
}

impl Block {
    /// Of no chunk at all.
    const NONE: Self = Self {
        differ: 0,
        checked: u32::MAX,
        compared: u32::MAX,
        state: ChunkState::Equal,
    };

    fn of(cells: &[Cell]) -> Self {
        let mut block = Self::NONE;
        for cell in cells {
            block.differ += u32::from(cell.differ);
            block.checked = block.checked.min(cell.checked);
            block.state = block.state.max(cell.state);
            if cell.checked > 0 {
                block.compared = block.compared.min(cell.checked);
            }
        }
        block
    }
}

/// How long ago a `checked` was.
fn age(checked: u32, now: Tick) -> Option<Span> {
    let second = checked.checked_sub(1)?;
    Some(now.since(Tick(Span::seconds(u64::from(second)).0)))
}

/// Sums over a table's chunks, kept as they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Rows in landed chunks.
    pub landed_rows: Rows,
    /// Rows in chunks whose last compare found them equal.
    pub equal_rows: Rows,
    /// Chunks in which rows differ.
    pub differing_chunks: u32,
    /// Rows that differ.
    pub differing_rows: u64,
    /// Chunks landed or repaired and not compared since.
    pub unchecked_chunks: u32,
    /// Rows in them.
    pub unchecked_rows: Rows,
    /// Chunks equal at their last compare.
    pub equal_chunks: u32,
}

/// The landed chunks of one table, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunks {
    cells: Vec<Cell>,
    /// One for each [`BLOCK`] cells.
    blocks: Vec<Block>,
    tally: Tally,
}

impl Chunks {
    /// How many have landed.
    pub fn len(&self) -> u32 {
        u32::try_from(self.cells.len()).unwrap_or(u32::MAX)
    }
    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
    /// One of them.
    pub fn get(&self, no: u32) -> Option<&Cell> {
        self.cells.get(no as usize)
    }
    /// All of them in key order.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }
    /// Sums.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The worst of a stretch of them, as far as they have landed. Looked at for every cell of every frame.
    pub fn worst(&self, range: Range<u32>, now: Tick) -> Worst {
        let to = (range.end as usize).min(self.cells.len());
        let mut from = (range.start as usize).min(to);
        let (mut state, mut differ, mut checked) = (None, 0, u32::MAX);
        while from < to {
            let end = (from / BLOCK + 1) * BLOCK;
            let whole = from.is_multiple_of(BLOCK) && end <= to;
            let block = match self.blocks.get(from / BLOCK) {
                Some(block) if whole => *block,
                _ => Block::of(&self.cells[from..end.min(to)]),
            };
            state = state.max(Some(block.state));
            differ += u64::from(block.differ);
            checked = checked.min(block.checked);
            from = end;
        }
        Worst {
            state,
            differ,
            oldest: state.and_then(|_| age(checked, now)),
        }
    }

    /// Age of the compare that is longest ago; none when a landed chunk was never compared, or there are none.
    pub fn oldest_check(&self, now: Tick) -> Option<Span> {
        age(self.blocks.iter().map(|b| b.checked).min()?, now)
    }

    /// Age of the compare that is longest ago among the chunks that were compared; none when none ever was.
    pub fn oldest_compare(&self, now: Tick) -> Option<Span> {
        let oldest = self.blocks.iter().map(|b| b.compared).min()?;
        (oldest != u32::MAX).then(|| age(oldest, now)).flatten()
    }

    /// A chunk landed, the first time or again. Numbers come in order; a gap is refused.
    pub(super) fn land(&mut self, no: u32, rows: Rows, attempt: u8) -> bool {
        let cell = Cell {
            rows: clamp(rows),
            checked: 0,
            differ: 0,
            state: ChunkState::Landed,
            attempts: attempt,
        };
        let index = no as usize;
        if index == self.cells.len() {
            self.cells.push(cell);
            self.count(cell, 1);
            self.sum(index / BLOCK);
            true
        } else {
            self.replace(no, |old| *old = cell)
        }
    }

    /// A chunk was compared.
    pub(super) fn check(&mut self, no: u32, rows: Rows, differ: u32, at: Tick) -> bool {
        self.replace(no, |cell| {
            cell.rows = clamp(rows);
            cell.checked = u32::try_from(at.0 / 1_000_000).unwrap_or(u32::MAX - 1) + 1;
            cell.differ = u16::try_from(differ).unwrap_or(u16::MAX);
            cell.state = if differ == 0 {
                ChunkState::Equal
            } else {
                ChunkState::Differs
            };
        })
    }

    /// A chunk was repaired: what differed is mended, and it waits to be compared again.
    pub(super) fn repaired(&mut self, no: u32) -> bool {
        self.replace(no, |cell| {
            cell.state = ChunkState::Repaired;
            cell.differ = 0;
        })
    }

    fn replace(&mut self, no: u32, change: impl FnOnce(&mut Cell)) -> bool {
        let Some(cell) = self.cells.get_mut(no as usize) else {
            return false;
        };
        let before = *cell;
        change(cell);
        let after = *cell;
        self.count(before, -1);
        self.count(after, 1);
        self.sum(no as usize / BLOCK);
        true
    }

    /// Sums a block up again: one of its cells is new or has changed.
    fn sum(&mut self, index: usize) {
        let from = index * BLOCK;
        let to = (from + BLOCK).min(self.cells.len());
        let block = Block::of(&self.cells[from..to]);
        match self.blocks.get_mut(index) {
            Some(old) => *old = block,
            None => self.blocks.push(block),
        }
    }

    fn count(&mut self, cell: Cell, sign: i64) {
        let tally = &mut self.tally;
        let rows =
            |sum: &mut Rows, n: u64| *sum = Rows(sum.0.saturating_add_signed(sign * n as i64));
        let number = |sum: &mut u32| *sum = sum.saturating_add_signed(sign as i32);
        rows(&mut tally.landed_rows, u64::from(cell.rows));
        tally.differing_rows = tally
            .differing_rows
            .saturating_add_signed(sign * i64::from(cell.differ));
        match cell.state {
            ChunkState::Equal => {
                rows(&mut tally.equal_rows, u64::from(cell.rows));
                number(&mut tally.equal_chunks);
            }
            ChunkState::Landed | ChunkState::Repaired => {
                rows(&mut tally.unchecked_rows, u64::from(cell.rows));
                number(&mut tally.unchecked_chunks);
            }
            ChunkState::Differs => number(&mut tally.differing_chunks),
        }
    }
}

fn clamp(rows: Rows) -> u32 {
    u32::try_from(rows.0).unwrap_or(u32::MAX)
}

/// Packed as base64, so that a snapshot of a million chunks is one string, not a million objects.
impl Serialize for Chunks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.cells.len() * Cell::BYTES);
        for cell in &self.cells {
            bytes.extend_from_slice(&cell.to_bytes());
        }
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Chunks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
        let mut chunks = Self {
            cells: Vec::with_capacity(bytes.len() / Cell::BYTES),
            ..Self::default()
        };
        for packed in bytes.chunks(Cell::BYTES) {
            let cell = Cell::from_bytes(packed)
                .ok_or_else(|| D::Error::custom("a chunk's cell is damaged"))?;
            chunks.cells.push(cell);
            chunks.count(cell, 1);
        }
        chunks.blocks = chunks.cells.chunks(BLOCK).map(Block::of).collect();
        Ok(chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_at_most_sixteen_bytes() {
        assert!(size_of::<Cell>() <= 16);
    }

    #[test]
    fn the_tally_follows_every_change() {
        let mut chunks = Chunks::default();
        assert!(chunks.land(0, Rows(10), 1));
        assert!(chunks.land(1, Rows(20), 1));
        assert!(!chunks.land(3, Rows(5), 1), "a gap is refused");
        assert!(chunks.check(0, Rows(10), 0, Tick(5_000_000)));
        assert!(chunks.check(1, Rows(19), 3, Tick(9_000_000)));
        assert_eq!(chunks.tally().landed_rows, Rows(29));
        assert_eq!(chunks.tally().equal_rows, Rows(10));
        assert_eq!(chunks.tally().differing_rows, 3);
        assert_eq!(
            chunks.oldest_check(Tick(10_000_000)),
            Some(Span::seconds(5))
        );
        assert!(chunks.repaired(1));
        assert!(chunks.land(2, Rows(1), 1));
        assert_eq!(chunks.oldest_check(Tick(10_000_000)), None);
        let all = chunks.worst(0..3, Tick(10_000_000));
        assert_eq!(
            (all.state, all.differ, all.oldest),
            (Some(ChunkState::Repaired), 0, None)
        );
        let first = chunks.worst(0..1, Tick(10_000_000));
        assert_eq!(first.oldest, Some(Span::seconds(5)));
        assert_eq!(chunks.worst(3..9, Tick(10_000_000)).state, None);
        assert_eq!(
            chunks.oldest_compare(Tick(10_000_000)),
            Some(Span::seconds(5))
        );
        assert_eq!(
            (
                chunks.tally().differing_chunks,
                chunks.tally().unchecked_chunks
            ),
            (0, 2)
        );
        let text = serde_json::to_string(&chunks).unwrap();
        assert_eq!(serde_json::from_str::<Chunks>(&text).unwrap(), chunks);
    }

    /// What the blocks say is what a look at every chunk says, wherever a stretch begins and ends.
    #[test]
    fn a_stretch_is_summed_up_as_its_chunks_are() {
        let mut chunks = Chunks::default();
        let mut random = fastrand::Rng::with_seed(11);
        let now = Tick(Span::seconds(1_000).0);
        for no in 0..500 {
            assert!(chunks.land(no, Rows(10), 1));
        }
        for round in 0..2_000 {
            let no = random.u32(0..500);
            let differ = random.u32(0..20).saturating_sub(15);
            assert!(match random.u8(0..8) {
                0 => chunks.land(no, Rows(10), 2),
                1 => chunks.repaired(no),
                _ => chunks.check(no, Rows(10), differ, Tick(Span::seconds(round / 4).0)),
            });
            let from = random.u32(0..520);
            let range = from..random.u32(from..=520);
            let (start, end) = (range.start as usize, (range.end as usize).min(500));
            let cells = chunks.cells().get(start..end).unwrap_or(&[]);
            let ages: Option<Vec<Span>> = cells.iter().map(|c| c.age(now)).collect();
            let plain = Worst {
                state: cells.iter().map(Cell::state).max(),
                differ: cells.iter().map(|c| u64::from(c.differ())).sum(),
                oldest: ages.and_then(|ages| ages.into_iter().max()),
            };
            assert_eq!(chunks.worst(range.clone(), now), plain, "{range:?}");
            let ages = || chunks.cells().iter().map(|c| c.age(now));
            assert_eq!(chunks.oldest_compare(now), ages().flatten().max());
            let all: Option<Vec<Span>> = ages().collect();
            assert_eq!(
                chunks.oldest_check(now),
                all.and_then(|all| all.into_iter().max())
            );
        }
        let text = serde_json::to_string(&chunks).unwrap();
        assert_eq!(serde_json::from_str::<Chunks>(&text).unwrap(), chunks);
    }
}
