//! `tidegate stop`: parks an engine. Everything is kept; `run` resumes.

use super::world::{Exit, World};
use super::{known, send};
use crate::domain::command::Command;
use crate::domain::fault::{Fault, Kind, Result};
use crate::faces::status::{self, Engine};
use clap::Args;
use std::time::Duration;

/// `tidegate stop`
#[derive(Debug, Args)]
pub struct Options {
    /// The migration; none: the only one there is
    name: Option<String>,
    /// Why: goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// How long an engine may take to park: what is in flight is finished first.
const PATIENCE: u32 = 600;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Parks and waits until the engine is gone.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let known = known::one(world, options.name.as_deref()).await?;
    let name = &known.name;
    if known.engine != Engine::Running {
        world.say(&format!(
            "{name}: no engine runs ({})\n",
            status::line(&known.state, known.engine)
        ))?;
        return Ok(Exit::Done);
    }
    let mut talk = send::begin(&known).await?;
    talk.command(Command::Park, options.reason.clone()).await?;
    drop(talk);
    let engine = known.state.plan.as_ref().map(|plan| plan.source.engine);
    let unread = engine.map_or("nobody reads the source's changes meanwhile", |engine| {
        engine.words().unread
    });
    for _ in 0..PATIENCE {
        if !known::answers(&known.dir.socket()).await {
            world.say(&format!(
                "{name} is parked: everything is kept; {unread}. Resume: tidegate run -c FILE\n"
            ))?;
            return Ok(Exit::Done);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Fault::new(
        Kind::InDoubt,
        format!("{name} was asked to park, and still answers"),
    )
    .hint("tidegate status shows what it does; its log may say why"))
}
