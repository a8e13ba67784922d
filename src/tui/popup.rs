//! Popups, drawn over the picture.

use super::dialog::RateDialog;
use super::model::{Picture, Popup, Screen};
use super::prompt::Prompt;
use super::theme::Role;
use super::widget::input::Input;
use super::widget::page::{Page, wrap};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Draws the popup that is open, if one is. The header and the hints stay visible where there is room for both.
pub fn draw(p: &Picture, area: Rect, buf: &mut Buffer) {
    let Some(popup) = &p.ui.popup else { return };
    let area = area.intersection(*buf.area());
    let room = if area.height >= 15 {
        Rect {
            y: area.y + 3,
            height: area.height - 5,
            ..area
        }
    } else {
        area
    };
    let theme = p.theme;
    let page = match popup {
        Popup::Ask(prompt) => ask(p, prompt),
        Popup::Rate(dialog) => rate(p, dialog),
        Popup::Note(note) => return note.draw(room, buf, theme),
        Popup::Palette(palette) => palette.page(p),
        Popup::Find(input) => find(p, input),
        Popup::Text(title, lines, first) => text(title, lines, *first, room),
        Popup::Leave => leave(),
    };
    page.draw(room, buf, theme);
}

fn ask(p: &Picture, prompt: &Prompt) -> Page {
    prompt.page(p.theme.glyphs.caret)
}

fn rate(p: &Picture, dialog: &RateDialog) -> Page {
    dialog.page(p.theme, p.live.best_rate.0)
}

fn find(p: &Picture, input: &Input) -> Page {
    let (title, what) = match p.ui.screen {
        Screen::Map => ("go to the chunk of a key", "parts of a key by commas"),
        _ => ("filter", "every word counts"),
    };
    let (head, tail) = input.split();
    let caret = p.theme.glyphs.caret;
    let mut page = Page::new(title);
    page.low = true;
    page.lines.push(vec![
        ("/ ".into(), Role::Key),
        (format!("{head}{caret}{tail}"), Role::Title),
    ]);
    page.keys = (format!("Enter keep  {what}"), "Esc clear".into());
    page
}

fn text(title: &str, lines: &[String], first: usize, room: Rect) -> Page {
    let mut page = Page::new(title);
    let width = usize::from(room.width).saturating_sub(4);
    let mut shown = 0;
    for line in lines.iter().skip(first) {
        for part in wrap(&[(line.clone(), Role::Text)], width) {
            page.lines.push(part);
            shown += 1;
        }
        if shown >= usize::from(room.height) {
            break;
        }
    }
    page.keys = (
        "Esc close".into(),
        if lines.len() > 1 {
            "jk scroll".into()
        } else {
            String::new()
        },
    );
    page
}

fn leave() -> Page {
    let mut page = Page::new("Leave the demo?")
        .line(
            "This engine belongs to the demo and ends with it; the files are removed.",
            Role::Text,
        )
        .line("A real migration would go on without you.", Role::Muted);
    page.keys = ("Y leave   K keep files".into(), "Esc stay".into());
    page
}
