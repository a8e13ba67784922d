//! The hash chain: each record's hash covers its content, its place and the hash before it.
//!
//! What it shows: a record that was edited, moved, taken out or put in by somebody who did not hash everything after it
//! again. What it can't show alone: a tail that was cut off, or a chain that was hashed again from some record on. For these
//! a hash must be kept where the journal's writer can't reach it: an [`Anchor`], in the target's ledger or on paper.

use super::record::Record;
use super::{schema, trouble};
use crate::domain::fault::Result;
use crate::domain::id::Seq;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Separates these hashes from all other uses of BLAKE3 (its key derivation mode).
const CONTEXT: &str = "tidegate 2026 journal record v1";

/// The hash of one record and, through it, of all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub(super) [u8; 32]);

impl Hash {
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from_bytes(self.0).to_hex().fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| format!("\"{text}\" is not a hash: it has 64 hexadecimal digits"))
    }
}

impl TryFrom<String> for Hash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A place in the chain with its hash: the journal's head, or what somebody noted of it. Text form `SEQ:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Anchor {
    /// Which record; 0 before the first.
    pub seq: Seq,
    /// Its hash; zeros before the first.
    pub hash: Hash,
}

impl Anchor {
    /// Before the first record.
    pub const START: Self = Self {
        seq: Seq(0),
        hash: Hash([0; 32]),
    };
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Anchor {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (seq, hash) = text
            .split_once(':')
            .ok_or_else(|| format!("\"{text}\" is not an anchor: write SEQ:HASH"))?;
        let seq = seq
            .parse()
            .map_err(|_| format!("\"{seq}\" is not the number of a record"))?;
        Ok(Self {
            seq: Seq(seq),
            hash: hash.parse()?,
        })
    }
}

/// The hash of a record at a place, after the record with hash `prev`.
pub(super) fn seal(prev: &Hash, seq: u64, record: &Record) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&seq.to_le_bytes());
    hasher.update(&prev.0);
    hasher.update(&record.at.to_le_bytes());
    hasher.update(&record.tick.to_le_bytes());
    match record.cause {
        None => hasher.update(&[0]),
        Some((session, command)) => {
            hasher.update(&[1]);
            hasher.update(&session.to_le_bytes());
            hasher.update(&command.to_le_bytes())
        }
    };
    hasher.update(record.body.as_bytes());
    Hash(*hasher.finalize().as_bytes())
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Records read.
    pub records: u64,
    /// The last record that the chain reaches whole: note it as an anchor for the next audit.
    pub head: Anchor,
    /// Whether the chain holds.
    pub verdict: Verdict,
}

/// Whether a chain holds, and if not, where it first breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every record follows from the one before, and the anchor's hash is among them.
    Intact {
        /// Up to here nothing can have been changed since the anchor was noted.
        anchored: Seq,
    },
    /// Every record follows from the one before, but nothing outside the file vouches for it: whoever can write the file
    /// could have hashed it again.
    NotAnchored,
    /// There is no record at all.
    Empty,
    /// This record's content is not what was hashed.
    Altered {
        /// Which.
        seq: Seq,
    },
    /// At this place lies a record that is whole, but does not follow from the one before: something before it was
    /// replaced, or it was put in.
    Severed {
        /// Which.
        seq: Seq,
    },
    /// The record that belongs to this place lies elsewhere.
    Moved {
        /// Where it belongs.
        seq: Seq,
        /// Where it lies.
        found: Seq,
    },
    /// These records are not there, though later ones are.
    Missing {
        /// The first.
        first: Seq,
        /// The last.
        last: Seq,
    },
    /// The chain ends before the anchor: its end was cut off.
    TailMissing {
        /// The first that is gone.
        first: Seq,
        /// The anchor's record, at least up to which it went.
        last: Seq,
    },
    /// The chain is whole, but not the one that the anchor was taken from: it was written again.
    Rewritten {
        /// The anchor's record.
        seq: Seq,
    },
}

impl Verdict {
    /// Whether nothing contradicts the record. [`Verdict::NotAnchored`] passes, and says so itself.
    pub fn holds(&self) -> bool {
        matches!(self, Self::Intact { .. } | Self::NotAnchored)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intact { anchored } => {
                write!(f, "intact; record {anchored} is the one that was noted")
            }
            Self::NotAnchored => f.write_str(
                "intact in itself, not anchored: no hash noted elsewhere vouches for it",
            ),
            Self::Empty => f.write_str("there is no record"),
            Self::Altered { seq } => write!(f, "record {seq} was altered"),
            Self::Severed { seq } => write!(
                f,
                "record {seq} does not follow from the one before: that one was replaced, or this one put in"
            ),
            Self::Moved { seq, found } => {
                write!(f, "the record that belongs at {seq} lies at {found}")
            }
            Self::Missing { first, last } if first == last => {
                write!(f, "record {first} is missing")
            }
            Self::Missing { first, last } => write!(f, "records {first} to {last} are missing"),
            Self::TailMissing { first, last } => write!(
                f,
                "the end is missing: records {first} to {last} were there when the anchor was noted"
            ),
            Self::Rewritten { seq } => write!(
                f,
                "written again: record {seq} has another hash than the one that was noted"
            ),
        }
    }
}

/// Reads the whole journal at `path` and checks its chain; against `anchor` where there is one. Reads a consistent state,
/// also while an engine writes; holds one record at a time. Fails where the file can't be read at all.
pub async fn audit(path: &Path, anchor: Option<Anchor>) -> Result<AuditReport> {
    let mut conn = schema::connect_reader(path).await?;
    let unreadable = |e| trouble::reading(path, &e);
    let mut walk = Walk::new(anchor);
    let mut broken = None;
    {
        let mut rows = Record::stream_all(&mut conn);
        while let Some((seq, prev, hash, record)) = rows.try_next().await.map_err(unreadable)? {
            broken = walk.step(seq, &prev, &hash, &record);
            if broken.is_some() {
                break;
            }
        }
    }
    let records = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM record")
        .fetch_one(&mut conn)
        .await
        .map_err(unreadable)?;
    let verdict = match broken {
        Some(Verdict::Altered { seq } | Verdict::Severed { seq }) => {
            match moved_from(&mut conn, walk.head, seq.0)
                .await
                .map_err(unreadable)?
            {
                Some(found) => Verdict::Moved { seq, found },
                // Nothing else fits here, so what the walk said stands.
                None => walk.broken(seq),
            }
        }
        Some(other) => other,
        None => walk.end(),
    };
    Ok(AuditReport {
        records: records as u64,
        head: walk.head,
        verdict,
    })
}

/// Goes along the chain.
struct Walk {
    head: Anchor,
    anchor: Option<Anchor>,
    anchor_holds: bool,
    severed: bool,
}

impl Walk {
    fn new(anchor: Option<Anchor>) -> Self {
        Self {
            head: Anchor::START,
            anchor,
            anchor_holds: anchor.is_none_or(|a| a == Anchor::START),
            severed: false,
        }
    }

    fn step(&mut self, seq: u64, prev: &[u8], hash: &[u8], record: &Record) -> Option<Verdict> {
        let expected = self.head.seq.0 + 1;
        if seq != expected {
            return Some(Verdict::Missing {
                first: Seq(expected),
                last: Seq(seq.saturating_sub(1)),
            });
        }
        let whole = Hash::from_slice(prev).is_some_and(|p| seal(&p, seq, record).0 == *hash);
        self.severed = whole && prev != self.head.hash.0;
        if !whole || self.severed {
            return Some(self.broken(Seq(seq)));
        }
        self.head = Anchor {
            seq: Seq(seq),
            hash: seal(&self.head.hash, seq, record),
        };
        if let Some(anchor) = self.anchor.filter(|a| a.seq.0 == seq) {
            self.anchor_holds = anchor == self.head;
        }
        None
    }

    fn broken(&self, seq: Seq) -> Verdict {
        if self.severed {
            Verdict::Severed { seq }
        } else {
            Verdict::Altered { seq }
        }
    }

    fn end(&self) -> Verdict {
        match self.anchor {
            Some(anchor) if anchor.seq > self.head.seq => Verdict::TailMissing {
                first: Seq(self.head.seq.0 + 1),
                last: anchor.seq,
            },
            _ if self.head.seq.0 == 0 => Verdict::Empty,
            Some(anchor) if self.anchor_holds => Verdict::Intact {
                anchored: anchor.seq,
            },
            Some(anchor) => Verdict::Rewritten { seq: anchor.seq },
            None => Verdict::NotAnchored,
        }
    }
}

/// Where the record lies that follows from `head`, if it is whole for place `seq` but lies at another.
async fn moved_from(
    conn: &mut SqliteConnection,
    head: Anchor,
    seq: u64,
) -> sqlx::Result<Option<Seq>> {
    let mut rows = Record::stream_following(conn, head.hash, seq);
    while let Some((found, _, hash, record)) = rows.try_next().await? {
        if seal(&head.hash, seq, &record).0 == *hash {
            return Ok(Some(Seq(found)));
        }
    }
    Ok(None)
}
