//! The tables with how far each is.

use crate::domain::id::TableId;
use crate::domain::table::{Mode, Table};
use crate::domain::unit::{Rows, Span};
use crate::state::pace;
use crate::state::table::TableState;
use crate::state::timeline::table_label;
use crate::tui::lists;
use crate::tui::theme::Role;
use crate::tui::view::scene::Scene;
use crate::tui::view::words;
use crate::tui::widget::bar::bar;
use crate::tui::widget::row::{Row, heading};
use crate::tui::widget::text;
use ratatui::text::Line;

/// Fewest cells of a bar that still tell something.
const BAR: usize = 6;

/// Widths of the columns.
struct Columns {
    name: usize,
    rows: usize,
    bar: usize,
    part: usize,
    doing: usize,
    left: usize,
    differ: usize,
}

impl Columns {
    fn of(width: usize, longest: usize) -> Self {
        let fixed = Self {
            name: 0,
            rows: 7,
            bar: 0,
            part: 6,
            doing: if width >= 76 { 14 } else { 10 },
            left: 7,
            differ: 7,
        };
        let room = width.saturating_sub(
            2 + fixed.rows + fixed.part + fixed.doing + fixed.left + fixed.differ + 4,
        );
        // A name that can't be read is worse than a short bar: the bar gives way first.
        let name = longest.clamp(5, 40).min(room.saturating_sub(BAR));
        Self {
            name,
            bar: (room - name).min(60),
            ..fixed
        }
    }
}

/// Heading and tables in exactly `height` lines: two or none at all are never drawn over.
pub fn tables(s: &Scene, width: usize, height: usize) -> Vec<Line<'static>> {
    if height == 0 {
        return Vec::new();
    }
    let (ids, folded) = lists::tables(s);
    let plan = s.state.plan.as_ref();
    let longest = ids
        .iter()
        .map(|id| text::width(&text::escape(&table_label(*id, s.state))))
        .max()
        .unwrap_or(8);
    let columns = Columns::of(width, longest);
    let title = format!("Tables, {}", s.ui.overview.order.label());
    let filter = s.ui.filter();
    let end = if filter.is_empty() {
        String::new()
    } else {
        format!("/{}", text::escape(filter))
    };
    let mut lines = vec![titles(s, width, &columns, &title, &end)];
    let room = height.saturating_sub(lines.len());
    if ids.is_empty() && folded == 0 {
        let words = match (plan.is_some(), filter.is_empty()) {
            (false, _) => " nothing planned yet",
            (true, true) => " no tables",
            (true, false) => " no table matches the filter",
        };
        lines.push(Row::new(s.theme, width).muted(words).line());
        lines.truncate(height);
        return lines;
    }
    let selected = lists::selected_table(s);
    let at = ids.iter().position(|id| Some(*id) == selected).unwrap_or(0);
    // A folded line, or how many do not fit, takes the last line.
    let fits = folded == 0 && ids.len() <= room;
    let shown = lists::window(
        at,
        ids.len(),
        if fits { room } else { room.saturating_sub(1) },
    );
    for id in &ids[shown.clone()] {
        let (Some(table), Some(state)) = (plan.and_then(|p| p.table(*id)), s.state.table(*id))
        else {
            continue;
        };
        let is_selected = Some(*id) == selected;
        lines.push(line(s, width, &columns, (*id, table, state), is_selected));
    }
    let hidden = ids.len() - shown.len();
    if !fits && room > 0 {
        let mut words = Vec::new();
        if hidden > 0 {
            let mut outside = ids[..shown.start].iter().chain(&ids[shown.end..]);
            words.push(format!("{hidden} more: {}", summary(s, &mut outside)));
        }
        if folded > 0 {
            words.push(format!("{folded} finished and equal, folded (z)"));
        }
        lines.push(
            Row::new(s.theme, width)
                .gap(2)
                .muted(words.join(", "))
                .line(),
        );
    }
    lines.truncate(height);
    lines
}

/// What must not be overlooked in tables that are not shown.
fn summary(s: &Scene, ids: &mut dyn Iterator<Item = &TableId>) -> String {
    let (mut copied, mut left_out, mut differ, mut going) = (0u32, 0u32, 0u64, 0u32);
    for id in ids {
        let out = s
            .state
            .plan
            .as_ref()
            .and_then(|p| p.table(*id))
            .is_some_and(|t| t.key().is_none());
        if let Some(state) = s.state.table(*id) {
            differ += state.chunks.tally().differing_rows;
            left_out += u32::from(out);
            copied += u32::from(!out && state.complete);
            going += u32::from(!out && !state.complete);
        }
    }
    let parts = [
        (going, "not copied yet"),
        (copied, "copied"),
        (left_out, "left out"),
    ];
    let mut words: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, w)| format!("{n} {w}"))
        .collect();
    words.push(if differ > 0 {
        format!("{} {} differ", s.theme.glyphs.drift, Rows(differ))
    } else {
        "0 differ".into()
    });
    words.join(", ")
}

/// The heading with the columns' names in its rule, each at its column's end.
fn titles(s: &Scene, width: usize, columns: &Columns, title: &str, end: &str) -> Line<'static> {
    let title = if end.is_empty() {
        title.to_string()
    } else {
        format!("{title} {end}")
    };
    let plain = heading(s.theme, width, &title, "");
    let used = text::width(&title) + 5;
    let copied = 2 + columns.name + columns.rows + 2 + columns.bar + columns.part;
    let doing = copied + 1 + columns.doing;
    let mut row = Row::new(s.theme, width).spans(plain.spans.iter().take(4).cloned());
    for (word, ends) in [
        ("copied", copied),
        ("doing", doing),
        ("left", doing + columns.left),
        ("differ", doing + columns.left + columns.differ),
    ] {
        let from = width - row.room();
        let begins = ends.saturating_sub(word.len() + 1);
        if begins < from.max(used) || ends > width {
            continue;
        }
        let dashes = begins - from;
        // The heading ends in a space of its own.
        let space = usize::from(dashes > 1 && word != "copied");
        let rule = s.theme.glyphs.rule.repeat(dashes - space);
        row = row
            .gap(space)
            .put(Role::Rule, rule)
            .muted(format!(" {word}"));
    }
    let rest = row.room();
    let space = usize::from(rest > 1);
    let rule = s.theme.glyphs.rule.repeat(rest - space);
    row.gap(space).put(Role::Rule, rule).line()
}

/// Lines it would like to have.
pub fn wanted(s: &Scene) -> usize {
    let (ids, folded) = lists::tables(s);
    1 + ids.len().max(1) + usize::from(folded > 0)
}

fn line(
    s: &Scene,
    width: usize,
    columns: &Columns,
    (id, table, state): (TableId, &Table, &TableState),
    selected: bool,
) -> Line<'static> {
    let glyphs = s.theme.glyphs;
    let focused = selected && s.ui.pane == 0;
    let cursor = if selected { glyphs.cursor } else { " " };
    let name = text::escape(&table_label(id, s.state)).into_owned();
    let name = text::clip_middle(&name, columns.name, glyphs.more);
    let row = Row::new(s.theme, width)
        .put(Role::Title, cursor)
        .gap(1)
        .left(Role::Text, name, columns.name);
    if let Mode::LeftOut(why) = &table.mode {
        let row = row
            .gap(1)
            .put(Role::Warn, format!("left out: {}", text::escape(why)))
            .muted(", not copied, not compared");
        return if selected {
            row.selected(focused)
        } else {
            row.line()
        };
    }
    let tally = state.chunks.tally();
    let copied = state.copied();
    let bar = bar(copied, columns.bar, glyphs);
    let (bar_role, done) = if tally.differing_rows > 0 {
        (Role::Landed, false)
    } else if state.complete && tally.unchecked_chunks == 0 {
        (Role::Equal, true)
    } else {
        (Role::Landed, false)
    };
    let rows = if state.rows().0 == 0 && !state.complete {
        words::UNKNOWN.to_string()
    } else {
        words::rows(state.rows())
    };
    let (doing_role, doing) = doing(s, id, state, columns.doing >= 14);
    let differ = if tally.differing_rows > 0 {
        format!(
            "{} {}",
            glyphs.drift,
            words::rows(Rows(tally.differing_rows))
        )
    } else if state.chunks.is_empty() {
        words::UNKNOWN.to_string()
    } else {
        "0".to_string()
    };
    let differ_role = match (tally.differing_rows > 0, done) {
        (true, _) => Role::Differs,
        (false, true) => Role::Equal,
        _ => Role::Muted,
    };
    let row = row
        .right(Role::Text, rows, columns.rows)
        .gap(2)
        .put(bar_role, bar.done)
        .put(Role::Pending, bar.rest)
        .right(Role::Text, words::percent_fine(copied), columns.part)
        .gap(1)
        .right(doing_role, doing, columns.doing)
        .right(Role::Text, time_left(s, state), columns.left)
        .right(differ_role, differ, columns.differ);
    if selected {
        row.selected(focused)
    } else {
        row.line()
    }
}

/// What goes on in a table, in a word; only what is measured.
fn doing(s: &Scene, id: TableId, state: &TableState, wide: bool) -> (Role, String) {
    let tally = state.chunks.tally();
    let landed = state.chunks.len();
    if s.state.over() {
        return (Role::Muted, "ended".into());
    }
    if state.complete {
        if tally.unchecked_chunks > 0 {
            let checked = landed - tally.unchecked_chunks;
            let part = f64::from(checked) / f64::from(landed.max(1));
            let word = if wide { "compared" } else { "cmp" };
            return (Role::Landed, format!("{word} {}", words::percent(part)));
        }
        return match s.oldest_of(id) {
            Some(age) => {
                let equal = tally.differing_rows == 0;
                let word = if wide { "checked" } else { s.theme.glyphs.ok };
                (
                    if equal { Role::Equal } else { Role::Text },
                    format!("{word} {age}"),
                )
            }
            None => (Role::Equal, "empty".into()),
        };
    }
    if s.state.paused() || (s.state.engine.is_some() && !s.engine_runs()) {
        return (Role::Warn, "stopped".into());
    }
    let copying = &s.state.sample.copying;
    if copying.iter().any(|c| c.table == id) {
        // The speed is measured for all tables together: it is this one's only while it is alone.
        return if copying.iter().all(|c| c.table == id) {
            (Role::Copying, format!("{}/s", s.state.sample.copy_rate))
        } else {
            (Role::Copying, "copying".into())
        };
    }
    (Role::Muted, "waits".into())
}

/// How long this table's rows alone take at the present speed of all.
fn time_left(s: &Scene, state: &TableState) -> String {
    if state.complete {
        return "0".into();
    }
    let most = s.state.pace.map_or(u64::MAX, |pace| pace.0);
    let rate = pace::recent_rate(s.state).0.min(most);
    let moving = !s.state.paused() && s.engine_runs() && !s.state.over();
    if !moving || rate == 0 || (state.estimate.0 == 0) {
        return words::UNKNOWN.into();
    }
    Span((state.left().0 as f64 / rate as f64 * 1e6) as u64).to_string()
}
