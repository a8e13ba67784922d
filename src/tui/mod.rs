//! L4: the console. A fold over events on one side, keys on the other, and a picture drawn from both.
//!
//! ```text
//! terminal, tap ─► Msg ─► update(&mut Ui, &Migration, Msg) -> Vec<Effect>     pure
//!                              │
//!                         draw(&Picture, Rect, &mut Buffer)                  pure: no clock, no I/O, nothing mutated
//! Effect ─► run ─► tap
//! ```
//!
//! Architecture invariant: the migration's state is never changed here; only events change it. What belongs to this console
//! alone (selection, filters, prompts) is [`model::Ui`] and never leaves it.

pub mod clip;
pub mod commands;
pub mod dialog;
pub mod grid;
pub mod help;
pub mod keymap;
pub mod lists;
pub mod model;
pub mod palette;
pub mod past;
pub mod popup;
pub mod prompt;
pub mod run;
pub mod scope;
pub mod svg;
pub mod term;
pub mod theme;
pub mod update;
pub mod view;
pub mod widget;

pub use run::{Exit, How, Options, run};

use model::Picture;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Draws a whole frame: the screen shown, and the popup over it.
pub fn draw(p: &Picture, area: Rect, buf: &mut Buffer) {
    view::frame(p, area, buf);
    popup::draw(p, area, buf);
    if std::ptr::eq(p.theme.glyphs, &theme::ASCII) {
        widget::ascii::plain(area, buf);
    }
}
