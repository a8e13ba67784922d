//! SQLite to SQLite with change capture on, against `ATTACH` + `INSERT … SELECT` into a table with its key: the same rows on the
//! same disk, in turns. What is timed of tidegate is the whole program, from its start with preflight until everything is
//! copied.
//!
//! `cargo bench --bench sqlite_copy`

mod machine;

use rusqlite::Connection;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROWS: u32 = 3_000_000;
const ROUNDS: usize = 3;
const TABLE: &str = "CREATE TABLE payment (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, cents INTEGER NOT NULL, note TEXT)";

fn main() {
    machine::print();
    // Beside the build, on a real disk: /tmp may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = dir.path().join("source.db");
    fill(&source);
    let (mut plain, mut ours, mut peak) = (Vec::new(), Vec::new(), 0);
    println!("round  INSERT … SELECT  tidegate  memory at most");
    for round in 1..=ROUNDS {
        let place = dir.path().join(round.to_string());
        std::fs::create_dir(&place).unwrap();
        // A source of its own for each round: one that nobody has captured yet.
        let fresh = place.join("source.db");
        std::fs::copy(&source, &fresh).unwrap();
        let select = insert_select(&fresh, &place.join("plain.db"));
        let (took, memory) = migrate(&fresh, &place);
        println!(
            "{round:>5} {:>14.2}s {:>8.2}s {:>12} MB",
            select.as_secs_f64(),
            took.as_secs_f64(),
            memory >> 10
        );
        plain.push(select);
        ours.push(took);
        peak = peak.max(memory);
    }
    let (plain, ours) = (median(plain), median(ours));
    println!(
        "{ROWS} rows, medians: {:.2}s and {:.2}s, {:.2} × the plain statement, {} MB at most",
        plain.as_secs_f64(),
        ours.as_secs_f64(),
        ours.as_secs_f64() / plain.as_secs_f64(),
        peak >> 10
    );
}

fn fill(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; {TABLE};
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
         INSERT INTO payment SELECT n, n * 7919 % 100000, n % 9973, 'payment ' || n FROM n;
         PRAGMA wal_checkpoint(TRUNCATE)"
    ))
    .unwrap();
}

fn insert_select(source: &Path, target: &Path) -> Duration {
    let conn = Connection::open(target).unwrap();
    conn.execute_batch(&format!("PRAGMA journal_mode = WAL; {TABLE}"))
        .unwrap();
    let start = Instant::now();
    conn.execute("ATTACH ?1 AS source", [source.to_str().unwrap()])
        .unwrap();
    let copied = conn
        .execute("INSERT INTO main.payment SELECT * FROM source.payment", [])
        .unwrap();
    let took = start.elapsed();
    assert_eq!(copied, ROWS as usize);
    took
}

/// How long it took, and the most resident memory in kB.
fn migrate(source: &Path, place: &Path) -> (Duration, u64) {
    let (target, config) = (place.join("target.db"), place.join("tidegate.toml"));
    let round = place.file_name().unwrap().to_str().unwrap();
    let written = format!(
        "[migration]\nname = \"bench-{round}\"\n[source]\nurl = \"sqlite://{}\"\n[target]\nurl = \"sqlite://{}\"\n",
        source.display(),
        target.display()
    );
    std::fs::write(&config, written).unwrap();
    let start = Instant::now();
    let mut engine = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["engine", "--until", "catch-up", "-c"])
        .arg(&config)
        .env("XDG_STATE_HOME", place)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let code = loop {
        if let Some(code) = engine.try_wait().unwrap() {
            break code;
        }
        peak = peak.max(resident_peak(engine.id()));
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = start.elapsed();
    assert!(code.success(), "{code}");
    let count: u32 = Connection::open(&target)
        .unwrap()
        .query_row("SELECT count(*) FROM payment", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, ROWS, "everything is copied");
    (took, peak)
}

fn resident_peak(pid: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
