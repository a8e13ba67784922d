//! A whole migration from the command line: begun, steered, corrupted, repaired, parked, given up.

use crate::place::{Called, Place, SHOP};
use rusqlite::Connection;
use serde_json::Value as Json;
use std::time::{Duration, Instant};

/// A shop whose migration runs; its engine ends with the test, however that ends.
struct Live {
    place: Place,
    source: Connection,
}

impl Live {
    fn begin() -> Self {
        let place = Place::new();
        let source = place.database("old.db", SHOP);
        source.busy_timeout(Duration::from_secs(5)).unwrap();
        let init = place.call(&[
            "init", "--source", "old.db", "--target", "new.db", "--name", "shop",
        ]);
        assert_eq!(init.code, 0, "{}", init.err);
        let run = place.call(&["run", "--no-console"]);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.err.contains("engine started: pid"), "{}", run.err);
        Self { place, source }
    }

    fn call(&self, args: &[&str]) -> Called {
        self.place.call(args)
    }

    fn status(&self) -> Json {
        let called = self.call(&["status", "shop", "--json"]);
        assert_eq!(called.code, 0, "{}", called.err);
        serde_json::from_str(&called.out).unwrap()
    }

    fn until(&self, what: &str, done: impl Fn(&Json) -> bool) -> Json {
        let began = Instant::now();
        loop {
            let status = self.status();
            if done(&status) {
                return status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "not {what}: {status:#}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn synced(&self) -> Json {
        self.until("synced and equal", |status| {
            status["synced_and_equal"] == true
        })
    }

    /// Opens the target as somebody who takes the guard off.
    fn intrude(&self, sql: &str) {
        let target = Connection::open(self.place.path("new.db")).unwrap();
        target.busy_timeout(Duration::from_secs(5)).unwrap();
        let guards: Vec<String> = target
            .prepare("select name from sqlite_schema where type = 'trigger' and name like 'tidegate_guard_orders%'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        // One transaction, so that the engine can't put a guard back in between.
        let drops: String = guards
            .iter()
            .map(|name| format!("drop trigger {name};"))
            .collect();
        target
            .execute_batch(&format!("begin immediate; {drops} {sql}; commit"))
            .unwrap();
    }

    fn objects(&self, file: &str) -> i64 {
        let conn = Connection::open(self.place.path(file)).unwrap();
        let count = "select count(*) from sqlite_schema where name like 'tidegate%'";
        conn.query_row(count, [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let file = self.place.path("state/tidegate/shop/engine.pid");
        if let Some(pid) = std::fs::read_to_string(file)
            .ok()
            .and_then(|pid| pid.trim().parse().ok())
        {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }
}

#[test]
fn a_migration_is_steered_from_the_command_line() {
    let live = Live::begin();
    let status = live.synced();
    for key in [
        "phase",
        "write_owner",
        "lag",
        "drift",
        "way_back",
        "engine",
        "paused",
        "tables",
        "pass",
        "eta_seconds",
    ] {
        assert!(status.get(key).is_some(), "no {key} in {status:#}");
    }
    assert_eq!(status["write_owner"], "source");
    assert_eq!(
        status["drift"],
        serde_json::json!({"confirmed": 0, "in_flight": 0, "uncovered": 0})
    );
    assert_eq!(status["pass"]["source_rows"], 7_000);
    let list = live.call(&["list"]);
    assert!(
        list.out.starts_with("shop   synced   engine running"),
        "{}",
        list.out
    );

    let paused = live.call(&["send", "shop", "pause", "--reason", "lunch"]);
    assert_eq!(paused.code, 0, "{}", paused.err);
    let status = live.status();
    assert_eq!(
        (
            status["rested"].clone(),
            status["paused"].as_array().map(Vec::len)
        ),
        (true.into(), Some(1))
    );
    let text = live.call(&["status"]);
    assert!(text.out.contains("paused by an operator"), "{}", text.out);
    assert_eq!(status["waiting"], 0, "nothing was written");

    // What is written in a pause waits unread: not known is not none, and how long that may go on is told.
    let sale = "update orders set total = total + 1 where id = ?1";
    let unread = live.until("unread", |status| {
        live.source.execute(sale, [1]).unwrap();
        status["waiting"].is_null() && status["runway_seconds"].is_number()
    });
    assert!(unread["incoming_per_second"].is_null(), "{unread:#}");
    let text = live.call(&["status"]);
    for words in ["changes wait, unread while paused", "a pause may last"] {
        assert!(text.out.contains(words), "no \"{words}\" in {}", text.out);
    }
    assert_eq!(live.call(&["send", "shop", "resume"]).code, 0);
    live.until("read again", |status| status["waiting"] == 0);
    assert_eq!(live.status()["paused"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        live.call(&["send", "shop", "resume"]).code,
        5,
        "nothing is paused"
    );

    let pace = live.call(&["send", "shop", "throttle", "20k"]);
    assert_eq!(pace.out, "pace: at most 20.0k rows/s\n");
    let vague = live.call(&["send", "shop", "throttle"]);
    assert_eq!(vague.code, 2);
    assert!(
        vague
            .err
            .contains("give a pace: 84k, 60%, auto. To stop: pause"),
        "{}",
        vague.err
    );
    let limit = live.call(&["send", "shop", "limit", "stream", "lag", "5s"]);
    assert_eq!(limit.out, "limit of stream lag: 5.0s\n", "{}", limit.err);
    let limited = |status: &Json| {
        let signals = status["signals"].as_array().map(Vec::as_slice);
        let mut signals = signals.unwrap_or_default().iter();
        signals.any(|signal| signal["name"] == "stream lag" && signal["limit"] == 5.0)
    };
    live.until("limited", limited);
    let text = live.call(&["status"]).out;
    assert!(text.contains("of 5.0s · our lock on the source"), "{text}");
    let unknown = live.call(&["send", "shop", "limit", "cpu", "80"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.err.contains("there are: stream lag"),
        "{}",
        unknown.err
    );
    assert_eq!(live.call(&["send", "shop", "note", "all", "well"]).code, 0);
    let other = live.call(&["send", "shpo", "pause"]);
    assert_eq!(other.code, 2);
    assert!(
        other.err.contains("no migration \"shpo\" here"),
        "{}",
        other.err
    );
    assert!(other.err.contains("did you mean shop?"), "{}", other.err);
    let again = live.call(&["run", "--no-console"]);
    assert_eq!(again.code, 0);
    assert!(again.err.contains("runs already"), "{}", again.err);

    let audit = live.call(&["audit"]);
    assert_eq!(audit.code, 0, "{}{}", audit.out, audit.err);
    let report = live.call(&["report", "shop"]);
    for words in [
        "# shop: what happened",
        "pause \"lunch\"",
        "all well",
        "| synced |",
        "compare pass complete",
    ] {
        assert!(
            report.out.contains(words),
            "no \"{words}\" in\n{}",
            report.out
        );
    }
    let visits = report.out.matches("attached to look on").count();
    assert_eq!(
        visits, 0,
        "asking whether an engine answers is no visit:\n{}",
        report.out
    );
}

#[test]
fn what_differs_is_found_and_repaired_and_a_way_back_leaves_nothing() {
    let live = Live::begin();
    live.synced();
    let config = live.place.path("tidegate.toml");
    let equal = live.call(&["verify", "-c", config.to_str().unwrap()]);
    assert_eq!(equal.code, 0, "{}{}", equal.out, equal.err);

    // A compare that was asked for must see what was there before it was asked for, however busy the verifier is.
    for round in 0..5 {
        live.intrude(
            "update orders set total = -1 where id in (9, 10); delete from orders where id = 11",
        );
        let differs = live.call(&["verify", "-c", "tidegate.toml", "--rows"]);
        assert_eq!(
            differs.code, 1,
            "round {round}: {}{}",
            differs.out, differs.err
        );
        for words in [
            "1 missing on the target, 2 differ (total)",
            "id 9  total: 4.5 → -1.0",
            "id 11  missing on the target",
        ] {
            assert!(
                differs.out.contains(words),
                "no \"{words}\" in\n{}",
                differs.out
            );
        }
        let row = live.call(&["row", "orders", "9"]);
        assert_eq!(row.code, 1, "{}{}", row.out, row.err);
        assert!(row.out.contains("last compared"), "{}", row.out);
        let repair = live.call(&["send", "shop", "repair", "orders"]);
        assert_eq!(repair.code, 0, "{}", repair.err);
        assert!(
            repair
                .out
                .contains("1 put in, 2 made as on the source, 0 taken out"),
            "{}",
            repair.out
        );
        assert_eq!(live.call(&["verify", "-c", "tidegate.toml"]).code, 0);
    }
    assert_eq!(live.call(&["row", "orders", "9"]).code, 0);
    assert_eq!(
        live.call(&["row", "orders", "99999"]).code,
        6,
        "a row that is nowhere proves nothing"
    );

    assert_eq!(live.call(&["stop", "shop"]).code, 0);
    assert_eq!(live.status()["engine"]["state"], "parked");
    let text = live.call(&["status"]).out;
    let waits = "nothing keeps the sides in step until an engine runs again";
    assert!(
        text.contains(waits) && text.contains("  was equal"),
        "{text}"
    );
    let nobody = live.call(&["send", "shop", "pause"]);
    assert_eq!(nobody.code, 3, "{}", nobody.err);
    assert!(
        nobody.err.contains("tidegate run -c FILE"),
        "{}",
        nobody.err
    );
    assert_eq!(
        live.call(&["verify", "-c", "tidegate.toml"]).code,
        0,
        "the engine is down, and both are equal"
    );
    live.source
        .execute("update orders set total = 0 where id = 20", [])
        .unwrap();
    let late = live.call(&["verify", "-c", "tidegate.toml"]);
    assert_eq!(late.code, 6, "{}", late.out);
    assert!(late.out.contains("1 in flight"), "{}", late.out);
    assert_eq!(
        live.call(&["row", "orders", "20"]).code,
        6,
        "its change is on its way"
    );
    live.intrude("update orders set total = 0 where id = 21");
    let both = live.call(&["verify", "-c", "tidegate.toml"]);
    assert_eq!(both.code, 1, "{}", both.out);
    assert!(
        both.out.contains("1 differs (total), 1 in flight"),
        "{}",
        both.out
    );

    let lost = live.call(&["clean", "--confirm", "shop"]);
    assert_eq!(
        lost.code, 5,
        "a migration that can be resumed is not lost: {}",
        lost.err
    );
    assert_eq!(live.call(&["clean"]).code, 3);
    assert_eq!(live.call(&["run", "--no-console"]).code, 0);
    let unsure = live.call(&["send", "shop", "abort"]);
    assert_eq!(unsure.code, 2);
    assert!(unsure.err.contains("--confirm shop"), "{}", unsure.err);
    let abort = live.call(&["send", "shop", "abort", "--confirm", "shop"]);
    assert_eq!(abort.code, 0, "{}", abort.err);
    assert!(
        abort.out.contains("everything of tidegate's is gone"),
        "{}",
        abort.out
    );
    // At once, while the engine still lets consoles look: it neither runs nor can be attached to any more.
    for again in [live.call(&["run", "--no-console"]), live.call(&["attach"])] {
        assert_eq!(again.code, 2, "{}", again.err);
        assert!(
            again.err.contains("shop has ended (rolled-back)"),
            "{}",
            again.err
        );
    }
    assert_eq!((live.objects("old.db"), live.objects("new.db")), (0, 0));
    let clean = live.call(&["clean"]);
    assert_eq!(clean.code, 0);
    assert!(
        clean
            .out
            .contains("nothing of tidegate's is in either database"),
        "{}",
        clean.out
    );
    live.until("ended", |status| status["engine"]["state"] == "ended");
    let text = live.call(&["status", "shop"]).out;
    let left = "given up: nothing of tidegate's is left on either side; \
                the rows that were copied stay on the target, no longer kept in step";
    for words in [
        "ended (was pid",
        left,
        "of rows were equal when last compared",
        "nothing keeps the sides in step any more",
    ] {
        assert!(text.contains(words), "no \"{words}\" in {text}");
    }
    assert!(!text.contains("for resuming"), "{text}");
    let list = live.call(&["list"]).out;
    assert!(
        list.starts_with(&format!("shop   rolled-back   engine ended   {left}")),
        "{list}"
    );
    let report = live.call(&["report", "shop"]).out;
    assert!(
        report.contains(&format!("the migration has ended, {left}")),
        "{report}"
    );
    assert_eq!(
        report.matches("everything is kept for resuming").count(),
        1,
        "{report}"
    );
    let log = std::fs::read_to_string(live.place.path("state/tidegate/shop/engine.log")).unwrap();
    let last = log.rsplit(" phase rolled-back").next().unwrap();
    assert!(last.contains(left) && !last.contains("equal "), "{last}");
    let nobody = live.call(&["send", "shop", "pause"]);
    assert_eq!(nobody.code, 3);
    assert!(!nobody.err.contains("tidegate run"), "{}", nobody.err);
}

/// Resumed on a nearly full disk, it would be refused for want of room that its rows take already.
#[test]
fn no_room_is_asked_for_what_was_copied() {
    let live = Live::begin();
    live.synced();
    let bytes = "select page_count * page_size from pragma_page_count, pragma_page_size";
    let source: u64 = live.source.query_row(bytes, [], |row| row.get(0)).unwrap();
    let check = live.call(&["check", "--json"]);
    let told: Json = serde_json::from_str(&check.out).unwrap();
    let needs = told["estimate"]["target_needs_bytes"].as_u64().unwrap();
    assert!(needs < source * 3 / 5, "{needs} of {source}");
    live.call(&["stop", "shop"]);
}

#[test]
fn a_lost_run_is_found_by_check_and_cleaned() {
    let live = Live::begin();
    live.synced();
    assert_eq!(live.call(&["stop"]).code, 0);
    std::fs::remove_dir_all(live.place.path("state")).unwrap();
    let check = live.call(&["check"]);
    assert_eq!(check.code, 3, "{}", check.out);
    assert!(check.out.contains("LEFTOVERS"), "{}", check.out);
    let wrong = live.call(&["clean", "--confirm", "shpo"]);
    assert_eq!(wrong.code, 5);
    assert!(live.objects("old.db") > 0);
    let clean = live.call(&["clean", "--confirm", "shop"]);
    assert_eq!(clean.code, 0, "{}{}", clean.out, clean.err);
    assert_eq!((live.objects("old.db"), live.objects("new.db")), (0, 0));
}

/// `init` masks what looks personal; from then on no output has a value of it.
#[test]
fn masked_values_come_out_nowhere() {
    let live = Live::begin();
    live.synced();
    live.source
        .execute(
            "update customers set email = 'hidden-' || id || '@example.org' where id < 100",
            [],
        )
        .unwrap();
    // Forging comes after the stream, or the stream would put it right.
    let began = Instant::now();
    while live.call(&["row", "customers", "99"]).code != 0 {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the last change is applied"
        );
    }
    let target = Connection::open(live.place.path("new.db")).unwrap();
    target.busy_timeout(Duration::from_secs(5)).unwrap();
    target
        .execute_batch(
            "begin immediate; drop trigger tidegate_guard_customers_bu; \
             update customers set email = 'forged-' || id where id in (5, 6); commit",
        )
        .unwrap();
    let calls = [
        live.call(&["verify", "-c", "tidegate.toml", "--rows", "--limit", "1000"]),
        live.call(&["verify", "-c", "tidegate.toml", "--json"]),
        live.call(&["row", "customers", "5"]),
        live.call(&["row", "customers", "5", "--json"]),
        live.call(&["check", "--profile"]),
        live.call(&["check", "--json", "--profile"]),
        live.call(&["status"]),
        live.call(&["report", "--format", "html"]),
        live.call(&["report", "--format", "json"]),
    ];
    assert_eq!(calls[0].code, 1, "{}{}", calls[0].out, calls[0].err);
    assert!(
        calls[0].out.contains("id 5  email: •••• → ••••"),
        "{}",
        calls[0].out
    );
    assert!(calls[2].out.contains("••••"), "{}", calls[2].out);
    for called in &calls {
        for secret in ["hidden-", "forged-", "@example.org"] {
            assert!(
                !called.out.contains(secret) && !called.err.contains(secret),
                "{secret} in\n{}{}",
                called.out,
                called.err
            );
        }
    }
    assert_eq!(live.call(&["stop"]).code, 0);
    let down = live.call(&["verify", "-c", "tidegate.toml", "--rows"]);
    assert_eq!(down.code, 1, "{}{}", down.out, down.err);
    assert!(
        down.out.contains("id 5  email: •••• → ••••"),
        "{}",
        down.out
    );
    assert!(!down.out.contains("forged-"), "{}", down.out);
}

#[test]
fn the_unit_names_absolute_paths_and_the_recording_tells_a_moment() {
    let live = Live::begin();
    live.synced();
    let unit = live.call(&["unit"]);
    assert_eq!(unit.code, 0, "{}", unit.err);
    let start = unit
        .out
        .lines()
        .find(|line| line.starts_with("ExecStart="))
        .unwrap();
    let config = live.place.path("tidegate.toml");
    assert!(
        start.contains(&format!("engine --config \"{}\"", config.display())),
        "{start}"
    );
    assert!(start.contains("--state-dir"), "{start}");
    let then = live.call(&["replay", "shop", "--at", "#3"]);
    assert_eq!(then.code, 0, "{}", then.err);
    assert!(then.out.contains("record 3\n"), "{}", then.out);
    let when = live.call(&["replay", "shop", "--at", "soon"]);
    assert_eq!(when.code, 2, "{}", when.err);
}
