//! pgbench as the application, which does not stop while the migration is killed and cut off.

use crate::proxy::Proxy;
use crate::server::{Private, program};
use crate::stand::{PATIENCE, Side, Stand};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is done to rows that pgbench's own script does not do.
const LIFE: &str = r"
\set id random(1, 6000)
\set other random(1, 6000)
\set fresh random(100000, 1000000000)
\set a random(1, 400)
\set b :a % 400 + 1
\set dice random(1, 100)
BEGIN;
\if :dice <= 8
DELETE FROM things WHERE id = :id;
\elif :dice <= 22
UPDATE things SET id = :fresh WHERE id = :id;
\elif :dice <= 30
UPDATE things SET id = id + 1000000000 WHERE id = (SELECT min(id) FROM things WHERE id > :fresh) AND id < 1000000000;
\elif :dice <= 45
UPDATE things SET n = n + 1 WHERE id = :id;
\elif :dice <= 52
UPDATE things SET body = repeat(md5(random()::text), 150) WHERE id = :id;
\elif :dice <= 65
SAVEPOINT one;
UPDATE things SET n = -1, body = 'never seen' WHERE id = :id;
INSERT INTO things(id, n) VALUES (-:fresh, 0);
SAVEPOINT two;
DELETE FROM things WHERE id = :other;
ROLLBACK TO two;
ROLLBACK TO one;
SAVEPOINT three;
UPDATE things SET n = n + 10 WHERE id = :other;
RELEASE three;
\elif :dice <= 78
SELECT count(*) FROM (SELECT FROM seats WHERE id IN (:a, :b) ORDER BY id FOR UPDATE) s;
UPDATE seats SET place = CASE id WHEN :a THEN (SELECT place FROM seats WHERE id = :b) ELSE (SELECT place FROM seats WHERE id = :a) END
  WHERE id IN (:a, :b);
\elif :dice <= 88
SELECT count(*) FROM (SELECT FROM chairs WHERE id IN (:a, :b) ORDER BY id FOR UPDATE) s;
SELECT place AS pa FROM chairs WHERE id = :a \gset
SELECT place AS pb FROM chairs WHERE id = :b \gset
UPDATE chairs SET place = -:a WHERE id = :a;
UPDATE chairs SET place = :pa WHERE id = :b;
UPDATE chairs SET place = :pb WHERE id = :a;
\else
INSERT INTO things(id, n, body) VALUES (:id, :dice, repeat(md5(random()::text), 150)) ON CONFLICT DO NOTHING;
\endif
COMMIT;
";

const SCHEMA: &str = "\
    ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY;
    CREATE TABLE things(id bigint PRIMARY KEY, n int, body text, at timestamptz NOT NULL DEFAULT clock_timestamp());
    ALTER TABLE things ALTER body SET STORAGE EXTERNAL;
    INSERT INTO things SELECT i, i, repeat(md5(i::text), 100 + i % 100) FROM generate_series(1, 6000) i;
    CREATE TABLE seats(id int PRIMARY KEY, place int NOT NULL UNIQUE DEFERRABLE);
    INSERT INTO seats SELECT i, i FROM generate_series(1, 400) i;
    CREATE TABLE chairs(id int PRIMARY KEY, place int NOT NULL UNIQUE);
    INSERT INTO chairs SELECT i, i FROM generate_series(1, 400) i;
    CREATE TABLE quiet(id int PRIMARY KEY, t text);
    INSERT INTO quiet SELECT i, 'row ' || i FROM generate_series(1, 100) i;
    CREATE TABLE bulk(id int PRIMARY KEY, n int, t text);";

pub fn full() -> bool {
    std::env::var_os("TIDEGATE_FULL").is_some()
}

/// An application that comes back whenever its server does.
pub struct Load {
    over: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Child>>>,
    thread: JoinHandle<()>,
}

impl Load {
    pub fn prepare(side: &Side) {
        let made = Command::new(program("pgbench"))
            .args(["-i", "-q", "-s", "1", &side.server.url(&side.database)])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        side.sql(SCHEMA);
    }

    pub fn start(side: &Side, script: std::path::PathBuf) -> Self {
        std::fs::write(&script, LIFE).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let child = Arc::new(Mutex::new(None));
        let (ends, slot, url) = (
            Arc::clone(&over),
            Arc::clone(&child),
            side.server.url(&side.database),
        );
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let pgbench = Command::new(program("pgbench"))
                    .args([
                        "-n",
                        "-T",
                        "600",
                        "-c",
                        "3",
                        "-R",
                        "250",
                        "-b",
                        "tpcb-like@1",
                        "-f",
                    ])
                    .arg(format!("{}@3", script.display()))
                    .arg(&url)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                *slot.lock().unwrap() = Some(pgbench);
                while !ends.load(Ordering::Relaxed) {
                    let mut child = slot.lock().unwrap();
                    if child.as_mut().unwrap().try_wait().unwrap().is_some() {
                        break;
                    }
                    drop(child);
                    std::thread::sleep(Duration::from_millis(50));
                }
                let mut child = slot.lock().unwrap().take().unwrap();
                let _ = child.kill();
                child.wait().unwrap();
            }
        });
        Self {
            over,
            child,
            thread,
        }
    }

    pub fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        assert!(self.child.lock().unwrap().is_none());
    }
}

/// Where something goes wrong.
struct Weather {
    from: (Private, Proxy),
    to: (Private, Proxy),
}

impl Weather {
    fn strike(&self, stand: &mut Stand, blow: usize) {
        let side = if fastrand::bool() {
            &self.from
        } else {
            &self.to
        };
        match blow % 6 {
            0 | 3 => {
                stand.kill();
                stand.start();
            }
            1 => side.1.cut(Duration::from_millis(fastrand::u64(0..1_500))),
            2 => side
                .1
                .stall(Duration::from_millis(fastrand::u64(500..3_000))),
            4 => self.from.0.restart_immediate(),
            _ => self.to.0.restart_immediate(),
        }
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn killed_cut_off_and_restarted_under_load_it_loses_nothing() {
    let seed = std::env::var("TIDEGATE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("TIDEGATE_SEED={seed}");
    let (from, to) = (Private::start(""), Private::start(""));
    let weather = Weather {
        from: {
            let proxy = Proxy::before(from.socket());
            (from, proxy)
        },
        to: {
            let proxy = Proxy::before(to.socket());
            (to, proxy)
        },
    };
    let mut stand = Stand::between("load", weather.from.0.server(), weather.to.0.server());
    fastrand::seed(seed);
    stand.configure(
        &weather.from.1.url(&stand.source.database),
        &weather.to.1.url(&stand.target.database),
        "[backfill]\nchunk_time = \"50ms\"\nmax_rows_per_second = \"8k\"\n",
    );
    Load::prepare(&stand.source);
    let load = Load::start(&stand.source, stand.path("life.sql"));
    stand.start();
    stand.until("copying", |status| status["phase"] == "copy");
    let many = if full() { 2_000_000 } else { 200_000 };
    let source = stand.source.clone();
    let bulk = std::thread::spawn(move || {
        // Until it has been acknowledged: the server may be restarted meanwhile.
        let insert = format!(
            "INSERT INTO bulk SELECT i, i, 'row ' || i FROM generate_series(1, {many}) i ON CONFLICT DO NOTHING"
        );
        while source.try_sql(&insert).is_err() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let began = Instant::now();
    let span = Duration::from_secs(if full() { 60 } else { 20 });
    let mut blow = 0;
    while began.elapsed() < span {
        std::thread::sleep(Duration::from_millis(fastrand::u64(200..1_500)));
        weather.strike(&mut stand, blow);
        blow += 1;
        // It may not find a database when it starts, and then ends; once it runs, it waits for both.
        if stand.ended() {
            let log = stand.log();
            let ran = log.contains("engine resumed") || log.contains("engine started");
            assert!(
                !ran,
                "seed {seed}: the engine ended after blow {blow}: {log}"
            );
            stand.kill();
            stand.start();
        }
    }
    bulk.join().unwrap();
    if stand.ended() {
        stand.kill();
        stand.start();
    }
    // The pace was for the weather to meet the copy; the bulk may have been written before its table's turn came.
    stand.until("answering", |status| status["engine"]["state"] == "running");
    let hurried = stand.call(&["send", &stand.name, "throttle", "1000k"]);
    assert_eq!(hurried.code, 0, "seed {seed}: {}", hurried.err);
    // Two million rows that came in one transaction take a debug build their time.
    let patience = if full() { 3 * PATIENCE } else { PATIENCE };
    stand.until_within(patience, "copied", |status| status["phase"] != "copy");
    load.stop();
    stand.kill();
    stand.to_synced();
    stand.assert_equal();
    let verify = stand.call(&["verify", "-c", "tidegate.toml"]);
    assert_eq!(verify.code, 0, "{}{}", verify.out, verify.err);
    stand.assert_landed_once();
}
