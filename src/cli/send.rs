//! `tidegate send`: the console's keys as commands. Waits for what comes of it.

use super::known::{self, Known};
use super::round::Round;
use super::talk::{Accepted, Talk};
use super::verbs::{self, Asked, Said};
use super::world::{Exit, World};
use crate::domain::command::Command;
use crate::domain::event::{Body, Event, Fact, Phase};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::RepairId;
use crate::domain::plan::Side;
use crate::domain::unit::counted;
use crate::faces::status::{self, Engine};
use crate::faces::{compared, headless};
use crate::state::timeline::{limit_words, pause_words, table_name};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};

/// `tidegate send`
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct Options {
    /// The migration
    name: String,
    /// What to do, with what it needs
    #[arg(value_name = "COMMAND", required = true, num_args = 1..)]
    words: Vec<String>,
    /// Why: goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The migration's name, for what can't be undone
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// With abort: also drop what tidegate made on the target: tables, and types and the like that nobody else needs
    #[arg(long)]
    drop_target: bool,
    /// Do not wait for what comes of it
    #[arg(long)]
    no_wait: bool,
}

fn help() -> String {
    let mut out = String::from("Commands:\n");
    for (verb, what) in verbs::VERBS {
        out.push_str(&format!("  {verb:16} {what}\n"));
    }
    out.push_str(
        "\nExit codes: 0 done · 1 verify found differences · 5 refused · 6 verify proved nothing",
    );
    out
}

/// Sends, waits, says what happened.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let known = known::one(world, Some(&options.name)).await?;
    let plan = known
        .state
        .plan
        .clone()
        .ok_or_else(|| Fault::new(Kind::Usage, format!("{} has not begun", options.name)))?;
    let said = Said {
        confirm: options.confirm.clone(),
        drop_target: options.drop_target,
        best: known.state.best_rate,
    };
    let command = match verbs::read(&options.words, &said, &plan)? {
        Asked::Of(command) => command,
        Asked::Status => {
            world.say(&status::text(&known.state, known.engine, world.paint()))?;
            return Ok(Exit::Done);
        }
    };
    let mut talk = begin(&known).await?;
    let mut round = match &command {
        Command::Verify(scope) => Some(Round::new(&talk.state, std::slice::from_ref(scope))),
        _ => None,
    };
    let accepted = talk
        .command(command.clone(), options.reason.clone())
        .await?;
    if let Some(round) = &mut round {
        round.asked(&accepted);
    }
    if options.no_wait {
        world.say(&format!("accepted: record {}\n", accepted.seq))?;
        return Ok(Exit::Done);
    }
    Wait {
        command,
        talk,
        accepted,
        round,
        repairs: BTreeSet::new(),
        ordered: false,
    }
    .outcome(world)
    .await
}

/// Attaches to the engine of a migration that is known.
///
/// # Errors
/// When it doesn't run, with how to start it.
pub async fn begin(known: &Known) -> Result<Talk> {
    if known.engine != Engine::Running {
        let words = status::line(&known.state, known.engine);
        let hint = match known.state.over() {
            true => format!("tidegate report {} tells what happened", known.name),
            false => "tidegate run -c FILE starts it; it resumes where it stopped".into(),
        };
        return Err(Fault::new(
            Kind::Blocked,
            format!("{} has no engine that could do it: {words}", known.name),
        )
        .code("NOT-RUNNING")
        .hint(hint));
    }
    Talk::begin(&known.dir).await
}

/// A command on its way.
struct Wait {
    command: Command,
    talk: Talk,
    accepted: Accepted,
    /// The compares that a verify waits for.
    round: Option<Round>,
    /// Repairs that were ordered and have not ended.
    repairs: BTreeSet<RepairId>,
    ordered: bool,
}

impl Wait {
    /// Waits until what was asked is done, and says so.
    async fn outcome(mut self, world: &World) -> Result<Exit> {
        loop {
            if let Some(done) = self.settled() {
                world.say(&done)?;
                return Ok(Exit::Done);
            }
            if let Some(round) = self.round.take_if(|round| round.over()) {
                let told = round.told(&self.talk.state, BTreeMap::new());
                world.say(&compared::text(&told, false, world.paint()))?;
                return Ok(Exit::of(told.answer));
            }
            let event = self.talk.event().await?;
            if let Some(round) = &mut self.round {
                round.heed(&event);
            }
            if let Body::Fact(fact) = &event.body {
                let ours = self.accepted.caused(&event);
                if let Some(line) = self.heed(fact, ours, &event)? {
                    world.say(&line)?;
                }
            }
        }
    }

    /// What the state shows to be done.
    fn settled(&self) -> Option<String> {
        let state = &self.talk.state;
        match &self.command {
            Command::Pause | Command::StopAll if state.paused() && state.rested => {
                Some(format!("paused: {}\n", headless::progress(state)))
            }
            Command::Abort { .. } if state.phase == Phase::RolledBack => {
                let left = [Side::Source, Side::Target].map(|side| state.left_behind(side));
                let left = left.concat().join(", ");
                Some(if left.is_empty() {
                    "given up: everything of tidegate's is gone, read back from both sides\n".into()
                } else {
                    format!("given up; still there: {left}\n")
                })
            }
            Command::Repair(_) if self.ordered && self.repairs.is_empty() => {
                Some("compared again next\n".into())
            }
            Command::Resume if !state.paused() => {
                Some(format!("resumed: {}\n", headless::progress(state)))
            }
            Command::Resume => state.pauses.first().filter(|_| self.ordered).map(|pause| {
                format!(
                    "resumed; it still waits: {}\n",
                    pause_words(&pause.reason, state)
                )
            }),
            _ if self.ordered && self.repairs.is_empty() => Some(String::new()),
            _ => None,
        }
    }

    /// What a fact says of the outcome. `ordered` is set by the fact that ends the waiting, or begins that for repairs.
    fn heed(&mut self, fact: &Fact, ours: bool, event: &Event) -> Result<Option<String>> {
        let state = &self.talk.state;
        Ok(match (&self.command, fact) {
            (
                Command::Repair(_),
                Fact::RepairOrdered {
                    repair,
                    table,
                    expected,
                    ..
                },
            ) if ours => {
                self.ordered = true;
                self.repairs.insert(*repair);
                let expected = counted(expected.total().into(), "row");
                Some(format!(
                    "repair {repair} of {}: {expected} known to differ\n",
                    table_name(*table, state)
                ))
            }
            (
                Command::Repair(_),
                Fact::Repaired {
                    repair,
                    inserted,
                    updated,
                    deleted,
                    ..
                },
            ) if self.repairs.remove(repair) => Some(format!(
                "repair {repair}: {inserted} put in, {updated} made as on the source, {deleted} taken out\n"
            )),
            (Command::Repair(_), Fact::RepairFailed { repair, fault })
                if self.repairs.contains(repair) =>
            {
                return Err(fault.clone());
            }
            (Command::Undo(wanted), Fact::RepairFailed { repair, fault }) if wanted == repair => {
                return Err(fault.clone());
            }
            (Command::Undo(wanted), Fact::RepairUndone { repair, rows, .. })
                if wanted == repair =>
            {
                self.ordered = true;
                Some(format!(
                    "repair {repair} is undone: {} put back\n",
                    counted(u64::from(*rows), "row")
                ))
            }
            (Command::Resume, Fact::Resumed { .. }) if ours => {
                self.ordered = true;
                None
            }
            (Command::Pace(_), Fact::PaceSet { limit, .. }) if ours => {
                self.ordered = true;
                Some(match limit {
                    Some(rate) => format!("pace: at most {rate} rows/s\n"),
                    None => "pace: as fast as the signals allow\n".into(),
                })
            }
            (Command::Limit { .. }, Fact::LimitSet { signal, at, .. }) if ours => {
                self.ordered = true;
                Some(format!(
                    "limit of {signal}: {}\n",
                    limit_words(signal, *at, state)
                ))
            }
            (Command::Shadow { .. }, Fact::ShadowSet { per_second, .. }) if ours => {
                self.ordered = true;
                Some(match per_second {
                    0 => "shadow compare is off\n".into(),
                    n => format!("shadow compare: {n} a second\n"),
                })
            }
            (Command::Acknowledge(_), Fact::AlertAcknowledged { id, .. }) if ours => {
                self.ordered = true;
                Some(format!("alert {id} is acknowledged\n"))
            }
            (Command::Note { .. }, Fact::Noted { .. }) if ours => {
                self.ordered = true;
                Some(format!("noted: record {}\n", event.seq))
            }
            (Command::Abort { .. }, _) => {
                headless::line(event, state).map(|line| format!("{line}\n"))
            }
            _ => None,
        })
    }
}
