//! One file, one database, a plan between them, and who writes and compares beside the engine.

use crate::support::{Running, World};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _, Row as _, ValueRef as _};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tidegate::config;
use tidegate::db::{Endpoint, Sizes, Survey, postgres, sqlite};
use tidegate::domain::command::Command;
use tidegate::domain::compared::Compared;
use tidegate::domain::event::PauseReason;
use tidegate::domain::plan::{Plan, Side};
use tidegate::domain::preflight::Preflight;
use tidegate::engine::pair::{self, Limits, Surroundings};
use tidegate::engine::preflight::{self, Ask, End};

pub type Ends = (Arc<dyn Endpoint>, Arc<dyn Endpoint>);

pub struct Bed {
    pub world: World,
    pub database: String,
    file: PathBuf,
    from: Side,
}

/// The URL of a database on the server.
fn url(database: &str) -> String {
    let base =
        std::env::var("TIDEGATE_TEST_POSTGRES").expect("TIDEGATE_TEST_POSTGRES names a server");
    let (before, after) = base.split_once("/postgres?").expect("…/postgres?host=…");
    format!("{before}/{database}?{after}")
}

/// Cells as the server writes them.
pub type Texts = Vec<Vec<Option<String>>>;

async fn ask(database: &str, sql: &str) -> Result<Texts, String> {
    let options = PgConnectOptions::from_str(&url(database)).unwrap();
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    let rows = conn.fetch_all(sqlx::raw_sql(sql)).await;
    let rows = rows.map_err(|error| error.to_string())?;
    let cell = |row: &sqlx::postgres::PgRow, at: usize| {
        let raw = row.try_get_raw(at).unwrap();
        (!raw.is_null()).then(|| raw.as_str().unwrap().to_owned())
    };
    Ok(rows
        .iter()
        .map(|row| (0..row.len()).map(|at| cell(row, at)).collect())
        .collect())
}

/// On a thread of its own: for what can't wait for a runtime.
fn ask_blocking(database: &str, sql: &str) -> Result<Texts, String> {
    let (database, sql) = (database.to_owned(), sql.to_owned());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(ask(&database, &sql))
    });
    thread.join().unwrap()
}

impl Bed {
    /// `from`: which side the server is on. `how`: what CREATE DATABASE is told.
    pub async fn new(from: Side, how: &str, file: &str, server: &str) -> Self {
        let world = World::new();
        let database = format!("cross_{}_{}", std::process::id(), fastrand::u32(..));
        ask("postgres", &format!("CREATE DATABASE {database} {how}"))
            .await
            .unwrap();
        let bed = Self {
            file: world.folder.join("shop.db"),
            world,
            database,
            from,
        };
        if !file.is_empty() {
            let script = format!("PRAGMA journal_mode = WAL; {file}");
            bed.file().execute_batch(&script).unwrap();
        }
        if !server.is_empty() {
            bed.server(server).await.unwrap();
        }
        bed
    }

    /// The file, as an application opens it: foreign keys off.
    pub fn file(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(&self.file).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        conn
    }

    pub async fn server(&self, sql: &str) -> Result<Texts, String> {
        ask(&self.database, sql).await
    }

    pub async fn ends(&self) -> Ends {
        let (lite, pg) = match self.from {
            Side::Source => (Side::Target, Side::Source),
            Side::Target => (Side::Source, Side::Target),
        };
        let lite = sqlite::open(&self.file, lite).await.unwrap();
        let pg = postgres::open(&url(&self.database), pg).await.unwrap();
        match self.from {
            Side::Source => (pg, lite),
            Side::Target => (lite, pg),
        }
    }

    /// The plan as a config makes it. `more`: what stands in the config beside both ends.
    pub async fn plan(&self, more: &str) -> (Plan, Ends, [Survey; 2]) {
        let (source, target) = self.ends().await;
        let (file, server) = (self.file.display().to_string(), url(&self.database));
        let (from, to) = match self.from {
            Side::Source => (server, file),
            Side::Target => (file, server),
        };
        let name = self.database.replace('_', "-");
        let toml = format!(
            "[migration]\nname = \"{name}\"\nenvironment = \"dev\"\n[source]\nurl = \"{from}\"\n\
             [target]\nurl = \"{to}\"\n[backfill]\nchunk_time = \"20ms\"\n{more}"
        );
        let path = self.world.folder.join("tidegate.toml");
        std::fs::write(&path, toml).unwrap();
        let config = config::load(&path, &|_| None).unwrap();
        let surveys = [
            source.survey(Sizes::Told).await.unwrap(),
            target.survey(Sizes::Told).await.unwrap(),
        ];
        let plan = config::plan::resolve(&config, &surveys[0], &surveys[1]).unwrap();
        (plan, (source, target), surveys)
    }

    pub async fn check(&self) -> Preflight {
        let (plan, ends, surveys) = self.plan("").await;
        let end = |endpoint, survey| End { endpoint, survey };
        preflight::run(
            end(ends.0.as_ref(), &surveys[0]),
            end(ends.1.as_ref(), &surveys[1]),
            &Arc::new(plan),
            &[],
            Ask::default(),
        )
        .await
        .unwrap()
    }

    pub async fn start(&self) -> Running {
        let (mut plan, (source, target), _) = self.plan("").await;
        // Many chunks, so that ranges of keys are told apart on both sides.
        plan.backfill.chunk_bytes = tidegate::domain::unit::Bytes(20_000);
        plan.verify.max_age = tidegate::domain::unit::Span::seconds(2);
        self.world
            .start_with(plan, source, target, None)
            .await
            .unwrap()
    }

    /// Compares both, by tidegate's own `verify` of two databases along the plan.
    pub async fn compared(&self) -> Compared {
        let (plan, (source, target), surveys) = self.plan("").await;
        let matched = pair::of_plan(&plan, &surveys[0], &surveys[1], &[]);
        let limits = Limits {
            chunk: tidegate::domain::unit::Rows(97),
            ..Limits::default()
        };
        let around = Surroundings {
            stamps: &|| [Some("still".to_owned()), Some("still".to_owned())],
            progress: &mut |_| {},
            limits,
        };
        pair::compare(source.as_ref(), target.as_ref(), &matched, around)
            .await
            .unwrap()
    }

    pub async fn abort(&self, running: &Running) {
        let confirm = self.database.replace('_', "-");
        let drop_target = true;
        let command = Command::Abort {
            drop_target,
            confirm,
        };
        running.order(command).await;
        running.ended().await.unwrap();
    }

    /// The rows of two queries, one on each side, as told by each column's kind: `i` whole, `r` binary64, `n` a number of either
    /// kind, `t` text, `b` bytes, `o` a boolean.
    pub async fn both(&self, kinds: &str, file: &str, server: &str) -> [Vec<String>; 2] {
        let conn = self.file();
        let mut statement = conn.prepare(file).unwrap();
        let width = statement.column_count();
        assert_eq!(width, kinds.len(), "{file}");
        let read = statement.query_map([], |row| {
            let cells = (0..width).map(|at| Ok(of_file(row.get_ref(at)?)));
            Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join(" | "))
        });
        let mut ours: Vec<String> = read.unwrap().collect::<Result<_, _>>().unwrap();
        let told = self.server(server).await.unwrap();
        let row = |row: &Vec<Option<String>>| {
            let cells = row.iter().zip(kinds.chars());
            let cells = cells.map(|(text, kind)| of_server(text.as_deref(), kind));
            cells.collect::<Vec<_>>().join(" | ")
        };
        let mut theirs: Vec<String> = told.iter().map(row).collect();
        ours.sort();
        theirs.sort();
        [ours, theirs]
    }

    pub async fn assert_same(&self, kinds: &str, file: &str, server: &str) {
        let [ours, theirs] = self.both(kinds, file, server).await;
        let apart = ours.iter().zip(&theirs).find(|(a, b)| a != b);
        assert_eq!(ours.len(), theirs.len(), "{file}: {apart:?}");
        assert!(apart.is_none() && !ours.is_empty(), "{file}: {apart:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn of_file(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Integer(i) => format!("i {i}"),
        ValueRef::Real(r) => format!("r {:x}", r.to_bits()),
        ValueRef::Text(text) => format!("t {}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => format!("b {}", hex(bytes)),
    }
}

fn of_server(text: Option<&str>, kind: char) -> String {
    let Some(text) = text else {
        return "null".into();
    };
    let real = |text: &str| format!("r {:x}", text.parse::<f64>().unwrap().to_bits());
    match kind {
        'i' => format!("i {text}"),
        'r' => real(text),
        'n' => match text.parse::<i64>() {
            Ok(whole) => format!("i {whole}"),
            Err(_) => real(text),
        },
        'b' => format!("b {}", text.strip_prefix("\\x").unwrap()),
        'o' => format!("i {}", u8::from(text == "t")),
        _ => format!("t {text}"),
    }
}

impl Drop for Bed {
    /// The database goes with its slots, whatever the test left.
    fn drop(&mut self) {
        let database = &self.database;
        let of = format!("FROM pg_replication_slots WHERE database = '{database}'");
        for _ in 0..50 {
            let end = format!("SELECT pg_terminate_backend(active_pid)::text {of} AND active");
            let _ = ask_blocking("postgres", &end);
            let drop = format!("SELECT pg_drop_replication_slot(slot_name)::text {of}");
            if ask_blocking("postgres", &drop).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        let _ = ask_blocking("postgres", &drop);
    }
}

/// An application that writes until it is stopped.
pub struct Writer {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Writer {
    fn start(mut write: impl FnMut() + Send + 'static) -> Self {
        let (stop, done) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                write();
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { stop, done, thread }
    }

    /// To the file. Statements that a constraint refuses are left.
    pub fn to_file(bed: &Bed, mut next: impl FnMut() -> String + Send + 'static) -> Self {
        let conn = bed.file();
        Self::start(move || match conn.execute_batch(&next()) {
            Ok(()) => {}
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
            {
                if !conn.is_autocommit() {
                    conn.execute_batch("ROLLBACK").unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        })
    }

    /// To the server.
    pub fn to_server(bed: &Bed, mut next: impl FnMut() -> String + Send + 'static) -> Self {
        let options = PgConnectOptions::from_str(&url(&bed.database)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut conn = None;
        Self::start(move || {
            runtime.block_on(async {
                if conn.is_none() {
                    conn = Some(PgConnection::connect_with(&options).await.unwrap());
                }
                let sql = next();
                if let Some(conn) = &mut conn
                    && let Err(error) = conn.execute(sqlx::raw_sql(&sql)).await
                {
                    let state = error.as_database_error().and_then(|e| e.code());
                    assert!(state.is_some_and(|s| s.starts_with("23")), "{sql}: {error}");
                }
            });
        })
    }

    /// How many statements it ran.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.done.load(Ordering::Relaxed)
    }
}

/// Waits until a table is parked; says why.
pub async fn parked(running: &Running) -> String {
    let why = |reason: &PauseReason| match reason {
        PauseReason::Parked(_, why) => Some(why.clone()),
        _ => None,
    };
    let state = running
        .until("parked", |s| {
            s.pauses.iter().any(|p| why(&p.reason).is_some())
        })
        .await;
    state.pauses.iter().find_map(|p| why(&p.reason)).unwrap()
}
