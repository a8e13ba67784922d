//! How far one table is.

use super::chunks::Chunks;
use crate::domain::unit::{Bytes, Rows, Tick};
use serde::{Deserialize, Serialize};

/// One table of the plan, as far as events tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableState {
    /// Rows of the source when it was sized; the copy may find more.
    pub estimate: Rows,
    /// Whether they were counted.
    pub exact: bool,
    /// Its landed chunks.
    pub chunks: Chunks,
    /// Bytes landed.
    pub bytes: Bytes,
    /// Its last chunk has landed.
    pub complete: bool,
    /// When the first chunk landed.
    pub began: Option<Tick>,
    /// Rows that were landed more than once: after a crash, the chunks in flight.
    pub again: u32,
}

impl TableState {
    /// Rows it has, by the best knowledge: never fewer than have landed.
    pub fn rows(&self) -> Rows {
        let landed = self.chunks.tally().landed_rows;
        if self.complete {
            landed
        } else {
            self.estimate.max(landed)
        }
    }
    /// Rows left to copy.
    pub fn left(&self) -> Rows {
        self.rows() - self.chunks.tally().landed_rows
    }
    /// The copied part of its rows, 0 to 1. Below 1 until the last chunk has landed: an estimate never says done.
    pub fn copied(&self) -> f64 {
        if self.complete {
            return 1.0;
        }
        let rows = self.rows().0;
        if rows == 0 {
            return 0.0;
        }
        (self.chunks.tally().landed_rows.0 as f64 / rows as f64).min(0.999)
    }
    /// Chunks it will have, as far as one can tell: landed ones, and what is left at their mean size.
    pub fn expected_chunks(&self) -> u32 {
        let landed = self.chunks.len();
        if self.complete {
            return landed;
        }
        let mean = (self.chunks.tally().landed_rows.0 / u64::from(landed.max(1))).max(1);
        let mean = if landed == 0 { 10_000 } else { mean };
        landed
            .saturating_add(u32::try_from(self.left().0.div_ceil(mean)).unwrap_or(u32::MAX))
            .max(1)
    }
    /// Rows that no compare covers: not copied yet, or landed or repaired since.
    pub fn uncovered(&self) -> Rows {
        self.left() + self.chunks.tally().unchecked_rows
    }
}
