//! `tidegate audit`: whether a journal's chain of hashes holds.

use super::known;
use super::world::{Exit, World};
use crate::domain::fault::{Fault, Kind, Result};
use crate::faces::paint::Role;
use crate::journal::chain;
use clap::Args;
use std::path::PathBuf;

/// `tidegate audit`
#[derive(Debug, Args)]
#[command(
    after_help = "The last line is an anchor: note it elsewhere, and the next audit shows that nothing before it was changed.\n\n\
    Exit codes: 0 intact · 6 no record, so nothing to vouch for · 7 the chain is broken"
)]
pub struct Options {
    /// The migration, or a journal's file
    target: Option<String>,
    /// An anchor noted earlier, as RECORD:HASH: what an audit printed last
    #[arg(long, value_name = "RECORD:HASH")]
    anchor: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Audits and reports.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let file = journal(options.target.as_deref(), world).await?;
    let anchor = options
        .anchor
        .as_deref()
        .map(|text| {
            text.parse().map_err(|why| {
                Fault::new(Kind::Usage, format!("\"{text}\" is no anchor"))
                    .cause(why)
                    .hint("an anchor is RECORD:HASH, as an audit printed it last")
            })
        })
        .transpose()?;
    let report = chain::audit(&file, anchor).await?;
    let holds = report.verdict.holds();
    if options.json {
        world.say(&format!(
            "{:#}\n",
            serde_json::json!({
                "journal": file,
                "records": report.records,
                "holds": holds,
                "verdict": report.verdict,
                "anchor": report.head.to_string(),
            })
        ))?;
    } else {
        let paint = world.paint();
        let role = if holds { Role::Good } else { Role::Bad };
        let verdict = paint.role(role, &report.verdict.to_string());
        world.say(&format!(
            "{}\n{} records: {verdict}\nanchor {}\n",
            file.display(),
            crate::domain::unit::Rows(report.records),
            report.head
        ))?;
    }
    match report.verdict {
        chain::Verdict::Empty => Ok(Exit::NotProven),
        _ if holds => Ok(Exit::Done),
        verdict => Err(Fault::new(Kind::Own, "the journal is not what was written")
            .code("JOURNAL-BROKEN")
            .cause(verdict)),
    }
}

/// A migration's journal by its name, or a file by its path.
pub(super) async fn journal(target: Option<&str>, world: &World) -> Result<PathBuf> {
    match target {
        Some(path) if path.contains('/') || std::path::Path::new(path).is_file() => Ok(path.into()),
        name => Ok(known::folder(world, name).await?.1.journal()),
    }
}
