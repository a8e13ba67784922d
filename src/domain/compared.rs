//! What one full compare of two databases says, whether an engine runs between them or not.

use super::position::Position;
use super::unit::{Rows, Span};
use super::verdict::{DriftCounts, RowDiff};
use serde::{Deserialize, Serialize};

/// The one word for a compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Everything was compared, and it is the same.
    Equal,
    /// Some of it differs for certain.
    Differs,
    /// Some of it differs or was not compared, and nothing differs for certain.
    Unproven,
    /// Nothing was compared: that is no answer.
    Invalid,
}

impl Answer {
    /// The word in text and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Differs => "differs",
            Self::Unproven => "not proven",
            Self::Invalid => "invalid",
        }
    }
}

/// Two databases, compared once from end to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The one word.
    pub answer: Answer,
    /// The source, as people say it: `SQLite 3.46.0`.
    pub source: String,
    /// The target, likewise.
    pub target: String,
    /// The position of the source's stream that the target had applied; none for two databases that are no migration.
    pub position: Option<Position>,
    /// Whether neither side was written to while they were read, so that both reads are of one state.
    pub still: bool,
    /// The tables on both sides.
    pub tables: Vec<TableCompared>,
    /// Tables that only the source has.
    pub only_source: Vec<String>,
    /// Tables that only the target has.
    pub only_target: Vec<String>,
    /// Tables that the plan leaves out, with the reason.
    pub left_out: Vec<(String, String)>,
    /// How long it took.
    pub took: Span,
}

/// One table of a compare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableCompared {
    /// Its name on the source.
    pub source: String,
    /// Its name on the target.
    pub target: String,
    /// Rows counted on the source.
    pub source_rows: Rows,
    /// Rows counted on the target.
    pub target_rows: Rows,
    /// Chunks the table was cut into.
    pub chunks: u32,
    /// Chunks compared.
    pub compared: u32,
    /// Rows that differ for certain.
    pub differ: DriftCounts,
    /// Rows that differ, while it can't be told whether one side was only read earlier.
    pub unproven: DriftCounts,
    /// Rows that differed and, read again, did not any more; or that the stream has still to bring.
    pub in_flight: u64,
    /// Names of the columns in which rows differ.
    pub columns: Vec<String>,
    /// Columns of the source that the target's table lacks.
    pub missing_columns: Vec<String>,
    /// The first rows that differ, with values. Columns are as in `shown`.
    pub rows: Vec<RowDiff>,
    /// The compared columns: name, and whether its values are masked.
    pub shown: Vec<(String, bool)>,
    /// Names of the key's columns; empty where the table has no key and is compared as a whole.
    pub key: Vec<String>,
    /// Why it was not compared, or not to the row; empty where it was.
    pub note: String,
}

impl TableCompared {
    /// Whether it differs for certain.
    pub fn differs(&self) -> bool {
        self.differ.total() > 0 || !self.missing_columns.is_empty()
    }
    /// Whether all of it was compared, and nothing is left open.
    pub fn settled(&self) -> bool {
        self.compared == self.chunks && self.chunks > 0 && self.unproven.total() == 0
    }
}

impl Compared {
    /// The one word, from what was found: a pass over nothing is no pass.
    pub fn conclude(&self) -> Answer {
        let rows: Rows = self
            .tables
            .iter()
            .map(|table| table.source_rows + table.target_rows)
            .sum();
        // Without a position, what was in flight was read again and found equal; with one, it is still to come.
        let flying = self.position.is_some() && self.tables.iter().any(|table| table.in_flight > 0);
        let nothing = rows == Rows::ZERO || self.tables.iter().all(|table| table.compared == 0);
        if self.tables.iter().any(TableCompared::differs)
            || !self.only_source.is_empty()
            || !self.only_target.is_empty()
        {
            Answer::Differs
        } else if nothing {
            Answer::Invalid
        } else if self.tables.iter().all(TableCompared::settled) && !flying {
            Answer::Equal
        } else {
            Answer::Unproven
        }
    }
}
