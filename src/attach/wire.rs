//! The lines between a console and the engine: newline-delimited JSON, each an object with one key that says what it is.
//!
//! | from the engine | |
//! |---|---|
//! | `hello` | first: protocol, version, migration, your session, who you are, what you may do, and if less than asked: why |
//! | `snapshot` | the whole folded state as of its `seq`; after it come the events from `seq + 1` on. Again whenever the console has fallen far behind |
//! | `event` | one record of the journal, in order, without gaps |
//! | `sample` | the latest measurement, at most ten a second; `dropped` counts those left out |
//! | `beat` | nothing else was said for a second; `seq` is the journal's head |
//! | `reply`, `answer` | to the `command` or `query` with this `id`, to this console only |
//! | `bye` | last: why, and whether it makes sense to come `again` |
//!
//! | from the console | |
//! |---|---|
//! | `hello` | first: protocol, version, role wanted, terminal. Left out for a second: an observer |
//! | `command` | `id`, `seen` (the last fact shown), `command`, `reason` |
//! | `query` | `id`, `query` |

use crate::domain::command::{Answer, Command, Query, Reply, Role};
use crate::domain::event::Event;
use crate::domain::id::{CommandId, Seq};
use crate::domain::sample::Sample;
use crate::state::migration::Migration;
use crate::tap::{QueryId, Welcome};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The version of these lines. Acting needs the same one, and the same version of tidegate, on both ends.
pub const PROTO: u32 = 1;

/// The version of tidegate that speaks.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The longest line an engine takes.
pub const LONGEST_ASK: usize = 4 << 20;

/// The longest line a console takes: a snapshot of four million chunks.
pub const LONGEST_FRAME: usize = 64 << 20;

/// What an engine says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// Who speaks, and to whom.
    Hello(Box<Welcome>),
    /// The state.
    Snapshot(Arc<Migration>),
    /// A record.
    Event(Box<Event>),
    /// A measurement.
    Sample(Box<Sample>),
    /// Still here.
    Beat {
        /// The journal's head.
        seq: Seq,
    },
    /// To a command.
    Reply {
        /// Which.
        id: CommandId,
        /// What.
        reply: Reply,
    },
    /// To a query.
    Answer {
        /// Which.
        id: QueryId,
        /// What.
        answer: Answer,
    },
    /// The end.
    Bye {
        /// Why.
        why: String,
        /// Whether to come back.
        again: bool,
    },
}

/// What a console says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Who speaks.
    Hello(Greeting),
    /// Do this.
    Command {
        /// Numbered by the console.
        id: CommandId,
        /// The last fact it showed.
        #[serde(default)]
        seen: Seq,
        /// What.
        command: Command,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Tell me.
    Query {
        /// Numbered by the console.
        id: QueryId,
        /// What.
        query: Query,
    },
}

/// How a console introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The protocol it speaks.
    pub proto: u32,
    /// Its version of tidegate.
    pub version: String,
    /// What it wants to do.
    pub role: Role,
    /// Where it is: its terminal, for the others to see.
    #[serde(default)]
    pub from: String,
    /// Wants every event after the first snapshot, never another snapshot instead of events that it was too slow for.
    #[serde(default)]
    pub every: bool,
}

impl Greeting {
    /// This version's, for a console on a terminal.
    pub fn new(role: Role, from: impl Into<String>) -> Self {
        Self {
            proto: PROTO,
            version: VERSION.to_owned(),
            role,
            from: from.into(),
            every: false,
        }
    }

    /// For who says nothing.
    pub(super) fn onlooker() -> Self {
        Self::new(Role::Observer, "a pipe")
    }

    /// Why it may not act, if so.
    pub(super) fn mismatch(&self) -> Option<String> {
        if self.proto == PROTO && self.version == VERSION {
            return None;
        }
        Some(format!(
            "this console is tidegate {} (protocol {}), the engine {VERSION} (protocol {PROTO}): it may only look",
            self.version, self.proto
        ))
    }
}

impl Frame {
    /// As a line, with its newline.
    pub(super) fn to_line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}
