//! Takes pictures of a story.

use super::story::{ANA, Story};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use tidegate::domain::unit::Span;
use tidegate::tui::model::{Now, Picture, Ui};
use tidegate::tui::theme::{Depth, Theme};
use tidegate::tui::view;

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
        view::frame(&Picture::of(&story.state, &ui), area, &mut buf);
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
