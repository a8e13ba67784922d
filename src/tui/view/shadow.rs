//! The same reads run on both sides: equal or not, and how fast.

use super::scene::Scene;
use crate::domain::plan::ShadowQuery;
use crate::domain::sample::ShadowLine;
use crate::domain::unit::{Rows, Span};
use crate::tui::lists;
use crate::tui::theme::Role;
use crate::tui::widget::row::{Row, heading, paint};
use crate::tui::widget::text;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// What to write where nothing is configured.
const EXAMPLE: [&str; 6] = [
    "[[shadow]]",
    "name = \"orders of a customer\"",
    "sql = \"select id, total from orders where customer_id = ?1 order by id\"",
    "params = \"select id from customers order by random() limit 50\"",
    "ordered = true",
    "",
];

/// Draws the screen.
pub fn draw(s: &Scene, area: Rect, buf: &mut Buffer) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let queries = s
        .state
        .plan
        .as_ref()
        .map_or(&[][..], |p| p.shadow.as_slice());
    if queries.is_empty() {
        paint(&not_configured(s, width), area, buf);
        return;
    }
    let chosen = lists::selected_query(s);
    let detail = queries
        .iter()
        .find(|q| Some(&q.name) == chosen.as_ref())
        .map(|q| about(s, width, q))
        .unwrap_or_default();
    let mut lines = state(s, width);
    let room = height.saturating_sub(lines.len() + detail.len()).max(3);
    lines.extend(table(s, width, room, queries, chosen.as_deref()));
    lines.extend(detail);
    paint(&lines, area, buf);
}

fn not_configured(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![heading(s.theme, width, "Shadow compare", "")];
    let say = |words: &str| {
        text::wrap(words, width.saturating_sub(2))
            .into_iter()
            .map(|line| Row::new(s.theme, width).gap(1).text(line).line())
            .collect::<Vec<_>>()
    };
    lines.extend(say(
        "No read is compared: the plan has no [[shadow]] query.",
    ));
    lines.extend(say(
        "Write this into tidegate.toml, with a read of your own, and start the engine again:",
    ));
    lines.push(Line::default());
    for line in EXAMPLE {
        lines.push(Row::new(s.theme, width).gap(3).put(Role::Info, line).line());
    }
    lines.extend(say(
        "It runs on both sides a few times a second; nobody's traffic is touched.",
    ));
    lines
}

fn state(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let rate = s.state.shadow_per_second;
    let row = Row::new(s.theme, width).gap(1);
    let line = match (rate, s.state.all_stopped()) {
        (0, _) => row
            .put(Role::Warn, "off")
            .muted(": no read is compared now; ")
            .put(Role::Key, "S")
            .muted(" sets how many a second"),
        (_, true) => row
            .put(Role::Warn, "stopped")
            .muted(": everything of ours stands still"),
        (n, false) => row
            .put(Role::Ok, format!("{n} a second"))
            .muted(", run on both sides; nobody's traffic is touched"),
    };
    vec![heading(s.theme, width, "Shadow compare", ""), line.line()]
}

fn find<'a>(s: &Scene<'a>, name: &str) -> Option<&'a ShadowLine> {
    s.state.sample.shadow.iter().find(|l| l.name == name)
}

fn table(
    s: &Scene,
    width: usize,
    height: usize,
    queries: &[ShadowQuery],
    chosen: Option<&str>,
) -> Vec<Line<'static>> {
    let times = width >= 100;
    let numbers = 9 + 8 + 8 + 9 + 7;
    let speeds = if times { 4 * 9 + 8 } else { 2 * 9 + 7 };
    let name = width.saturating_sub(2 + numbers + speeds).clamp(8, 60);
    let mut head = Row::new(s.theme, width)
        .gap(2)
        .left(Role::Muted, "query", name)
        .right(Role::Muted, "compared", 9)
        .right(Role::Muted, "equal", 8)
        .right(Role::Muted, "differ", 8)
        .right(Role::Muted, "unproven", 9)
        .right(Role::Muted, "errors", 7);
    head = if times {
        ["p50 src", "p50 tgt", "p95 src", "p95 tgt"]
            .into_iter()
            .fold(head, |row, title| row.right(Role::Muted, title, 9))
            .right(Role::Muted, "p95", 8)
    } else {
        head.right(Role::Muted, "p95 src", 9)
            .right(Role::Muted, "p95 tgt", 9)
            .right(Role::Muted, "", 7)
    };
    let mut lines = vec![head.line()];
    let at = queries
        .iter()
        .position(|q| Some(q.name.as_str()) == chosen)
        .unwrap_or(0);
    for i in lists::window(at, queries.len(), height.saturating_sub(1)) {
        let query = &queries[i];
        let mark = if i == at { s.theme.glyphs.cursor } else { " " };
        let row = Row::new(s.theme, width).put(Role::Title, mark).gap(1).left(
            Role::Text,
            text::escape(&query.name),
            name,
        );
        let row = match find(s, &query.name) {
            None => row.right(Role::Muted, "0", 9).muted("  not compared yet"),
            Some(line) => figures(s, row, line, times),
        };
        lines.push(if i == at {
            row.selected(true)
        } else {
            row.line()
        });
    }
    lines
}

fn figures<'t>(s: &Scene, row: Row<'t>, line: &ShadowLine, times: bool) -> Row<'t> {
    let number = |n: u64| {
        if n < 100_000 {
            Rows(n).to_string()
        } else {
            crate::domain::unit::short_count(n)
        }
    };
    let glyphs = s.theme.glyphs;
    let differ = if line.mismatched > 0 {
        (
            Role::Differs,
            format!("{} {}", glyphs.drift, number(line.mismatched)),
        )
    } else if line.compared > 0 {
        (Role::Equal, "0".into())
    } else {
        (Role::Muted, "0".into())
    };
    let errors = line.source_errors + line.target_errors;
    let ratio = ratio(line.source_p95, line.target_p95);
    let slower = ratio.is_some_and(|r| r > 1.25);
    let ratio_text = ratio.map_or_else(String::new, |r| {
        format!("{r:.2}x{}", if slower { "!" } else { "" })
    });
    let ratio_role = if slower { Role::Warn } else { Role::Muted };
    let row = row
        .right(Role::Text, number(line.compared), 9)
        .right(Role::Text, number(line.matched), 8)
        .right(differ.0, differ.1, 8)
        .right(
            if line.unproven > 0 {
                Role::Text
            } else {
                Role::Muted
            },
            number(line.unproven),
            9,
        )
        .right(
            if errors > 0 { Role::Bad } else { Role::Muted },
            number(errors),
            7,
        );
    if times {
        [
            line.source_p50,
            line.target_p50,
            line.source_p95,
            line.target_p95,
        ]
        .into_iter()
        .fold(row, |row, span| row.right(Role::Text, millis(span), 9))
        .right(ratio_role, ratio_text, 8)
    } else {
        row.right(Role::Text, millis(line.source_p95), 9)
            .right(Role::Text, millis(line.target_p95), 9)
            .right(ratio_role, ratio_text, 7)
    }
}

/// How many times as long the target takes; none where the source's time is nothing.
fn ratio(source: Span, target: Span) -> Option<f64> {
    (source.0 > 0).then(|| target.0 as f64 / source.0 as f64)
}

/// A latency in milliseconds, three figures: `2.1 ms`, `412 ms`.
fn millis(span: Span) -> String {
    let ms = span.0 as f64 / 1e3;
    match ms {
        0.0 => "?".into(),
        m if m < 99.95 => format!("{m:.1} ms"),
        m if m < 9_999.5 => format!("{m:.0} ms"),
        _ => span.to_string(),
    }
}

fn about(s: &Scene, width: usize, query: &ShadowQuery) -> Vec<Line<'static>> {
    let name = text::escape(&query.name).into_owned();
    let mut lines = vec![heading(s.theme, width, &name, "")];
    let folded = |label: &str, role: Role, words: &str| {
        text::wrap(words, width.saturating_sub(13))
            .into_iter()
            .take(3)
            .enumerate()
            .map(|(i, line)| {
                Row::new(s.theme, width)
                    .gap(1)
                    .left(Role::Muted, if i == 0 { label } else { "" }, 11)
                    .put(role, line)
                    .line()
            })
            .collect::<Vec<_>>()
    };
    let one_line = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    lines.extend(folded(
        "read",
        Role::Text,
        &text::escape(&one_line(&query.sql)),
    ));
    let order = if query.ordered {
        "the order of rows counts"
    } else {
        "in any order"
    };
    lines.extend(folded("compared", Role::Text, order));
    if let Some(params) = &query.params {
        lines.extend(folded(
            "parameters",
            Role::Muted,
            &text::escape(&one_line(params)),
        ));
    }
    let Some(line) = find(s, &query.name) else {
        lines.extend(folded("result", Role::Muted, "not compared yet"));
        return lines;
    };
    let p = |a: Span, b: Span| format!("{} on the source, {} on the target", millis(a), millis(b));
    lines.extend(folded(
        "p50",
        Role::Text,
        &p(line.source_p50, line.target_p50),
    ));
    lines.extend(folded(
        "p95",
        Role::Text,
        &p(line.source_p95, line.target_p95),
    ));
    if line.source_errors + line.target_errors > 0 {
        let words = format!(
            "{} on the source, {} on the target",
            Rows(line.source_errors),
            Rows(line.target_errors)
        );
        lines.extend(folded("errors", Role::Bad, &words));
    }
    if line.unproven > 0 {
        let words = format!(
            "{}: the source had moved on between both reads; counted as neither",
            Rows(line.unproven)
        );
        lines.extend(folded("unproven", Role::Text, &words));
    }
    match &line.last_mismatch {
        Some(words) => lines.extend(folded("differed", Role::Differs, &text::escape(words))),
        None => lines.extend(folded("differed", Role::Muted, "never")),
    }
    lines
}
