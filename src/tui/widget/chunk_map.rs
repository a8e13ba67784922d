//! All chunks of a table on a few hundred cells: the worst state of a cell's chunks is the cell's, so one bad chunk in a
//! thousand still shows.

use crate::domain::unit::{Rows, Span, Tick};
use crate::state::chunks::{ChunkState, Chunks};
use crate::tui::grid::Grid;
use std::ops::Range;

/// What a chunk is, in order, worst last. What is not copied is worse than what is copied: a cell is never greener than
/// its greyest chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shade {
    /// Compared and equal.
    Equal,
    /// Copied, not compared.
    Landed,
    /// Not copied.
    Pending,
    /// Being copied now.
    Copying,
    /// Repaired, not compared again.
    Repaired,
    /// Rows differ.
    Differs,
}

impl From<ChunkState> for Shade {
    fn from(state: ChunkState) -> Self {
        match state {
            ChunkState::Equal => Self::Equal,
            ChunkState::Landed => Self::Landed,
            ChunkState::Repaired => Self::Repaired,
            ChunkState::Differs => Self::Differs,
        }
    }
}

/// What one cell of the map stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixel {
    /// Its worst state.
    pub shade: Shade,
    /// Rows that differ in it.
    pub differ: u32,
    /// Age of the compare that is longest ago; none where a chunk of it was never compared.
    pub age: Option<Span>,
}

/// The cells of a map, in order. `copying` are the chunks under way, by number.
pub fn pixels(chunks: &Chunks, copying: &[u32], grid: &Grid, now: Tick) -> Vec<Pixel> {
    let end = grid.first.saturating_add(grid.count);
    (0..grid.cells())
        .map(|cell| {
            let from = grid
                .first
                .saturating_add(cell.saturating_mul(grid.per_cell));
            let to = from.saturating_add(grid.per_cell).min(end);
            pixel(chunks, copying, from..to, now)
        })
        .collect()
}

fn pixel(chunks: &Chunks, copying: &[u32], range: Range<u32>, now: Tick) -> Pixel {
    let landed = chunks.worst(range.clone(), now);
    let whole = range.end <= chunks.len();
    let mut shade = landed.state.map_or(Shade::Pending, Shade::from);
    if !whole {
        shade = shade.max(Shade::Pending);
    }
    if copying.iter().any(|no| range.contains(no)) {
        shade = shade.max(Shade::Copying);
    }
    Pixel {
        shade,
        differ: u32::try_from(landed.differ).unwrap_or(u32::MAX),
        age: landed.oldest.filter(|_| whole),
    }
}

/// What is known of a stretch of chunks, for the lines below the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretch {
    /// Chunks in it.
    pub chunks: u32,
    /// Of them copied.
    pub landed: u32,
    /// Of them compared since they were last written by us.
    pub checked: u32,
    /// Of them with rows that differ.
    pub differing: u32,
    /// Rows in the copied ones.
    pub rows: Rows,
    /// Rows that differ.
    pub differ: u64,
    /// The most landings of one chunk.
    pub attempts: u8,
    /// Age of the oldest compare; none where a chunk was never compared.
    pub oldest: Option<Span>,
}

/// Sums a stretch of chunks up.
pub fn stretch(chunks: &Chunks, range: Range<u32>, now: Tick) -> Stretch {
    let all = chunks.cells();
    let from = (range.start as usize).min(all.len());
    let to = (range.end as usize).min(all.len()).max(from);
    let mut sum = Stretch {
        chunks: range.end.saturating_sub(range.start),
        landed: (to - from) as u32,
        oldest: (to > from).then_some(Span::ZERO),
        ..Stretch::default()
    };
    for cell in &all[from..to] {
        sum.checked += u32::from(matches!(
            cell.state(),
            ChunkState::Equal | ChunkState::Differs
        ));
        sum.differing += u32::from(cell.state() == ChunkState::Differs);
        sum.rows += cell.rows();
        sum.differ += u64::from(cell.differ());
        sum.attempts = sum.attempts.max(cell.attempts());
        sum.oldest = match (sum.oldest, cell.age(now)) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
    }
    sum
}
