//! The small panels of the Overview: why it moves as it moves, what is compared, the stream, both sides, what comes next.

use crate::domain::event::{PauseReason, Phase};
use crate::domain::id::Who;
use crate::domain::plan::Side;
use crate::domain::unit::{Rows, Span};
use crate::state::conditions::{self, FINISH_MADE};
use crate::state::migration::Pause;
use crate::state::{pace, timeline};
use crate::tui::commands;
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

fn panel(title: impl Into<String>, lines: Vec<Line<'static>>) -> Panel {
    Panel {
        title: title.into(),
        lines,
    }
}

/// Width of the label before a panel's figures.
const LABEL: usize = 10;

fn label<'t>(s: &Scene<'t>, width: usize, label: &str) -> Row<'t> {
    Row::new(s.theme, width)
        .gap(1)
        .left(Role::Muted, label, LABEL)
}

/// Text that may take several lines, the later ones under the first.
fn folded(s: &Scene, width: usize, what: &str, role: Role, words: &str) -> Vec<Line<'static>> {
    let room = width.saturating_sub(LABEL + 1);
    text::wrap(words, room)
        .into_iter()
        .enumerate()
        .map(|(i, line)| {
            label(s, width, if i == 0 { what } else { "" })
                .put(role, line)
                .line()
        })
        .collect()
}

/// Why it moves as it moves, or what it waits for and which key changes that.
pub fn why(s: &Scene, width: usize) -> Panel {
    let state = s.state;
    let mut lines = Vec::new();
    if state.over() {
        let text = match state.phase {
            Phase::Final => "the target owns the data",
            _ => "the source owns the data",
        };
        let gone = state.removed.iter().all(|(_, _, left)| left.is_empty());
        let ours = if gone {
            "everything of ours is gone"
        } else {
            "something of ours is still there"
        };
        let text = format!("{text}, {ours}");
        lines.extend(folded(s, width, "over", Role::Text, &text));
        return panel("Why", lines);
    }
    if state.engine.is_some() && !s.engine_runs() {
        let text = "the engine was parked; nothing moves until `tidegate run` starts it again";
        lines.extend(folded(s, width, "waits for", Role::Warn, text));
        return panel("Why", lines);
    }
    for pause in &state.pauses {
        lines.extend(pause_lines(s, width, pause));
    }
    if lines.is_empty() {
        lines.extend(moving(s, width));
    }
    if let Some((fault, tick)) = &state.last_failure
        && s.now.since(*tick) < Span::seconds(600)
    {
        let ago = words::ago(s.now.since(*tick));
        let what = text::escape(&fault.to_string()).into_owned();
        lines.extend(folded(
            s,
            width,
            "failed",
            Role::Bad,
            &format!("{ago}: {what}"),
        ));
    }
    panel("Why it moves as it moves", lines)
}

fn pause_lines(s: &Scene, width: usize, pause: &Pause) -> Vec<Line<'static>> {
    let since = s.now.since(pause.since);
    let me = matches!((&pause.by, s.me), (by, Some(me)) if *by == me.who);
    let by = match &pause.by {
        Who::Person { .. } if me => "you".to_string(),
        by => text::escape(&by.to_string()).into_owned(),
    };
    let what = if s.state.rested {
        "stopped"
    } else {
        "stopping"
    };
    let ago = words::ago(since);
    let why = match (&pause.reason, s.state.rested) {
        (PauseReason::Operator, true) => format!("paused by {by} {ago}"),
        (PauseReason::Operator, false) => format!("{by} asked {ago}; what is in flight ends first"),
        (PauseReason::StopAll, true) => format!("all of ours stopped by {by} {ago}"),
        (PauseReason::StopAll, false) => {
            format!("{by} stops all of ours, {ago}; what is in flight ends first")
        }
        (reason, _) => format!(
            "{since}: {}",
            text::escape(&timeline::pause_words(reason, s.state))
        ),
    };
    let dot = s.theme.glyphs.dot;
    let way_on = match &pause.reason {
        PauseReason::Operator | PauseReason::StopAll => {
            let key = if commands::slip(s) {
                "P takes it back"
            } else {
                "P resumes (asks)"
            };
            match s.state.sample.runway {
                Some(span) => format!("{key} {dot} may last {span}"),
                None => key.to_string(),
            }
        }
        PauseReason::Database(..) | PauseReason::StaleMetrics(_) => {
            "goes on by itself when it answers".into()
        }
        PauseReason::TargetFull | PauseReason::Parked(..) | PauseReason::Failed(_) => {
            ":resume tries again once it is mended".into()
        }
        PauseReason::SchemaChanged(_) | PauseReason::SourceReplaced(_) => {
            "waits for a person: Enter on its alert".into()
        }
    };
    folded(s, width, what, Role::Warn, &format!("{why} {dot} {way_on}"))
}

fn moving(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let state = s.state;
    let sample = &state.sample;
    let mut lines = Vec::new();
    match state.phase {
        Phase::Plan => lines.extend(folded(
            s,
            width,
            "waits for",
            Role::Text,
            "the engine to begin; nothing is made yet",
        )),
        Phase::Schema => lines.extend(folded(
            s,
            width,
            "making",
            Role::Text,
            "tables on the target, change capture on the source",
        )),
        Phase::Copy if s.measured() => {
            let allowed = match sample.allowed {
                Some(limit) => format!("{} rows/s of {limit} allowed", sample.copy_rate),
                None => format!("{} rows/s, no limit set", sample.copy_rate),
            };
            let (role, held) = if sample.held_by.is_empty() {
                (Role::Muted, "nothing".to_string())
            } else {
                (Role::Warn, text::escape(&sample.held_by).into_owned())
            };
            let row = label(s, width, "moving").text(allowed);
            let joint = format!(" {} held by ", s.theme.glyphs.dot);
            if row.room() >= text::width(&joint) + text::width(&held) {
                lines.push(row.muted(joint).put(role, held).line());
            } else {
                lines.push(row.line());
                lines.extend(folded(s, width, "held by", role, &held));
                let key = label(s, width, "to change").put(Role::Key, "T");
                lines.push(key.muted(" pace").line());
            }
        }
        Phase::Copy => lines.extend(folded(
            s,
            width,
            "moving",
            Role::Text,
            "copying; no speed measured yet",
        )),
        Phase::CatchUp => {
            let left = state.drift().uncovered;
            let rate = words::speed(sample.verify_rate);
            lines.extend(folded(
                s,
                width,
                "comparing",
                Role::Text,
                &format!("{rate}, {} rows left", words::rows(left)),
            ));
            if !state.made.iter().any(|(_, what)| what == FINISH_MADE) {
                lines.extend(folded(
                    s,
                    width,
                    "building",
                    Role::Text,
                    "indexes and what comes after the copy",
                ));
            }
        }
        Phase::Synced if state.synced_and_equal() => {
            lines.extend(folded(
                s,
                width,
                "in step",
                Role::Ok,
                "every row compared equal; compared again all the time",
            ));
        }
        Phase::Synced => {
            let drift = state.drift();
            let why = if drift.confirmed > 0 {
                format!(
                    "{} differ: 3 shows them, R repairs",
                    words::count(drift.confirmed, "row")
                )
            } else {
                format!(
                    "{} rows wait to be compared again",
                    words::rows(drift.uncovered)
                )
            };
            lines.extend(folded(
                s,
                width,
                "in step",
                Role::Warn,
                &format!("but not shown equal: {why}"),
            ));
        }
        Phase::InDoubt => lines.extend(folded(
            s,
            width,
            "waits for",
            Role::Bad,
            "a person: it is not known who owns the writes; both sides stay closed",
        )),
        Phase::RollingBack => lines.extend(folded(
            s,
            width,
            "removing",
            Role::Warn,
            "everything of ours, read back from both catalogs",
        )),
        Phase::Reads | Phase::Cutover | Phase::Soak | Phase::Final | Phase::RolledBack => {}
    }
    lines
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
    let in_flight = if s.measured() {
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
        let rows = format!("{} rows", words::rows(drift.uncovered));
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
    if wide && s.measured() && !state.over() {
        let rate = if state.all_stopped() {
            "stopped: no compare runs".to_string()
        } else {
            format!("comparing {}", words::speed(state.sample.verify_rate))
        };
        lines.push(Row::new(s.theme, width).gap(3).muted(rate).line());
    }
    let title = match &state.pass {
        Some(pass) if !pass.valid => "Compared, last pass INVALID".to_string(),
        Some(pass) if wide => format!("Compared, as of {}", pass.position),
        _ => "Compared".to_string(),
    };
    panel(title, lines)
}

/// What comes in, what is applied, what waits, and how long one may stop.
pub fn stream(s: &Scene, width: usize) -> Panel {
    let sample = &s.state.sample;
    if s.state.over() || !s.measured() {
        let words = if s.state.over() {
            "ended"
        } else {
            "not measured yet"
        };
        let row = Row::new(s.theme, width).gap(1).muted(words).line();
        return panel("Stream", vec![row]);
    }
    let short = crate::domain::unit::short_count;
    let flow = Row::new(s.theme, width)
        .muted(" in ")
        .text(format!("{}/s", short(sample.incoming_per_s)))
        .muted("  applied ")
        .text(format!("{}/s", short(sample.applied_per_s)))
        .muted("  waiting ")
        .text(words::rows(Rows(sample.waiting)))
        .line();
    let ahead = sample.applied_per_s.saturating_sub(sample.incoming_per_s);
    let (role, empty) = match (sample.waiting, ahead) {
        (0, _) => (Role::Ok, "nothing waits".to_string()),
        _ if s.state.rested => (Role::Warn, "stands still".to_string()),
        (n, 1..) if n / ahead == 0 => (Role::Text, "empty in under 1s".to_string()),
        (n, 1..) => (
            Role::Text,
            format!("empty in ~{}", Span::seconds(n / ahead)),
        ),
        _ => (Role::Warn, "not emptying: more comes in".to_string()),
    };
    let lag = format!(
        " {} oldest change {}",
        s.theme.glyphs.dot,
        words::span(sample.lag)
    );
    let wait = Row::new(s.theme, width)
        .gap(1)
        .put(role, empty)
        .muted(lag)
        .line();
    let basis = match (sample.log_bytes, sample.source_free) {
        (Some(log), Some(free)) => format!(" (log {})", words::of(log, log + free)),
        (Some(log), None) => format!(" (log {log})"),
        (None, _) => String::new(),
    };
    let runway = match sample.runway {
        Some(span) if span < Span::seconds(1_800) => (Role::Warn, span.to_string()),
        Some(span) => (Role::Text, span.to_string()),
        None => (Role::Muted, "not known".to_string()),
    };
    let pause = Row::new(s.theme, width)
        .muted(" a pause may last ")
        .put(runway.0, runway.1)
        .muted(basis)
        .line();
    panel("Stream", vec![flow, wait, pause])
}

/// The source: only what was measured.
pub fn source(s: &Scene, width: usize) -> Panel {
    if s.state.over() {
        return panel("Source", left_behind(s, width, Side::Source));
    }
    let sample = &s.state.sample;
    let limit = s
        .state
        .plan
        .as_ref()
        .map(|plan| plan.throttle.max_lock_wait);
    let strained = matches!((sample.source_lock, limit), (Some(lock), Some(limit)) if lock > limit);
    let state = match (s.measured(), strained) {
        (false, _) => words::UNKNOWN,
        (true, true) => "strained by us",
        (true, false) => "ok",
    };
    let role = if strained { Role::Warn } else { Role::Text };
    let lines = vec![
        Row::new(s.theme, width)
            .muted(" locks ")
            .put(role, words::span(sample.source_lock))
            .muted(limit.map_or_else(String::new, |l| format!(" of {l}")))
            .line(),
        Row::new(s.theme, width)
            .muted(" log ")
            .text(sample.log_rows.map_or_else(
                || words::UNKNOWN.into(),
                |r| format!("{} rows", words::rows(r)),
            ))
            .line(),
    ];
    panel(format!("Source {state}"), lines)
}

/// The target: who may write to it, room, indexes.
pub fn target(s: &Scene, width: usize) -> Panel {
    if s.state.over() {
        return panel("Target", left_behind(s, width, Side::Target));
    }
    let state = s.state;
    let sample = &state.sample;
    let missing: Vec<_> = sample
        .guards_missing
        .iter()
        .map(|t| text::escape(t))
        .collect();
    let title = if state.phase < Phase::Copy {
        "Target not made yet".to_string()
    } else if !s.measured() {
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
    let left: Vec<&str> = s
        .state
        .removed
        .iter()
        .filter(|(at, ..)| *at == side)
        .flat_map(|(_, _, left)| left.iter().map(String::as_str))
        .collect();
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

/// One line for the smallest screens: what it waits for.
pub fn waits_for(s: &Scene) -> String {
    let state = s.state;
    if let Some(pause) = state.pauses.first() {
        return timeline::pause_words(&pause.reason, state);
    }
    if state.over() {
        return "nothing: it is over".into();
    }
    if state.engine.is_some() && !s.engine_runs() {
        return "`tidegate run`: the engine is parked".into();
    }
    let blockers: Vec<String> = conditions::blockers(state)
        .iter()
        .map(|c| format!("{} {}", c.name, c.figures))
        .collect();
    if !blockers.is_empty() {
        return blockers.join(", ");
    }
    match (state.phase, pace::eta(state)) {
        (Phase::Synced, _) => "you: it is in step".into(),
        _ => "nothing".into(),
    }
}
