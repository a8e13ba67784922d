//! The limits of a plan by the names of their signals: what holds the copy, and what people set while it runs.

use super::plan::Plan;
use super::signal::{Bound, Figure, Limit, Measure};

/// Age of the oldest change that is not applied yet.
pub const STREAM_LAG: &str = "stream lag";
/// The same in bytes.
pub const LAG_BYTES: &str = "stream lag in bytes";
/// How long anybody waits for a lock of ours.
pub const OUR_LOCK: &str = "our lock on the source";
/// Statements of others that run on the source.
pub const ACTIVE: &str = "active statements";
/// How far standbys are behind: one limit for all of them.
pub const REPLICA_LAG: &str = "replica lag";

/// All of these: no signal of the config may be called so.
pub const OURS: [&str; 5] = [STREAM_LAG, LAG_BYTES, OUR_LOCK, ACTIVE, REPLICA_LAG];

/// What `[throttle]` of the config calls them: people give them by that name too.
const KEYS: [(&str, &str); 5] = [
    ("max_lag", STREAM_LAG),
    ("max_lag_bytes", LAG_BYTES),
    ("max_lock_wait", OUR_LOCK),
    ("max_active", ACTIVE),
    ("max_replica_lag", REPLICA_LAG),
];

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The signal's name.
    pub name: String,
    /// Its limit, as the plan has it.
    pub limit: Limit,
    /// What it counts.
    pub measure: Measure,
}

impl Plan {
    /// Every limit there is.
    pub fn limits(&self) -> Vec<Limited> {
        let limited = |name: &str, limit: Limit, measure: Measure| Limited {
            name: name.to_owned(),
            limit,
            measure,
        };
        let seconds = |name, span| limited(name, Limit::most(span), Measure::Seconds);
        let throttle = &self.throttle;
        let mut out = vec![
            seconds(STREAM_LAG, throttle.max_lag),
            seconds(OUR_LOCK, throttle.max_lock_wait),
        ];
        let bytes = throttle.max_lag_bytes;
        out.extend(bytes.map(|n| limited(LAG_BYTES, Limit::most(n), Measure::Bytes)));
        let active = throttle.max_active;
        out.extend(active.map(|n| limited(ACTIVE, Limit::most(n), Measure::Number)));
        out.extend(
            throttle
                .max_replica_lag
                .map(|lag| seconds(REPLICA_LAG, lag)),
        );
        let signals = self.signals.iter();
        out.extend(signals.map(|s| limited(&s.name, s.limit, s.measure)));
        out
    }

    /// The limit of a signal.
    pub fn limit(&self, name: &str) -> Option<Limited> {
        self.limits()
            .into_iter()
            .find(|limited| limited.name == name)
    }

    /// Reads `stream lag 5s` or `max_lag 5s`: a signal of the plan, and its new limit in its own measure.
    ///
    /// # Errors
    /// A sentence that says which signals there are, or how the limit is written.
    pub fn read_limit(&self, text: &str) -> Result<(Limited, Figure), String> {
        let (name, value) = text
            .trim()
            .rsplit_once(char::is_whitespace)
            .unwrap_or((text, ""));
        let name = name.trim();
        // A signal of the config may bear such a name itself; then it is meant.
        let own = self
            .signals
            .iter()
            .any(|s| s.name.eq_ignore_ascii_case(name));
        let key = KEYS.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let name = key.filter(|_| !own).map_or(name, |(_, signal)| signal);
        let known = self.limits();
        let Some(limited) = known.iter().find(|l| l.name.eq_ignore_ascii_case(name)) else {
            let names: Vec<String> = known
                .iter()
                .map(|l| format!("{} {}", l.name, l.measure.show(l.limit.at)))
                .collect();
            return Err(format!(
                "give a signal and its limit; there are: {}",
                names.join(", ")
            ));
        };
        let figure = limited
            .measure
            .read(value)
            .filter(|figure| figure.get() > 0.0);
        let figure = figure.ok_or_else(|| {
            let now = limited.measure.show(limited.limit.at);
            format!(
                "\"{value}\" is no limit of {}: write {}",
                limited.name,
                limited.measure.example(&now)
            )
        })?;
        Ok((limited.clone(), figure))
    }
}

impl Limited {
    /// Whether another limit would hold the copy back no later than this one.
    pub fn stricter(&self, at: Figure) -> bool {
        match self.limit.bound {
            Bound::Most => at <= self.limit.at,
            Bound::Least => at >= self.limit.at,
        }
    }
}
