//! Between log and sight: a commit that waits for a standby is delivered, and no read can see it.

use crate::server::{Private, Server};
use crate::stand::{PATIENCE, Stand};
use std::time::{Duration, Instant};

fn hanging(stand: &Stand) -> usize {
    let hanging = stand
        .source
        .sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    hanging.trim().parse().unwrap()
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn what_is_delivered_before_it_can_be_seen_is_not_lost() {
    let private = Private::start("");
    let mut stand = Stand::between("gap", private.server(), Server::shared());
    stand.configure(
        &stand.source.server.url(&stand.source.database),
        &stand.target.server.url(&stand.target.database),
        "[backfill]\nchunk_time = \"20ms\"\nmax_rows_per_second = \"2k\"\n",
    );
    stand.source.sql(
        "CREATE TABLE t(id int PRIMARY KEY, n int, pad text); ALTER TABLE t ALTER pad SET STORAGE EXTERNAL;
         INSERT INTO t SELECT i * 2, 0, repeat(md5(i::text), 100) FROM generate_series(1, 10000) i;
         ALTER ROLE postgres SET synchronous_commit = local;
         ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
    );
    stand.source.sql("SELECT pg_reload_conf()");
    stand.start();
    stand.until("copying", |status| status["phase"] == "copy");
    // From here on the stream is open: what commits later than that is no reason to wait with reads.
    let began = Instant::now();
    while stand.target.sql("SELECT count(*) FROM t").trim() == "0" {
        assert!(began.elapsed() < PATIENCE, "{}", stand.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut commits = Vec::new();
    let mut commit = |stand: &Stand, sql: String| {
        let (source, before) = (stand.source.clone(), hanging(stand));
        commits.push(std::thread::spawn(move || {
            source
                .try_sql(&format!("SET synchronous_commit = on; {sql}"))
                .is_ok()
        }));
        let began = Instant::now();
        while hanging(stand) == before {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Rows of ranges that are not read yet, and of some that are.
    commit(&stand, "UPDATE t SET n = 1 WHERE id % 200 = 0".into());
    commit(
        &stand,
        "INSERT INTO t SELECT i * 100 + 1, 2, 'new' FROM generate_series(0, 199) i".into(),
    );
    commit(&stand, "DELETE FROM t WHERE id % 100 = 50".into());
    assert_eq!(
        stand
            .source
            .sql("SELECT count(*) FROM t WHERE n > 0")
            .trim(),
        "0",
        "nobody sees them"
    );
    // Chunks are read on, of a source that does not show what was delivered.
    let rows = |stand: &Stand| -> usize {
        stand
            .target
            .sql("SELECT count(*) FROM t")
            .trim()
            .parse()
            .unwrap()
    };
    let (began, read) = (Instant::now(), rows(&stand));
    while rows(&stand) < read + 3_000 {
        assert!(
            began.elapsed() < PATIENCE && !stand.ended(),
            "{}",
            stand.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(
        stand
            .target
            .sql("SELECT count(*) FROM t WHERE n > 0")
            .trim(),
        "0",
        "delivered and applied\n"
    );
    assert!(hanging(&stand) >= 3);
    // An engine that starts behind what it has applied waits with reads until they can be seen.
    stand.kill();
    stand.start();
    std::thread::sleep(Duration::from_secs(2));
    stand
        .source
        .sql("ALTER SYSTEM RESET synchronous_standby_names");
    stand.source.sql("SELECT pg_reload_conf()");
    for commit in commits {
        assert!(commit.join().unwrap());
    }
    stand.until("synced", |status| status["synced_and_equal"] == true);
    stand.until_equal();
    stand.kill();
    stand.to_synced();
    stand.assert_equal();
    stand.assert_landed_once();
}
