//! Places in a database's change stream.

use super::id::Nonce;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;

/// A place in a database's change stream: a PostgreSQL commit LSN, a binlog file and offset, a SQLite log sequence.
///
/// Only the adapter that made it knows what the bits say; everybody may compare two of *one* stream: an adapter encodes
/// so that greater means later. The text form is hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u128);

impl Position {
    /// Before everything in a stream.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}", self.0)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// The head of a transaction in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Where the transaction's end lies in the stream.
    pub position: Position,
    /// Its top-level transaction id, 64 bits wide, where the database's reads are told apart by it (PostgreSQL).
    pub xid: Option<u64>,
    /// Whether it is our own: its first write was the ledger's row. The other direction's lane drops it.
    pub own: bool,
}

/// What a read transaction contains of its own database's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// Everything up to and with this position, nothing after it (SQLite, MariaDB).
    UpTo(Position),
    /// PostgreSQL's snapshot: all below `xmin`, none from `xmax` on, between them all but those in `xip`.
    Pg {
        /// Every transaction below has ended.
        xmin: u64,
        /// No transaction from here on is seen.
        xmax: u64,
        /// In progress, so not seen.
        xip: Vec<u64>,
    },
}

impl Seen {
    /// Whether the read contains this transaction. A transaction without the id that the question needs counts as not
    /// seen: folding a change twice is harmless, missing it is not.
    pub fn sees(&self, head: &Head) -> bool {
        match self {
            Self::UpTo(position) => head.position <= *position,
            Self::Pg { .. } => head.xid.is_some_and(|xid| self.sees_xid(xid)),
        }
    }

    /// Whether a transaction is visible to the read. Only a snapshot that is told by ids hides any.
    pub fn sees_xid(&self, xid: u64) -> bool {
        match self {
            Self::UpTo(_) => true,
            Self::Pg { xmin, xmax, xip } => xid < *xmin || (xid < *xmax && !xip.contains(&xid)),
        }
    }
}

/// How to know that a stream has passed a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Barrier {
    /// When something at or after this position was delivered, or the stream said that it is idle there.
    At(Position),
    /// When the marker with this nonce was delivered.
    Marker(Nonce),
}
