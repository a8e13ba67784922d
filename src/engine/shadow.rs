//! Shadow compare: the same read on source and target, results and latency side by side, before anybody depends on it.
//!
//! A result that differs is read again on a pair of views: only when no change of the stream lay between both reads is it
//! counted as a mismatch; otherwise it is unproven.

use super::clock::Watch;
use super::lane::LaneHandle;
use super::site::Site;
use super::verify::open_pair;
use crate::db::{ResultSet, View};
use crate::domain::fault::{Kind, Result};
use crate::domain::plan::ShadowQuery;
use crate::domain::sample::ShadowLine;
use crate::domain::unit::Span;
use crate::domain::value::{Row, Value};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;

/// Latencies kept for each query and side: what the percentiles are of.
const KEPT: usize = 1_000;
/// Most rows of a result that are compared.
const ROWS_MOST: u32 = 1_000;
/// Parameter rows fetched at once.
const PARAMS_AT_ONCE: u32 = 200;
/// How often a differing result is read again before it counts as unproven.
const TRIES: u32 = 5;

struct Running {
    query: ShadowQuery,
    line: ShadowLine,
    params: VecDeque<Row>,
    source: VecDeque<Span>,
    target: VecDeque<Span>,
}

/// Compares reads at the rate the controls say until told to end.
pub async fn run(
    mut site: Site,
    lane: LaneHandle,
    lines: watch::Sender<Vec<ShadowLine>>,
) -> Result<()> {
    let mut queries: Vec<Running> = site
        .plan
        .shadow
        .iter()
        .map(|query| Running {
            line: ShadowLine {
                name: query.name.clone(),
                ..ShadowLine::default()
            },
            query: query.clone(),
            params: VecDeque::new(),
            source: VecDeque::new(),
            target: VecDeque::new(),
        })
        .collect();
    let mut turn = 0;
    while site.comparing().await && !queries.is_empty() {
        let rate = site.controls.borrow().shadow_per_second.max(1);
        let watch = Watch::start();
        let at = turn % queries.len();
        turn += 1;
        match queries[at].once(&site, &lane).await {
            Ok(()) => {}
            Err(fault) if fault.kind == Kind::Interrupted => return Ok(()),
            Err(fault) => {
                tracing::warn!(error = %fault, query = %queries[at].query.name, "shadow compare")
            }
        }
        lines.send_replace(queries.iter().map(|q| q.line.clone()).collect());
        let pause = Duration::from_secs_f64(1.0 / f64::from(rate))
            .saturating_sub(watch.took().to_duration());
        tokio::select! {
            () = site.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

impl Running {
    async fn once(&mut self, site: &Site, lane: &LaneHandle) -> Result<()> {
        let params = self.next_params(site).await?;
        let mut source = site.source.view(&site.plan).await?;
        let (at_source, took) = timed(source.as_mut(), &self.query.sql, &params).await;
        drop(source);
        keep(&mut self.source, took);
        let mut target = site.target.view(&site.plan).await?;
        let (at_target, took) = timed(target.as_mut(), &self.query.sql, &params).await;
        drop(target);
        keep(&mut self.target, took);
        self.line.compared += 1;
        self.line.source_errors += u64::from(at_source.is_err());
        self.line.target_errors += u64::from(at_target.is_err());
        (self.line.source_p50, self.line.source_p95) = percentiles(&self.source);
        (self.line.target_p50, self.line.target_p95) = percentiles(&self.target);
        let (Ok(at_source), Ok(at_target)) = (at_source, at_target) else {
            return Ok(());
        };
        if same(&at_source, &at_target, self.query.ordered) {
            self.line.matched += 1;
            return Ok(());
        }
        self.again(site, lane, &params).await
    }

    /// Reads both again at known positions until no change lies between them.
    async fn again(&mut self, site: &Site, lane: &LaneHandle, params: &[Value]) -> Result<()> {
        for _ in 0..TRIES {
            let mut pair = open_pair(site, lane).await?;
            let (source, target) = pair.both();
            let at_source = source.query(&self.query.sql, params, ROWS_MOST).await?;
            let at_target = target.query(&self.query.sql, params, ROWS_MOST).await?;
            if same(&at_source, &at_target, self.query.ordered) {
                self.line.matched += 1;
                return Ok(());
            }
            if pair.nothing_between() {
                self.line.mismatched += 1;
                self.line.last_mismatch = Some(words(params, &at_source, &at_target));
                return Ok(());
            }
        }
        self.line.unproven += 1;
        Ok(())
    }

    async fn next_params(&mut self, site: &Site) -> Result<Row> {
        let Some(sql) = &self.query.params else {
            return Ok(Row::default());
        };
        if self.params.is_empty() {
            let mut view = site.source.view(&site.plan).await?;
            self.params = view.query(sql, &[], PARAMS_AT_ONCE).await?.rows.into();
        }
        Ok(self.params.pop_front().unwrap_or_default())
    }
}

async fn timed(view: &mut dyn View, sql: &str, params: &[Value]) -> (Result<ResultSet>, Span) {
    let watch = Watch::start();
    let result = view.query(sql, params, ROWS_MOST).await;
    (result, watch.took())
}

fn keep(latencies: &mut VecDeque<Span>, took: Span) {
    if latencies.len() == KEPT {
        latencies.pop_front();
    }
    latencies.push_back(took);
}

fn percentiles(latencies: &VecDeque<Span>) -> (Span, Span) {
    let mut sorted: Vec<Span> = latencies.iter().copied().collect();
    sorted.sort_unstable();
    let at = |part: f64| {
        sorted
            .get(((sorted.len().saturating_sub(1)) as f64 * part) as usize)
            .copied()
            .unwrap_or_default()
    };
    (at(0.5), at(0.95))
}

fn same(a: &ResultSet, b: &ResultSet, ordered: bool) -> bool {
    if a.rows.len() != b.rows.len() || a.more != b.more {
        return false;
    }
    if ordered {
        return a.rows == b.rows;
    }
    let sorted = |set: &ResultSet| {
        let mut hashes: Vec<u128> = set
            .rows
            .iter()
            .map(|row| crate::db::canon::row_hash(row))
            .collect();
        hashes.sort_unstable();
        hashes
    };
    sorted(a) == sorted(b)
}

/// The mismatch in words without row data: what differs is looked at in Diff, by those who may see it.
fn words(params: &[Value], a: &ResultSet, b: &ResultSet) -> String {
    let counts = if a.rows.len() == b.rows.len() {
        let differing = a.rows.iter().zip(&b.rows).filter(|(a, b)| a != b).count();
        format!("{differing} of {} rows differ", a.rows.len())
    } else {
        format!(
            "{} rows on the source, {} on the target",
            a.rows.len(),
            b.rows.len()
        )
    };
    if params.is_empty() {
        counts
    } else {
        format!("{counts}, with {} parameters", params.len())
    }
}
