//! A line over time: braille dots, or three levels a row in plain ASCII, with a value axis and a time axis.

use crate::domain::unit::{Span, Tick};
use ratatui::style::Style;
use ratatui::text::{Line, Span as Text};

/// How a chart's parts look.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChartStyle {
    /// The line itself.
    pub line: Style,
    /// Axes and their labels.
    pub axis: Style,
    /// The limit.
    pub limit: Style,
    /// Only ASCII.
    pub ascii: bool,
}

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Chart<'a> {
    /// Values with the moment each was measured at, oldest first. `None` was not known then: a gap, never a zero.
    pub points: &'a [(Tick, Option<f64>)],
    /// The moment at the right edge.
    pub now: Tick,
    /// How far the left edge lies back.
    pub window: Span,
    /// A limit to draw across.
    pub limit: Option<f64>,
    /// A value in at most five cells.
    pub label: fn(f64) -> String,
    /// Moments to mark on the time axis, with what with.
    pub marks: &'a [(Tick, char)],
}

/// Windows to choose from.
const WINDOWS: [Span; 4] = [
    Span::seconds(60),
    Span::seconds(120),
    Span::seconds(300),
    Span::seconds(600),
];
/// A measurement is taken to hold for so long; past that the line has a gap.
const HOLDS: Span = Span::millis(2_500);
/// Cells of the value axis: five for a label, one before it and its tick.
const AXIS: usize = 7;

/// The shortest window that shows all points.
pub fn window(points: &[(Tick, Option<f64>)], now: Tick) -> Span {
    let length = points.first().map_or(Span::ZERO, |(t, _)| now.since(*t));
    WINDOWS
        .into_iter()
        .find(|w| *w >= length)
        .unwrap_or(WINDOWS[3])
}

/// The chart as exactly `height` lines of exactly `width` cells; the last two are the time axis and its labels. Nothing
/// is drawn in less than 20 × 4.
pub fn chart(
    what: &Chart<'_>,
    width: usize,
    height: usize,
    style: ChartStyle,
) -> Vec<Line<'static>> {
    if width < 20 || height < 4 {
        return Vec::new();
    }
    let (columns, rows) = (width - AXIS, height - 2);
    let (across, down) = if style.ascii { (1, 3) } else { (2, 4) };
    let values = sample(what, columns * across);
    let top = nice(
        values
            .iter()
            .flatten()
            .copied()
            .chain(what.limit)
            .fold(0.0, f64::max),
    );
    let mut dots = Dots::new(columns * across, rows * down);
    dots.line(&values, top);
    let limit = what.limit.map(|v| dots.row_of(v, top) / down);

    let zero = (what.label)(0.0);
    let mut before = String::new();
    let mut lines: Vec<Line<'static>> = (0..rows)
        .map(|row| {
            let label = axis_value(row, rows, top).map_or_else(String::new, what.label);
            // Figures too close for their label are not told twice.
            let label = if label == before || label == zero {
                String::new()
            } else {
                label
            };
            if !label.is_empty() {
                before.clone_from(&label);
            }
            let tick = if style.ascii { '|' } else { '┤' };
            let mut spans = vec![Text::styled(format!("{label:>5} {tick}"), style.axis)];
            let mut run = String::new();
            let mut run_style = style.line;
            for column in 0..columns {
                let drawn = dots.cell(column, row, style.ascii);
                let (c, s) = match drawn {
                    Some(c) => (c, style.line),
                    None if limit == Some(row) => {
                        (if style.ascii { '-' } else { '┄' }, style.limit)
                    }
                    None => (' ', style.line),
                };
                if s != run_style && !run.is_empty() {
                    spans.push(Text::styled(std::mem::take(&mut run), run_style));
                }
                run_style = s;
                run.push(c);
            }
            spans.push(Text::styled(run, run_style));
            Line::from(spans)
        })
        .collect();
    lines.extend(time_axis(what, columns, top, style));
    lines
}

/// Into how many parts the value axis is cut, so that each cut lies on a row and has a figure that can be read.
fn cuts(rows: usize, top: f64) -> usize {
    let readable = |value: f64| {
        let digits = value / 10f64.powf(value.log10().floor() - 1.0);
        (digits - digits.round()).abs() < 1e-6
    };
    [4, 5, 3, 2]
        .into_iter()
        .find(|n| rows.is_multiple_of(*n) && readable(top / *n as f64))
        .unwrap_or(1)
}

/// The value at a row where the axis is cut.
fn axis_value(row: usize, rows: usize, top: f64) -> Option<f64> {
    let every = rows / cuts(rows, top).max(1);
    (row.is_multiple_of(every.max(1))).then(|| top * (rows - row) as f64 / rows as f64)
}

fn time_axis(what: &Chart<'_>, columns: usize, top: f64, style: ChartStyle) -> [Line<'static>; 2] {
    let (corner, dash, tick) = if style.ascii {
        ('+', '-', '+')
    } else {
        ('┼', '─', '┬')
    };
    let parts = if columns >= 60 { 5 } else { 2 };
    let mut axis: Vec<char> = (0..columns).map(|_| dash).collect();
    let mut labels: Vec<char> = vec![' '; columns + AXIS];
    let minus = if style.ascii { '-' } else { '−' };
    for part in 0..=parts {
        let at = part * (columns - 1) / parts;
        let back = Span(what.window.0 / parts as u64 * (parts - part) as u64);
        if part > 0 && part < parts {
            axis[at] = tick;
        }
        let text = if part == parts {
            "now".to_string()
        } else {
            format!("{minus}{}", round_span(back))
        };
        let from = if part == 0 {
            AXIS - 1
        } else {
            (AXIS + at + 1).saturating_sub(text.chars().count())
        };
        for (slot, c) in labels.iter_mut().skip(from).zip(text.chars()) {
            *slot = c;
        }
    }
    for (when, glyph) in what.marks {
        let back = what.now.since(*when).0;
        if back <= what.window.0 && *when <= what.now {
            let at = (columns - 1)
                - (back as u128 * (columns as u128 - 1) / u128::from(what.window.0.max(1)))
                    as usize;
            axis[at] = *glyph;
        }
    }
    let zero = (what.label)(0.0 * top);
    [
        Line::styled(
            format!("{zero:>5} {corner}{}", axis.into_iter().collect::<String>()),
            style.axis,
        ),
        Line::styled(labels.into_iter().collect::<String>(), style.axis),
    ]
}

fn round_span(span: Span) -> String {
    let s = span.0 / 1_000_000;
    if s >= 60 && s.is_multiple_of(60) {
        format!("{}m", s / 60)
    } else {
        format!("{s}s")
    }
}

/// One value a dot column: the largest measured in its stretch of time, or the last one while it holds.
fn sample(what: &Chart<'_>, dots: usize) -> Vec<Option<f64>> {
    let mut out: Vec<Option<f64>> = vec![None; dots];
    let step = (what.window.0 / dots.max(1) as u64).max(1);
    let start = what.now.0.saturating_sub(what.window.0);
    let lead = what.window.0.saturating_sub(what.now.0) / step;
    for (i, (tick, value)) in what.points.iter().enumerate() {
        let Some(value) = value.filter(|v| v.is_finite()) else {
            continue;
        };
        let next = what.points.get(i + 1).map_or(what.now, |(t, _)| *t);
        let until = next.0.min(tick.0.saturating_add(HOLDS.0));
        if tick.0 < start {
            continue;
        }
        let slot = |t: u64| ((t.saturating_sub(start)) / step + lead) as usize;
        for at in slot(tick.0)..=slot(until.max(tick.0)) {
            if let Some(cell) = out.get_mut(at) {
                // A stretch shared with the next measurement takes the larger of both: no peak is lost.
                *cell = Some(cell.map_or(value, |old| {
                    if at == slot(tick.0) {
                        old.max(value)
                    } else {
                        value
                    }
                }));
            }
        }
    }
    out
}

/// The next round number at or above.
fn nice(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|v| *v >= value * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// A grid of dots, a line drawn into it.
struct Dots {
    across: usize,
    down: usize,
    set: Vec<bool>,
}

impl Dots {
    fn new(across: usize, down: usize) -> Self {
        Self {
            across,
            down,
            set: vec![false; across * down],
        }
    }

    fn row_of(&self, value: f64, top: f64) -> usize {
        let part = (value / top).clamp(0.0, 1.0);
        ((1.0 - part) * (self.down - 1) as f64).round() as usize
    }

    /// Joins each value to the one before it by the dots between their heights.
    fn line(&mut self, values: &[Option<f64>], top: f64) {
        let mut before: Option<usize> = None;
        for (x, value) in values.iter().enumerate().take(self.across) {
            let Some(value) = value else {
                before = None;
                continue;
            };
            let y = self.row_of(*value, top);
            let (from, to) = match before {
                Some(b) if b < y => (b + 1, y),
                Some(b) if b > y => (y, b - 1),
                _ => (y, y),
            };
            for row in from..=to {
                self.set[row * self.across + x] = true;
            }
            before = Some(y);
        }
    }

    fn cell(&self, column: usize, row: usize, ascii: bool) -> Option<char> {
        if ascii {
            let at = |level: usize| self.set[(row * 3 + level) * self.across + column];
            return match (at(0), at(1), at(2)) {
                (false, false, false) => None,
                (true, _, true) => Some('|'),
                (true, ..) => Some('^'),
                (_, true, _) => Some('-'),
                _ => Some('_'),
            };
        }
        // The order of a braille cell's dots in the code point: down the left column, down the right, then the lowest two.
        const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let mut bits = 0;
        for (y, pair) in BITS.iter().enumerate() {
            for (x, bit) in pair.iter().enumerate() {
                if self.set[(row * 4 + y) * self.across + column * 2 + x] {
                    bits |= bit;
                }
            }
        }
        (bits != 0).then(|| char::from_u32(0x2800 + bits)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::widget::text::width;
    use proptest::prelude::*;

    fn draw(points: &[(Tick, Option<f64>)], limit: Option<f64>, ascii: bool) -> Vec<String> {
        let what = Chart {
            points,
            now: Tick(60_000_000),
            window: Span::seconds(60),
            limit,
            label: |v| format!("{v:.0}"),
            marks: &[(Tick(30_000_000), '^')],
        };
        let style = ChartStyle {
            ascii,
            ..ChartStyle::default()
        };
        chart(&what, 40, 6, style)
            .iter()
            .map(|line| line.spans.iter().map(|s| s.content.as_ref()).collect())
            .collect()
    }

    #[test]
    fn a_gap_is_not_a_zero() {
        let points: Vec<_> = (0..60)
            .map(|s| {
                (
                    Tick(s * 1_000_000),
                    (!(20..40).contains(&s)).then_some(10.0),
                )
            })
            .collect();
        let lines = draw(&points, None, true);
        assert_eq!(
            lines[0].trim_end(),
            "   10 |^^^^^^^^^^^^          ^^^^^^^^^^^"
        );
        assert!(lines[1].ends_with("|                                 "));
        assert!(lines[4].starts_with("    0 +") && lines[4].contains('^'));
        assert!(lines[5].ends_with("now"));
    }

    #[test]
    fn only_the_axis_is_called_zero() {
        let lines = draw(&[(Tick(50_000_000), Some(1.0))], None, false);
        let labels: Vec<&str> = lines.iter().map(|line| line[..5].trim()).collect();
        assert_eq!(labels, ["1", "", "", "", "0", ""]);
    }

    #[test]
    fn braille_climbs_and_the_limit_is_drawn() {
        let points: Vec<_> = (0..60)
            .map(|s| (Tick(s * 1_000_000), Some(s as f64)))
            .collect();
        let lines = draw(&points, Some(30.0), false);
        assert!(lines.iter().take(4).any(|l| l.contains('┄')));
        let last = |l: &str| l.rfind(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        assert!(last(&lines[0]) > last(&lines[3]));
    }

    proptest! {
        #[test]
        fn it_is_exactly_as_large_as_asked(
            values in proptest::collection::vec((0u64..100_000_000, proptest::option::of(-1.0f64..1e12)), 0..50),
            w in 0usize..120, h in 0usize..20, ascii: bool, limit in proptest::option::of(0.0f64..1e6),
        ) {
            let mut points: Vec<_> = values.into_iter().map(|(t, v)| (Tick(t), v)).collect();
            points.sort_by_key(|p| p.0);
            let what = Chart { points: &points, now: Tick(100_000_000), window: Span::seconds(60), limit,
                label: |v| crate::domain::unit::short_count(v as u64), marks: &[] };
            let lines = chart(&what, w, h, ChartStyle { ascii, ..ChartStyle::default() });
            if w >= 20 && h >= 4 {
                prop_assert_eq!(lines.len(), h);
                for line in &lines {
                    let text: String = line.spans.iter().map(|s| s.content.as_ref()).collect();
                    prop_assert_eq!(width(&text), w);
                }
            } else {
                prop_assert!(lines.is_empty());
            }
        }
    }
}
