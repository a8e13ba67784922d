//! `tidegate replay`: the console over a recorded journal, with a scrubber.

use super::known;
use super::world::{Exit, World};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::unit::At;
use crate::replay::{Player, Recording, To};
use crate::tui::{self, model::Screen};
use clap::Args;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct Options {
    /// A journal's file, or a migration of this machine
    #[arg(value_name = "FILE or NAME")]
    of: String,
    /// Play so many times as fast as it happened; 0 stands still until Space
    #[arg(long, value_name = "N", default_value_t = 0)]
    speed: u32,
    /// Begin there: 2026-11-20T02:58:41Z, or 02:58:41 on the day the record ends
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Shows the past. Nothing in it acts on anything.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let file = match Path::new(&options.of) {
        path if path.is_file() => path.to_path_buf(),
        _ => known::folder(world, Some(&options.of)).await?.1.journal(),
    };
    let at = match &options.at {
        Some(text) => Some(moment(text, &file).await?),
        None => None,
    };
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(
            Fault::new(Kind::Usage, "no terminal to replay on").hint("as text: tidegate report")
        );
    }
    let recording = Recording::open(&file).await?;
    let options = tui::Options {
        wish: tui::term::Wish {
            colour: super::attach::colour(world, None),
            ascii: world.ascii(),
            light: None,
        },
        journal: Some(file),
        from: Some(at.map_or(To::Last, To::At)),
        speed: options.speed,
        screen: Screen::Timeline,
        ..tui::Options::default()
    };
    let exit = tui::run(Box::new(recording), options).await?;
    for report in &exit.reports {
        world.aside(report);
    }
    Ok(Exit::Done)
}

/// A moment as typed.
async fn moment(text: &str, file: &PathBuf) -> Result<At> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(At(time.as_millisecond()));
    }
    let wrong = || {
        Fault::new(Kind::Usage, format!("\"{text}\" is no time"))
            .hint("2026-11-20T02:58:41Z, or 02:58:41 (UTC)")
    };
    let time: jiff::civil::Time = text.parse().map_err(|_| wrong())?;
    let last = Player::open(file).await?.last().at;
    let day = jiff::Timestamp::from_millisecond(last.0)
        .map_err(|_| wrong())?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let zoned = day
        .to_datetime(time)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_err(|_| wrong())?;
    Ok(At(zoned.timestamp().as_millisecond()))
}
