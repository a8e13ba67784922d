//! `tidegate verify`: one full compare, of a migration or of any two databases.

use super::ends::Ends;
use super::world::{Exit, World};
use crate::config::nearest;
use crate::db::Survey;
use crate::domain::fault::{Fault, Kind, Result};
use crate::engine::pair::{self, Limits, Progress, Surroundings};
use crate::faces::compared;
use crate::wiring;
use clap::Args;
use std::io::IsTerminal;

/// `tidegate verify`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 equal, all of it compared · 1 differs · 6 not proven: rows in flight, or nothing compared\n\n\
    Examples:\n  tidegate verify old.db new.db            any two databases; reads only\n  tidegate verify old.db new.db --rows"
)]
pub struct Options {
    /// The one to go by: sqlite:///path, sqlite:path or a path
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The one to compare with it
    #[arg(value_name = "TARGET")]
    target: String,
    /// Only this table; may be given several times
    #[arg(long = "table", short = 't', value_name = "TABLE")]
    tables: Vec<String>,
    /// List the rows that differ, with their values
    #[arg(long)]
    rows: bool,
    /// List at most so many rows a table
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Compares and reports.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let ends = Ends::open(world.url(&options.source)?, world.url(&options.target)?).await?;
    if wiring::identity(&ends.to).is_none() {
        return Err(
            Fault::new(Kind::Blocked, format!("there is no target {}", ends.to))
                .code("NO-DATABASE"),
        );
    }
    asked_for(&options.tables, &ends.ours, &ends.theirs)?;
    let matched = pair::matched(
        (&ends.from.end(), &ends.ours),
        (&ends.to.end(), &ends.theirs),
        &options.tables,
    );
    let show = std::io::stderr().is_terminal() && !options.json;
    let mut progress = |at: Progress<'_>| {
        if show {
            eprint!("\r\x1b[2K  {} rows, {}\r", at.rows, at.table);
        }
    };
    let stamp = || ends.stamp();
    let found = pair::compare(
        ends.source.as_ref(),
        ends.target.as_ref(),
        &matched,
        Surroundings {
            stamp: &stamp,
            progress: &mut progress,
            limits: Limits {
                list: options.limit,
                ..Limits::default()
            },
        },
    )
    .await;
    if show {
        eprint!("\r\x1b[2K");
    }
    let found = found?;
    if options.json {
        world.say(&format!("{:#}\n", compared::json(&found)))?;
    } else {
        world.say(&compared::text(&found, options.rows, world.paint()))?;
    }
    Ok(Exit::of(found.answer))
}

fn asked_for(asked: &[String], ours: &Survey, theirs: &Survey) -> Result<()> {
    let names: Vec<&str> = ours
        .tables
        .iter()
        .chain(&theirs.tables)
        .map(|found| found.table.source.as_str())
        .collect();
    for name in asked {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            let near = nearest(name, names.iter().copied());
            let fault = Fault::new(Kind::Usage, format!("neither side has a table \"{name}\""));
            return Err(match near {
                Some(near) => fault.hint(format!("did you mean \"{near}\"?")),
                None => fault,
            });
        }
    }
    Ok(())
}
