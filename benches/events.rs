//! How many events a second are kept up with: by the fold alone, by a console that catches up over an engine's socket, and by one
//! that is attached while 50,000 a second are recorded. The engine's end and the console's run on threads of their own, as in
//! their processes; the console folds what it hears.
//!
//! `cargo bench --bench events`

mod machine;
#[path = "../tests/screen/story.rs"]
#[allow(dead_code, reason = "the story is told for the screens as well")]
mod story;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use story::EVENTS;
use tidegate::attach::client::Client;
use tidegate::attach::server::{Access, Latest, Ports, Server, Visit};
use tidegate::attach::wire::Greeting;
use tidegate::domain::command::Role;
use tidegate::domain::event::{Body, Event, Fact, Phase};
use tidegate::domain::id::{ChunkId, MigrationName, Seq};
use tidegate::domain::plan::Environment;
use tidegate::domain::position::Position;
use tidegate::domain::unit::{At, Bytes, Rows, Span, Tick};
use tidegate::domain::verdict::{ChunkVerdict, DriftCounts};
use tidegate::journal::paths::StateDir;
use tidegate::journal::{Draft, Journal, Opening};
use tidegate::state::migration::Migration;
use tidegate::tap::{Tap as _, Tapped};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

const FOLDED: u64 = 2_000_000;
const CAUGHT_UP: u64 = 300_000;
const A_SECOND: u64 = 50_000;
const SECONDS: u64 = 10;
/// Recorded in one piece, every ten milliseconds.
const PIECE: u64 = A_SECOND / 100;

fn main() {
    machine::print();
    println!("what                              events/s  of 50,000");
    row("folded", folded());
    row("heard and folded, catching up", caught_up());
    attached();
}

fn row(what: &str, per_second: f64) {
    println!(
        "{what:<31} {per_second:>10.0} {:>10.1}",
        per_second / A_SECOND as f64
    );
}

fn draft(fact: Fact) -> Draft {
    Draft {
        at: At(1_795_173_000_000),
        tick: Tick(1_000_000),
        cause: None,
        body: Body::Fact(fact),
    }
}

/// A migration that copies, up to its first chunk.
fn beginning() -> Vec<Draft> {
    let created = Fact::Created {
        plan: Box::new(story::plan("bench", Environment::Prod)),
        hash: "7be1c402d5aa".into(),
        version: "0.1.0".into(),
    };
    let entered = |phase| draft(Fact::PhaseEntered { phase });
    vec![draft(created), entered(Phase::Schema), entered(Phase::Copy)]
}

/// The facts of a copy, however far: each chunk lands, then it is compared.
fn going_on(no: u64) -> Draft {
    let chunk = ChunkId {
        table: EVENTS,
        no: (no / 2) as u32,
    };
    let position = Position(0x3F_9A00_0000 + u128::from(no));
    draft(if no.is_multiple_of(2) {
        Fact::ChunkLanded {
            chunk,
            rows: Rows(10_000),
            bytes: Bytes(2_590_000),
            took: Span::millis(512),
            position,
            attempt: 1,
        }
    } else {
        Fact::ChunkChecked {
            chunk,
            verdict: ChunkVerdict {
                position,
                source_rows: Rows(10_000),
                target_rows: Rows(10_000),
                in_flight: 0,
                differ: DriftCounts::default(),
                columns: Vec::new(),
            },
        }
    })
}

fn folded() -> f64 {
    let drafts = beginning().into_iter().chain((0..FOLDED).map(going_on));
    let events: Vec<Event> = (1..)
        .zip(drafts)
        .map(|(seq, draft)| Event {
            seq: Seq(seq),
            at: draft.at,
            tick: draft.tick,
            cause: draft.cause,
            body: draft.body,
        })
        .collect();
    let mut state = Migration::default();
    let start = Instant::now();
    for event in &events {
        state.apply(event);
    }
    let took = start.elapsed();
    assert_eq!(state.illegal, 0);
    events.len() as f64 / took.as_secs_f64()
}

/// What consoles see of an engine: its journal, and the fold of it.
struct Engine {
    runtime: Runtime,
    journal: Journal,
    state: Arc<Mutex<Arc<Migration>>>,
    socket: PathBuf,
    _stop: DropGuard,
    _samples: watch::Sender<Latest>,
    _root: tempfile::TempDir,
}

impl Engine {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        // Beside the build, on a real disk: /tmp may be memory.
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let name = MigrationName::new("bench").unwrap();
        let dir = StateDir::new(root.path(), &name);
        dir.create().unwrap();
        let journal = runtime
            .block_on(Journal::open(&dir, Opening::Create))
            .unwrap();
        let state = Arc::new(Mutex::new(Arc::<Migration>::default()));
        let (samples, latest) = watch::channel(Latest::default());
        let (snapshots, mut asked) = mpsc::channel::<oneshot::Sender<_>>(8);
        let (requests, _) = mpsc::channel(8);
        let (queries, _) = mpsc::channel(8);
        let (visits, mut visiting) = mpsc::channel(8);
        let shown = Arc::clone(&state);
        runtime.spawn(async move {
            while let Some(reply) = asked.recv().await {
                let state = Arc::clone(&shown.lock().unwrap());
                // Whoever asked may be gone.
                let _ = reply.send(state);
            }
        });
        runtime.spawn(async move {
            while let Some(visit) = visiting.recv().await {
                if let Visit::Attached { known, .. } = visit {
                    let _ = known.send(());
                }
            }
        });
        let ports = Ports {
            journal: journal.path().to_owned(),
            head: journal.head(),
            samples: latest,
            snapshots,
            requests,
            queries,
            visits,
        };
        let stop = CancellationToken::new();
        let server = Server::bind(&dir.socket(), &Access::Owner, name, ports).unwrap();
        runtime.spawn(server.run(stop.clone()));
        drop(entered);
        Self {
            runtime,
            journal,
            state,
            socket: dir.socket(),
            _stop: stop.drop_guard(),
            _samples: samples,
            _root: root,
        }
    }
}

/// Records facts; gives them as recorded once they are durable.
async fn record(journal: &Journal, drafts: Vec<Draft>) -> Vec<Event> {
    journal.append(drafts).await.unwrap().into_inner()
}

/// What a console has heard.
#[derive(Default)]
struct Heard {
    state: Arc<Migration>,
    events: u64,
    snapshots: u64,
}

impl Heard {
    fn take(&mut self, tapped: Tapped) {
        match tapped {
            Tapped::Snapshot(state) => {
                self.state = state;
                self.snapshots += 1;
            }
            Tapped::Event(event) => {
                Arc::make_mut(&mut self.state).apply(&event);
                self.events += 1;
            }
            Tapped::Ended(fault) => panic!("{fault}"),
            Tapped::LinkLost { why, .. } => panic!("{why}"),
            _ => {}
        }
    }
}

/// Listens on a thread of its own, as a console does, until the record `last` is folded; tells each record folded to `seen`.
fn listen(
    engine: &Engine,
    every: bool,
    last: Seq,
    mut seen: impl FnMut(Seq) + Send + 'static,
) -> std::thread::JoinHandle<Heard> {
    let socket = engine.socket.clone();
    let greeting = Greeting {
        every,
        ..Greeting::new(Role::Observer, "bench")
    };
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut client = Client::attach(socket, greeting).await.unwrap();
            let mut heard = Heard::default();
            while heard.state.seq < last {
                heard.take(client.next().await.unwrap());
                seen(heard.state.seq);
            }
            assert_eq!(heard.state.illegal, 0);
            heard
        })
    })
}

/// A console that begins with nothing and is told every record of a journal.
fn caught_up() -> f64 {
    let engine = Engine::new();
    let last = engine.runtime.block_on(async {
        let mut last = record(&engine.journal, beginning()).await;
        for first in (0..CAUGHT_UP).step_by(PIECE as usize) {
            let drafts = (first..first + PIECE).map(going_on).collect();
            last = record(&engine.journal, drafts).await;
        }
        last.last().unwrap().seq
    });
    let start = Instant::now();
    let heard = listen(&engine, true, last, |_| {}).join().unwrap();
    heard.events as f64 / start.elapsed().as_secs_f64()
}

/// A console that is attached while 50,000 a second are recorded.
fn attached() {
    let engine = Engine::new();
    let begun = engine
        .runtime
        .block_on(record(&engine.journal, beginning()));
    fold(&engine.state, &begun);
    let last = Seq(begun.len() as u64 + A_SECOND * SECONDS);
    // When which records became durable, until they are seen folded; and how long that took.
    let durable = Arc::new(Mutex::new(VecDeque::<(Seq, Instant)>::new()));
    let delays = Arc::new(Mutex::new(Vec::<Duration>::new()));
    let (waiting, told) = (Arc::clone(&durable), Arc::clone(&delays));
    let console = listen(&engine, false, last, move |seq| {
        let mut waiting = waiting.lock().unwrap();
        while let Some((_, since)) = waiting.front().copied().filter(|(piece, _)| *piece <= seq) {
            told.lock().unwrap().push(since.elapsed());
            waiting.pop_front();
        }
    });
    std::thread::sleep(Duration::from_millis(500));
    let (mut behind, mut late) = (Vec::new(), Duration::ZERO);
    let start = Instant::now();
    engine.runtime.block_on(async {
        let mut clock = tokio::time::interval(Duration::from_millis(10));
        for first in (0..A_SECOND * SECONDS).step_by(PIECE as usize) {
            let due = clock.tick().await;
            let drafts = (first..first + PIECE).map(going_on).collect();
            let events = record(&engine.journal, drafts).await;
            let seq = events.last().unwrap().seq;
            let mut waiting = durable.lock().unwrap();
            behind.push(waiting.len() as u64 * PIECE);
            waiting.push_back((seq, Instant::now()));
            drop(waiting);
            fold(&engine.state, &events);
            late = due.elapsed();
        }
    });
    let published = start.elapsed();
    let heard = console.join().unwrap();
    let took = start.elapsed();
    let recorded = (A_SECOND * SECONDS) as f64 / published.as_secs_f64();
    row("recorded, with a console attached", recorded);
    row(
        "heard and folded, attached",
        heard.events as f64 / took.as_secs_f64(),
    );
    behind.sort_unstable();
    let mut delays = delays.lock().unwrap().clone();
    delays.sort_unstable();
    let at = |part: usize| delays[(delays.len() - 1) * part / 100].as_secs_f64() * 1e3;
    let records = |part: usize| behind[(behind.len() - 1) * part / 100];
    println!(
        "from durable to folded: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; records behind when the next come: p50 {}, p99 {}, most {}",
        at(50),
        at(99),
        at(100),
        records(50),
        records(99),
        records(100)
    );
    println!(
        "{:.1} ms from the last record to its fold; the state told anew {} times instead of records; the last piece recorded {:.0} ms after its time",
        (took - published).as_secs_f64() * 1e3,
        heard.snapshots - 1,
        late.as_secs_f64() * 1e3
    );
}

fn fold(state: &Mutex<Arc<Migration>>, events: &[Event]) {
    let mut state = state.lock().unwrap();
    let state = Arc::make_mut(&mut state);
    for event in events {
        state.apply(event);
    }
}
