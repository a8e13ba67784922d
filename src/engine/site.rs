//! What every task of the engine is given: both ends, the plan, what to heed and where to report.

use super::decide::Controls;
use super::report::Report;
use crate::db::Endpoint;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Plan;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What a task works with. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    /// What was decided.
    pub plan: Arc<Plan>,
    /// Where rows come from.
    pub source: Arc<dyn Endpoint>,
    /// Where they go.
    pub target: Arc<dyn Endpoint>,
    /// To the supervisor. Bounded: a task waits when the journal is slow.
    pub reports: mpsc::Sender<Report>,
    /// What to heed.
    pub controls: watch::Receiver<Controls>,
    /// Ends this task.
    pub stop: CancellationToken,
}

/// The first wait before something that failed in passing is tried again; doubled up to [`RETRY_MOST`].
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);

impl Site {
    /// Tells the supervisor. A supervisor that is gone is ending this task anyway.
    pub async fn tell(&self, report: Report) {
        let _ = self.reports.send(report).await;
    }

    /// Waits until the copy may move, or the task ends (false).
    pub async fn moving(&mut self) -> bool {
        self.heed(|c| !c.still).await
    }

    /// Waits until comparing may go on, or the task ends (false).
    pub async fn comparing(&mut self) -> bool {
        self.heed(|c| !c.stop_all).await
    }

    async fn heed(&mut self, may: impl Fn(&Controls) -> bool) -> bool {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => false,
            changed = self.controls.wait_for(|c| may(c)) => changed.is_ok(),
        }
    }

    /// Tries again what fails in passing, with growing waits, until it is done, fails for good, or the task ends.
    pub async fn retry<T, F: Future<Output = Result<T>>>(
        &self,
        mut act: impl FnMut() -> F,
    ) -> Result<T> {
        let mut wait = RETRY_FIRST;
        loop {
            let fault = match act().await {
                Ok(value) => return Ok(value),
                Err(fault) if fault.kind == Kind::Transient => fault,
                Err(fault) => return Err(fault),
            };
            let longer = (wait * 2).min(RETRY_MOST);
            // What does not pass by itself is told, once: somebody may have to do something about it.
            if longer > wait && longer == RETRY_MOST {
                let (because, hint) = (fault.cause.as_deref(), fault.hint.as_deref());
                tracing::warn!(because, hint, "waits, and tries again: {fault}");
            } else {
                tracing::debug!(error = %fault, "tried again in {wait:?}");
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(stopped()),
                () = tokio::time::sleep(wait) => wait = longer,
            }
        }
    }
}

/// What a task says when it was told to end.
pub fn stopped() -> Fault {
    Fault::new(Kind::Interrupted, "stopped")
}
