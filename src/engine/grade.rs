//! How far the signals let the copy go: pure, and what it must remember is handed to it.

use crate::domain::signal::{Bound, Figure, Limit, Measure, Signal};
use crate::domain::unit::Span;
use std::collections::BTreeMap;

/// From this part of a limit on the copy slows down in proportion: waiting for a signal to *cross* its limit before doing
/// anything would make the application feel the overshoot.
pub const SLOWS: f64 = 0.5;
/// Once it stood still, the copy begins again below this part of the limit. A signal that the copy itself pushes would
/// otherwise make it start and stop with every measurement.
pub const AGAIN: f64 = 0.8;

/// Whether a signal has made the copy stand still, and has not let it go since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It lets the copy move.
    #[default]
    Moving,
    /// It was at its limit, and is not far enough below it yet.
    Still,
}

/// How far one signal lets the copy go, 0 to 1, by how much of its limit is used up, and how it stands then.
pub fn weigh(was: Standing, used: f64) -> (f64, Standing) {
    let still_from = match was {
        Standing::Moving => 1.0,
        Standing::Still => AGAIN,
    };
    if used >= still_from {
        return (0.0, Standing::Still);
    }
    let part = (1.0 - used) / (1.0 - SLOWS);
    (part.clamp(0.0, 1.0), Standing::Moving)
}

/// How every signal stands, by name.
pub type Standings = BTreeMap<String, Standing>;

/// One signal, to be held against its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// Its name.
    pub name: String,
    /// The newest figure; none: there never was one.
    pub figure: Option<Figure>,
    /// How old that is.
    pub age: Option<Span>,
    /// Older than this, it says nothing any more.
    pub patience: Span,
    /// Its limit.
    pub limit: Limit,
    /// What it counts.
    pub measure: Measure,
    /// Why it could not be read the last time; empty when it could.
    pub trouble: String,
}

/// How far signals let the copy go, 0 (stand still) to 1, and which of them holds it back with its figure and limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Grade {
    /// 0 to 1.
    pub part: f64,
    /// The signal, by name only: the name stays while the figure moves.
    pub signal: Option<String>,
    /// The signal with its figure and limit, for the screen.
    pub words: String,
}

impl Grade {
    /// Nothing holds.
    pub fn free() -> Self {
        Self {
            part: 1.0,
            signal: None,
            words: String::new(),
        }
    }

    /// Everything stands still.
    pub fn closed(signal: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            part: 0.0,
            signal: Some(signal.into()),
            words: words.into(),
        }
    }
}

/// Holds every signal against its limit. The worst decides, the first of equals; one that is not known stands still: silence
/// never means that all is well.
pub fn grade(standings: &mut Standings, gauges: Vec<Gauge>) -> (Grade, Vec<Signal>) {
    standings.retain(|name, _| gauges.iter().any(|gauge| gauge.name == *name));
    let mut worst = Grade::free();
    let mut signals = Vec::with_capacity(gauges.len());
    for gauge in gauges {
        let fresh = gauge
            .figure
            .filter(|_| gauge.age.is_some_and(|age| age <= gauge.patience));
        let standing = standings.entry(gauge.name.clone()).or_default();
        let used = fresh.map(|figure| gauge.limit.used(figure));
        let part = match used {
            Some(used) => {
                let (part, now) = weigh(*standing, used);
                *standing = now;
                part
            }
            None => 0.0,
        };
        let signal = Signal {
            figure: fresh,
            limit: gauge.limit,
            measure: gauge.measure,
            age: gauge.age,
            holds: part < 1.0,
            trouble: gauge.trouble,
            name: gauge.name,
        };
        if part < worst.part {
            worst = Grade {
                part,
                words: words(&signal, used, part),
                signal: Some(signal.name.clone()),
            };
        }
        signals.push(signal);
    }
    (worst, signals)
}

/// What holds, with its figures, and why where those do not say it.
fn words(signal: &Signal, used: Option<f64>, part: f64) -> String {
    let name = &signal.name;
    match used {
        Some(used) if part == 0.0 && used < 1.0 => {
            let again = signal.measure.show(signal.limit.figure_at(AGAIN));
            let side = match signal.limit.bound {
                Bound::Most => "below",
                Bound::Least => "above",
            };
            format!("{name} {}, goes on {side} {again}", signal.figures())
        }
        Some(_) => format!("{name} {}", signal.figures()),
        None => format!("{name} {}", signal.unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slows_from_half_of_a_limit_stands_still_at_it_and_begins_again_well_below() {
        use Standing::{Moving, Still};
        // How it stood, how much is used up, how far it may go, how it stands.
        for (was, used, part, then) in [
            (Moving, -1.0, 1.0, Moving),
            (Moving, 0.0, 1.0, Moving),
            (Moving, 0.5, 1.0, Moving),
            (Moving, 0.75, 0.5, Moving),
            (Moving, 0.9, 0.2, Moving),
            (Moving, 0.999, 0.002, Moving),
            (Moving, 1.0, 0.0, Still),
            (Moving, 7.0, 0.0, Still),
            (Moving, f64::INFINITY, 0.0, Still),
            (Still, 1.2, 0.0, Still),
            (Still, 0.999, 0.0, Still),
            (Still, 0.8, 0.0, Still),
            (Still, 0.79, 0.42, Moving),
            (Still, 0.5, 1.0, Moving),
            (Still, 0.0, 1.0, Moving),
        ] {
            let (is, now) = weigh(was, used);
            assert!((is - part).abs() < 1e-9, "{was:?} {used}: {is}");
            assert_eq!(now, then, "{was:?} {used}");
        }
    }

    fn gauge(name: &str, figure: Option<f64>, age_s: Option<u64>, limit: Limit) -> Gauge {
        Gauge {
            name: name.into(),
            figure: figure.and_then(Figure::new),
            age: age_s.map(Span::seconds),
            patience: Span::seconds(10),
            limit,
            measure: Measure::Number,
            trouble: String::new(),
        }
    }

    fn told(standings: &mut Standings, gauges: &[Gauge]) -> (f64, String) {
        let (grade, signals) = grade(standings, gauges.to_vec());
        assert_eq!(signals.len(), gauges.len());
        (grade.part, grade.words)
    }

    #[test]
    fn the_worst_is_named_with_its_figures_and_stays_named_until_it_lets_go() {
        let mut standings = Standings::new();
        let mut at = |cpu: f64| {
            let cpu = gauge("cpu", Some(cpu), Some(0), Limit::most(80));
            let lag = gauge("stream lag", Some(2.0), Some(0), Limit::most(3));
            told(&mut standings, &[lag, cpu])
        };
        assert_eq!(at(20.0).1, "stream lag 2 of 3");
        assert_eq!(at(75.0).1, "cpu 75 of 80");
        assert_eq!(at(81.0), (0.0, "cpu 81 of 80".into()));
        assert_eq!(at(70.0), (0.0, "cpu 70 of 80, goes on below 64".into()));
        assert_eq!(at(63.0).1, "cpu 63 of 80");
        assert_eq!(at(70.0).1, "cpu 70 of 80", "moving, it is slowed only");
    }

    #[test]
    fn what_should_stay_above_is_held_from_its_other_side() {
        let least = Limit {
            bound: Bound::Least,
            at: Figure::from(10u32),
        };
        let mut standings = Standings::new();
        let mut at = |free: f64| told(&mut standings, &[gauge("free", Some(free), Some(0), least)]);
        assert_eq!(at(20.0), (1.0, String::new()));
        assert_eq!(at(10.0), (0.0, "free 10, at least 10".into()));
        assert_eq!(
            at(12.0),
            (0.0, "free 12, at least 10, goes on above 12.5".into())
        );
        assert!(at(13.0).0 > 0.0);
        assert_eq!(at(-1.0).0, 0.0);
    }

    #[test]
    fn what_is_not_known_stands_still_and_says_why() {
        let limit = Limit::most(80);
        let mut standings = Standings::new();
        let mut says = |gauge: Gauge| told(&mut standings, &[gauge]);
        assert_eq!(
            says(gauge("cpu", None, None, limit)),
            (0.0, "cpu not read yet".into())
        );
        assert_eq!(
            says(gauge("cpu", Some(1.0), Some(10), limit)).0,
            1.0,
            "still fresh"
        );
        assert_eq!(
            says(gauge("cpu", Some(1.0), Some(11), limit)),
            (0.0, "cpu unknown for 11s".into())
        );
        let troubled = |figure, age| Gauge {
            trouble: "http://db1 answered 503".into(),
            ..gauge("cpu", figure, age, limit)
        };
        assert_eq!(
            says(troubled(Some(1.0), Some(3))).0,
            1.0,
            "one failure is no silence yet"
        );
        assert_eq!(
            says(troubled(Some(1.0), Some(30))).1,
            "cpu unknown for 30s: http://db1 answered 503"
        );
        assert_eq!(
            says(troubled(None, None)).1,
            "cpu unknown: http://db1 answered 503"
        );
    }

    #[test]
    fn a_signal_that_is_gone_is_forgotten() {
        let mut standings = Standings::new();
        let still = gauge("replica r1", Some(9.0), Some(0), Limit::most(3));
        told(&mut standings, &[still]);
        told(&mut standings, &[]);
        let back = gauge("replica r1", Some(2.9), Some(0), Limit::most(3));
        assert!(told(&mut standings, &[back]).0 > 0.0);
    }
}
