//! The console of a demo: from the first frame to the shell's prompt.

use crate::terminal::{Terminal, count, demo, tidegate};
use tempfile::tempdir;

const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// Leaves a demo and checks that the terminal is as it was.
fn leave(terminal: &mut Terminal) {
    terminal.press("q");
    terminal.see("Leave the demo?");
    terminal.press("Y");
    assert_eq!(terminal.end(), 0, "{}", terminal.text());
    terminal.look(|screen| {
        assert!(!screen.alternate_screen(), "the alternate screen is left");
        assert!(!screen.hide_cursor(), "the cursor is back");
        assert!(!screen.bracketed_paste(), "pasting is as before");
    });
}

#[test]
fn a_demo_is_watched_paused_resized_and_left() {
    let dir = tempdir().unwrap();
    let mut terminal = demo(dir.path(), &[], (120, 36));
    terminal.see("WRITES source");
    terminal.see("WAY BACK");
    terminal.see("COPY");
    terminal.press("P");
    terminal.see("PAUSED");
    terminal.press("P");
    terminal.until("it goes on", |s| !s.contents().contains("PAUSED"));
    terminal.press("?");
    terminal.see("Acts on the migration");
    terminal.press("\x1b");
    terminal.see("[1 Overview]");
    terminal.press("2");
    terminal.see("[2 Map]");
    for (cols, rows) in [
        (1, 1),
        (2, 40),
        (400, 2),
        (20, 5),
        (59, 14),
        (60, 15),
        (400, 120),
        (100, 30),
    ] {
        terminal.resize(cols, rows);
        std::thread::sleep(std::time::Duration::from_millis(60));
    }
    terminal.resize(80, 24);
    terminal.see("2 Map");
    terminal.press("1");
    terminal.see("WRITES source");
    leave(&mut terminal);
    let text = terminal.text();
    assert!(text.contains("0 lost"), "{text}");
    let bytes = terminal.bytes();
    assert_eq!(
        count(&bytes, b"\x1b[6n"),
        0,
        "the terminal is never asked for its cursor"
    );
    assert_eq!(count(&bytes, b"\x1b[c"), 0, "nor for what it is");
    let frames = count(&bytes, BEGIN);
    assert!(frames > 5, "{frames} frames");
    // One more ends: giving the terminal back ends whatever frame a panic may have left open.
    let ends = count(&bytes, END);
    assert!(
        (frames..=frames + 1).contains(&ends),
        "{frames} begin, {ends} end"
    );
}

#[test]
fn without_colours_the_selection_still_shows() {
    let dir = tempdir().unwrap();
    let mut terminal = demo(dir.path(), &[("NO_COLOR", "1")], (100, 30));
    terminal.see("WRITES source");
    terminal.see("payments");
    terminal.until("something reversed", |screen| {
        let (rows, cols) = screen.size();
        let all = (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c)));
        all.filter_map(|(r, c)| screen.cell(r, c))
            .any(vt100::Cell::inverse)
    });
    terminal.look(|screen| {
        let (rows, cols) = screen.size();
        for row in 0..rows {
            for col in 0..cols {
                let Some(cell) = screen.cell(row, col) else {
                    continue;
                };
                assert_eq!(
                    cell.fgcolor(),
                    vt100::Color::Default,
                    "{row},{col} {:?}",
                    cell.contents()
                );
                assert_eq!(
                    cell.bgcolor(),
                    vt100::Color::Default,
                    "{row},{col} {:?}",
                    cell.contents()
                );
            }
        }
    });
    leave(&mut terminal);
}

// What breaks the console on purpose is left out of release builds, so there is nothing to see in one.
#[cfg(debug_assertions)]
#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    let dir = tempdir().unwrap();
    let mut terminal = demo(
        dir.path(),
        &[("TIDEGATE_BREAK_ON_LOG", "1"), ("RUST_BACKTRACE", "0")],
        (100, 30),
    );
    terminal.see("WRITES source");
    terminal.press("8");
    let code = terminal.end();
    assert_ne!(code, 0);
    terminal.look(|screen| {
        assert!(!screen.alternate_screen());
        assert!(!screen.hide_cursor());
    });
    let text = terminal.text();
    assert!(text.contains("broken on purpose"), "{text}");
    assert!(text.contains("the console broke"), "{text}");
}

#[test]
fn ctrl_z_stops_the_console_and_fg_brings_it_back() {
    let dir = tempdir().unwrap();
    let mut shell = Terminal::start("bash", &["--norc", "-i"], &[("PS1", "shell> ")], (100, 30));
    shell.see("shell> ");
    let dir = dir.path().to_str().unwrap().to_string();
    shell.press(&format!("{} demo --rows 60000 --dir {dir}\n", tidegate()));
    shell.see("WRITES source");
    shell.press("\x1a");
    shell.until("the shell", |s| {
        !s.alternate_screen() && s.contents().contains("Stopped")
    });
    shell.press("echo still $((6*7))\n");
    shell.see("still 42");
    shell.press("fg\n");
    shell.until("the console again", |s| {
        s.alternate_screen() && s.contents().contains("WRITES source")
    });
    shell.press("?");
    shell.see("Acts on the migration");
    shell.press("q");
    shell.see("Leave the demo?");
    shell.press("Y");
    shell.until("the shell again", |s| {
        !s.alternate_screen() && s.contents().contains("0 lost")
    });
    shell.press("exit\n");
    shell.end();
}
