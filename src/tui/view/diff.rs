//! The rows that differ: which, since when, and the selected one column by column on both sides.

use super::scene::Scene;
use super::words;
use crate::domain::command::Drifted;
use crate::domain::table::Table;
use crate::domain::unit::Rows;
use crate::domain::value::Value;
use crate::domain::verdict::{DriftClass, RowDiff};
use crate::state::timeline::{Line as Fact, Mark, table_name};
use crate::tui::lists;
use crate::tui::model::Loaded;
use crate::tui::theme::Role;
use crate::tui::widget::row::{Row, heading, paint};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// What stands in place of a masked value.
const MASK: &str = "••••";
const MASK_ASCII: &str = "****";

/// Lines that one long value may take.
const LONG: usize = 5;

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
            &row(
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
        lines.extend(row(
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
    if drift.confirmed > 0 {
        let n = words::count(drift.confirmed, "row");
        match &s.ui.diff.known {
            Loaded::Failed(fault) => {
                lines.extend(whole(
                    Role::Bad,
                    &format!(
                        "{n} differ, but which can't be read now: {}",
                        text::escape(&fault.to_string())
                    ),
                ));
            }
            Loaded::Have(_) => lines.extend(whole(
                Role::Warn,
                &format!("{n} differ; they were repaired or changed since this list was made"),
            )),
            _ => lines.extend(whole(
                Role::Warn,
                &format!("{n} differ; asking the engine which…"),
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
            &format!("{} rows are not compared yet", words::rows(drift.uncovered)),
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
    let selected = lists::selected_row(s).unwrap_or(0);
    let total = s.state.drift().confirmed;
    let shown = listed.len() as u64;
    let title = if shown < total {
        format!("Differ: {} of {} rows", Rows(shown), Rows(total))
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
    let name = listed
        .iter()
        .map(|d| text::width(&table_name(d.chunk.table, s.state)))
        .max()
        .unwrap_or(5)
        .clamp(5, 16);
    for i in lists::window(selected, listed.len(), room) {
        let d = listed[i];
        let chosen = i == selected;
        let mark = if chosen { s.theme.glyphs.cursor } else { " " };
        // The chunk stands in the heading of the row as well.
        let chunk_room = if width >= 60 { 9 } else { 0 };
        let key_room = width.saturating_sub(2 + name + 1 + 9 + chunk_room + 7);
        let row = Row::new(s.theme, width)
            .put(Role::Title, mark)
            .gap(1)
            .left(
                Role::Text,
                text::escape(&table_name(d.chunk.table, s.state)),
                name,
            )
            .gap(1)
            .left(Role::Title, key_text(s, d), key_room)
            .put(Role::Differs, s.theme.glyphs.drift)
            .gap(1)
            .left(Role::Text, d.class.label(), 7)
            .right(Role::Muted, format!("#{}", d.chunk.no), chunk_room)
            .right(Role::Muted, d.age.to_string(), 7);
        lines.push(if chosen {
            row.selected(s.ui.pane == 0)
        } else {
            row.line()
        });
    }
    lines.truncate(height);
    lines
}

/// A key as text, masked where its column is.
fn key_text(s: &Scene, d: &Drifted) -> String {
    let table = s.state.plan.as_ref().and_then(|p| p.table(d.chunk.table));
    let columns: &[u16] = table
        .and_then(Table::key)
        .map_or(&[], |k| k.columns.as_slice());
    let parts: Vec<String> = d
        .key
        .parts()
        .iter()
        .enumerate()
        .map(|(i, part)| {
            let column = columns
                .get(i)
                .and_then(|c| table?.columns.get(usize::from(*c)));
            if column.is_some_and(|c| c.masked) {
                mask(s).to_string()
            } else {
                text::escape(&part.to_string()).into_owned()
            }
        })
        .collect();
    parts.join(", ")
}

fn mask(s: &Scene) -> &'static str {
    if s.theme.glyphs.braille {
        MASK
    } else {
        MASK_ASCII
    }
}

/// The selected row column by column.
fn row(s: &Scene, width: usize, height: usize, listed: &[&Drifted]) -> Vec<Line<'static>> {
    let Some(at) = lists::selected_row(s) else {
        return Vec::new();
    };
    let Some(d) = listed.get(at) else {
        return Vec::new();
    };
    let name = text::escape(&table_name(d.chunk.table, s.state)).into_owned();
    let title = format!(
        "{name} chunk {} {} {}",
        d.chunk.no,
        s.theme.glyphs.dot,
        key_text(s, d)
    );
    let title = text::clip(&title, width.saturating_sub(20), s.theme.glyphs.more).into_owned();
    let mut lines = vec![heading(
        s.theme,
        width,
        &title,
        &format!("{} of {}", at + 1, listed.len()),
    )];
    let say = |role, words: &str| {
        text::wrap(words, width.saturating_sub(2))
            .into_iter()
            .map(|l| Row::new(s.theme, width).gap(1).put(role, l).line())
            .collect::<Vec<_>>()
    };
    let table = s.state.plan.as_ref().and_then(|p| p.table(d.chunk.table));
    let (rows, more) = match &s.ui.diff.rows {
        Loaded::Have((chunk, rows, more)) if *chunk == d.chunk => (rows, *more),
        Loaded::Failed(fault) => {
            lines.extend(say(
                Role::Bad,
                &format!(
                    "its values can't be read now: {}",
                    text::escape(&fault.to_string())
                ),
            ));
            return lines;
        }
        _ => {
            lines.extend(say(Role::Muted, "reading the row on both sides…"));
            return lines;
        }
    };
    let Some(found) = rows.iter().find(|r| r.key == d.key) else {
        let why = if more {
            "not among the first rows of its chunk that differ; V compares the chunk again"
        } else {
            "read again just now, this row no longer differs; V compares its chunk again"
        };
        lines.extend(say(Role::Warn, why));
        return lines;
    };
    let tail = verdict(s, width, d, found);
    let room = height.saturating_sub(lines.len() + tail.len());
    if let Some(table) = table {
        lines.extend(columns(s, width, room, table, found));
    }
    let gap = height.saturating_sub(lines.len() + tail.len());
    lines.extend(std::iter::repeat_n(Line::default(), gap.min(1)));
    lines.extend(tail);
    lines.truncate(height);
    lines
}

/// The places of a table's columns that are listed: those that differ, or all.
pub fn shown_columns(only: bool, table: &Table, row: &RowDiff) -> Vec<u16> {
    (0..table.columns.len() as u16)
        .filter(|c| !only || row.class != DriftClass::Changed || row.columns.contains(c))
        .collect()
}

fn columns(
    s: &Scene,
    width: usize,
    height: usize,
    table: &Table,
    row: &RowDiff,
) -> Vec<Line<'static>> {
    let glyphs = s.theme.glyphs;
    let shown = shown_columns(s.ui.diff.only_differing, table, row);
    let name_room = table
        .columns
        .iter()
        .map(|c| text::width(&c.name))
        .max()
        .unwrap_or(6)
        .clamp(6, 20);
    let note_room = if width >= 70 { 12 } else { 9 };
    let value_room = width.saturating_sub(4 + name_room + 1 + note_room) / 2;
    let (source, target) = match &s.state.plan {
        Some(plan) => (plan.source.label.as_str(), plan.target.label.as_str()),
        None => ("", ""),
    };
    let mut lines = vec![
        Row::new(s.theme, width)
            .gap(4)
            .left(Role::Muted, "column", name_room)
            .gap(1)
            .left(
                Role::Muted,
                format!("source {}", text::escape(source)),
                value_room,
            )
            .left(
                Role::Target,
                format!("target {}", text::escape(target)),
                value_room,
            )
            .muted("differs by")
            .line(),
    ];
    let at = shown
        .iter()
        .position(|c| *c == s.ui.diff.column)
        .unwrap_or(0);
    let chosen = shown
        .get(at)
        .and_then(|c| Some((*c, table.columns.get(usize::from(*c))?)));
    let long = match chosen {
        Some((place, column)) if s.ui.diff.bytes || s.ui.diff.wrap || height >= 18 => {
            let cell = |side: &Option<Vec<Value>>| {
                side.as_ref()
                    .and_then(|r| r.get(usize::from(place)).cloned())
            };
            full(
                s,
                width,
                &column.name,
                column.masked,
                cell(&row.source),
                cell(&row.target),
            )
        }
        _ => Vec::new(),
    };
    let hidden = table.columns.len() - shown.len();
    let mut room = height.saturating_sub(1 + long.len() + usize::from(hidden > 0));
    let cut = shown.len() > room;
    room = room.saturating_sub(usize::from(cut));
    for i in lists::window(at, shown.len(), room.max(1)) {
        let place = shown[i];
        let Some(column) = table.columns.get(usize::from(place)) else {
            continue;
        };
        let cell =
            |side: &Option<Vec<Value>>| side.as_ref().map(|r| r.get(usize::from(place)).cloned());
        let (a, b) = (cell(&row.source), cell(&row.target));
        let differs = row.columns.contains(&place) && row.class == DriftClass::Changed;
        let chosen = i == at && s.ui.pane == 1;
        let mark = if i == at { glyphs.cursor } else { " " };
        let (role, glyph) = if differs {
            (Role::Differs, glyphs.drift)
        } else {
            (Role::Text, " ")
        };
        let note = note(
            a.clone().flatten().as_ref(),
            b.clone().flatten().as_ref(),
            column.masked,
        );
        let line = Row::new(s.theme, width)
            .put(Role::Title, mark)
            .put(role, glyph)
            .gap(2)
            .left(role, text::escape(&column.name), name_room)
            .gap(1)
            .left(
                role,
                shown_value(s, a, column.masked, differs),
                value_room.saturating_sub(1),
            )
            .gap(1)
            .left(
                role,
                shown_value(s, b, column.masked, differs),
                value_room.saturating_sub(1),
            )
            .gap(1)
            .put(Role::Warn, if differs { note } else { String::new() });
        lines.push(if chosen {
            line.selected(true)
        } else {
            line.line()
        });
    }
    if cut {
        let words = format!("{} more columns, ", shown.len() - room.max(1));
        let row = Row::new(s.theme, width)
            .gap(4)
            .muted(words)
            .put(Role::Key, "Tab");
        lines.push(row.muted(" then down").line());
    }
    if hidden > 0 {
        let words = format!("{hidden} equal columns hidden, ");
        lines.push(
            Row::new(s.theme, width)
                .gap(4)
                .muted(words)
                .put(Role::Key, "d")
                .muted(" shows all")
                .line(),
        );
    }
    lines.extend(long);
    lines
}

/// A value as the screen shows it: NULL apart from 'NULL' and '', its class where both sides' differ, masked ones hidden.
fn shown_value(s: &Scene, cell: Option<Option<Value>>, masked: bool, differs: bool) -> String {
    match cell {
        None => "(no row)".into(),
        Some(None) => words::UNKNOWN.into(),
        Some(Some(Value::Null)) => "NULL".into(),
        Some(Some(_)) if masked => mask(s).into(),
        Some(Some(value)) => quoted(&value, differs),
    }
}

/// A value so that no two different ones look the same: text in quotes where it differs, or could be taken for something else.
fn quoted(value: &Value, differs: bool) -> String {
    let plain = text::escape(&value.to_string()).into_owned();
    match value {
        Value::Text(bytes) => {
            let not_utf8 = std::str::from_utf8(bytes).is_err();
            let odd = plain.is_empty()
                || plain == "NULL"
                || plain != plain.trim()
                || plain.parse::<f64>().is_ok();
            if not_utf8 {
                format!("'{plain}' (not UTF-8)")
            } else if differs || odd {
                format!("'{plain}'")
            } else {
                plain
            }
        }
        _ => plain,
    }
}

/// In a word, how two values differ.
fn note(a: Option<&Value>, b: Option<&Value>, masked: bool) -> String {
    match (a, b) {
        // Not even by how much: the difference of two salaries is told by either.
        (Some(_), Some(_)) if masked => "masked".into(),
        (Some(a), Some(b)) if a.class() != b.class() => {
            format!("{}, {}", short_class(a), short_class(b))
        }
        (Some(Value::Integer(a)), Some(Value::Integer(b))) => {
            let by = i128::from(*b) - i128::from(*a);
            format!("{by:+}")
        }
        (Some(Value::Text(a)), Some(Value::Text(b)))
        | (Some(Value::Blob(a)), Some(Value::Blob(b)))
            if a.len() != b.len() =>
        {
            format!("{:+} bytes", b.len() as i64 - a.len() as i64)
        }
        (Some(_), Some(_)) => "value".into(),
        _ => String::new(),
    }
}

fn short_class(value: &Value) -> &'static str {
    match value.class() {
        "integer" => "int",
        other => other,
    }
}

/// The selected value in full, as text or as bytes.
fn full(
    s: &Scene,
    width: usize,
    name: &str,
    masked: bool,
    a: Option<Value>,
    b: Option<Value>,
) -> Vec<Line<'static>> {
    let bytes = s.ui.diff.bytes;
    let title = format!(
        "{} of {}",
        if bytes { "bytes" } else { "all" },
        text::escape(name)
    );
    let mut lines = vec![heading(s.theme, width, &title, "")];
    for (side, value) in [("source", a), ("target", b)] {
        let role = if side == "target" {
            Role::Target
        } else {
            Role::Text
        };
        let words = match &value {
            None => "(no row)".to_string(),
            Some(Value::Null) => "NULL".to_string(),
            Some(_) if masked => format!("{} masked", mask(s)),
            Some(value) if bytes => match value {
                Value::Text(b) | Value::Blob(b) => text::hex(b),
                Value::Integer(i) => text::hex(&i.to_be_bytes()),
                Value::Real(r) => text::hex(&r.to_be_bytes()),
                Value::Null => String::new(),
            },
            Some(value) => quoted(value, true),
        };
        let class = value.as_ref().map_or("", |v| v.class());
        for (i, piece) in text::wrap(&words, width.saturating_sub(17))
            .into_iter()
            .take(LONG)
            .enumerate()
        {
            let (side, class) = if i == 0 { (side, class) } else { ("", "") };
            lines.push(
                Row::new(s.theme, width)
                    .gap(1)
                    .left(role, side, 7)
                    .left(Role::Muted, class, 8)
                    .text(piece)
                    .line(),
            );
        }
    }
    lines
}

/// What was found, and what happened to this table's rows: facts, no guesses.
fn verdict(s: &Scene, width: usize, d: &Drifted, row: &RowDiff) -> Vec<Line<'static>> {
    let mut lines = vec![heading(s.theme, width, "Verdict", "")];
    let what = match row.class {
        DriftClass::Missing => "on the source only",
        DriftClass::Extra => "on the target only",
        DriftClass::Changed => "differs",
    };
    let facts = facts(s, d);
    let position = facts
        .iter()
        .find(|f| f.mark == Mark::Alert)
        .and_then(|f| f.text.rsplit_once(" at "));
    let at = position.map_or_else(String::new, |(_, at)| format!(" at {at}"));
    let found = format!(
        "{what}{at}: no change to this key between both reads; known for {}",
        d.age
    );
    for line in text::wrap(&found, width.saturating_sub(4)) {
        let first = lines.len() == 1;
        let glyph = if first { s.theme.glyphs.drift } else { " " };
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .put(Role::Differs, glyph)
                .gap(1)
                .text(line)
                .line(),
        );
    }
    let repair = "R lands this chunk's differing rows again from the source; undo is kept";
    lines.push(Row::new(s.theme, width).gap(3).muted(repair).line());
    lines.extend(facts.iter().take(2).map(|f| {
        Row::new(s.theme, width)
            .gap(3)
            .muted(words::clock(f.at))
            .gap(1)
            .text(text::escape(&f.text))
            .line()
    }));
    lines
}

/// What the timeline says of this row's chunk, the newest first.
fn facts<'a>(s: &Scene<'a>, d: &Drifted) -> Vec<&'a Fact> {
    let name = table_name(d.chunk.table, s.state);
    let chunk = format!("{name} chunk {}:", d.chunk.no);
    let repair = format!(" of {name}:");
    s.state
        .timeline
        .iter()
        .rev()
        .filter(|f| match f.mark {
            Mark::Alert => f.text.starts_with(&chunk),
            Mark::Repair => f.text.contains(&repair),
            _ => false,
        })
        .collect()
}
