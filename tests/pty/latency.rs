//! From a key to the screen, while a migration runs on the same machine.

use crate::terminal::demo;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Generous: a debug build, on a machine that tests share.
const MEDIAN: Duration = Duration::from_millis(60);

#[test]
fn a_key_is_on_the_screen_at_once() {
    let dir = tempdir().unwrap();
    let mut terminal = demo(dir.path(), &[], (120, 36));
    terminal.see("COPY");
    let mut took = Vec::new();
    for round in 0..40 {
        let (key, shows) = if round % 2 == 0 {
            ("2", "[2 Map]")
        } else {
            ("1", "[1 Overview]")
        };
        let begun = Instant::now();
        terminal.press(key);
        while !terminal.look(|s| s.contents().contains(shows)) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{}",
                terminal.text()
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        took.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(17));
    }
    took.sort();
    let (median, late) = (took[took.len() / 2], took[took.len() * 95 / 100]);
    println!(
        "key to screen: median {median:?}, 95 of 100 within {late:?}, longest {:?}",
        took[took.len() - 1]
    );
    assert!(median < MEDIAN, "median {median:?}");
    terminal.press("q");
    terminal.see("Leave the demo?");
    terminal.press("Y");
    assert_eq!(terminal.end(), 0, "{}", terminal.text());
}
