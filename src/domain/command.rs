//! What people ask for. A command is a request; only a fact says that it happened.

use super::fault::Fault;
use super::id::{AlertId, ChunkId, CommandId, RepairId, Seq, SessionId, TableId, Who};
use super::key::Key;
use super::signal::Figure;
use super::unit::{RowsPerSecond, Span};
use serde::{Deserialize, Serialize};

/// Which part of the migration a command is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All tables.
    All,
    /// One table.
    Table(TableId),
    /// These chunks.
    Chunks(Vec<ChunkId>),
    /// These rows.
    Rows(TableId, Vec<Key>),
}

/// How fast the copy may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// As fast as the signals allow.
    Auto,
    /// At most so many rows a second.
    Limit(RowsPerSecond),
}

impl Pace {
    /// Reads a pace: `84k`, `60%` of the best speed seen, `auto`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn read(text: &str, best: RowsPerSecond) -> Result<Self, String> {
        let text = text.trim();
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let Some(part) = text.strip_suffix('%') else {
            return RowsPerSecond::read(text).map(Self::Limit);
        };
        let part: f64 = part
            .trim()
            .parse()
            .map_err(|_| format!("\"{text}\" is no share of the best speed seen"))?;
        if !(1.0..=100.0).contains(&part) {
            return Err(format!(
                "{text} of the best speed seen is out of range; it is from 1% to 100%"
            ));
        }
        if best.0 == 0 {
            return Err(
                "no speed has been seen yet that a share could be taken of; give rows a second: 84k"
                    .into(),
            );
        }
        let rows = (best.0 as f64 * part / 100.0).round() as u64;
        Ok(Self::Limit(RowsPerSecond(rows.max(1))))
    }
}

/// Everything a console can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Stop copying and applying at once. Any operator, in every state.
    Pause,
    /// Take the operator's pause away. The lead; or whoever paused, within ten seconds of it.
    Resume,
    /// Stop everything of ours, leave traffic where it is: copy, stream, verify, shadow. Any operator, in every state.
    StopAll,
    /// Change the allowed speed. Slower: any operator. Faster: the lead.
    Pace(Pace),
    /// Change the limit of a signal. Stricter: any operator. Looser: the lead.
    Limit {
        /// Its name.
        signal: String,
        /// The new limit, in the signal's own measure.
        at: Figure,
    },
    /// Compare again, now.
    Verify(Scope),
    /// Land the differing rows of this scope again from the source. Disruptive.
    Repair(Scope),
    /// Put back what a repair replaced. Reversible itself.
    Undo(RepairId),
    /// Shadow compares a second over all queries; zero switches it off.
    Shadow {
        /// Comparisons a second.
        per_second: u32,
    },
    /// I have seen this alert.
    Acknowledge(AlertId),
    /// A note or marker in the timeline.
    Note {
        /// What it says.
        text: String,
    },
    /// Before a cutover the way back is giving up the target: remove everything of ours, keep or drop what we made.
    Abort {
        /// Whether tables that tidegate made on the target go too (never one that was there before).
        drop_target: bool,
        /// The migration's name as typed.
        confirm: String,
    },
    /// Take the lead when it is free, or give it up.
    Lead {
        /// Take it, or let it go.
        take: bool,
    },
    /// Park the engine: stop at the next safe point, keep everything for resuming.
    Park,
}

/// How much harm a slip could do; decides how a console asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Acts at once.
    Safe,
    /// Asks for `Y`.
    Reversible,
    /// Asks for `Y` under a dry-run count.
    Disruptive,
    /// Asks for the migration's name, typed.
    Irreversible,
}

impl Command {
    /// Its class. Pace is asked for as reversible: a console treats slower as safe, which the engine decides from the state.
    pub fn class(&self) -> Class {
        match self {
            Self::Pause
            | Self::StopAll
            | Self::Verify(_)
            | Self::Acknowledge(_)
            | Self::Note { .. }
            | Self::Lead { .. } => Class::Safe,
            Self::Resume
            | Self::Pace(_)
            | Self::Limit { .. }
            | Self::Shadow { .. }
            | Self::Undo(_)
            | Self::Park => Class::Reversible,
            Self::Repair(_) => Class::Disruptive,
            Self::Abort { .. } => Class::Irreversible,
        }
    }

    /// The word for it in `send`, the palette and the journal.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::StopAll => "stop-all",
            Self::Pace(_) => "throttle",
            Self::Limit { .. } => "limit",
            Self::Verify(_) => "verify",
            Self::Repair(_) => "repair",
            Self::Undo(_) => "undo",
            Self::Shadow { .. } => "shadow",
            Self::Acknowledge(_) => "acknowledge",
            Self::Note { .. } => "note",
            Self::Abort { .. } => "abort",
            Self::Lead { .. } => "lead",
            Self::Park => "park",
        }
    }
}

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May act; the lead is an operator who holds the lead.
    Operator,
    /// Looks only.
    Observer,
}

/// A command with who asks and what they were looking at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Numbered by the console.
    pub id: CommandId,
    /// Which connection.
    pub session: SessionId,
    /// Who, as the socket's peer credentials say.
    pub who: Who,
    /// What the session may do.
    pub role: Role,
    /// The last fact the person could see; a command about something that changed since is refused.
    pub seen: Seq,
    /// What is asked for.
    pub command: Command,
    /// Why, where the person said so.
    pub reason: Option<String>,
}

/// The engine's answer to one request, to that session only. That it *happened* is a fact everybody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Recorded; facts with `cause` = this id follow.
    Accepted {
        /// The fact that recorded it.
        seq: Seq,
    },
    /// Not done, with the reason and the way on.
    Refused(Fault),
}

/// Asking for what is not in the fold: rows that differ, one row on both sides. Answered to the asking session only,
/// never journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Query {
    /// The differing rows of one chunk, with values, read again now on both sides.
    Differences {
        /// Which chunk.
        chunk: ChunkId,
        /// At most so many rows.
        limit: u32,
    },
    /// All known differing rows of a table or of all tables (`None`), without values.
    Drifted {
        /// Which table; none for all.
        table: Option<TableId>,
        /// At most so many rows.
        limit: u32,
    },
    /// The bounds of chunks `first..first+count`, to label the map's axis.
    Bounds {
        /// Which table.
        table: TableId,
        /// The first chunk's number.
        first: u32,
        /// How many.
        count: u32,
    },
    /// Which chunk a key lies in.
    Locate {
        /// Which table.
        table: TableId,
        /// The key as typed, parts separated by commas.
        key: String,
    },
    /// How long until something, what would be done: the text of a dry run for a command.
    DryRun(Box<Command>),
    /// What the pace would be, as of the engine: best seen.
    Best,
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Differing rows, with what was compared.
    Differences {
        /// The rows.
        rows: Vec<super::verdict::RowDiff>,
        /// Whether there are more than were asked for.
        more: bool,
    },
    /// Known differing rows by chunk: key as text and class.
    Drifted(Vec<Drifted>),
    /// Lower bounds of chunks as text, from the first asked for; empty text for the open first.
    Bounds(Vec<String>),
    /// The chunk.
    Located(Option<ChunkId>),
    /// Lines of text to show before asking for `Y`.
    DryRun(Vec<String>),
    /// The best speed seen.
    Best(RowsPerSecond),
    /// It can't be answered now.
    Failed(Fault),
}

/// One known difference, without values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// Where it lies.
    pub chunk: ChunkId,
    /// Which row.
    pub key: Key,
    /// How it differs.
    pub class: super::verdict::DriftClass,
    /// How long it has been known.
    pub age: Span,
}
