//! How long it will still take: a range, with what it rests on. Never "due", never above 100 %.

use super::migration::Migration;
use crate::domain::event::Phase;
use crate::domain::unit::{Rows, RowsPerSecond, Span};

/// The time left of the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eta {
    /// Nothing left to copy.
    Done,
    /// Too early to say.
    Measuring,
    /// Between these, by the present and the mean speed.
    Between {
        /// At the faster of both speeds.
        low: Span,
        /// At the slower of both.
        high: Span,
        /// Rows left.
        left: Rows,
    },
    /// It stands still; the text says why.
    Stopped(String),
}

impl Eta {
    /// From how long to how long, `to` between both: `1m10s to 2m`; `~2m` where both are the same, `<1s` where there is nothing to
    /// plan by. None where nothing is known, or nothing is left.
    pub fn range(&self, to: &str) -> Option<String> {
        let Self::Between { low, high, .. } = self else {
            return None;
        };
        let (low, high) = (roughly(*low), roughly(*high));
        match low == high {
            true => self.longest(),
            false => Some(format!("{low}{to}{high}")),
        }
    }

    /// The longest that it takes, where that is known.
    pub fn longest(&self) -> Option<String> {
        match self {
            Self::Between { high, .. } if *high < Span::seconds(1) => Some(BRIEF.to_owned()),
            Self::Between { high, .. } => Some(format!("~{high}")),
            _ => None,
        }
    }
}

/// A time that is only estimated.
const BRIEF: &str = "<1s";

fn roughly(span: Span) -> String {
    match span < Span::seconds(1) {
        true => BRIEF.to_owned(),
        false => span.to_string(),
    }
}

/// Seconds of history that count as "now".
const RECENT_POINTS: usize = 20;
/// Points needed before a range is given.
const ENOUGH_POINTS: usize = 3;

/// The time left to copy all tables.
pub fn eta(state: &Migration) -> Eta {
    let left: Rows = state.live_tables().map(|(_, _, t)| t.left()).sum();
    let complete = state.live_tables().all(|(_, _, t)| t.complete);
    if !matches!(state.phase, Phase::Plan | Phase::Schema | Phase::Copy)
        || complete && state.phase == Phase::Copy
    {
        return Eta::Done;
    }
    if let Some(pause) = state.pauses.first() {
        return Eta::Stopped(super::timeline::pause_words(&pause.reason, state));
    }
    // What was done before a pace was set is no promise: from now on it goes no faster than that.
    let most = state.pace.unwrap_or(RowsPerSecond(u64::MAX));
    eta_for(
        left,
        recent_rate(state).min(most),
        mean_rate(state).min(most),
        state.history.len(),
    )
}

/// The time left for so many rows at two speeds.
pub fn eta_for(left: Rows, recent: RowsPerSecond, mean: RowsPerSecond, points: usize) -> Eta {
    let (fast, slow) = (recent.max(mean), recent.min(mean));
    if points < ENOUGH_POINTS || fast.0 == 0 {
        return Eta::Measuring;
    }
    let at = |rate: u64| Span((left.0 as f64 / rate.max(1) as f64 * 1e6) as u64);
    Eta::Between {
        low: at(fast.0),
        high: at(if slow.0 == 0 { fast.0 } else { slow.0 }),
        left,
    }
}

/// Whether rows are copied now, as far as is known: only then can anything hold the copy.
pub fn copies(state: &Migration) -> bool {
    state.phase == Phase::Copy
        && !state.paused()
        && state.engine.as_ref().is_some_and(|engine| engine.running)
        && state.live_tables().any(|(_, _, t)| !t.complete)
}

/// What holds the copy, in words; none while nothing does, or nothing is copied.
pub fn held_by(state: &Migration) -> Option<&str> {
    let words = state.sample.held_by.as_str();
    (copies(state) && !words.is_empty()).then_some(words)
}

/// Mean copy speed of the last seconds.
pub fn recent_rate(state: &Migration) -> RowsPerSecond {
    let recent = state.history.iter().rev().take(RECENT_POINTS);
    let points = recent.len().max(1) as u64;
    let sum = recent.fold(0u64, |sum, p| sum.saturating_add(p.copy_rate.0));
    RowsPerSecond(sum / points)
}

/// Mean copy speed since the first chunk landed, standing still included.
pub fn mean_rate(state: &Migration) -> RowsPerSecond {
    let began = state.tables.iter().filter_map(|t| t.began).min();
    let landed: Rows = state
        .tables
        .iter()
        .map(|t| t.chunks.tally().landed_rows)
        .sum();
    match began {
        Some(began) => {
            let seconds = state.tick.since(began).as_secs_f64();
            RowsPerSecond(if seconds < 0.5 {
                0
            } else {
                (landed.0 as f64 / seconds) as u64
            })
        }
        None => RowsPerSecond(0),
    }
}
