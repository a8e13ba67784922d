//! What the application says about itself, several times a second, in a small file that is always whole.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::demo::error::{Doing, Result};

/// The application's own figures. `witness.json` holds exactly this.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Status {
    /// When it was written, in milliseconds since 1970. Old means: the application is gone or stuck.
    pub at_ms: u64,
    /// Its process.
    pub pid: u32,
    /// Databases it has used, in the order it met them.
    pub databases: Vec<PathBuf>,
    /// Which of them it uses now.
    pub current: usize,
    /// Transactions a second it aims at.
    pub rate: f64,
    /// Transactions it was told are committed.
    pub acknowledged: u64,
    /// Transactions that were refused for good; nobody was promised these.
    pub failed: u64,
    /// Attempts that had to be repeated, because of a lock or a closed gate.
    pub retried: u64,
    /// The longest that an acknowledged transaction took, repeats included, in microseconds.
    pub slowest_us: u64,
    /// The same over the last ten seconds.
    pub slowest_10s_us: u64,
    /// Acknowledged in the last ten seconds.
    pub acknowledged_10s: u64,
    /// Failed in the last ten seconds.
    pub failed_10s: u64,
    /// How long the transaction that is being tried now has waited, when it had to be repeated.
    pub waiting_us: Option<u64>,
    /// Transactions it holds open because it was told to.
    pub open_transactions: Vec<OpenTransaction>,
    /// Not known to the application; whoever counts fills it in.
    pub lost: Option<u64>,
    /// The last thing a database refused with.
    pub last_error: Option<String>,
    /// It has ended in good order; the figures are final.
    pub stopped: bool,
}

/// A transaction that is held open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTransaction {
    /// Who is said to hold it.
    pub name: String,
    /// Until it ends by itself.
    pub ends_in_ms: u64,
}

/// Where the status of an application with this control directory is.
pub fn path(control_dir: &Path) -> PathBuf {
    control_dir.join("witness.json")
}

/// Replaces the file in one step, so that nobody reads half of it.
pub(super) fn write(control_dir: &Path, status: &Status) -> Result<()> {
    let sentence = || {
        format!(
            "cannot write the application's status to {}",
            control_dir.display()
        )
    };
    let new = control_dir.join("witness.json.new");
    std::fs::write(&new, serde_json::to_vec(status).doing(sentence)?).doing(sentence)?;
    std::fs::rename(&new, path(control_dir)).doing(sentence)
}

const SECONDS: usize = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    number: u64,
    acknowledged: u64,
    failed: u64,
    slowest: Duration,
}

/// Counts since the start, and by second for the last ten.
pub(super) struct Tally {
    started: Instant,
    acknowledged: u64,
    failed: u64,
    retried: u64,
    slowest: Duration,
    seconds: [Second; SECONDS],
}

impl Tally {
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            acknowledged: 0,
            failed: 0,
            retried: 0,
            slowest: Duration::ZERO,
            seconds: Default::default(),
        }
    }

    pub fn acknowledged(&mut self, now: Instant, took: Duration) {
        self.acknowledged += 1;
        self.slowest = self.slowest.max(took);
        let second = self.second(now);
        second.acknowledged += 1;
        second.slowest = second.slowest.max(took);
    }

    pub fn failed(&mut self, now: Instant) {
        self.failed += 1;
        self.second(now).failed += 1;
    }

    pub fn retried(&mut self) {
        self.retried += 1;
    }

    /// A status with the figures filled in and all else left empty.
    pub fn status(&self, now: Instant) -> Status {
        let number = self.number(now);
        let recent = || {
            self.seconds
                .iter()
                .filter(|s| s.number + SECONDS as u64 > number)
        };
        Status {
            acknowledged: self.acknowledged,
            failed: self.failed,
            retried: self.retried,
            slowest_us: self.slowest.as_micros() as u64,
            slowest_10s_us: recent()
                .map(|s| s.slowest.as_micros() as u64)
                .max()
                .unwrap_or(0),
            acknowledged_10s: recent().map(|s| s.acknowledged).sum(),
            failed_10s: recent().map(|s| s.failed).sum(),
            ..Status::default()
        }
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs()
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let number = self.number(now);
        let second = &mut self.seconds[(number % SECONDS as u64) as usize];
        if second.number != number {
            *second = Second {
                number,
                ..Second::default()
            };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_seconds_forget_and_the_whole_does_not() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let at = |s: u64| start + Duration::from_millis(s * 1_000 + 500);
        tally.acknowledged(at(0), Duration::from_millis(40));
        tally.failed(at(0));
        for second in 1..=9 {
            tally.acknowledged(at(second), Duration::from_millis(second));
        }
        let status = tally.status(at(9));
        assert_eq!(
            (
                status.slowest_10s_us,
                status.acknowledged_10s,
                status.failed_10s
            ),
            (40_000, 10, 1)
        );
        let status = tally.status(at(10));
        assert_eq!(
            (
                status.slowest_10s_us,
                status.acknowledged_10s,
                status.failed_10s
            ),
            (9_000, 9, 0)
        );
        assert_eq!(
            (status.slowest_us, status.acknowledged, status.failed),
            (40_000, 10, 1)
        );
        tally.acknowledged(at(25), Duration::from_millis(2));
        assert_eq!(tally.status(at(25)).slowest_10s_us, 2_000);
    }
}
