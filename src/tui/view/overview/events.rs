//! Open alerts, the last acts, and who is here.

use crate::domain::command::Role as Seat;
use crate::state::timeline::Mark;
use crate::tui::commands;
use crate::tui::lists;
use crate::tui::theme::Role;
use crate::tui::view::marks::mark;
use crate::tui::view::scene::Scene;
use crate::tui::view::words;
use crate::tui::widget::row::{Row, heading};
use crate::tui::widget::text;
use ratatui::text::Line;

/// Heading and open alerts, the worst first.
pub fn alerts(s: &Scene, width: usize, height: usize) -> Vec<Line<'static>> {
    if height == 0 {
        return Vec::new();
    }
    let ids = lists::alerts(s.state);
    let title = if ids.is_empty() {
        "Alerts".into()
    } else {
        format!("Alerts {} open", ids.len())
    };
    let mut lines = vec![heading(s.theme, width, &title, "")];
    if ids.is_empty() {
        lines.push(Row::new(s.theme, width).muted(" none open").line());
    }
    let acts = commands::acting(s).is_ok();
    let keys_now = if acts {
        "Enter see  A acknowledge"
    } else {
        "Enter see"
    };
    let selected = lists::selected_alert(s);
    let at = ids.iter().position(|id| Some(*id) == selected).unwrap_or(0);
    let room = height - 1;
    let fits = ids.len() <= room;
    let shown = lists::window(
        at,
        ids.len(),
        if fits { room } else { room.saturating_sub(1) },
    );
    for id in &ids[shown.clone()] {
        let Some(open) = s.state.alerts.get(id) else {
            continue;
        };
        let (glyph, role) = words::severity(open.alert.severity, s.theme);
        let seen = open
            .seen_by
            .as_ref()
            .map(|who| format!("seen by {}", text::escape(&who.to_string())));
        let keys = seen.unwrap_or_else(|| keys_now.into());
        let is_selected = Some(*id) == selected && s.ui.pane == 1;
        let role = if open.seen_by.is_some() {
            Role::Muted
        } else {
            role
        };
        let said = text::escape(&open.alert.text).into_owned();
        let room = width.saturating_sub(12 + text::width(&keys) + 2);
        // Text before keys: keys are in the hints as well.
        let keys = if text::width(&said) <= room || open.seen_by.is_some() {
            keys
        } else {
            String::new()
        };
        let room = if keys.is_empty() { width } else { room };
        let row = Row::new(s.theme, width)
            .put(
                role,
                if is_selected {
                    s.theme.glyphs.cursor
                } else {
                    " "
                },
            )
            .put(role, glyph)
            .gap(1)
            .muted(words::clock(open.at))
            .gap(1)
            .put(role, text::clip(&said, room, s.theme.glyphs.more));
        let row = row.end(Role::Muted, keys);
        lines.push(if is_selected {
            row.selected(true)
        } else {
            row.line()
        });
    }
    if !fits && room > 0 {
        let more = ids.len() - shown.len();
        lines.push(
            Row::new(s.theme, width)
                .gap(2)
                .muted(format!("{more} more: Tab, then down"))
                .line(),
        );
    }
    lines.truncate(height);
    lines
}

/// Lines the alerts would like to have.
pub fn alerts_wanted(s: &Scene) -> usize {
    1 + lists::alerts(s.state).len().clamp(1, 5)
}

/// Heading and what people did last, the newest first.
pub fn acts(s: &Scene, width: usize, height: usize) -> Vec<Line<'static>> {
    if height < 2 {
        return Vec::new();
    }
    let mut lines = vec![heading(s.theme, width, "Last acts", "")];
    let acts = s.state.timeline.iter().rev().filter(|line| {
        matches!(
            line.mark,
            Mark::Act | Mark::Note | Mark::Pause | Mark::Repair | Mark::Phase
        )
    });
    for line in acts.take(height - 1) {
        let (glyph, role) = mark(s, line.mark);
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .put(role, glyph)
                .gap(1)
                .muted(words::clock(line.at))
                .gap(1)
                .left(Role::Title, text::escape(&line.who), 6)
                .gap(1)
                .text(text::escape(&line.text))
                .line(),
        );
    }
    if lines.len() == 1 {
        lines.push(
            Row::new(s.theme, width)
                .muted(" nobody did anything yet")
                .line(),
        );
    }
    lines
}

/// Who is attached, the lead first.
pub fn presence(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let people = &s.state.people;
    let mut lines = vec![heading(s.theme, width, "Who is here", "")];
    for (session, present) in &people.present {
        let leads = people.lead == Some(*session);
        let (role, seat) = match (leads, present.role) {
            (true, _) => (Role::Lead, "leads"),
            (false, Seat::Operator) => (Role::Text, "operator"),
            (false, Seat::Observer) => (Role::Muted, "looks"),
        };
        let me = if s.ui.me == Some(*session) {
            " (you)"
        } else {
            ""
        };
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .left(role, text::escape(&present.who.to_string()), 10)
                .gap(1)
                .left(role, seat, 8)
                .gap(1)
                .muted(format!("{}{me}", text::escape(&present.from)))
                .end(Role::Muted, s.now.since(present.since).to_string())
                .line(),
        );
    }
    if people.present.is_empty() {
        lines.push(Row::new(s.theme, width).muted(" nobody is attached").line());
    }
    if let Some(engine) = &s.state.engine {
        let runs = match (engine.running, s.state.over()) {
            (_, true) => "ended",
            (true, false) => "runs",
            (false, false) => "parked",
        };
        let memory = s
            .state
            .sample
            .memory
            .map_or_else(String::new, |m| format!(", {m}"));
        let words = format!(
            "{runs} on {} pid {}{memory}",
            text::escape(&engine.host),
            engine.pid
        );
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .left(Role::Text, "engine", 10)
                .gap(1)
                .muted(words)
                .line(),
        );
    }
    lines
}
