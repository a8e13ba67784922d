//! `tidegate check`: preflight of a config, by stage. Changes nothing.

use super::planned;
use super::world::{Exit, World};
use crate::domain::fault::Result;
use crate::engine::preflight::{self, Ask, End};
use crate::faces::check;
use clap::Args;
use std::path::PathBuf;

/// `tidegate check`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 a live copy may start · 2 the config is wrong · 3 something blocks it"
)]
pub struct Options {
    /// The config
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Every statement tidegate would run on either side, and nothing else
    #[arg(long, conflicts_with = "json")]
    sql: bool,
    /// Look at the data as well: classes, lengths, room left in keys (reads every table once)
    #[arg(long)]
    profile: bool,
}

/// Looks and reports.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let planned = planned::load(&options.config, world).await?;
    let ends = &planned.ends;
    let preflight = preflight::run(
        End {
            endpoint: ends.source.as_ref(),
            survey: &ends.ours,
        },
        End {
            endpoint: ends.target.as_ref(),
            survey: &ends.theirs,
        },
        &planned.plan,
        &planned.config.probes,
        Ask {
            begun: planned.begun(),
            profile: options.profile,
            speed: true,
        },
    )
    .await?;
    if options.sql {
        world.say(&check::sql(&preflight))?;
    } else if options.json {
        world.say(&format!("{:#}\n", check::json(&preflight)))?;
    } else {
        let file = options.config.display().to_string();
        world.say(&check::text(&preflight, &file, world.paint()))?;
    }
    Ok(if preflight.may_copy() {
        Exit::Done
    } else {
        Exit::Blocked
    })
}
