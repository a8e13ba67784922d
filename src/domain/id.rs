//! Names of things. Each is a type of its own, so that one can't be passed where another is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A table of the plan: its index in `Plan::tables`. Stable for the life of a migration.
    TableId(u16)
}
id! {
    /// The number of a record in the journal, from 1, without gaps.
    Seq(u64)
}
id! {
    /// A command as its console numbered it; unique together with the console's session.
    CommandId(u64)
}
id! {
    /// One connection of a console to the engine. Never reused while the engine lives.
    SessionId(u64)
}
id! {
    /// An alert, by the order in which alerts were raised.
    AlertId(u32)
}
id! {
    /// A repair, by the order in which repairs were ordered.
    RepairId(u32)
}
id! {
    /// What a marker in the source's stream carries, so that it can be told from all others.
    Nonce(u64)
}
id! {
    /// The lease on the target's ledger. Whoever holds the newest token may write; an older one is refused by the target itself.
    Token(u64)
}

/// A chunk: the `no`-th range of a table in key order, from 0. Once landed it is never split or merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkId {
    /// The table the chunk belongs to.
    pub table: TableId,
    /// Its place in the table, in key order, from 0.
    pub no: u32,
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.no)
    }
}

/// The name of a migration: what a person types to arm something that can't be undone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MigrationName(String);

impl MigrationName {
    /// Accepts 1 to 64 of `a-z A-Z 0-9 - _ .`, not starting with a dot or dash: the name is also a folder's.
    pub fn new(name: impl Into<String>) -> Result<Self, String> {
        let name = name.into();
        let fits = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !name.starts_with(['.', '-']);
        if fits {
            Ok(Self(name))
        } else {
            Err(format!(
                "\"{name}\" can't name a migration: use 1 to 64 letters, digits, - _ . and start with a letter or digit"
            ))
        }
    }

    /// For two databases that are compared without being a migration: never shown, never stored.
    pub fn unnamed() -> Self {
        Self("unnamed".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MigrationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who did something: the login behind a console, the engine itself, or one of its rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The engine, of its own accord.
    Engine,
    /// A named rule of the plan, such as `max_lag`.
    Rule(String),
    /// A person, by the name of the uid at the other end of the control socket.
    Person {
        /// Identity: two consoles of one uid are one person.
        uid: u32,
        /// The label shown; never used to decide anything.
        name: String,
    },
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("engine"),
            Self::Rule(name) => write!(f, "rule {name}"),
            Self::Person { name, .. } => f.write_str(name),
        }
    }
}
