//! What others hold of a lane: copy workers, the verifier, the sampler.

use super::reads::{ChunkRead, Ticket};
use super::watch::{Changed, WatchId};
use crate::db::{ChunkMark, Ddl, Landed, Landing, Ledger, Writer};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::position::{Barrier, Position, Seen};
use crate::engine::schema;
use crate::engine::site::{Site, stopped};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Between two questions about changes that are on their way.
const SOON: Duration = Duration::from_millis(2);

/// The stream's figures. The latest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneStats {
    /// Applied up to here; beyond the ledger where there was nothing to apply.
    pub applied: Position,
    /// Changes delivered and not applied.
    pub waiting: u64,
    /// Changes delivered since the lane began.
    pub delivered_changes: u64,
    /// Changes applied since the lane began, as they came (before collapsing).
    pub applied_changes: u64,
    /// Whether the stream was opened: the source is what it was.
    pub open: bool,
}

/// What has landed, and where the stream was then.
#[derive(Debug, Clone, PartialEq)]
pub struct LandedAt {
    /// The stream's applied position at the landing.
    pub position: Position,
    /// What it did. Empty where the reply was lost and the ledger told that it is done.
    pub landed: Landed,
}

/// What a worker hands over, and where the answer goes.
#[derive(Debug)]
pub(super) struct Handed {
    pub read: ChunkRead,
    pub end: oneshot::Sender<Result<LandedAt>>,
}

#[derive(Debug)]
pub(super) enum Ask {
    Begin(oneshot::Sender<Intent>),
    Wait(Barrier, oneshot::Sender<Result<()>>),
    Watch(oneshot::Sender<KeyWatch>),
    Changed(WatchId, TableId, Seen, Position, oneshot::Sender<Changed>),
}

/// An announced read. Dropped, it is given up and nothing is kept for it any more.
#[derive(Debug)]
pub struct Intent {
    pub(super) ticket: Ticket,
    pub(super) handed: oneshot::Sender<Handed>,
}

impl Intent {
    /// Its name in the core.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

/// A verifier's window. Dropped, it closes.
#[derive(Debug)]
pub struct KeyWatch {
    pub(super) id: WatchId,
    /// Only ever dropped.
    pub(super) _open: oneshot::Sender<()>,
}

/// Names a window without holding it open.
#[derive(Debug, Clone, Copy)]
pub struct WatchRef(WatchId);

impl KeyWatch {
    /// To ask about it.
    pub fn to_ref(&self) -> WatchRef {
        WatchRef(self.id)
    }
}

/// How others reach the lane. Cheap to clone. Every call fails with [`Kind::Interrupted`] once the lane has ended.
#[derive(Clone)]
pub struct LaneHandle {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) stats: watch::Receiver<LaneStats>,
    pub(super) writer: Arc<dyn Writer>,
}

impl LaneHandle {
    /// Announces a read. Await it *before* opening the view; then read, emit the barrier, and [`LaneHandle::land`].
    pub async fn begin(&self) -> Result<Intent> {
        self.ask(Ask::Begin).await
    }

    /// Hands rows over and waits until they have landed. A `Transient` fault means: read again, with a new intent and a new
    /// view. `InDoubt` only for a repair that was to hand back what it replaced: its reply was lost, the rows may have
    /// landed, and what was there before is not known. Dropping the call does not stop the landing.
    pub async fn land(&self, intent: Intent, read: ChunkRead) -> Result<LandedAt> {
        let (end, answer) = oneshot::channel();
        let handed = Handed { read, end };
        intent.handed.send(handed).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Waits until everything up to the barrier is applied. `Transient` while the stream stands still: a view must not be
    /// held open for the length of a pause.
    pub async fn wait_applied(&self, barrier: Barrier) -> Result<()> {
        self.ask(|reply| Ask::Wait(barrier, reply)).await?
    }

    /// Opens a window. Await it *before* opening the first view of a comparison.
    pub async fn watch_keys(&self) -> Result<KeyWatch> {
        self.ask(Ask::Watch).await
    }

    /// The keys of a table that may differ between a source view that has `seen` and a target view whose ledger says
    /// `applied`, because the application changed them in between; no others. Both views were opened since the window was.
    /// Ask after [`LaneHandle::wait_applied`] of the source view's barrier. `NotProven` when too much changed to remember.
    pub async fn changed(
        &self,
        watch: WatchRef,
        table: TableId,
        seen: Seen,
        applied: Position,
    ) -> Result<HashSet<Key>> {
        loop {
            let answer = self
                .ask(|reply| Ask::Changed(watch.0, table, seen.clone(), applied, reply))
                .await?;
            match answer {
                Changed::Keys(keys) => return Ok(keys),
                Changed::NotYet => tokio::time::sleep(SOON).await,
                Changed::Lost => {
                    return Err(Fault::new(
                        Kind::NotProven,
                        "too much changed between both reads to tell which rows",
                    ));
                }
            }
        }
    }

    /// Makes rows so on the target as they are given, beside the stream: for putting back what a repair replaced.
    pub async fn put(&self, landing: Landing) -> Result<Landed> {
        self.writer.land(landing).await.settled()
    }

    /// Whether rows of these types may land in a table without being looked into.
    pub async fn takes_sealed(&self, table: TableId, types: &[String]) -> Result<bool> {
        self.writer.takes_sealed(table, types).await
    }

    /// The landed chunks of a table from a number on, as the ledger has them.
    pub async fn landed(&self, table: TableId, from: u32) -> Result<Vec<ChunkMark>> {
        self.writer.landed(table, from).await
    }

    /// Waits until the stream was opened; for ever when the lane ends before that.
    pub async fn opened(&self) {
        let mut stats = self.stats.clone();
        if stats.wait_for(|stats| stats.open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs one statement of the plan's schema on the target.
    pub async fn build(&self, ddl: Ddl) -> Result<()> {
        self.writer.build(&ddl).await.settled()
    }

    /// Makes the key of a table where that was put off; tries again what fails in passing.
    pub async fn make_key(&self, site: &Site, table: TableId) -> Result<()> {
        site.retry(|| schema::make_key(site, &*self.writer, table))
            .await
    }

    /// A table whose key is being made now: what changes it waits.
    pub fn making_key(&self) -> Option<TableId> {
        self.writer.making_key()
    }

    /// A copy of the table begins: its chunks don't overlap each other.
    pub fn copy_begins(&self, table: TableId) {
        self.writer.copy_begins(table);
    }

    /// The tables whose key is put off: comparing their rows would read all of a table for each chunk.
    pub fn keyless(&self) -> BTreeSet<TableId> {
        self.writer.keyless()
    }

    /// Where the target stands, read back.
    pub async fn ledger(&self) -> Result<Ledger> {
        self.writer.ledger().await
    }

    /// The stream's figures.
    pub fn stats(&self) -> LaneStats {
        *self.stats.borrow()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}
