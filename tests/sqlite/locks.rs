//! Whose lock anybody waits for.

use crate::bed::{Bed, all_rows};
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidegate::db::{Batch, Landing, sqlite};
use tidegate::domain::change::Item;
use tidegate::domain::fault::{Kind, Outcome};
use tidegate::domain::id::TableId;
use tidegate::domain::key::{Pick, Range};
use tidegate::domain::plan::{Plan, Prune, Side};
use tidegate::domain::position::Position;
use tidegate::domain::unit::{Bytes, Rows, Span};

const T: TableId = TableId(0);
const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, 'text ' || i FROM n";

/// What an application that never waits for a lock met.
#[derive(Debug, Default)]
struct Met {
    made: u32,
    refused: u32,
    /// Times that the lock was somebody else's: tries that were refused one after another are one.
    locks: u32,
}

/// An application that never waits for a lock.
fn impatient(bed: &Bed) -> (Arc<AtomicBool>, std::thread::JoinHandle<Met>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, path) = (Arc::clone(&stop), bed.path("source.db"));
    let thread = std::thread::spawn(move || {
        let app = Connection::open(path).unwrap();
        app.busy_timeout(Duration::ZERO).unwrap();
        app.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let (mut met, mut refused) = (Met::default(), false);
        let mut chance = fastrand::Rng::with_seed(5);
        while !ended.load(Ordering::Relaxed) {
            let done = match chance.u8(0..3) {
                0 => app.execute(
                    "UPDATE t SET v = random() WHERE id = ?1",
                    [chance.u32(1..3000)],
                ),
                1 => app.execute("DELETE FROM t WHERE id = ?1", [chance.u32(1..3000)]),
                _ => app.execute(
                    "INSERT OR REPLACE INTO t VALUES (?1, random())",
                    [chance.u32(1..4000)],
                ),
            };
            if let Err(error) = &done {
                assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
            }
            met.made += u32::from(done.is_ok());
            met.refused += u32::from(done.is_err());
            met.locks += u32::from(done.is_err() && !refused);
            refused = done.is_err();
        }
        met
    });
    (stop, thread)
}

/// Copies in chunks and follows the stream, as the engine does, until it has applied some thousand changes.
async fn migrate(bed: &Bed, plan: &Arc<Plan>, enough: usize) {
    let writer = bed.target.writer(plan).await.unwrap();
    let mut feed = bed
        .source
        .feed(plan, writer.ledger().await.unwrap().applied)
        .await
        .unwrap();
    let (mut lo, mut copied, mut streamed) = (None, false, 0);
    while !copied || streamed < enough {
        if !copied {
            let mut view = bed.source.view(plan).await.unwrap();
            let hi = view.bound(T, lo.as_ref(), Rows(200)).await.unwrap();
            let range = Range {
                lo: lo.take(),
                hi: hi.clone(),
            };
            let rows = view
                .rows(T, &Pick::Range(range), Bytes(1 << 20))
                .await
                .unwrap()
                .rows;
            writer
                .land(Landing {
                    table: T,
                    rows: Arc::new(rows),
                    ..Landing::default()
                })
                .await
                .settled()
                .unwrap();
            copied = hi.is_none();
            lo = hi;
        }
        if let Item::Txn(txn) = feed.next().await.unwrap() {
            streamed += txn.changes.len();
            let (upto, txn) = (txn.head.position, Arc::new(txn));
            writer
                .apply(Batch {
                    net: txn.changes.clone().into(),
                    log: vec![txn],
                    after: Position::START,
                    upto,
                })
                .await
                .settled()
                .unwrap();
            feed.release(writer.durable().await.unwrap()).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_pruning_is_at_the_end_nothing_of_ours_locks_out_an_application_that_never_waits() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    let plan = Arc::new(Plan {
        prune: Prune::AtEnd,
        ..(*bed.plan).clone()
    });
    let (stop, app) = impatient(&bed);
    migrate(&bed, &plan, 8_000).await;
    stop.store(true, Ordering::Relaxed);
    let met = app.join().unwrap();
    // SQLite itself lets a reader that meets a half-written header of the log's index take the lock of writers to look again:
    // for microseconds, or for as long as it is not given a core in that moment. Each of our writes would be one more.
    assert!(met.locks <= 2, "{met:?}");
    let pulse = bed.source.pulse(&plan).await.unwrap();
    assert_eq!(pulse.held, None);
    assert!(pulse.log_rows.unwrap().0 > 8_000, "nothing was pruned");
    assert!(pulse.log_bytes.unwrap().0 > 50_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_holds_the_lock_for_moments_and_says_so() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    let (stop, app) = impatient(&bed);
    migrate(&bed, &bed.plan, 20_000).await;
    stop.store(true, Ordering::Relaxed);
    let Met { refused, made, .. } = app.join().unwrap();
    let pulse = bed.source.pulse(&bed.plan).await.unwrap();
    // It spins against each lock, so many of its tries fall into one short moment.
    assert!(refused < made, "{refused} refused of {made}");
    assert!(pulse.held.unwrap() < Span::millis(200), "{:?}", pulse.held);
    assert!(pulse.log_rows.unwrap().0 < 15_000, "{:?}", pulse.log_rows);
    assert_eq!(
        bed.source.pulse(&bed.plan).await.unwrap().held,
        None,
        "since the last pulse"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_not_in_wal_mode_is_read_in_short_reads() {
    let bed = Bed::with(SCHEMA, "PRAGMA journal_mode = DELETE").await;
    let abilities = bed.source.abilities();
    assert_eq!(abilities.longest_read, Some(Span::millis(20)));
    let writer = bed.install().await;
    bed.copy_all(&*writer).await;
    let mut feed = bed
        .source
        .feed(&bed.plan, writer.ledger().await.unwrap().applied)
        .await
        .unwrap();
    for n in 0..50 {
        bed.app
            .execute("UPDATE t SET v = ?1 WHERE id = ?1", [n])
            .unwrap();
    }
    let head = bed.head().await;
    loop {
        if let Item::Txn(txn) = feed.next().await.unwrap() {
            let (upto, txn) = (txn.head.position, Arc::new(txn));
            writer
                .apply(Batch {
                    net: txn.changes.clone().into(),
                    log: vec![txn],
                    after: Position::START,
                    upto,
                })
                .await
                .settled()
                .unwrap();
            if upto == head {
                break;
            }
        }
    }
    let (mut source, mut target) = (bed.source_view().await, bed.target_view().await);
    assert_eq!(
        all_rows(&mut *source, T).await,
        all_rows(&mut *target, T).await
    );
    drop(source);
    assert_eq!(
        bed.app
            .query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
            .unwrap(),
        "delete"
    );
    assert_eq!(Bed::new(SCHEMA).await.source.abilities().longest_read, None);
}

#[tokio::test]
async fn a_locked_database_is_told_as_passing() {
    let (bed, writer) = Bed::installed(SCHEMA).await;
    let other = bed.open_app("target.db");
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    match writer
        .land(Landing {
            table: T,
            ..Landing::default()
        })
        .await
    {
        Outcome::NotDone(fault) => {
            assert_eq!(
                (fault.kind, fault.code.as_str()),
                (Kind::Transient, "DATABASE-LOCKED")
            );
            assert!(fault.what.contains("target"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
    other.execute_batch("ROLLBACK").unwrap();
    writer
        .land(Landing {
            table: T,
            ..Landing::default()
        })
        .await
        .settled()
        .unwrap();
}

#[tokio::test]
async fn a_source_that_somebody_keeps_to_himself_is_told() {
    let dir = tempfile::TempDir::new().unwrap();
    let app = Connection::open(dir.path().join("source.db")).unwrap();
    app.execute_batch("PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t(a)")
        .unwrap();
    let Err(fault) = sqlite::open(dir.path().join("source.db"), Side::Source).await else {
        panic!("it is locked")
    };
    assert_eq!(
        (fault.kind, fault.code.as_str()),
        (Kind::Transient, "DATABASE-LOCKED")
    );
}
