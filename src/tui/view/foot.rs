//! The lines at the bottom: the demo's story and witness, what was said last or why keys are off, and the keys.

use super::scene::Scene;
use crate::tui::commands::{self, Hint};
use crate::tui::keymap::text as text_of;
use crate::tui::model::{Link, Tone};
use crate::tui::theme::Role;
use crate::tui::view::words;
use crate::tui::widget::row::{Row, heading};
use crate::tui::widget::text;
use ratatui::text::Line;

/// The foot, from the top down.
pub fn foot(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let mut lines = overlay(s, width);
    lines.push(said(s, width));
    lines.push(hints(s, width));
    lines
}

/// The story's caption and the witness's count: told apart from what tidegate says.
fn overlay(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let Some(overlay) = &s.ui.overlay else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if !overlay.hidden {
        let count = overlay.caption.len().min(2);
        for (i, caption) in overlay.caption.iter().take(2).enumerate() {
            let last = i + 1 == count;
            let mark = if i == 0 { s.theme.glyphs.cursor } else { " " };
            let end = match (&overlay.offer, last) {
                (Some(key), true) => format!("press {} ", text::escape(key)),
                (None, true) => "Esc hides ".to_string(),
                _ => String::new(),
            };
            let room = width.saturating_sub(text::width(&end) + 4);
            let said = text::escape(caption);
            let said = text::clip(&said, room, s.theme.glyphs.more);
            let row = Row::new(s.theme, width)
                .gap(1)
                .put(Role::Caption, mark)
                .gap(1)
                .put(Role::Caption, said);
            let role = if overlay.offer.is_some() {
                Role::Key
            } else {
                Role::Muted
            };
            lines.push(row.end(role, end).line());
        }
    }
    if !overlay.witness.is_empty() {
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .put(Role::Witness, text::escape(&overlay.witness))
                .line(),
        );
    }
    lines
}

/// The line above the keys: what was said last; else why the picture is not the present; else a rule.
fn said(s: &Scene, width: usize) -> Line<'static> {
    let glyphs = s.theme.glyphs;
    if let Some(notice) = &s.ui.notice {
        let (role, glyph) = match notice.tone {
            Tone::Good => (Role::Ok, glyphs.ok),
            Tone::Plain => (Role::Title, glyphs.dot),
            Tone::Faint => (Role::Muted, glyphs.dot),
            Tone::Bad => (Role::Bad, glyphs.bad),
        };
        let row = Row::new(s.theme, width)
            .put(Role::Rule, glyphs.rule.repeat(2))
            .gap(1)
            .put(role, format!("{glyph} {}", text::escape(&notice.text)))
            .gap(1);
        let rest = row.room();
        return row.put(Role::Rule, glyphs.rule.repeat(rest)).line();
    }
    let (role, words) = match s.link {
        Link::Lost { tries, retry, .. } => (
            Role::Bad,
            format!(
                "LINK LOST: the engine {}; tried {}, again in {retry}",
                words::without_us(s.live),
                words::count(tries.into(), "time")
            ),
        ),
        Link::Replay { live: true, .. } => (
            Role::Warn,
            "REPLAY: this is the past; End returns to now".into(),
        ),
        Link::Replay { .. } => (Role::Warn, "REPLAY of a recording".into()),
        Link::Live { .. } if s.stale() => (
            Role::Bad,
            "STALE: nothing heard from the engine; figures may be wrong".into(),
        ),
        Link::Live { .. } if s.ui.frozen => (
            Role::Warn,
            "the picture stands still, the migration does not; f goes on".into(),
        ),
        Link::Live { .. } => return heading(s.theme, width, "", ""),
    };
    let row = Row::new(s.theme, width)
        .put(Role::Rule, glyphs.rule.repeat(2))
        .gap(1)
        .put(role, words)
        .gap(1);
    let rest = row.room();
    row.put(Role::Rule, glyphs.rule.repeat(rest)).line()
}

fn cells(hint: &Hint) -> usize {
    text::width(&hint.key) + 1 + text::width(hint.label)
}

/// Keys that look, then keys that act. What does not fit goes, the least useful first; the brake stays.
fn hints(s: &Scene, width: usize) -> Line<'static> {
    if !s.ui.pending.is_empty() {
        return pending(s, width);
    }
    let mut hints = commands::hints(s);
    let off = hints.off.take().map(|why| text::escape(&why).into_owned());
    let brake = |h: &Hint| matches!(h.label, "pause" | "resume" | "stop all");
    // Enough of the reason to be understood.
    let off_least = off.as_ref().map_or(0, |why| text::width(why).min(48) + 2);
    let total = |looks: &[Hint], acts: &[Hint]| {
        let sum: usize = looks.iter().chain(acts).map(|h| cells(h) + 2).sum();
        sum + 2 + off_least
    };
    while total(&hints.looks, &hints.acts) > width {
        let spare = hints.acts.iter().rposition(|h| !brake(h));
        let acts = hints.acts.iter().filter(|h| !brake(h)).count();
        // Leaving stands last among what looks, and goes last.
        let look = hints.looks.len().checked_sub(2);
        // While the picture is frozen the first of them lets it move again, and stays.
        let look = look.filter(|i| !s.ui.frozen || *i > 0);
        match (look, spare) {
            (Some(i), _) if i > 1 || acts < 2 => drop(hints.looks.remove(i)),
            (_, Some(i)) => drop(hints.acts.remove(i)),
            (Some(i), None) => drop(hints.looks.remove(i)),
            (None, None) => break,
        }
    }
    // A popup takes all keys: these wait.
    let role = |role| {
        if s.ui.popup.is_some() {
            Role::Off
        } else {
            role
        }
    };
    let mut row = Row::new(s.theme, width).gap(1);
    for hint in &hints.looks {
        row = row
            .put(role(Role::Key), &hint.key)
            .put(role(Role::Text), format!(" {}  ", hint.label));
    }
    if !hints.acts.is_empty() || off.is_some() {
        row = row.put(Role::Rule, format!("{} ", s.theme.glyphs.wall));
    }
    if let Some(why) = off {
        let acts: usize = hints.acts.iter().map(|h| cells(h) + 2).sum();
        let room = row.room().saturating_sub(acts + 2);
        row = row
            .put(Role::Off, text::clip(&why, room, s.theme.glyphs.more))
            .gap(2);
    }
    for (i, hint) in hints.acts.iter().enumerate() {
        let gap = if i + 1 == hints.acts.len() { "" } else { "  " };
        row = row
            .put(role(Role::Key), &hint.key)
            .put(role(Role::Text), format!(" {}{gap}", hint.label));
    }
    row.line()
}

/// What may follow the keys pressed so far.
fn pending(s: &Scene, width: usize) -> Line<'static> {
    let mut row = Row::new(s.theme, width)
        .gap(1)
        .put(Role::Key, text_of(&s.ui.pending))
        .muted(" then  ");
    for (key, label) in s.ui.keymap.follow(s, &s.ui.pending) {
        row = row.put(Role::Key, key).text(format!(" {label}  "));
    }
    row.line()
}
