//! The stream of a real server. `TIDEGATE_TEST_POSTGRES` says where it is; each test has a database and a slot of its own.

use super::super::fence::Fenced;
use super::super::slot::begins;
use super::*;
use crate::db::postgres::connect::Session;
use crate::domain::change::{Change, Image, Txn};
use crate::domain::id::{MigrationName, Nonce, TableId};
use crate::domain::key::{Collation, Key};
use crate::domain::plan::{Backfill, EndPlan, Engine, Environment, Prune, Side, Throttle, Verify};
use crate::domain::position::Position;
use crate::domain::table::{Column, KeySpec, Mode, Table};
use crate::domain::unit::{Bytes, Span};
use crate::domain::value::Value;
use sqlx::Executor as _;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};

const T: TableId = TableId(0);
const U: TableId = TableId(1);

mod gap;

/// A database of one test.
struct Bed {
    name: String,
    home: Server,
    server: Server,
    fence: Arc<StartFence>,
    plan: Arc<Plan>,
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

fn plan(name: &str) -> Plan {
    let column = |(name, declared): &(&str, &str)| Column {
        name: (*name).to_owned(),
        declared: (*declared).to_owned(),
        masked: false,
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
        },
        verify: Verify {
            max_age: Span(1),
            max_rows_per_second: None,
        },
        shadow: Vec::new(),
        prune: Prune::Auto,
        adopt: Vec::new(),
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

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn rows_come_as_they_changed() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    assert!(matches!(next(&mut feed).await.unwrap(), Item::Idle(_)));
    bed.run("INSERT INTO t VALUES (1, 10, 'x'), (2, NULL, 'y')")
        .await;
    bed.run("UPDATE t SET n = 11 WHERE id = 1").await;
    bed.run("DELETE FROM t WHERE id = 2").await;
    bed.run("INSERT INTO u VALUES ('ä', '\\x00ff')").await;
    let null = [Value::Integer(2), Value::Null, Value::text("y")].into();
    let first = txn(&mut feed).await;
    let inserted = [
        t(1, Image::Inserted(row(1, 10, "x"))),
        t(2, Image::Inserted(null)),
    ];
    assert_eq!(first.changes, inserted);
    let second = txn(&mut feed).await;
    assert_eq!(second.changes, [t(1, Image::Updated(row(1, 11, "x")))]);
    assert!(second.head.position > first.head.position && !second.head.own);
    assert!(second.head.xid > first.head.xid);
    assert_eq!(txn(&mut feed).await.changes, [t(2, Image::Gone)]);
    let other = txn(&mut feed).await;
    let cells = [Value::text("ä"), Value::Blob([0, 255].into())];
    assert_eq!(other.changes[0].image, Image::Inserted(cells.into()));
    assert_eq!(other.changes[0].table, U);
    let now: u64 = bed
        .text("SELECT pg_current_xact_id()::text")
        .await
        .parse()
        .unwrap();
    assert!(other.head.xid.unwrap() < now && other.head.xid.unwrap() + 10 > now);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_changed_key_is_another_row() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 10, 'x')").await;
    bed.run("UPDATE t SET id = 5, n = 50").await;
    bed.run("UPDATE t SET id = 5, n = 51").await;
    txn(&mut feed).await;
    let moved = [t(1, Image::Gone), t(5, Image::Inserted(row(5, 50, "x")))];
    assert_eq!(txn(&mut feed).await.changes, moved);
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(5, Image::Updated(row(5, 51, "x")))]
    );
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn unchanged_large_cells_are_absent_or_found() {
    let bed = Bed::new().await;
    let big = big();
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run(&format!(
        "INSERT INTO t VALUES (1, 1, '{big}'), (2, 2, '{big}'), (3, 3, '{big}')"
    ))
    .await;
    bed.run("UPDATE t SET n = 10 WHERE id = 1").await;
    txn(&mut feed).await;
    let cells = [Some(Value::Integer(1)), Some(Value::Integer(10)), None].into();
    assert_eq!(txn(&mut feed).await.changes, [t(1, Image::Partial(cells))]);
    // With a new key: read from the row. It changed since, which comes later.
    bed.run("UPDATE t SET id = 20 WHERE id = 2").await;
    bed.run("UPDATE t SET big = 'new' WHERE id = 20").await;
    let moved = txn(&mut feed).await;
    assert_eq!(moved.changes[0], t(2, Image::Gone));
    let found = [row(20, 2, &big), row(20, 2, "new")].map(|row| t(20, Image::Inserted(row)));
    assert!(found.contains(&moved.changes[1]), "{:?}", moved.changes);
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(20, Image::Updated(row(20, 2, "new")))]
    );
    // Gone by now: left out until it is removed.
    drop(feed);
    bed.run("UPDATE t SET id = 30 WHERE id = 3").await;
    bed.run("UPDATE t SET n = 31 WHERE id = 30").await;
    bed.run("DELETE FROM t WHERE id = 30").await;
    bed.run("INSERT INTO t VALUES (30, 0, 'again')").await;
    bed.run("DELETE FROM t").await;
    let mut feed = bed.feed(bed.held().await).await.unwrap();
    // 20 is gone by now too, so its update does not come a second time.
    for _ in 0..3 {
        txn(&mut feed).await;
    }
    assert_eq!(txn(&mut feed).await.changes, [t(3, Image::Gone)]);
    assert_eq!(txn(&mut feed).await.changes, [t(30, Image::Gone)]);
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(30, Image::Inserted(row(30, 0, "again")))]
    );
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn full_identity_gives_the_whole_row() {
    let bed = Bed::new().await;
    let big = big();
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("ALTER TABLE t REPLICA IDENTITY FULL").await;
    bed.run(&format!("INSERT INTO t VALUES (1, 1, '{big}')"))
        .await;
    bed.run("UPDATE t SET n = 2").await;
    bed.run("UPDATE t SET id = 3").await;
    bed.run("DELETE FROM t").await;
    txn(&mut feed).await;
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(1, Image::Updated(row(1, 2, &big)))]
    );
    let moved = [t(1, Image::Gone), t(3, Image::Inserted(row(3, 2, &big)))];
    assert_eq!(txn(&mut feed).await.changes, moved);
    assert_eq!(txn(&mut feed).await.changes, [t(3, Image::Gone)]);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_was_rolled_back_does_not_come() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("BEGIN; INSERT INTO t VALUES (1, 1); ROLLBACK")
        .await;
    bed.run(
        "BEGIN; INSERT INTO t VALUES (2, 2); SAVEPOINT a; INSERT INTO t VALUES (3, 3); ROLLBACK TO a;
         INSERT INTO t VALUES (4, 4); RELEASE a; COMMIT",
    )
    .await;
    let kept = [
        t(2, Image::Inserted(row(2, 2, ""))),
        t(4, Image::Inserted(row(4, 4, ""))),
    ];
    assert_eq!(txn(&mut feed).await.changes, kept);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn markers_stand_where_they_were_set() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    bed.marker(u64::MAX).await;
    bed.run("INSERT INTO t VALUES (2, 2)").await;
    bed.run("BEGIN; SELECT pg_logical_emit_message(true, 'tidegate', '7'); INSERT INTO t VALUES (3, 3); COMMIT").await;
    bed.run("SELECT pg_logical_emit_message(true, 'somebody', '8')")
        .await;
    bed.run("SELECT pg_logical_emit_message(true, 'tidegate', 'none')")
        .await;
    bed.run("INSERT INTO tidegate.ledger VALUES (1, 'x'); INSERT INTO t VALUES (4, 4)")
        .await;
    bed.run(
        "BEGIN; INSERT INTO tidegate.ledger VALUES (2, 'x'); INSERT INTO t VALUES (5, 5); COMMIT",
    )
    .await;
    bed.run(
        "BEGIN; INSERT INTO t VALUES (6, 6); INSERT INTO tidegate.ledger VALUES (3, 'x'); COMMIT",
    )
    .await;
    let id = |txn: &Txn| txn.changes[0].key.parts()[0].clone();
    assert_eq!(id(&txn(&mut feed).await), Value::Integer(1));
    assert_eq!(item(&mut feed).await, Item::Marker(Nonce(u64::MAX)));
    assert_eq!(id(&txn(&mut feed).await), Value::Integer(2));
    assert_eq!(id(&txn(&mut feed).await), Value::Integer(3));
    assert_eq!(item(&mut feed).await, Item::Marker(Nonce(7)));
    // Each simple query is one transaction, so the ledger is its first write.
    for (n, own) in [(4, true), (5, true), (6, false)] {
        let txn = txn(&mut feed).await;
        assert_eq!((id(&txn), txn.head.own), (Value::Integer(n), own));
    }
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn an_emptied_table_comes_before_what_follows() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    bed.run("BEGIN; INSERT INTO t VALUES (2, 2); INSERT INTO u VALUES ('u'); TRUNCATE t; INSERT INTO t VALUES (3, 3); COMMIT").await;
    bed.run("TRUNCATE t, u").await;
    txn(&mut feed).await;
    assert_eq!(item(&mut feed).await, Item::Truncate(T));
    let rest = txn(&mut feed).await.changes;
    assert_eq!((rest[0].table, rest.len()), (U, 2));
    assert_eq!(rest[1], t(3, Image::Inserted(row(3, 3, ""))));
    assert_eq!(item(&mut feed).await, Item::Truncate(T));
    assert_eq!(item(&mut feed).await, Item::Truncate(U));
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_redefined_table_is_told_once_and_left_out() {
    for alter in [
        "ALTER TABLE t ADD x int",
        "ALTER TABLE t DROP n",
        "ALTER TABLE t RENAME n TO m",
        "ALTER TABLE t ALTER n TYPE bigint",
        "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id, big)",
        "ALTER TABLE t RENAME TO gone",
        "ALTER TABLE t RENAME TO gone; CREATE TABLE t AS TABLE gone",
        "ALTER TABLE t SET SCHEMA tidegate",
    ] {
        let bed = Bed::new().await;
        let mut feed = bed.feed(Position::START).await.unwrap();
        bed.run("INSERT INTO t VALUES (1, 1)").await;
        bed.run("CREATE INDEX ON t (n); COMMENT ON TABLE t IS 'x'")
            .await;
        bed.run("INSERT INTO t VALUES (2, 2)").await;
        bed.run(alter).await;
        let named = if alter.contains("gone") {
            "gone"
        } else if alter.contains("SCHEMA") {
            "tidegate.t"
        } else {
            "t"
        };
        bed.run(&format!(
            "INSERT INTO {named} (id) VALUES (3); INSERT INTO {named} (id) VALUES (4)"
        ))
        .await;
        bed.run("INSERT INTO u VALUES ('last')").await;
        txn(&mut feed).await;
        assert_eq!(
            txn(&mut feed).await.changes,
            [t(2, Image::Inserted(row(2, 2, "")))]
        );
        assert_eq!(item(&mut feed).await, Item::Schema(T), "{alter}");
        let last = txn(&mut feed).await;
        assert_eq!(
            (last.changes.len(), last.changes[0].table),
            (1, U),
            "{alter}"
        );
        drop(feed);
        // Also seen by a stream that begins after it.
        let mut feed = bed.feed(last.head.position).await.unwrap();
        bed.run(&format!("INSERT INTO {named} (id) VALUES (5)"))
            .await;
        assert_eq!(item(&mut feed).await, Item::Schema(T), "{alter}");
        drop(feed);
        bed.end().await;
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn an_idle_stream_says_how_far_it_is() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    let mut last = Position::START;
    for round in 0..5 {
        // Empty for us, and no transaction at all.
        bed.run("INSERT INTO other VALUES (1)").await;
        bed.marker(round).await;
        let now = position(&bed.text("SELECT pg_current_wal_flush_lsn()::text").await);
        let mut marker = false;
        let asked = std::time::Instant::now();
        while last < now {
            match next(&mut feed).await.unwrap() {
                Item::Idle(position) => {
                    assert!(position > last, "it never goes back");
                    last = position;
                }
                Item::Marker(nonce) => marker = nonce == Nonce(round),
                other => panic!("{other:?}"),
            }
        }
        assert!(marker);
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
    }
    // Opened where nothing comes any more, it says so at once.
    drop(feed);
    let mut feed = bed.feed(last).await.unwrap();
    assert_eq!(next(&mut feed).await.unwrap(), Item::Idle(last));
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_dropped_call_loses_nothing() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    let writes = async {
        for id in 0..200 {
            bed.run(&format!("INSERT INTO t VALUES ({id}, 0)")).await;
        }
    };
    let reads = async {
        let (mut ids, mut dropped) = (Vec::new(), 0);
        while ids.len() < 200 {
            match tokio::time::timeout(Duration::from_micros(300), feed.next()).await {
                Err(_) => dropped += 1,
                Ok(Ok(Item::Txn(txn))) => ids.push(txn.changes[0].key.parts()[0].clone()),
                Ok(other) => drop(other.unwrap()),
            }
        }
        assert!(dropped > 10, "{dropped}");
        ids
    };
    let (ids, ()) = tokio::join!(reads, writes);
    assert!(
        ids.iter()
            .enumerate()
            .all(|(i, id)| *id == Value::Integer(i as i64))
    );
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_released_stream_goes_on_behind_that() {
    let bed = Bed::new().await;
    let start = bed.held().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    for id in 1..=3 {
        bed.run(&format!("INSERT INTO t VALUES ({id}, 0)")).await;
    }
    let (first, second) = (txn(&mut feed).await, txn(&mut feed).await);
    feed.release(first.head.position).await.unwrap();
    tokio::time::sleep(STATUS * 3).await;
    assert_eq!(bed.held().await, first.head.position);
    // Never beyond what was handed out, and told at the end too.
    feed.release(Position(u128::MAX)).await.unwrap();
    drop(feed);
    // From where the lane stands, which may be further than what is held.
    let mut feed = bed.feed(second.head.position).await.unwrap();
    assert_eq!(bed.held().await, second.head.position);
    let third = txn(&mut feed).await;
    assert_eq!(third.changes, [t(3, Image::Inserted(row(3, 0, "")))]);
    drop(feed);
    let lost = bed.feed(first.head.position).await.err().unwrap();
    assert_eq!(lost.code, "CAPTURE-LOST");
    assert!(lost.to_string().contains("released up to"), "{lost}");
    let lost = bed.feed(Position::START).await.err().unwrap();
    assert_eq!(lost.code, "CAPTURE-LOST");
    let lost = bed
        .feed(Position(u128::from(u64::MAX)))
        .await
        .err()
        .unwrap();
    assert!(lost.to_string().contains("its log ends at"), "{lost}");
    assert_eq!(bed.fence.now(), Fenced::Closed, "no read may be used");
    assert!(start < first.head.position);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_broken_connection_passes() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    let Fenced::Least(first) = bed.fence.now() else {
        panic!("the fence is open");
    };
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    let one = txn(&mut feed).await;
    let second = bed.feed(one.head.position).await.err().unwrap();
    assert_eq!(
        (second.kind, second.code.as_str()),
        (Kind::Transient, "SLOT-IN-USE")
    );
    bed.run(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        bed.slot()
    ))
    .await;
    let broken = loop {
        match next(&mut feed).await {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert_eq!(
        (broken.kind, broken.code.as_str()),
        (Kind::Transient, "CONNECTION-LOST")
    );
    assert_eq!(next(&mut feed).await.err().unwrap(), broken, "and stays so");
    bed.run("INSERT INTO t VALUES (2, 2)").await;
    let mut feed = bed.feed(one.head.position).await.unwrap();
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(2, Image::Inserted(row(2, 2, "")))]
    );
    let Fenced::Least(again) = bed.fence.now() else {
        panic!("the fence is open");
    };
    assert!(again > first);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_lost_capture_is_told() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    let one = txn(&mut feed).await.head.position;
    drop(feed);
    let mut tries = 0;
    while bed.feed(one).await.is_err() && tries < 5 {
        tries += 1;
    }
    bed.run(&format!("DROP PUBLICATION {}", bed.slot())).await;
    let lost = bed.feed(one).await.err().unwrap();
    assert_eq!(lost.code, "CAPTURE-LOST", "{lost}");
    bed.run(&format!(
        "SELECT pg_drop_replication_slot('{}')",
        bed.slot()
    ))
    .await;
    let lost = bed.feed(one).await.err().unwrap();
    assert!(
        lost.code == "CAPTURE-LOST" && lost.to_string().contains("is gone"),
        "{lost}"
    );
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn partitions_come_as_their_root() {
    let bed = Bed::new().await;
    bed.run(
        "DROP TABLE t;
         CREATE TABLE t (id bigint, n int, big text NOT NULL DEFAULT '', PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE leaf1 PARTITION OF t FOR VALUES FROM (0) TO (100);
         CREATE TABLE leaf2 (x int, big text NOT NULL DEFAULT '', n int, id bigint NOT NULL);
         ALTER TABLE leaf2 DROP x; ALTER TABLE t ATTACH PARTITION leaf2 FOR VALUES FROM (100) TO (200)",
    )
    .await;
    let mut missing = bed.feed(Position::START).await.unwrap();
    assert_eq!(
        next(&mut missing).await.unwrap(),
        Item::Schema(T),
        "not published any more"
    );
    drop(missing);
    bed.run(&format!("ALTER PUBLICATION {} ADD TABLE t", bed.slot()))
        .await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1), (101, 2)").await;
    bed.run("UPDATE t SET id = 102 WHERE id = 1").await;
    let rows = [
        t(1, Image::Inserted(row(1, 1, ""))),
        t(101, Image::Inserted(row(101, 2, ""))),
    ];
    assert_eq!(txn(&mut feed).await.changes, rows);
    let moved = [t(1, Image::Gone), t(102, Image::Inserted(row(102, 1, "")))];
    assert_eq!(txn(&mut feed).await.changes, moved);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_stream_that_nobody_takes_from_is_kept_alive() {
    let bed = Bed::new().await;
    let impatient = format!("ALTER DATABASE {} SET wal_sender_timeout = '2s'", bed.name);
    sql(&bed.server, &impatient).await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (0, 0)").await;
    let first = txn(&mut feed).await.head.position;
    // More than all channels hold.
    for id in 1..1000 {
        bed.run(&format!("INSERT INTO t VALUES ({id}, 0)")).await;
    }
    feed.release(first).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        bed.held().await,
        first,
        "released although nothing is taken"
    );
    for id in 1..1000 {
        assert_eq!(
            txn(&mut feed).await.changes,
            [t(id, Image::Inserted(row(id, 0, "")))]
        );
    }
    drop(feed);
    bed.end().await;
}
