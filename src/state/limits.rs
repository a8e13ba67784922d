//! The limits of signals as they are now: the plan's, or what people set in their place.

use super::migration::Migration;
use crate::domain::limits::{Limited, STREAM_LAG};
use crate::domain::unit::Span;

impl Migration {
    /// The limit of a signal; none where it has none.
    pub fn limit(&self, signal: &str) -> Option<Limited> {
        let mut limited = self.plan.as_ref()?.limit(signal)?;
        limited.limit.at = *self.limits.get(signal).unwrap_or(&limited.limit.at);
        Some(limited)
    }

    /// The limit of a signal that is a length of time.
    pub fn span_limit(&self, signal: &str) -> Option<Span> {
        let seconds = self.limit(signal)?.limit.at.get();
        Some(Span((seconds * 1e6).round() as u64))
    }

    /// The lag beyond which the copy stands still, and the migration is not in step.
    pub fn max_lag(&self) -> Option<Span> {
        self.span_limit(STREAM_LAG)
    }
}
