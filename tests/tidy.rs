//! The source keeps its own rules: this test reads it. A line here that excuses something fails when it excuses nothing any
//! more. Each check is shown to find what it looks for in `tidy/planted.rs`.

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/source.rs"]
mod source;

use checks::Only;
use imports::Unit;
use source::File;
use std::path::Path;

/// Who may import whom: lower never imports higher, adapters are named by `wiring` alone. `a::b` in a list opens one part of
/// a module that is closed otherwise. A module that is not here has no layer, and fails.
#[rustfmt::skip]
const LAYERS: &[Unit] = &[
    // L0
    unit("domain", &[]),
    // L1
    unit("state", &["domain"]),
    // L2: the traits and each adapter know the language only; the journal and the databases do not know each other.
    // What a piece of a large transaction comes to is asked by every adapter.
    unit("db", &["domain", "state::stream"]),
    unit("db::sqlite", &["domain", "db"]),
    unit("db::postgres", &["domain", "db"]),
    unit("db::sim", &["domain", "db"]),
    unit("journal", &["domain"]),
    unit("signal", &["domain"]),
    // L3: traits, never adapters.
    unit("engine", &["domain", "state", "db", "journal", "signal"]),
    // L4: folds over events. They read a journal, they never write one; they never see the engine or a database.
    unit("tap", &["domain", "state"]),
    unit("faces", &["domain", "state"]),
    unit("replay", &["domain", "state", "tap", "journal::Reader"]),
    unit("tui", &["domain", "state", "tap", "replay"]),
    unit("attach", &["domain", "state", "tap"]),
    // L5: puts it together. `wiring` alone knows which adapter belongs to which URL.
    unit("attach::server", &["domain", "state", "tap", "attach", "attach::session"]),
    unit("attach::session", &["domain", "state", "tap", "attach", "attach::server", "journal::Reader"]),
    unit("config", &["domain", "db", "signal"]),
    unit("wiring", &["domain", "state", "db", "db::sqlite", "db::postgres", "journal", "engine", "tap", "attach", "attach::server", "config"]),
    unit("cli", &[
        "domain", "state", "db", "journal", "engine", "tap", "faces", "tui", "replay", "attach", "attach::server", "config", "wiring",
        "demo",
    ]),
    unit("main", &["cli"]),
    // Not tidegate: what `tidegate demo` is judged by must not share its code.
    unit("demo", &[]),
];

const fn unit(path: &'static str, may: &'static [&'static str]) -> Unit {
    Unit { path, may }
}

/// Parts that compute and nothing else, with the crates they may name.
const PURE: &[(&str, &[&str])] = &[
    ("src/domain/", &["serde"]),
    ("src/state/", &["serde", "base64", "foldhash"]),
];

/// Crates that belong to some parts of the program only.
#[rustfmt::skip]
const HOMES: &[(&str, &[&str])] = &[
    ("ratatui", &["src/tui/", "src/cli/picture.rs"]),
    // The simulated database lets SQLite evaluate an operator's query.
    ("rusqlite", &["src/db/sqlite/", "src/db/sim/query.rs", "src/demo/"]),
    ("tokio_rusqlite", &["src/db/sqlite/"]),
    ("sqlx", &["src/journal/", "src/db/postgres/"]),
    ("pgwire_replication", &["src/db/postgres/"]),
    ("pg_walstream", &["src/db/postgres/"]),
    ("hyper", &["src/signal/"]),
    ("hyper_util", &["src/signal/"]),
    ("http_body_util", &["src/signal/"]),
    ("tokio_rustls", &["src/signal/"]),
    ("rustls_native_certs", &["src/signal/"]),
    ("clap", &["src/cli.rs", "src/cli/", "src/config/"]),
];

/// What may be in some places only, each with its reason.
#[rustfmt::skip]
const RULES: &[Only] = &[
    Only {
        what: "reads a clock",
        patterns: &["Instant::now", "SystemTime::now"],
        may: &[
            ("src/engine/clock.rs", "the one clock that facts are stamped by"),
            ("src/db/postgres/replication.rs", "how near the server is; and the protocol has our time in each answer"),
            ("src/engine/jobs.rs", "when a failed job may be tried again"),
            ("src/engine/signals.rs", "how old a figure is"),
            ("src/engine/sampler.rs", "what passed between two measurements"),
            ("src/engine/throttle.rs", "the token bucket fills with time"),
            ("src/tui/run.rs", "when to draw, and what is stale: the one place of the console"),
            ("src/cli/run.rs", "how long to wait for an engine that was just started"),
            ("src/cli/demo/", "the story goes by the clock on the wall"),
            ("src/demo/", "not tidegate: the application lives in real time"),
        ],
    },
    Only {
        what: "starts a task or a thread",
        patterns: &["tokio::spawn", "task::spawn", "thread::spawn", "thread::Builder", "spawn_blocking", "spawn_local"],
        may: &[
            ("src/db/sqlite/feed.rs", "a look at the log goes on when its caller drops the wait"),
            ("src/db/postgres/feed.rs", "the wire is read beside the lane, so that the server hears from us while nobody takes anything"),
            ("src/db/postgres/pull.rs", "the thread sleeps between two reads of the wire, with everything on it"),
            ("src/journal/mod.rs", "the journal's one writer"),
            ("src/engine/mod.rs", "the supervisor"),
            ("src/engine/lane/feeder.rs", "the feed is read beside the lane, so that waiting for it stops nothing"),
            ("src/attach/client.rs", "a console's end of the link, which comes back by itself"),
            ("src/attach/server.rs", "users' names are asked of the system, which may block"),
            ("src/attach/session.rs", "a snapshot is packed beside the loop"),
            ("src/tui/run.rs", "the console's own thread; exports are written beside it"),
            ("src/tui/past.rs", "a journal is read beside the console, which never waits"),
            ("src/cli/host.rs", "the socket's server, and the bridge from it to the engine"),
            ("src/cli/demo/", "the application and its judge block; the story goes on"),
            ("src/demo/app/control.rs", "the application's control socket"),
        ],
    },
    Only {
        what: "prints",
        patterns: &["println!", "eprintln!", "print!", "eprint!", "dbg!", "io::stdout", "io::stderr"],
        may: &[
            ("src/cli/", "the command line talks"),
            ("src/tui/term/mod.rs", "the console draws"),
        ],
    },
    Only {
        what: "has a channel without bounds",
        patterns: &["unbounded_channel", "mpsc::channel()", "unbounded()", "UnboundedSender"],
        may: &[],
    },
    Only {
        what: "uses unsafe code",
        patterns: &["unsafe"],
        may: &[],
    },
];

fn files() -> Vec<File> {
    let files = source::read(
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &["src", "tests", "benches"],
    );
    assert!(files.len() > 100, "the source was found");
    files
}

fn clean(found: Vec<String>) {
    assert!(
        found.is_empty(),
        "{} found:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn no_lower_layer_imports_a_higher_one() {
    clean(
        files()
            .iter()
            .flat_map(|file| imports::check(LAYERS, file))
            .collect(),
    );
}

#[test]
fn what_belongs_in_one_place_is_in_that_place() {
    let files = files();
    clean(
        RULES
            .iter()
            .flat_map(|rule| checks::only(rule, &files))
            .collect(),
    );
}

#[test]
fn pure_parts_are_pure_and_crates_stay_at_home() {
    let manifest = include_str!("../Cargo.toml");
    let crates = checks::dependencies(manifest);
    assert!(crates.contains(&"serde".to_owned()) && crates.len() > 20);
    let found = files()
        .iter()
        .flat_map(|file| {
            let mut found = checks::impure(file, PURE, &crates);
            found.extend(checks::foreign(file, HOMES, &crates));
            found
        })
        .collect();
    clean(found);
}

#[test]
fn nothing_ends_the_program_without_a_proof() {
    clean(files().iter().flat_map(checks::unproven).collect());
}

#[test]
fn files_are_short_say_what_they_are_and_are_named_for_it() {
    let found = files()
        .iter()
        .flat_map(|file| {
            [
                checks::too_long(file, 800),
                checks::says_nothing(&file.path),
                checks::unsaid(file),
            ]
        })
        .flatten()
        .collect();
    clean(found);
}

#[test]
fn every_file_is_part_of_the_program() {
    clean(checks::orphans(&files()));
}

/// `ARCHITECTURE.md` names no file or test that is not there, and leaves no folder of the source out.
#[test]
fn the_map_shows_the_country() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files();
    let map = include_str!("../ARCHITECTURE.md");
    clean(checks::mapped(map, &files, |path| root.join(path).exists()));
}

#[test]
fn nothing_tells_of_the_machine_it_was_written_on() {
    let mut texts = Vec::new();
    source::texts(Path::new(env!("CARGO_MANIFEST_DIR")), &mut texts);
    assert!(texts.iter().any(|(path, _)| path == "tests/run"));
    clean(checks::telling(&texts));
}

#[test]
fn no_test_is_left_out_in_silence() {
    clean(checks::left_out(&files()));
}
