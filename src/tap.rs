//! What a console hangs on: a running engine's socket, or a journal file. Views can't tell which. Going back in time is not
//! the tap's: `replay::Player` does that beside it, from the journal's file, for both.

use crate::domain::command::{Answer, Command, Query, Reply, Role};
use crate::domain::event::Event;
use crate::domain::fault::{Fault, Result};
use crate::domain::id::{CommandId, Seq, SessionId, Who};
use crate::domain::sample::Sample;
use crate::domain::unit::Span;
use crate::state::migration::Migration;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A query as its console numbered it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct QueryId(pub u64);

/// What the other end says of itself and of this console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the protocol it speaks.
    pub proto: u32,
    /// Its version of tidegate.
    pub version: String,
    /// The migration's name.
    pub name: String,
    /// The engine's process.
    pub pid: u32,
    /// This connection.
    pub session: SessionId,
    /// Who this console is, by the uid of its process.
    pub you: Who,
    /// What it may do.
    pub role: Role,
    /// Why it may only look, where it asked for more.
    pub why: Option<String>,
}

/// What comes out of a tap.
#[derive(Debug, Clone, PartialEq)]
pub enum Tapped {
    /// Who is at the other end; first, and again after each reconnect.
    Welcome(Box<Welcome>),
    /// Everything up to its `seq`: replaces what was folded before.
    Snapshot(Arc<Migration>),
    /// The next record: its `seq` follows the one before, or the snapshot's.
    Event(Box<Event>),
    /// The latest measurement, not in the journal.
    Sample(Box<Sample>),
    /// Nothing new, but the other end is there.
    Beat,
    /// The answer to a command. Exactly one comes for each that was sent.
    Reply {
        /// Which.
        id: CommandId,
        /// What.
        reply: Reply,
    },
    /// The answer to a query. Exactly one comes for each that was sent.
    Answer {
        /// Which.
        id: QueryId,
        /// What.
        answer: Answer,
    },
    /// The connection is gone, or a try to get it back failed; the migration, as far as one knows, runs on.
    LinkLost {
        /// What happened.
        why: String,
        /// How often it was tried again.
        tries: u32,
        /// When it is tried next.
        retry: Span,
    },
    /// The connection is back; a [`Tapped::Welcome`] and a [`Tapped::Snapshot`] follow.
    LinkBack,
    /// It is over for good; nothing more will come.
    Ended(Fault),
}

/// What a console asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Do this.
    Command {
        /// Numbered by the console.
        id: CommandId,
        /// The last fact it showed.
        seen: Seq,
        /// What.
        command: Command,
        /// Why.
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

/// A source of what happens, and a way to ask.
#[async_trait]
pub trait Tap: Send {
    /// The next thing. Cancel-safe: a dropped call loses nothing. `None` after [`Tapped::Ended`].
    async fn next(&mut self) -> Option<Tapped>;

    /// Asks, without waiting. Refused when too much is waiting already: what a person does never piles up unseen. Where
    /// asking makes no sense (a command to a recording), the answer says so.
    fn send(&mut self, ask: Ask) -> Result<()>;
}
