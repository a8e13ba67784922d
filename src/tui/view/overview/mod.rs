//! How it stands: why it moves as it moves, what is compared, what comes next, every table, what is wrong.

mod charts;
mod events;
mod panels;
mod tables;
mod why;

use super::scene::Scene;
use crate::tui::widget::row::{Row, heading, paint};
use charts::Figure;
use panels::Panel;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

pub use why::waits_for;

/// Draws the screen by the width there is.
pub fn draw(s: &Scene, area: Rect, buf: &mut Buffer) {
    match area.width {
        0..100 => narrow(s, area, buf),
        100..160 => wide(s, area, buf),
        _ => huge(s, area, buf),
    }
}

fn lines_of(s: &Scene, width: usize, panel: Panel) -> Vec<Line<'static>> {
    let mut lines = vec![heading(s.theme, width, &panel.title, "")];
    lines.extend(panel.lines);
    lines
}

/// Panels side by side, each as wide as it is told, in the height of the tallest; the last one takes the rest.
fn beside(s: &Scene, width: usize, panels: Vec<(usize, Vec<Line<'static>>)>) -> Vec<Line<'static>> {
    let height = panels
        .iter()
        .map(|(_, lines)| lines.len())
        .max()
        .unwrap_or(0);
    (0..height)
        .map(|y| {
            let mut row = Row::new(s.theme, width);
            let mut at = 0;
            for (cells, lines) in &panels {
                row = row.at(at);
                if let Some(line) = lines.get(y) {
                    row = row.spans(line.spans.iter().cloned());
                }
                at += cells;
            }
            row.line()
        })
        .collect()
}

fn narrow(s: &Scene, area: Rect, buf: &mut Buffer) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut why = why::why(s, width);
    why.title = "Why".into();
    let mut why = lines_of(s, width, why);
    why.truncate(5);
    let half = width * 38 / 80;
    let compared = beside(
        s,
        width,
        vec![
            (half, lines_of(s, half, panels::compared(s, half - 1))),
            (
                width - half,
                lines_of(s, width - half, panels::stream(s, width - half)),
            ),
        ],
    );
    let third = (width - 4) / 4;
    let mut sides = beside(
        s,
        width,
        vec![
            (third, lines_of(s, third, panels::source(s, third - 1))),
            (
                third + 6,
                lines_of(s, third + 6, panels::target(s, third + 5)),
            ),
            (
                width - 2 * third - 6,
                lines_of(
                    s,
                    width - 2 * third - 6,
                    panels::next(s, width - 2 * third - 6),
                ),
            ),
        ],
    );
    sides.truncate(6);
    let alerts_wanted = events::alerts_wanted(s).min(4);
    let tables_least = 3;
    let mut parts: Vec<Vec<Line<'static>>> = Vec::new();
    let mut left = height.saturating_sub(alerts_wanted + tables_least);
    for part in [why, compared, sides] {
        if part.len() > left {
            break;
        }
        left -= part.len();
        parts.push(part);
    }
    let used: usize = parts.iter().map(Vec::len).sum();
    let mut left = height.saturating_sub(used + alerts_wanted);
    let tables = tables::wanted(s).min(left);
    parts.push(tables::tables(s, width, tables));
    left -= tables;
    if left >= 7 {
        let charts = charts::history(s, Figure::Lag, width, left.min(7));
        left -= charts.len();
        parts.push(charts);
    }
    parts.push(events::alerts(s, width, alerts_wanted.min(height)));
    parts.push(events::acts(s, width, left));
    paint(&parts.concat(), area, buf);
}

/// The right column: what is known, without lists.
fn facts(s: &Scene, width: usize, height: usize) -> Vec<Line<'static>> {
    // In the order drawn, with what is given up first when there is too little room.
    let panels = [
        (0, why::why(s, width)),
        (1, panels::compared(s, width)),
        (3, panels::stream(s, width)),
        (5, panels::source(s, width)),
        (4, panels::target(s, width)),
        (2, panels::next(s, width)),
    ];
    let mut drawn: Vec<(u8, Vec<Line<'static>>)> = panels
        .into_iter()
        .map(|(keep, p)| (keep, lines_of(s, width, p)))
        .collect();
    while drawn.iter().map(|(_, l)| l.len()).sum::<usize>() > height && drawn.len() > 1 {
        let Some(last) = drawn
            .iter()
            .enumerate()
            .max_by_key(|(_, (keep, _))| *keep)
            .map(|(i, _)| i)
        else {
            break;
        };
        drawn.remove(last);
    }
    drawn.into_iter().flat_map(|(_, lines)| lines).collect()
}

/// The left column: lists and charts.
fn lists(s: &Scene, width: usize, height: usize, acts: bool) -> Vec<Line<'static>> {
    let alerts = events::alerts_wanted(s).min(height);
    let mut left = height - alerts;
    let acts_least = if acts { 3.min(left) } else { 0 };
    left -= acts_least;
    let tables = tables::wanted(s).min(left);
    left -= tables;
    let mut parts = vec![tables::tables(s, width, tables)];
    // Charts share what is left, up to a height where more shows nothing more.
    for (figure, others) in [(Figure::Speed, 2), (Figure::Lag, 1)] {
        let height = match left / others {
            0..6 => left.min(8),
            share => share.min(19),
        };
        let chart = charts::history(s, figure, width, height);
        left -= chart.len();
        parts.push(chart);
    }
    parts.push(events::alerts(s, width, alerts));
    if acts {
        parts.push(events::acts(s, width, left + acts_least));
    }
    parts.concat()
}

fn wall(s: &Scene, x: u16, area: Rect, buf: &mut Buffer) {
    let style = s.theme.style(crate::tui::theme::Role::Rule);
    for y in area.top()..area.bottom() {
        buf.set_stringn(x, y, s.theme.glyphs.wall, 1, style);
    }
}

fn wide(s: &Scene, area: Rect, buf: &mut Buffer) {
    let left = area.width * 16 / 25;
    let right = Rect {
        x: area.x + left + 1,
        width: area.width - left - 1,
        ..area
    };
    let height = usize::from(area.height);
    paint(
        &lists(s, usize::from(left), height, true),
        Rect {
            width: left,
            ..area
        },
        buf,
    );
    wall(s, area.x + left, area, buf);
    paint(&facts(s, usize::from(right.width), height), right, buf);
}

fn huge(s: &Scene, area: Rect, buf: &mut Buffer) {
    let side = 48;
    let left = area.width - 2 * side - 2;
    let middle = Rect {
        x: area.x + left + 1,
        width: side,
        ..area
    };
    let right = Rect {
        x: middle.right() + 1,
        width: side,
        ..area
    };
    let height = usize::from(area.height);
    paint(
        &lists(s, usize::from(left), height, false),
        Rect {
            width: left,
            ..area
        },
        buf,
    );
    wall(s, area.x + left, area, buf);
    paint(&facts(s, usize::from(side), height), middle, buf);
    wall(s, middle.right(), area, buf);
    let mut log = events::presence(s, usize::from(side));
    let room = height.saturating_sub(log.len());
    log.extend(events::acts(s, usize::from(side), room));
    paint(&log, right, buf);
}
