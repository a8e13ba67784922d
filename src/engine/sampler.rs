//! Measures both ends and the work in between, four times a second for the screens and once a second for the journal.

use super::copy::Progress;
use super::gauges::Gauges;
use super::lane::{LaneHandle, LaneStats};
use super::report::Report;
use super::signals::Reading;
use super::site::Site;
use super::throttle::{Governor, Weighed};
use crate::db::Pulse;
use crate::domain::event::PauseReason;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::plan::Side;
use crate::domain::position::Position;
use crate::domain::sample::{Sample, ShadowLine};
use crate::domain::unit::{Bytes, Rows, RowsPerSecond, Span};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two measurements.
const EVERY: Duration = Duration::from_millis(250);
/// Rates are means over this time.
const WINDOW: Duration = Duration::from_secs(2);
/// How fast a log grows that a whole server writes is the mean over this time: its checkpoints make it jump.
const GROWTH: Duration = Duration::from_secs(60);
/// What begins to hold is told at once; that it holds no more, or another does, once that has lasted so long: a signal that
/// hovers where it begins to count would fill the journal.
const SETTLED: Duration = Duration::from_secs(1);
/// Shorter than this, growth says nothing.
const ENOUGH: Duration = Duration::from_secs(5);
/// The shortest patience with a measurement.
const ANSWER: Duration = Duration::from_secs(5);
/// A connection that could not be had for so long: longer than a server takes that is only restarted.
const GONE: Duration = Duration::from_secs(3);
/// The code of a connection that could not be had.
const LOST: &str = "CONNECTION-LOST";
/// Heads of the source that are remembered to tell the lag's age; older ones count as the oldest.
const HEADS: usize = 4_096;

/// What the sampler reads from.
pub struct Sampler {
    /// What every task has.
    pub site: Site,
    /// The stream's figures.
    pub lane: LaneHandle,
    /// The copy's.
    pub progress: watch::Receiver<Progress>,
    /// The verifier's.
    pub verified: watch::Receiver<u64>,
    /// Rows in flight, as the supervisor's schedule knows them.
    pub in_flight: watch::Receiver<u64>,
    /// Shadow compare's.
    pub shadow: watch::Receiver<Vec<ShadowLine>>,
    /// To tell what holds the copy back.
    pub governor: Arc<Governor>,
    /// The operator's signals.
    pub readings: watch::Receiver<Vec<Reading>>,
    /// To the throttle.
    pub weighed: watch::Sender<Weighed>,
    /// To the supervisor and the consoles.
    pub samples: watch::Sender<Arc<Sample>>,
}

#[derive(Clone)]
struct Point {
    at: Instant,
    copied: u64,
    bytes: u64,
    verified: u64,
    stats: LaneStats,
    log_rows: Option<Rows>,
    held: Option<Span>,
}

impl Sampler {
    /// Measures until told to end.
    pub async fn run(self) -> Result<()> {
        let mut heads: VecDeque<(Position, Instant)> = VecDeque::new();
        let mut points: VecDeque<Point> = VecDeque::new();
        let mut growth = Growth::default();
        let mut gauges = Gauges::default();
        let mut guards = Vec::new();
        let mut silences = [Silence::default(), Silence::default()];
        let mut target = Pulse::default();
        // Whatever an earlier life of this stream was held by is over: that is the first thing told.
        let mut held: Option<Option<String>> = None;
        let mut holds: (Option<String>, Instant) = (None, Instant::now());
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let gate = self.site.target.gate(&self.site.plan).await?;
        let mut turn = 0u32;
        loop {
            tokio::select! {
                () = self.site.stop.cancelled() => return Ok(()),
                _ = timer.tick() => {}
            }
            let source = match self.pulse(Side::Source).await {
                Ok(pulse) => {
                    silences[0] = Silence::default();
                    pulse
                }
                Err(fault) => {
                    self.silent(Side::Source, &mut silences[0], &fault).await;
                    self.samples.send_replace(Arc::new(self.blind()));
                    // Rates over a time in which nobody looked would be made up.
                    points.clear();
                    continue;
                }
            };
            if turn.is_multiple_of(4) {
                match self.pulse(Side::Target).await {
                    Ok(pulse) => {
                        silences[1] = Silence::default();
                        target = pulse;
                    }
                    Err(fault) => self.silent(Side::Target, &mut silences[1], &fault).await,
                }
                match gate.read().await {
                    Ok(Some(state)) => guards = self.names(&state.unguarded),
                    Ok(None) => {
                        guards = self
                            .site
                            .plan
                            .tables
                            .iter()
                            .filter(|t| t.key().is_some())
                            .map(|t| t.source.clone())
                            .collect()
                    }
                    Err(fault) => tracing::warn!(error = %fault, "the guards could not be read"),
                }
            }
            turn = turn.wrapping_add(1);
            let now = Instant::now();
            let stats = self.lane.stats();
            let lag = lag(&mut heads, source.head, stats.applied, now);
            let (grade, signals) = {
                let (readings, controls) = (self.readings.borrow(), self.site.controls.borrow());
                let measured = (lag, &source, &controls.limits);
                gauges.weigh(&self.site.plan, measured, &readings, now)
            };
            self.weighed.send_replace(Weighed {
                grade: grade.clone(),
                at: Some(now),
            });
            growth.note(source.written, now);
            let progress = self.progress.borrow().clone();
            let point = Point {
                at: now,
                copied: progress.rows,
                bytes: progress.bytes,
                verified: *self.verified.borrow(),
                stats,
                log_rows: source.log_rows,
                held: source.held,
            };
            let since = points.front().cloned().unwrap_or_else(|| point.clone());
            points.push_back(point.clone());
            while points
                .front()
                .is_some_and(|p| now.duration_since(p.at) > WINDOW)
            {
                points.pop_front();
            }
            let rate = |now: u64, before: u64| {
                (now.saturating_sub(before) as f64
                    / point.at.duration_since(since.at).as_secs_f64().max(0.001))
                    as u64
            };
            let pace = self.site.controls.borrow().pace;
            if holds.0 != grade.signal {
                holds = (grade.signal.clone(), now);
            }
            let at_once = held.as_ref().is_none_or(Option::is_none);
            let settled = now.duration_since(holds.1) >= SETTLED;
            if held.as_ref() != Some(&holds.0) && (at_once || settled) {
                self.site.tell(Report::Held(holds.0.clone())).await;
                held = Some(holds.0.clone());
            }
            let copy_rate = RowsPerSecond(rate(point.copied, since.copied));
            let held_by = match (&grade.signal, pace) {
                (Some(_), _) => grade.words.clone(),
                (None, Some(pace)) if self.governor.waited(WINDOW) => {
                    format!("the pace that was set, {pace} rows/s")
                }
                (None, _) if let Some(table) = self.lane.making_key() => {
                    let table = self.site.plan.table(table);
                    let name = table.map(|table| table.target.as_str()).unwrap_or_default();
                    format!("the key of {name}, which is being made")
                }
                _ => String::new(),
            };
            if grade.signal.is_none() && pace.is_none() {
                self.governor.reached(copy_rate);
            }
            self.samples.send_replace(Arc::new(Sample {
                head: source.head,
                applied: stats.applied,
                silent: false,
                lag: Some(lag),
                lag_bytes: source.behind,
                waiting: stats.waiting,
                incoming_per_s: rate(stats.delivered_changes, since.stats.delivered_changes),
                applied_per_s: rate(stats.applied_changes, since.stats.applied_changes),
                copy_rate,
                copy_bytes_per_s: Bytes(rate(point.bytes, since.bytes)),
                allowed: self.governor.allowed(),
                held_by,
                signals,
                source_lock: held_lately(&points, now),
                log_bytes: source.log_bytes,
                log_rows: source.log_rows,
                log_room: log_room(&source, self.site.plan.wal_space),
                source_free: source.free,
                target_free: target.free,
                runway: runway(&source, self.site.plan.wal_space, &points, &growth),
                copying: progress.copying,
                verify_rate: RowsPerSecond(rate(point.verified, since.verified)),
                in_flight: *self.in_flight.borrow(),
                guards_missing: guards.clone(),
                shadow: self.shadow.borrow().clone(),
                memory: memory(),
                dropped: 0,
            }));
        }
    }

    /// Measures an end; one that says nothing for too long is taken for one that can't be reached.
    async fn pulse(&self, side: Side) -> Result<Pulse> {
        let end = match side {
            Side::Source => &self.site.source,
            Side::Target => &self.site.target,
        };
        let patience = self
            .site
            .plan
            .throttle
            .stale_after
            .to_duration()
            .max(ANSWER);
        match tokio::time::timeout(patience, end.pulse(&self.site.plan)).await {
            Ok(pulse) => pulse,
            Err(_) => {
                let what = format!("the {} has given no answer for {patience:?}", side.label());
                Err(Fault::new(Kind::Transient, what).code(LOST))
            }
        }
    }

    /// An end could not be measured. Once that has lasted, everything stands still and says why: it goes on by itself when the
    /// end answers.
    async fn silent(&self, side: Side, silence: &mut Silence, fault: &Fault) {
        let since = *silence.since.get_or_insert_with(|| {
            tracing::warn!(error = %fault, "the {} could not be measured", side.label());
            Instant::now()
        });
        let patience = match fault.code == LOST {
            true => GONE,
            false => self.site.plan.throttle.stale_after.to_duration(),
        };
        let reason = if fault.code == "SOURCE-REPLACED" {
            PauseReason::SourceReplaced(fault.what.clone())
        } else if since.elapsed() >= patience && !std::mem::replace(&mut silence.told, true) {
            PauseReason::Database(side, fault.to_string())
        } else {
            return;
        };
        self.site.tell(Report::Trouble(reason)).await;
    }

    /// What is known while the source can't be measured: nothing that it would have to say.
    fn blind(&self) -> Sample {
        let last = Arc::clone(&self.samples.borrow());
        let stats = self.lane.stats();
        Sample {
            silent: true,
            lag: None,
            lag_bytes: None,
            applied: stats.applied,
            waiting: stats.waiting,
            incoming_per_s: 0,
            applied_per_s: 0,
            copy_rate: RowsPerSecond(0),
            copy_bytes_per_s: Bytes::ZERO,
            verify_rate: RowsPerSecond(0),
            allowed: self.governor.allowed(),
            held_by: "the source gives no answer".to_owned(),
            source_lock: None,
            source_free: None,
            log_room: None,
            runway: None,
            copying: self.progress.borrow().copying.clone(),
            memory: memory(),
            ..(*last).clone()
        }
    }

    fn names(&self, tables: &[TableId]) -> Vec<String> {
        tables
            .iter()
            .filter_map(|id| self.site.plan.table(*id))
            .map(|t| t.source.clone())
            .collect()
    }
}

/// Since when an end could not be measured, and whether that was told.
#[derive(Default)]
struct Silence {
    since: Option<Instant>,
    told: bool,
}

/// The longest that a write of ours held the source within a second.
fn held_lately(points: &VecDeque<Point>, now: Instant) -> Option<Span> {
    let lately = points
        .iter()
        .filter(|p| now.duration_since(p.at) <= Duration::from_secs(1));
    lately.filter_map(|p| p.held).max()
}

/// How much was written to a log of the database's own, over the last minute.
#[derive(Default)]
struct Growth {
    seen: VecDeque<(Instant, Bytes)>,
}

impl Growth {
    fn note(&mut self, written: Option<Bytes>, now: Instant) {
        let Some(written) = written else { return };
        // Put back to an older state, or another server: what was seen before says nothing.
        if self
            .seen
            .back()
            .is_some_and(|(_, before)| written < *before)
        {
            self.seen.clear();
        }
        self.seen.push_back((now, written));
        while self
            .seen
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > GROWTH)
        {
            self.seen.pop_front();
        }
    }

    /// Bytes a second; none while too little was seen.
    fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.seen.front()?, self.seen.back()?);
        let time = to.duration_since(*from);
        (time >= ENOUGH).then(|| (after.0 - before.0) as f64 / time.as_secs_f64())
    }
}

/// What the source may still write before it drops log that we need: by its own limit, or by what the operator says there is,
/// less what of that is taken.
fn log_room(source: &Pulse, space: Option<Bytes>) -> Option<Bytes> {
    let kept = source.log_bytes.unwrap_or_default();
    let left = space.map(|space| Bytes(space.0.saturating_sub(kept.0)));
    [source.room, left].into_iter().flatten().min()
}

/// How long a pause may last: what the log may still take by its growth, which nothing prunes meanwhile; unknown is unknown.
fn runway(
    source: &Pulse,
    space: Option<Bytes>,
    points: &VecDeque<Point>,
    growth: &Growth,
) -> Option<Span> {
    let lasts =
        |room: Bytes, rate: f64| (rate >= 1.0).then(|| Span((room.0 as f64 / rate * 1e6) as u64));
    if source.written.is_some() {
        let room = [log_room(source, space), source.free];
        let room = room.into_iter().flatten().min()?;
        return match room {
            Bytes(0) => Some(Span::ZERO),
            room => lasts(room, growth.rate()?),
        };
    }
    let free = source.free?;
    let per_row = match (source.log_bytes, source.log_rows) {
        (Some(bytes), Some(rows)) if rows.0 > 0 => bytes.0 as f64 / rows.0 as f64,
        _ => return None,
    };
    lasts(free, grown(points)? * per_row)
}

/// Rows a second that come into our log. What the stream delivers tells too little of it: nothing at all in a pause, which is
/// when this is asked, and one change where an update logs two keys. What the log grows by tells too little while it is pruned.
fn grown(points: &VecDeque<Point>) -> Option<f64> {
    let (first, last) = (points.front()?, points.back()?);
    let changes = last
        .stats
        .delivered_changes
        .saturating_sub(first.stats.delivered_changes);
    let mut rows = 0;
    let mut measured = Duration::ZERO;
    for (before, after) in points.iter().zip(points.iter().skip(1)) {
        if let (Some(was), Some(is)) = (before.log_rows, after.log_rows)
            && is >= was
        {
            rows += is.0 - was.0;
            measured += after.at.duration_since(before.at);
        }
    }
    let a_second = |n: u64, time: Duration| n as f64 / time.as_secs_f64().max(0.001);
    let delivered = a_second(changes, last.at.duration_since(first.at));
    Some(delivered.max(a_second(rows, measured)))
}

/// Age of the oldest head that is not applied yet: when it was first seen, not when it was written, so never too old.
fn lag(
    heads: &mut VecDeque<(Position, Instant)>,
    head: Position,
    applied: Position,
    now: Instant,
) -> Span {
    if heads.back().is_none_or(|(newest, _)| head > *newest) {
        if heads.len() == HEADS {
            // Forgetting a middle one only makes the lag look longer for a moment, never shorter.
            heads.remove(HEADS / 2);
        }
        heads.push_back((head, now));
    }
    while heads
        .front()
        .is_some_and(|(position, _)| *position <= applied)
    {
        heads.pop_front();
    }
    heads
        .front()
        .map_or(Span::ZERO, |(_, at)| now.duration_since(*at).into())
}

/// Resident memory of this process, where the system tells.
fn memory() -> Option<Bytes> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(Bytes(pages * 4096))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(growth: &mut Growth, from: Instant, seconds: u64, written: u64) {
        growth.note(Some(Bytes(written)), from + Duration::from_secs(seconds));
    }

    #[test]
    fn a_pause_lasts_by_the_limit_and_the_growth_that_was_measured() {
        let (from, mut growth) = (Instant::now(), Growth::default());
        let pulse = |room: Option<u64>| Pulse {
            written: Some(Bytes(0)),
            room: room.map(Bytes),
            ..Pulse::default()
        };
        let points = VecDeque::new();
        after(&mut growth, from, 0, 1_000);
        after(&mut growth, from, 2, 3_000);
        assert_eq!(
            runway(&pulse(Some(60_000)), None, &points, &growth),
            None,
            "too early"
        );
        after(&mut growth, from, 10, 11_000);
        assert_eq!(
            runway(&pulse(Some(60_000)), None, &points, &growth),
            Some(Span::seconds(60))
        );
        assert_eq!(
            runway(&pulse(None), None, &points, &growth),
            None,
            "no limit is known"
        );
        assert_eq!(
            runway(&pulse(Some(0)), None, &points, &growth),
            Some(Span::ZERO)
        );
        let space = |space: u64| runway(&pulse(None), Some(Bytes(space)), &points, &growth);
        assert_eq!(space(30_000), Some(Span::seconds(30)), "as somebody said");
        after(&mut growth, from, 11, 500);
        assert_eq!(
            runway(&pulse(Some(60_000)), None, &points, &growth),
            None,
            "another log says nothing of this one"
        );
    }

    #[test]
    fn a_log_that_stands_still_ends_nothing() {
        let (from, mut growth) = (Instant::now(), Growth::default());
        after(&mut growth, from, 0, 1_000);
        after(&mut growth, from, 50, 1_000);
        assert_eq!(growth.rate(), Some(0.0));
        after(&mut growth, from, 100, 2_000);
        assert_eq!(
            growth.rate(),
            Some(20.0),
            "older than a minute is forgotten"
        );
    }
}
