//! A million chunks are ordinary: at most sixteen bytes each, and the last record costs what the first did.

use crate::arbitrary::plan;
use std::process::Command;
use std::time::{Duration, Instant};
use tidegate::domain::event::{Body, Event, Fact, Phase};
use tidegate::domain::id::{ChunkId, Seq, TableId};
use tidegate::domain::position::Position;
use tidegate::domain::unit::{At, Bytes, Rows, Span, Tick};
use tidegate::state::chunks::Cell;
use tidegate::state::migration::Migration;

const CHUNKS: u32 = 1_000_000;

fn event(seq: u64, fact: Fact) -> Event {
    Event {
        seq: Seq(seq),
        at: At(1_795_173_000_000),
        tick: Tick(seq * 1_000),
        cause: None,
        body: Body::Fact(fact),
    }
}

fn copying() -> Migration {
    let mut state = Migration::default();
    let created = Fact::Created {
        plan: Box::new(plan()),
        hash: "h".into(),
        version: "0".into(),
    };
    state.apply(&event(1, created));
    for phase in [Phase::Schema, Phase::Copy] {
        state.apply(&event(2, Fact::PhaseEntered { phase }));
    }
    state
}

fn land(state: &mut Migration, no: u32) {
    let table = TableId((no % 2) as u16);
    let fact = Fact::ChunkLanded {
        chunk: ChunkId { table, no: no / 2 },
        rows: Rows(1_000),
        bytes: Bytes(40_000),
        took: Span::millis(20),
        position: Position(u128::from(no)),
        attempt: 1,
    };
    state.apply(&event(u64::from(no) + 4, fact));
}

/// The quickest of several stretches, so that what else the machine does counts for little.
fn quickest(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap()
}

#[test]
fn applying_stays_linear() {
    let mut state = copying();
    let stretch = 10_000;
    let mut times = Vec::new();
    for first in (0..CHUNKS).step_by(stretch) {
        let start = Instant::now();
        for no in first..first + stretch as u32 {
            land(&mut state, no);
        }
        times.push(start.elapsed());
    }
    assert_eq!(state.illegal, 0);
    assert_eq!(
        state.tables[0].chunks.len() + state.tables[1].chunks.len(),
        CHUNKS
    );
    let (early, late) = (quickest(&times[..20]), quickest(&times[80..]));
    assert!(
        late < early * 5,
        "the first took {early:?}, the last {late:?}"
    );

    // A look that a screen takes with every frame does not walk the chunks.
    let start = Instant::now();
    for _ in 0..1_000 {
        assert!(state.copied() < 1.0 && state.drift().confirmed == 0);
    }
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_snapshot_of_a_million_is_sixteen_bytes_a_chunk_and_comes_back() {
    let mut state = copying();
    let empty = serde_json::to_string(&state).unwrap().len();
    for no in 0..CHUNKS {
        land(&mut state, no);
    }
    let text = serde_json::to_string(&state).unwrap();
    let each = (text.len() - empty) as f64 / f64::from(CHUNKS);
    assert!(each <= 16.1, "{each} bytes a chunk");
    assert_eq!(serde_json::from_str::<Migration>(&text).unwrap(), state);
}

#[test]
fn a_million_chunks_take_sixteen_bytes_each() {
    assert!(size_of::<Cell>() <= 16);
    let out = Command::new(std::env::current_exe().unwrap())
        .args([
            "million::child_holds_a_million_chunks",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

/// In a process of its own, because its memory is what counts.
#[test]
#[ignore = "run by a_million_chunks_take_sixteen_bytes_each"]
fn child_holds_a_million_chunks() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kb: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kb * 1024
    };
    let mut state = copying();
    let before = resident();
    for no in 0..CHUNKS {
        land(&mut state, no);
    }
    let each = (resident() - before) as f64 / f64::from(CHUNKS);
    // What the operating system gives comes in pages, and a vector holds up to twice its length: untouched pages don't count.
    assert!((11.0..=16.0).contains(&each), "{each} bytes a chunk");
    assert_eq!(state.illegal, 0);
}
