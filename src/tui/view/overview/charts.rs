//! Speed and lag over the last minutes.

use crate::domain::unit::{Tick, short_count};
use crate::state::timeline::Mark;
use crate::tui::theme::Role;
use crate::tui::view::scene::Scene;
use crate::tui::widget::chart::{Chart, ChartStyle, chart, window};
use crate::tui::widget::row::heading;
use ratatui::text::Line;

/// Which figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Rows copied a second.
    Speed,
    /// The stream's lag in seconds, with its limit.
    Lag,
}

/// Heading and chart in exactly `height` lines; nothing where there is too little room or history.
pub fn history(s: &Scene, figure: Figure, width: usize, height: usize) -> Vec<Line<'static>> {
    if height < 6 || width < 30 {
        return Vec::new();
    }
    // Rows that a value axis can be cut at: below the heading, above the time axis and its labels.
    let height = match height - 3 {
        7 | 11 | 13 | 14 | 17 => height - 1,
        _ => height,
    };
    let state = s.state;
    // Once nothing is copied, the speed that counts is the application's.
    let copies = state.history.iter().any(|h| h.copy_rate.0 > 0);
    let points: Vec<(Tick, Option<f64>)> = state
        .history
        .iter()
        .map(|h| {
            let value = match figure {
                Figure::Speed if copies => Some(h.copy_rate.0 as f64),
                Figure::Speed => Some(h.incoming as f64),
                Figure::Lag => h.lag.map(|l| l.as_secs_f64()),
            };
            (h.tick, value)
        })
        .collect();
    let window = window(&points, s.now);
    let limit = match figure {
        Figure::Speed => None,
        Figure::Lag => state.max_lag().map(|max| max.as_secs_f64()),
    };
    let people = state
        .timeline
        .iter()
        .filter(|l| matches!(l.mark, Mark::Act | Mark::Note));
    let glyph = s.theme.glyphs.up.chars().next().unwrap_or('^');
    let marks: Vec<(Tick, char)> = people.map(|l| (l.tick, glyph)).collect();
    let what = Chart {
        points: &points,
        now: s.now,
        window,
        limit,
        label: match figure {
            Figure::Speed => |v| short_count(v as u64),
            Figure::Lag => |v| {
                let text = format!("{v:.2}");
                text.trim_end_matches('0').trim_end_matches('.').to_string()
            },
        },
        marks: &marks,
    };
    let style = ChartStyle {
        line: s.theme.style(Role::Series),
        axis: s.theme.style(Role::Muted),
        limit: s.theme.style(Role::Limit),
        ascii: !s.theme.glyphs.braille,
    };
    let minutes = window.0 / 60_000_000;
    let title = match figure {
        Figure::Speed if copies => format!("Rows/s {} {minutes} min", s.theme.glyphs.dot),
        Figure::Speed => format!("Changes/s {} {minutes} min", s.theme.glyphs.dot),
        Figure::Lag => format!("Lag s {} {minutes} min", s.theme.glyphs.dot),
    };
    let end = match limit {
        Some(limit) => format!("limit {limit:.1} {}", s.theme.glyphs.limit.repeat(3)),
        None => String::new(),
    };
    let mut lines = vec![heading(s.theme, width, &title, &end)];
    lines.extend(chart(&what, width, height - 1, style));
    lines
}
