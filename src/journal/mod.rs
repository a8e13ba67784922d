//! L2: the durable record of facts, on the operator's side.
//!
//! One SQLite file, written by one task in one process. **A fact is synced to disk before anybody is told of it**:
//! [`Journal::append`] returns after the commit that holds the facts was synced (`synchronous = FULL`), and
//! [`Journal::record`] then wraps what is to be done because of them in [`Durable`], which nothing else can make. Callers that
//! come while a commit is under way share the next one (group commit), so a sync costs many callers once.
//!
//! Records are numbered from 1 without gaps and chained by hash ([`chain`]). Chunk bounds and differing keys lie beside the
//! chain in the same file ([`Beside`]); row data never does, see [`undo`].
//!
//! # When the disk is full
//!
//! A write that fails leaves nothing half-written: the group is rolled back, everybody in it gets the same fault
//! (`JOURNAL-FULL` or `JOURNAL-LOST`, both [`Kind::Own`]), and no append succeeds until
//! [`Journal::probe`] does. For the last words (paused, parked) 1 MB is kept as `journal.reserve`:
//! [`Journal::append_last`] gives it up to the file system and writes into the room. Somebody else on the same disk may be
//! faster; then the engine stops without them, and nothing that was recorded before is harmed. `probe` wants
//! 64 MB free and takes the reserve back first, so that a disk that stays full does not make the engine start and stop.
//!
//! Architecture invariant: imports only `domain`.

mod bounds;
mod cells;
pub mod chain;
pub mod paths;
mod reader;
mod record;
mod reserve;
mod schema;
mod trouble;
pub mod undo;
mod writer;

#[cfg(test)]
mod tests;

pub use bounds::{Beside, Drifter};
pub use chain::Anchor;
pub use reader::Reader;

use crate::domain::event::{Body, Event};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{CommandId, Seq, SessionId};
use crate::domain::unit::{At, Tick};
use paths::StateDir;
use record::Record;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use writer::{Append, Ask, Writer};

/// Facts that wait to be written, in bytes: callers beyond wait.
const ROOM: usize = 8 << 20;

/// What cannot be had without the journal: a payload whose facts are on disk. Only [`Journal::record`] and
/// [`Journal::append`] make one, so that a function that takes it can't be reached before the record is durable.
#[derive(Debug)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// Looks at it.
    pub fn get(&self) -> &T {
        &self.0
    }
    /// Takes it out: from here on the types no longer vouch for it.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A fact that has no number yet; the journal gives it one.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// When, by the wall clock.
    pub at: At,
    /// When, by the migration's own clock.
    pub tick: Tick,
    /// The command it follows from.
    pub cause: Option<(SessionId, CommandId)>,
    /// What happened.
    pub body: Body,
}

impl Draft {
    fn numbered(self, seq: u64) -> Event {
        Event {
            seq: Seq(seq),
            at: self.at,
            tick: self.tick,
            cause: self.cause,
            body: self.body,
        }
    }
}

/// What is recorded in one piece: all of it or nothing, its facts next to each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// The facts, in order.
    pub drafts: Vec<Draft>,
    /// What goes beside the chain with them.
    pub beside: Vec<Beside>,
}

impl From<Vec<Draft>> for Entry {
    fn from(drafts: Vec<Draft>) -> Self {
        Self {
            drafts,
            beside: Vec::new(),
        }
    }
}

/// How to open a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A new migration: there must be no record yet.
    Create,
    /// One that began earlier: there must be one.
    Resume,
    /// Whichever it is.
    Either,
}

/// What the writer has done since it was opened, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Commits, each synced once.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
}

#[derive(Debug, Default)]
struct Counts {
    commits: AtomicU64,
    records: AtomicU64,
}

/// The way to write a journal. Clones share the one writer; when the last is dropped, it finishes what was given to it and
/// closes the file.
#[derive(Clone)]
pub struct Journal {
    asks: mpsc::Sender<Ask>,
    room: Arc<Semaphore>,
    head: watch::Receiver<Seq>,
    counts: Arc<Counts>,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of a migration for writing, in its folder, which must be there.
    ///
    /// Refused while another process writes it (`JOURNAL-HELD`, naming it), when it is of a newer form (`JOURNAL-NEWER`),
    /// when its last records do not follow from each other (`JOURNAL-BROKEN`), and when it is there or not there against
    /// `opening` (`JOURNAL-EXISTS`, `JOURNAL-MISSING`). Must be called within a tokio runtime.
    pub async fn open(dir: &StateDir, opening: Opening) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let (writer, head) = Writer::open(dir, opening, Arc::clone(&counts)).await?;
        let (asks, inbox) = mpsc::channel(1024);
        tokio::spawn(writer.run(inbox));
        Ok(Self {
            asks,
            room: Arc::new(Semaphore::new(ROOM)),
            head,
            counts,
            path: dir.journal(),
        })
    }

    /// Records facts and what goes beside them, in one piece. Returns once they are synced to disk.
    ///
    /// An error means that they are not recorded and that the journal takes nothing more until [`Journal::probe`] works.
    /// Dropped while it waits, the facts may be recorded or not, as with a crash.
    pub async fn append(&self, entry: impl Into<Entry>) -> Result<Durable<Vec<Event>>> {
        self.submit(entry.into(), false).await.map(Durable)
    }

    /// Records facts, then hands back `payload` as something that may be done because of them, with the facts as
    /// recorded. Without facts it waits until everything given to the journal before is durable.
    pub async fn record<T>(
        &self,
        entry: impl Into<Entry>,
        payload: T,
    ) -> Result<(Vec<Event>, Durable<T>)> {
        let events = self.submit(entry.into(), false).await?;
        Ok((events, Durable(payload)))
    }

    /// Records the last words (paused, parked) even when the disk is full, giving up the reserve if need be. The journal
    /// stays refused to everybody else until [`Journal::probe`] works.
    pub async fn append_last(&self, entry: impl Into<Entry>) -> Result<Durable<Vec<Event>>> {
        self.submit(entry.into(), true).await.map(Durable)
    }

    /// Tries whether the journal can be written again: opens it anew, takes the reserve back, syncs. While nothing is wrong
    /// it does nothing. Gives the facts that turned out to be on disk although their append failed (a sync that failed
    /// after the write); the caller's state must take them in. Normally there are none.
    pub async fn probe(&self) -> Result<Vec<Event>> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Probe(reply), answer).await
    }

    /// The number of the last durable record, for everybody who follows. Changes after the record is durable, never before.
    pub fn head(&self) -> watch::Receiver<Seq> {
        self.head.clone()
    }

    /// A reader of this journal.
    pub async fn reader(&self) -> Result<Reader> {
        Reader::open(&self.path).await
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was written since it was opened.
    pub fn written(&self) -> Written {
        Written {
            commits: self.counts.commits.load(Ordering::Relaxed),
            records: self.counts.records.load(Ordering::Relaxed),
        }
    }

    /// Writes what was given before, then closes the file and lets go of the lock. Other clones find it closed.
    pub async fn close(self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Close(reply), answer).await
    }

    async fn submit(&self, entry: Entry, last: bool) -> Result<Vec<Event>> {
        let records = entry
            .drafts
            .iter()
            .map(Record::of)
            .collect::<Result<Vec<_>>>()?;
        let weight = records.iter().map(Record::weight).sum::<usize>()
            + entry.beside.iter().map(Beside::weight).sum::<usize>();
        // An entry greater than all the room waits until it is alone.
        let permits = u32::try_from(weight.min(ROOM)).unwrap_or(ROOM as u32);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(permits)
            .await
            .map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let append = Append {
            records,
            beside: entry.beside,
            weight,
            last,
            reply,
            _room: room,
        };
        let first = self.ask(Ask::Append(append), answer).await?;
        let numbered = entry.drafts.into_iter().zip(first..);
        Ok(numbered.map(|(draft, seq)| draft.numbered(seq)).collect())
    }

    async fn ask<T>(&self, ask: Ask, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        self.asks.send(ask).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

fn closed() -> Fault {
    Fault::new(Kind::Own, "the journal is closed").code("JOURNAL-LOST")
}
