//! What an end has beside its tables and their rows.

use std::collections::{BTreeMap, BTreeSet};

/// What a target has of what is not carried over to it: who may do what, to whom things belong, which rows a role sees, how roles
/// and the database are set. In the words of its engine, for a source of the same engine.
///
/// It can't be printed: a setting may be a secret.
pub struct Beside {
    /// The database's name, as a statement has it.
    pub database: String,
    /// Roles that the server knows, as a statement has them.
    pub roles: BTreeSet<String>,
    /// Rights that its version knows.
    pub rights: BTreeSet<String>,
    /// Sequences that were made with a column, by table and column.
    pub sequences: BTreeMap<(String, String), String>,
    /// What is so there, each thing as the one statement that would make it so. A right is a statement of its own.
    pub made: BTreeSet<String>,
}
