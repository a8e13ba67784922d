//! The task around the core: feed and writer on one side, workers and verifiers on the other. It never waits for one thing
//! only, and nothing it waits for is ever interrupted by something else.

use super::acts::{Done, SentBatch};
use super::core::{Action, Allow, LaneCore, Options};
use super::feeder::{Fed, Feeder};
use super::handle::{Ask, Handed, Intent, KeyWatch, LandedAt, LaneHandle, LaneStats};
use super::landed::LandedRanges;
use super::reads::Ticket;
use super::retry::{Retries, Work};
use super::waits::WaitId;
use super::watch::WatchId;
use crate::db::{Landing, Writer};
use crate::domain::event::PauseReason;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{TableId, Token};
use crate::domain::position::Position;
use crate::engine::report::Report;
use crate::engine::site::Site;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

/// Between two questions what is durable, so that the source may forget it.
const TICK: Duration = Duration::from_millis(250);
/// Ticks between two empty batches that only move the ledger along an idle stream.
const CHECKPOINT: u32 = 40;
/// Asks that wait for the lane.
const ASKS: usize = 64;
/// Reports that wait for the supervisor; beyond, nothing new is begun.
const REPORTS: usize = 64;
/// Handfuls of items taken from the feeder in one go.
const DRAUGHT: usize = 8;

/// The lane, before and while it runs.
pub struct Lane {
    pub(super) site: Site,
    pub(super) writer: Arc<dyn Writer>,
    pub(super) token: Token,
    pub(super) core: LaneCore,
    pub(super) landed: LandedRanges,
    /// Everything under way, on the target and on the clock.
    pub(super) works: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Of these, writes and questions about writes.
    pub(super) flying: usize,
    pub(super) unsettled_batch: Option<SentBatch>,
    pub(super) unsettled_landings: BTreeMap<Ticket, Landing>,
    pub(super) retries: Retries,
    pub(super) proving: bool,
    pub(super) asking_durable: bool,
    pub(super) fatal: Option<Fault>,
    pub(super) pending: VecDeque<Report>,
    readers: BTreeMap<Ticket, oneshot::Sender<Result<LandedAt>>>,
    begun: FuturesUnordered<BoxFuture<'static, (Ticket, Option<Handed>)>>,
    windows: FuturesUnordered<BoxFuture<'static, WatchId>>,
    waiting: BTreeMap<WaitId, oneshot::Sender<Result<()>>>,
    stopped_tables: Vec<TableId>,
    /// Whether something is parked that a person may mend on the source: where the stream carries keys, not images, only
    /// a stream that is opened anew has the mended rows.
    pub(super) parked: bool,
    /// Whether the pause that a stopped table leads to was seen.
    stood_still: bool,
    feeder: Option<Feeder>,
    release: watch::Sender<Position>,
    asks: mpsc::Receiver<Ask>,
    stats: watch::Sender<LaneStats>,
    ticks: u32,
    opened: bool,
    rested: bool,
}

impl Lane {
    /// Finds out where the target stands; the stream will be opened behind that.
    ///
    /// # Errors
    /// When the ledger can't be read, other than in passing.
    pub async fn open(site: Site, writer: Box<dyn Writer>) -> Result<(Self, LaneHandle)> {
        let options = Options {
            beside: usize::from(
                site.plan
                    .backfill
                    .workers
                    .min(site.target.abilities().workers)
                    .max(1),
            ),
            ..Options::default()
        };
        Self::open_with(site, writer, options).await
    }

    /// The same with bounds of one's own. What the source delivers before it is visible is asked of the source.
    pub async fn open_with(
        site: Site,
        writer: Box<dyn Writer>,
        options: Options,
    ) -> Result<(Self, LaneHandle)> {
        let writer: Arc<dyn Writer> = Arc::from(writer);
        let ledger = site.retry(|| writer.ledger()).await?;
        let options = Options {
            delivers_before_visible: site.source.abilities().delivers_before_visible,
            ..options
        };
        let (asks, inbox) = mpsc::channel(ASKS);
        let stats = watch::Sender::new(LaneStats {
            applied: ledger.applied,
            ..LaneStats::default()
        });
        let handle = LaneHandle {
            asks,
            stats: stats.subscribe(),
            writer: Arc::clone(&writer),
        };
        let lane = Self {
            core: LaneCore::new(Arc::clone(&site.plan), ledger.applied, options),
            landed: LandedRanges::of(&ledger),
            token: ledger.token,
            site,
            writer,
            works: FuturesUnordered::new(),
            flying: 0,
            unsettled_batch: None,
            unsettled_landings: BTreeMap::new(),
            retries: Retries::default(),
            proving: false,
            asking_durable: false,
            fatal: None,
            pending: VecDeque::new(),
            readers: BTreeMap::new(),
            begun: FuturesUnordered::new(),
            windows: FuturesUnordered::new(),
            waiting: BTreeMap::new(),
            stopped_tables: Vec::new(),
            parked: false,
            stood_still: false,
            feeder: None,
            release: watch::Sender::new(Position::START),
            asks: inbox,
            stats,
            ticks: 0,
            opened: false,
            rested: false,
        };
        Ok((lane, handle))
    }

    /// Runs until told to end (what is being written ends first), or until something fails that does not pass.
    ///
    /// Once it may go on after a table was stopped or parked, it tells itself to end: it is to be opened anew, because the
    /// stream that stopped the table has left its changes out from there on, and what was parked may have been mended.
    pub async fn run(mut self) -> Result<()> {
        let stop = self.site.stop.clone();
        let reports = self.site.reports.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let still = self.site.controls.borrow_and_update().still;
            if !self.stopped_tables.is_empty() || self.parked {
                self.stood_still |= still;
                if self.stood_still && !still {
                    stop.cancel();
                }
            }
            let ending = stop.is_cancelled() || self.fatal.is_some();
            if ending && self.flying == 0 {
                return self.fatal.map_or(Ok(()), Err);
            }
            if !ending {
                self.connect();
            }
            self.start(still || ending);
            self.say(still);
            // That the stream is open is heard in a pause too: whoever looks at rows meanwhile needs it.
            let taking = (!still || !self.opened) && !ending && self.core.wants_feed();
            tokio::select! {
                biased;
                () = stop.cancelled(), if !ending => {}
                changed = self.site.controls.changed(), if !ending => {
                    // Nobody can pause or resume any more: the engine is ending.
                    if changed.is_err() {
                        stop.cancel();
                    }
                }
                slot = reports.reserve(), if !self.pending.is_empty() => {
                    match (slot, self.pending.pop_front()) {
                        (Ok(slot), Some(report)) => slot.send(report),
                        // The supervisor is gone: the engine is ending.
                        _ => stop.cancel(),
                    }
                }
                Some(done) = self.works.next(), if !self.works.is_empty() => self.done(done),
                Some((ticket, handed)) = self.begun.next(), if !self.begun.is_empty() => {
                    self.handed(ticket, handed);
                }
                Some(watch) = self.windows.next(), if !self.windows.is_empty() => {
                    self.core.unwatch(watch);
                }
                Some(ask) = self.asks.recv() => self.answer(ask),
                _ = tick.tick() => self.tick(),
                fed = next_of(&mut self.feeder), if taking => self.fed(fed),
            }
        }
    }

    /// Opens the stream where it is not open and may be.
    fn connect(&mut self) {
        if self.feeder.is_none() && self.retries.free(Work::Feed) {
            let from = self.core.delivered_position();
            self.feeder = Some(Feeder::spawn(&self.site, from, self.release.subscribe()));
        }
    }

    /// Starts whatever the core wants and is allowed.
    fn start(&mut self, still: bool) {
        loop {
            let may = !still && self.pending.len() < REPORTS;
            let allow = Allow {
                apply: may && self.retries.free(Work::Apply) && self.unsettled_batch.is_none(),
                land: may && self.retries.free(Work::Land),
            };
            match self.core.poll(allow) {
                Some(Action::Apply(batch)) => self.apply(batch),
                Some(Action::Land { ticket, landing }) => self.land(ticket, landing),
                Some(Action::Release(position)) => drop(self.release.send_replace(position)),
                Some(Action::Again(ticket)) => {
                    let again = Fault::new(Kind::Transient, "the read can't be used any more");
                    self.end_read(ticket, Err(again));
                }
                Some(Action::Stopped { table, emptied }) => {
                    tracing::warn!(%table, emptied, "the table's stream stopped");
                    self.stopped_tables.push(table);
                    let reason = PauseReason::SchemaChanged(table);
                    self.pending.push_back(Report::Trouble(reason));
                }
                Some(Action::Reached(wait)) => {
                    if let Some(reply) = self.waiting.remove(&wait) {
                        // Whoever waited may have given up.
                        let _ = reply.send(Ok(()));
                    }
                }
                None => break,
            }
        }
        if self.core.wants_proof() && !self.proving && !still {
            self.prove();
        }
    }

    /// Says where the lane stands, and that it rests once it does.
    fn say(&mut self, still: bool) {
        let (delivered_changes, waiting) = (self.core.changes_in(), self.core.waiting());
        let now = LaneStats {
            applied: self.core.applied_position(),
            waiting,
            delivered_changes,
            applied_changes: delivered_changes - waiting,
            open: self.opened,
        };
        self.stats.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
        let unsettled = self.unsettled_batch.is_some() || !self.unsettled_landings.is_empty();
        if still && self.flying == 0 && !unsettled && !self.rested {
            self.rested = true;
            self.pending.push_back(Report::Rested);
        }
        if still {
            for (wait, reply) in std::mem::take(&mut self.waiting) {
                self.core.unwait(wait);
                let _ = reply.send(Err(Fault::new(Kind::Transient, "the stream stands still")));
            }
        } else {
            self.rested = false;
        }
    }

    pub(super) fn end_read(&mut self, ticket: Ticket, end: Result<LandedAt>) {
        if let Some(reply) = self.readers.remove(&ticket) {
            // A worker that is gone finds what has landed in the ledger.
            let _ = reply.send(end);
        }
    }

    fn handed(&mut self, ticket: Ticket, handed: Option<Handed>) {
        match handed {
            Some(Handed { read, end }) => {
                self.readers.insert(ticket, end);
                self.core.read(ticket, read);
            }
            None => self.core.cancel(ticket),
        }
    }

    /// A reply goes nowhere when whoever asked has given up, and what it held is given up with it.
    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Begin(reply) => {
                let ticket = self.core.begin();
                let (handed, rows) = oneshot::channel();
                self.begun
                    .push(Box::pin(async move { (ticket, rows.await.ok()) }));
                let _ = reply.send(Intent { ticket, handed });
            }
            Ask::Wait(barrier, reply) => {
                let wait = self.core.wait(barrier);
                self.waiting.insert(wait, reply);
            }
            Ask::Watch(reply) => {
                let id = self.core.watch();
                let (open, closed) = oneshot::channel::<()>();
                self.windows.push(Box::pin(async move {
                    // Never sent: it ends when the window is dropped.
                    let _ = closed.await;
                    id
                }));
                let _ = reply.send(KeyWatch { id, _open: open });
            }
            Ask::Changed(watch, table, seen, applied, reply) => {
                let _ = reply.send(self.core.changed(watch, table, &seen, applied));
            }
        }
    }

    fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(CHECKPOINT)
            && self.core.applied_position() > self.core.ledger_position()
        {
            self.core.checkpoint();
        }
        let given_up: Vec<WaitId> = self
            .waiting
            .iter()
            .filter(|(_, reply)| reply.is_closed())
            .map(|(wait, _)| *wait)
            .collect();
        for wait in given_up {
            self.waiting.remove(&wait);
            self.core.unwait(wait);
        }
        if !self.asking_durable && self.core.ledger_position() > *self.release.borrow() {
            self.ask_durable();
        }
    }

    fn fed(&mut self, first: Option<Fed>) {
        let mut next = first;
        for taken in 1..=DRAUGHT {
            match next {
                Some(Fed::Items(items, _share)) => {
                    for item in items {
                        self.core.delivered(item);
                    }
                }
                Some(Fed::Opened) => {
                    self.opened = true;
                    self.retries.worked(Work::Feed);
                }
                Some(Fed::Broken(fault)) => {
                    self.feeder = None;
                    return self.failed(Work::Feed, fault, &[]);
                }
                None => {
                    self.feeder = None;
                    let ended =
                        Fault::new(Kind::Transient, "the stream's reader ended unexpectedly");
                    return self.failed(Work::Feed, ended, &[]);
                }
            }
            if taken == DRAUGHT || !self.core.wants_feed() {
                return;
            }
            match self.feeder.as_mut().map(|feeder| feeder.items.try_recv()) {
                Some(Ok(fed)) => next = Some(fed),
                _ => return,
            }
        }
    }
}

async fn next_of(feeder: &mut Option<Feeder>) -> Option<Fed> {
    match feeder {
        Some(feeder) => feeder.items.recv().await,
        None => std::future::pending().await,
    }
}
