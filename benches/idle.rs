//! What a console and its engine take of a core while nothing happens: a real engine on small files, synced and equal, and a real
//! console attached to it in a terminal. A console that is looked at may take 1 %.
//!
//! `cargo bench --bench idle`

mod machine;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rusqlite::Connection;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");
const NAME: &str = "bench-idle";
const SETTLE: Duration = Duration::from_secs(3);
const WATCHED: Duration = Duration::from_secs(20);
/// In a second of `/proc/PID/stat`: Linux tells every program 100.
const TICKS: f64 = 100.0;
const MOST: f64 = 0.01;

fn main() {
    machine::print();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = dir.path();
    let mut engine = engine(place);
    until_synced(place);

    let size = PtySize {
        rows: 36,
        cols: 120,
        ..PtySize::default()
    };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut attach = CommandBuilder::new(PROGRAM);
    attach.args(["attach", NAME]);
    attach.env("XDG_STATE_HOME", place);
    attach.env("TERM", "xterm-256color");
    let mut console = pair.slave.spawn_command(attach).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let written = std::thread::spawn(move || {
        let mut piece = [0; 16 * 1024];
        let mut bytes = 0;
        while let Ok(n @ 1..) = reader.read(&mut piece) {
            bytes += n;
        }
        bytes
    });
    std::thread::sleep(SETTLE);

    let console_pid = console.process_id().unwrap();
    let before = (ticks(console_pid), ticks(engine.id()));
    let start = Instant::now();
    std::thread::sleep(WATCHED);
    let took = start.elapsed().as_secs_f64();
    let share = |before: u64, now: u64| (now - before) as f64 / TICKS / took;
    let of_console = share(before.0, ticks(console_pid));
    let of_engine = share(before.1, ticks(engine.id()));

    console.kill().unwrap();
    console.wait().unwrap();
    engine.kill().unwrap();
    engine.wait().unwrap();
    drop(pair.master);
    let bytes = written.join().unwrap();
    println!("process  of a core  of 1 %");
    let row = |name: &str, share: f64| {
        println!("{name:<8} {:>7.2} % {:>7.2}", share * 100.0, share / MOST);
    };
    row("console", of_console);
    row("engine", of_engine);
    println!("over {took:.0}s at 120×36; the console wrote {bytes} bytes from its first frame on");
}

fn engine(place: &Path) -> std::process::Child {
    let (source, target) = (place.join("source.db"), place.join("target.db"));
    Connection::open(&source)
        .unwrap()
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
             CREATE TABLE payment (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, cents INTEGER NOT NULL);
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
             INSERT INTO account SELECT n, 'account ' || n FROM n;
             INSERT INTO payment SELECT id, id, id * 7919 % 10000 FROM account",
        )
        .unwrap();
    let config = place.join("tidegate.toml");
    let written = format!(
        "[migration]\nname = \"{NAME}\"\n[source]\nurl = \"sqlite://{}\"\n[target]\nurl = \"sqlite://{}\"\n",
        source.display(),
        target.display()
    );
    std::fs::write(&config, written).unwrap();
    Command::new(PROGRAM)
        .args(["engine", "-c"])
        .arg(&config)
        .env("XDG_STATE_HOME", place)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn until_synced(place: &Path) {
    let start = Instant::now();
    loop {
        let status = Command::new(PROGRAM)
            .args(["status", NAME, "--json"])
            .env("XDG_STATE_HOME", place)
            .output()
            .unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        if status["synced_and_equal"] == true {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{status:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a process has taken of cores so far, in user and in kernel mode.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold anything but ends with the last bracket; the two figures are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields = fields.split(' ').skip(11).take(2);
    fields.map(|n| n.parse::<u64>().unwrap()).sum()
}
