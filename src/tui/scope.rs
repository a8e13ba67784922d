//! What a key acts on: the selection of the screen shown, named so that a person can check it.

use super::grid::{self, Grid};
use super::lists;
use super::model::{Picture, Screen};
use crate::domain::command::{Command, Scope};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::unit::counted;
use crate::state::chunks::ChunkState;
use crate::state::migration::Migration;
use crate::state::timeline::{command_words, table_name};

/// The chunks of the map's cell under the cursor: first and how many.
pub fn cell(p: &Picture) -> Option<(TableId, u32, u32)> {
    let table = lists::map_table(p)?;
    let grid = map_grid(p)?;
    let (column, line) = grid.place(p.ui.map.chunk)?;
    let (first, count) = grid.chunks(column, line)?;
    Some((table, first, count))
}

/// The map's grid as it is drawn.
pub fn map_grid(p: &Picture) -> Option<Grid> {
    let table = p.state.table(lists::map_table(p)?)?;
    Some(Grid::fit(
        grid::room(p.ui),
        &p.ui.map,
        table.expected_chunks(),
    ))
}

/// The selection as a command takes it: the table on the Overview, the cell's landed chunks on the Map, the row's chunk on
/// the Diff; all tables where nothing narrower is selected.
pub fn selected(p: &Picture) -> Option<Scope> {
    match p.ui.screen {
        Screen::Overview => lists::selected_table(p).map(Scope::Table),
        Screen::Map => {
            let (table, first, count) = cell(p)?;
            let landed = p.state.table(table)?.chunks.len();
            let chunks: Vec<ChunkId> = (first..first.saturating_add(count).min(landed))
                .map(|no| ChunkId { table, no })
                .collect();
            (!chunks.is_empty()).then_some(Scope::Chunks(chunks))
        }
        Screen::Diff => {
            let listed = lists::differing(p);
            let row = listed.get(lists::selected_row(p)?)?;
            Some(Scope::Chunks(vec![row.chunk]))
        }
        _ => Some(Scope::All),
    }
}

/// Rows known to differ in a scope.
pub fn differing(state: &Migration, scope: &Scope) -> u64 {
    let of = |id: TableId| {
        state
            .table(id)
            .map_or(0, |t| t.chunks.tally().differing_rows)
    };
    match scope {
        Scope::All => state.drift().confirmed,
        Scope::Table(id) | Scope::Rows(id, _) => of(*id),
        Scope::Chunks(chunks) => chunks
            .iter()
            .filter_map(|c| state.table(c.table)?.chunks.get(c.no))
            .map(|cell| u64::from(cell.differ()))
            .sum(),
    }
}

/// The chunks of a scope in which rows differ: what is left out of a repair is what is equal.
pub fn only_differing(state: &Migration, scope: Scope) -> Scope {
    match scope {
        Scope::Chunks(chunks) => Scope::Chunks(
            chunks
                .into_iter()
                .filter(|c| {
                    let cell = state.table(c.table).and_then(|t| t.chunks.get(c.no));
                    cell.is_some_and(|cell| cell.state() == ChunkState::Differs)
                })
                .collect(),
        ),
        other => other,
    }
}

/// A scope in words: `orders chunks 17 to 20`.
pub fn words(state: &Migration, scope: &Scope) -> String {
    match scope {
        Scope::All => "all tables".into(),
        Scope::Table(id) => table_name(*id, state),
        Scope::Chunks(chunks) => match (chunks.first(), chunks.last()) {
            (Some(first), Some(last)) if chunks.len() > 1 && first.table == last.table => format!(
                "{}, {} chunks from {} to {}",
                table_name(first.table, state),
                chunks.len(),
                first.no,
                last.no
            ),
            (Some(only), _) if chunks.len() == 1 => {
                format!("{} chunk {}", table_name(only.table, state), only.no)
            }
            _ => counted(chunks.len() as u64, "chunk"),
        },
        Scope::Rows(id, keys) => format!(
            "{} of {}",
            counted(keys.len() as u64, "row"),
            table_name(*id, state)
        ),
    }
}

/// What a command would do, for titles and outcomes.
pub fn command(state: &Migration, command: &Command) -> String {
    match command {
        Command::Verify(scope) => format!("compare {} again", words(state, scope)),
        Command::Repair(scope) => format!("repair {}", words(state, scope)),
        other => command_words(other, state),
    }
}
