//! What engine tests share: a shop on the source, an empty target, a plan of both, an engine over them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate::db::{Endpoint, sqlite};
use tidegate::domain::command::{Answer, Command, Query, Reply, Request, Role};
use tidegate::domain::event::Phase;
use tidegate::domain::id::{CommandId, MigrationName, Seq, SessionId, Who};
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine as Kind, Environment, Plan, Prune, ShadowQuery, Side, Throttle,
    Verify,
};
use tidegate::domain::unit::{Bytes, RowsPerSecond, Span};
use tidegate::engine::{self, Ask, Engine};
use tidegate::journal::paths::StateDir;
use tidegate::state::migration::Migration;

/// Two files and a state folder.
pub struct World {
    pub folder: tempfile::TempDir,
    pub source: PathBuf,
    pub target: PathBuf,
    pub pace: Option<u64>,
    pub chunk_bytes: u64,
    pub max_age: Span,
    pub shadow: Vec<ShadowQuery>,
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("old.db"), folder.path().join("new.db"));
        Self {
            folder,
            source,
            target,
            pace: None,
            chunk_bytes: 8 << 20,
            max_age: Span::seconds(3),
            shadow: Vec::new(),
        }
    }

    /// A shop of so many rows on the source.
    pub fn shop(rows: u64) -> Self {
        let world = Self::new();
        tidegate::demo::shop::build(&world.source, rows, 7).unwrap();
        world
    }

    pub fn name(&self) -> MigrationName {
        MigrationName::new("shop").unwrap()
    }

    pub fn dir(&self) -> StateDir {
        StateDir::new(self.folder.path().join("state"), &self.name())
    }

    pub async fn ends(&self) -> (Arc<dyn Endpoint>, Arc<dyn Endpoint>) {
        let source = sqlite::open(&self.source, Side::Source).await.unwrap();
        let target = sqlite::open(&self.target, Side::Target).await.unwrap();
        (source, target)
    }

    pub async fn plan(&self, source: &Arc<dyn Endpoint>) -> Plan {
        let survey = source.survey().await.unwrap();
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
                chunk_time: Span::millis(500),
                chunk_bytes: Bytes(self.chunk_bytes),
                workers: 1,
                max_rows_per_second: self.pace.map(RowsPerSecond),
            },
            throttle: Throttle {
                max_lag: Span::seconds(3),
                max_lock_wait: Span::millis(500),
                stale_after: Span::seconds(15),
            },
            verify: Verify {
                max_age: self.max_age,
                max_rows_per_second: None,
            },
            shadow: self.shadow.clone(),
            prune: Prune::Auto,
            adopt: Vec::new(),
        }
    }

    pub async fn start(&self) -> Running {
        self.start_until(None).await
    }

    pub async fn start_until(&self, until: Option<Phase>) -> Running {
        let (source, target) = self.ends().await;
        let plan = self.plan(&source).await;
        let dir = self.dir();
        dir.create().unwrap();
        let options = engine::Options {
            plan,
            hash: "test".into(),
            changed: Vec::new(),
            source,
            target,
            dir,
            until,
        };
        let engine = engine::start(options).await.unwrap();
        let running = Running {
            engine,
            next: std::sync::atomic::AtomicU64::new(1),
        };
        running.arrive().await;
        running
    }
}

/// An engine with one console on it.
pub struct Running {
    pub engine: Engine,
    next: std::sync::atomic::AtomicU64,
}

pub fn me() -> Who {
    Who::Person {
        uid: 1_000,
        name: "ana".into(),
    }
}

impl Running {
    async fn arrive(&self) {
        let (done, recorded) = tokio::sync::oneshot::channel();
        let ask = Ask::Arrive {
            session: SessionId(1),
            who: me(),
            role: Role::Operator,
            from: "test".into(),
            done,
        };
        self.engine.asks.send(ask).await.unwrap();
        recorded.await.unwrap();
    }

    pub async fn state(&self) -> Arc<Migration> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let asked = self.engine.asks.send(Ask::Snapshot(reply)).await.is_ok();
        match answer.await {
            Ok(state) if asked => state,
            _ => panic!(
                "the engine has ended; its last facts:\n{}",
                self.last_facts().await
            ),
        }
    }

    /// The end of the journal, for a test that fails.
    async fn last_facts(&self) -> String {
        let mut reader = tidegate::journal::Reader::open(&self.engine.journal)
            .await
            .unwrap();
        let head = reader.head().await.unwrap().seq.0;
        let events = reader
            .events(Seq(head.saturating_sub(20).max(1)), 30)
            .await
            .unwrap();
        events
            .iter()
            .map(|event| format!("{} {:?}\n", event.seq, event.body))
            .collect()
    }

    /// Waits until the state is as asked for; shows it when it never is.
    pub async fn until(&self, what: &str, is: impl Fn(&Migration) -> bool) -> Arc<Migration> {
        let began = Instant::now();
        loop {
            let state = self.state().await;
            if is(&state) {
                return state;
            }
            if began.elapsed() > Duration::from_secs(60) {
                let lines: Vec<String> = state
                    .timeline
                    .iter()
                    .map(|l| format!("{} {}: {}", l.seq, l.who, l.text))
                    .collect();
                panic!(
                    "never {what}: phase {:?}, drift {:?}, sample {:?}\n{}",
                    state.phase,
                    state.drift(),
                    state.sample,
                    lines.join("\n")
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn send(&self, command: Command) -> Reply {
        let id = CommandId(self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let request = Request {
            id,
            session: SessionId(1),
            who: me(),
            role: Role::Operator,
            seen: Seq(0),
            command,
            reason: None,
        };
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.engine
            .asks
            .send(Ask::Request(request, reply))
            .await
            .unwrap();
        answer.await.unwrap()
    }

    pub async fn query(&self, query: Query) -> Answer {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.engine
            .asks
            .send(Ask::Query(query, reply))
            .await
            .unwrap();
        answer.await.unwrap()
    }

    pub async fn park(self) {
        assert!(matches!(
            self.send(Command::Park).await,
            Reply::Accepted { .. }
        ));
        self.engine.done.await.unwrap().unwrap();
    }
}

/// Both files hold the same rows, by a compare that shares no code with the engine.
pub fn assert_equal(world: &World) {
    let comparison =
        tidegate::demo::compare::compare(&world.source, &world.target, &["tidegate_*"]).unwrap();
    assert!(comparison.equal(), "{comparison}");
}
