//! `tidegate status` and `tidegate list`: how migrations stand, read from their journals. Works with the engine up or down.

use super::known;
use super::world::{Exit, World};
use crate::domain::fault::Result;
use crate::faces::status;
use clap::Args;
use serde_json::{Value as Json, json};

/// `tidegate status`
#[derive(Debug, Args)]
pub struct Options {
    /// The migration; none: the only one there is
    name: Option<String>,
    /// The folded state as JSON: phase, write_owner, lag, drift {confirmed, in_flight, uncovered}, …
    #[arg(long)]
    json: bool,
}

/// `tidegate list`
#[derive(Debug, Args)]
pub struct ListOptions {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Prints one migration.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let known = known::one(world, options.name.as_deref()).await?;
    if options.json {
        world.say(&format!("{:#}\n", status::json(&known.state, known.engine)))?;
    } else {
        world.say(&status::text(&known.state, known.engine, world.paint()))?;
    }
    Ok(Exit::Done)
}

/// Prints all.
pub async fn list(options: &ListOptions, world: &World) -> Result<Exit> {
    let all = known::all(world).await?;
    if options.json {
        let list: Vec<Json> = all
            .iter()
            .map(|(name, known)| match known {
                Ok(known) => json!({
                    "name": name,
                    "phase": known.state.phase,
                    "engine": known.engine.label(),
                    "paused": known.state.paused(),
                    "socket": known.dir.socket(),
                    "journal": known.dir.journal(),
                }),
                Err(fault) => json!({"name": name, "error": fault.to_string()}),
            })
            .collect();
        world.say(&format!("{:#}\n", Json::Array(list)))?;
        return Ok(Exit::Done);
    }
    if all.is_empty() {
        let root = world.state_root(None)?;
        world.say(&format!(
            "no migration has begun here ({} holds none)\n",
            root.display()
        ))?;
        return Ok(Exit::Done);
    }
    let paint = world.paint();
    let width = all
        .iter()
        .map(|(name, _)| name.as_str().len())
        .max()
        .unwrap_or_default();
    let mut out = String::new();
    for (name, known) in &all {
        let words = match known {
            Ok(known) => status::line(&known.state, known.engine),
            Err(fault) => fault.to_string(),
        };
        out.push_str(&format!("{:width$}   {words}\n", name.as_str()));
    }
    world.say(&paint.plain(&out))?;
    Ok(Exit::Done)
}
