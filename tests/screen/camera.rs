//! Takes pictures of a story.

use super::story::{ANA, ORDERS, Story};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use tidegate::domain::id::ChunkId;
use tidegate::domain::unit::Span;
use tidegate::tui;
use tidegate::tui::model::{Loaded, Now, Picture, Screen, Ui};
use tidegate::tui::theme::{Depth, Theme};

/// A console that shows a story.
pub struct Camera {
    pub ui: Ui,
}

impl Camera {
    /// Of so many columns and lines, in true colour on dark.
    pub fn new(width: u16, height: u16) -> Self {
        let ui = Ui {
            size: Size { width, height },
            me: Some(ANA),
            ..Ui::default()
        };
        Self { ui }
    }

    pub fn theme(mut self, theme: Theme) -> Self {
        self.ui.theme = theme;
        self
    }

    pub fn ascii(self) -> Self {
        self.theme(Theme::new(Depth::Mono, false, true))
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

    /// The cells of a frame.
    pub fn shoot(&self, story: &Story) -> Buffer {
        let mut ui = self.ui.clone();
        ui.now = Now {
            run: Span::seconds(90),
            tick: story.tick,
            at: story.state.at,
        };
        ui.heard = Some(ui.heard.unwrap_or(ui.now.run - Span::millis(200)));
        let area = Rect::new(0, 0, ui.size.width, ui.size.height);
        let mut buf = Buffer::empty(area);
        tui::draw(&Picture::of(&story.state, &ui), area, &mut buf);
        buf
    }

    /// The text of a frame.
    pub fn text(&self, story: &Story) -> String {
        let buf = self.shoot(story);
        let mut out = String::new();
        for y in 0..buf.area.height {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buf.area.width {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let symbol = buf[(x, y)].symbol();
                skip = tidegate::tui::widget::text::width(symbol).saturating_sub(1);
                line.push_str(symbol);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}
