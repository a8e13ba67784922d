//! The stream of a real server. `TIDEGATE_TEST_POSTGRES` says where it is; each test has a database and a slot of its own.

use super::super::fence::Fenced;
use super::super::slot::begins;
use super::*;
use crate::db::postgres::connect::Session;
use crate::domain::change::{Change, Image, Txn};
use crate::domain::fault::Kind;
use crate::domain::id::{MigrationName, Nonce, TableId};
use crate::domain::key::{Collation, Key};
use crate::domain::plan::{Backfill, EndPlan, Engine, Environment, Prune, Side, Throttle, Verify};
use crate::domain::position::Position;
use crate::domain::table::{Column, KeySpec, Mode, Table};
use crate::domain::unit::{Bytes, Span};
use crate::domain::value::Value;
use pgwire_replication::Lsn;
use sqlx::Executor as _;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};

const T: TableId = TableId(0);
const U: TableId = TableId(1);

mod ends;
mod gap;
mod login;
mod private;
mod rows;

/// A database of one test.
struct Bed {
    name: String,
    home: Server,
    server: Server,
    fence: Arc<StartFence>,
    plan: Arc<Plan>,
    spill: Spill,
}

/// Slots belong to a server, names of slots too: a migration of its own name for each test.
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Bed {
    /// A database with `t (id, n, big)`, `u (a, b)` and a slot.
    async fn new() -> Self {
        let url = std::env::var("TIDEGATE_TEST_POSTGRES").expect("TIDEGATE_TEST_POSTGRES");
        Self::at(&url).await
    }

    async fn at(url: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("feed_{}_{number}", std::process::id());
        let home = Server::at(url, Side::Source).unwrap();
        sql(&home, &format!("CREATE DATABASE {name}")).await;
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (base, _) = base.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}?{query}");
        let server = Server::at(&url, Side::Source).unwrap();
        sql(
            &server,
            "CREATE SCHEMA tidegate; CREATE TABLE tidegate.ledger (one int PRIMARY KEY, applied text);
             CREATE TABLE public.t (id bigint PRIMARY KEY, n int, big text NOT NULL DEFAULT '');
             ALTER TABLE public.t ALTER big SET STORAGE EXTERNAL;
             CREATE TABLE public.u (a text, b bytea, twice text GENERATED ALWAYS AS (a || a) STORED, PRIMARY KEY (a));
             CREATE TABLE public.other (x int)",
        )
        .await;
        let bed = Self {
            plan: Arc::new(plan(&name)),
            name,
            home,
            server,
            fence: Arc::default(),
            spill: Spill::default(),
        };
        bed.run(&format!(
            "CREATE PUBLICATION {0} FOR TABLE t, u, tidegate.ledger WITH (publish_via_partition_root)",
            bed.slot()
        ))
        .await;
        bed.make_slot().await;
        bed
    }

    async fn make_slot(&self) {
        let slot = self.slot();
        let made = self
            .text(&format!(
                "SELECT lsn::text FROM pg_create_logical_replication_slot('{slot}', 'pgoutput')"
            ))
            .await;
        let lsn = Lsn::from_str(&made).unwrap().as_u64();
        self.run(&format!(
            "COMMENT ON PUBLICATION {slot} IS '{}'",
            begins(lsn)
        ))
        .await;
    }

    fn slot(&self) -> String {
        names::capture(&self.plan.name)
    }

    /// Statements, as an application runs them.
    async fn run(&self, statements: &str) {
        let statements = format!("SET search_path = public; {statements}; RESET search_path");
        sql(&self.server, &statements).await;
    }

    async fn text(&self, query: &str) -> String {
        let mut session = self.server.session().await.unwrap();
        let text = sqlx::query_scalar(query)
            .fetch_one(session.conn().unwrap())
            .await
            .unwrap();
        session.rest();
        text
    }

    async fn feed(&self, from: Position) -> Result<PgFeed> {
        PgFeed::open(
            self.server.clone(),
            Arc::clone(&self.plan),
            from,
            Arc::clone(&self.fence),
            self.spill.clone(),
        )
        .await
    }

    async fn marker(&self, nonce: u64) {
        self.run(&format!(
            "SELECT pg_logical_emit_message(true, '{}', '{nonce}')",
            names::MARKER
        ))
        .await;
    }

    async fn held(&self) -> Position {
        let slot = self.slot();
        let lsn = self
            .text(&format!(
                "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{slot}'"
            ))
            .await;
        position(&lsn)
    }

    async fn end(self) {
        let Self {
            name,
            home,
            server,
            plan,
            ..
        } = self;
        let slot = names::capture(&plan.name);
        server.forget();
        drop(server);
        let mut tries = 0;
        loop {
            let mut session = home.session().await.unwrap();
            let drop = format!(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}';
                 SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'"
            );
            let dropped = session.run(&drop, "drop the slot").await;
            let gone = session
                .run(
                    &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                    "drop",
                )
                .await;
            if (dropped.is_ok() && gone.is_ok()) || tries == 50 {
                return gone.unwrap();
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn sql(server: &Server, statements: &str) {
    let mut session = server.session().await.unwrap();
    run(&mut session, statements).await;
    session.rest();
}

async fn run(session: &mut Session, statements: &str) {
    let conn = session.conn().unwrap();
    conn.execute(sqlx::raw_sql(statements)).await.unwrap();
}

fn position(lsn: &str) -> Position {
    Position(Lsn::from_str(lsn).unwrap().as_u64().into())
}

/// A plan of `t (id, n, big)` and `u (a, b)`.
pub(in crate::db::postgres) fn plan(name: &str) -> Plan {
    let column = |(name, declared): &(&str, &str)| Column {
        name: (*name).to_owned(),
        declared: (*declared).to_owned(),
        masked: false,
        becomes: String::new(),
    };
    let table = |name: &str, columns: &[(&str, &str)]| Table {
        source: format!("public.{name}"),
        target: format!("public.{name}"),
        columns: columns.iter().map(column).collect(),
        mode: Mode::Live(KeySpec {
            columns: vec![0],
            collations: vec![Collation::Binary],
        }),
        shape: String::new(),
    };
    let end = EndPlan {
        engine: Engine::Postgres,
        url: String::new(),
        label: String::new(),
    };
    Plan {
        name: MigrationName::new(name).unwrap(),
        environment: Environment::Dev,
        source: end.clone(),
        target: end,
        tables: vec![
            table("t", &[("id", "bigint"), ("n", "integer"), ("big", "text")]),
            table("u", &[("a", "text"), ("b", "bytea")]),
        ],
        backfill: Backfill {
            chunk_time: Span(1),
            chunk_bytes: Bytes(1),
            workers: 1,
            max_rows_per_second: None,
        },
        throttle: Throttle {
            max_lag: Span(1),
            max_lock_wait: Span(1),
            stale_after: Span(1),
            ..Throttle::default()
        },
        verify: Verify {
            max_age: Span(1),
            max_rows_per_second: None,
        },
        shadow: Vec::new(),
        prune: Prune::Auto,
        adopt: Vec::new(),
        signals: Vec::new(),
        wal_space: None,
    }
}

async fn next(feed: &mut PgFeed) -> Result<Item> {
    tokio::time::timeout(Duration::from_secs(20), feed.next())
        .await
        .expect("an item in time")
}

/// The next item that says more than where the stream is.
async fn item(feed: &mut PgFeed) -> Item {
    loop {
        match next(feed).await.unwrap() {
            Item::Idle(_) => {}
            item => return item,
        }
    }
}

async fn txn(feed: &mut PgFeed) -> Txn {
    match item(feed).await {
        Item::Txn(txn) => txn,
        other => panic!("no transaction but {other:?}"),
    }
}

fn row(id: i64, n: i64, big: &str) -> Box<[Value]> {
    [Value::Integer(id), Value::Integer(n), Value::text(big)].into()
}

fn t(id: i64, image: Image) -> Change {
    Change {
        table: T,
        key: Key::normal([Value::Integer(id)], &[Collation::Binary]),
        image,
    }
}

fn big() -> String {
    "tidegate ".repeat(1000)
}
