//! What engine tests share: a shop on the source, an empty target, a plan of both, an engine over them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod app;
pub mod child;
pub mod facts;

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidegate::db::{Endpoint, Sizes, sqlite};
use tidegate::domain::command::{Answer, Command, Query, Reply, Request, Role};
use tidegate::domain::event::Phase;
use tidegate::domain::fault::{Fault, Result};
use tidegate::domain::id::{CommandId, MigrationName, Seq, SessionId, Who};
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine as Kind, Environment, Plan, Prune, ShadowQuery, Side, SignalPlan,
    Throttle, Verify,
};
use tidegate::domain::unit::{Bytes, RowsPerSecond, Span};
use tidegate::engine::{self, Ask, Engine, Exit};
use tidegate::journal::paths::StateDir;
use tidegate::signal::command::Program;
use tidegate::signal::{From, Outside, Probe};
use tidegate::state::migration::Migration;

/// How long anything may take before a test says that it never came: a busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a plan is made with. Goes to an engine in a process of its own as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    pub pace: Option<u64>,
    pub chunk_bytes: u64,
    pub chunk_time: Span,
    pub max_age: Span,
    pub max_lag: Span,
    pub max_lock_wait: Span,
    pub stale_after: Span,
    pub shadow: Vec<ShadowQuery>,
    pub prune: Prune,
    pub hash: String,
    /// Signals, each with how it is read.
    pub signals: Vec<(SignalPlan, Read)>,
}

/// How a signal is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Read {
    Command(Vec<String>),
    Sql(Side, String),
}

impl Settings {
    fn probes(&self, folder: &Path) -> Vec<Probe> {
        let probe = |(plan, read): &(SignalPlan, Read)| Probe {
            name: plan.name.clone(),
            from: match read.clone() {
                Read::Sql(on, sql) => From::Sql { on, sql },
                Read::Command(mut words) => From::Outside(Outside::Command(Program {
                    program: words.remove(0),
                    args: words,
                    folder: folder.to_owned(),
                })),
            },
        };
        self.signals.iter().map(probe).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pace: None,
            chunk_bytes: 8 << 20,
            chunk_time: Span::millis(500),
            max_age: Span::seconds(3),
            max_lag: Span::seconds(3),
            max_lock_wait: Span::millis(500),
            stale_after: Span::seconds(15),
            shadow: Vec::new(),
            prune: Prune::Auto,
            hash: "test".into(),
            signals: Vec::new(),
        }
    }
}

/// Two files and a state folder. The folder goes when the world that made it goes.
pub struct World {
    pub folder: PathBuf,
    pub source: PathBuf,
    pub target: PathBuf,
    pub state: PathBuf,
    pub set: Settings,
    kept: Option<tempfile::TempDir>,
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        log();
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().to_path_buf();
        Self {
            kept: Some(kept),
            ..Self::at(&folder, Settings::default())
        }
    }

    /// The world in a folder that somebody else keeps.
    pub fn at(folder: &Path, set: Settings) -> Self {
        Self {
            folder: folder.to_path_buf(),
            source: folder.join("old.db"),
            target: folder.join("new.db"),
            state: folder.join("state"),
            set,
            kept: None,
        }
    }

    /// A shop of so many rows on the source, and a table that no application writes to.
    pub fn shop(rows: u64) -> Self {
        let world = Self::new();
        tidegate::demo::shop::build(&world.source, rows, 7).unwrap();
        world
    }

    /// A source made by these statements, in WAL mode.
    pub fn with(schema: &str) -> Self {
        let world = Self::new();
        world
            .source()
            .execute_batch(&format!("PRAGMA journal_mode = WAL; {schema}"))
            .unwrap();
        world
    }

    /// Somebody's connection to the source: triggers on, foreign keys off, five seconds of patience.
    pub fn source(&self) -> rusqlite::Connection {
        somebody(&self.source)
    }

    /// The same on the target: the guards see it.
    pub fn target(&self) -> rusqlite::Connection {
        somebody(&self.target)
    }

    /// A connection to the target that the guards do not see.
    pub fn behind(&self) -> rusqlite::Connection {
        let conn = somebody(&self.target);
        let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        conn.set_db_config(off, false).unwrap();
        conn
    }

    pub fn name(&self) -> MigrationName {
        MigrationName::new("shop").unwrap()
    }

    pub fn dir(&self) -> StateDir {
        StateDir::new(&self.state, &self.name())
    }

    pub async fn ends(&self) -> (Arc<dyn Endpoint>, Arc<dyn Endpoint>) {
        let source = sqlite::open(&self.source, Side::Source).await.unwrap();
        let target = sqlite::open(&self.target, Side::Target).await.unwrap();
        (source, target)
    }

    pub async fn plan(&self, source: &Arc<dyn Endpoint>) -> Plan {
        let survey = source.survey(Sizes::Told).await.unwrap();
        let end = |path: &Path| EndPlan {
            engine: Kind::Sqlite,
            url: format!("sqlite://{}", path.display()),
            label: path.file_name().unwrap().to_string_lossy().into(),
        };
        Plan {
            name: self.name(),
            environment: Environment::Dev,
            source: end(&self.source),
            target: end(&self.target),
            tables: survey.tables.into_iter().map(|t| t.table).collect(),
            backfill: Backfill {
                chunk_time: self.set.chunk_time,
                chunk_bytes: Bytes(self.set.chunk_bytes),
                workers: 1,
                max_rows_per_second: self.set.pace.map(RowsPerSecond),
            },
            throttle: Throttle {
                max_lag: self.set.max_lag,
                max_lock_wait: self.set.max_lock_wait,
                stale_after: self.set.stale_after,
                ..Throttle::default()
            },
            verify: Verify {
                max_age: self.set.max_age,
                max_rows_per_second: None,
            },
            shadow: self.set.shadow.clone(),
            prune: self.set.prune,
            adopt: Vec::new(),
            signals: self
                .set
                .signals
                .iter()
                .map(|(plan, _)| plan.clone())
                .collect(),
            wal_space: None,
        }
    }

    pub async fn start(&self) -> Running {
        self.start_until(None).await
    }

    pub async fn start_until(&self, until: Option<Phase>) -> Running {
        self.try_start(until).await.unwrap()
    }

    /// Starts an engine with the plan as the source is now.
    pub async fn try_start(&self, until: Option<Phase>) -> Result<Running> {
        let (source, target) = self.ends().await;
        let plan = self.plan(&source).await;
        self.start_with(plan, source, target, until).await
    }

    pub async fn start_with(
        &self,
        plan: Plan,
        source: Arc<dyn Endpoint>,
        target: Arc<dyn Endpoint>,
        until: Option<Phase>,
    ) -> Result<Running> {
        let dir = self.dir();
        dir.create()?;
        let options = engine::Options {
            plan,
            hash: self.set.hash.clone(),
            changed: Vec::new(),
            source,
            target,
            probes: self.set.probes(&self.folder),
            dir,
            until,
        };
        let mut engine = engine::start(options).await?;
        let done = std::mem::replace(&mut engine.done, tokio::spawn(async { Ok(Exit::Parked) }));
        let running = Running {
            engine,
            done: tokio::sync::Mutex::new(Some(done)),
            next: AtomicU64::new(1),
        };
        running.arrive(1, me(), Role::Operator).await;
        Ok(running)
    }
}

/// With `TIDEGATE_TEST_LOG` set to a file, the engine's own log goes there: for looking at a test that fails.
pub fn log() {
    let Some(path) = std::env::var_os("TIDEGATE_TEST_LOG") else {
        return;
    };
    let mut options = std::fs::OpenOptions::new();
    let file = options.append(true).create(true).open(path).unwrap();
    // A second test in this process finds it set.
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::sync::Mutex::new(file))
        .with_ansi(false)
        .try_init();
}

fn somebody(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.busy_timeout(Duration::from_secs(5)).unwrap();
    conn.pragma_update(None, "foreign_keys", false).unwrap();
    conn
}

/// An engine with one console on it.
pub struct Running {
    pub engine: Engine,
    done: tokio::sync::Mutex<Option<tokio::task::JoinHandle<Result<Exit>>>>,
    next: AtomicU64,
}

pub fn me() -> Who {
    person(1_000, "ana")
}

pub fn person(uid: u32, name: &str) -> Who {
    Who::Person {
        uid,
        name: name.into(),
    }
}

impl Running {
    /// A console attaches.
    pub async fn arrive(&self, session: u64, who: Who, role: Role) {
        let (done, recorded) = tokio::sync::oneshot::channel();
        let ask = Ask::Arrive {
            session: SessionId(session),
            who,
            role,
            from: "test".into(),
            done,
        };
        self.ask(ask).await;
        self.answer(recorded).await;
    }

    pub async fn leave(&self, session: u64) {
        self.ask(Ask::Leave(SessionId(session))).await;
    }

    async fn ask(&self, ask: Ask) {
        if self.engine.asks.send(ask).await.is_err() {
            self.ended_early().await;
        }
    }

    async fn answer<T>(&self, answer: tokio::sync::oneshot::Receiver<T>) -> T {
        match answer.await {
            Ok(answer) => answer,
            Err(_) => self.ended_early().await,
        }
    }

    async fn ended_early(&self) -> ! {
        let ended = self.ended().await;
        panic!("the engine ended: {ended:?}")
    }

    /// Waits until the engine has ended by itself.
    pub async fn ended(&self) -> Result<Exit> {
        let done = self.done.lock().await.take();
        let done = done.expect("asked once");
        tokio::time::timeout(PATIENCE, done)
            .await
            .expect("the engine never ended")
            .unwrap()
    }

    /// Ends it as Ctrl-C does, and waits.
    pub async fn stop(&self) -> Result<Exit> {
        self.engine.stop.cancel();
        self.ended().await
    }

    pub async fn state(&self) -> Arc<Migration> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.ask(Ask::Snapshot(reply)).await;
        self.answer(answer).await
    }

    /// Waits until the state is as asked for; shows it when it never is.
    pub async fn until(&self, what: &str, is: impl Fn(&Migration) -> bool) -> Arc<Migration> {
        let began = Instant::now();
        loop {
            let state = self.state().await;
            if is(&state) {
                return state;
            }
            assert!(began.elapsed() < PATIENCE, "never {what}: {}", told(&state));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything the application has written so far is applied.
    pub async fn drained(&self) -> Arc<Migration> {
        // The sample must be newer than this question: two of them, a second apart each, are.
        let asked = self.state().await.tick;
        let newer = Span::millis(1_500);
        self.until("drained", |s| {
            let quiet = s.sample.waiting == 0 && s.sample.head == s.sample.applied;
            quiet && s.sample_tick.since(asked) >= newer
        })
        .await
    }

    pub async fn send(&self, command: Command) -> Reply {
        self.send_as(1, me(), Role::Operator, command).await
    }

    pub async fn send_as(&self, session: u64, who: Who, role: Role, command: Command) -> Reply {
        let id = CommandId(self.next.fetch_add(1, Ordering::Relaxed));
        let request = Request {
            id,
            session: SessionId(session),
            who,
            role,
            seen: Seq(0),
            command,
            reason: None,
        };
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.ask(Ask::Request(request, reply)).await;
        self.answer(answer).await
    }

    /// Sends what must be accepted.
    pub async fn order(&self, command: Command) -> Seq {
        match self.send(command.clone()).await {
            Reply::Accepted { seq } => seq,
            Reply::Refused(fault) => panic!("{command:?} was refused: {fault}"),
        }
    }

    pub async fn query(&self, query: Query) -> Answer {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.ask(Ask::Query(query, reply)).await;
        self.answer(answer).await
    }

    pub async fn park(&self) {
        self.order(Command::Park).await;
        let began = Instant::now();
        assert_eq!(self.ended().await.unwrap(), Exit::Parked);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(9), "parking took {took:?}");
    }
}

/// A refusal, or the test fails.
pub fn refused(reply: Reply) -> Fault {
    match reply {
        Reply::Refused(fault) => fault,
        Reply::Accepted { .. } => panic!("it was accepted"),
    }
}

/// What a failed test shows of a migration.
pub fn told(state: &Migration) -> String {
    let lines: Vec<String> = state
        .timeline
        .iter()
        .rev()
        .take(60)
        .rev()
        .map(|l| format!("{} {}: {}", l.seq, l.who, l.text))
        .collect();
    format!(
        "phase {:?}, pauses {:?}, drift {:?}, sample {:?}\n{}",
        state.phase,
        state.pauses,
        state.drift(),
        state.sample,
        lines.join("\n")
    )
}

/// Both files hold the same rows, by a compare that shares no code with the engine.
pub fn assert_equal(world: &World) {
    let comparison =
        tidegate::demo::compare::compare(&world.source, &world.target, &["tidegate_*"]).unwrap();
    assert!(comparison.equal(), "{comparison}");
    assert!(comparison.rows() > 0, "a compare of nothing");
}

/// Waits until something outside of the engine is so.
pub async fn wait(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many random rounds: `TIDEGATE_SEEDS`, else the full or the quick number.
pub fn seeds(quick: u64, full: u64) -> u64 {
    let asked = std::env::var("TIDEGATE_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok());
    asked.unwrap_or(if std::env::var_os("TIDEGATE_FULL").is_some() {
        full
    } else {
        quick
    })
}
