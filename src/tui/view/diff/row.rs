//! One row that differs: what both sides hold, and what was found about it.

use super::cells::{columns, key_text};
use crate::domain::command::Drifted;
use crate::domain::verdict::{DriftClass, RowDiff};
use crate::state::timeline::{Line as Fact, Mark, table_label, table_name};
use crate::tui::commands::{Act, Go};
use crate::tui::lists;
use crate::tui::model::Loaded;
use crate::tui::theme::Role;
use crate::tui::view::scene::Scene;
use crate::tui::view::words;
use crate::tui::widget::row::{Row, heading};
use crate::tui::widget::text;
use ratatui::text::Line;

/// The selected row column by column.
pub fn row(s: &Scene, width: usize, height: usize, listed: &[&Drifted]) -> Vec<Line<'static>> {
    let Some(at) = lists::selected_row(s) else {
        return vec![
            heading(s.theme, width, "No row selected", ""),
            Row::new(s.theme, width)
                .gap(1)
                .muted(match s.ui.diff.wanted {
                    Some(_) => "the chunk's rows are not listed yet; ",
                    None => "the row chosen before is no longer listed; ",
                })
                .put(Role::Key, s.ui.keymap.key_of(Act::Move(Go::Down)))
                .muted(" chooses another")
                .line(),
        ];
    };
    let Some(d) = listed.get(at) else {
        return Vec::new();
    };
    let name = text::escape(&table_label(d.chunk.table, s.state)).into_owned();
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
        .find(|f| f.mark == Mark::Alert && !f.text.starts_with("repair "))
        .and_then(|f| f.text.rsplit_once(" at "));
    let at = position.map_or_else(String::new, |(_, at)| format!(" at {at}"));
    let found = format!(
        "{what}{at}: no change to this key between both reads; known for {}",
        lists::known_for(s, d)
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
    let repairs = s.state.repairs.iter();
    let repairs: Vec<String> = repairs
        .filter(|(_, repair)| repair.chunks.contains(&d.chunk))
        .map(|(id, _)| format!("repair {id} "))
        .collect();
    let of_repair = |text: &str| repairs.iter().any(|begins| text.starts_with(begins));
    s.state
        .timeline
        .iter()
        .rev()
        .filter(|f| match f.mark {
            Mark::Alert => f.text.starts_with(&chunk) || of_repair(&f.text),
            Mark::Repair => of_repair(&f.text),
            _ => false,
        })
        .collect()
}
