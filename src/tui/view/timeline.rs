//! What happened, by whom; what one moment looked like; and the bar to go through time with.

use super::marks::{self, mark};
use super::scene::Scene;
use super::words;
use crate::domain::unit::Tick;
use crate::state::timeline::{Line as Fact, Mark, pause_words};
use crate::tui::lists;
use crate::tui::theme::Role;
use crate::tui::widget::row::{Row, heading, paint};
use crate::tui::widget::scrubber::{Track, scrubber};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Lines of the bar: a heading, the bar, the cursor under it.
const BAR: u16 = 3;

/// Draws the screen.
pub fn draw(s: &Scene, area: Rect, buf: &mut Buffer) {
    let bar = Rect {
        y: area.bottom().saturating_sub(BAR),
        height: BAR.min(area.height),
        ..area
    };
    let above = Rect {
        height: area.height.saturating_sub(BAR),
        ..area
    };
    let listed = lists::timeline(s);
    let at = lists::selected_line(&listed, s.ui.timeline.seq);
    let fact = at.and_then(|i| listed.get(i).copied());
    if area.width >= 100 {
        let left = above.width * 16 / 25;
        let wall = above.x + left;
        let right = Rect {
            x: wall + 1,
            width: above.width - left - 1,
            ..above
        };
        let lines = list(s, usize::from(left), usize::from(above.height), &listed, at);
        paint(
            &lines,
            Rect {
                width: left,
                ..above
            },
            buf,
        );
        let style = s.theme.style(Role::Rule);
        for y in above.top()..above.bottom() {
            buf.set_stringn(wall, y, s.theme.glyphs.wall, 1, style);
        }
        let mut lines = details(s, usize::from(right.width), fact);
        lines.extend(moment(s, usize::from(right.width)));
        paint(&lines, right, buf);
    } else {
        let mut tail = if above.height >= 14 {
            details(s, usize::from(area.width), fact)
        } else {
            Vec::new()
        };
        if above.height >= 12 {
            tail.extend(moment(s, usize::from(area.width)));
        }
        tail.truncate(usize::from(above.height / 2));
        let room = usize::from(above.height) - tail.len();
        let mut lines = list(s, usize::from(area.width), room, &listed, at);
        lines.resize(room, Line::default());
        lines.extend(tail);
        paint(&lines, above, buf);
    }
    paint(&bar_lines(s, usize::from(area.width)), bar, buf);
}

fn list(
    s: &Scene,
    width: usize,
    height: usize,
    listed: &[&Fact],
    at: Option<usize>,
) -> Vec<Line<'static>> {
    let only = s.ui.timeline.only.map_or("all", marks::name);
    let filter = s.ui.filter();
    let filter = if filter.is_empty() {
        String::new()
    } else {
        format!(" /{}", text::escape(filter))
    };
    let title = format!(
        "Timeline {} {} {only}{filter}",
        words::count(listed.len() as u64, "line"),
        s.theme.glyphs.dot
    );
    let end = format!("record {}", s.state.seq);
    let mut lines = vec![heading(s.theme, width, &title, &end)];
    let Some(at) = at else {
        let words = if s.state.timeline.is_empty() {
            " nothing has happened yet"
        } else {
            " no line matches; Esc clears the filter"
        };
        lines.push(Row::new(s.theme, width).muted(words).line());
        return lines;
    };
    for i in lists::window(at, listed.len(), height.saturating_sub(1)) {
        let fact = listed[i];
        let (glyph, role) = mark(s, fact.mark);
        let cursor = if i == at { s.theme.glyphs.cursor } else { " " };
        let said = if matches!(fact.mark, Mark::Alert) {
            Role::Bad
        } else {
            Role::Text
        };
        let row = Row::new(s.theme, width)
            .put(Role::Title, cursor)
            .muted(words::clock(fact.at))
            .gap(1)
            .put(role, glyph)
            .gap(1)
            .left(Role::Title, text::escape(&fact.who), 7)
            .gap(1)
            .put(said, text::escape(&fact.text));
        lines.push(if i == at {
            row.selected(true)
        } else {
            row.line()
        });
    }
    lines
}

fn details(s: &Scene, width: usize, fact: Option<&Fact>) -> Vec<Line<'static>> {
    let Some(fact) = fact else {
        return vec![heading(s.theme, width, "Record", "")];
    };
    let (glyph, role) = mark(s, fact.mark);
    let ago = words::ago(s.now.since(fact.tick));
    let mut lines = vec![heading(s.theme, width, &format!("Record {}", fact.seq), "")];
    lines.push(
        Row::new(s.theme, width)
            .gap(1)
            .put(role, format!("{glyph} {}", marks::name(fact.mark)))
            .muted(" by ")
            .put(Role::Title, text::escape(&fact.who))
            .muted(format!("  {}Z, {ago}", words::clock(fact.at)))
            .line(),
    );
    for line in text::wrap(&text::escape(&fact.text), width.saturating_sub(2))
        .into_iter()
        .take(6)
    {
        lines.push(Row::new(s.theme, width).gap(1).text(line).line());
    }
    lines
}

/// The state at the moment shown: the past while replaying, else now.
fn moment(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let state = s.state;
    let title = match s.ui.replay {
        Some(_) => format!("As it was at {}Z", words::clock(state.at)),
        None => "As it is".to_string(),
    };
    let dot = s.theme.glyphs.dot;
    let drift = state.drift();
    let mut lines = vec![heading(
        s.theme,
        width,
        &title,
        &format!("rebuilt from {} records", state.seq),
    )];
    let first = format!(
        "{} {dot} copied {} {dot} equal {} {dot} lag {} {dot} {}",
        words::phase_caps(state.phase),
        words::percent(state.copied()),
        words::percent(state.equal_part()),
        words::span(state.sample.lag),
        words::speed(state.sample.copy_rate)
    );
    let differ = format!(
        "{} differ {dot} {} in flight {dot} {} not compared",
        words::count(drift.confirmed, "row"),
        drift.in_flight,
        words::rows(drift.uncovered)
    );
    for (role, line) in [
        (Role::Text, first),
        (
            if drift.confirmed > 0 {
                Role::Differs
            } else {
                Role::Text
            },
            differ,
        ),
    ] {
        for piece in text::wrap(&line, width.saturating_sub(2)) {
            lines.push(Row::new(s.theme, width).gap(1).put(role, piece).line());
        }
    }
    for pause in &state.pauses {
        let words = text::escape(&pause_words(&pause.reason, state)).into_owned();
        let since = s.now.since(pause.since);
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .put(
                    Role::Warn,
                    format!("{} {words}, {since}", s.theme.glyphs.paused),
                )
                .line(),
        );
    }
    lines
}

/// The bar over the whole migration: marks, the moment shown, how it plays.
fn bar_lines(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let state = s.state;
    let glyphs = s.theme.glyphs;
    let (last, marks): (Tick, Vec<(Tick, Mark)>) = match &s.ui.replay {
        Some(replay) => (
            replay.last_tick,
            replay.marks.iter().map(|(_, t, m)| (*t, *m)).collect(),
        ),
        None => (
            s.now,
            state.timeline.iter().map(|l| (l.tick, l.mark)).collect(),
        ),
    };
    let shown: Vec<(Tick, char, u8)> = marks
        .into_iter()
        .filter_map(|(tick, m)| {
            let weight = marks::weight(m)?;
            Some((tick, mark(s, m).0.chars().next()?, weight))
        })
        .collect();
    let begin = words::clock(state.created);
    let length = last.since(Tick(0));
    let end = match &s.ui.replay {
        Some(r) if !r.live => format!("+{length} end"),
        Some(_) => format!("+{length} live"),
        None => "now".into(),
    };
    let begin_cells = text::width(&begin) + 2;
    let cells = width
        .saturating_sub(begin_cells + text::width(&end) + 3)
        .max(1);
    let track = if glyphs.braille {
        Track {
            past: '━',
            ahead: '─',
        }
    } else {
        Track {
            past: '-',
            ahead: '.',
        }
    };
    let bar = scrubber(cells, (Tick(0), last), s.now.min(last), &shown, track);
    let mut row = Row::new(s.theme, width)
        .gap(1)
        .muted(&begin)
        .put(Role::Rule, " ");
    for (i, (symbol, marked)) in bar.cells.iter().enumerate() {
        let role = match (marked, i <= bar.cursor) {
            (true, _) => Role::Title,
            (false, true) => Role::Info,
            (false, false) => Role::Rule,
        };
        row = if i == bar.cursor {
            row.put(Role::Selection, symbol.to_string())
        } else {
            row.put(role, symbol.to_string())
        };
    }
    let row = row.gap(1).muted(end);
    let (title, under) = match &s.ui.replay {
        None => (
            "Time".to_string(),
            format!("{}Z now", words::clock(s.ui.now.at)),
        ),
        Some(r) => {
            let playing = if r.playing {
                format!("{} plays", glyphs.active)
            } else {
                format!("{} stands", glyphs.paused)
            };
            (
                format!("Replay {} of {}", r.seq, r.last),
                format!("{}Z x{} {playing}", words::clock(r.at), r.speed.max(1)),
            )
        }
    };
    let at = (begin_cells + bar.cursor).min(width.saturating_sub(text::width(&under) + 3));
    let key = Row::new(s.theme, width)
        .at(at)
        .put(Role::Title, format!("{} {under}", glyphs.up));
    let legend = legend(s);
    vec![
        heading(s.theme, width, &title, &legend),
        row.line(),
        key.line(),
    ]
}

fn legend(s: &Scene) -> String {
    [
        Mark::Phase,
        Mark::Pause,
        Mark::Alert,
        Mark::Repair,
        Mark::Act,
        Mark::Note,
    ]
    .into_iter()
    .map(|m| format!("{} {}", mark(s, m).0, marks::name(m)))
    .collect::<Vec<_>>()
    .join(" ")
}
