//! Who is attached, and who leads.

use crate::domain::command::Role;
use crate::domain::id::{SessionId, Who};
use crate::domain::unit::Tick;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A console that is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Who.
    pub who: Who,
    /// As what.
    pub role: Role,
    /// Its terminal.
    pub from: String,
    /// Since when.
    pub since: Tick,
}

/// Everybody who is attached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct People {
    /// By connection.
    pub present: BTreeMap<SessionId, Present>,
    /// The connection that leads.
    pub lead: Option<SessionId>,
}

impl People {
    /// The one who leads.
    pub fn leader(&self) -> Option<&Present> {
        self.lead.and_then(|id| self.present.get(&id))
    }
    /// Names for the header, the lead first, each once, observers marked by the second part.
    pub fn names(&self) -> Vec<(String, Role)> {
        let mut names: Vec<(String, Role)> = Vec::new();
        let leading = self.leader().into_iter();
        for present in leading.chain(self.present.values()) {
            let name = present.who.to_string();
            if !names.iter().any(|(n, r)| *n == name && *r == present.role) {
                names.push((name, present.role));
            }
        }
        names
    }
}
