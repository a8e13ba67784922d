//! Reads the operator's signals: each at its own pace, one reading at a time, cut when it takes too long.

use super::site::Site;
use crate::db::Endpoint;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::finding::{Finding, Stage};
use crate::domain::plan::{Plan, Side, SignalPlan};
use crate::domain::signal::Figure;
use crate::domain::unit::Span;
use crate::domain::value::Value;
use crate::signal::{From, Probe};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Longest explanation of why a signal is not known that is shown and recorded.
const TROUBLE: usize = 240;

/// What is known of one signal.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The newest figure, and when it was read.
    pub figure: Option<(Figure, Instant)>,
    /// Why the last reading gave none; empty when it did.
    pub trouble: String,
}

/// Reads them until told to end. They are told in the order of the plan.
pub async fn run(
    site: Site,
    probes: Arc<[Probe]>,
    readings: watch::Sender<Vec<Reading>>,
) -> Result<()> {
    readings.send_replace(vec![Reading::default(); site.plan.signals.len()]);
    let reading = site.plan.signals.iter().enumerate().map(|(at, signal)| {
        let probe = probes.iter().find(|probe| probe.name == signal.name);
        follow(&site, signal, probe, at, &readings)
    });
    tokio::select! {
        () = site.stop.cancelled() => {}
        _ = join_all(reading) => site.stop.cancelled().await,
    }
    Ok(())
}

async fn follow(
    site: &Site,
    signal: &SignalPlan,
    probe: Option<&Probe>,
    at: usize,
    readings: &watch::Sender<Vec<Reading>>,
) {
    let tell = |read: Result<Figure>| {
        let trouble = read.as_ref().err().map_or_else(String::new, explained);
        readings.send_modify(|all| {
            let Some(reading) = all.get_mut(at) else {
                return;
            };
            if reading.trouble.is_empty() != trouble.is_empty() {
                match trouble.as_str() {
                    "" => tracing::info!(signal = signal.name, "can be read again"),
                    trouble => tracing::warn!(signal = signal.name, trouble, "could not be read"),
                }
            }
            reading.trouble = trouble;
            if let Ok(figure) = read {
                reading.figure = Some((figure, Instant::now()));
            }
        });
    };
    let Some(probe) = probe else {
        return tell(Err(unknown("nothing says any more how it is read")));
    };
    let ends = Ends {
        source: site.source.as_ref(),
        target: site.target.as_ref(),
    };
    let mut timer = interval(signal.every.to_duration());
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        tell(read(ends, probe, signal.timeout).await);
    }
}

/// Signals of the plan that can't be read now, each read once, side by side.
pub async fn findings(
    source: &dyn Endpoint,
    target: &dyn Endpoint,
    plan: &Plan,
    probes: &[Probe],
) -> Vec<Finding> {
    let ends = Ends { source, target };
    let reading = plan.signals.iter().map(|signal| async {
        let probe = probes.iter().find(|probe| probe.name == signal.name)?;
        let fault = read(ends, probe, signal.timeout).await.err()?;
        Some(Finding {
            code: "SIGNAL-UNKNOWN".into(),
            stage: Stage::KnowBefore,
            side: None,
            table: None,
            what: format!(
                "the signal \"{}\" can't be read, and the copy stands still while it can't",
                signal.name
            ),
            evidence: explained(&fault),
            remedy: format!(
                "mend it, or take its [[signal]] out of the config; it is read from {}",
                signal.from
            ),
            sql: Vec::new(),
        })
    });
    join_all(reading).await.into_iter().flatten().collect()
}

/// Both databases.
#[derive(Clone, Copy)]
struct Ends<'a> {
    source: &'a dyn Endpoint,
    target: &'a dyn Endpoint,
}

/// One reading. What is not there in time is dropped, which ends it wherever it is.
async fn read(ends: Ends<'_>, probe: &Probe, within: Span) -> Result<Figure> {
    let reading = async {
        match &probe.from {
            From::Outside(outside) => outside.read().await,
            From::Sql { on, sql } => {
                let end = match on {
                    Side::Source => ends.source,
                    Side::Target => ends.target,
                };
                number(&end.figure(sql, within).await?)
            }
        }
    };
    match timeout(within.to_duration(), reading).await {
        Ok(read) => read,
        Err(_) => Err(unknown(format!("no answer within {within}"))
            .hint("a longer timeout = \"…\" in its [[signal]], if that is normal")),
    }
}

/// A cell as a figure: a number, or a text that is nothing but one.
fn number(value: &Value) -> Result<Figure> {
    let figure = match value {
        Value::Integer(number) => Figure::new(*number as f64),
        Value::Real(number) => Figure::new(*number),
        Value::Text(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .and_then(Figure::new),
        Value::Null | Value::Blob(_) => None,
    };
    figure.ok_or_else(|| match value {
        Value::Null => unknown("the read gave NULL, which is no figure")
            .hint("coalesce(…, 0), if NULL means none"),
        _ => unknown("the read gave something that is no number"),
    })
}

fn unknown(what: impl Into<String>) -> Fault {
    Fault::new(Kind::Transient, what).code("SIGNAL-UNKNOWN")
}

/// A fault on one line: what, because of what, and what to do.
fn explained(fault: &Fault) -> String {
    let mut words = fault.what.clone();
    for more in [&fault.cause, &fault.hint].into_iter().flatten() {
        words.push_str("; ");
        words.push_str(more);
    }
    let words = crate::domain::redact::redact(&words);
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(TROUBLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_figure_or_says_what_it_is_instead() {
        let text = |text: &str| Value::Text(text.as_bytes().into());
        for (value, figure) in [
            (Value::Integer(7), 7.0),
            (Value::Real(0.5), 0.5),
            (text(" 12.5 "), 12.5),
        ] {
            assert_eq!(number(&value).unwrap().get(), figure);
        }
        for none in [Value::Null, Value::Real(f64::NAN), text("many"), text("")] {
            assert!(number(&none).is_err(), "{none:?}");
        }
        let said = explained(&number(&Value::Null).unwrap_err());
        assert!(said.contains("NULL") && said.contains("coalesce"), "{said}");
    }
}
