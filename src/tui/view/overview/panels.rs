//! The small panels of the Overview: why it moves as it moves, what is compared, the stream, both sides, what comes next.

use crate::domain::event::Phase;
use crate::domain::limits::OUR_LOCK;
use crate::domain::plan::{Engine, Side};
use crate::domain::unit::{Rows, Span};
use crate::domain::words::Words;
use crate::state::conditions::{self, FINISH_MADE};
use crate::tui::theme::Role;
use crate::tui::view::scene::Scene;
use crate::tui::view::words;
use crate::tui::widget::row::Row;
use crate::tui::widget::{spark, text};
use ratatui::text::Line;

/// A heading and the lines below it.
pub struct Panel {
    /// What stands in the rule.
    pub title: String,
    /// What stands below.
    pub lines: Vec<Line<'static>>,
}

pub(super) fn panel(title: impl Into<String>, lines: Vec<Line<'static>>) -> Panel {
    Panel {
        title: title.into(),
        lines,
    }
}

/// Three numbers, never one.
pub fn compared(s: &Scene, width: usize) -> Panel {
    let state = s.state;
    let drift = state.drift();
    // Before tables are sized and guards stand, nothing is known of either number.
    let known = state.phase >= Phase::Copy;
    let chunks: u64 = state
        .live_tables()
        .map(|(_, _, t)| u64::from(t.chunks.tally().differing_chunks))
        .sum();
    let rows: Rows = state.live_tables().map(|(_, _, t)| t.rows()).sum();
    let glyphs = s.theme.glyphs;
    let wide = width >= 40;
    let mut differ = Row::new(s.theme, width);
    differ = if drift.confirmed > 0 {
        differ.put(Role::Differs, format!(" {} differ", glyphs.drift))
    } else {
        differ.muted("   differ")
    };
    let role = if drift.confirmed > 0 {
        Role::Differs
    } else {
        Role::Text
    };
    let inside = if drift.confirmed > 0 {
        format!(" in {}", words::count(chunks, "chunk"))
    } else {
        String::new()
    };
    differ = differ
        .at(13)
        .put(
            role,
            if s.oldest().is_some() {
                words::count(drift.confirmed, "row")
            } else {
                words::UNKNOWN.into()
            },
        )
        .text(inside);
    if wide {
        let points: Vec<Option<u64>> = state.history.iter().map(|h| Some(h.differ)).collect();
        // A flat line says nothing.
        if points.windows(2).any(|pair| pair[0] != pair[1]) {
            differ = differ.gap(2).put(role, spark::spark(&points, 8, glyphs));
        }
    }
    let in_flight = if s.measures() {
        words::count(drift.in_flight, "row")
    } else {
        words::UNKNOWN.into()
    };
    let part = if rows.0 == 0 {
        0.0
    } else {
        drift.uncovered.0 as f64 / rows.0 as f64
    };
    // Rounded up: what is left is not called nothing.
    let (not_yet, part) = if known {
        let rows = words::count(drift.uncovered.0, "row");
        (rows, format!(" ({}%)", (part * 100.0).ceil()))
    } else {
        (words::UNKNOWN.to_string(), String::new())
    };
    let role = if drift.uncovered.0 > 0 {
        Role::Pending
    } else {
        Role::Text
    };
    let mut lines = vec![
        differ.line(),
        Row::new(s.theme, width)
            .muted("   in flight")
            .at(13)
            .text(in_flight)
            .line(),
        Row::new(s.theme, width)
            .muted("   not yet")
            .at(13)
            .text(not_yet)
            .put(role, part)
            .line(),
    ];
    if wide && s.measures() {
        let rate = if state.all_stopped() {
            "stopped: no compare runs".to_string()
        } else {
            format!("comparing {}", words::speed(state.sample.verify_rate))
        };
        lines.push(Row::new(s.theme, width).gap(3).muted(rate).line());
    }
    let title = match &state.pass {
        Some(pass) if !pass.valid => "Compared, last pass INVALID".to_string(),
        Some(pass) if wide => format!("Compared, whole pass {} ago", state.tick.since(pass.at)),
        _ => "Compared".to_string(),
    };
    panel(title, lines)
}

/// What comes in, what is applied, what waits, and how long one may stop.
pub fn stream(s: &Scene, width: usize) -> Panel {
    let sample = &s.state.sample;
    if !s.measures() {
        let words = match (s.state.over(), s.measured()) {
            (true, _) => "ended",
            (false, true) => "parked: nobody measures it",
            (false, false) => "not measured yet",
        };
        let row = Row::new(s.theme, width).gap(1).muted(words).line();
        return panel("Stream", vec![row]);
    }
    let short = crate::domain::unit::short_count;
    let unread = s.state.unread();
    let unless_unread = |figure: String| match unread {
        true => words::UNKNOWN.to_string(),
        false => figure,
    };
    let flow = Row::new(s.theme, width)
        .muted(" in ")
        .text(unless_unread(format!("{}/s", short(sample.incoming_per_s))))
        .muted("  applied ")
        .text(format!("{}/s", short(sample.applied_per_s)))
        .muted("  waiting ")
        .text(unless_unread(words::rows(Rows(sample.waiting))))
        .line();
    let ahead = sample.applied_per_s.saturating_sub(sample.incoming_per_s);
    let (role, empty) = match (sample.waiting, ahead) {
        _ if unread => (Role::Warn, "unread while paused".to_string()),
        (0, _) => (Role::Ok, "nothing waits".to_string()),
        _ if s.state.rested => (Role::Warn, "stands still".to_string()),
        (n, _) if n < sample.applied_per_s => (Role::Text, "less than 1s of work".to_string()),
        (n, 1..) => (
            Role::Text,
            format!("empty in ~{}", Span::seconds(n / ahead)),
        ),
        _ => (Role::Warn, "growing".to_string()),
    };
    let lag = format!(
        " {} oldest change {}",
        s.theme.glyphs.dot,
        words::span(sample.lag)
    );
    let mut wait = Row::new(s.theme, width).gap(1).put(role, empty).muted(lag);
    if let Some(bytes) = sample.lag_bytes {
        let bytes = format!(", {bytes}");
        if bytes.len() <= wait.room() {
            wait = wait.muted(bytes);
        }
    }
    let wait = wait.line();
    let pause = Row::new(s.theme, width);
    let pause = match sample.runway {
        Some(span) => {
            let role = match span < Span::seconds(1_800) {
                true => Role::Warn,
                false => Role::Text,
            };
            let room = match (sample.log_room, sample.source_free) {
                (Some(room), _) => format!(" ({room} left)"),
                (None, Some(free)) => format!(" ({free} free)"),
                (None, None) => String::new(),
            };
            pause
                .muted(" a pause may last ")
                .put(role, span.to_string())
                .muted(room)
        }
        // There is a limit, and nothing comes nearer to it, or it was not measured for long enough.
        None if sample.log_room.is_some() => {
            pause.muted(" how long a pause may last: not known yet")
        }
        None if sample.log_bytes.is_none() => pause.muted(" how long a pause may last: not known"),
        None => pause.gap(1).muted(about(s).no_runway),
    };
    let pause = pause.line();
    panel("Stream", vec![flow, wait, pause])
}

/// How the source is spoken of.
fn about(s: &Scene) -> &'static Words {
    let engine = s.state.plan.as_ref().map(|plan| plan.source.engine);
    engine.unwrap_or(Engine::Sqlite).words()
}

/// The source: only what was measured.
pub fn source(s: &Scene, width: usize) -> Panel {
    if s.state.over() {
        return panel("Source", left_behind(s, width, Side::Source));
    }
    let (sample, about) = (s.figures(), about(s));
    let limit = s.state.span_limit(OUR_LOCK);
    let strained = matches!((sample.source_lock, limit), (Some(lock), Some(limit)) if lock > limit);
    let state = match (s.measures(), strained) {
        (false, _) => words::UNKNOWN,
        (true, _) if sample.silent => "gives no answer",
        (true, true) => "strained by us",
        (true, false) => "ok",
    };
    let role = if strained { Role::Warn } else { Role::Text };
    let locks = match sample.source_lock {
        Some(lock) => lock.to_string(),
        None if s.measures() => about.unlocked.to_string(),
        None => words::UNKNOWN.to_string(),
    };
    let of = match (sample.source_lock, limit) {
        (Some(_), Some(limit)) => format!(" of {limit}"),
        _ => String::new(),
    };
    let mut log = Row::new(s.theme, width)
        .gap(1)
        .muted(about.log)
        .gap(1)
        .text(match (sample.log_rows, sample.log_bytes) {
            (Some(rows), _) => words::count(rows.0, "row"),
            (None, Some(bytes)) => bytes.to_string(),
            (None, None) => words::UNKNOWN.into(),
        });
    if let (Some(bytes), Some(_)) = (sample.log_bytes, sample.log_rows) {
        let bytes = format!(", {bytes}");
        // Half a figure is worse than none.
        if bytes.len() <= log.room() {
            log = log.muted(bytes);
        }
    }
    let lines = vec![
        Row::new(s.theme, width)
            .gap(1)
            .muted(about.lock)
            .gap(1)
            .put(role, locks)
            .muted(of)
            .line(),
        log.line(),
    ];
    panel(format!("Source {state}"), lines)
}

/// The target: who may write to it, room, indexes.
pub fn target(s: &Scene, width: usize) -> Panel {
    if s.state.over() {
        return panel("Target", left_behind(s, width, Side::Target));
    }
    let state = s.state;
    let sample = s.figures();
    let missing: Vec<_> = sample
        .guards_missing
        .iter()
        .map(|t| text::escape(t))
        .collect();
    let title = if state.phase < Phase::Copy {
        "Target not made yet".to_string()
    } else if !s.measures() {
        "Target guards not measured".to_string()
    } else if missing.is_empty() {
        "Target dark, guarded".to_string()
    } else {
        "Target".to_string()
    };
    let mut lines = Vec::new();
    if !missing.is_empty() {
        let words = format!(
            " {} guard is OFF on {}",
            s.theme.glyphs.alarm,
            missing.join(", ")
        );
        lines.push(Row::new(s.theme, width).put(Role::Bad, words).line());
    }
    let free = sample
        .target_free
        .map_or_else(|| words::UNKNOWN.to_string(), |b| b.to_string());
    lines.push(
        Row::new(s.theme, width)
            .muted(" room left ")
            .text(free)
            .line(),
    );
    let built = state.made.iter().any(|(_, what)| what == FINISH_MADE);
    let indexes = match (built, state.phase) {
        (true, _) => "built",
        (false, Phase::CatchUp) => "being built",
        (false, _) => "after the copy",
    };
    lines.push(
        Row::new(s.theme, width)
            .muted(" indexes ")
            .text(indexes)
            .line(),
    );
    panel(title, lines)
}

/// What is left of ours on a side once it is over, as its catalog said.
fn left_behind(s: &Scene, width: usize, side: Side) -> Vec<Line<'static>> {
    let left = s.state.left_behind(side);
    let (role, words) = if left.is_empty() {
        (Role::Ok, "nothing of ours left".to_string())
    } else {
        (
            Role::Bad,
            format!("still there: {}", text::escape(&left.join(", "))),
        )
    };
    vec![Row::new(s.theme, width).gap(1).put(role, words).line()]
}

/// What comes next, whether by itself, and what it waits for.
pub fn next(s: &Scene, width: usize) -> Panel {
    let state = s.state;
    let glyphs = s.theme.glyphs;
    let Some((phase, conditions)) = conditions::next_phase(state) else {
        let (title, words) = match state.phase {
            Phase::Final | Phase::RolledBack => {
                ("Next: nothing", "tidegate report writes down what happened")
            }
            Phase::RollingBack => (
                "Next: ROLLED BACK, by itself",
                "when nothing of ours is left",
            ),
            Phase::InDoubt => ("Next: a person decides", "nothing moves by itself"),
            _ => (
                "Next: yours to decide",
                "kept in step until then; B gives the target up",
            ),
        };
        let lines = text::wrap(words, width.saturating_sub(1))
            .into_iter()
            .map(|line| Row::new(s.theme, width).gap(1).text(line).line())
            .collect();
        return panel(title, lines);
    };
    let mut lines: Vec<Line<'static>> = conditions
        .iter()
        .map(|c| {
            let (glyph, role) = if c.holds {
                (glyphs.ok, Role::Ok)
            } else {
                (glyphs.bad, Role::Warn)
            };
            Row::new(s.theme, width)
                .gap(1)
                .put(role, glyph)
                .gap(1)
                .left(Role::Muted, c.name, 9)
                .text(&c.figures)
                .line()
        })
        .collect();
    if state.paused() {
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .put(Role::Warn, "not while it stands still")
                .line(),
        );
    } else if state.phase == Phase::Copy {
        lines.push(
            Row::new(s.theme, width)
                .gap(1)
                .muted("then indexes, compare the rest")
                .line(),
        );
    }
    panel(
        format!("Next: {}, by itself", words::phase_caps(phase)),
        lines,
    )
}
