//! How fast the copy may go: a token bucket for rows, filled at the allowed pace times a grade from real signals.
//!
//! A signal that is not fresh closes the bucket: missing measurements never mean that all is well.

use super::decide::Controls;
use crate::domain::plan::Throttle;
use crate::domain::unit::{Rows, RowsPerSecond, Span};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What the signals said last.
#[derive(Debug, Clone, Copy)]
pub struct Gauges {
    /// The stream's lag.
    pub lag: Option<Span>,
    /// How long a write of ours held the application up.
    pub lock: Option<Span>,
    /// When they were read; none: never.
    pub at: Option<Instant>,
}

/// How far signals let the copy go, 0 (stand still) to 1, and which of them holds it back with its figure and limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Grade {
    /// 0 to 1.
    pub part: f64,
    /// The signal, by name only: the name stays while the figure moves.
    pub signal: Option<&'static str>,
    /// The signal with its figure and limit, for the screen.
    pub words: String,
}

/// From half of a limit on the copy slows down in proportion; at the limit it stands still. Waiting for a signal to
/// *cross* its limit before doing anything would make the application feel the overshoot.
pub fn grade(limits: &Throttle, gauges: &Gauges, age: Option<Span>) -> Grade {
    let Some(age) = age else {
        return Grade {
            part: 0.0,
            signal: Some("no measurement yet"),
            words: "no measurement yet".into(),
        };
    };
    if age > limits.stale_after {
        return Grade {
            part: 0.0,
            signal: Some("stale signals"),
            words: format!(
                "no fresh measurement for {age}, limit {}",
                limits.stale_after
            ),
        };
    }
    let mut worst = Grade {
        part: 1.0,
        signal: None,
        words: String::new(),
    };
    let signals = [
        ("stream lag", gauges.lag, limits.max_lag),
        ("our lock on the source", gauges.lock, limits.max_lock_wait),
    ];
    for (name, value, limit) in signals {
        let Some(value) = value else { continue };
        let ratio = value.0 as f64 / limit.0.max(1) as f64;
        let part = (2.0 - 2.0 * ratio).clamp(0.0, 1.0);
        if part < worst.part {
            worst = Grade {
                part,
                signal: Some(name),
                words: format!("{name} {value} of {limit}"),
            };
        }
    }
    worst
}

struct Bucket {
    tokens: f64,
    filled: Instant,
    best: f64,
}

/// Gives the copy its permits.
pub struct Governor {
    limits: Throttle,
    controls: watch::Receiver<Controls>,
    gauges: watch::Receiver<Gauges>,
    bucket: Mutex<Bucket>,
}

/// Fewest rows of a chunk however slow the pace: chunks are for ever, and a map of single rows is no map.
const FEWEST: Rows = Rows(50);
/// How long a worker sleeps before it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Seconds of the allowed pace that may be used at once after standing still.
const BURST_SECONDS: f64 = 0.5;

impl Governor {
    /// A governor that heeds these.
    pub fn new(
        limits: Throttle,
        controls: watch::Receiver<Controls>,
        gauges: watch::Receiver<Gauges>,
    ) -> Self {
        let bucket = Mutex::new(Bucket {
            tokens: 0.0,
            filled: Instant::now(),
            best: 50_000.0,
        });
        Self {
            limits,
            controls,
            gauges,
            bucket,
        }
    }

    /// The grade now.
    pub fn grade(&self) -> Grade {
        let gauges = *self.gauges.borrow();
        grade(
            &self.limits,
            &gauges,
            gauges.at.map(|at| at.elapsed().into()),
        )
    }

    /// Rows a second allowed now; none: no limit.
    pub fn allowed(&self) -> Option<RowsPerSecond> {
        let grade = self.grade();
        let pace = self.controls.borrow().pace;
        if grade.part >= 1.0 {
            return pace;
        }
        let base = pace.map_or_else(|| self.lock().best, |pace| pace.0 as f64);
        Some(RowsPerSecond((base * grade.part) as u64))
    }

    /// Waits until a chunk may be read, and says how many rows it may have: those wanted, or fewer, so that at the pace of that
    /// moment it takes no longer than `chunk_time`. Returns at once while nothing limits. Cancel-safe.
    pub async fn permit(&self, wanted: Rows, chunk_time: Span) -> Rows {
        loop {
            let Some(rate) = self.allowed() else {
                return wanted;
            };
            let fitting = Rows((rate.0 as f64 * chunk_time.as_secs_f64()) as u64);
            let rows = wanted.min(fitting.max(FEWEST));
            {
                let mut bucket = self.lock();
                let now = Instant::now();
                let rate = rate.0 as f64;
                let elapsed = now.duration_since(bucket.filled).as_secs_f64();
                bucket.filled = now;
                bucket.tokens = (bucket.tokens + elapsed * rate).min(rate * BURST_SECONDS);
                // A bucket may go into debt for one chunk: what was taken is paid before the next one.
                if rate > 0.0 && bucket.tokens > 0.0 {
                    bucket.tokens -= rows.0 as f64;
                    return rows;
                }
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Notes a speed that was reached without being held back: what a grade is a part of.
    pub fn reached(&self, rate: RowsPerSecond) {
        let mut bucket = self.lock();
        bucket.best = bucket.best.max(rate.0 as f64);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Throttle = Throttle {
        max_lag: Span::seconds(3),
        max_lock_wait: Span::millis(500),
        stale_after: Span::seconds(15),
    };

    fn at(lag: Option<u64>, lock: Option<u64>, age_s: Option<u64>) -> Grade {
        let gauges = Gauges {
            lag: lag.map(Span::millis),
            lock: lock.map(Span::millis),
            at: None,
        };
        grade(&LIMITS, &gauges, age_s.map(Span::seconds))
    }

    #[test]
    fn slows_from_half_of_a_limit_and_stands_still_at_it() {
        assert_eq!(at(Some(1_400), None, Some(0)).part, 1.0);
        assert!((at(Some(2_250), None, Some(0)).part - 0.5).abs() < 0.01);
        assert_eq!(at(Some(3_000), None, Some(0)).part, 0.0);
        assert_eq!(at(Some(9_000), None, Some(0)).part, 0.0);
    }

    #[test]
    fn the_worst_signal_is_named_with_its_figures() {
        let grade = at(Some(1_600), Some(499), Some(0));
        assert_eq!(grade.signal, Some("our lock on the source"));
        assert_eq!(grade.words, "our lock on the source 0.4s of 0.5s");
    }

    #[test]
    fn what_is_missing_or_stale_stands_still() {
        assert_eq!(at(Some(0), Some(0), None).part, 0.0);
        assert_eq!(at(Some(0), Some(0), Some(16)).part, 0.0);
        assert_eq!(
            at(None, None, Some(1)).part,
            1.0,
            "an engine without that signal is not held by it"
        );
    }
}
