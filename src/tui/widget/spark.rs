//! A row of values as a row of small bars.

use crate::tui::theme::Glyphs;

/// The last `cells` values, newest at the right, each as high as its part of the largest. A value that is not known is a
/// gap; all-zero is a flat line, not an empty one. With more values than cells each cell shows the largest of its own.
pub fn spark(values: &[Option<u64>], cells: usize, glyphs: &Glyphs) -> String {
    let levels = glyphs.spark;
    let binned = bin(values, cells);
    let top = binned.iter().flatten().copied().max().unwrap_or(0).max(1);
    binned
        .iter()
        .map(|value| match value {
            None => " ",
            Some(v) => {
                let step = (u128::from(*v) * (levels.len() as u128 - 1)).div_ceil(u128::from(top));
                levels[(step as usize).min(levels.len() - 1)]
            }
        })
        .collect()
}

/// Values brought to at most so many cells: each cell takes the largest of its values, so that no peak is lost.
pub fn bin(values: &[Option<u64>], cells: usize) -> Vec<Option<u64>> {
    if cells == 0 {
        return Vec::new();
    }
    if values.len() <= cells {
        return values.to_vec();
    }
    (0..cells)
        .map(|cell| {
            let from = cell * values.len() / cells;
            let to = ((cell + 1) * values.len() / cells).max(from + 1);
            values[from..to].iter().flatten().copied().max()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{ASCII, UNICODE};

    #[test]
    fn peaks_gaps_and_zeros_are_told_apart() {
        let values = [Some(0), None, Some(1), Some(7)];
        assert_eq!(spark(&values, 8, &UNICODE), "▁ ▂█");
        assert_eq!(spark(&values, 8, &ASCII), "_ -^");
        assert_eq!(spark(&[Some(0), Some(0)], 8, &UNICODE), "▁▁");
    }

    #[test]
    fn a_peak_survives_binning() {
        let mut values = vec![Some(1); 600];
        values[371] = Some(1000);
        assert_eq!(spark(&values, 10, &UNICODE).matches('█').count(), 1);
        assert_eq!(bin(&values, 10).len(), 10);
    }
}
