//! Why it moves as it moves, or what it waits for and which key changes that.

use super::panels::{Panel, panel};
use crate::domain::event::{PauseReason, Phase};
use crate::domain::id::Who;
use crate::domain::limits::{OUR_LOCK, STREAM_LAG};
use crate::domain::plan::Side;
use crate::domain::signal::Signal;
use crate::domain::unit::Span;
use crate::state::conditions::{self, FINISH_MADE};
use crate::state::migration::Pause;
use crate::state::{pace, timeline};
use crate::tui::commands;
use crate::tui::theme::Role;
use crate::tui::view::scene::Scene;
use crate::tui::view::words;
use crate::tui::widget::row::Row;
use crate::tui::widget::text;
use ratatui::text::Line;

/// Signals that the panels of the stream and the source show.
const SHOWN_ELSEWHERE: [&str; 2] = [STREAM_LAG, OUR_LOCK];
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
        let sides = [Side::Source, Side::Target];
        let gone = sides.iter().all(|s| state.left_behind(*s).is_empty());
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
            let (role, held) = match pace::held_by(state) {
                Some(held) => (Role::Warn, text::escape(held).into_owned()),
                None => (Role::Muted, "nothing".to_string()),
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
            lines.extend(signals(s, width));
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
                &format!("{rate}, {} left", words::count(left.0, "row")),
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
            let again = state.plan.as_ref().map_or(String::new(), |plan| {
                format!("; each again within {}", plan.verify.max_age)
            });
            let words = format!("every row compared equal{again}");
            lines.extend(folded(s, width, "in step", Role::Ok, &words));
        }
        Phase::Synced => {
            let drift = state.drift();
            let why = if drift.confirmed > 0 {
                let rows = words::count(drift.confirmed, "row");
                format!("({rows}): 3 shows which, R repairs")
            } else {
                let rows = words::count(drift.uncovered.0, "row");
                format!("yet: {rows} to be compared again")
            };
            lines.extend(folded(
                s,
                width,
                "in step",
                Role::Warn,
                &format!("but not shown equal {why}"),
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

/// Figures with a limit that no other panel shows, and those that are not known with what to do about it. What holds is told
/// already.
fn signals(s: &Scene, width: usize) -> Vec<Line<'static>> {
    let sample = &s.state.sample;
    let told = |signal: &&Signal| !SHOWN_ELSEWHERE.contains(&signal.name.as_str());
    let (known, unknown): (Vec<&Signal>, Vec<&Signal>) = sample
        .signals
        .iter()
        .filter(told)
        .partition(|signal| signal.figure.is_some());
    let figures = |signal: &Signal| {
        text::escape(&format!("{} {}", signal.name, signal.figures())).into_owned()
    };
    let words: Vec<String> = known.into_iter().map(figures).collect();
    let mut lines = match words.is_empty() {
        true => Vec::new(),
        false => {
            let words = words.join(&format!(" {} ", s.theme.glyphs.dot));
            folded(s, width, "signals", Role::Text, &words)
        }
    };
    for signal in unknown {
        let words = format!("{} {}", signal.name, signal.unknown());
        if !sample.held_by.starts_with(&words) {
            let words = text::escape(&words).into_owned();
            lines.extend(folded(s, width, "unknown", Role::Warn, &words));
        }
    }
    lines
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
