//! Two databases in memory, the lane's core between them, workers, and chance.

#[path = "aside.rs"]
mod aside;
#[path = "losses.rs"]
mod losses;

use crate::sealed::{opened, sealed};
use losses::OnDisk;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use tidegate::db::sim::{Base, Definition, Kind, Slack, Snapshot, Stmt};
use tidegate::db::spill::Spill;
use tidegate::db::{Applied, Batch, Landing, WENT_BACK};
use tidegate::domain::change::{Image, Item};
use tidegate::domain::fault::Result as FaultResult;
use tidegate::domain::id::{ChunkId, MigrationName, TableId, Token};
use tidegate::domain::key::{Bound, Collation, Key, Pick, Range};
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine, Environment, Plan, Prune, Throttle, Verify,
};
use tidegate::domain::position::{Barrier, Position};
use tidegate::domain::table::{Column, KeySpec, Mode, Table};
use tidegate::domain::unit::{Bytes, Span};
use tidegate::domain::value::{Row, Value};
use tidegate::engine::lane::{
    Action, Allow, Changed, ChunkRead, LaneCore, Options, Ticket, WatchId, Weaken,
};

const KEYS: i64 = 9;
const UNIQUES: i64 = 12;
const CUTS: [&[i64]; 2] = [&[3, 6], &[4]];

/// What a run is made of besides its seed.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub kind: Kind,
    pub weaken: Weaken,
    pub slack: Slack,
    /// Whether a view after a restart may miss what the feed will not deliver again.
    pub views_too_early: bool,
    /// Bytes from which on a transaction is kept aside, a change at a time.
    pub aside: Option<u64>,
    /// Whether such a transaction's changes are committed one by one.
    pub piecemeal: bool,
    /// What the target takes without a look at whether it has gone back.
    pub unguarded: Option<Unguarded>,
}

impl Setting {
    pub fn sound(kind: Kind) -> Self {
        Self {
            kind,
            weaken: Weaken::None,
            slack: Slack::None,
            views_too_early: false,
            aside: None,
            piecemeal: false,
            unguarded: None,
        }
    }
}

#[derive(Debug, Clone)]
enum Job {
    Chunk(ChunkId, Range),
    Keys(TableId, Vec<Key>),
}

enum Worker {
    Idle,
    Begun(Ticket, Job),
    Viewed(Ticket, Job, Box<Snapshot>, Option<Barrier>),
    Handed(Ticket, Job),
}

/// A comparison of both sides at positions that are known.
enum Verifier {
    Idle,
    Watching(WatchId),
    HalfRead(WatchId, Box<Snapshot>, BTreeSet<ChunkId>),
    Read(
        WatchId,
        Box<Snapshot>,
        Box<Snapshot>,
        Barrier,
        BTreeSet<ChunkId>,
    ),
}

/// Something sent to the target.
enum Act {
    /// With the chunks that had landed when it was sent.
    Apply(Batch, BTreeSet<ChunkId>),
    Land(Ticket, Box<Landing>),
}

enum Sent {
    /// Not there yet.
    OnTheWay,
    Executed(FaultResult<Applied>),
}

/// Writes that say nothing of what the target must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unguarded {
    Batches,
    Landings,
}

pub struct World {
    rng: fastrand::Rng,
    setting: Setting,
    plan: Arc<Plan>,
    pub source: Base,
    pub target: Base,
    disk: OnDisk,
    core: LaneCore,
    options: Options,
    token: Token,
    cursor: Position,
    fed_from: Position,
    sent: Vec<(Token, Act, Sent)>,
    workers: Vec<Worker>,
    verifier: Verifier,
    claimed: HashSet<ChunkId>,
    landed: BTreeSet<ChunkId>,
    truth: Vec<BTreeMap<i64, Row>>,
    truth_at: Position,
    drifted: BTreeSet<(u16, i64)>,
    tampered: BTreeSet<(u16, i64)>,
    next_value: i64,
    /// How often things happened, to show that they do.
    pub tally: Tally,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub commits: u64,
    pub landed: u64,
    pub held: u64,
    pub crashes: u64,
    /// The target has lost power with something that it had committed.
    pub gone_back: u64,
    pub lost_replies: u64,
    pub compared: u64,
    pub between: u64,
    /// Transactions that were kept aside in several pieces.
    pub large: u64,
}

fn id_of(key: &Key) -> i64 {
    match key.parts() {
        [Value::Integer(id)] => *id,
        _ => unreachable!("keys are single integers here"),
    }
}

fn key(id: i64) -> Key {
    Key::normal([Value::Integer(id)], &[Collation::Binary])
}

fn bound(id: i64) -> Bound {
    Bound([Value::Integer(id)].into())
}

fn chunks(table: u16) -> Vec<(ChunkId, Range)> {
    let cuts = CUTS[usize::from(table)];
    (0..=cuts.len())
        .map(|no| {
            let chunk = ChunkId {
                table: TableId(table),
                no: no as u32,
            };
            let range = Range {
                lo: no.checked_sub(1).map(|i| bound(cuts[i])),
                hi: cuts.get(no).map(|cut| bound(*cut)),
            };
            (chunk, range)
        })
        .collect()
}

fn chunk_of(table: u16, id: i64) -> ChunkId {
    let no = CUTS[usize::from(table)].iter().filter(|cut| id >= **cut);
    ChunkId {
        table: TableId(table),
        no: no.count() as u32,
    }
}

pub fn definition(name: &str) -> Definition {
    let column = |name: &str| Column {
        name: name.into(),
        declared: String::new(),
        masked: false,
        becomes: String::new(),
    };
    Definition {
        table: Table {
            source: name.into(),
            target: name.into(),
            columns: ["id", "u", "v", "big"].map(column).into(),
            mode: Mode::Live(KeySpec {
                columns: vec![0],
                collations: vec![Collation::Binary],
            }),
            shape: String::new(),
        },
        unique: vec![vec![1]],
        toast: Some(3),
    }
}

pub fn plan() -> Arc<Plan> {
    let end = EndPlan {
        engine: Engine::Sim,
        url: "sim:".into(),
        label: "sim".into(),
    };
    Arc::new(Plan {
        name: MigrationName::new("interleave").unwrap(),
        environment: Environment::Dev,
        source: end.clone(),
        target: end,
        tables: vec![definition("a").table, definition("b").table],
        backfill: Backfill {
            chunk_time: Span::millis(500),
            chunk_bytes: Bytes(1 << 20),
            workers: 3,
            max_rows_per_second: None,
        },
        throttle: Throttle {
            max_lag: Span::seconds(3),
            max_lock_wait: Span::seconds(1),
            stale_after: Span::seconds(10),
            ..Throttle::default()
        },
        verify: Verify {
            max_age: Span::seconds(60),
            max_rows_per_second: None,
        },
        shadow: Vec::new(),
        prune: Prune::Auto,
        adopt: Vec::new(),
        signals: Vec::new(),
        wal_space: None,
    })
}

impl World {
    pub fn new(seed: u64, setting: Setting, plan: &Arc<Plan>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let definitions = vec![definition("a"), definition("b")];
        let mut source = Base::new(setting.kind, definitions.clone(), rng.u64(..));
        if let Some(keep) = setting.aside {
            source.set_spill(Spill::default().sized(keep, 1));
        }
        let mut target = Base::new(Kind::DirtyKeys, definitions, rng.u64(..));
        target.set_slack(setting.slack);
        let token = target.take_lease();
        let options = Options {
            budget: Bytes(*rng.choice(&[1_500, 6_000, 1 << 20]).unwrap_or(&0)),
            batch: Bytes(*rng.choice(&[1, 1_000, 1 << 20]).unwrap_or(&0)),
            watch: Bytes(*rng.choice(&[500, 1 << 20]).unwrap_or(&0)),
            delivers_before_visible: setting.kind != Kind::DirtyKeys,
            beside: *rng.choice(&[1, 2, usize::MAX]).unwrap_or(&1),
            weaken: setting.weaken,
        };
        let workers = (0..rng.usize(1..=3)).map(|_| Worker::Idle).collect();
        let mut world = Self {
            core: LaneCore::new(Arc::clone(plan), Position::START, options),
            plan: Arc::clone(plan),
            rng,
            setting,
            source,
            disk: OnDisk::of(&target),
            target,
            options,
            token,
            cursor: Position::START,
            fed_from: Position::START,
            sent: Vec::new(),
            workers,
            verifier: Verifier::Idle,
            claimed: HashSet::new(),
            landed: BTreeSet::new(),
            truth: vec![BTreeMap::new(); 2],
            truth_at: Position::START,
            drifted: BTreeSet::new(),
            tampered: BTreeSet::new(),
            next_value: 1_000,
            tally: Tally::default(),
        };
        for _ in 0..world.rng.usize(..14) {
            world.commit();
            if world.rng.bool() {
                world.source.reveal();
            }
        }
        let start = world.source.head();
        world.target.begin_at(token, start).unwrap();
        world.advance_truth(start);
        world.open(start);
        world.sync();
        world
    }

    /// A new life of the engine: nothing remembered but what the ledger holds.
    fn open(&mut self, from: Position) {
        self.core = LaneCore::new(Arc::clone(&self.plan), from, self.options);
        self.cursor = from;
        self.fed_from = from;
        self.claimed.clear();
        self.verifier = Verifier::Idle;
        self.workers.iter_mut().for_each(|w| *w = Worker::Idle);
        self.landed = self.target.marks().map(|m| m.chunk).collect();
        self.claimed.extend(&self.landed);
    }

    /// Runs a schedule to its end. The error says what was broken.
    pub fn run(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.usize(40..160) {
            self.step(true)?;
        }
        for round in 0.. {
            self.step(false)?;
            if self.at_end() {
                break;
            }
            if round > 4_000 {
                return Err("it does not come to an end".into());
            }
        }
        for table in 0..2 {
            if self.source.rows(TableId(table)) != self.target.rows(TableId(table)) {
                return Err(format!("table {table} differs at the end"));
            }
        }
        Ok(())
    }

    fn at_end(&self) -> bool {
        let chunks = chunks(0).len() + chunks(1).len();
        self.landed.len() == chunks
            && self.drifted.is_empty()
            && self.source.hidden() == 0
            && self.target.applied() == self.source.head()
            && self.sent.is_empty()
    }

    fn step(&mut self, busy: bool) -> Result<(), String> {
        match self.rng.u8(..if busy { 102 } else { 74 }) {
            0..14 => self.source.reveal(),
            14..30 => self.deliver(),
            30..42 => self.poll()?,
            42..54 => self.execute()?,
            54..64 => self.hear()?,
            64..72 => self.work(),
            72 => self.ask_durable(),
            73 => self.verify()?,
            74..90 => self.commit(),
            90..95 => self.verify()?,
            95 => self.tamper(),
            96 => self.core.prove(&self.source.seen()),
            97 => self.crash(),
            98..100 => self.lose(),
            _ => self.lose_power(),
        }
        if self.core.wants_proof() {
            self.core.prove(&self.source.seen());
        }
        Ok(())
    }

    fn row(&mut self, id: i64) -> Row {
        self.next_value += 1;
        let unique = match self.rng.u8(..4) {
            0 => Value::Null,
            _ => Value::Integer(self.rng.i64(0..UNIQUES)),
        };
        let v = Value::Integer(self.next_value);
        [Value::Integer(id), unique, v.clone(), v].into()
    }

    fn commit(&mut self) {
        let mut stmts = Vec::new();
        for _ in 0..self.rng.usize(1..=3) {
            let table = TableId(self.rng.u16(..2));
            let id = self.rng.i64(0..KEYS);
            let other = self.rng.i64(0..KEYS);
            let row = self.row(id);
            let cell = |at: u16| (at, row[usize::from(at)].clone());
            let there = self.source.row(table, &key(id)).cloned();
            let both = self.source.row(table, &key(other)).cloned();
            let set = |id: i64, cells: Vec<(u16, Value)>| Stmt::Update(table, key(id), cells);
            let id_cell = |id: i64| vec![(0, Value::Integer(id))];
            match (there, both, self.rng.u8(..12)) {
                (None, _, _) => stmts.push(Stmt::Insert(table, row)),
                (Some(_), _, 0..3) => stmts.push(set(id, vec![cell(2)])),
                (Some(_), _, 3) => stmts.push(set(id, vec![cell(1), cell(3)])),
                (Some(_), _, 4..6) => stmts.push(Stmt::Delete(table, key(id))),
                (Some(_), _, 6) => {
                    stmts.push(Stmt::Delete(table, key(id)));
                    stmts.push(Stmt::Insert(table, row));
                }
                (Some(_), None, 7) => stmts.push(set(id, id_cell(other))),
                (Some(_), Some(_), 7) if id != other => stmts.extend([
                    set(id, id_cell(-1)),
                    set(other, id_cell(id)),
                    set(-1, id_cell(other)),
                ]),
                (Some(mine), Some(theirs), 8..10) if id != other => stmts.extend([
                    set(id, vec![(1, Value::Null)]),
                    set(other, vec![(1, mine[1].clone())]),
                    set(id, vec![(1, theirs[1].clone())]),
                ]),
                _ => stmts.push(Stmt::Replace(table, row)),
            }
        }
        self.tally.commits += u64::from(self.source.commit(&stmts).is_ok());
    }

    fn deliver(&mut self) {
        if !self.core.wants_feed() {
            return;
        }
        let item = self.source.deliver(&mut self.cursor);
        let item = self.source.spilled(item.unwrap_or(Item::Idle(self.cursor)));
        let item = item.unwrap();
        let large = matches!(&item, Item::Txn(txn) if txn.pieces().count() > 1);
        self.tally.large += u64::from(large);
        self.core.delivered(item);
    }

    fn poll(&mut self) -> Result<(), String> {
        match self.core.poll(Allow::ALL) {
            Some(Action::Apply(batch)) => {
                let act = Act::Apply(batch, self.landed.clone());
                self.sent.push((self.token, act, Sent::OnTheWay));
            }
            Some(Action::Land { ticket, landing }) => {
                let act = Act::Land(ticket, Box::new(landing));
                self.sent.push((self.token, act, Sent::OnTheWay));
            }
            Some(Action::Release(position)) if position > self.target.applied() => {
                return Err("released beyond the ledger".into());
            }
            Some(Action::Again(ticket)) => self.free(ticket, false),
            Some(Action::Release(_) | Action::Stopped { .. } | Action::Reached(_)) => {}
            None => self.tally.held += u64::from(self.core.held()),
        }
        Ok(())
    }

    /// Ends a worker's job: done, or to be done again.
    fn free(&mut self, ticket: Ticket, done: bool) {
        for worker in &mut self.workers {
            let (Worker::Begun(mine, job)
            | Worker::Viewed(mine, job, ..)
            | Worker::Handed(mine, job)) = worker
            else {
                continue;
            };
            if *mine == ticket {
                if let (Job::Chunk(chunk, _), false) = (&job, done) {
                    self.claimed.remove(chunk);
                }
                *worker = Worker::Idle;
            }
        }
    }

    /// Something that is on its way to the target gets there, in any order; also what a dead engine sent.
    fn execute(&mut self) -> Result<(), String> {
        let waiting: Vec<usize> = (0..self.sent.len())
            .filter(|at| matches!(self.sent[*at].2, Sent::OnTheWay))
            .collect();
        let Some(&at) = self.rng.choice(&waiting) else {
            return Ok(());
        };
        self.piecemeal(at)?;
        self.unguard(at);
        let (token, act, state) = &mut self.sent[at];
        let outcome = match act {
            Act::Apply(batch, _) => self.target.apply(*token, batch),
            Act::Land(_, landing) => self
                .target
                .land(*token, &opened(landing))
                .map(|_| Applied::default()),
        };
        let stale = *token != self.token;
        let done = outcome.is_ok();
        let landed = done && matches!(act, Act::Land(..));
        if let Err(fault) = &outcome
            && !stale
            && fault.code != WENT_BACK
        {
            return Err(format!("the target refuses: {fault}"));
        }
        *state = Sent::Executed(outcome);
        if stale {
            self.sent.swap_remove(at);
            return match done {
                true => Err("a dead engine's write was accepted".into()),
                false => Ok(()),
            };
        }
        self.check()?;
        if landed {
            self.sync();
        }
        Ok(())
    }

    /// An answer reaches the engine.
    fn hear(&mut self) -> Result<(), String> {
        let done = |(token, _, state): &(Token, Act, Sent)| {
            *token == self.token && matches!(state, Sent::Executed(_))
        };
        let answered: Vec<usize> = (0..self.sent.len())
            .filter(|at| done(&self.sent[*at]))
            .collect();
        let Some(&at) = self.rng.choice(&answered) else {
            return Ok(());
        };
        let (_, act, state) = self.sent.swap_remove(at);
        let Sent::Executed(outcome) = state else {
            return Ok(());
        };
        match (act, outcome) {
            (Act::Apply(_, landed), Ok(applied)) => {
                self.core.applied();
                for (table, key) in applied.missed {
                    let id = id_of(&key);
                    let drift = self.tampered.contains(&(table.0, id));
                    if landed.contains(&chunk_of(table.0, id)) && !drift {
                        return Err(format!("an update of {table}/{id} found no row"));
                    }
                }
            }
            (_, Err(fault)) if fault.code == WENT_BACK => self.reopen(),
            (Act::Apply(..), Err(_)) => self.core.not_applied(),
            (Act::Land(ticket, landing), Ok(_)) => self.landed(ticket, &landing),
            (Act::Land(ticket, _), Err(_)) => self.core.not_landed(ticket),
        }
        Ok(())
    }

    fn landed(&mut self, ticket: Ticket, landing: &Landing) {
        self.core.landed(ticket);
        self.tally.landed += 1;
        self.landed
            .extend(landing.mark.as_ref().map(|mark| mark.chunk));
        self.free(ticket, true);
    }

    fn work(&mut self) {
        let at = self.rng.usize(..self.workers.len());
        let worker = std::mem::replace(&mut self.workers[at], Worker::Idle);
        self.workers[at] = match worker {
            Worker::Idle => match self.claim() {
                Some(job) => Worker::Begun(self.core.begin(), job),
                None => Worker::Idle,
            },
            Worker::Begun(ticket, job)
                if !self.setting.views_too_early && !self.source.shows(self.fed_from) =>
            {
                Worker::Begun(ticket, job)
            }
            Worker::Begun(ticket, job) => {
                Worker::Viewed(ticket, job, Box::new(self.source.snapshot()), None)
            }
            Worker::Viewed(ticket, job, view, None) => {
                let barrier = self.source.barrier(&view.seen);
                Worker::Viewed(ticket, job, view, Some(barrier))
            }
            Worker::Viewed(ticket, job, ..) if self.rng.u8(..20) == 0 => {
                self.core.cancel(ticket);
                self.workers[at] = Worker::Begun(ticket, job);
                self.free(ticket, false);
                Worker::Idle
            }
            Worker::Viewed(ticket, job, view, Some(barrier)) => {
                let (table, pick, chunk) = match job.clone() {
                    Job::Chunk(chunk, range) => (chunk.table, Pick::Range(range), Some(chunk)),
                    Job::Keys(table, keys) => (table, Pick::Keys(keys), None),
                };
                let rows = view.rows(table, &pick).iter().collect();
                let rows = match chunk {
                    Some(_) if self.rng.bool() => sealed(&rows),
                    _ => rows,
                };
                self.core.read(
                    ticket,
                    ChunkRead {
                        table,
                        rows,
                        seen: view.seen,
                        barrier,
                        pick,
                        chunk,
                        keep_before: false,
                    },
                );
                Worker::Handed(ticket, job)
            }
            handed @ Worker::Handed(..) => handed,
        };
    }

    fn claim(&mut self) -> Option<Job> {
        let drifted: Vec<(u16, i64)> = self.drifted.iter().copied().collect();
        if self.rng.u8(..4) == 0
            && let Some((table, id)) = self.rng.choice(drifted)
        {
            return Some(Job::Keys(TableId(table), vec![key(id)]));
        }
        if self.rng.u8(..12) == 0 {
            let keys: BTreeSet<i64> = (0..3).map(|_| self.rng.i64(0..KEYS)).collect();
            let table = TableId(self.rng.u16(..2));
            return Some(Job::Keys(table, keys.into_iter().map(key).collect()));
        }
        let all = (0..2).flat_map(chunks);
        let free: Vec<_> = all.filter(|(c, _)| !self.claimed.contains(c)).collect();
        let (chunk, range) = self.rng.choice(free)?;
        self.claimed.insert(chunk);
        Some(Job::Chunk(chunk, range))
    }

    /// Somebody else writes to the target: a row is lost or wrong.
    fn tamper(&mut self) {
        let (table, id) = (self.rng.u16(..2), self.rng.i64(0..KEYS));
        let Some(mut row) = self.target.row(TableId(table), &key(id)).cloned() else {
            return;
        };
        let row = match self.rng.bool() {
            true => None,
            false => {
                row[2] = Value::Integer(-1);
                Some(row)
            }
        };
        self.target.tamper(TableId(table), &key(id), row);
        self.drifted.insert((table, id));
        self.tampered.insert((table, id));
    }

    fn advance_truth(&mut self, upto: Position) {
        for change in self.source.truth(self.truth_at, upto) {
            let (rows, id) = (
                &mut self.truth[usize::from(change.table.0)],
                id_of(&change.key),
            );
            match &change.image {
                Image::Present(row) => drop(rows.insert(id, row.clone())),
                _ => drop(rows.remove(&id)),
            }
        }
        self.truth_at = upto;
    }

    /// Every row of the target is the source's at the applied position, and in landed ranges none is missing.
    fn check(&mut self) -> Result<(), String> {
        self.advance_truth(self.target.applied());
        if let Some((table, key)) = self.target.surprises.pop()
            && !self.tampered.contains(&(table.0, id_of(&key)))
        {
            return Err(format!("an INSERT of {table}/{key} found a row"));
        }
        let landed: BTreeSet<ChunkId> = self.target.marks().map(|mark| mark.chunk).collect();
        for (table, truth) in (0..).zip(&self.truth) {
            let rows = self.target.rows(TableId(table));
            let there: BTreeMap<i64, &Row> = rows
                .into_iter()
                .map(|row| match row[0] {
                    Value::Integer(id) => (id, row),
                    _ => unreachable!("keys are integers here"),
                })
                .collect();
            let ids: BTreeSet<i64> = there.keys().chain(truth.keys()).copied().collect();
            for id in ids {
                let (is, ought) = (there.get(&id).copied(), truth.get(&id));
                if is == ought {
                    self.drifted.remove(&(table, id));
                    continue;
                }
                let missing_is_fine = is.is_none() && !landed.contains(&chunk_of(table, id));
                if !missing_is_fine && !self.drifted.contains(&(table, id)) {
                    return Err(format!(
                        "at {} row {table}/{id} is {is:?}, ought to be {ought:?}",
                        self.target.applied()
                    ));
                }
            }
            self.drifted
                .retain(|(t, id)| *t != table || there.contains_key(id) || truth.contains_key(id));
        }
        Ok(())
    }

    /// One step of a comparison of both sides while everything moves.
    fn verify(&mut self) -> Result<(), String> {
        self.verifier = match std::mem::replace(&mut self.verifier, Verifier::Idle) {
            Verifier::Idle => Verifier::Watching(self.core.watch()),
            Verifier::Watching(watch) => {
                let marks = self.target.marks().map(|mark| mark.chunk).collect();
                Verifier::HalfRead(watch, Box::new(self.target.snapshot()), marks)
            }
            Verifier::HalfRead(watch, target, marks) if !self.source.shows(self.fed_from) => {
                Verifier::HalfRead(watch, target, marks)
            }
            Verifier::HalfRead(watch, target, marks) => {
                let source = self.source.snapshot();
                let barrier = self.source.barrier(&source.seen);
                Verifier::Read(watch, target, Box::new(source), barrier, marks)
            }
            Verifier::Read(watch, target, source, barrier, marks) => {
                if !self.core.reached(barrier) {
                    self.verifier = Verifier::Read(watch, target, source, barrier, marks);
                    return Ok(());
                }
                let outcome = self.compare(watch, &target, &source, &marks);
                self.core.unwatch(watch);
                outcome?;
                Verifier::Idle
            }
        };
        Ok(())
    }

    fn compare(
        &mut self,
        watch: WatchId,
        target: &Snapshot,
        source: &Snapshot,
        marks: &BTreeSet<ChunkId>,
    ) -> Result<(), String> {
        for chunk in marks {
            let Some((_, range)) = chunks(chunk.table.0).into_iter().find(|(c, _)| c == chunk)
            else {
                continue;
            };
            let changed = match self
                .core
                .changed(watch, chunk.table, &source.seen, target.applied)
            {
                Changed::Keys(keys) => keys,
                Changed::Lost => continue,
                Changed::NotYet => return Err("the barrier is reached, yet not yet".into()),
            };
            self.tally.compared += 1;
            self.tally.between += u64::from(!changed.is_empty());
            let rows = |side: &Snapshot| -> BTreeMap<i64, Row> {
                side.rows(chunk.table, &Pick::Range(range.clone()))
                    .into_iter()
                    .map(|row| match row[0] {
                        Value::Integer(id) => (id, row),
                        _ => unreachable!("keys are integers here"),
                    })
                    .filter(|(id, _)| !changed.contains(&key(*id)))
                    .filter(|(id, _)| !self.tampered.contains(&(chunk.table.0, *id)))
                    .collect()
            };
            let (left, right) = (rows(source), rows(target));
            if left != right {
                return Err(format!(
                    "a false difference in {chunk} at {} against {:?}, less {changed:?}:\n{left:?}\n{right:?}",
                    target.applied, source.seen
                ));
            }
        }
        Ok(())
    }
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.commits += other.commits;
        self.landed += other.landed;
        self.held += other.held;
        self.crashes += other.crashes;
        self.gone_back += other.gone_back;
        self.lost_replies += other.lost_replies;
        self.compared += other.compared;
        self.between += other.between;
        self.large += other.large;
    }
}
