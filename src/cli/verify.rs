//! `tidegate verify`: one full compare, of a migration or of any two databases.

use super::ends::Ends;
use super::round::Round;
use super::talk::Talk;
use super::world::{Exit, World};
use super::{known, planned, verbs};
use crate::config::nearest;
use crate::db::Survey;
use crate::domain::command::{Answer, Command, Query, Scope};
use crate::domain::compared::Compared;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::verdict::RowDiff;
use crate::engine::pair::{self, Limits, Progress, Surroundings};
use crate::faces::compared;
use crate::wiring;
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `tidegate verify`
#[derive(Debug, Args)]
#[command(
    override_usage = "tidegate verify [OPTIONS] <SOURCE> <TARGET>\n       tidegate verify [OPTIONS] --config <FILE>",
    after_help = "Exit codes: 0 equal, all of it compared · 1 differs · 6 not proven: rows in flight, or nothing compared\n\n\
    Examples:\n  tidegate verify old.db new.db            any two databases; reads only\n  tidegate verify old.db new.db --rows\n  \
    tidegate verify postgres://me@db1/shop postgres://me@db2/shop\n  \
    tidegate verify -c tidegate.toml         a migration, engine up or down: exact while it is written to"
)]
pub struct Options {
    /// The database to go by: postgres://user@host/database, postgres://?service=NAME, sqlite:///path or a path
    #[arg(
        value_name = "SOURCE",
        required_unless_present = "config",
        requires = "target",
        conflicts_with = "config"
    )]
    source: Option<String>,
    /// The database to compare with it
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Both sides of a migration
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
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
    let found = match (&options.config, &options.source, &options.target) {
        (Some(file), _, _) => migration(file, options, world).await?,
        (None, Some(source), Some(target)) => {
            let ends = Ends::open(world.url(source)?, world.url(target)?).await?;
            must_be_there(&ends)?;
            let tables = asked_for(&options.tables, &ends.ours, &ends.theirs)?;
            let matched = pair::matched(
                (&ends.from.end(), &ends.ours),
                (&ends.to.end(), &ends.theirs),
                &tables,
            );
            both(&ends, &matched, options).await?
        }
        // Clap asks for one or the other.
        (None, _, _) => {
            return Err(Fault::new(
                Kind::Usage,
                "verify needs two databases, or a config",
            ));
        }
    };
    if options.json {
        world.say(&format!("{:#}\n", compared::json(&found)))?;
    } else {
        world.say(&compared::text(&found, options.rows, world.paint()))?;
    }
    Ok(Exit::of(found.answer))
}

fn must_be_there(ends: &Ends) -> Result<()> {
    match wiring::identity(&ends.to) {
        Some(_) => Ok(()),
        None => Err(
            Fault::new(Kind::Blocked, format!("there is no target {}", ends.to))
                .code("NO-DATABASE"),
        ),
    }
}

/// Reads both sides ourselves.
async fn both(ends: &Ends, matched: &pair::Matched, options: &Options) -> Result<Compared> {
    let show = std::io::stderr().is_terminal() && !options.json;
    let mut progress = |at: Progress<'_>| {
        if show {
            eprint!("\r\x1b[2K  {} rows, {}\r", at.rows, at.table);
        }
    };
    let stamps = || ends.stamps();
    let around = Surroundings {
        stamps: &stamps,
        progress: &mut progress,
        limits: Limits {
            list: options.limit,
            ..Limits::default()
        },
    };
    let found = pair::compare(ends.source.as_ref(), ends.target.as_ref(), matched, around).await;
    if show {
        eprint!("\r\x1b[2K");
    }
    found
}

/// Both sides of a migration: by its engine, where one runs, else by reading both and the source's log.
async fn migration(file: &Path, options: &Options, world: &World) -> Result<Compared> {
    let planned = planned::load(file, world).await?;
    let begun = if planned.begun() {
        known::folded(&planned.state.journal()).await?.plan
    } else {
        None
    };
    let plan = begun.unwrap_or_else(|| Arc::clone(&planned.plan));
    let asked: Vec<TableId> = options
        .tables
        .iter()
        .map(|name| verbs::table_of(name, &plan))
        .collect::<Result<_>>()?;
    if known::answers(&planned.state.socket()).await {
        return asked_engine(&planned, &asked, options).await;
    }
    must_be_there(&planned.ends)?;
    let (ours, theirs) = (&planned.ends.ours, &planned.ends.theirs);
    both(
        &planned.ends,
        &pair::of_plan(&plan, ours, theirs, &asked),
        options,
    )
    .await
}

/// Has the running engine compare everything that was asked for, and the differing rows listed.
async fn asked_engine(
    planned: &planned::Planned,
    asked: &[TableId],
    options: &Options,
) -> Result<Compared> {
    let mut talk = Talk::begin(&planned.state).await?;
    let scopes = match asked {
        [] => vec![Scope::All],
        ids => ids.iter().copied().map(Scope::Table).collect(),
    };
    let mut round = Round::new(&talk.state, &scopes);
    for scope in scopes {
        round.asked(&talk.command(Command::Verify(scope), None).await?);
    }
    while !round.over() {
        round.heed(&talk.event().await?);
    }
    let mut rows: BTreeMap<_, Vec<RowDiff>> = BTreeMap::new();
    for chunk in round.differing() {
        let listed = rows.entry(chunk.table).or_default();
        let limit = options.limit.saturating_sub(listed.len());
        if limit == 0 {
            continue;
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        if let Answer::Differences { rows, .. } =
            talk.query(Query::Differences { chunk, limit }).await?
        {
            listed.extend(rows);
        }
    }
    Ok(round.told(&talk.state, rows))
}

/// The tables that were asked for, by their whole names: "orders" may stand for "public.orders", where no other schema has one.
fn asked_for(asked: &[String], ours: &Survey, theirs: &Survey) -> Result<Vec<String>> {
    let names: BTreeSet<&str> = ours
        .tables
        .iter()
        .chain(&theirs.tables)
        .map(|found| found.table.source.as_str())
        .collect();
    let whole = |asked: &str| {
        let mut whole = names.iter().filter(|name| name.eq_ignore_ascii_case(asked));
        let mut last = names.iter().filter(|name| {
            let last = name.rsplit_once('.').map(|(_, last)| last);
            last.is_some_and(|last| last.eq_ignore_ascii_case(asked))
        });
        whole
            .next()
            .or_else(|| last.next().filter(|_| last.next().is_none()))
            .map(|name| (*name).to_owned())
    };
    asked
        .iter()
        .map(|asked| {
            whole(asked).ok_or_else(|| {
                let what = format!("neither side has a table \"{asked}\"");
                let fault = Fault::new(Kind::Usage, what);
                match nearest(asked, names.iter().copied()) {
                    Some(near) => fault.hint(format!("did you mean \"{near}\"?")),
                    None => fault,
                }
            })
        })
        .collect()
}
