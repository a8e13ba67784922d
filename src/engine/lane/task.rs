//! The task around the core: it owns the feed, writes what the core says, and answers workers and verifiers.

use super::core::{Action, Allow, LaneCore, Options};
use super::reads::{ChunkRead, Ticket};
use super::watch::{Changed, WatchId};
use crate::db::{Applied, Batch, Ddl, Feed, Landed, Landing, Ledger, Writer};
use crate::domain::change::Item;
use crate::domain::event::PauseReason;
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::id::TableId;
use crate::domain::key::{Key, Range};
use crate::domain::position::{Barrier, Position, Seen};
use crate::engine::report::Report;
use crate::engine::site::{Site, stopped};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Between two looks at what is durable, and at who has gone away.
const TICK: Duration = Duration::from_millis(250);
/// The first wait after a fault that passes; doubled up to the most.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MOST: Duration = Duration::from_secs(2);
/// Asks that wait for the lane.
const ASKS: usize = 64;

/// The stream's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneStats {
    /// Applied up to here.
    pub applied: Position,
    /// Changes delivered and not applied.
    pub waiting: u64,
    /// Changes delivered since the lane began.
    pub delivered_changes: u64,
    /// Changes applied since the lane began.
    pub applied_changes: u64,
}

/// What has landed, and where the stream was then.
#[derive(Debug)]
pub struct LandedAt {
    /// The stream's applied position at the landing.
    pub position: Position,
    /// What it did.
    pub landed: Landed,
}

/// An announced read. Dropped, it is given up and nothing is kept for it any more.
#[derive(Debug)]
pub struct Intent {
    ticket: Ticket,
    _alive: oneshot::Receiver<()>,
}

/// A verifier's window. Dropped, it closes.
#[derive(Debug)]
pub struct KeyWatch {
    id: WatchId,
    _alive: oneshot::Receiver<()>,
}

enum Ask {
    Begin(oneshot::Sender<Intent>),
    Land(Intent, Box<ChunkRead>, oneshot::Sender<Result<LandedAt>>),
    Wait(Barrier, oneshot::Sender<Result<()>>),
    Watch(oneshot::Sender<KeyWatch>),
    Changed(WatchId, TableId, Seen, Position, oneshot::Sender<Changed>),
}

/// How others reach the lane. Cheap to clone.
#[derive(Clone)]
pub struct LaneHandle {
    asks: mpsc::Sender<Ask>,
    stats: watch::Receiver<LaneStats>,
    writer: Arc<dyn Writer>,
}

impl LaneHandle {
    /// Announces a read. Call it *before* opening the view.
    pub async fn begin(&self) -> Result<Intent> {
        self.ask(Ask::Begin).await
    }

    /// Hands rows over and waits until they have landed. A `Transient` fault means: read again (with a new intent).
    pub async fn land(&self, intent: Intent, read: ChunkRead) -> Result<LandedAt> {
        self.ask(|reply| Ask::Land(intent, Box::new(read), reply))
            .await?
    }

    /// Waits until everything up to the barrier is applied. `Transient` while the stream stands still: a view must not be
    /// held open for the length of a pause.
    pub async fn wait_applied(&self, barrier: Barrier) -> Result<()> {
        self.ask(|reply| Ask::Wait(barrier, reply)).await?
    }

    /// Opens a window. Call it *before* opening the first view of a comparison.
    pub async fn watch_keys(&self) -> Result<KeyWatch> {
        self.ask(Ask::Watch).await
    }

    /// The keys of a table that may differ between a source view that has `seen` and a target view at `applied`, because
    /// the application changed them in between. `NotProven` when too much changed to remember.
    pub async fn changed(
        &self,
        watch: WatchRef,
        table: TableId,
        seen: Seen,
        applied: Position,
    ) -> Result<HashSet<Key>> {
        loop {
            match self
                .ask(|reply| Ask::Changed(watch.0, table, seen.clone(), applied, reply))
                .await?
            {
                Changed::Keys(keys) => return Ok(keys),
                Changed::NotYet => tokio::time::sleep(Duration::from_millis(2)).await,
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

    /// Runs one statement of the plan's schema on the target.
    pub async fn build(&self, ddl: Ddl) -> Result<()> {
        self.writer.build(&ddl).await.settled()
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

/// Names a window without holding it open.
#[derive(Debug, Clone, Copy)]
pub struct WatchRef(WatchId);

impl KeyWatch {
    /// To ask about it.
    pub fn to_ref(&self) -> WatchRef {
        WatchRef(self.id)
    }
}

enum Done {
    Applied(Outcome<Applied>, Position, u64, Vec<TableId>),
    Landed(Ticket, Outcome<Landed>, Landing),
}

/// The lane, before and while it runs.
pub struct Lane {
    site: Site,
    core: LaneCore,
    feed: Box<dyn Feed>,
    writer: Arc<dyn Writer>,
    inbox: mpsc::Receiver<Ask>,
    stats: watch::Sender<LaneStats>,
    intents: BTreeMap<Ticket, oneshot::Sender<()>>,
    windows: Vec<(WatchId, oneshot::Sender<()>)>,
    landings: BTreeMap<Ticket, (Intent, oneshot::Sender<Result<LandedAt>>)>,
    in_flight: BTreeMap<Ticket, ()>,
    waiting: Vec<(Barrier, oneshot::Sender<Result<()>>)>,
    stopped_tables: Vec<TableId>,
    stood_still: bool,
    rested: bool,
    applying: bool,
    backoff: Duration,
    again_at: Option<Instant>,
}

impl Lane {
    /// Opens the stream behind what the ledger says is applied.
    pub async fn open(site: Site, writer: Box<dyn Writer>) -> Result<(Self, LaneHandle)> {
        let writer: Arc<dyn Writer> = Arc::from(writer);
        let applied = writer.ledger().await?.applied;
        let feed = site.retry(|| site.source.feed(&site.plan, applied)).await?;
        let options = Options {
            delivers_before_visible: site.source.abilities().delivers_before_visible,
            ..Options::default()
        };
        let core = LaneCore::new(Arc::clone(&site.plan), applied, options);
        let (asks, inbox) = mpsc::channel(ASKS);
        let stats = watch::Sender::new(LaneStats {
            applied,
            ..LaneStats::default()
        });
        let handle = LaneHandle {
            asks,
            stats: stats.subscribe(),
            writer: Arc::clone(&writer),
        };
        let lane = Self {
            site,
            core,
            feed,
            writer,
            inbox,
            stats,
            intents: BTreeMap::new(),
            windows: Vec::new(),
            landings: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            waiting: Vec::new(),
            stopped_tables: Vec::new(),
            stood_still: false,
            rested: false,
            applying: false,
            backoff: BACKOFF_FIRST,
            again_at: None,
        };
        Ok((lane, handle))
    }

    /// Runs until told to end, or until something fails that does not pass.
    pub async fn run(mut self) -> Result<()> {
        let mut writes: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
        let stop = self.site.stop.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut feed_again = BACKOFF_FIRST;
        let mut feed_at: Option<Instant> = None;
        loop {
            self.drive(&mut writes).await?;
            let wants_feed = self.core.wants_feed();
            let wake = self.again_at.into_iter().chain(feed_at).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = writes.next(), if !writes.is_empty() => self.done(done).await?,
                Some(ask) = self.inbox.recv() => self.answer(ask),
                changed = self.site.controls.changed() => if changed.is_err() { break },
                _ = tick.tick() => self.tick().await?,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    let now = Instant::now();
                    self.again_at = self.again_at.filter(|at| *at > now);
                    if feed_at.is_some_and(|at| at <= now) {
                        match self.site.source.feed(&self.site.plan, self.core.delivered_position()).await {
                            Ok(feed) => {
                                self.feed = feed;
                                feed_at = None;
                                feed_again = BACKOFF_FIRST;
                            }
                            Err(fault) if fault.kind == Kind::Transient => {
                                feed_again = (feed_again * 2).min(BACKOFF_MOST);
                                feed_at = Some(now + feed_again);
                            }
                            Err(fault) => return Err(fault),
                        }
                    }
                }
                item = self.feed.next(), if wants_feed && feed_at.is_none() => match item {
                    Ok(item) => self.deliver(item),
                    Err(fault) if fault.kind == Kind::Transient => {
                        tracing::warn!(error = %fault, "the change stream broke; opened again");
                        feed_at = Some(Instant::now() + feed_again);
                    }
                    Err(fault) => return Err(fault),
                },
            }
        }
        // What is being written is let finish: its outcome is worth recording, and nothing else is begun.
        while let Some(done) = writes.next().await {
            self.done(done).await?;
        }
        Ok(())
    }

    fn deliver(&mut self, item: Item) {
        if let Item::Txn(txn) = &item {
            let changes = txn.changes.len() as u64;
            self.stats.send_modify(|s| s.delivered_changes += changes);
        }
        self.core.delivered(item);
    }

    /// Starts everything that may start now.
    async fn drive(
        &mut self,
        writes: &mut FuturesUnordered<BoxFuture<'static, Done>>,
    ) -> Result<()> {
        let still = self.site.controls.borrow().still;
        if still {
            self.stood_still = true;
        } else if self.stood_still {
            self.stood_still = false;
            self.rested = false;
            for table in std::mem::take(&mut self.stopped_tables) {
                self.core.resume_past(table);
            }
        }
        let now = !still && self.again_at.is_none();
        while let Some(action) = self.core.poll(Allow {
            apply: now,
            land: now,
        }) {
            match action {
                Action::Apply(batch) => self.apply(batch, writes),
                Action::Land { ticket, landing } => self.land(ticket, landing, writes),
                Action::Release(position) => {
                    if let Err(fault) = self.feed.release(position).await {
                        tracing::debug!(error = %fault, "the source keeps its log a little longer");
                    }
                }
                Action::Again(ticket) => {
                    if let Some((_, reply)) = self.landings.remove(&ticket) {
                        let _ = reply.send(Err(Fault::new(
                            Kind::Transient,
                            "the read can't be used any more",
                        )));
                    }
                }
                Action::Stopped { table, emptied } => {
                    tracing::warn!(%table, emptied, "the table's stream stopped");
                    self.stopped_tables.push(table);
                    self.site
                        .tell(Report::Trouble(PauseReason::SchemaChanged(table)))
                        .await;
                }
                Action::Missed { keys, .. } => self.missed(keys).await?,
            }
        }
        if still && !self.rested && writes.is_empty() {
            self.rested = true;
            self.site.tell(Report::Rested).await;
        }
        self.tell_waiting(still);
        let (applied, waiting) = (self.core.applied_position(), self.core.waiting());
        self.stats.send_if_modified(|s| {
            let changed = s.applied != applied || s.waiting != waiting;
            (s.applied, s.waiting) = (applied, waiting);
            changed
        });
        Ok(())
    }

    fn tell_waiting(&mut self, still: bool) {
        let mut kept = Vec::new();
        for (barrier, reply) in std::mem::take(&mut self.waiting) {
            if self.core.reached(barrier) {
                let _ = reply.send(Ok(()));
            } else if still {
                let _ = reply.send(Err(Fault::new(Kind::Transient, "the stream stands still")));
            } else if !reply.is_closed() {
                kept.push((barrier, reply));
            }
        }
        self.waiting = kept;
    }

    fn apply(&mut self, batch: Batch, writes: &FuturesUnordered<BoxFuture<'static, Done>>) {
        let writer = Arc::clone(&self.writer);
        let (upto, changes) = (
            batch.upto,
            batch.log.iter().map(|txn| txn.changes.len() as u64).sum(),
        );
        let mut tables: Vec<TableId> = batch.net.iter().map(|change| change.table).collect();
        tables.sort_unstable();
        tables.dedup();
        self.applying = true;
        writes.push(Box::pin(async move {
            Done::Applied(writer.apply(batch).await, upto, changes, tables)
        }));
    }

    fn land(
        &mut self,
        ticket: Ticket,
        landing: Landing,
        writes: &FuturesUnordered<BoxFuture<'static, Done>>,
    ) {
        let writer = Arc::clone(&self.writer);
        self.in_flight.insert(ticket, ());
        let copy = landing.clone();
        writes.push(Box::pin(async move {
            Done::Landed(ticket, writer.land(landing).await, copy)
        }));
    }

    async fn done(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Applied(outcome, upto, changes, tables) => {
                self.applying = false;
                let outcome = match outcome {
                    Outcome::Unknown(evidence) => self.applied_after_all(upto, &evidence).await?,
                    settled => settled,
                };
                match outcome.settled() {
                    Ok(applied) => {
                        self.core.applied(applied);
                        self.stats.send_modify(|s| s.applied_changes += changes);
                        self.backoff = BACKOFF_FIRST;
                    }
                    Err(fault) => {
                        self.core.not_applied();
                        self.failed(fault, &tables).await?;
                    }
                }
            }
            Done::Landed(ticket, outcome, landing) => {
                self.in_flight.remove(&ticket);
                let outcome = match outcome {
                    Outcome::Unknown(evidence) => {
                        self.landed_after_all(&landing, &evidence).await?
                    }
                    settled => settled,
                };
                match outcome.settled() {
                    Ok(landed) => {
                        self.core.landed(ticket);
                        self.backoff = BACKOFF_FIRST;
                        self.intents.remove(&ticket);
                        if let Some((_, reply)) = self.landings.remove(&ticket) {
                            let _ = reply.send(Ok(LandedAt {
                                position: self.core.applied_position(),
                                landed,
                            }));
                        }
                    }
                    Err(fault) => {
                        self.core.not_landed(ticket);
                        self.failed(fault, &[landing.table]).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The reply was lost: the ledger knows whether the batch is in.
    async fn applied_after_all(
        &mut self,
        upto: Position,
        evidence: &str,
    ) -> Result<Outcome<Applied>> {
        tracing::warn!(
            evidence,
            "the outcome of a batch is read back from the ledger"
        );
        let ledger = self.site.retry(|| self.writer.ledger()).await?;
        Ok(if ledger.applied >= upto {
            Outcome::Done(Applied::default())
        } else {
            Outcome::NotDone(again())
        })
    }

    /// The reply was lost: a chunk's mark knows whether it is in; a repair is landed again, which changes nothing twice.
    async fn landed_after_all(
        &mut self,
        landing: &Landing,
        evidence: &str,
    ) -> Result<Outcome<Landed>> {
        tracing::warn!(
            evidence,
            "the outcome of a landing is read back from the ledger"
        );
        self.site.retry(|| self.writer.ledger()).await?;
        let Some(mark) = &landing.mark else {
            return Ok(Outcome::NotDone(again()));
        };
        let marks = self
            .site
            .retry(|| self.writer.landed(landing.table, mark.chunk.no))
            .await?;
        let there = marks.iter().any(|m| m.chunk == mark.chunk);
        Ok(if there {
            Outcome::Done(Landed::default())
        } else {
            Outcome::NotDone(again())
        })
    }

    /// What a write that was certainly not done means.
    async fn failed(&mut self, fault: Fault, tables: &[TableId]) -> Result<()> {
        let reason = match fault.code.as_str() {
            "TARGET-FULL" => Some(PauseReason::TargetFull),
            "PARKED" => Some(PauseReason::Parked(
                self.culprit(&fault, tables),
                fault.to_string(),
            )),
            _ => None,
        };
        let fatal = reason.is_none() && fault.kind != Kind::Transient;
        if fatal {
            return Err(fault);
        }
        tracing::warn!(error = %fault, "a write was not done; it comes again");
        self.again_at = Some(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MOST);
        if let Some(reason) = reason {
            self.site.tell(Report::Trouble(reason)).await;
        }
        Ok(())
    }

    /// The table that a constraint's message names, or the first one that was written.
    fn culprit(&self, fault: &Fault, tables: &[TableId]) -> TableId {
        let text = fault.to_string();
        let named = |id: &&TableId| {
            self.site
                .plan
                .table(**id)
                .is_some_and(|t| text.contains(&t.target))
        };
        tables
            .iter()
            .find(named)
            .or(tables.first())
            .copied()
            .unwrap_or_default()
    }

    /// Updates that found no row: normal where nothing has landed yet, drift where it has.
    async fn missed(&mut self, keys: Vec<(TableId, Key)>) -> Result<()> {
        let ledger = self.writer.ledger().await?;
        let mut view = self.site.target.view(&self.site.plan).await?;
        let mut by_table: BTreeMap<TableId, Vec<Key>> = BTreeMap::new();
        for (table, key) in keys {
            by_table.entry(table).or_default().push(key);
        }
        for (table, keys) in by_table {
            let Some((_, _, hi)) = ledger.last.iter().find(|(id, _, _)| *id == table) else {
                continue;
            };
            let landed = Range {
                lo: None,
                hi: hi.clone(),
            };
            let lost = view
                .inside(table, &landed, &keys)
                .await?
                .into_iter()
                .filter(|inside| *inside)
                .count();
            if lost > 0 {
                let name = self
                    .site
                    .plan
                    .table(table)
                    .map(|t| t.target.clone())
                    .unwrap_or_default();
                let fault = Fault::new(
                    Kind::NotProven,
                    format!("{lost} updates of {name} found no row on the target"),
                )
                .code("ROW-MISSING")
                .hint("somebody else removed rows there; comparing finds them, R repairs");
                self.site.tell(Report::Failed(fault)).await;
            }
        }
        Ok(())
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Begin(reply) => {
                let ticket = self.core.begin();
                let (alive, guard) = oneshot::channel();
                self.intents.insert(ticket, alive);
                let _ = reply.send(Intent {
                    ticket,
                    _alive: guard,
                });
            }
            Ask::Land(intent, read, reply) => {
                let ticket = intent.ticket;
                self.landings.insert(ticket, (intent, reply));
                self.core.read(ticket, *read);
            }
            Ask::Wait(barrier, reply) => self.waiting.push((barrier, reply)),
            Ask::Watch(reply) => {
                let id = self.core.watch();
                let (alive, guard) = oneshot::channel();
                self.windows.push((id, alive));
                let _ = reply.send(KeyWatch { id, _alive: guard });
            }
            Ask::Changed(watch, table, seen, applied, reply) => {
                let _ = reply.send(self.core.changed(watch, table, &seen, applied));
            }
        }
    }

    /// Lets go of what nobody waits for any more, and of what the source may forget.
    async fn tick(&mut self) -> Result<()> {
        let gone: Vec<Ticket> = self
            .landings
            .iter()
            .filter(|(_, (_, reply))| reply.is_closed())
            .map(|(t, _)| *t)
            .collect();
        for ticket in gone.into_iter().filter(|t| !self.in_flight.contains_key(t)) {
            self.landings.remove(&ticket);
        }
        let dropped: Vec<Ticket> = self
            .intents
            .iter()
            .filter(|(_, alive)| alive.is_closed())
            .map(|(t, _)| *t)
            .collect();
        for ticket in dropped
            .into_iter()
            .filter(|t| !self.in_flight.contains_key(t))
        {
            self.intents.remove(&ticket);
            self.core.cancel(ticket);
        }
        for (id, _) in self.windows.extract_if(.., |(_, alive)| alive.is_closed()) {
            self.core.unwatch(id);
        }
        self.core.checkpoint();
        let durable = self.writer.durable().await?;
        self.core.durable(durable);
        if self.core.wants_proof() {
            let view = self.site.source.view(&self.site.plan).await?;
            self.core.prove(view.seen());
        }
        Ok(())
    }
}

fn again() -> Fault {
    Fault::new(Kind::Transient, "the write was not done")
}
