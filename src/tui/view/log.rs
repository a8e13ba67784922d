//! Everything in the order it came: what this console was told, and every line of the record, people included.

use super::marks::mark;
use super::scene::Scene;
use super::words;
use crate::state::timeline::Line as Fact;
use crate::tui::lists;
use crate::tui::model::{Notice, Tone};
use crate::tui::theme::Role;
use crate::tui::widget::row::{Row, heading, paint};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// One line of the log.
enum Entry<'a> {
    /// Said to this console.
    Said(&'a Notice),
    /// Recorded.
    Fact(&'a Fact),
}

fn entries<'a>(s: &Scene<'a>) -> Vec<Entry<'a>> {
    let filter = s.ui.filter();
    let mut all: Vec<Entry> = s
        .state
        .timeline
        .iter()
        .filter(|f| lists::matches(&format!("{} {}", f.who, f.text), filter))
        .map(Entry::Fact)
        .chain(
            s.ui.said
                .iter()
                .filter(|n| lists::matches(&n.text, filter))
                .map(Entry::Said),
        )
        .collect();
    all.sort_by_key(|e| match e {
        Entry::Said(notice) => notice.at,
        Entry::Fact(fact) => fact.at,
    });
    all
}

/// Draws the screen.
pub fn draw(s: &Scene, area: Rect, buf: &mut Buffer) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let all = entries(s);
    let filter = s.ui.filter();
    let end = if filter.is_empty() {
        String::new()
    } else {
        format!("/{}", text::escape(filter))
    };
    let back = s.ui.log.back.min(all.len().saturating_sub(1));
    let title = if back > 0 {
        format!(
            "Log {} {} back",
            s.theme.glyphs.dot,
            words::count(back as u64, "line")
        )
    } else {
        "Log".to_string()
    };
    let mut lines = vec![heading(s.theme, width, &title, &end)];
    lines.extend(failure(s, width));
    let room = height.saturating_sub(lines.len());
    let until = all.len() - back;
    let from = until.saturating_sub(room);
    for entry in &all[from..until] {
        lines.push(line(s, width, entry));
    }
    if all.is_empty() {
        let words = if filter.is_empty() {
            " nothing was said or recorded yet"
        } else {
            " no line matches; Esc clears the search"
        };
        lines.push(Row::new(s.theme, width).muted(words).line());
    }
    paint(&lines, area, buf);
}

/// The engine's last failure, whole: it is what one comes here for.
fn failure(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let Some((fault, tick)) = &s.state.last_failure else {
        return Vec::new();
    };
    let ago = s.now.since(*tick);
    let hint = fault
        .hint
        .as_ref()
        .map_or_else(String::new, |h| format!(" hint: {h}"));
    let code = if fault.code.is_empty() {
        String::new()
    } else {
        format!(" ({})", fault.code)
    };
    let words = format!("last failure, {ago} ago: {fault}{code}.{hint}");
    text::wrap(&text::escape(&words), width.saturating_sub(2))
        .into_iter()
        .take(4)
        .map(|l| Row::new(s.theme, width).gap(1).put(Role::Bad, l).line())
        .collect()
}

fn line(s: &Scene, width: usize, entry: &Entry) -> Line<'static> {
    match entry {
        Entry::Said(notice) => {
            let role = match notice.tone {
                Tone::Good => Role::Ok,
                Tone::Plain => Role::Text,
                Tone::Faint => Role::Muted,
                Tone::Bad => Role::Bad,
            };
            Row::new(s.theme, width)
                .gap(1)
                .muted(words::clock(notice.at))
                .gap(1)
                .right(Role::Muted, "", 8)
                .gap(1)
                .put(role, s.theme.glyphs.banner)
                .gap(1)
                .left(Role::Info, "to you", 7)
                .gap(1)
                .put(role, text::escape(&notice.text))
                .line()
        }
        Entry::Fact(fact) => {
            let (glyph, role) = mark(s, fact.mark);
            Row::new(s.theme, width)
                .gap(1)
                .muted(words::clock(fact.at))
                .gap(1)
                .right(Role::Muted, fact.seq.to_string(), 8)
                .gap(1)
                .put(role, glyph)
                .gap(1)
                .left(Role::Title, text::escape(&fact.who), 7)
                .gap(1)
                .text(text::escape(&fact.text))
                .line()
        }
    }
}
