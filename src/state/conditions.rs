//! May the next phase begin? The figure on the screen is the function that permits it.

use super::migration::Migration;
use crate::domain::event::Phase;
use crate::domain::unit::{Rows, counted};

/// One condition for a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its name: `copied`, `stream`, `compared`, `equal`.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// The figures, in words.
    pub figures: String,
}

/// The phase that follows by itself, with its conditions; none where a person decides or it is over.
pub fn next_phase(state: &Migration) -> Option<(Phase, Vec<Condition>)> {
    match state.phase {
        Phase::Plan => Some((Phase::Schema, Vec::new())),
        Phase::Schema => Some((Phase::Copy, vec![all_made(state)])),
        Phase::Copy => Some((Phase::CatchUp, vec![copied(state)])),
        Phase::CatchUp => Some((
            Phase::Synced,
            vec![stream(state), indexes(state), compared(state), equal(state)],
        )),
        _ => None,
    }
}

/// The conditions of the next phase that do not hold.
pub fn blockers(state: &Migration) -> Vec<Condition> {
    next_phase(state)
        .map(|(_, conditions)| conditions.into_iter().filter(|c| !c.holds).collect())
        .unwrap_or_default()
}

fn all_made(state: &Migration) -> Condition {
    let capture = state.made.iter().any(|(_, what)| what == CAPTURE_MADE);
    Condition {
        name: "capture",
        holds: capture,
        figures: if capture { "stands" } else { "not made yet" }.into(),
    }
}

fn copied(state: &Migration) -> Condition {
    let total = state.live_tables().count();
    let complete = state.live_tables().filter(|(_, _, t)| t.complete).count();
    Condition {
        name: "copied",
        holds: complete == total,
        figures: format!("{complete} of {total} tables"),
    }
}

fn stream(state: &Migration) -> Condition {
    let waiting = state.sample.waiting;
    let limit = state.max_lag().unwrap_or_default();
    let (holds, figures) = match state.sample.lag {
        Some(lag) => (
            lag <= limit,
            format!("lag {lag} of {limit}, {waiting} changes waiting"),
        ),
        None => (false, "lag not known".into()),
    };
    Condition {
        name: "stream",
        holds,
        figures,
    }
}

fn indexes(state: &Migration) -> Condition {
    let built = state.made.iter().any(|(_, what)| what == FINISH_MADE);
    Condition {
        name: "indexes",
        holds: built,
        figures: if built { "built" } else { "being built" }.into(),
    }
}

fn compared(state: &Migration) -> Condition {
    let uncovered = state.drift().uncovered;
    Condition {
        name: "compared",
        holds: uncovered == Rows::ZERO && chunks_checked(state),
        figures: format!("{} not yet compared", counted(uncovered.0, "row")),
    }
}

fn chunks_checked(state: &Migration) -> bool {
    state
        .live_tables()
        .all(|(_, _, t)| t.complete && t.chunks.tally().unchecked_chunks == 0)
}

fn equal(state: &Migration) -> Condition {
    let differ = state.drift().confirmed;
    Condition {
        name: "equal",
        holds: differ == 0,
        figures: format!("{} known to differ", counted(differ, "row")),
    }
}

/// What `Fact::Made` says when change capture stands on the source.
pub const CAPTURE_MADE: &str = "change capture";
/// What `Fact::Made` says when everything that comes after the copy was built on the target.
pub const FINISH_MADE: &str = "indexes and what comes after the copy";
/// What `Fact::Made` says of a thing that was there before, after its name: nothing was made.
pub const THERE_BEFORE: &str = ": nothing, it was there before";
/// What `Fact::Made` says once everything is recorded that was there before.
pub const LOOKED: &str = "a list of what was there before";
