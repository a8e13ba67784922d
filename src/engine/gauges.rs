//! What is held against a limit: what was measured of both ends, and the operator's signals.

use super::grade::{self, Gauge, Grade, Standings};
use super::signals::Reading;
use crate::db::Pulse;
use crate::domain::limits::{ACTIVE, LAG_BYTES, OUR_LOCK, REPLICA_LAG, STREAM_LAG};
use crate::domain::plan::Plan;
use crate::domain::signal::{Figure, Limit, Measure, Signal};
use crate::domain::unit::Span;
use std::collections::BTreeMap;
use std::time::Instant;

/// What is remembered between two measurements.
#[derive(Default)]
pub struct Gauges {
    known: BTreeMap<String, (Figure, Instant)>,
    standings: Standings,
}

/// One figure of our own, as it was measured just now.
struct Measured {
    name: String,
    figure: Option<Figure>,
    limit: Limit,
    measure: Measure,
    trouble: String,
}

impl Gauges {
    /// Holds everything that was measured against its limit.
    pub fn weigh(
        &mut self,
        plan: &Plan,
        (lag, source, limits): (Span, &Pulse, &BTreeMap<String, Figure>),
        readings: &[Reading],
        now: Instant,
    ) -> (Grade, Vec<Signal>) {
        let mut ours = ours(plan, lag, source);
        for measured in &mut ours {
            let of_all = measured.name.starts_with("replica ");
            let name = if of_all { REPLICA_LAG } else { &measured.name };
            measured.limit = now_at(measured.limit, limits.get(name));
        }
        self.known
            .retain(|name, _| ours.iter().any(|measured| measured.name == *name));
        let patience = plan.throttle.stale_after;
        let mut gauges = Vec::with_capacity(ours.len() + plan.signals.len());
        for measured in ours {
            if let Some(figure) = measured.figure {
                self.known.insert(measured.name.clone(), (figure, now));
            }
            let known = self.known.get(&measured.name);
            gauges.push(Gauge {
                figure: known.map(|(figure, _)| *figure),
                age: known.map(|(_, at)| now.saturating_duration_since(*at).into()),
                name: measured.name,
                patience,
                limit: measured.limit,
                measure: measured.measure,
                trouble: measured.trouble,
            });
        }
        for (at, signal) in plan.signals.iter().enumerate() {
            let reading = readings.get(at);
            let known = reading.and_then(|reading| reading.figure);
            gauges.push(Gauge {
                name: signal.name.clone(),
                figure: known.map(|(figure, _)| figure),
                age: known.map(|(_, at)| now.saturating_duration_since(at).into()),
                // A figure is as old as it is read seldom; only what is older than that is silence.
                patience: patience + signal.every,
                limit: now_at(signal.limit, limits.get(&signal.name)),
                measure: signal.measure,
                trouble: reading.map_or_else(String::new, |reading| reading.trouble.clone()),
            });
        }
        grade::grade(&mut self.standings, gauges)
    }
}

/// A limit of the plan, or what was set in its place.
fn now_at(limit: Limit, set: Option<&Figure>) -> Limit {
    Limit {
        at: *set.unwrap_or(&limit.at),
        ..limit
    }
}

fn ours(plan: &Plan, lag: Span, source: &Pulse) -> Vec<Measured> {
    let throttle = &plan.throttle;
    let seconds = |name: &str, figure: Option<Span>, limit: Span| Measured {
        name: name.to_owned(),
        figure: figure.map(Figure::from),
        limit: Limit::most(limit),
        measure: Measure::Seconds,
        trouble: String::new(),
    };
    let unless_blind = |else_what: &str| match source.blind.as_str() {
        "" => else_what.to_owned(),
        blind => blind.to_owned(),
    };
    // Nobody held up is nobody held up for long.
    let held = source.held.unwrap_or(Span::ZERO);
    let mut out = vec![
        seconds(STREAM_LAG, Some(lag), throttle.max_lag),
        seconds(OUR_LOCK, Some(held), throttle.max_lock_wait),
    ];
    if let Some(limit) = throttle.max_lag_bytes {
        out.push(Measured {
            name: LAG_BYTES.into(),
            figure: source.behind.map(Figure::from),
            limit: Limit::most(limit),
            measure: Measure::Bytes,
            trouble: match source.behind {
                Some(_) => String::new(),
                None => "the source does not say how much of its WAL waits for us".into(),
            },
        });
    }
    if let Some(limit) = throttle.max_active {
        out.push(Measured {
            name: ACTIVE.into(),
            figure: source.active.map(Figure::from),
            limit: Limit::most(limit),
            measure: Measure::Number,
            trouble: match source.active {
                Some(_) => String::new(),
                None => unless_blind("the source does not say what runs on it"),
            },
        });
    }
    if let Some(limit) = throttle.max_replica_lag {
        out.extend(replicas(plan, source).into_iter().map(|(name, lag)| {
            let trouble = match (lag, name.as_str()) {
                (Some(_), _) => String::new(),
                (None, REPLICA_LAG) => unless_blind(
                    "no standby follows the source: take max_replica_lag out, or name in replicas those that must be there",
                ),
                (None, _) => unless_blind("this standby does not follow the source now"),
            };
            Measured {
                trouble,
                ..seconds(&name, lag, limit)
            }
        }));
    }
    out
}

/// The standbys that must be there, or those that are; standbys of one name count as the slowest of them.
fn replicas(plan: &Plan, source: &Pulse) -> Vec<(String, Option<Span>)> {
    let mut found: BTreeMap<&str, Option<Span>> = BTreeMap::new();
    for standby in &source.standbys {
        let slowest = found.entry(&standby.name).or_insert(Some(Span::ZERO));
        *slowest = slowest.zip(standby.lag).map(|(a, b)| a.max(b));
    }
    let named = |name: &str, lag| (format!("replica {name}"), lag);
    let wanted = &plan.throttle.replicas;
    match (wanted.is_empty(), found.is_empty()) {
        (false, _) => wanted
            .iter()
            .map(|name| named(name, found.get(name.as_str()).copied().flatten()))
            .collect(),
        (true, true) => vec![(REPLICA_LAG.into(), None)],
        (true, false) => found
            .into_iter()
            .map(|(name, lag)| named(name, lag))
            .collect(),
    }
}
