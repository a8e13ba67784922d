//! Every chunk of a table, worst state wins; and what is known of the cell under the cursor.

use super::scene::Scene;
use super::words;
use crate::domain::id::{ChunkId, TableId};
use crate::domain::unit::{Rows, Span, short_count};
use crate::state::table::TableState;
use crate::state::timeline::table_label;
use crate::tui::grid::{self, AXIS, GUTTER, Grid};
use crate::tui::lists;
use crate::tui::model::ColourBy;
use crate::tui::theme::Role;
use crate::tui::widget::chunk_map::{Pixel, Shade, Stretch, pixels, stretch};
use crate::tui::widget::row::{Row, heading, paint, paint_at};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

/// Lines below the cells: a rule, three about the cell, and the legend.
const BELOW: u16 = 5;

/// Draws the screen.
pub fn draw(s: &Scene, area: Rect, buf: &mut Buffer) {
    let width = usize::from(area.width);
    let found = lists::map_table(s).and_then(|id| Some((id, s.state.table(id)?)));
    let Some((id, table)) = found else {
        let row = Row::new(s.theme, width).muted(" no table is moved: there is nothing to map yet");
        paint_at(&row.line(), 0, area, buf);
        return;
    };
    // The same room that keys walk through; a frame drawn into less shows less of it.
    let mut room = grid::room(s.ui);
    room.height = room.height.min(area.height.saturating_sub(1 + BELOW));
    room.width = room.width.min(area.width);
    let grid = Grid::fit(room, &s.ui.map, table.expected_chunks());
    paint_at(&title(s, width, id, table, &grid), 0, area, buf);
    let cells = Rect {
        y: area.y + 1,
        height: room.height,
        ..area
    };
    draw_cells(s, id, table, &grid, cells, buf);
    let below = Rect {
        y: area.bottom().saturating_sub(BELOW).max(area.y + 1),
        height: BELOW.min(area.bottom().saturating_sub(cells.bottom())),
        ..area
    };
    paint(&about(s, width, id, table, &grid), below, buf);
}

fn title(s: &Scene, width: usize, id: TableId, table: &TableState, grid: &Grid) -> Line<'static> {
    let glyphs = s.theme.glyphs;
    let name = text::escape(&table_label(id, s.state)).into_owned();
    let mut row = Row::new(s.theme, width).gap(1).put(Role::Title, name);
    for (first, count) in &s.ui.map.zoom {
        let last = first.saturating_add(*count).saturating_sub(1);
        row = row.text(format!(" {} {}", glyphs.cursor, chunk_range(*first, last)));
    }
    let dot = glyphs.dot;
    let count = words::count(u64::from(table.expected_chunks()), "chunk");
    let count = match (
        table.complete,
        table.chunks.is_empty() && table.estimate.0 == 0,
    ) {
        (true, _) => count,
        (false, true) => "not sized yet".to_string(),
        (false, false) => format!("about {count}"),
    };
    let per = words::count(u64::from(grid.per_cell), "chunk");
    let modes: Vec<String> = [ColourBy::State, ColourBy::Drift, ColourBy::Age]
        .iter()
        .map(|m| match m.label() {
            label if *m == s.ui.map.colour => format!("[{label}]"),
            label => label.to_string(),
        })
        .collect();
    let modes = modes.join(" ");
    let room = row.room().saturating_sub(text::width(&modes) + 2);
    let about = [
        format!(
            "  {count} {dot} key order {} {dot} 1 cell = {per}",
            glyphs.to
        ),
        format!("  {count} {dot} 1 cell = {per}"),
        format!("  {count}"),
    ];
    if let Some(about) = about.iter().find(|a| text::width(a) <= room) {
        row = row.muted(about);
    }
    row.end(Role::Muted, format!("{modes} ")).line()
}

fn chunk_range(first: u32, last: u32) -> String {
    let number = |n: u32| Rows(u64::from(n)).to_string();
    if first == last {
        format!("chunk {}", number(first))
    } else {
        format!("chunks {} to {}", number(first), number(last))
    }
}

/// The first key of a chunk, or its number where the key is not known yet.
fn axis_label(s: &Scene, table: TableId, no: u32) -> String {
    match s.ui.map.bounds.get(&ChunkId { table, no }) {
        Some(bound) if bound.is_empty() => "start".into(),
        // A long number in full would be cut in its middle; the line below the map has it exactly.
        Some(bound) => match bound.parse::<u64>() {
            Ok(number) if number >= 100_000 => short_count(number),
            _ => text::escape(bound).into_owned(),
        },
        None if no == 0 => "start".into(),
        None if no >= 100_000 => format!("#{}", short_count(u64::from(no))),
        None => format!("#{no}"),
    }
}

fn draw_cells(
    s: &Scene,
    id: TableId,
    table: &TableState,
    grid: &Grid,
    area: Rect,
    buf: &mut Buffer,
) {
    let copying: Vec<u32> = s
        .state
        .sample
        .copying
        .iter()
        .filter(|c| c.table == id)
        .map(|c| c.no)
        .collect();
    let shown = pixels(&table.chunks, &copying, grid, s.now);
    let cursor = grid.place(s.ui.map.chunk);
    let paints = Paints::new(s);
    let glyphs = s.theme.glyphs;
    let columns = grid.columns as usize;
    for (line, row) in shown.chunks(columns).enumerate() {
        let y = area.y + line as u16;
        if y >= area.bottom() {
            break;
        }
        let here = cursor.is_some_and(|(_, at)| at as usize == line);
        let first = grid.chunks(0, line as u32).map_or(0, |(first, _)| first);
        let mark = if here { glyphs.cursor } else { " " };
        let label = axis_label(s, id, first);
        let axis = Row::new(s.theme, usize::from(AXIS))
            .put(Role::Title, mark)
            .right(
                if here { Role::Title } else { Role::Muted },
                label,
                usize::from(AXIS) - 2,
            )
            .gap(1);
        buf.set_line(area.x, y, &axis.line(), area.width);
        let mut differ = 0u64;
        for (column, pixel) in row.iter().enumerate() {
            differ += u64::from(pixel.differ);
            let x = area.x + AXIS + column as u16 * grid.wide;
            let (symbol, style) = paints.of(pixel);
            let chosen = here && cursor.is_some_and(|(at, _)| at as usize == column);
            // A wide cell ends in a gap, so that chunks can be counted.
            for x in (x..x + grid.wide.max(2) - 1).take_while(|x| *x < area.right()) {
                let cell = &mut buf[(x, y)];
                cell.set_symbol(symbol).set_style(style);
                if chosen {
                    cell.set_style(paints.cursor);
                }
            }
        }
        if differ > 0 {
            let words = format!(" {}{}", glyphs.drift, words::rows(Rows(differ)));
            let x = area.x + AXIS + grid.columns as u16 * grid.wide;
            let room = usize::from(GUTTER).min(usize::from(area.right().saturating_sub(x)));
            let gutter = Row::new(s.theme, room).put(Role::Differs, words).line();
            if x < area.right() {
                buf.set_line(x, y, &gutter, room as u16);
            }
        }
    }
}

/// Symbols and styles of cells, looked up once a frame.
struct Paints<'a> {
    scene: &'a Scene<'a>,
    states: [(Shade, &'static str, Style); 6],
    max_age: Span,
    cursor: Style,
}

const DIGITS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

impl<'a> Paints<'a> {
    fn new(scene: &'a Scene<'a>) -> Self {
        let glyphs = scene.theme.glyphs;
        let style = |role| scene.theme.style(role);
        Self {
            states: [
                (Shade::Equal, glyphs.shades[4], style(Role::Equal)),
                (Shade::Landed, glyphs.shades[3], style(Role::Landed)),
                (Shade::Pending, glyphs.shades[0], style(Role::Pending)),
                (Shade::Copying, glyphs.shades[2], style(Role::Copying)),
                (Shade::Repaired, glyphs.shades[1], style(Role::Repaired)),
                (Shade::Differs, glyphs.drift, style(Role::Differs)),
            ],
            max_age: scene
                .state
                .plan
                .as_ref()
                .map_or(Span::seconds(3_600), |plan| plan.verify.max_age),
            cursor: style(Role::Selection),
            scene,
        }
    }

    fn state(&self, shade: Shade) -> (&'static str, Style) {
        let (_, glyph, style) = self.states[shade as usize];
        (glyph, style)
    }

    fn of(&self, pixel: &Pixel) -> (&'static str, Style) {
        match self.scene.ui.map.colour {
            ColourBy::State => self.state(pixel.shade),
            ColourBy::Drift => match pixel.differ {
                0 if pixel.age.is_none() => self.state(Shade::Pending),
                0 => self.state(Shade::Equal),
                n => {
                    let digit = DIGITS.get(n as usize - 1).copied().unwrap_or("+");
                    (digit, self.state(Shade::Differs).1)
                }
            },
            ColourBy::Age => match pixel.age {
                None => self.state(Shade::Pending),
                Some(age) => self.age(age),
            },
        }
    }

    /// Fresher is brighter; past the age that is allowed it warns.
    fn age(&self, age: Span) -> (&'static str, Style) {
        let part = age.0 as f64 / self.max_age.0.max(1) as f64;
        let shades = self.scene.theme.glyphs.shades;
        if part >= 1.0 {
            return (shades[1], self.scene.theme.style(Role::Warn));
        }
        let glyph = match part {
            p if p < 0.25 => shades[4],
            p if p < 0.5 => shades[3],
            _ => shades[2],
        };
        (glyph, self.scene.theme.ramp((15.0 - part * 12.0) as u8))
    }
}

/// The lines below the map: which chunks the cursor is on, what is known of them, and what the symbols mean.
fn about(
    s: &Scene,
    width: usize,
    id: TableId,
    table: &TableState,
    grid: &Grid,
) -> Vec<Line<'static>> {
    let glyphs = s.theme.glyphs;
    let cell = grid
        .place(s.ui.map.chunk)
        .and_then(|(column, line)| grid.chunks(column, line));
    let Some((first, count)) = cell else {
        return vec![
            heading(s.theme, width, "", ""),
            Line::default(),
            Line::default(),
            Line::default(),
            legend(s, width, false),
        ];
    };
    let last = first.saturating_add(count).saturating_sub(1);
    let sum = stretch(&table.chunks, first..first.saturating_add(count), s.now);
    let bounds = &s.ui.map.bounds;
    let from = bounds.get(&ChunkId {
        table: id,
        no: first,
    });
    let to = bounds.get(&ChunkId {
        table: id,
        no: last.saturating_add(1),
    });
    let keys = match (from, to) {
        (None, None) => String::new(),
        (from, to) => {
            let end = |bound: Option<&String>, open: &str| match bound {
                Some(text) if !text.is_empty() => text::escape(text).into_owned(),
                Some(_) => "the first".to_string(),
                None => open.to_string(),
            };
            format!(
                " {} keys from {} to before {}",
                glyphs.dot,
                end(from, "?"),
                end(to, "the next")
            )
        }
    };
    let repaired = s.state.repairs.values().any(|r| r.table == id);
    let title = format!("{}{keys}", chunk_range(first, last));
    let title = text::clip(&title, width.saturating_sub(6), glyphs.more).into_owned();
    vec![
        heading(s.theme, width, &title, ""),
        progress(s, width, &sum),
        history(s, width, &sum),
        hint(s, width, table, &sum, count),
        legend(s, width, repaired),
    ]
}

fn progress(s: &Scene, width: usize, sum: &Stretch) -> Line<'static> {
    let part = |role: Role, n: u32| {
        (
            role,
            format!("{} of {}", Rows(u64::from(n)), Rows(u64::from(sum.chunks))),
        )
    };
    let (copied_role, copied) = part(
        if sum.landed == sum.chunks {
            Role::Text
        } else {
            Role::Warn
        },
        sum.landed,
    );
    let (checked_role, checked) = part(
        if sum.checked == sum.chunks {
            Role::Text
        } else {
            Role::Pending
        },
        sum.checked,
    );
    let row = Row::new(s.theme, width)
        .muted(" copied ")
        .put(copied_role, copied)
        .muted("  compared ")
        .put(checked_role, checked)
        .muted("  rows ")
        .text(words::rows(sum.rows));
    if sum.differ > 0 {
        let chunks = words::count(u64::from(sum.differing), "chunk");
        row.put(
            Role::Differs,
            format!(
                "  {} differ {} in {chunks}",
                s.theme.glyphs.drift,
                words::count(sum.differ, "row")
            ),
        )
        .line()
    } else if sum.checked > 0 {
        row.muted("  differ ").text("0").line()
    } else {
        row.muted("  differ ").text(words::UNKNOWN).line()
    }
}

fn history(s: &Scene, width: usize, sum: &Stretch) -> Line<'static> {
    let row = Row::new(s.theme, width).muted(" checked ");
    let row = match sum.oldest {
        Some(age) if sum.landed == sum.chunks => row.text(format!("{age} ago at the longest")),
        _ if sum.landed == 0 => row.put(Role::Pending, "not copied yet"),
        _ => row.put(Role::Pending, "not all of it yet"),
    };
    let row = match sum.attempts {
        0 => row,
        1 => row.muted("  landed ").text("once"),
        n => row
            .muted("  landed ")
            .put(Role::Warn, format!("up to {n} times")),
    };
    row.line()
}

fn hint(s: &Scene, width: usize, table: &TableState, sum: &Stretch, count: u32) -> Line<'static> {
    let row = Row::new(s.theme, width).gap(1);
    let differing = table.chunks.tally().differing_chunks;
    match (sum.differing > 0, differing, count) {
        (true, _, 1) => row
            .put(Role::Key, "Enter")
            .text(" shows the rows that differ")
            .line(),
        (true, ..) => row
            .put(Role::Key, "Enter")
            .text(" zooms in, then shows the rows that differ")
            .line(),
        (false, 1.., _) => row
            .put(Role::Key, "n")
            .text(format!(
                " goes to the next of {} that differ",
                words::count(u64::from(differing), "chunk")
            ))
            .line(),
        (false, 0, _) if table.chunks.is_empty() => {
            row.muted("nothing of this table is copied yet").line()
        }
        (false, 0, _) if s.oldest().is_none() => row.muted("nothing is compared yet").line(),
        _ => row
            .muted("no chunk of this table is known to differ")
            .line(),
    }
}

fn legend(s: &Scene, width: usize, repaired: bool) -> Line<'static> {
    let paints = Paints::new(s);
    let mut row = Row::new(s.theme, width);
    let mut item = |(glyph, style): (&str, Style), word: &str| {
        let cells = text::width(word) + 3;
        if row.room() >= cells {
            row = row.clone().gap(1).styled(style, glyph).gap(1).muted(word);
        }
    };
    match s.ui.map.colour {
        ColourBy::State => {
            item(paints.state(Shade::Pending), "not copied");
            item(paints.state(Shade::Copying), "copying");
            item(paints.state(Shade::Landed), "copied, not compared");
            item(paints.state(Shade::Equal), "equal");
            item(paints.state(Shade::Differs), "differs");
            if repaired {
                item(paints.state(Shade::Repaired), "repaired");
            }
        }
        ColourBy::Drift => {
            item(paints.state(Shade::Pending), "not compared yet");
            item(paints.state(Shade::Equal), "none differ");
            item(("1", paints.state(Shade::Differs).1), "to 9 rows differ");
            item(("+", paints.state(Shade::Differs).1), "more");
        }
        ColourBy::Age => {
            let max = paints.max_age;
            item(paints.state(Shade::Pending), "not compared yet");
            for (part, before) in [(8, 4), (3, 2), (2, 1)] {
                item(
                    paints.age(Span(max.0 / part + 1).min(Span(max.0 - 1))),
                    &format!("under {}", Span(max.0 / before)),
                );
            }
            item(paints.age(max), "older than allowed");
        }
    }
    let worst = if row.room() > 24 {
        "worst in a cell wins"
    } else {
        "worst wins"
    };
    row.end(Role::Muted, worst).line()
}
