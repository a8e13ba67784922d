//! What failed in passing, and when it is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

/// The first pause; it doubles.
const FIRST: Duration = Duration::from_millis(20);
const MOST: Duration = Duration::from_secs(2);

/// The parts of a lane that fail on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Work {
    /// Reading the source's stream.
    Feed,
    /// Applying changes, or reading back whether they were applied.
    Apply,
    /// Landing rows, or reading back whether they landed.
    Land,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    waiting: bool,
}

/// One state for each part that fails.
#[derive(Debug, Default)]
pub(super) struct Retries(BTreeMap<Work, State>);

impl Retries {
    /// Whether this part may try.
    pub fn free(&self, work: Work) -> bool {
        self.0.get(&work).is_none_or(|state| !state.waiting)
    }

    /// It failed. Gives after which pause to call [`Retries::again`]; none when that is under way already.
    pub fn failed(&mut self, work: Work) -> Option<Duration> {
        let state = self.0.entry(work).or_default();
        if std::mem::replace(&mut state.waiting, true) {
            return None;
        }
        let pause = FIRST.saturating_mul(1 << state.failures.min(16));
        state.failures += 1;
        Some(pause.min(MOST))
    }

    /// The pause is over.
    pub fn again(&mut self, work: Work) {
        if let Some(state) = self.0.get_mut(&work) {
            state.waiting = false;
        }
    }

    /// It worked: the next pause is a short one again.
    pub fn worked(&mut self, work: Work) {
        if let Some(state) = self.0.get_mut(&work) {
            state.failures = 0;
        }
    }
}
