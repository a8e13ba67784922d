//! A part of a whole as a bar: eighths of a cell, so that slow progress is seen to move.

use crate::tui::theme::Glyphs;

/// Steps in a cell.
const STEPS: usize = 8;

/// A bar in two pieces: what is done, and what is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The done part, its last cell perhaps in eighths.
    pub done: String,
    /// The rest, so that both are exactly as wide as asked.
    pub rest: String,
}

/// Draws `part` (0 to 1; anything else is brought in) over so many cells. Rounded down: a bar is full only when the part
/// is one, and shows its first eighth as soon as there is anything.
pub fn bar(part: f64, cells: usize, glyphs: &Glyphs) -> Bar {
    let part = if part.is_finite() {
        part.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let most = cells * STEPS;
    let mut filled = (part * most as f64) as usize;
    if part < 1.0 {
        filled = filled.min(most.saturating_sub(1));
    }
    if part > 0.0 {
        filled = filled.max(1).min(most);
    }
    let (whole, eighths) = (filled / STEPS, filled % STEPS);
    let mut done = glyphs.full.repeat(whole);
    if let Some(piece) = eighths.checked_sub(1).and_then(|i| glyphs.eighths.get(i)) {
        done.push_str(piece);
    }
    let rest = cells - whole - usize::from(eighths > 0);
    Bar {
        done,
        rest: glyphs.empty.repeat(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{ASCII, UNICODE};
    use crate::tui::widget::text::width;
    use proptest::prelude::*;

    #[test]
    fn it_is_full_only_at_one_and_empty_only_at_nothing() {
        let text = |part, ascii| {
            let b = bar(part, 4, if ascii { &ASCII } else { &UNICODE });
            format!("{}{}", b.done, b.rest)
        };
        assert_eq!(text(0.0, false), "····");
        assert_eq!(text(0.000_01, false), "▏···");
        assert_eq!(text(0.5, false), "██··");
        assert_eq!(text(0.549, false), "██▏·");
        assert_eq!(text(0.999_999, false), "███▉");
        assert_eq!(text(1.0, false), "████");
        assert_eq!(text(0.999_999, true), "###=");
        assert_eq!(text(f64::NAN, true), "....");
        assert_eq!(text(7.0, true), "####");
    }

    proptest! {
        #[test]
        fn it_is_exactly_as_wide_as_asked(part in -1.0f64..2.0, cells in 0usize..60, ascii: bool) {
            let b = bar(part, cells, if ascii { &ASCII } else { &UNICODE });
            prop_assert_eq!(width(&b.done) + width(&b.rest), cells);
        }
    }
}
