//! `tidegate clean`: finds what a lost run left in both databases, and removes it when told to.

use super::ends::Ends;
use super::world::{Exit, World};
use super::{known, planned};
use crate::db::Part;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::finding::Object;
use crate::domain::id::MigrationName;
use crate::domain::plan::Side;
use crate::faces::paint::{Paint, Role};
use clap::Args;
use std::fmt::Write as _;
use std::path::PathBuf;

/// `tidegate clean`
#[derive(Debug, Args)]
#[command(
    after_help = "Without --confirm it only lists. The rows of the application stay, on both sides.\n\n\
    Exit codes: 0 nothing of tidegate's is there, or all of it is gone · 3 something is there · 4 something is still there · 5 refused"
)]
pub struct Options {
    /// The config
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
    /// The migration's name: remove what was listed
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

/// Lists, or removes and reads back.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let planned = planned::load(&options.config, world).await?;
    let name = planned.config.name.as_str();
    let ends = &planned.ends;
    let found = present(ends).await?;
    let paint = world.paint();
    if found.is_empty() {
        world.say("nothing of tidegate's is in either database\n")?;
        return Ok(Exit::Done);
    }
    let Some(confirm) = &options.confirm else {
        let mut out = listed(&found, paint);
        if known::answers(&planned.state.socket()).await {
            let _ = writeln!(out, "the engine of {name} runs and needs it");
        }
        for (owner, object) in others(world, &planned, &found).await? {
            let _ = writeln!(
                out,
                "{} {} is needed by {owner}, which is not lost: its journal is here",
                object.kind, object.name
            );
        }
        let _ = writeln!(
            out,
            "nothing was changed. To remove it, if no engine needs it any more: tidegate clean -c {} --confirm {name}",
            options.config.display()
        );
        world.say(&paint.plain(&out))?;
        return Ok(Exit::Blocked);
    };
    if confirm != name {
        return Err(Fault::new(
            Kind::Refused,
            format!("that is not this migration's name: \"{confirm}\""),
        )
        .hint(format!("--confirm {name}")));
    }
    not_needed(&planned, options).await?;
    if let Some((owner, object)) = others(world, &planned, &found).await?.first() {
        return Err(Fault::new(
            Kind::Refused,
            format!("{owner} is not lost: its journal is here, and it needs what would go"),
        )
        .code("OTHER-MIGRATION")
        .cause(format!(
            "{} {} on the {}",
            object.kind,
            object.name,
            object.side.label()
        ))
        .hint(format!(
            "give that one up first: tidegate send {owner} abort --confirm {owner}"
        )));
    }
    let source = ends
        .source
        .remove(&[Part::Capture, Part::Gate], None)
        .await
        .settled()?;
    let target = ends
        .target
        .remove(&[Part::Gate, Part::Ledger], None)
        .await
        .settled()?;
    let left = present(ends).await?;
    if left.is_empty() && source.is_empty() && target.is_empty() {
        world.say(&format!(
            "removed {}; read back: nothing of tidegate's is left on either side\n",
            objects(found.len())
        ))?;
        return Ok(Exit::Done);
    }
    Err(Fault::new(
        Kind::InDoubt,
        format!("{} still there", objects(left.len())),
    )
    .cause(names(&left))
    .hint("its SQL name is shown; it can be dropped by hand"))
}

/// A run that is not lost keeps what is its own.
async fn not_needed(planned: &planned::Planned, options: &Options) -> Result<()> {
    let name = &planned.config.name;
    if known::answers(&planned.state.socket()).await {
        return Err(Fault::new(
            Kind::Refused,
            format!("the engine of {name} runs and needs what is there"),
        )
        .hint(format!(
            "to give the migration up: tidegate send {name} abort --confirm {name}"
        )));
    }
    if planned.begun() && !known::folded(&planned.state.journal()).await?.over() {
        return Err(Fault::new(Kind::Refused, format!("{name} is not lost: its journal is here, and it can be resumed"))
            .hint(format!(
                "resume: tidegate run -c {}; then give it up: tidegate send {name} abort --confirm {name}",
                options.config.display()
            )));
    }
    let findings = planned.ends.target.findings(&planned.plan).await?;
    match findings
        .into_iter()
        .find(|finding| finding.code == "OTHER-MIGRATION")
    {
        Some(other) => Err(Fault::new(Kind::Refused, other.what)
            .code("OTHER-MIGRATION")
            .cause(other.evidence)
            .hint("clean it with that migration's own config")),
        None => Ok(()),
    }
}

/// What of it belongs to another migration that this machine can go on with.
async fn others<'a>(
    world: &World,
    planned: &planned::Planned,
    found: &'a [Object],
) -> Result<Vec<(MigrationName, &'a Object)>> {
    let mut needed = Vec::new();
    for (name, known) in known::all(world).await? {
        // One whose journal can't be read may go on all the same.
        if name == planned.config.name || known.is_ok_and(|known| known.state.over()) {
            continue;
        }
        needed.extend(found.iter().filter_map(|object| {
            let end = match object.side {
                Side::Source => &planned.ends.source,
                Side::Target => &planned.ends.target,
            };
            (end.belongs(object, &name) == Some(true)).then(|| (name.clone(), object))
        }));
    }
    Ok(needed)
}

async fn present(ends: &Ends) -> Result<Vec<Object>> {
    let mut found = ends.source.leftovers().await?;
    found.extend(ends.target.leftovers().await?);
    Ok(found)
}

fn objects(n: usize) -> String {
    format!("{n} object{}", if n == 1 { "" } else { "s" })
}

fn names(objects: &[Object]) -> String {
    objects
        .iter()
        .map(|object| {
            format!(
                "{} {} on the {}",
                object.kind,
                object.name,
                object.side.label()
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn listed(found: &[Object], paint: Paint) -> String {
    let mut out = String::new();
    for side in [Side::Source, Side::Target] {
        let ours: Vec<&Object> = found.iter().filter(|object| object.side == side).collect();
        if ours.is_empty() {
            continue;
        }
        let heading = format!(
            "on the {}: {} of tidegate's",
            side.label(),
            objects(ours.len())
        );
        let _ = writeln!(out, "{}", paint.role(Role::Heading, &heading));
        for object in ours {
            let _ = writeln!(out, "  {} {}", object.kind, object.name);
        }
    }
    out
}
