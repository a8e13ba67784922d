//! Moving the selection: by id, over the lines that are drawn.

use super::Scene;
use crate::domain::id::{ChunkId, TableId};
use crate::state::chunks::ChunkState;
use crate::state::timeline::Mark;
use crate::tui::commands::Go;
use crate::tui::grid::Grid;
use crate::tui::lists;
use crate::tui::model::{DiffUi, Screen, Ui};
use crate::tui::scope;

/// Lines of a page: what a screen has beside its frame.
fn page(ui: &Ui) -> i64 {
    i64::from(ui.size.height.saturating_sub(10)).max(4)
}

fn lines(ui: &Ui, go: Go) -> i64 {
    match go {
        Go::Up | Go::Left => -1,
        Go::Down | Go::Right => 1,
        Go::HalfUp => -page(ui) / 2,
        Go::HalfDown => page(ui) / 2,
        Go::PageUp => -page(ui),
        Go::PageDown => page(ui),
        Go::First => i64::MIN / 2,
        Go::Last => i64::MAX / 2,
    }
}

/// The place so many lines from `at` in a list of `len`; none in an empty one.
fn moved(at: Option<usize>, len: usize, by: i64) -> Option<usize> {
    let last = i64::try_from(len)
        .ok()?
        .checked_sub(1)
        .filter(|l| *l >= 0)?;
    let at = at.map_or(0, |i| i as i64);
    Some(at.saturating_add(by).clamp(0, last) as usize)
}

/// Moves the selection of the screen shown.
pub(super) fn go(ui: &mut Ui, scene: Scene, go: Go) {
    let by = lines(ui, go);
    match ui.screen {
        Screen::Overview if ui.pane == 1 => {
            let alerts = lists::alerts(scene.shown);
            let selected = lists::selected_alert(&scene.picture(ui));
            let at = selected.and_then(|id| alerts.iter().position(|a| *a == id));
            ui.overview.alert = moved(at, alerts.len(), by).map(|i| alerts[i]);
        }
        Screen::Overview => {
            let (tables, _) = lists::tables_of(scene.shown, ui);
            let selected = lists::selected_table(&scene.picture(ui));
            let at = selected.and_then(|id| tables.iter().position(|t| *t == id));
            ui.overview.table = moved(at, tables.len(), by).map(|i| tables[i]);
        }
        Screen::Map => map(ui, scene, go),
        Screen::Diff if ui.pane == 1 => {
            let columns = columns(ui, scene);
            let at = columns.iter().position(|c| *c == ui.diff.column);
            if let Some(i) = moved(at, columns.len(), by) {
                ui.diff.column = columns[i];
            }
        }
        Screen::Diff => row(ui, scene, by),
        Screen::Shadow => {
            let queries = lists::shadow_queries(scene.shown);
            let selected = lists::selected_query(&scene.picture(ui));
            let at = selected.and_then(|name| queries.iter().position(|q| *q == name));
            ui.shadow.query = moved(at, queries.len(), by).map(|i| queries[i].clone());
        }
        Screen::Timeline => {
            let listed = lists::timeline_of(scene.shown, ui);
            let at = lists::selected_line(&listed, ui.timeline.seq);
            let to = moved(at, listed.len(), by);
            let last = to.is_none_or(|i| i + 1 == listed.len());
            let seq = to.map(|i| listed[i].seq);
            // At the end it follows what comes.
            ui.timeline.seq = if last { None } else { seq };
        }
        Screen::Log => {
            let most = ui.said.len().saturating_sub(1) as i64;
            let back = ui.log.back as i64;
            ui.log.back = back.saturating_sub(by).clamp(0, most) as usize;
        }
        Screen::Help => {
            let (_, lines) = crate::tui::help::laid_out(&scene.picture(ui), ui.size.width);
            let most = lines.len().saturating_sub(1) as i64;
            ui.help = (ui.help as i64).saturating_add(by).clamp(0, most) as usize;
        }
    }
}

/// Selects another row of the Diff.
pub(super) fn row(ui: &mut Ui, scene: Scene, by: i64) {
    let listed = lists::differing_of(scene.shown, ui);
    let at = lists::row_of(&listed, ui);
    let to = match at {
        Some(_) => moved(at, listed.len(), by),
        // From a row that is gone to where the list begins.
        None => moved(None, listed.len(), 0),
    };
    let to = to.map(|i| (listed[i].chunk, listed[i].key.clone()));
    if to.is_some() {
        ui.diff.row = to;
        ui.diff.wanted = None;
        ui.diff.column = 0;
    }
}

/// The columns of the selected row's table as the Diff lists them: all, or those that differ.
fn columns(ui: &Ui, scene: Scene) -> Vec<u16> {
    let Some((chunk, key)) = selected_row(ui, scene) else {
        return Vec::new();
    };
    let plan = scene.shown.plan.as_ref();
    let count = plan
        .and_then(|p| p.table(chunk.table))
        .map_or(0, |t| t.columns.len());
    let rows = ui.diff.rows.get().filter(|(c, _, _)| *c == chunk);
    let row = rows.and_then(|(_, rows, _)| rows.iter().find(|r| r.key == key));
    match row {
        Some(row) if ui.diff.only_differing && !row.columns.is_empty() => row.columns.clone(),
        _ => (0..count as u16).collect(),
    }
}

/// The Diff's selected row: its chunk and key.
pub(super) fn selected_row(ui: &Ui, scene: Scene) -> Option<(ChunkId, crate::domain::key::Key)> {
    let listed = lists::differing_of(scene.shown, ui);
    let at = lists::row_of(&listed, ui)?;
    Some((listed[at].chunk, listed[at].key.clone()))
}

fn map(ui: &mut Ui, scene: Scene, go: Go) {
    let Some(grid) = scope::map_grid(&scene.picture(ui)) else {
        return;
    };
    let line = i64::from(grid.columns);
    let all = i64::from(grid.cells());
    let cells = match go {
        Go::Left => -1,
        Go::Right => 1,
        Go::Up => -line,
        Go::Down => line,
        Go::HalfUp => -line * (i64::from(grid.lines) / 2).max(1),
        Go::HalfDown => line * (i64::from(grid.lines) / 2).max(1),
        // A page of the map is a table.
        Go::PageUp => return other_table(ui, scene, -1),
        Go::PageDown => return other_table(ui, scene, 1),
        Go::First => -all,
        Go::Last => all,
    };
    let lines_only = matches!(go, Go::Up | Go::Down);
    let to = grid.step(ui.map.chunk, cells);
    // Up from the first line and down from the last stay where they are instead of sliding sideways.
    let column = |chunk| grid.place(chunk).map(|(column, _)| column);
    if !lines_only || column(to) == column(ui.map.chunk) {
        ui.map.chunk = to;
    }
}

/// Shows the map of the next table, or the one before.
fn other_table(ui: &mut Ui, scene: Scene, by: i64) {
    let live: Vec<TableId> = scene.shown.live_tables().map(|(id, _, _)| id).collect();
    let at = lists::map_table_of(scene.shown, ui);
    let at = at.and_then(|id| live.iter().position(|t| *t == id));
    if let Some(i) = moved(at, live.len(), by) {
        show_table(ui, live[i], 0);
    }
}

/// Shows a table's map with the cursor on a chunk.
pub(super) fn show_table(ui: &mut Ui, table: TableId, chunk: u32) {
    if ui.map.table != Some(table) {
        ui.map.zoom.clear();
    }
    ui.map.table = Some(table);
    ui.map.chunk = chunk;
    if let Some((first, count)) = ui.map.zoom.last()
        && !(*first..first.saturating_add(*count)).contains(&chunk)
    {
        ui.map.zoom.clear();
    }
}

/// The next chunk that differs after the cursor's (or before), over all tables and round the end; false when none does.
pub(super) fn next_differing(ui: &mut Ui, scene: Scene, forward: bool) -> bool {
    let Some(table) = lists::map_table_of(scene.shown, ui) else {
        return false;
    };
    let here = ChunkId {
        table,
        no: ui.map.chunk,
    };
    let mut found: Vec<ChunkId> = Vec::new();
    for (id, _, state) in scene.shown.live_tables() {
        if state.chunks.tally().differing_chunks > 0 {
            let cells = state.chunks.cells().iter().enumerate();
            let differ = cells.filter(|(_, c)| c.state() == ChunkState::Differs);
            found.extend(differ.map(|(no, _)| ChunkId {
                table: id,
                no: no as u32,
            }));
        }
    }
    let next = if forward {
        found.iter().find(|c| **c > here).or(found.first())
    } else {
        found.iter().rev().find(|c| **c < here).or(found.last())
    };
    if let Some(chunk) = next {
        show_table(ui, chunk.table, chunk.no);
    }
    next.is_some()
}

/// The next line of the Timeline that a person looks for: an alert, a note, a repair, a pause, a phase.
pub(super) fn next_mark(ui: &mut Ui, scene: Scene, forward: bool) -> bool {
    let listed = lists::timeline_of(scene.shown, ui);
    let at = lists::selected_line(&listed, ui.timeline.seq);
    let here = at.map(|i| listed[i].seq);
    let mut marked = listed.iter().filter(|line| marks(line.mark));
    let next = if forward {
        marked.find(|line| Some(line.seq) > here)
    } else {
        marked.rfind(|line| here.is_some_and(|h| line.seq < h))
    };
    let seq = next.map(|line| line.seq);
    if seq.is_some() {
        ui.timeline.seq = seq;
    }
    seq.is_some()
}

/// Kinds of lines that are jumped to and marked on the bar.
pub(super) fn marks(mark: Mark) -> bool {
    matches!(
        mark,
        Mark::Alert | Mark::Note | Mark::Repair | Mark::Pause | Mark::Phase
    )
}

/// Zooms into the line of cells under the cursor, or opens the chunk once a cell is one chunk; false when there is nothing
/// nearer.
pub(super) fn zoom_in(ui: &mut Ui, grid: Grid) -> bool {
    if grid.per_cell == 1 {
        return false;
    }
    let Some((_, line)) = grid.place(ui.map.chunk) else {
        return false;
    };
    let Some((first, _)) = grid.chunks(0, line) else {
        return false;
    };
    let count = grid
        .columns
        .saturating_mul(grid.per_cell)
        .min(grid.first + grid.count - first);
    ui.map.zoom.push((first, count));
    true
}

/// Forgets what belonged to another selection.
pub(super) fn reset_rows(diff: &mut DiffUi) {
    diff.rows = crate::tui::model::Loaded::Idle;
    diff.column = 0;
}
