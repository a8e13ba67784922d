//! A lane between two databases in memory, workers that copy, an application that writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate::db::Part;
use tidegate::db::sim::{Base, Definition, Kind, Refused, Sim, Stmt};
use tidegate::domain::fault::{Kind as FaultKind, Result};
use tidegate::domain::id::{ChunkId, MigrationName, TableId};
use tidegate::domain::key::{Bound, Collation, Key, Pick, Range};
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine, Environment, Plan, Prune, Side, Throttle, Verify,
};
use tidegate::domain::position::Position;
use tidegate::domain::table::{Column, KeySpec, Mode, Table};
use tidegate::domain::unit::{Bytes, Span};
use tidegate::domain::value::{Row, Value};
use tidegate::engine::decide::Controls;
use tidegate::engine::lane::{ChunkRead, Lane, LaneHandle, Options};
use tidegate::engine::report::Report;
use tidegate::engine::site::Site;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The only table.
pub const T: TableId = TableId(0);
/// How long anything here may take; a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stand {
    pub source: Arc<Sim>,
    pub target: Arc<Sim>,
    pub site: Site,
    pub controls: watch::Sender<Controls>,
    pub reports: mpsc::Receiver<Report>,
    pub lane: LaneHandle,
    pub task: JoinHandle<Result<()>>,
}

pub fn key(id: i64) -> Key {
    Key::normal([Value::Integer(id)], &[Collation::Binary])
}

pub fn row(id: i64, unique: i64, value: i64) -> Row {
    [id, unique, value, 7].map(Value::Integer).into()
}

fn definition() -> Definition {
    let column = |name: &str| Column {
        name: name.into(),
        declared: String::new(),
        masked: false,
        becomes: String::new(),
    };
    Definition {
        table: Table {
            source: "t".into(),
            target: "t".into(),
            columns: ["id", "u", "v", "big"].map(column).into(),
            mode: Mode::Live(KeySpec {
                columns: vec![0],
                collations: vec![Collation::Binary],
            }),
            shape: "first".into(),
        },
        unique: vec![vec![1]],
        toast: Some(3),
    }
}

fn plan() -> Plan {
    let end = EndPlan {
        engine: Engine::Sim,
        url: "sim:".into(),
        label: "sim".into(),
    };
    Plan {
        name: MigrationName::new("lane").unwrap(),
        environment: Environment::Dev,
        source: end.clone(),
        target: end,
        tables: vec![definition().table],
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
    }
}

impl Stand {
    /// A source with `rows` rows, an empty target, a running lane.
    pub async fn new(kind: Kind, rows: i64, options: Options) -> Self {
        let source = Sim::new(Base::new(kind, vec![definition()], 5));
        let target = Sim::new(Base::new(Kind::DirtyKeys, vec![definition()], 6));
        let first: Vec<Stmt> = (0..rows)
            .map(|id| Stmt::Insert(T, row(id, id, 0)))
            .collect();
        source.commit(&first).unwrap();
        let plan = Arc::new(plan());
        let (from, to) = (source.end(Side::Source), target.end(Side::Target));
        from.install(Part::Capture, &plan).await.settled().unwrap();
        to.install(Part::Ledger, &plan).await.settled().unwrap();
        let (reports, told) = mpsc::channel(1024);
        let controls = watch::Sender::new(Controls::default());
        let site = Site {
            plan: Arc::clone(&plan),
            source: from,
            target: to,
            reports,
            controls: controls.subscribe(),
            stop: CancellationToken::new(),
        };
        let writer = site.target.writer(&plan).await.unwrap();
        let head = source.with(|base| base.head());
        writer.begin_at(head).await.settled().unwrap();
        let (lane, handle) = Lane::open_with(site.clone(), writer, options)
            .await
            .unwrap();
        Self {
            source,
            target,
            task: tokio::spawn(lane.run()),
            site,
            controls,
            reports: told,
            lane: handle,
        }
    }

    /// Opens the lane anew, as the engine does when one has ended.
    pub async fn reopen(&mut self) {
        self.site.stop = CancellationToken::new();
        let writer = self.site.target.writer(&self.site.plan).await.unwrap();
        let (lane, handle) = Lane::open(self.site.clone(), writer).await.unwrap();
        self.task = tokio::spawn(lane.run());
        self.lane = handle;
    }

    /// Copies the table in chunks of `size` keys with `workers` at once.
    pub async fn copy(&self, keys: i64, size: i64, workers: usize) {
        let cuts: Vec<i64> = (1..)
            .map(|n| n * size)
            .take_while(|cut| *cut < keys)
            .collect();
        let bound = |id: i64| Bound([Value::Integer(id)].into());
        let ranges: Vec<Range> = (0..=cuts.len())
            .map(|no| Range {
                lo: no.checked_sub(1).map(|i| bound(cuts[i])),
                hi: cuts.get(no).map(|cut| bound(*cut)),
            })
            .collect();
        let chunks: Vec<_> = (0..).zip(ranges).collect();
        let tasks: Vec<_> = (0..workers)
            .map(|worker| {
                let mine: Vec<_> = chunks
                    .iter()
                    .skip(worker)
                    .step_by(workers)
                    .cloned()
                    .collect();
                let (lane, site) = (self.lane.clone(), self.site.clone());
                tokio::spawn(async move {
                    for (no, range) in mine {
                        let chunk = ChunkId { table: T, no };
                        copy(&lane, &site, chunk, range).await.unwrap();
                    }
                })
            })
            .collect();
        within(async {
            for task in tasks {
                task.await.unwrap();
            }
        })
        .await;
    }

    /// Starts an application that commits until told to stop; reads see its transactions late.
    pub fn application(&self, seed: u64, keys: i64) -> Application {
        let stop = CancellationToken::new();
        let (source, ended) = (Arc::clone(&self.source), stop.clone());
        let task = tokio::spawn(async move {
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut commits = 0;
            while !ended.is_cancelled() {
                commits += u64::from(write(&source, &mut chance, keys));
                if chance.u8(..3) == 0 {
                    source.with(|base| base.reveal());
                }
                tokio::task::yield_now().await;
            }
            source.with(|base| base.reveal_all());
            commits
        });
        Application { stop, task }
    }

    /// Waits until the target's ledger has everything the source has.
    pub async fn drained(&self) {
        let head = self.source.with(|base| base.head());
        self.lane
            .wait_applied(tidegate::domain::position::Barrier::At(head))
            .await
            .unwrap();
    }

    /// Waits until this holds.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..4_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not in time: {what}");
    }

    /// The next report that this wants.
    pub async fn report<R>(&mut self, wanted: impl Fn(&Report) -> Option<R>) -> R {
        within(async {
            loop {
                let report = self.reports.recv().await.expect("the lane tells");
                if let Some(found) = wanted(&report) {
                    return found;
                }
            }
        })
        .await
    }

    pub fn ledger(&self) -> Position {
        self.target.with(|base| base.applied())
    }

    pub fn rows(&self, side: Side) -> BTreeMap<i64, Row> {
        let sim = if side == Side::Source {
            &self.source
        } else {
            &self.target
        };
        sim.with(|base| {
            let rows = base.rows(T).into_iter();
            rows.map(|row| match row[0] {
                Value::Integer(id) => (id, row.clone()),
                _ => unreachable!("keys are integers here"),
            })
            .collect()
        })
    }

    pub fn assert_equal(&self) {
        assert_eq!(self.rows(Side::Source), self.rows(Side::Target));
    }
}

pub struct Application {
    stop: CancellationToken,
    task: JoinHandle<u64>,
}

impl Application {
    /// Stops it; how many transactions it committed.
    pub async fn stop(self) -> u64 {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn write(source: &Sim, chance: &mut fastrand::Rng, keys: i64) -> bool {
    let (id, other) = (chance.i64(0..keys), chance.i64(0..keys));
    let value = chance.i64(0..1_000_000);
    let new = row(id, id, value);
    let stmt = match chance.u8(..8) {
        0..4 => Stmt::Update(T, key(id), vec![(2, Value::Integer(value))]),
        4 => Stmt::Delete(T, key(id)),
        5 => Stmt::Update(T, key(id), vec![(0, Value::Integer(other))]),
        6 => Stmt::Replace(T, row(id, other, value)),
        _ => Stmt::Insert(T, new),
    };
    match source.with(|base| base.commit(&[stmt])) {
        Ok(_) => true,
        Err(Refused::Waits) => {
            source.with(|base| base.reveal());
            false
        }
        Err(_) => false,
    }
}

/// One chunk, read again as often as the lane asks for it.
pub async fn copy(lane: &LaneHandle, site: &Site, chunk: ChunkId, range: Range) -> Result<()> {
    loop {
        let intent = lane.begin().await?;
        let mut view = site.source.view(&site.plan).await?;
        let barrier = view.barrier().await?;
        let pick = Pick::Range(range.clone());
        let rows = view.rows(chunk.table, &pick, Bytes(u64::MAX)).await?.rows;
        let read = ChunkRead {
            table: chunk.table,
            seen: view.seen().clone(),
            barrier,
            pick,
            rows,
            chunk: Some(chunk),
            keep_before: false,
        };
        match lane.land(intent, read).await {
            Err(fault) if fault.kind == FaultKind::Transient => {}
            ended => return ended.map(drop),
        }
    }
}

pub async fn within<T>(act: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, act)
        .await
        .expect("it takes too long")
}
