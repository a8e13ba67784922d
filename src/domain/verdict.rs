//! What comparing said.

use super::key::Key;
use super::position::Position;
use super::unit::Rows;
use super::value::Value;
use serde::{Deserialize, Serialize};

/// Count and sum of row hashes of a range: order free, and no two equal rows cancel (a sum, never an exclusive or).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Digest {
    /// Rows in the range.
    pub rows: Rows,
    /// Wrapping sum of the rows' 128-bit hashes.
    pub sum: u128,
}

/// How a row differs at one logical position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftClass {
    /// On the source only.
    Missing,
    /// On the target only.
    Extra,
    /// On both, with other values.
    Changed,
}

impl DriftClass {
    /// The word on the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Changed => "differs",
        }
    }
}

/// One row that differs, with both images. Values stay out of the journal: only keys, classes and columns go there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDiff {
    /// Which row.
    pub key: Key,
    /// How.
    pub class: DriftClass,
    /// The row on the source, where it is there.
    pub source: Option<Vec<Value>>,
    /// The row on the target, where it is there.
    pub target: Option<Vec<Value>>,
    /// Places of the columns that differ, for `Changed`.
    pub columns: Vec<u16>,
}

/// How many rows differ, by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DriftCounts {
    /// On the source only.
    pub missing: u32,
    /// On the target only.
    pub extra: u32,
    /// On both, with other values.
    pub changed: u32,
}

impl DriftCounts {
    /// All of them.
    pub fn total(self) -> u32 {
        self.missing
            .saturating_add(self.extra)
            .saturating_add(self.changed)
    }
    /// One more of a class.
    pub fn add(&mut self, class: DriftClass) {
        let slot = match class {
            DriftClass::Missing => &mut self.missing,
            DriftClass::Extra => &mut self.extra,
            DriftClass::Changed => &mut self.changed,
        };
        *slot = slot.saturating_add(1);
    }
}

/// What comparing one chunk at a known position gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkVerdict {
    /// The target's applied position in the compared read: the verdict holds as of here.
    pub position: Position,
    /// Rows on the source.
    pub source_rows: Rows,
    /// Rows on the target.
    pub target_rows: Rows,
    /// Rows that could not be decided because the application changed them between both reads; they are looked at again.
    pub in_flight: u32,
    /// Confirmed differences.
    pub differ: DriftCounts,
    /// Columns in which rows differ, as places in `Table::columns`.
    pub columns: Vec<u16>,
}

impl ChunkVerdict {
    /// No confirmed difference.
    pub fn equal(&self) -> bool {
        self.differ.total() == 0
    }
}
