//! Takes pictures of a story.

use super::story::{ANA, ORDERS, Story};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;
use tidegate::domain::id::ChunkId;
use tidegate::domain::unit::Span;
use tidegate::tui;
use tidegate::tui::model::{Loaded, Now, Picture, Screen, Ui};
use tidegate::tui::theme::{Depth, Role, Theme};

/// How a terminal shows things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Film {
    Colour,
    Mono,
    Ascii,
}

impl Film {
    pub const ALL: [Self; 3] = [Self::Colour, Self::Mono, Self::Ascii];

    pub fn theme(self) -> Theme {
        match self {
            Self::Colour => Theme::new(Depth::True, false, false),
            Self::Mono => Theme::new(Depth::Mono, false, false),
            Self::Ascii => Theme::new(Depth::Mono, false, true),
        }
    }
}

/// A console that shows a story.
#[derive(Clone)]
pub struct Camera {
    pub ui: Ui,
}

impl Camera {
    /// Of so many columns and lines, in true colour on dark, ana sitting before it.
    pub fn new(width: u16, height: u16) -> Self {
        let ui = Ui {
            size: Size { width, height },
            me: Some(ANA),
            ..Ui::default()
        };
        Self { ui }
    }

    pub fn film(mut self, film: Film) -> Self {
        self.ui.theme = film.theme();
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Ui)) -> Self {
        change(&mut self.ui);
        self
    }

    pub fn on(mut self, screen: Screen) -> Self {
        self.ui.screen = screen;
        self
    }

    /// With the answers an engine would have given to what the screens ask for.
    pub fn knowing(mut self, story: &Story) -> Self {
        let (known, rows) = story.differing();
        if let Some(first) = known.first() {
            self.ui.diff.rows = Loaded::Have((first.chunk, rows, false));
            self.ui.diff.row = Some((first.chunk, first.key.clone()));
        }
        self.ui.diff.known = Loaded::Have(known);
        self.ui.diff.only_differing = true;
        self.ui.diff.column = 3;
        self.ui.map.table = Some(ORDERS);
        self.ui.map.chunk = 1_515;
        for no in 0..2_900 {
            let bound = if no == 0 {
                String::new()
            } else {
                format!("{}", u64::from(no) * 50_000 + 1)
            };
            self.ui
                .map
                .bounds
                .insert(ChunkId { table: ORDERS, no }, bound);
        }
        self
    }

    /// The console's own state at the story's moment.
    pub fn at(&self, story: &Story) -> Ui {
        let mut ui = self.ui.clone();
        ui.now = Now {
            run: Span::seconds(90),
            tick: story.tick,
            at: story.now(),
        };
        ui.heard = Some(ui.heard.unwrap_or(ui.now.run - Span::millis(200)));
        ui
    }

    /// The cells of a frame.
    pub fn shoot(&self, story: &Story) -> Buffer {
        let ui = self.at(story);
        let area = Rect::new(0, 0, ui.size.width, ui.size.height);
        let mut buf = Buffer::empty(area);
        tui::draw(&Picture::of(&story.state, &ui), area, &mut buf);
        buf
    }

    /// The text of a frame.
    pub fn text(&self, story: &Story) -> String {
        text(&self.shoot(story))
    }

    /// The text of a frame, and under it which cells have which style.
    pub fn print(&self, story: &Story) -> String {
        let buf = self.shoot(story);
        format!("{}\n{}", text(&buf), styles(&buf, &self.ui.theme))
    }
}

/// A frame's lines without what ends them.
pub fn lines(buf: &Buffer) -> Vec<String> {
    (0..buf.area.height)
        .map(|y| {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buf.area.width {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let symbol = buf[(x, y)].symbol();
                skip = tui::widget::text::width(symbol).saturating_sub(1);
                line.push_str(symbol);
            }
            line.trim_end().to_string()
        })
        .collect()
}

fn text(buf: &Buffer) -> String {
    lines(buf).join("\n") + "\n"
}

/// Runs of cells that are not plain: `row: 12..30 bold bad, 31..40 grey`.
fn styles(buf: &Buffer, theme: &Theme) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..buf.area.width {
            let name = style(&buf[(x, y)], theme);
            match runs.last_mut() {
                Some((_, end, last)) if *last == name => *end = x + 1,
                _ => runs.push((x, x + 1, name)),
            }
        }
        let runs: Vec<String> = runs
            .into_iter()
            .filter(|(.., name)| !name.is_empty())
            .map(|(from, to, name)| format!("{from}..{to} {name}"))
            .collect();
        if !runs.is_empty() {
            // Writing to a String can't fail.
            let _ = writeln!(out, "{y}: {}", runs.join(", "));
        }
    }
    out
}

fn style(cell: &Cell, theme: &Theme) -> String {
    let mut words = Vec::new();
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::REVERSED, "reversed"),
        (Modifier::UNDERLINED, "underlined"),
    ] {
        // The looks of an empty cell are seen only when they fill it.
        let seen = cell.symbol() != " " || matches!(word, "reversed" | "underlined");
        if cell.modifier.contains(modifier) && seen {
            words.push(word.to_string());
        }
    }
    let seen = cell.symbol() != " " || cell.modifier.contains(Modifier::REVERSED);
    if cell.fg != Color::Reset && seen {
        words.push(colour(cell.fg, theme));
    }
    if cell.bg != Color::Reset {
        words.push(format!("on {}", colour(cell.bg, theme)));
    }
    words.join(" ")
}

/// A colour by what it is for.
fn colour(colour: Color, theme: &Theme) -> String {
    let names = [
        (Role::Ok, "ok"),
        (Role::Warn, "warn"),
        (Role::Bad, "bad"),
        (Role::Info, "info"),
        (Role::Lead, "lead"),
        (Role::Target, "target"),
        (Role::Muted, "grey"),
    ];
    let found = names
        .iter()
        .find(|(role, _)| theme.style(*role).fg == Some(colour));
    found.map_or_else(|| format!("{colour:?}"), |(_, name)| (*name).to_string())
}
