//! `tidegate picture`: a screen of the console over a recorded journal, as SVG. What the README shows is made by it.

use super::world::{Exit, World, own};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{Seq, SessionId};
use crate::domain::unit::Span;
use crate::replay::{Player, To};
use crate::tui::model::{Now, Picture, Screen, Ui};
use crate::tui::theme::{Depth, Theme};
use crate::tui::{self, svg};
use clap::Args;
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use std::path::PathBuf;

/// Options of `picture`.
#[derive(Debug, Args)]
pub struct Options {
    /// A journal, as `replay` takes it
    journal: PathBuf,
    /// The screen, by its name
    #[arg(long, default_value = "overview")]
    screen: String,
    /// Columns and rows
    #[arg(long, default_value = "120x36")]
    size: String,
    /// The record it is shown as of [default: the last]
    #[arg(long, value_name = "SEQ")]
    record: Option<u64>,
    /// The file that is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Draws the screen as the console would, and writes it.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let usage = |what: String| Fault::new(Kind::Usage, what);
    let wanted = options.screen.to_lowercase();
    let screen = Screen::ALL
        .into_iter()
        .find(|s| s.label().to_lowercase() == wanted);
    let screen =
        screen.ok_or_else(|| usage(format!("there is no screen \"{}\"", options.screen)))?;
    let size = options
        .size
        .split_once('x')
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let Some((width @ 1..=400, height @ 1..=200)) = size else {
        return Err(usage(format!(
            "\"{}\" is no size: give it as 120x36",
            options.size
        )));
    };
    let mut player = Player::open(&options.journal).await?;
    let state = player
        .seek(options.record.map_or(To::Last, |seq| To::Record(Seq(seq))))
        .await?;
    let theme = Theme::new(Depth::True, false, world.ascii());
    let mut ui = Ui {
        size: Size { width, height },
        theme,
        screen,
        ..Ui::default()
    };
    ui.now = Now {
        run: Span::millis(100),
        tick: state.tick,
        at: state.at,
    };
    ui.heard = Some(Span::ZERO);
    ui.me = state
        .people
        .present
        .keys()
        .next()
        .copied()
        .or(Some(SessionId(1)));
    let area = Rect {
        x: 0,
        y: 0,
        width,
        height,
    };
    let mut buffer = Buffer::empty(area);
    tui::draw(&Picture::of(&state, &ui), area, &mut buffer);
    std::fs::write(&options.output, svg::svg(&buffer, &ui.theme))
        .map_err(|cause| own("the picture can't be written", cause))?;
    Ok(Exit::Done)
}
