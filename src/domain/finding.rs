//! What preflight found.

use super::plan::Side;
use serde::{Deserialize, Serialize};

/// What a finding stands in the way of, in the order in which `check` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A live copy can't start.
    BlocksCopy,
    /// Writes can't be moved; copying can start.
    BlocksCutover,
    /// Nothing is blocked, but an operator wants to know it before.
    KnowBefore,
}

/// One thing preflight found, with evidence and the way on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code for `tidegate explain`.
    pub code: String,
    /// What it stands in the way of.
    pub stage: Stage,
    /// On which side; none where it is about both.
    pub side: Option<Side>,
    /// The table it is about.
    pub table: Option<String>,
    /// One plain sentence.
    pub what: String,
    /// What was seen.
    pub evidence: String,
    /// What to do, in words.
    pub remedy: String,
    /// SQL for whoever may run it; empty where there is none.
    pub sql: Vec<String>,
}

/// Something tidegate will make in a database, listed before it is made and proven gone afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Object {
    /// On which side.
    pub side: Side,
    /// `table`, `trigger`, `index` …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The exact statement.
    pub sql: String,
}
