//! L3: the engine. One loop decides, one journal records, tasks do the work and say what came of it.
//!
//! ```text
//! feed ──(bounded by bytes)──► LANE (one task: applied position, kept changes, holds, folds) ──► writer
//! copy: permit ◄─ throttle · intent → view → rows → lane folds and lands ─► report
//! verify: source view → stream passes it → target view → digests → report
//! reports, requests, ticks ─► SUPERVISOR: decide ─► JOURNAL (group commit) ─► head: watch<Seq> ─► perform
//! ```
//!
//! Everything that runs is wanted by the state (`decide::wanted`), so that an engine that was killed at any moment goes on
//! from its journal and the target's ledger alone.
//!
//! Architecture invariant: knows the database traits, never an adapter; no screen; reads the clock in `clock` only (the
//! throttle and the sampler measure elapsed time).

pub mod clock;
pub mod copy;
pub mod decide;
mod gauges;
pub mod grade;
mod jobs;
pub mod lane;
pub mod pair;
pub mod preflight;
pub mod queries;
pub mod recover;
mod removal;
mod repair;
pub mod report;
mod sampler;
pub mod schedule;
mod schema;
mod shadow;
mod signals;
pub mod site;
pub mod sizing;
mod supervisor;
pub mod throttle;
pub mod verify;

pub use supervisor::{Ask, Exit};

use crate::db::Endpoint;
use crate::domain::event::{Body, Event, Fact, Phase};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::Seq;
use crate::domain::plan::Plan;
use crate::domain::sample::Sample;
use crate::journal::paths::StateDir;
use crate::journal::undo::UndoFile;
use crate::journal::{Draft, Journal, Opening};
use crate::signal::Probe;
use crate::state::migration::Migration;
use clock::Clock;
use decide::Controls;
use jobs::{Jobs, Lines};
use schedule::Schedule;
use site::Site;
use std::path::PathBuf;
use std::sync::Arc;
use supervisor::{Inbox, Supervisor};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What an engine is started with.
pub struct Options {
    /// What was decided. On a resume, the plan as it is now.
    pub plan: Plan,
    /// Its hash.
    pub hash: String,
    /// Keys that differ from the journal's plan, all of which may change live; empty when nothing changed.
    pub changed: Vec<String>,
    /// Where rows come from.
    pub source: Arc<dyn Endpoint>,
    /// Where they go.
    pub target: Arc<dyn Endpoint>,
    /// How the plan's signals are read.
    pub probes: Vec<Probe>,
    /// Where the journal lies.
    pub dir: StateDir,
    /// Park when this phase is reached.
    pub until: Option<Phase>,
}

/// A running engine.
pub struct Engine {
    /// Where to ask.
    pub asks: mpsc::Sender<Ask>,
    /// The last durable record.
    pub head: watch::Receiver<Seq>,
    /// The latest measurement.
    pub samples: watch::Receiver<Arc<Sample>>,
    /// The journal's file.
    pub journal: PathBuf,
    /// Parks the engine when cancelled.
    pub stop: CancellationToken,
    /// How it ended.
    pub done: JoinHandle<Result<Exit>>,
}

/// Reports that wait for the supervisor; tasks beyond wait.
const REPORTS: usize = 256;
/// Asks that wait for the supervisor.
const ASKS: usize = 64;

/// Opens the journal, finds out where things stand, and runs.
pub async fn start(options: Options) -> Result<Engine> {
    let journal = Journal::open(&options.dir, Opening::Either).await?;
    let mut state = folded(&journal).await?;
    let clock = Clock::resume(state.tick, state.at);
    if state.over() {
        return Err(Fault::new(
            Kind::Usage,
            format!("{} has ended ({})", state.name(), state.phase.label()),
        )
        .hint("a new migration needs a name of its own"));
    }
    if let Some(fact) = plan_fact(&state, &options) {
        let draft = Draft {
            at: clock.at(),
            tick: clock.tick(),
            cause: None,
            body: Body::Fact(fact),
        };
        for event in journal.append(vec![draft]).await?.into_inner() {
            state.apply(&event);
        }
    }
    let plan = Arc::new(options.plan);
    let (reports, reports_in) = mpsc::channel(REPORTS);
    let controls = watch::Sender::new(Controls::default());
    controls.send_replace(decide::controls(&state));
    let stop = CancellationToken::new();
    let site = Site {
        plan: Arc::clone(&plan),
        source: options.source,
        target: options.target,
        reports,
        controls: controls.subscribe(),
        stop: stop.clone(),
    };
    let recovered = recover::recover(&state, &plan, &site.target).await?;
    // What an earlier engine measured is not known to hold any more: without a lag it is nobody's measurement.
    let samples = watch::Sender::new(Arc::new(Sample {
        lag: None,
        in_flight: 0,
        ..state.sample.clone()
    }));
    let in_flight = watch::Sender::new(0);
    let (news, news_in) = mpsc::channel(ASKS);
    let (due, due_in) = mpsc::channel(1);
    let (asks, asks_in) = mpsc::channel(ASKS);
    let samples_in = samples.subscribe();
    let lines = Lines {
        news,
        due,
        in_flight: in_flight.subscribe(),
        samples,
        undo: options.dir.undo(),
        probes: options.probes,
    };
    let jobs = Jobs::new(&site, recovered.writer, lines);
    let supervisor = Supervisor {
        undo: UndoFile::open(options.dir.undo()).await?,
        host: host(),
        state,
        clock,
        journal: journal.clone(),
        site,
        jobs,
        schedule: Schedule::default(),
        controls,
        samples: samples_in.clone(),
        in_flight,
        until: options.until,
        met: None,
    };
    let inbox = Inbox {
        asks: asks_in,
        reports: reports_in,
        due: due_in,
        news: news_in,
    };
    let head = journal.head();
    let path = journal.path().to_path_buf();
    drop(journal);
    let done = tokio::spawn(supervisor.run(inbox, recovered.report));
    Ok(Engine {
        asks,
        head,
        samples: samples_in,
        journal: path,
        stop,
        done,
    })
}

/// The state that a journal's records make.
pub async fn folded(journal: &Journal) -> Result<Migration> {
    let mut reader = journal.reader().await?;
    let mut state = Migration::default();
    loop {
        let events: Vec<Event> = reader.events(Seq(state.seq.0 + 1), 4_096).await?;
        if events.is_empty() {
            return Ok(state);
        }
        events.iter().for_each(|event| state.apply(event));
    }
}

fn plan_fact(state: &Migration, options: &Options) -> Option<Fact> {
    let plan = Box::new(options.plan.clone());
    let hash = options.hash.clone();
    match &state.plan {
        None => Some(Fact::Created {
            plan,
            hash,
            version: env!("CARGO_PKG_VERSION").to_string(),
        }),
        Some(_) if state.plan_hash != hash => Some(Fact::PlanChanged {
            plan,
            hash,
            keys: options.changed.clone(),
        }),
        Some(_) => None,
    }
}

fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "this host".into())
}
