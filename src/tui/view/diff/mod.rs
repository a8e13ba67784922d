//! The rows that differ: which, since when, and the selected one column by column on both sides.

mod cells;
mod row;

use super::scene::Scene;
use super::words;
use crate::domain::command::Drifted;
use crate::domain::unit::Rows;
use crate::state::timeline::table_label;
use crate::tui::lists;
use crate::tui::model::Loaded;
use crate::tui::theme::Role;
use crate::tui::widget::row::{Row, heading, paint};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Fewest cells of a table's name in the list.
const NAME: usize = 5;

/// Draws the screen.
pub fn draw(s: &Scene, area: Rect, buf: &mut Buffer) {
    let listed = lists::differing(s);
    if listed.is_empty() {
        paint(&empty(s, usize::from(area.width)), area, buf);
        return;
    }
    if area.width >= 100 {
        let left = (area.width / 3).clamp(38, 60);
        let wall = area.x + left;
        let right = Rect {
            x: wall + 1,
            width: area.width - left - 1,
            ..area
        };
        paint(
            &list(s, usize::from(left), usize::from(area.height), &listed),
            Rect {
                width: left,
                ..area
            },
            buf,
        );
        let style = s.theme.style(Role::Rule);
        for y in area.top()..area.bottom() {
            buf.set_stringn(wall, y, s.theme.glyphs.wall, 1, style);
        }
        paint(
            &row::row(
                s,
                usize::from(right.width),
                usize::from(right.height),
                &listed,
            ),
            right,
            buf,
        );
    } else {
        let rows = (usize::from(area.height) / 3).clamp(2, listed.len() + 1);
        let mut lines = list(s, usize::from(area.width), rows, &listed);
        lines.extend(row::row(
            s,
            usize::from(area.width),
            usize::from(area.height) - rows,
            &listed,
        ));
        paint(&lines, area, buf);
    }
}

/// Why there is nothing to see: nothing differs, nothing was compared, or it is not known yet.
fn empty(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let drift = s.state.drift();
    let whole = |role, line: &str| {
        text::wrap(line, width.saturating_sub(2))
            .into_iter()
            .map(|l| Row::new(s.theme, width).gap(1).put(role, l).line())
            .collect::<Vec<_>>()
    };
    let filter = s.ui.filter();
    let mut lines = vec![heading(s.theme, width, "Rows that differ", "")];
    let have = s.ui.diff.known.get().is_some_and(|known| !known.is_empty());
    if have && (!filter.is_empty() || s.ui.diff.table.is_some()) {
        lines.extend(whole(
            Role::Muted,
            "no row that differs matches the filter; Esc clears it",
        ));
        return lines;
    }
    if s.ui.replay.is_some() && drift.confirmed > 0 {
        let rows = words::count(drift.confirmed, "row");
        lines.extend(whole(
            Role::Warn,
            &format!(
                "{rows} known to differ then; keys and values are not recorded, the Map shows in which chunks."
            ),
        ));
        return lines;
    }
    if drift.confirmed > 0 {
        let n = words::count(drift.confirmed, "row");
        match &s.ui.diff.known {
            Loaded::Failed(fault) => {
                lines.extend(whole(
                    Role::Bad,
                    &format!(
                        "{n} known to differ, but which can't be read now: {}",
                        text::escape(&fault.to_string())
                    ),
                ));
            }
            Loaded::Have(_) => lines.extend(whole(
                Role::Warn,
                &format!("{n} known to differ; repaired or changed since this list was made"),
            )),
            _ => lines.extend(whole(
                Role::Warn,
                &format!("{n} known to differ; asking the engine which…"),
            )),
        }
        return lines;
    }
    if s.oldest().is_none() {
        lines.extend(whole(
            Role::Warn,
            "Not compared yet: nothing is known to differ, and nothing is known to be equal.",
        ));
        lines.extend(whole(
            Role::Muted,
            "Chunks are compared as they are copied; V compares the selected table now.",
        ));
        return lines;
    }
    lines.extend(whole(Role::Ok, "Nothing differs in what was compared."));
    let oldest = s
        .oldest()
        .map_or_else(String::new, |age| format!(", oldest {age} ago"));
    lines.extend(whole(
        Role::Text,
        &format!(
            "equal {} of all rows{oldest}",
            words::percent(s.state.equal_part())
        ),
    ));
    if drift.uncovered.0 > 0 {
        lines.extend(whole(
            Role::Pending,
            &format!(
                "{} not compared yet",
                words::count(drift.uncovered.0, "row")
            ),
        ));
    }
    if drift.in_flight > 0 {
        lines.extend(whole(
            Role::Text,
            &format!(
                "{} in flight: the application changed them between both reads; looked at again",
                words::count(drift.in_flight, "row")
            ),
        ));
    }
    lines
}

/// The list of differing rows, by table.
fn list(s: &Scene, width: usize, height: usize, listed: &[&Drifted]) -> Vec<Line<'static>> {
    let selected = lists::selected_row(s);
    let total = s.state.drift().confirmed;
    let shown = listed.len() as u64;
    let title = if shown < total {
        format!("Differ: {} of {}", Rows(shown), words::count(total, "row"))
    } else {
        format!("Differ: {}", words::count(shown, "row"))
    };
    let filter = s.ui.filter();
    let end = if filter.is_empty() {
        String::new()
    } else {
        format!("/{}", text::escape(filter))
    };
    let mut lines = vec![heading(s.theme, width, &title, &end)];
    let room = height.saturating_sub(1);
    // The chunk stands in the heading of the row as well.
    let chunk_room = if width >= 60 { 9 } else { 0 };
    let both = width.saturating_sub(2 + 1 + 9 + chunk_room + 7);
    let widest = |of: &dyn Fn(&Drifted) -> String| {
        let cells = listed.iter().map(|d| text::width(&of(d)));
        cells.max().unwrap_or(0)
    };
    let label = |d: &Drifted| text::escape(&table_label(d.chunk.table, s.state)).into_owned();
    // Rows are told apart by their keys: those are whole before the table's name is.
    let keys = widest(&|d| cells::key_text(s, d)) + 1;
    let most = both.saturating_sub(keys).max(NAME).min(both);
    let name = widest(&label).clamp(NAME, 40).min(most);
    let key_room = both - name;
    for i in lists::window(selected.unwrap_or(0), listed.len(), room) {
        let d = listed[i];
        let chosen = Some(i) == selected;
        let mark = if chosen { s.theme.glyphs.cursor } else { " " };
        let row = Row::new(s.theme, width)
            .put(Role::Title, mark)
            .gap(1)
            .left(
                Role::Text,
                text::clip_middle(&label(d), name, s.theme.glyphs.more),
                name,
            )
            .gap(1)
            .left(Role::Title, cells::key_text(s, d), key_room)
            .put(Role::Differs, s.theme.glyphs.drift)
            .gap(1)
            .left(Role::Text, d.class.label(), 7)
            .right(Role::Muted, format!("#{}", d.chunk.no), chunk_room)
            .right(Role::Muted, lists::known_for(s, d).to_string(), 7);
        lines.push(if chosen {
            row.selected(s.ui.pane == 0)
        } else {
            row.line()
        });
    }
    lines.truncate(height);
    lines
}
