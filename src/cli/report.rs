//! `tidegate report`: what happened, with evidence, from the journal alone.

use super::world::{Exit, World, own};
use super::{audit, known};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::Seq;
use crate::faces::report::Story;
use crate::faces::status::Engine;
use crate::journal::{Reader, chain};
use clap::{Args, ValueEnum};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// `tidegate report`
#[derive(Debug, Args)]
pub struct Options {
    /// The migration, or a journal's file
    target: Option<String>,
    /// md, html or json
    #[arg(
        long,
        value_name = "FORM",
        default_value = "md",
        hide_possible_values = true
    )]
    format: Form,
    /// Write it there instead of printing it; one that is there is never overwritten
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Markdown
    Md,
    /// One HTML file
    Html,
    /// JSON
    Json,
}

/// Records read at once.
const PIECE: u32 = 4_096;

/// Reads the journal once, audits it, and writes.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let journal = audit::journal(options.target.as_deref(), world).await?;
    let story = read(&journal).await?;
    let audited = chain::audit(&journal, None).await?;
    let integrity = format!(
        "{} records: {}. Anchor {}",
        audited.records, audited.verdict, audited.head
    );
    let answers = match journal.parent() {
        Some(folder) => known::answers(&folder.join("control.sock")).await,
        None => false,
    };
    let engine = Engine::of(story.state(), answers);
    let text = match options.format {
        Form::Md => story.markdown(engine, &integrity),
        Form::Html => story.html(engine, &integrity),
        Form::Json => format!("{:#}\n", story.json(engine, &integrity)),
    };
    match &options.output {
        None => world.say(&text)?,
        Some(file) => {
            write(file, &text)?;
            let shown = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            world.say(&format!("wrote {}\n", shown.display()))?;
        }
    }
    Ok(Exit::Done)
}

async fn read(journal: &Path) -> Result<Story> {
    let mut reader = Reader::open(journal).await?;
    let mut story = Story::default();
    loop {
        let events = reader.events(Seq(story.state().seq.0 + 1), PIECE).await?;
        if events.is_empty() {
            return Ok(story);
        }
        events.iter().for_each(|event| story.heed(event));
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file);
    let mut out = opened.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => Fault::new(
            Kind::Usage,
            format!(
                "{} is there already, and is not overwritten",
                file.display()
            ),
        )
        .hint("write another one with -o FILE"),
        _ => own(&format!("{} can't be written", file.display()), cause),
    })?;
    out.write_all(text.as_bytes())
        .and_then(|()| out.sync_all())
        .map_err(|cause| own(&format!("{} can't be written", file.display()), cause))
}
