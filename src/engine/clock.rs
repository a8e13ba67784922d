//! The only place of the engine that asks what time it is.

use crate::domain::unit::{At, Span, Tick};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The migration's own clock, and the wall's for people.
///
/// A `Tick` is the journaled sum of the monotonic time engines have run, plus the wall's time between two runs. A wall clock
/// that was set back while no engine ran counts as no time at all; set forward, it counts as time: an engine that is off
/// uses up the operator's soak and approvals, never lengthens them.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    base: Tick,
}

impl Clock {
    /// Goes on from the last record of a journal: its tick and wall time.
    pub fn resume(last_tick: Tick, last_at: At) -> Self {
        let gap_ms = u64::try_from(wall().0.saturating_sub(last_at.0)).unwrap_or(0);
        let gap = if last_at == At(0) {
            Span::ZERO
        } else {
            Span::millis(gap_ms)
        };
        Self {
            started: Instant::now(),
            base: last_tick.plus(gap),
        }
    }

    /// Now, on the migration's clock.
    pub fn tick(&self) -> Tick {
        self.base.plus(self.started.elapsed().into())
    }

    /// Now, on the wall.
    pub fn at(&self) -> At {
        wall()
    }
}

/// Now, on the wall, in UTC.
pub fn wall() -> At {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    At(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A stopwatch for one act.
#[derive(Debug, Clone, Copy)]
pub struct Watch(Instant);

impl Watch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }
    /// How long it has run.
    pub fn took(&self) -> Span {
        self.0.elapsed().into()
    }
}
