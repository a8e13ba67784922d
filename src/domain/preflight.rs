//! What `check` says about a plan before anything is made.

use super::finding::{Finding, Object, Stage};
use super::plan::{EndPlan, Environment};
use super::unit::{Bytes, Rows, RowsPerSecond, Span};
use serde::{Deserialize, Serialize};

/// Preflight of one plan, by stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// The migration.
    pub name: String,
    /// Where it runs.
    pub environment: Environment,
    /// The source as it was found.
    pub source: EndFound,
    /// The target, likewise.
    pub target: EndFound,
    /// What can be done at once, in words.
    pub possible: Vec<String>,
    /// What was found, in the order of stages.
    pub findings: Vec<Finding>,
    /// Time and space.
    pub estimate: Estimate,
    /// Everything of ours that would be made.
    pub creates: Vec<Object>,
    /// What would be made for the application on the target: tables before the copy, the rest after it.
    pub builds: Vec<Build>,
    /// What types become on a target of another kind; empty where both are of one kind.
    #[serde(default)]
    pub mapping: Vec<MappedTable>,
    /// The data, where it was asked for.
    pub profile: Vec<TableProfile>,
}

impl Preflight {
    /// The findings of one stage.
    pub fn of(&self, stage: Stage) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.stage == stage)
    }
    /// Whether a live copy may start.
    pub fn may_copy(&self) -> bool {
        self.of(Stage::BlocksCopy).next().is_none()
    }
}

/// One end as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndFound {
    /// Where it is, without secrets.
    pub end: EndPlan,
    /// The engine with its version.
    pub version: String,
    /// Its tables.
    pub tables: u32,
    /// Their rows.
    pub rows: Rows,
    /// Whether those were counted, not estimated.
    pub exact: bool,
    /// Bytes it takes.
    pub bytes: Bytes,
    /// Facts worth showing.
    pub properties: Vec<(String, String)>,
}

/// One statement that makes something of the application's on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// `table`, `index`, `view`, `trigger`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// Whether it is built after the copy.
    pub after_copy: bool,
}

/// One table's types, here and there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedTable {
    /// Its name on the source.
    pub source: String,
    /// Its name on the target.
    pub target: String,
    /// Each copied column: its name, its type on the source, its type on the target.
    pub columns: Vec<(String, String, String)>,
}

/// Time and space, as far as a short measurement tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// Rows to copy.
    pub rows: Rows,
    /// Whether those were counted, not estimated.
    pub exact: bool,
    /// Tables to copy.
    pub tables: u32,
    /// The slower and the faster speed the range is made of; none where nothing could be measured.
    pub rate: Option<(RowsPerSecond, RowsPerSecond)>,
    /// The time the copy takes, from and to.
    pub copy: Option<(Span, Span)>,
    /// What the speeds rest on, in words.
    pub basis: String,
    /// Bytes the target is going to need.
    pub target_needs: Bytes,
    /// Bytes that are free where it lies.
    pub target_free: Option<Bytes>,
    /// Bytes that our log on the source takes for each change that waits; none where the database writes its log anyway.
    pub log_per_change: Option<Bytes>,
    /// Bytes that are free where the source lies.
    pub source_free: Option<Bytes>,
}

/// What one table holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProfile {
    /// Its name on the source.
    pub table: String,
    /// Rows counted.
    pub rows: Rows,
    /// How much of its range of numbers a whole-number key has used, in words; empty where it is no such key.
    pub headroom: String,
    /// Its columns.
    pub columns: Vec<ColumnProfile>,
}

/// What one column holds: counts and lengths, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its declared type.
    pub declared: String,
    /// How many values are of each storage class: those that occur, most frequent first.
    pub classes: Vec<(String, Rows)>,
    /// The longest text or blob, in bytes; none where there is none.
    pub longest: Option<Bytes>,
    /// What is odd about it, in words; empty where nothing is.
    pub odd: String,
}
