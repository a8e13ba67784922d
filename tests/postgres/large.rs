//! One transaction that is larger than memory should hold: it is applied as a whole, in bounded memory, and killed in the middle
//! of that the engine has applied nothing of it.

use crate::stand::Stand;
use std::time::{Duration, Instant};

/// What the engine may take at most, in kB, as a debug build with everything else that it does.
const MOST: u64 = 96 << 10;
/// So many rows take a debug build their time.
const PATIENCE: Duration = Duration::from_secs(600);

/// Some ten times what is kept in memory of a transaction.
const ROWS: u32 = 300_000;

/// Followed, and in step.
fn following(what: &str) -> Stand {
    let mut stand = Stand::new(what);
    stand.source.sql(
        "CREATE TABLE big(id int PRIMARY KEY, n int NOT NULL UNIQUE, t text);
         CREATE TABLE swapped(id int PRIMARY KEY, place int NOT NULL UNIQUE DEFERRABLE);
         INSERT INTO big SELECT -i, -i, 'old ' || i FROM generate_series(1, 1000) i;
         INSERT INTO swapped SELECT i, i FROM generate_series(1, 30000) i;",
    );
    stand.start();
    stand.synced();
    stand
}

/// Rows that are made, changed and removed again, far apart; values of a unique column that go round over all pieces.
fn commit(stand: &Stand) {
    stand.source.sql(&format!(
        "BEGIN;
         INSERT INTO big SELECT i, i, 'row ' || i || repeat('.', 60) FROM generate_series(1, {}) i;
         UPDATE swapped SET place = place % 30000 + 1;
         UPDATE big SET t = 'changed' WHERE id % 5 = 0;
         DELETE FROM big WHERE id % 7 = 0;
         UPDATE big SET id = id - 5000000 WHERE id BETWEEN 1000 AND 2000;
         INSERT INTO big SELECT i, i, 'again' FROM generate_series(7, 700, 7) i;
         COMMIT",
        ROWS
    ));
}

fn until(what: &str, stand: &mut Stand, mut holds: impl FnMut(&Stand) -> bool) {
    let began = Instant::now();
    while !holds(stand) {
        let in_time = began.elapsed() < PATIENCE && !stand.ended();
        assert!(in_time, "not {what}: {}", stand.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn applied(stand: &Stand) -> bool {
    let last = format!("SELECT count(*) FROM big WHERE id >= {} - 7", ROWS);
    stand.target.sql(&last).trim() != "0"
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_large_transaction_is_applied_in_bounded_memory() {
    let mut stand = following("large");
    let before = stand.peak();
    commit(&stand);
    let began = Instant::now();
    until("applied", &mut stand, applied);
    let (peak, took) = (stand.peak(), began.elapsed());
    println!(
        "{} rows in {took:?}: peak {peak} kB, before {before} kB",
        ROWS
    );
    stand.assert_equal();
    assert!(peak < MOST, "{peak} kB");
    stand.synced();
    stand.park();
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn killed_while_it_applies_a_large_transaction_it_has_applied_nothing_of_it() {
    let mut stand = following("largekill");
    commit(&stand);
    let database = stand.target.database.clone();
    let writing = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND backend_xid IS NOT NULL \
         AND now() - xact_start > '300 ms' AND query ~ 'big'"
    );
    for kill in 0..2 {
        until("applying", &mut stand, |stand| {
            let now = stand.target.sql(&writing).trim() != "0";
            assert!(
                !applied(stand),
                "kill {kill} came too late to show anything"
            );
            now
        });
        stand.kill();
        let there = stand.target.sql("SELECT count(*), max(id) FROM big");
        assert_eq!(there.trim(), "1000|-1", "nothing of it, or all");
        stand.start();
    }
    until("applied", &mut stand, applied);
    stand.assert_equal();
    stand.synced();
    stand.assert_landed_once();
    stand.park();
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn rows_that_nobody_counted_are_told_as_about_so_many() {
    let stand = Stand::new("about");
    stand.source.sql(
        "CREATE TABLE few(id int PRIMARY KEY); INSERT INTO few SELECT generate_series(1, 7);
         CREATE TABLE many(id int PRIMARY KEY, t text);
         INSERT INTO many SELECT i, repeat('.', 100) FROM generate_series(1, 60000) i; ANALYZE",
    );
    let [from, to] = [&stand.source, &stand.target].map(|side| side.server.url(&side.database));
    let config = |more: &str| stand.configure(&from, &to, more);
    config("");
    let check = stand.call(&["check"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    let first = check.out.lines().next().unwrap();
    assert!(first.contains("  about 60,007 rows  "), "{first}");
    assert!(
        check.out.contains(" for about 60,007 rows at "),
        "{}",
        check.out
    );
    assert_eq!(
        stand.call(&["check", "--json"]).json()["estimate"]["exact"],
        false
    );
    config("[[table]]\nsource = \"public.few\"\n");
    let check = stand.call(&["check"]);
    assert!(check.out.contains("copy of 7 rows: "), "{}", check.out);
    assert_eq!(
        stand.call(&["check", "--json"]).json()["estimate"]["exact"],
        true
    );
}
