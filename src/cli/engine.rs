//! `tidegate engine`: the engine in the foreground, without a screen: for systemd, containers and CI.

use super::host::Host;
use super::planned::{self, Planned};
use super::world::{Exit, World};
use crate::config::plan;
use crate::domain::event::{Body, Event, Phase};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::finding::Stage;
use crate::domain::id::Seq;
use crate::engine;
use crate::engine::preflight;
use crate::faces::headless;
use crate::journal::Reader;
use crate::journal::paths::StateDir;
use crate::state::migration::Migration;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Options of `engine`.
#[derive(Debug, Args)]
pub struct Options {
    /// The config
    #[arg(short, long, value_name = "FILE", default_value = "tidegate.toml")]
    pub config: PathBuf,
    /// Park when this phase is reached, keeping everything for resuming
    #[arg(long, value_name = "PHASE")]
    pub until: Option<Until>,
    /// One JSON event a line
    #[arg(long)]
    pub json: bool,
    /// Leave the session of the caller: what `run` starts it with
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// Phases that `--until` takes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Until {
    /// Tables, ledger and capture stand.
    Schema,
    /// The copy has begun.
    Copy,
    /// Everything is copied.
    CatchUp,
    /// In step and compared.
    Synced,
}

impl From<Until> for Phase {
    fn from(until: Until) -> Self {
        match until {
            Until::Schema => Self::Schema,
            Until::Copy => Self::Copy,
            Until::CatchUp => Self::CatchUp,
            Until::Synced => Self::Synced,
        }
    }
}

/// Between two progress lines while nothing else happens.
const PROGRESS: Duration = Duration::from_secs(2);
/// Records read at once.
const AT_ONCE: u32 = 1_000;

/// Runs until parked, over, or failed.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    if options.detached {
        // A leader of its own session is not hung up with the terminal it was started from.
        let _ = nix::unistd::setsid();
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("TIDEGATE_LOG")
                .unwrap_or_else(|_| "warn,tidegate=info".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let planned = planned::load(&options.config, world).await?;
    let dir = planned.state.clone();
    dir.create()?;
    let started = begin(&planned, &dir, options.until.map(Phase::from)).await?;
    let host = Host::open(&planned.config, &dir, &started)?;
    std::fs::write(dir.pid(), std::process::id().to_string())
        .map_err(|cause| super::world::own("the pid file can't be written", cause))?;
    let followed = follow(
        world,
        started.journal.clone(),
        started.head.clone(),
        options.json,
    );
    let signals = heed_signals(started.stop.clone());
    let mut done = started.done;
    // What was heeded, once: whether it was a person's interrupt.
    let mut heeded = None;
    let result = {
        tokio::pin!(followed, signals);
        loop {
            tokio::select! {
                ended = &mut done => break ended,
                told = &mut followed => if let Err(fault) = told {
                    // Nobody reads the lines any more: no reason to stop a migration.
                    tracing::warn!(error = %fault, "progress lines end here");
                    break (&mut done).await;
                },
                by_hand = &mut signals, if heeded.is_none() => heeded = Some(by_hand),
            }
        }
    };
    host.close().await;
    let _ = std::fs::remove_file(dir.pid());
    let exit = result.map_err(|cause| super::world::own("the engine broke", cause))??;
    world.aside(&last_words(exit, &planned));
    if heeded == Some(true) {
        return Err(Fault::new(
            Kind::Interrupted,
            format!(
                "{} was parked; it resumes where it stopped",
                planned.config.name
            ),
        ));
    }
    Ok(Exit::Done)
}

/// Starts the engine on the plan as it is now, or as the journal has it with what may change live.
async fn begin(planned: &Planned, dir: &StateDir, until: Option<Phase>) -> Result<engine::Engine> {
    let known = journaled(dir).await?;
    let begun = known
        .as_ref()
        .is_some_and(|state| state.engine_starts > 0 && state.phase != Phase::Plan);
    let ends = &planned.ends;
    let ask = preflight::Ask {
        begun,
        profile: false,
        // Nobody is told how long it may take: the copy itself is about to show.
        speed: false,
    };
    let source = preflight::End {
        endpoint: ends.source.as_ref(),
        survey: &ends.ours,
    };
    let target = preflight::End {
        endpoint: ends.target.as_ref(),
        survey: &ends.theirs,
    };
    let probes = &planned.config.probes;
    let found = preflight::run(source, target, &planned.plan, probes, ask).await?;
    let blocks: Vec<_> = found
        .findings
        .iter()
        .filter(|f| f.stage == Stage::BlocksCopy)
        .collect();
    if let Some(first) = blocks.first() {
        let more = if blocks.len() > 1 {
            format!(" (and {} more)", blocks.len() - 1)
        } else {
            String::new()
        };
        return Err(Fault::new(
            Kind::Blocked,
            format!("a live copy is blocked: {}{more}", first.what),
        )
        .code(first.code.clone())
        .cause(first.evidence.clone())
        .hint(format!(
            "tidegate check -c {} shows all of it",
            planned.config.path.display()
        )));
    }
    let (plan, changed) = match known.and_then(|state| state.plan) {
        None => ((*planned.plan).clone(), Vec::new()),
        Some(old) => {
            let diff = plan::diff(&old, &planned.plan);
            if let Some(key) = diff.refused.first() {
                return Err(Fault::new(
                    Kind::Usage,
                    format!("{key} can't change while {} is under way", old.name),
                )
                .cause(format!(
                    "the config differs from the journal in: {}",
                    diff.refused.join(", ")
                ))
                .hint("put it back, or give this migration up and start one with a new name"));
            }
            (diff.merged, diff.live)
        }
    };
    let hash = plan::hash(&plan)?;
    engine::start(engine::Options {
        plan,
        hash,
        changed,
        source: Arc::clone(&ends.source),
        target: Arc::clone(&ends.target),
        probes: planned.config.probes.clone(),
        dir: dir.clone(),
        until,
    })
    .await
}

/// The state that a journal of an earlier run makes; none when there is no journal.
pub async fn journaled(dir: &StateDir) -> Result<Option<Migration>> {
    if !dir.journal().exists() {
        return Ok(None);
    }
    let mut reader = Reader::open(dir.journal()).await?;
    let mut state = Migration::default();
    loop {
        let events = reader.events(Seq(state.seq.0 + 1), AT_ONCE).await?;
        if events.is_empty() {
            return Ok((state.seq > Seq(0)).then_some(state));
        }
        events.iter().for_each(|event| state.apply(event));
    }
}

/// Tells what happens, in lines or as JSON, from the journal: what is told is durable.
async fn follow(
    world: &World,
    journal: PathBuf,
    mut head: tokio::sync::watch::Receiver<Seq>,
    json: bool,
) -> Result<()> {
    let mut reader = Reader::open(&journal).await?;
    let mut state = Migration::default();
    let mut told = head.borrow().0;
    let mut timer = tokio::time::interval(PROGRESS);
    let mut last_progress = String::new();
    loop {
        let events: Vec<Event> = reader.events(Seq(state.seq.0 + 1), AT_ONCE).await?;
        for event in &events {
            state.apply(event);
            if event.seq.0 <= told {
                continue;
            }
            told = event.seq.0;
            if json {
                let line = serde_json::to_string(event)
                    .map_err(|cause| super::world::own("an event has no JSON", cause))?;
                world.say(&format!("{line}\n"))?;
            } else if let (Body::Fact(_), Some(line)) = (&event.body, headless::line(event, &state))
            {
                world.say(&format!("{line}\n"))?;
            }
        }
        if !events.is_empty() {
            continue;
        }
        tokio::select! {
            changed = head.changed() => if changed.is_err() {
                // The engine has ended: its own end is what counts.
                std::future::pending::<()>().await;
            },
            _ = timer.tick() => {
                let progress = headless::progress(&state);
                if !json && progress != last_progress && state.seq > Seq(0) {
                    world.say(&format!("{} {progress}\n", headless::clock(state.at)))?;
                    last_progress = progress;
                }
            }
        }
    }
}

/// SIGTERM parks; so does SIGINT, which counts as interrupted (true).
async fn heed_signals(stop: tokio_util::sync::CancellationToken) -> bool {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    let by_hand = tokio::select! {
        _ = term.recv() => false,
        _ = int.recv() => true,
    };
    stop.cancel();
    by_hand
}

fn last_words(exit: engine::Exit, planned: &Planned) -> String {
    let name = &planned.config.name;
    let file = planned.config.path.display();
    match exit {
        engine::Exit::Over => {
            format!("{name} has ended. tidegate report {name} tells what happened")
        }
        engine::Exit::Reached | engine::Exit::Parked => {
            let unread = planned.plan.source.engine.words().unread;
            format!("{name} is parked; {unread}. resume: tidegate run -c {file}")
        }
    }
}
