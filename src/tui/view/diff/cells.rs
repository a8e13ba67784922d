//! Values side by side, so that no two different ones look the same.

use crate::domain::command::Drifted;
use crate::domain::table::Table;
use crate::domain::value::Value;
use crate::domain::verdict::{DriftClass, RowDiff};
use crate::tui::lists;
use crate::tui::theme::Role;
use crate::tui::view::scene::Scene;
use crate::tui::view::words;
use crate::tui::widget::row::{Row, heading};
use crate::tui::widget::text;
use ratatui::text::Line;

/// What stands in place of a masked value.
const MASK: &str = "••••";
const MASK_ASCII: &str = "****";

/// Lines that one long value may take.
const LONG: usize = 5;

/// A key as text, masked where its column is.
pub fn key_text(s: &Scene, d: &Drifted) -> String {
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

/// The places of a table's columns that are listed: those that differ, or all.
fn shown_columns(only: bool, table: &Table, row: &RowDiff) -> Vec<u16> {
    (0..table.columns.len() as u16)
        .filter(|c| !only || row.class != DriftClass::Changed || row.columns.contains(c))
        .collect()
}

/// Titles and columns in at most `height` lines, the selected one among them; its bytes or full text below.
pub fn columns(
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
        let words = format!(
            "{} more, ",
            words::count((shown.len() - room.max(1)) as u64, "column")
        );
        let row = Row::new(s.theme, width)
            .gap(4)
            .muted(words)
            .put(Role::Key, "Tab");
        lines.push(row.muted(" then down").line());
    }
    if hidden > 0 {
        let words = format!("{} hidden, ", words::count(hidden as u64, "equal column"));
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
    let Value::Text(bytes) = value else {
        return value.to_string();
    };
    let Ok(plain) = std::str::from_utf8(bytes) else {
        return format!("x'{}' as text", text::hex(bytes).replace(' ', ""));
    };
    // In quotes a backslash is doubled, so that what was written out is told from what was there.
    let shown = text::escape(&plain.replace('\\', "\\\\")).into_owned();
    let odd = plain.is_empty()
        || plain == "NULL"
        || plain != plain.trim()
        || plain.parse::<f64>().is_ok()
        || text::escape(plain) != plain;
    if differs || odd {
        format!("'{shown}'")
    } else {
        plain.to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_values_look_the_same() {
        let values = [
            Value::Null,
            Value::text("NULL"),
            Value::text(""),
            Value::text(" "),
            Value::text("\\n"),
            Value::text("\n"),
            Value::Integer(1),
            Value::text("1"),
            Value::Real(1.0),
            Value::text("1.0"),
            Value::Blob([0x31].into()),
            Value::text("x'31'"),
            Value::text("a\u{200b}"),
            Value::text("a"),
            Value::Text([0xff].into()),
            Value::Text([0xfe].into()),
            Value::text("\u{fffd}"),
            Value::Real(-0.0),
            Value::Real(0.0),
        ];
        for (i, a) in values.iter().enumerate() {
            for b in &values[i + 1..] {
                assert_ne!(quoted(a, true), quoted(b, true), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn the_note_says_how_and_keeps_masks_closed() {
        let say = |a: Value, b: Value, masked| note(Some(&a), Some(&b), masked);
        assert_eq!(say(Value::Integer(1), Value::text("1"), false), "int, text");
        assert_eq!(say(Value::Integer(5), Value::Integer(3), false), "-2");
        assert_eq!(say(Value::text("abc"), Value::text("a"), false), "-2 bytes");
        assert_eq!(say(Value::text("abc"), Value::text("abd"), false), "value");
        assert_eq!(say(Value::text("abc"), Value::text("a"), true), "masked");
        assert_eq!(
            say(Value::Integer(i64::MIN), Value::Integer(i64::MAX), false),
            "+18446744073709551615"
        );
    }
}
