//! How many rows the next chunk takes, so that reading one takes about as long as it should and its bytes fit. Pure.

use crate::domain::unit::{Bytes, Rows, Span};

/// The first chunk of a table: small, because nothing is known of its rows.
const FIRST: u64 = 2_000;
/// Most rows in a chunk: what one landing holds the stream up for must stay short.
const MOST: u64 = 100_000;
/// Fewest: below this the cost of a chunk outweighs its rows.
const FEWEST: u64 = 100;
/// A size grows by at most this at once: one fast chunk proves little.
const GROWTH: f64 = 2.0;
/// How much of the bytes that fit is aimed at: a read that outgrows them is cut, which costs more than a smaller one.
const FILL: f64 = 0.9;

/// Adapts to what the last chunk took.
#[derive(Debug, Clone)]
pub struct Sizing {
    target: Span,
    most: Bytes,
    rows: u64,
}

impl Sizing {
    /// Aims at so long a read of at most so many bytes.
    pub fn new(target: Span, most: Bytes) -> Self {
        Self {
            target,
            most,
            rows: FIRST,
        }
    }

    /// How long a read should take.
    pub fn target(&self) -> Span {
        self.target
    }

    /// Rows to ask for next.
    pub fn rows(&self) -> Rows {
        Rows(self.rows)
    }

    /// A chunk of so many rows and bytes took so long; `cut`: its bytes ran out first, so the rows that fitted are the most to
    /// ask for.
    pub fn took(&mut self, rows: Rows, bytes: Bytes, took: Span, cut: bool) {
        if rows.0 == 0 {
            return;
        }
        let in_time = rows.0 as f64 * self.target.0 as f64 / took.0.max(1) as f64;
        let in_bytes = rows.0 as f64 * FILL * self.most.0 as f64 / bytes.0.max(1) as f64;
        let fitting = in_time.min(in_bytes);
        let next = fitting.min(rows.0.max(self.rows) as f64 * GROWTH);
        let next = if cut { next.min(rows.0 as f64) } else { next };
        self.rows = (next as u64).clamp(FEWEST.min(if cut { 1 } else { FEWEST }), MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizing() -> Sizing {
        Sizing::new(Span::millis(500), Bytes(1 << 20))
    }

    #[test]
    fn it_nears_the_time_it_aims_at() {
        let mut sizing = sizing();
        for _ in 0..20 {
            let rows = sizing.rows();
            sizing.took(rows, Bytes(rows.0), Span(rows.0 * 20), false);
        }
        assert_eq!(sizing.rows(), Rows(25_000));
        sizing.took(Rows(25_000), Bytes(25_000), Span::seconds(5), false);
        assert_eq!(sizing.rows(), Rows(2_500), "a slow chunk counts at once");
    }

    #[test]
    fn rows_that_outgrow_the_bytes_are_asked_for_in_smaller_numbers() {
        let mut sizing = sizing();
        sizing.took(Rows(3), Bytes(1 << 20), Span::millis(1), true);
        assert_eq!(sizing.rows(), Rows(2));
        for _ in 0..20 {
            let rows = sizing.rows();
            sizing.took(rows, Bytes(rows.0 * 200), Span::millis(1), false);
        }
        assert_eq!(sizing.rows(), Rows(4_718), "they fit without being cut");
    }

    #[test]
    fn growth_is_bounded() {
        let mut sizing = sizing();
        sizing.took(Rows(2_000), Bytes(2_000), Span(1), false);
        assert_eq!(sizing.rows(), Rows(4_000));
    }
}
