//! `tidegate replay`: the console over a recorded journal. Without a terminal: the state at a time, as text.

use super::world::{Exit, World, own};
use super::{attach, audit};
use crate::config::amount;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::Seq;
use crate::domain::unit::At;
use crate::faces::status::{self, Engine};
use crate::replay::{Player, Recording, To};
use crate::tui::{self, model::Screen};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use std::io::IsTerminal as _;

/// `tidegate replay`
#[derive(Debug, Args)]
#[command(
    after_help = "Times: 13:16, 13:16:56, \"2026-11-20 13:16\" (UTC), +10m (after the beginning), #1234 (a record)"
)]
pub struct Options {
    /// A journal's file, or a migration of this machine
    target: Option<String>,
    /// Play so many times as fast as it happened; 0 stands still until Space
    #[arg(long, value_name = "N", default_value_t = 0)]
    speed: u32,
    /// Begin there [default: the end; with --speed the beginning]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Shows the console over the recording.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let journal = audit::journal(options.target.as_deref(), world).await?;
    let mut player = Player::open(&journal).await?;
    let first = player.seek(To::Record(Seq(1))).await?.at;
    let from = match &options.at {
        Some(text) => when(text, first, &mut player).await?,
        None if options.speed > 0 => To::Record(Seq(1)),
        None => To::Last,
    };
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        world.aside("no terminal: the state then, as text");
        let state = player.seek(from).await?;
        world.say(&status::text(&state, Engine::Recorded, world.paint()))?;
        return Ok(Exit::Done);
    }
    drop(player);
    let recording = Recording::open(&journal).await?;
    let options = tui::Options {
        wish: tui::term::Wish {
            colour: attach::colour(world, None),
            ascii: world.ascii(),
            light: None,
        },
        screen: Screen::Timeline,
        journal: Some(journal),
        from: Some(from),
        speed: options.speed,
        ..tui::Options::default()
    };
    let exit = tui::run(Box::new(recording), options).await?;
    for report in &exit.reports {
        world.aside(report);
    }
    match exit.how {
        tui::How::Ended(fault) => Err(fault),
        tui::How::Detached | tui::How::DemoOver { .. } | tui::How::HungUp => Ok(Exit::Done),
    }
}

/// Reads a time as people write it; one without a date lies on the recording's first day, or the next.
async fn when(text: &str, first: At, player: &mut Player) -> Result<To> {
    let text = text.trim();
    if let Some(number) = text.strip_prefix('#') {
        let seq = number.parse().map_err(|_| unreadable(text))?;
        return Ok(To::Record(Seq(seq)));
    }
    if let Some(span) = text.strip_prefix('+') {
        let span = amount::span(span).map_err(|why| Fault::new(Kind::Usage, why))?;
        let beginning = player.seek(To::Record(Seq(1))).await?.tick;
        return Ok(To::Moment(beginning.plus(span)));
    }
    moment(text, first).map(To::At)
}

fn moment(text: &str, first: At) -> Result<At> {
    let plain = text.trim_end_matches(['Z', 'z']);
    if let Some(dated) = plain.parse::<DateTime>().ok().and_then(stamp) {
        return Ok(dated);
    }
    if let Ok(time) = plain.parse::<Time>() {
        let start = Timestamp::from_millisecond(first.0)
            .map_err(|cause| own("the recording has no date", cause))?
            .to_zoned(TimeZone::UTC);
        let today = start.date().to_datetime(time);
        let day = if today < start.datetime() {
            today.date().tomorrow().map(|day| day.to_datetime(time))
        } else {
            Ok(today)
        };
        return day.ok().and_then(stamp).ok_or_else(|| unreadable(text));
    }
    Err(unreadable(text))
}

fn stamp(moment: DateTime) -> Option<At> {
    moment
        .to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| At(zoned.timestamp().as_millisecond()))
}

fn unreadable(text: &str) -> Fault {
    Fault::new(Kind::Usage, format!("\"{text}\" is no time"))
        .hint("write 13:16, \"2026-11-20 13:16:56\", +10m or #1234; times are UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::when::date_time;

    #[test]
    fn times_read_as_people_write_them() {
        let first = At(1_795_180_616_789); // 2026-11-20 13:16:56Z
        for (text, expected) in [
            ("13:20", "2026-11-20 13:20:00Z"),
            ("13:20:07Z", "2026-11-20 13:20:07Z"),
            ("02:00", "2026-11-21 02:00:00Z"),
            ("2026-11-22 01:02", "2026-11-22 01:02:00Z"),
            ("2026-11-22T01:02:03Z", "2026-11-22 01:02:03Z"),
        ] {
            assert_eq!(date_time(moment(text, first).unwrap()), expected, "{text}");
        }
        for text in ["soon", "25:00", "13 o'clock", ""] {
            assert!(moment(text, first).is_err(), "{text} is no time");
        }
    }
}
