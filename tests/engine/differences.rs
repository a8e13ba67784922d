//! What somebody does to the target behind everybody's back is found, to row, class and column; nothing else is.

use crate::support::app::{App, Rough};
use crate::support::{Running, World, assert_equal, facts};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidegate::domain::command::{Answer, Command, Query, Scope};
use tidegate::domain::event::Fact;
use tidegate::domain::id::{ChunkId, TableId};
use tidegate::domain::unit::Span;
use tidegate::domain::value::Value;
use tidegate::domain::verdict::{DriftClass, RowDiff};
use tidegate::state::migration::{Migration, RepairState};

/// A shop with a table of every sort of value that no application writes to.
fn a_world() -> World {
    let mut world = World::shop(4_000);
    world.set.max_age = Span::seconds(2);
    world
        .source()
        .execute_batch(
            "CREATE TABLE quiet (id INTEGER PRIMARY KEY, a, b TEXT, c REAL, d BLOB, made AS (b || '?'));
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 400)
             INSERT INTO quiet (id, a, b, c, d)
             SELECT n * 10, CASE WHEN n % 5 = 0 THEN NULL WHEN n % 5 = 1 THEN 1 WHEN n % 5 = 2 THEN '' WHEN n % 5 = 3 THEN '0' ELSE 2.5 END,
               CASE WHEN n % 2 = 0 THEN 'same' ELSE 'row ' || n END, n / 4.0, randomblob(8) FROM n;
             CREATE TABLE named (name TEXT PRIMARY KEY COLLATE NOCASE NOT NULL, x) WITHOUT ROWID;
             INSERT INTO named VALUES ('Ada', 1), ('Bo', 2), ('cleo', 3)",
        )
        .unwrap();
    world
}

struct Mutation {
    what: &'static str,
    table: &'static str,
    sql: &'static str,
    /// The differing rows: key, class, columns.
    expect: &'static [(&'static str, DriftClass, &'static [&'static str])],
}

use DriftClass::{Changed, Extra, Missing};

const MUTATIONS: &[Mutation] = &[
    Mutation {
        what: "a row is missing",
        table: "quiet",
        sql: "DELETE FROM quiet WHERE id = 70",
        expect: &[("70", Missing, &[])],
    },
    Mutation {
        what: "a row is too many, in the middle and at both ends",
        table: "quiet",
        sql: "INSERT INTO quiet (id, a) VALUES (75, NULL), (-5, 1), (9223372036854775807, 2)",
        expect: &[
            ("75", Extra, &[]),
            ("-5", Extra, &[]),
            ("9223372036854775807", Extra, &[]),
        ],
    },
    Mutation {
        what: "one bit of a blob",
        table: "quiet",
        sql: "UPDATE quiet SET d = CAST(substr(d, 1, 3) || CASE substr(d, 4, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(d, 5) AS BLOB) WHERE id = 80",
        expect: &[("80", Changed, &["d"])],
    },
    Mutation {
        what: "two rows exchange a value",
        table: "quiet",
        sql: "UPDATE quiet SET b = CASE id WHEN 90 THEN 'row 11' ELSE 'row 9' END WHERE id IN (90, 110)",
        expect: &[("90", Changed, &["b"]), ("110", Changed, &["b"])],
    },
    Mutation {
        what: "the same change on an even number of rows",
        table: "quiet",
        sql: "UPDATE quiet SET b = 'Same' WHERE id IN (120, 140, 160, 180)",
        expect: &[
            ("120", Changed, &["b"]),
            ("140", Changed, &["b"]),
            ("160", Changed, &["b"]),
            ("180", Changed, &["b"]),
        ],
    },
    Mutation {
        what: "NULL becomes an empty text",
        table: "quiet",
        sql: "UPDATE quiet SET a = '' WHERE id = 200",
        expect: &[("200", Changed, &["a"])],
    },
    Mutation {
        what: "an empty text becomes '0'",
        table: "quiet",
        sql: "UPDATE quiet SET a = '0' WHERE id = 220",
        expect: &[("220", Changed, &["a"])],
    },
    Mutation {
        what: "'0' becomes NULL",
        table: "quiet",
        sql: "UPDATE quiet SET a = NULL WHERE id = 230",
        expect: &[("230", Changed, &["a"])],
    },
    Mutation {
        what: "'0' becomes 0",
        table: "quiet",
        sql: "UPDATE quiet SET a = 0 WHERE id = 280",
        expect: &[("280", Changed, &["a"])],
    },
    Mutation {
        what: "an empty text becomes an empty blob",
        table: "quiet",
        sql: "UPDATE quiet SET a = x'' WHERE id = 270",
        expect: &[("270", Changed, &["a"])],
    },
    Mutation {
        what: "a space at the end",
        table: "quiet",
        sql: "UPDATE quiet SET b = b || ' ' WHERE id = 240",
        expect: &[("240", Changed, &["b"])],
    },
    Mutation {
        what: "1 becomes '1'",
        table: "quiet",
        sql: "UPDATE quiet SET a = '1' WHERE id = 260",
        expect: &[("260", Changed, &["a"])],
    },
    Mutation {
        what: "1 becomes 1.0",
        table: "quiet",
        sql: "UPDATE quiet SET a = 1.0 WHERE id = 310",
        expect: &[("310", Changed, &["a"])],
    },
    Mutation {
        what: "the last digit of a real",
        table: "quiet",
        sql: "UPDATE quiet SET c = c + 1e-12 WHERE id = 320",
        expect: &[("320", Changed, &["c"])],
    },
    Mutation {
        what: "columns change places",
        table: "quiet",
        sql: "UPDATE quiet SET a = b, b = a WHERE id = 370",
        expect: &[("370", Changed, &["a", "b"])],
    },
    Mutation {
        what: "a key in other letters",
        table: "named",
        sql: "UPDATE named SET name = 'ADA' WHERE name = 'ada'",
        expect: &[("ada", Changed, &["name"])],
    },
    Mutation {
        what: "a key becomes another",
        table: "named",
        sql: "UPDATE named SET name = 'Dora' WHERE name = 'Bo'",
        expect: &[("bo", Missing, &[]), ("dora", Extra, &[])],
    },
];

fn differing_chunks(state: &Migration, table: TableId) -> Vec<ChunkId> {
    let cells = state.table(table).unwrap().chunks.cells().iter();
    let differing = (0..).zip(cells).filter(|(_, cell)| cell.differ() > 0);
    differing.map(|(no, _)| ChunkId { table, no }).collect()
}

async fn differences(running: &Running, table: TableId) -> Vec<RowDiff> {
    let mut all = Vec::new();
    for chunk in differing_chunks(&*running.state().await, table) {
        match running
            .query(Query::Differences { chunk, limit: 500 })
            .await
        {
            Answer::Differences { rows, more } => {
                assert!(!more);
                all.extend(rows);
            }
            other => panic!("{other:?}"),
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sort_of_damage_is_found_named_repaired_and_can_be_put_back() {
    let world = a_world();
    let app = App::start(&world.source, 80);
    let running = world.start().await;
    let state = running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    let plan = state.plan.clone().unwrap();
    for mutation in MUTATIONS {
        let what = mutation.what;
        let id = plan.find(mutation.table).unwrap();
        let table = plan.table(id).unwrap();
        let behind = world.behind();
        let touched = behind.execute(mutation.sql, []).unwrap();
        assert!(touched > 0, "{what}");
        running.order(Command::Verify(Scope::Table(id))).await;
        let expected = mutation.expect.len() as u64;
        running
            .until(what, |s| s.drift().confirmed == expected)
            .await;

        // The rows with their values.
        let rows = differences(&running, id).await;
        assert_eq!(rows.len(), mutation.expect.len(), "{what}: {rows:?}");
        for (key, class, columns) in mutation.expect {
            let row = rows.iter().find(|row| row.key.to_string() == *key);
            let row = row.unwrap_or_else(|| panic!("{what}: {key} is not in {rows:?}"));
            assert_eq!(row.class, *class, "{what}: {key}");
            let named = row.columns.iter();
            let named: Vec<&str> = named
                .map(|i| table.columns[usize::from(*i)].name.as_str())
                .collect();
            assert_eq!(named, *columns, "{what}: {key}");
            assert_eq!(row.source.is_some(), *class != Extra, "{what}: {key}");
            assert_eq!(row.target.is_some(), *class != Missing, "{what}: {key}");
        }
        // The keys without values, and the fact.
        let known = match running
            .query(Query::Drifted {
                table: Some(id),
                limit: 100,
            })
            .await
        {
            Answer::Drifted(known) => known,
            other => panic!("{other:?}"),
        };
        let mut known: Vec<(String, DriftClass)> = known
            .into_iter()
            .map(|d| (d.key.to_string(), d.class))
            .collect();
        let mut wanted: Vec<(String, DriftClass)> = mutation
            .expect
            .iter()
            .map(|(key, class, _)| ((*key).to_string(), *class))
            .collect();
        known.sort();
        wanted.sort();
        assert_eq!(known, wanted, "{what}");
        let last = facts::facts(&world).await.into_iter().rev();
        let verdict = last
            .filter_map(|fact| match fact {
                Fact::ChunkChecked { chunk, verdict } if chunk.table == id => Some(verdict),
                _ => None,
            })
            .find(|verdict| verdict.differ.total() > 0);
        let verdict = verdict.unwrap();
        let mut columns: Vec<&str> = verdict
            .columns
            .iter()
            .map(|i| table.columns[usize::from(*i)].name.as_str())
            .collect();
        let mut expected: Vec<&str> = mutation
            .expect
            .iter()
            .flat_map(|(_, _, columns)| columns.iter().copied())
            .collect();
        columns.sort_unstable();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(columns, expected, "{what}");

        repair(&running, what).await;
    }
    assert_eq!(app.stop().failed, 0);
    running.drained().await;
    running.park().await;
    assert_equal(&world);
    facts::assert_whole(&world).await;
}

/// Repairs all that is known to differ, and waits until everything was found equal again.
async fn repair(running: &Running, what: &str) {
    running.order(Command::Repair(Scope::All)).await;
    running
        .until(&format!("repaired: {what}"), |s| {
            let done = |r: &tidegate::state::migration::Repair| {
                matches!(r.state, RepairState::Done { .. } | RepairState::Undone)
            };
            s.repairs.values().all(done) && s.synced_and_equal()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_undone_differs_as_before_and_can_be_repaired_again() {
    let world = a_world();
    let running = world.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    let damage =
        "DELETE FROM quiet WHERE id IN (10, 20); INSERT INTO quiet (id, a) VALUES (15, 'extra');
                  UPDATE quiet SET b = 'damaged' WHERE id BETWEEN 1000 AND 1090";
    world.behind().execute_batch(damage).unwrap();
    let plan = running.state().await.plan.clone().unwrap();
    let quiet = plan.find("quiet").unwrap();
    running.until("found", |s| s.drift().confirmed == 13).await;
    let damaged: Vec<(String, Option<Vec<Value>>)> = differences(&running, quiet)
        .await
        .into_iter()
        .map(|row| (row.key.to_string(), row.target))
        .collect();
    repair(&running, "the first time").await;
    assert_equal(&world);
    let state = running.state().await;
    let (id, done) = state.repairs.iter().next_back().unwrap();
    let counted = RepairState::Done {
        inserted: 2,
        updated: 10,
        deleted: 1,
    };
    assert_eq!(done.state, counted);
    running.order(Command::Undo(*id)).await;
    running
        .until("differs again", |s| s.drift().confirmed == 13)
        .await;
    let again: Vec<(String, Option<Vec<Value>>)> = differences(&running, quiet)
        .await
        .into_iter()
        .map(|row| (row.key.to_string(), row.target))
        .collect();
    assert_eq!(damaged, again, "put back as it was");
    let twice = running.send(Command::Undo(*id)).await;
    assert!(crate::support::refused(twice).what.contains("already"));
    repair(&running, "again").await;
    running.park().await;
    assert_equal(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_of_rows_that_are_being_written_ends_equal_and_brings_nothing_back() {
    let world = a_world();
    let running = world.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let (path, stopped) = (world.source.clone(), Arc::clone(&stop));
    let writer = std::thread::spawn(move || {
        let conn = rusqlite::Connection::open(path).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        let mut done = 0;
        while !stopped.load(Ordering::Relaxed) {
            let id = random.i64(1..60) * 10;
            let sql = match random.u8(..4) {
                0 => "DELETE FROM quiet WHERE id = ?1",
                1 => "INSERT OR REPLACE INTO quiet (id, a, b) VALUES (?1, 'back', 'again')",
                _ => "UPDATE quiet SET b = b || '.', a = ?1 WHERE id = ?1",
            };
            conn.execute(sql, [id]).unwrap();
            done += 1;
        }
        done
    });
    for round in 0..8 {
        // Most of these rows the application changes anyway; what it has not changed since differs.
        world
            .behind()
            .execute_batch(&format!(
                "UPDATE quiet SET b = 'damaged {round}' WHERE id % 3 = {round} % 3; DELETE FROM quiet WHERE id BETWEEN 580 AND 700"
            ))
            .unwrap();
        running.until("found", |s| s.drift().confirmed > 0).await;
        running.order(Command::Repair(Scope::All)).await;
        running
            .until("repaired", |s| {
                let ended =
                    |r: &tidegate::state::migration::Repair| r.state != RepairState::Ordered;
                s.repairs.values().all(ended)
            })
            .await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.join().unwrap() > 100);
    running
        .until("equal", |s| {
            s.synced_and_equal() && s.drift().in_flight == 0
        })
        .await;
    running.drained().await;
    running.park().await;
    assert_equal(&world);
    facts::assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_writes_and_a_target_that_stalls_raise_no_false_alarm() {
    let mut world = World::shop(6_000);
    world.set.max_age = Span::seconds(1);
    world.set.chunk_bytes = 60_000;
    let running = world.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    let writer = Rough::full(&world.source);
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(5);
    let (mut lagged, mut in_flight) = (false, false);
    while began.elapsed() < Duration::from_secs(20) {
        // The stream stands still, and everything that is compared meanwhile is behind.
        let target = world.target();
        target.execute_batch("BEGIN IMMEDIATE").unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(50..900))).await;
        drop(target);
        tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
        let state = running.state().await;
        lagged |= state.sample.lag > Some(Span::millis(300));
        in_flight |= state.drift().in_flight > 0;
        assert_eq!(state.drift().confirmed, 0, "a false alarm");
    }
    assert!(lagged, "the lag was never felt");
    assert!(
        in_flight,
        "nothing was ever in flight: the test tests nothing"
    );
    let written = writer.stop();
    assert!(written > 1_000, "{written}");
    running.until("equal", |s| s.synced_and_equal()).await;
    running.drained().await;
    running.park().await;
    let facts = facts::facts(&world).await;
    let false_alarms: Vec<&Fact> = facts
        .iter()
        .filter(
            |fact| matches!(fact, Fact::ChunkChecked { verdict, .. } if verdict.differ.total() > 0),
        )
        .collect();
    assert!(false_alarms.is_empty(), "{false_alarms:?}");
    let passes = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::PassFinished { valid, .. } => Some(*valid),
            _ => None,
        })
        .collect::<Vec<_>>();
    assert!(passes.len() >= 2, "{passes:?}");
    assert!(passes.iter().all(|valid| *valid), "{passes:?}");
    assert_equal(&world);
}
