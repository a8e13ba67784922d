//! A stretch of time as a bar, with marks on it and a cursor.

use crate::domain::unit::Tick;

/// The bar and the column of its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrubber {
    /// The cells of the bar, each with whether a mark stands on it.
    pub cells: Vec<(char, bool)>,
    /// The cell of the shown moment.
    pub cursor: usize,
}

/// What the bar is made of: done, to come.
#[derive(Debug, Clone, Copy)]
pub struct Track {
    /// Up to the cursor.
    pub past: char,
    /// After it.
    pub ahead: char,
}

/// Lays marks over `width` cells between two moments. Where several fall on one cell the weightiest stands; a mark's
/// weight is its place in time otherwise: the later one.
pub fn scrubber(
    width: usize,
    (from, to): (Tick, Tick),
    at: Tick,
    marks: &[(Tick, char, u8)],
    track: Track,
) -> Scrubber {
    let width = width.max(1);
    let length = u128::from(to.0.saturating_sub(from.0).max(1));
    let place = |tick: Tick| {
        let passed = u128::from(tick.0.saturating_sub(from.0));
        ((passed * (width as u128 - 1) / length) as usize).min(width - 1)
    };
    let cursor = place(at);
    let mut cells: Vec<(char, bool)> = (0..width)
        .map(|i| (if i <= cursor { track.past } else { track.ahead }, false))
        .collect();
    let mut weights = vec![0u8; width];
    for (tick, glyph, weight) in marks.iter().filter(|(t, ..)| *t >= from && *t <= to) {
        let i = place(*tick);
        if *weight >= weights[i] {
            weights[i] = *weight;
            cells[i] = (*glyph, true);
        }
    }
    Scrubber { cells, cursor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACK: Track = Track {
        past: '=',
        ahead: '-',
    };

    #[test]
    fn the_weightiest_mark_of_a_cell_stands() {
        let marks = [
            (Tick(0), 'p', 1),
            (Tick(50), 'a', 9),
            (Tick(51), 'n', 2),
            (Tick(100), 'e', 1),
            (Tick(101), 'x', 9),
        ];
        let bar = scrubber(11, (Tick(0), Tick(100)), Tick(70), &marks, TRACK);
        let text: String = bar.cells.iter().map(|(c, _)| c).collect();
        assert_eq!(text, "p====a==--e");
        assert_eq!(bar.cursor, 7);
    }

    proptest! {
        #[test]
        fn it_is_as_wide_as_asked_and_the_cursor_is_on_it(w in 0usize..200, from: u64, to: u64, at: u64, mark: u64) {
            let bar = scrubber(w, (Tick(from), Tick(to)), Tick(at), &[(Tick(mark), 'm', 1)], TRACK);
            prop_assert_eq!(bar.cells.len(), w.max(1));
            prop_assert!(bar.cursor < w.max(1));
        }
    }
}
