//! The demo's application as a process: what it was told is committed must be there, whatever is done to it.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tidegate::demo::{
    app::{self, AppOptions, ack, control},
    shop,
    witness::{self, Running, Status},
};

/// Not a test by itself: the other tests start this file again and land here.
#[test]
fn application() {
    let Some(dir) = std::env::var_os("TIDEGATE_TEST_APP_DIR").map(PathBuf::from) else {
        return;
    };
    let options = AppOptions {
        db: dir.join("shop-old.db"),
        control_dir: dir.join("app"),
        writes_per_second: std::env::var("TIDEGATE_TEST_APP_RATE")
            .unwrap()
            .parse()
            .unwrap(),
        seed: 7,
        tethered: true,
    };
    app::run_app(options).unwrap();
}

struct App {
    child: Child,
    dir: PathBuf,
}

impl App {
    fn start(dir: &Path, rate: u32) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "application", "--nocapture"])
            .env("TIDEGATE_TEST_APP_DIR", dir)
            .env("TIDEGATE_TEST_APP_RATE", rate.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            dir: dir.join("app"),
        }
    }

    fn status(&self) -> Status {
        witness::status(&self.dir).unwrap()
    }

    /// Waits until the status of this very process says so.
    fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        let begun = Instant::now();
        loop {
            if let Ok(status) = witness::status(&self.dir)
                && status.pid == self.child.id()
                && holds(&status)
            {
                return status;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{what}: {:?}",
                witness::status(&self.dir)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn send(&self, line: &str) {
        control::send(&self.dir, &line.parse().unwrap()).unwrap();
    }

    fn ended(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn acknowledged(&self) -> PathBuf {
        ack::path(&self.dir)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Already over in most tests; a failed one must not leave it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_shop() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("shop-old.db");
    shop::build(&db, 10_000, 7).unwrap();
    (dir, db)
}

#[test]
fn everything_acknowledged_is_found_once() {
    let (dir, db) = a_shop();
    let mut app = App::start(dir.path(), 200);
    app.until("it writes", |s| s.acknowledged > 50);
    app.send("rate 800");
    app.send("open-transaction report-worker 0.5");
    let status = app.until("the report is open", |s| !s.open_transactions.is_empty());
    assert_eq!(status.open_transactions[0].name, "report-worker");
    assert_eq!((status.rate, status.lost), (800.0, None));
    assert_eq!(Running::new(app.acknowledged()).look(&db).unwrap(), 0);
    app.send("errors 50 0.5");
    app.until("some fail", |s| s.failed > 0);
    // While every second one fails, two hundred do not succeed in a row.
    loop {
        let before = app.status();
        let after = app.until("it goes on", |s| s.acknowledged > before.acknowledged + 200);
        if after.failed == before.failed {
            break;
        }
    }
    app.until("the report is done", |s| s.open_transactions.is_empty());
    app.send("stop");
    assert!(app.ended().success());
    let status = app.status();
    assert!(status.stopped);
    let counted = witness::count(&app.acknowledged(), &db).unwrap();
    assert!(counted.whole(), "{counted:?}");
    assert_eq!(counted.acknowledged, status.acknowledged);
    let rows: u64 = Connection::open(&db)
        .unwrap()
        .query_row("SELECT count(*) FROM activity", [], |r| r.get(0))
        .unwrap();
    assert_eq!(
        rows, counted.found,
        "a failed transaction leaves nothing behind"
    );
    assert!(!control::socket(&app.dir).exists());
}

#[test]
fn a_killed_application_never_leaves_an_acknowledged_write_behind() {
    let (dir, db) = a_shop();
    let mut before = 0;
    for round in 0..4 {
        let mut app = App::start(dir.path(), 1_600);
        app.until("it writes", |s| s.acknowledged > 150 + 37 * round);
        app.child.kill().unwrap();
        assert_eq!(app.ended().signal(), Some(9));
        let counted = witness::count(&app.acknowledged(), &db).unwrap();
        assert!(counted.whole(), "{counted:?}");
        assert!(counted.acknowledged > before);
        before = counted.acknowledged;
        let rows: u64 = Connection::open(&db)
            .unwrap()
            .query_row("SELECT count(*) FROM activity", [], |r| r.get(0))
            .unwrap();
        assert!(
            rows - counted.found <= round + 1,
            "at most one commit of each life is unheard: {rows} {counted:?}"
        );
    }
}

#[test]
fn it_ends_with_its_parent() {
    let (dir, db) = a_shop();
    let mut app = App::start(dir.path(), 400);
    app.until("it writes", |s| s.acknowledged > 20);
    drop(app.child.stdin.take());
    assert!(app.ended().success());
    assert!(app.status().stopped);
    assert!(witness::count(&app.acknowledged(), &db).unwrap().whole());
}

#[test]
fn a_closed_gate_is_waited_for_and_the_write_lands_where_the_switch_leads() {
    let (dir, db) = a_shop();
    let new = dir.path().join("shop-new.db");
    let mut app = App::start(dir.path(), 400);
    app.until("it writes", |s| s.acknowledged > 100);
    let owner = Connection::open(&db).unwrap();
    owner.busy_timeout(Duration::from_secs(5)).unwrap();
    let triggers = ["INSERT", "UPDATE", "DELETE"]
        .iter()
        .flat_map(|verb| shop::TABLES.map(|t| format!("CREATE TRIGGER gate_{t}_{verb} BEFORE {verb} ON {t} BEGIN SELECT raise(ABORT, 'writes are closed'); END;")));
    owner
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; {} COMMIT;",
            triggers.collect::<String>()
        ))
        .unwrap();
    let status = app.until("it waits", |s| s.waiting_us.is_some_and(|us| us > 200_000));
    assert_eq!(
        (status.failed, status.last_error.as_deref()),
        (0, Some("writes are closed"))
    );
    owner
        .execute("VACUUM INTO ?1", [new.to_str().unwrap()])
        .unwrap();
    let opened = Connection::open(&new).unwrap();
    opened.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let names: Vec<String> = opened
        .prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'gate%'")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    names.iter().for_each(|name| {
        opened
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .unwrap()
    });
    app.send(&format!("switch {}", new.display()));
    let held = app.status().acknowledged;
    app.until("it writes again", |s| s.acknowledged > held + 100);
    app.send("stop");
    assert!(app.ended().success());
    let status = app.status();
    assert!(
        status.slowest_us > 200_000 && status.retried > 10 && status.failed == 0,
        "{status:?}"
    );
    let counted = witness::count(&app.acknowledged(), &new).unwrap();
    assert!(counted.whole(), "{counted:?}");
    assert!(
        counted.by_database[0] > 100 && counted.by_database[1] > 100,
        "{counted:?}"
    );
    assert!(
        witness::count(&app.acknowledged(), &db).unwrap().lost > 100,
        "the old one lacks what the new one took"
    );
}

#[test]
fn two_applications_do_not_share_a_directory() {
    let (dir, _db) = a_shop();
    let app = App::start(dir.path(), 50);
    app.until("it writes", |s| s.acknowledged > 5);
    let mut second = App::start(dir.path(), 50);
    assert!(!second.ended().success());
    app.until("the first goes on", |s| s.acknowledged > 15);
    assert!(
        control::send(&app.dir, &control::Command::Switch("/nowhere".into()))
            .unwrap_err()
            .to_string()
            .contains("refused")
    );
}
