//! What a server tells of its load and of its standbys, and a copy that heeds it.

use crate::server::{Private, program};
use crate::stand::Stand;
use serde_json::Value as Json;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, pad text); \
    INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i";

fn stand(what: &str, server: &Private, throttle: &str) -> Stand {
    let stand = Stand::between(what, server.server(), server.server());
    stand.source.sql(ROWS);
    let url = |side: &crate::stand::Side| side.server.url(&side.database);
    let more =
        format!("[backfill]\nmax_rows_per_second = 10000\nchunk_time = \"100ms\"\n{throttle}");
    stand.configure(&url(&stand.source), &url(&stand.target), &more);
    stand
}

fn signal<'a>(status: &'a Json, name: &str) -> &'a Json {
    let signals = status["signals"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let found = signals.iter().find(|signal| signal["name"] == name);
    found.unwrap_or(&Json::Null)
}

fn held(status: &Json, by: &str) -> bool {
    status["held_by"]
        .as_str()
        .is_some_and(|held| held.starts_with(by))
}

/// Somebody's session that is busy until it is told to stop.
struct Busy(Child);

impl Busy {
    fn on(server: &Private, database: &str) -> Self {
        let child = Command::new(program("psql"))
            .args(["-X", "-q", "-c", "SELECT pg_sleep(600)"])
            .arg(server.server().url(database))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn statements_of_others_hold_the_copy_and_ours_do_not() {
    let server = Private::start("max_replication_slots = 5");
    let mut stand = stand(
        "active",
        &server,
        "[throttle]\nmax_active = 2\nmax_lag_bytes = \"1GB\"\n",
    );
    let called = stand.call(&["check"]);
    assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    let busy = [Busy::on(&server, "postgres"), Busy::on(&server, "postgres")];
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'";
    while server.server().sql("postgres", running).trim() != "2" {
        std::thread::sleep(Duration::from_millis(50));
    }
    stand.start_answering();
    let status = stand.until("held", |s| held(s, "active statements 2 of 2"));
    assert_eq!(
        signal(&status, "active statements")["holds"],
        true,
        "{status:#}"
    );
    assert_eq!(signal(&status, "active statements")["limit"], 2.0);
    let bytes = signal(&status, "stream lag in bytes");
    assert!(
        bytes["figure"].is_number() && bytes["holds"] == false,
        "{bytes}"
    );
    let text = stand.call(&["status", &stand.name]).out;
    assert!(text.contains("active statements 2 of 2"), "{text}");
    assert!(text.contains("CPU, free disk"), "{text}");
    assert_eq!(
        stand.until("still", |s| s["phase"] == "copy")["copied"],
        0.0
    );
    drop(busy);
    server.server().sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()",
    );
    stand.synced();
    stand.assert_equal();
    stand.park();
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_standby_that_does_not_replay_holds_the_copy() {
    let server = Private::start("max_replication_slots = 5");
    let mut stand = stand(
        "replica",
        &server,
        "[throttle]\nmax_replica_lag = \"1s\"\nreplicas = [\"r1\"]\nstale_after = \"2s\"\nmax_lag = \"1h\"\n",
    );
    stand.start_answering();
    // It must be there, and is not.
    let status = stand.until("held", |s| held(s, "replica r1 unknown"));
    let trouble = signal(&status, "replica r1")["trouble"].as_str().unwrap();
    assert!(trouble.contains("does not follow"), "{trouble}");
    let standby = server.followed_by("r1");
    stand.until("copying", |s| s["copied"].as_f64() > Some(0.1));
    standby
        .server()
        .sql("postgres", "SELECT pg_wal_replay_pause()");
    let status = stand.until("held", |s| {
        stand_writes(&server);
        held(s, "replica r1") && signal(s, "replica r1")["figure"].as_f64() >= Some(1.0)
    });
    assert_eq!(signal(&status, "replica r1")["holds"], true);
    assert!(status["copied"].as_f64() < Some(1.0), "{status:#}");
    standby
        .server()
        .sql("postgres", "SELECT pg_wal_replay_resume()");
    stand.synced();
    stand.assert_equal();
    stand.park();
}

/// A little WAL of somebody's: a standby that has nothing to replay is not behind.
fn stand_writes(server: &Private) {
    server.server().sql(
        "postgres",
        "SELECT pg_logical_emit_message(false, 'app', 'x')",
    );
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_limit_on_what_our_role_may_not_see_blocks_the_copy() {
    let server = Private::start("max_replication_slots = 5");
    let stand = stand("blind", &server, "");
    let role = format!("blind_{}", std::process::id());
    stand
        .source
        .sql(&format!("CREATE ROLE {role} LOGIN REPLICATION"));
    let url = |side: &crate::stand::Side| {
        let url = side.server.url(&side.database);
        url.replacen("postgres://postgres@", &format!("postgres://{role}@"), 1)
    };
    let check = |throttle: &str| {
        stand.configure(&url(&stand.source), &url(&stand.target), throttle);
        let found = stand.call(&["check", "--json"]).json();
        let stages = ["blocks_copy", "blocks_cutover", "know_before"];
        let holds = |stage: &&str| {
            let found = found[*stage].as_array().map(Vec::as_slice);
            let mut found = found.unwrap_or_default().iter();
            found.any(|finding| finding["code"] == "ACTIVITY-HIDDEN")
        };
        stages.into_iter().find(holds)
    };
    assert_eq!(check(""), Some("know_before"));
    let limited = "[throttle]\nmax_active = 40\n";
    assert_eq!(check(limited), Some("blocks_copy"));
}
