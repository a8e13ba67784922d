//! How fast the copy may go: a token bucket for rows, filled at the allowed pace times a grade from real signals.
//!
//! A signal that is not fresh closes the bucket: missing measurements never mean that all is well.

use super::decide::Controls;
use super::grade::Grade;
use crate::domain::unit::{Rows, RowsPerSecond, Span};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What the signals said last, and when that was weighed; none: never.
#[derive(Debug, Clone)]
pub struct Weighed {
    /// What they said.
    pub grade: Grade,
    /// When.
    pub at: Option<Instant>,
}

impl Default for Weighed {
    /// Nothing was measured yet.
    fn default() -> Self {
        Self {
            grade: Grade::closed("no measurement yet", "no measurement yet"),
            at: None,
        }
    }
}

/// What holds for now: what was weighed, unless that is too long ago.
pub fn heeded(weighed: &Weighed, age: Option<Span>, stale_after: Span) -> Grade {
    match age {
        None => Weighed::default().grade,
        Some(age) if age > stale_after => {
            let words = format!("no fresh measurement for {age}, limit {stale_after}");
            Grade::closed("stale signals", words)
        }
        Some(_) => weighed.grade.clone(),
    }
}

struct Bucket {
    tokens: f64,
    filled: Instant,
    best: f64,
    /// When a worker was made to wait last.
    waited: Option<Instant>,
}

/// Gives the copy its permits.
pub struct Governor {
    stale_after: Span,
    controls: watch::Receiver<Controls>,
    weighed: watch::Receiver<Weighed>,
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
        stale_after: Span,
        controls: watch::Receiver<Controls>,
        weighed: watch::Receiver<Weighed>,
    ) -> Self {
        let bucket = Mutex::new(Bucket {
            tokens: 0.0,
            filled: Instant::now(),
            best: 50_000.0,
            waited: None,
        });
        Self {
            stale_after,
            controls,
            weighed,
            bucket,
        }
    }

    /// The grade now.
    pub fn grade(&self) -> Grade {
        let weighed = self.weighed.borrow();
        let age = weighed.at.map(|at| at.elapsed().into());
        heeded(&weighed, age, self.stale_after)
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
                bucket.waited = Some(now);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Whether the copy was made to wait within so long. Its speed alone does not tell: at a low pace whole seconds pass
    /// between two chunks.
    pub fn waited(&self, within: Duration) -> bool {
        let waited = self.lock().waited;
        waited.is_some_and(|at| at.elapsed() <= within)
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

    #[tokio::test]
    async fn at_a_low_pace_the_copy_waits_although_hardly_any_row_moves() {
        let controls = Controls {
            pace: Some(RowsPerSecond(60)),
            ..Controls::default()
        };
        let (_set, controls) = watch::channel(controls);
        let weighed = Weighed {
            grade: Grade::free(),
            at: Some(Instant::now()),
        };
        let (_weigh, weighed) = watch::channel(weighed);
        let governor = Governor::new(Span::seconds(15), controls, weighed);
        let second = Duration::from_secs(1);
        assert!(!governor.waited(second));
        let chunk = || governor.permit(Rows(5_000), Span::millis(500));
        assert_eq!(chunk().await, FEWEST);
        let next = tokio::time::timeout(Duration::from_millis(100), chunk()).await;
        assert!(next.is_err(), "the first chunk is paid for before the next");
        assert!(governor.waited(second));
    }

    #[test]
    fn what_was_never_weighed_or_too_long_ago_stands_still() {
        let weighed = Weighed {
            grade: Grade::free(),
            at: None,
        };
        let after = |age: Option<u64>| heeded(&weighed, age.map(Span::seconds), Span::seconds(15));
        assert_eq!(after(None).part, 0.0);
        assert_eq!(after(Some(15)), Grade::free());
        assert_eq!(after(Some(16)).part, 0.0);
        assert_eq!(after(Some(16)).signal.as_deref(), Some("stale signals"));
    }
}
