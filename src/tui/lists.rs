//! The lines of each list, in the order and under the filter the person chose. Keys walk these and views draw these: what is
//! "the next line" is decided in one place.

use super::model::{Picture, TableOrder, Ui};
use crate::domain::command::Drifted;
use crate::domain::id::{AlertId, ChunkId, Seq, TableId};
use crate::domain::unit::{Rows, Span};
use crate::state::chunks::ChunkState;
use crate::state::migration::Migration;
use crate::state::table::TableState;
use crate::state::timeline::{Line, table_name};
use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

/// The Overview's tables, and how many finished ones are folded into one line after them.
pub fn tables(p: &Picture) -> (Vec<TableId>, usize) {
    tables_of(p.state, p.ui)
}

pub(super) fn tables_of(state: &Migration, ui: &Ui) -> (Vec<TableId>, usize) {
    let filter = ui.filter.get(&super::model::Screen::Overview);
    let mut rows: Vec<(TableId, &str, &TableState)> = state
        .plan
        .iter()
        .flat_map(|plan| plan.ids())
        .filter_map(|(id, table)| Some((id, table.source.as_str(), state.table(id)?)))
        .filter(|(_, name, _)| filter.is_none_or(|f| matches(name, f)))
        .collect();
    match ui.overview.order {
        TableOrder::Plan => {}
        TableOrder::Left => rows.sort_by_key(|(_, _, t)| Reverse(t.left())),
        TableOrder::Rows => rows.sort_by_key(|(_, _, t)| Reverse(t.rows())),
        TableOrder::Differ => {
            rows.sort_by_key(|(_, _, t)| Reverse(t.chunks.tally().differing_rows));
        }
        TableOrder::Name => rows.sort_by_key(|(_, name, _)| *name),
    }
    let all = rows.len();
    let shown = |t: &TableState| {
        let tally = t.chunks.tally();
        !(ui.overview.fold && t.complete && tally.differing_rows == 0)
    };
    let ids: Vec<TableId> = rows
        .into_iter()
        .filter(|(_, _, t)| shown(t))
        .map(|(id, _, _)| id)
        .collect();
    let folded = all - ids.len();
    (ids, folded)
}

/// The table selected on the Overview: the chosen one while it is listed, else the first.
pub fn selected_table(p: &Picture) -> Option<TableId> {
    let (tables, _) = tables(p);
    chosen(&tables, p.ui.overview.table)
}

/// Open alerts, the worst first, then the newest.
pub fn alerts(state: &Migration) -> Vec<AlertId> {
    let mut open: Vec<_> = state.alerts.values().collect();
    open.sort_by_key(|a| {
        (
            a.seen_by.is_some(),
            Reverse(a.alert.severity),
            Reverse(a.alert.id),
        )
    });
    open.into_iter().map(|a| a.alert.id).collect()
}

/// The alert selected on the Overview: the chosen one while it is open, else the first.
pub fn selected_alert(p: &Picture) -> Option<AlertId> {
    chosen(&alerts(p.state), p.ui.overview.alert)
}

/// The table shown on the Map: the chosen one, else the one with the most rows.
pub fn map_table(p: &Picture) -> Option<TableId> {
    map_table_of(p.state, p.ui)
}

pub(super) fn map_table_of(state: &Migration, ui: &Ui) -> Option<TableId> {
    let mut live: Vec<(Rows, TableId)> = state
        .live_tables()
        .map(|(id, _, t)| (t.rows(), id))
        .collect();
    live.sort_by_key(|(rows, id)| (Reverse(*rows), *id));
    let live: Vec<TableId> = live.into_iter().map(|(_, id)| id).collect();
    chosen(&live, ui.map.table)
}

/// The rows known to differ, under the Diff's table and filter: by table, then chunk, as the engine gave them.
pub fn differing<'a>(p: &Picture<'a>) -> Vec<&'a Drifted> {
    differing_of(p.state, p.ui)
}

pub(super) fn differing_of<'a>(state: &Migration, ui: &'a Ui) -> Vec<&'a Drifted> {
    // What is known is of now: the past must not be shown with it.
    if ui.replay.is_some() {
        return Vec::new();
    }
    let filter = ui.filter.get(&super::model::Screen::Diff);
    let known = ui.diff.known.get().map_or(&[][..], Vec::as_slice);
    known
        .iter()
        .filter(|d| ui.diff.table.is_none_or(|t| d.chunk.table == t))
        .filter(|d| differs(d.chunk, state))
        .filter(|d| {
            filter.is_none_or(|f| {
                let line = format!(
                    "{} {} {} {}",
                    table_name(d.chunk.table, state),
                    d.chunk.no,
                    d.key,
                    d.class.label()
                );
                matches(&line, f)
            })
        })
        .collect()
}

/// Whether a chunk is known to differ now: a repair ends that before its rows are asked for again.
fn differs(chunk: ChunkId, state: &Migration) -> bool {
    let cell = state
        .table(chunk.table)
        .and_then(|t| t.chunks.get(chunk.no));
    cell.is_some_and(|cell| cell.state() == ChunkState::Differs)
}

/// How long a row has been known to differ: what it was when it was asked for, and the time since.
pub fn known_for(p: &Picture, d: &Drifted) -> Span {
    let since = p.ui.diff.known_tick.map(|tick| p.now.since(tick));
    d.age + since.unwrap_or_default()
}

/// What is known of all chunks that differ, in a number: another one when any verdict about them changes.
pub(super) fn verdicts(state: &Migration) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (id, _, table) in state.live_tables() {
        if table.chunks.tally().differing_chunks > 0 {
            let cells = table.chunks.cells().iter().enumerate();
            for at in cells.filter(|(_, c)| c.state() == ChunkState::Differs) {
                (id, at).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

/// The place in [`differing`] of the selected row: the chosen one while it is listed; the first while none is chosen.
pub fn selected_row(p: &Picture) -> Option<usize> {
    row_of(&differing(p), p.ui)
}

pub(super) fn row_of(listed: &[&Drifted], ui: &Ui) -> Option<usize> {
    match &ui.diff.row {
        // A row that is gone leaves none selected: a key pressed for it must not meet another.
        Some((chunk, key)) => listed
            .iter()
            .position(|d| d.chunk == *chunk && d.key == *key),
        // Rows of a chunk that was opened are still to be asked for.
        None if ui.diff.wanted.is_some() => None,
        None => (!listed.is_empty()).then_some(0),
    }
}

/// The Timeline's lines, oldest first.
pub fn timeline<'a>(p: &Picture<'a>) -> Vec<&'a Line> {
    timeline_of(p.state, p.ui)
}

pub(super) fn timeline_of<'a>(state: &'a Migration, ui: &Ui) -> Vec<&'a Line> {
    let filter = ui.filter.get(&super::model::Screen::Timeline);
    state
        .timeline
        .iter()
        .filter(|line| ui.timeline.only.is_none_or(|mark| line.mark == mark))
        .filter(|line| filter.is_none_or(|f| matches(&line.text, f) || matches(&line.who, f)))
        .collect()
}

/// The place of the Timeline's selected line: the last at or before the chosen fact, or the newest.
pub fn selected_line(lines: &[&Line], seq: Option<Seq>) -> Option<usize> {
    let last = lines.len().checked_sub(1)?;
    Some(match seq {
        None => last,
        Some(seq) => lines
            .partition_point(|line| line.seq <= seq)
            .saturating_sub(1)
            .min(last),
    })
}

/// The queries of shadow compare, as the plan has them.
pub fn shadow_queries(state: &Migration) -> Vec<String> {
    state
        .plan
        .iter()
        .flat_map(|plan| plan.shadow.iter().map(|q| q.name.clone()))
        .collect()
}

/// The query selected on the Shadow screen.
pub fn selected_query(p: &Picture) -> Option<String> {
    let queries = shadow_queries(p.state);
    match &p.ui.shadow.query {
        Some(name) if queries.contains(name) => Some(name.clone()),
        _ => queries.into_iter().next(),
    }
}

/// Rows known to differ over all tables, for headings.
pub fn differing_rows(state: &Migration) -> Rows {
    Rows(state.drift().confirmed)
}

/// The lines of a list that fit, so that the selected one is among them with as much before as after.
pub fn window(selected: usize, len: usize, height: usize) -> Range<usize> {
    let from = selected
        .saturating_sub(height / 2)
        .min(len.saturating_sub(height));
    from..(from + height).min(len)
}

/// Whether a line has every word of a filter, whatever their case.
pub fn matches(line: &str, filter: &str) -> bool {
    let line = line.to_lowercase();
    filter
        .to_lowercase()
        .split_whitespace()
        .all(|word| line.contains(word))
}

fn chosen<T: Copy + PartialEq>(listed: &[T], wanted: Option<T>) -> Option<T> {
    wanted
        .filter(|w| listed.contains(w))
        .or_else(|| listed.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_the_selected_line() {
        for len in 0..30 {
            for height in 1..12 {
                for selected in 0..len {
                    let shown = window(selected, len, height);
                    assert!(shown.contains(&selected));
                    assert_eq!(shown.len(), height.min(len));
                }
            }
        }
        assert_eq!(window(0, 0, 5), 0..0);
    }

    #[test]
    fn every_word_of_a_filter_counts() {
        assert!(matches("orders 17 missing", "MISS ord"));
        assert!(!matches("orders 17 missing", "ord extra"));
        assert!(matches("anything", ""));
    }
}
