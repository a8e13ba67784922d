//! The lane's decisions, without a clock, a task or a database.

use super::kept::{Epoch, Kept};
use super::markers::Markers;
use super::queue::{Index, Queue};
use super::reads::{ChunkRead, Reads, Stage, Ticket, Waiting};
use super::waits::{WaitId, Waits};
use super::watch::{Changed, WatchId, WatchLog};
use crate::db::{Batch, Landing};
use crate::domain::change::{Item, Txn};
use crate::domain::id::TableId;
use crate::domain::plan::Plan;
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::unit::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bounds and the source's nature.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of delivered changes, waiting or kept, at which the feed is not asked for more.
    pub budget: Bytes,
    /// Bytes of changes in one batch.
    pub batch: Bytes,
    /// Bytes of keys remembered for verifiers.
    pub watch: Bytes,
    /// Whether the stream may deliver a transaction before a read can see it (`Abilities::delivers_before_visible`).
    pub delivers_before_visible: bool,
    /// Landings of one table at once.
    pub beside: usize,
    /// For tests only.
    pub weaken: Weaken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            budget: Bytes(8 << 20),
            batch: Bytes(2 << 20),
            watch: Bytes(6 << 20),
            delivers_before_visible: true,
            beside: usize::MAX,
            weaken: Weaken::None,
        }
    }
}

/// Leaves out one sentence of the landing rule, so that `tests/interleave.rs` can show that it finds what is lost then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weaken {
    /// The whole rule.
    #[default]
    None,
    /// The applier does not stop before transactions that touch a landing chunk.
    NoHold,
    /// Unseen changes are not laid over the rows.
    NoFold,
    /// Landing does not wait until the stream is applied up to the fold.
    LandEarly,
    /// Sealed rows that a change touched land all the same.
    Spoilt,
    /// The fold stops at the marker although the rows came later and the stream was applied past it meanwhile.
    PastMarker,
    /// What was delivered before a read began is not kept for it.
    ForgetUnproven,
    /// What one view sees is forgotten although an older view is still being read.
    ForgetOnProof,
    /// Of a transaction that has outgrown memory only what is still there is laid over the rows.
    NoOverflowFold,
}

/// Lays a transaction over a read, as far as the rule is not weakened.
fn lay(waiting: &mut Waiting, txn: &Arc<Txn>, plan: &Plan, weaken: Weaken) -> bool {
    let Some(table) = plan.table(waiting.table()) else {
        return true;
    };
    let laid = match weaken {
        Weaken::NoFold => Ok(()),
        Weaken::NoOverflowFold => {
            let there = Txn::new(txn.head, txn.changes.clone());
            waiting.lay(&there, table)
        }
        _ => waiting.lay(txn, table),
    };
    laid.is_ok() && (weaken == Weaken::Spoilt || !waiting.spoilt())
}

/// What is allowed to start now: nothing while paused, no batch while the last one's fault is waited out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    /// Batches.
    pub apply: bool,
    /// Landings.
    pub land: bool,
}

impl Allow {
    /// Everything may start.
    pub const ALL: Self = Self {
        apply: true,
        land: true,
    };
}

/// What is to be done next.
#[derive(Debug)]
pub enum Action {
    /// Apply this; then call [`LaneCore::applied`] or [`LaneCore::not_applied`]. At most one at a time.
    Apply(Batch),
    /// Land this; then call [`LaneCore::landed`], [`LaneCore::not_landed`] or [`LaneCore::cancel`]. Several at a time.
    Land {
        /// Whose rows.
        ticket: Ticket,
        /// What to land.
        landing: Landing,
    },
    /// The source may forget everything up to here.
    Release(Position),
    /// Everything up to the barrier of this wait is applied.
    Reached(WaitId),
    /// This read can't be used any more: its table was emptied or redefined, or it took too long. Begin again.
    Again(Ticket),
    /// A table was emptied or redefined. Nothing past that is applied until [`LaneCore::resume_past`].
    Stopped {
        /// The table.
        table: TableId,
        /// Whether it was emptied; else its definition changed.
        emptied: bool,
    },
}

/// The lane's state. Every input is a method; [`LaneCore::poll`] says what to do, until it gives none.
#[derive(Debug)]
pub struct LaneCore {
    plan: Arc<Plan>,
    options: Options,
    queue: Queue,
    kept: Kept,
    markers: Markers,
    reads: Reads,
    watches: WatchLog,
    stopped: BTreeMap<TableId, Index>,
    epoch: Epoch,
    /// What holds the front of the queue, as far as known: spares looking again.
    held_by: Option<Ticket>,
    checkpoint: bool,
    released: Position,
    changes_in: u64,
    waits: Waits,
    outbox: VecDeque<Action>,
}

impl LaneCore {
    /// A lane that continues from the ledger's position. Every view it hears of contains what lies at or before it.
    pub fn new(plan: Arc<Plan>, start: Position, options: Options) -> Self {
        Self {
            plan,
            options,
            queue: Queue::new(start),
            kept: Kept::default(),
            markers: Markers::default(),
            reads: Reads::default(),
            watches: WatchLog::new(options.watch),
            stopped: BTreeMap::new(),
            epoch: Epoch(0),
            held_by: None,
            checkpoint: false,
            released: Position::START,
            changes_in: 0,
            waits: Waits::default(),
            outbox: VecDeque::new(),
        }
    }

    /// Announces a read. Call it *before* opening the view.
    pub fn begin(&mut self) -> Ticket {
        self.epoch.0 += 1;
        self.reads.begin(self.epoch, self.queue.delivered())
    }

    /// Takes the next item of the stream. Items at or before what was delivered already (after a feed was opened again) are
    /// dropped.
    pub fn delivered(&mut self, item: Item) {
        match item {
            Item::Txn(txn) => self.delivered_txn(txn),
            Item::Marker(nonce) => {
                let index = self.queue.next_index();
                self.markers.push(nonce, index);
                self.waits.marked(nonce, index);
                let barrier = Barrier::Marker(nonce);
                self.reads
                    .fold_reached(index, &self.plan.tables, |b| b == barrier);
            }
            Item::Truncate(table) => self.stop(table, true),
            Item::Schema(table) => self.stop(table, false),
            Item::Idle(position) => {
                if position > self.queue.delivered_position() {
                    self.queue.next_index();
                    self.queue.push_advance(position);
                    self.fold_passed();
                }
            }
        }
    }

    fn delivered_txn(&mut self, txn: Txn) {
        let after = self.queue.delivered_position();
        if txn.head.position <= after {
            return;
        }
        let index = self.queue.next_index();
        if txn.head.own || txn.is_empty() {
            self.queue.push_advance(txn.head.position);
        } else {
            let weight = txn.weight();
            self.changes_in += txn.count();
            let txn = Arc::new(txn);
            self.watches.delivered(index, &txn, after);
            let (plan, weaken) = (&self.plan, self.options.weaken);
            let spoilt = |stage: &mut Stage| match stage {
                Stage::Waiting(waiting) => !lay(waiting, &txn, plan, weaken),
                Stage::Begun { .. } | Stage::Folded(_) => false,
            };
            let useless = self.reads.stages.extract_if(.., |_, stage| spoilt(stage));
            self.outbox
                .extend(useless.map(|(ticket, _)| Action::Again(ticket)));
            let ahead = self.options.delivers_before_visible
                && self.options.weaken != Weaken::ForgetUnproven;
            if ahead || self.reads.oldest_begin().is_some() {
                let proven = (!ahead).then_some(self.epoch);
                self.kept.push(index, Arc::clone(&txn), weight, proven);
            }
            self.queue.push_txn(txn, weight, after);
        }
        self.fold_passed();
    }

    fn fold_passed(&mut self) {
        let (index, position) = (self.queue.delivered(), self.queue.delivered_position());
        self.reads.fold_reached(
            index,
            &self.plan.tables,
            |b| matches!(b, Barrier::At(at) if at <= position),
        );
    }

    fn stop(&mut self, table: TableId, emptied: bool) {
        let index = self.queue.next_index();
        self.queue.push_stop(table);
        self.stopped.insert(table, index);
        self.watches.stopped(index, table);
        let waiting = |stage: &Stage| matches!(stage, Stage::Waiting(w) if w.table() == table);
        let useless = self.reads.stages.extract_if(.., |_, stage| waiting(stage));
        self.outbox
            .extend(useless.map(|(ticket, _)| Action::Again(ticket)));
        self.outbox.push_back(Action::Stopped { table, emptied });
    }

    /// Takes the rows of an announced read. [`Action::Again`] follows when they can't be used.
    pub fn read(&mut self, ticket: Ticket, read: ChunkRead) {
        let Some(Stage::Begun { index: begun, .. }) = self.reads.stages.remove(&ticket) else {
            return;
        };
        let stopped = self.stopped.get(&read.table).is_some_and(|at| *at > begun)
            || self.queue.has_stop(read.table);
        let passed = match read.barrier {
            Barrier::At(at) => {
                (self.queue.delivered_position() >= at).then_some(self.queue.delivered())
            }
            Barrier::Marker(nonce) => self.markers.find(nonce),
        };
        let forgotten = passed.is_none() && self.markers.forgot_since(begun);
        self.kept.prove(&read.seen, self.epoch);
        let Some(table) = self.plan.tables.get(usize::from(read.table.0)) else {
            self.outbox.push_back(Action::Again(ticket));
            return;
        };
        let waiting = match stopped || forgotten {
            true => None,
            false => self.fold_kept(read, passed),
        };
        match waiting {
            None => self.outbox.push_back(Action::Again(ticket)),
            Some(waiting) => {
                let stage = match passed {
                    Some(_) => {
                        Stage::Folded(Box::new(waiting.finish(self.queue.delivered(), table)))
                    }
                    None => Stage::Waiting(Box::new(waiting)),
                };
                self.reads.stages.insert(ticket, stage);
            }
        }
        self.prune();
    }

    /// The read with everything that was delivered and kept laid over it; none where that can't be read.
    fn fold_kept(&self, read: ChunkRead, passed: Option<Index>) -> Option<Waiting> {
        let mut waiting = Waiting::new(read);
        let mut usable = true;
        let past_marker = self.options.weaken == Weaken::PastMarker;
        for (index, txn) in self.kept.iter() {
            if !(past_marker && passed.is_some_and(|marker| index > marker)) {
                usable &= lay(&mut waiting, txn, &self.plan, self.options.weaken);
            }
        }
        usable.then_some(waiting)
    }

    /// Gives up a read, in whatever stage. One that is being landed must have ended first.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.reads.stages.remove(&ticket);
        self.prune();
    }

    /// A view of the source that was opened before this call, without any read: proves what it sees.
    pub fn prove(&mut self, seen: &Seen) {
        self.kept.prove(seen, self.epoch);
        self.prune();
    }

    /// Whether so many delivered transactions await proof that a view should be opened just to [`LaneCore::prove`] them.
    pub fn wants_proof(&self) -> bool {
        self.kept.unproven_count() > 1_000 || self.kept.bytes() > self.options.budget.0 / 8
    }

    fn prune(&mut self) {
        let oldest = match self.options.weaken {
            Weaken::ForgetOnProof => None,
            _ => self.reads.oldest_begin(),
        };
        self.kept.prune(oldest);
    }

    /// What to do next; none when there is nothing until the next input.
    pub fn poll(&mut self, allow: Allow) -> Option<Action> {
        if let Some(action) = self.outbox.pop_front() {
            return Some(action);
        }
        if let Some(wait) = self.waits.next(&self.queue) {
            return Some(Action::Reached(wait));
        }
        if allow.land
            && let Some(action) = self.next_landing()
        {
            return Some(action);
        }
        if allow.apply {
            return self.next_batch().map(Action::Apply);
        }
        None
    }

    fn next_landing(&mut self) -> Option<Action> {
        let early = self.options.weaken == Weaken::LandEarly;
        let mut landing: BTreeMap<TableId, usize> = BTreeMap::new();
        for stage in self.reads.stages.values() {
            if let Stage::Folded(held) = stage
                && held.landing
            {
                *landing.entry(held.table).or_default() += 1;
            }
        }
        let after = self.queue.ledger();
        self.reads.stages.iter_mut().find_map(|(ticket, stage)| {
            let Stage::Folded(held) = stage else {
                return None;
            };
            if held.landing || !(early || self.queue.applied_through(held.at)) {
                return None;
            }
            if landing
                .get(&held.table)
                .is_some_and(|n| *n >= self.options.beside)
            {
                return None;
            }
            held.landing = true;
            Some(Action::Land {
                ticket: *ticket,
                landing: held.landing(after),
            })
        })
    }

    fn next_batch(&mut self) -> Option<Batch> {
        if self
            .held_by
            .is_some_and(|t| self.reads.stages.contains_key(&t))
        {
            return None;
        }
        let Self {
            queue,
            reads,
            plan,
            options,
            ..
        } = self;
        let mut holder = None;
        let batch = queue.take(options.batch, self.checkpoint, |index, txn| {
            if options.weaken == Weaken::NoHold {
                return false;
            }
            holder = reads.holding(index, txn, &plan.tables);
            holder.is_some()
        });
        match &batch {
            Some(_) => self.checkpoint = false,
            None => self.held_by = holder,
        }
        batch
    }

    /// The batch in flight is applied and committed.
    pub fn applied(&mut self) {
        self.queue.done();
        let queue = &self.queue;
        self.kept.applied(|index| queue.applied_through(index));
    }

    /// The batch in flight is certainly not applied; it comes again.
    pub fn not_applied(&mut self) {
        self.queue.undone();
    }

    /// A landing is committed.
    pub fn landed(&mut self, ticket: Ticket) {
        self.cancel(ticket);
    }

    /// A landing is certainly not done; it comes again. ([`LaneCore::cancel`] gives it up instead.)
    pub fn not_landed(&mut self, ticket: Ticket) {
        if let Some(Stage::Folded(held)) = self.reads.stages.get_mut(&ticket) {
            held.landing = false;
        }
    }

    /// Everything the target has committed up to here would survive losing power: [`Action::Release`] follows, never beyond
    /// the ledger.
    pub fn durable(&mut self, position: Position) {
        let position = position.min(self.queue.ledger());
        if position > self.released {
            self.released = position;
            self.outbox.push_back(Action::Release(position));
        }
    }

    /// The next batch may be an empty one, if that moves the ledger's position: an idle stream is to be released too.
    pub fn checkpoint(&mut self) {
        self.checkpoint = true;
    }

    /// A person has decided about a table that was emptied or redefined: the stream goes on behind that. False when it does
    /// not stand before such a table.
    pub fn resume_past(&mut self, table: TableId) -> bool {
        self.queue.resume_past(table)
    }

    /// Whether the feed may be asked for more.
    pub fn wants_feed(&self) -> bool {
        self.queue.bytes() + self.kept.bytes() < self.options.budget.0
    }

    /// Opens a verifier's window. Call it *before* opening the first view of a comparison.
    pub fn watch(&mut self) -> WatchId {
        let unproven = self.kept.unproven();
        let older = unproven
            .map(|(index, txn)| (index, &**txn, Position::START))
            .chain(self.queue.txns());
        let applied = self.queue.ledger();
        self.watches.begin(self.queue.delivered(), applied, older)
    }

    /// Closes a verifier's window.
    pub fn unwatch(&mut self, watch: WatchId) {
        self.watches.end(watch);
    }

    /// Keys of `table` in which a source view that has `seen` and a target view at `applied` may differ because of changes
    /// between them. Both views were opened since `watch`; ask when the source view's barrier is [`LaneCore::reached`].
    pub fn changed(
        &self,
        watch: WatchId,
        table: TableId,
        seen: &Seen,
        applied: Position,
    ) -> Changed {
        let delivered = self.queue.delivered_position();
        self.watches.changed(watch, table, seen, applied, delivered)
    }

    /// Waits for everything up to the barrier to be applied: [`Action::Reached`] follows.
    pub fn wait(&mut self, barrier: Barrier) -> WaitId {
        self.waits.push(barrier, &self.markers)
    }

    /// Waits no more.
    pub fn unwait(&mut self, wait: WaitId) {
        self.waits.remove(wait);
    }

    /// Whether everything up to the barrier is applied.
    pub fn reached(&self, barrier: Barrier) -> bool {
        match barrier {
            Barrier::At(position) => self.applied_position() >= position,
            Barrier::Marker(nonce) => self
                .markers
                .find(nonce)
                .is_some_and(|index| self.queue.applied_through(index)),
        }
    }

    /// Everything up to here is applied. May lie beyond the ledger's position where nothing had to be applied.
    pub fn applied_position(&self) -> Position {
        self.queue.applied_position()
    }
    /// Everything up to here was delivered. A feed that broke is opened again from here.
    pub fn delivered_position(&self) -> Position {
        self.queue.delivered_position()
    }
    /// The position committed in the ledger.
    pub fn ledger_position(&self) -> Position {
        self.queue.ledger()
    }
    /// Changes delivered and not applied.
    pub fn waiting(&self) -> u64 {
        self.queue.changes()
    }
    /// Changes delivered since the lane began.
    pub fn changes_in(&self) -> u64 {
        self.changes_in
    }
    /// Bytes of changes waiting or kept.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.queue.bytes() + self.kept.bytes())
    }
    /// Whether a batch is being applied.
    pub fn applying(&self) -> bool {
        self.queue.in_flight()
    }
    /// Whether the applier stands before a transaction that touches a landing chunk.
    pub fn held(&self) -> bool {
        self.held_by
            .is_some_and(|ticket| self.reads.stages.contains_key(&ticket))
    }
}
