//! A terminal too small for a screen still says what matters, most important first.

use super::header;
use super::overview::waits_for;
use super::scene::Scene;
use super::words;
use crate::domain::unit::Rows;
use crate::state::pace;
use crate::tui::lists;
use crate::tui::theme::Role;
use crate::tui::widget::row::{Row, paint, paint_at};
use crate::tui::widget::strip::{Part, strip};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Draws as many lines as fit: what and which phase, who owns writes, what it waits for, what is wrong, keys.
pub fn draw(s: &Scene, area: Rect, buf: &mut Buffer) {
    let width = usize::from(area.width);
    let mut lines = vec![
        first(s, width),
        second(s, width),
        third(s, width),
        fourth(s, width),
    ];
    let waits = format!("waits for {}", waits_for(s));
    lines.extend(
        text::wrap(&text::escape(&waits), width.saturating_sub(1))
            .into_iter()
            .take(2)
            .map(|line| Row::new(s.theme, width).gap(1).text(line).line()),
    );
    for id in lists::alerts(s.state) {
        if let Some(open) = s.state.alerts.get(&id) {
            let (glyph, role) = words::severity(open.alert.severity, s.theme);
            let row = Row::new(s.theme, width).gap(1).put(role, glyph).gap(1);
            lines.push(row.text(text::escape(&open.alert.text)).line());
        }
    }
    let keys = Row::new(s.theme, width)
        .put(Role::Key, " P")
        .text(" pause  ")
        .put(Role::Key, "?")
        .text(" help  ")
        .put(Role::Key, "q")
        .text(" detach");
    let keys = match s.ui.frozen {
        true => keys.put(Role::Key, "  f").text(" unfreeze"),
        false => keys,
    };
    let keys = keys.end(Role::Muted, "80x24 shows all");
    let last = area.height.saturating_sub(1);
    if area.height >= 5 {
        lines.truncate(usize::from(last));
        paint_at(&keys.line(), last, area, buf);
    }
    paint(&lines, area, buf);
}

fn first(s: &Scene, width: usize) -> Line<'static> {
    let (banner_role, banner) = header::banner(s);
    let (phase_role, phase) = header::phase(s);
    let name = text::escape(s.state.name()).into_owned();
    let named = |n: usize| {
        vec![
            (banner_role, format!(" {banner} ")),
            (Role::Text, s.theme.glyphs.banner.to_string()),
            (
                Role::Title,
                text::clip(&name, n, s.theme.glyphs.more).into_owned(),
            ),
        ]
    };
    let parts = [
        Part::new(1, named(64))
            .or(named(12))
            .or(named(8))
            .or(named(4))
            .or(vec![]),
        Part::new(9, vec![(phase_role, phase)]),
    ];
    strip(s.theme, width, &parts)
}

fn second(s: &Scene, width: usize) -> Line<'static> {
    let (owner, owner_role) = words::owner(s.state.owner());
    let (back, back_role) = words::way_back(s.state);
    let (fresh_role, fresh) = header::freshness(s);
    let parts = [
        Part::new(
            3,
            vec![(Role::Muted, "WRITES ".into()), (owner_role, owner.into())],
        )
        .or(vec![(owner_role, owner.into())]),
        Part::new(
            2,
            vec![(Role::Muted, "WAY BACK ".into()), (back_role, back.into())],
        )
        .or(vec![(back_role, back.into())]),
        Part::new(1, vec![(fresh_role, fresh)]),
    ];
    strip(s.theme, width, &parts)
}

fn third(s: &Scene, width: usize) -> Line<'static> {
    let drift = s.state.drift();
    let equal = words::percent(s.state.equal_part());
    let is = match s.state.keeps_in_step() {
        true => "equal ",
        false => "was equal ",
    };
    let differ = if drift.confirmed > 0 {
        vec![(
            Role::Differs,
            format!(
                "{} {} differ",
                s.theme.glyphs.drift,
                words::rows(Rows(drift.confirmed))
            ),
        )]
    } else {
        vec![]
    };
    let parts = [
        Part::new(3, differ),
        Part::new(
            2,
            vec![
                (Role::Muted, "lag ".into()),
                (
                    Role::Text,
                    words::span(s.state.sample.lag.filter(|_| s.measures())),
                ),
            ],
        ),
        Part::new(1, vec![(Role::Muted, is.into()), (Role::Text, equal)]).or(vec![]),
    ];
    strip(s.theme, width, &parts)
}

fn fourth(s: &Scene, width: usize) -> Line<'static> {
    let left = words::eta(&pace::eta(s.state), s.theme);
    let lead = s
        .state
        .people
        .leader()
        .map_or_else(|| "nobody".to_string(), |l| l.who.to_string());
    let parts = [
        Part::new(2, vec![(Role::Muted, "left ".into()), (Role::Text, left)]),
        Part::new(
            1,
            vec![
                (Role::Muted, "lead ".into()),
                (Role::Lead, text::escape(&lead).into_owned()),
            ],
        )
        .or(vec![]),
    ];
    strip(s.theme, width, &parts)
}
