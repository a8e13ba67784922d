//! What is known of every chunk, in twelve bytes each: a million chunks are ordinary.

use crate::domain::unit::{Rows, Span, Tick};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let second = self.checked.checked_sub(1)?;
        Some(now.since(Tick(Span::seconds(u64::from(second)).0)))
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

/// The worst of some chunks. Looked at for every cell of every frame, so without a branch a chunk.
pub fn worst(cells: &[Cell], now: Tick) -> Worst {
    let (mut state, mut differ, mut checked) = (0u8, 0u64, u32::MAX);
    for cell in cells {
        state = state.max(cell.state as u8);
        differ += u64::from(cell.differ);
        checked = checked.min(cell.checked);
    }
    let second = (!cells.is_empty())
        .then_some(checked)
        .and_then(|c| c.checked_sub(1));
    Worst {
        state: (!cells.is_empty())
            .then(|| ChunkState::from_byte(state))
            .flatten(),
        differ,
        oldest: second.map(|s| now.since(Tick(Span::seconds(u64::from(s)).0))),
    }
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
    /// Age of the compare that is longest ago; none when a landed chunk was never compared, or there are none.
    pub fn oldest_check(&self, now: Tick) -> Option<Span> {
        let oldest = self.cells.iter().map(|c| c.checked).min()?;
        let second = oldest.checked_sub(1)?;
        Some(now.since(Tick(Span::seconds(u64::from(second)).0)))
    }

    /// Age of the compare that is longest ago among the chunks that were compared; none when none ever was.
    pub fn oldest_compare(&self, now: Tick) -> Option<Span> {
        // Never compared is zero, which wraps to the largest.
        let oldest = self.cells.iter().map(|c| c.checked.wrapping_sub(1)).min()?;
        (oldest != u32::MAX).then(|| now.since(Tick(Span::seconds(u64::from(oldest)).0)))
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
        true
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
            tally: Tally::default(),
        };
        for packed in bytes.chunks(Cell::BYTES) {
            let cell = Cell::from_bytes(packed)
                .ok_or_else(|| D::Error::custom("a chunk's cell is damaged"))?;
            chunks.cells.push(cell);
            chunks.count(cell, 1);
        }
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
        let all = worst(chunks.cells(), Tick(10_000_000));
        assert_eq!(
            (all.state, all.differ, all.oldest),
            (Some(ChunkState::Repaired), 0, None)
        );
        let first = worst(&chunks.cells()[..1], Tick(10_000_000));
        assert_eq!(first.oldest, Some(Span::seconds(5)));
        assert_eq!(worst(&[], Tick(0)).state, None);
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
}
