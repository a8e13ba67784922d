//! Several consoles on one migration, and one on its record.

use crate::terminal::{Terminal, demo, tidegate};
use std::path::{Path, PathBuf};
use tempfile::tempdir;

/// A file under `dir` with this name.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|n| n == name) {
            return Some(path);
        }
        if path.is_dir()
            && let Some(found) = find(&path, name)
        {
            return Some(found);
        }
    }
    None
}

fn attach(socket: &Path, more: &[&str]) -> Terminal {
    let mut args = vec!["attach", socket.to_str().unwrap()];
    args.extend(more);
    Terminal::start(tidegate(), &args, &[], (100, 30))
}

#[test]
fn one_looks_on_one_acts_one_is_killed_and_the_engine_runs_on() {
    let dir = tempdir().unwrap();
    let mut first = demo(dir.path(), &[], (120, 36));
    first.see("WRITES source");
    let socket = find(dir.path(), "control.sock").expect("a control socket");

    let mut looks = attach(&socket, &["--observe"]);
    looks.see("WRITES source");
    looks.press("P");
    looks.see("you look on");

    let mut acts = attach(&socket, &[]);
    acts.see("WRITES source");
    acts.press("P");
    acts.see("PAUSED");
    first.see("PAUSED");
    looks.see("PAUSED");

    acts.kill();
    first.press("P");
    first.until("it goes on", |s| !s.contents().contains("PAUSED"));
    looks.until("it goes on", |s| !s.contents().contains("PAUSED"));

    // Everyone sees it at their own size.
    looks.resize(70, 20);
    looks.see("WRITES source");
    looks.press("q");
    assert_eq!(looks.end(), 0, "{}", looks.text());
    assert!(!looks.text().contains("panicked"), "{}", looks.text());

    first.press("q");
    first.see("Leave the demo?");
    first.press("Y");
    assert_eq!(first.end(), 0, "{}", first.text());
}

#[test]
fn a_console_whose_engine_is_gone_says_so_and_can_be_left() {
    let dir = tempdir().unwrap();
    let mut first = demo(dir.path(), &[], (120, 36));
    first.see("WRITES source");
    let socket = find(dir.path(), "control.sock").expect("a control socket");
    let mut second = attach(&socket, &[]);
    second.see("WRITES source");
    first.press("q");
    first.see("Leave the demo?");
    first.press("Y");
    assert_eq!(first.end(), 0, "{}", first.text());
    second.see("LINK LOST");
    second.press("P");
    second.see("could not be sent");
    second.press("q");
    assert_eq!(second.end(), 0, "{}", second.text());
}

#[test]
fn a_record_is_replayed_and_nothing_in_it_acts() {
    let dir = tempdir().unwrap();
    let mut first = demo(dir.path(), &[], (120, 36));
    first.see("COPY");
    first.press("P");
    first.see("PAUSED");
    let journal = find(dir.path(), "journal.db").expect("a journal");
    let copy = dir.path().join("copy.db");
    // As SQLite copies it; a copied file would miss what is in the log beside it.
    let conn = rusqlite::Connection::open(&journal).unwrap();
    conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    drop(conn);
    first.press("q");
    first.see("Leave the demo?");
    first.press("Y");
    assert_eq!(first.end(), 0, "{}", first.text());

    let copy = copy.to_str().unwrap();
    let mut replay = Terminal::start(tidegate(), &["replay", copy], &[], (100, 30));
    replay.see("REPLAY");
    replay.press("P");
    replay.see("nothing to act on");
    // It plays to its end, whose lines are all there to go to.
    replay.see("paused: everything");
    // Back to the first record, a step on, and by itself to the end.
    replay.press("gg\r");
    replay.see("Replay 1 of ");
    replay.press("l");
    replay.until("a step on", |s| !s.contents().contains("Replay 1 of "));
    replay.press(" ");
    replay.see("paused: everything");
    replay.press("1");
    replay.see("shop-demo");
    replay.press("q");
    assert_eq!(replay.end(), 0, "{}", replay.text());
}
