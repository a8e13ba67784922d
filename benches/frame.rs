//! What a frame of the console costs with a million chunks on it, while chunks move on between frames; and what a chunk takes in
//! memory. A frame may take 2 ms, a chunk 16 bytes.
//!
//! `cargo bench --bench frame`

mod machine;
#[path = "../tests/screen/story.rs"]
#[allow(dead_code, reason = "the story is told for the screens as well")]
mod story;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use std::time::{Duration, Instant};
use story::{ANA, ORDERS, Story};
use tidegate::domain::event::{Fact, Phase};
use tidegate::domain::unit::{Rows, Span};
use tidegate::domain::verdict::DriftCounts;
use tidegate::tui;
use tidegate::tui::model::{Now, Picture, Screen, Ui};
use tidegate::tui::theme::{Depth, Theme};

const CHUNKS: u32 = 1_000_000;
const ROWS: u64 = 1_000;
const FRAMES: usize = 3_000;
/// Chunks that move on between two frames: thirty frames a second, 3,000 chunks a second.
const MOVES: u32 = 100;
const MOST: Duration = Duration::from_millis(2);

fn main() {
    machine::print();
    let mut story = Story::planned().started_with(&[(ORDERS, u64::from(CHUNKS) * ROWS)]);
    let before = resident();
    for _ in 0..CHUNKS {
        story.land_one(ORDERS, Rows(ROWS), 1);
    }
    let each = (resident() - before) as f64 / f64::from(CHUNKS);
    println!("{CHUNKS} chunks, {each:.1} bytes each in memory");
    story.fact(Fact::TableCopied { table: ORDERS });
    story.fact(Fact::PhaseEntered {
        phase: Phase::CatchUp,
    });
    // The frames go on from the middle of a compare.
    story.check_sized(ORDERS, 0, CHUNKS / 2, ROWS, &[]);
    let mut next = CHUNKS / 2;
    println!("screen      size      p50       p99   longest  p99 of 2 ms");
    for screen in [Screen::Overview, Screen::Map] {
        for (width, height) in [(80, 24), (120, 36), (200, 60)] {
            let size = Size { width, height };
            let mut took = frames(&mut story, &mut next, screen, size);
            took.sort();
            let at = |part: usize| took[(took.len() - 1) * part / 100];
            println!(
                "{:<9} {width:>3}×{height:<3} {} {} {} {:>11.2}",
                screen.label(),
                ms(at(50)),
                ms(at(99)),
                ms(at(100)),
                at(99).as_secs_f64() / MOST.as_secs_f64()
            );
        }
    }
}

/// How long each of many frames took, from the picture to the backend's cells, without what it waited for a core that
/// others had.
fn frames(story: &mut Story, next: &mut u32, screen: Screen, size: Size) -> Vec<Duration> {
    let mut ui = Ui {
        size,
        screen,
        me: Some(ANA),
        theme: Theme::new(Depth::True, false, false),
        ..Ui::default()
    };
    ui.map.table = Some(ORDERS);
    let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
    let mut took = Vec::with_capacity(FRAMES);
    for no in 0..FRAMES {
        go_on(story, next, no);
        ui.now = Now {
            run: ui.now.run + Span::millis(33),
            tick: story.tick,
            at: story.now(),
        };
        ui.heard = Some(ui.now.run);
        let waited = waited_for_a_core();
        let start = Instant::now();
        let picture = Picture::of(&story.state, &ui);
        terminal
            .draw(|frame| tui::draw(&picture, frame.area(), frame.buffer_mut()))
            .unwrap();
        let elapsed = start.elapsed();
        took.push(elapsed.saturating_sub(waited_for_a_core() - waited));
    }
    took
}

/// The next chunks are compared, one of them differs in every tenth frame, and something is measured.
fn go_on(story: &mut Story, next: &mut u32, frame: usize) {
    story.wait(Span::millis(33));
    let differ = DriftCounts {
        changed: 3,
        ..DriftCounts::default()
    };
    let bad = [(*next, differ)];
    let bad: &[_] = if frame.is_multiple_of(10) { &bad } else { &[] };
    let end = (*next + MOVES).min(CHUNKS);
    story.check_sized(ORDERS, *next, end, ROWS, bad);
    *next = if end == CHUNKS { 0 } else { end };
    story.sample(story.copying_sample());
}

/// How long this thread could have run and did not, so far.
fn waited_for_a_core() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn ms(time: Duration) -> String {
    format!("{:>6.3} ms", time.as_secs_f64() * 1e3)
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kb.unwrap() * 1024
}
