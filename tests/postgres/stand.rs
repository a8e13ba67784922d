//! A migration between two databases of a test's own, moved by the real program.

use crate::server::Server;
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};
use tidegate::domain::event::{Body, Fact};
use tidegate::domain::id::Seq;
use tidegate::journal::Reader;
use tidegate::state::migration::Migration;

/// Within it everything comes about that comes about at all.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What a call came to.
pub struct Called {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Called {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }
}

/// One side.
#[derive(Clone)]
pub struct Side {
    pub server: Server,
    pub database: String,
}

impl Side {
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.database, sql)
    }

    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        self.server.try_sql(&self.database, sql)
    }

    /// As somebody whom no trigger stops.
    pub fn intrude(&self, sql: &str) {
        self.sql(&format!("SET session_replication_role = replica;\n{sql}"));
    }

    /// Tables of the application.
    pub fn tables(&self) -> Vec<String> {
        let tables = self.sql(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
             WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema|tidegate)' ORDER BY 1",
        );
        tables.lines().map(str::to_owned).collect()
    }

    /// Every row of a table as text.
    fn rows(&self, table: &str) -> String {
        self.sql(&format!(
            "COPY (SELECT t::text FROM {table} AS t ORDER BY t::text COLLATE \"C\") TO STDOUT"
        ))
    }

    /// Everything that the catalog holds, and the slots.
    pub fn catalog(&self) -> String {
        self.sql(CATALOG)
    }
}

const CATALOG: &str = "\
    SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database() \
    UNION ALL SELECT 'origin ' || roname FROM pg_replication_origin \
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication \
    UNION ALL SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast)' \
    UNION ALL SELECT relkind::text || relreplident::text || ' ' || oid::regclass::text || ' ' || coalesce(relacl::text, '') \
      || ' ' || coalesce(reloptions::text, '') || ' ' || relrowsecurity::text \
      FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_(temp|toast)' \
    UNION ALL SELECT 'column ' || attrelid::regclass::text || '.' || attname || ' ' || format_type(atttypid, atttypmod) \
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid \
      WHERE attnum > 0 AND relnamespace::regnamespace::text !~ '^pg_|^information_schema' \
    UNION ALL SELECT 'trigger ' || tgname || ' ' || tgrelid::regclass::text || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal \
    UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger \
    UNION ALL SELECT 'rule ' || rulename || ' ' || ev_class::regclass::text FROM pg_rewrite \
    UNION ALL SELECT 'type ' || oid::regtype::text FROM pg_type \
      WHERE typnamespace::regnamespace::text !~ '^pg_(temp|toast)' \
    UNION ALL SELECT 'function ' || oid::regprocedure::text || ' ' || md5(prosrc) FROM pg_proc \
    UNION ALL SELECT 'constraint ' || conname || ' ' || conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
    UNION ALL SELECT 'extension ' || extname FROM pg_extension \
    UNION ALL SELECT 'setting ' || setconfig::text FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    ORDER BY 1";

/// A migration.
pub struct Stand {
    pub name: String,
    pub source: Side,
    pub target: Side,
    dir: tempfile::TempDir,
    engine: Option<Child>,
    starts: u32,
}

impl Stand {
    pub fn new(what: &str) -> Self {
        let server = Server::shared();
        Self::between(what, server.clone(), server)
    }

    pub fn between(what: &str, from: Server, to: Server) -> Self {
        let name = format!(
            "e2e_{what}_{}_{:04x}",
            std::process::id(),
            fastrand::u16(..)
        );
        let side = |server: Server, which: &str| {
            let database = format!("{name}_{which}");
            server.sql("postgres", &format!("CREATE DATABASE {database}"));
            Side { server, database }
        };
        let (source, target) = (side(from, "source"), side(to, "target"));
        let stand = Self {
            source,
            target,
            name,
            dir: tempfile::tempdir().unwrap(),
            engine: None,
            starts: 0,
        };
        let url = |side: &Side| side.server.url(&side.database);
        stand.configure(&url(&stand.source), &url(&stand.target), "");
        stand
    }

    /// Writes the config.
    pub fn configure(&self, from: &str, to: &str, more: &str) {
        let config = format!(
            "[migration]\nname = \"{}\"\n[source]\nurl = \"{from}\"\n[target]\nurl = \"{to}\"\n{more}",
            self.name
        );
        std::fs::write(self.path("tidegate.toml"), config).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("NO_COLOR");
        command
    }

    pub fn call(&self, args: &[&str]) -> Called {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args).output().unwrap();
        Called {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Everything is copied, in step and compared; then the engine is parked.
    pub fn to_synced(&self) {
        let called = self.call(&["engine", "--until", "synced"]);
        assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    }

    /// Starts the engine beside the test.
    pub fn start(&mut self) {
        self.starts += 1;
        let log = std::fs::File::create(self.path(&format!("engine{}.log", self.starts))).unwrap();
        let engine = self
            .command(&["engine"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.engine = Some(engine);
    }

    /// Starts the engine, and waits until it answers.
    pub fn start_answering(&mut self) {
        self.start();
        let pid = self.engine.as_ref().unwrap().id();
        self.until("running", |status| {
            status["engine"]["pid"] == pid && status["engine"]["state"] == "running"
        });
    }

    /// Whether the engine has ended by itself.
    pub fn ended(&mut self) -> bool {
        let engine = self.engine.as_mut().unwrap();
        engine.try_wait().unwrap().is_some()
    }

    pub fn kill(&mut self) {
        let mut engine = self.engine.take().unwrap();
        let _ = engine.kill();
        engine.wait().unwrap();
    }

    /// The most memory that the engine has taken in this life, in kB.
    pub fn peak(&self) -> u64 {
        let pid = self.engine.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.unwrap().trim().trim_end_matches(" kB");
        peak.parse().unwrap()
    }

    /// Parks the engine.
    pub fn park(&mut self) {
        let called = self.call(&["stop", &self.name]);
        assert_eq!(called.code, 0, "{}{}", called.err, self.log());
        self.engine.take().unwrap().wait().unwrap();
    }

    /// What the engine's last life said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path(&format!("engine{}.log", self.starts)))
            .unwrap_or_default()
    }

    pub fn status(&self) -> Option<Json> {
        let called = self.call(&["status", &self.name, "--json"]);
        (called.code == 0).then(|| called.json())
    }

    pub fn until(&mut self, what: &str, done: impl Fn(&Json) -> bool) -> Json {
        self.until_within(PATIENCE, what, done)
    }

    pub fn until_within(
        &mut self,
        patience: Duration,
        what: &str,
        done: impl Fn(&Json) -> bool,
    ) -> Json {
        let began = Instant::now();
        loop {
            let status = self.status().unwrap_or_default();
            if done(&status) {
                return status;
            }
            assert!(
                began.elapsed() < patience && !self.ended(),
                "not {what}: {status:#}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn synced(&mut self) {
        self.until("synced and equal", |status| {
            status["synced_and_equal"] == true
        });
    }

    /// The journal has each chunk landed once, whatever happened meanwhile: only what was in flight was copied again.
    pub fn assert_landed_once(&self) {
        let journal = self
            .path("state")
            .join("tidegate")
            .join(&self.name)
            .join("journal.db");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let events = runtime.block_on(async {
            let mut reader = Reader::open(&journal).await.unwrap();
            let mut events = Vec::new();
            loop {
                let more = reader
                    .events(Seq(events.len() as u64 + 1), 4_096)
                    .await
                    .unwrap();
                if more.is_empty() {
                    return events;
                }
                events.extend(more);
            }
        });
        let mut state = Migration::default();
        let mut landed = HashMap::new();
        for event in events {
            state.apply(&event);
            assert_eq!(state.illegal, 0, "{event:?}");
            if let Body::Fact(Fact::ChunkLanded { chunk, .. }) = event.body {
                *landed.entry(chunk).or_insert(0) += 1;
            }
        }
        assert!(landed.values().all(|times| *times == 1), "{landed:?}");
        let marks = self.target.sql("SELECT count(*) FROM tidegate.chunk");
        assert_eq!(marks.trim(), landed.len().to_string());
    }

    /// Waits until the target has what the source has, as plain SQL says.
    pub fn until_equal(&self) {
        let began = Instant::now();
        while let Some(different) = self.different() {
            assert!(began.elapsed() < PATIENCE, "{different}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn assert_equal(&self) {
        if let Some(different) = self.different() {
            panic!("{different}");
        }
    }

    /// Compares every row of every table, by plain SQL.
    pub fn different(&self) -> Option<String> {
        let tables = self.source.tables();
        assert!(!tables.is_empty());
        if tables != self.target.tables() {
            return Some(format!("tables: {tables:?} {:?}", self.target.tables()));
        }
        let mut out = String::new();
        for table in tables {
            let (ours, theirs) = (self.source.rows(&table), self.target.rows(&table));
            if ours == theirs {
                continue;
            }
            let (mine, other): (Vec<_>, Vec<_>) =
                (ours.lines().collect(), theirs.lines().collect());
            out += &format!("{table}: {} and {} rows\n", mine.len(), other.len());
            let ours: HashSet<_> = mine.iter().collect();
            let theirs: HashSet<_> = other.iter().collect();
            for (sign, lines) in [
                ("-", ours.difference(&theirs)),
                ("+", theirs.difference(&ours)),
            ] {
                for line in lines.take(3) {
                    out += &format!("  {sign} {}\n", line.chars().take(200).collect::<String>());
                }
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            let _ = engine.kill();
            let _ = engine.wait();
        }
        for side in [&self.source, &self.target] {
            let database = &side.database;
            let slots = format!(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{database}' AND active"
            );
            let drop = format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{database}'"
            );
            for _ in 0..50 {
                let _ = side.server.try_sql("postgres", &slots);
                if side.server.try_sql("postgres", &drop).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = side.server.try_sql(
                "postgres",
                &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
            );
        }
    }
}
