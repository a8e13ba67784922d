//! Where each chunk lies on the map. Keys and drawing use the same arithmetic, so that "down" is what the eye takes for it.

use super::model::{MapUi, Ui};
use ratatui::layout::Size;

/// Columns left of the cells: the axis with the first key of each line.
pub const AXIS: u16 = 8;
/// Columns right of the cells: how many differ in the line.
pub const GUTTER: u16 = 6;

/// Lines of every screen that are not its own: header, screen bar, and the notice, rule and hints below.
pub const FRAME: u16 = 6;
/// Lines of the map that are not cells: its title, and the rule, three lines about the cell and the legend below.
pub const AROUND: u16 = 6;

/// The room for axis, cells and gutter. The map is drawn into this much and no more, so that keys know where lines end.
pub fn room(ui: &Ui) -> Size {
    Size {
        width: ui.size.width,
        height: ui
            .size
            .height
            .saturating_sub(FRAME + AROUND + ui.overlay_lines()),
    }
}

/// A window of chunks laid over a rectangle of cells, in key order, line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The first chunk shown.
    pub first: u32,
    /// How many are shown.
    pub count: u32,
    /// Columns of the screen that a cell takes: few chunks are drawn wide, with a gap after each.
    pub wide: u16,
    /// Cells in a line.
    pub columns: u32,
    /// Lines that hold chunks.
    pub lines: u32,
    /// Chunks in a cell; the last cell may hold fewer.
    pub per_cell: u32,
}

impl Grid {
    /// Lays the window shown of a table with `chunks` chunks (expected ones included) over an area that has room for axis,
    /// cells and gutter. As few chunks a cell as fit; rounded up, so that the last chunk is always on the map.
    pub fn fit(area: Size, map: &MapUi, chunks: u32) -> Self {
        let (first, count) = map.zoom.last().copied().unwrap_or((0, chunks));
        let first = first.min(chunks.saturating_sub(1));
        let count = count.min(chunks - first).max(1);
        let room = u32::from(area.width.saturating_sub(AXIS + GUTTER)).max(1);
        let lines = u32::from(area.height).max(1);
        let wide = [4u16, 2]
            .into_iter()
            .find(|w| count <= room / u32::from(*w) * lines)
            .unwrap_or(1);
        let columns = (room / u32::from(wide)).max(1);
        let per_cell = count.div_ceil(columns * lines).max(1);
        let cells = count.div_ceil(per_cell);
        Self {
            first,
            count,
            wide,
            columns,
            lines: cells.div_ceil(columns),
            per_cell,
        }
    }

    /// Cells that hold chunks.
    pub fn cells(&self) -> u32 {
        self.count.div_ceil(self.per_cell)
    }

    /// The cell of a chunk: column and line; none when it is not in the window.
    pub fn place(&self, chunk: u32) -> Option<(u32, u32)> {
        let at = chunk.checked_sub(self.first).filter(|i| *i < self.count)? / self.per_cell;
        Some((at % self.columns, at / self.columns))
    }

    /// The chunks of the cell at a column and line: first and how many; none where there is no cell.
    pub fn chunks(&self, column: u32, line: u32) -> Option<(u32, u32)> {
        let from = (line * self.columns + column).checked_mul(self.per_cell)?;
        (column < self.columns && from < self.count)
            .then(|| (self.first + from, self.per_cell.min(self.count - from)))
    }

    /// The first chunk of the cell so many cells further on (or back), staying inside the window.
    pub fn step(&self, chunk: u32, cells: i64) -> u32 {
        let at = chunk.saturating_sub(self.first).min(self.count - 1) / self.per_cell;
        let to = (i64::from(at) + cells).clamp(0, i64::from(self.cells()) - 1);
        self.first + to as u32 * self.per_cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u16, height: u16) -> Size {
        Size { width, height }
    }

    #[test]
    fn the_last_chunk_is_always_on_the_map() {
        for chunks in [1u32, 7, 66, 67, 28_840, 1_000_000] {
            for (w, h) in [(15, 1), (80, 12), (120, 20), (3, 1)] {
                let grid = Grid::fit(size(w, h), &MapUi::default(), chunks);
                let (column, line) = grid.place(chunks - 1).unwrap();
                assert!(
                    line < u32::from(h).max(1),
                    "{chunks} chunks on {w}x{h}: line {line}"
                );
                let (first, count) = grid.chunks(column, line).unwrap();
                assert_eq!(first + count, chunks);
                assert_eq!(grid.place(chunks), None);
            }
        }
    }

    #[test]
    fn every_chunk_is_in_the_cell_that_claims_it() {
        let map = MapUi {
            zoom: vec![(100, 900)],
            ..MapUi::default()
        };
        let grid = Grid::fit(size(40, 5), &map, 5_000);
        for chunk in 100..1_000 {
            let (column, line) = grid.place(chunk).unwrap();
            let (first, count) = grid.chunks(column, line).unwrap();
            assert!((first..first + count).contains(&chunk));
        }
        assert_eq!(grid.place(99), None);
    }

    #[test]
    fn few_chunks_are_drawn_wide() {
        let wide = |chunks| Grid::fit(size(78, 4), &MapUi::default(), chunks).wide;
        assert_eq!(
            (wide(1), wide(64), wide(65), wide(128), wide(129)),
            (4, 4, 2, 2, 1)
        );
    }

    #[test]
    fn steps_stay_inside() {
        let grid = Grid::fit(size(24, 3), &MapUi::default(), 25);
        assert_eq!((grid.columns, grid.per_cell, grid.lines), (10, 1, 3));
        assert_eq!(grid.step(0, -1), 0);
        assert_eq!(grid.step(3, 10), 13);
        assert_eq!(grid.step(20, 10), 24);
    }
}
