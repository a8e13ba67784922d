//! The same events as lines, for a terminal without a screen, a log, CI.

use crate::domain::event::{Event, Phase};
use crate::domain::unit::At;
use crate::state::migration::Migration;
use crate::state::timeline::Line;
use crate::state::{pace, timeline};

/// `14:03:22Z`: the wall clock's time in UTC.
pub fn clock(at: At) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(time) => time.strftime("%H:%M:%SZ").to_string(),
        Err(_) => "--:--:--Z".into(),
    }
}

/// One fact as a line; none for those that would drown the rest. `state` has it folded in already.
pub fn line(event: &Event, state: &Migration) -> Option<String> {
    state
        .timeline
        .back()
        .filter(|line| line.seq == event.seq)
        .map(text)
}

/// A line of the timeline as text.
pub fn text(line: &Line) -> String {
    format!("{} {:<8} {}", clock(line.at), line.who, line.text)
}

/// How far it is, in one line.
pub fn progress(state: &Migration) -> String {
    let sample = &state.sample;
    let drift = state.drift();
    let lag = sample
        .lag
        .map_or_else(|| "not known".into(), |lag| lag.to_string());
    let mut parts = vec![state.phase.label().to_string()];
    if !state.keeps_in_step() {
        let words = "being given up: nothing is kept in step any more".to_string();
        parts.push(state.ending().unwrap_or(words));
        return parts.join(" · ");
    }
    if state.phase == Phase::Copy {
        parts.push(format!("{:.1} % of rows", state.copied() * 100.0));
        parts.push(format!("{} rows/s", sample.copy_rate));
        let left = pace::eta(state).range(" to ");
        parts.extend(left.map(|left| format!("left {left}")));
    }
    parts.push(format!("lag {lag}"));
    parts.push(format!("equal {:.1} %", state.equal_part() * 100.0));
    parts.push(format!("differ {}", drift.confirmed));
    if let Some(held) = pace::held_by(state) {
        parts.push(format!("held by {held}"));
    }
    if let Some(pause) = state.pauses.first() {
        let word = if state.rested { "paused" } else { "pausing" };
        parts.push(format!(
            "{word}: {}",
            timeline::pause_words(&pause.reason, state)
        ));
    }
    parts.join(" · ")
}
