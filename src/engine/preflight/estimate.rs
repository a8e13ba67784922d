//! How long and how large, from one short read.

use super::{Ask, End, finding};
use crate::domain::finding::{Finding, Stage};
use crate::domain::id::TableId;
use crate::domain::key::{Pick, Range};
use crate::domain::plan::{Plan, Side};
use crate::domain::preflight::Estimate;
use crate::domain::unit::{Bytes, Rows, RowsPerSecond, Span, counted};
use crate::domain::value::Value;
use crate::engine::clock::Watch;
use std::sync::Arc;

/// Most bytes that are read to measure.
const SAMPLE: Bytes = Bytes(16_000_000);
/// A copy writes what it reads, with the key's index and a sync for each chunk: measured, between these parts of the bare
/// read's speed.
const SLOW: f64 = 0.10;
/// See [`SLOW`].
const FAST: f64 = 0.50;
/// Fewer rows than this say nothing about speed.
const ENOUGH: u64 = 500;
/// Free space beyond what the data needs, for indexes, the write-ahead log and the ledger.
const MARGIN: f64 = 1.25;

/// Measures, and adds a finding where space is short. What can't be measured is left out, never guessed.
pub(super) async fn estimate(
    source: End<'_>,
    target: End<'_>,
    plan: &Arc<Plan>,
    ask: Ask,
    findings: &mut Vec<Finding>,
) -> Estimate {
    let live = plan.ids().filter(|(_, table)| table.key().is_some());
    let moved: Vec<(TableId, Rows, bool)> = live
        .map(|(id, table)| {
            let mut tables = source.survey.tables.iter();
            let found = tables.find(|found| found.table.source == table.source);
            found.map_or((id, Rows::ZERO, true), |found| {
                (id, found.rows, found.exact)
            })
        })
        .collect();
    let rows: Rows = moved.iter().map(|(_, rows, _)| *rows).sum();
    let (all, _) = source.survey.rows();
    let part = if all == Rows::ZERO {
        1.0
    } else {
        rows.0 as f64 / all.0 as f64
    };
    // What was copied already takes no more space.
    let there = if ask.begun { target.survey.bytes.0 } else { 0 };
    let needs = (source.survey.bytes.0 as f64 * part * MARGIN) as u64;
    let (target_free, source_free) = tokio::join!(free(target, plan), free(source, plan));
    let mut estimate = Estimate {
        rows,
        exact: moved.iter().all(|(_, _, exact)| *exact),
        tables: moved.len() as u32,
        target_needs: Bytes(needs.saturating_sub(there)),
        target_free,
        source_free,
        log_per_change: plan.source.engine.words().log_row.map(Bytes),
        ..Estimate::default()
    };
    if ask.speed
        && let Some((id, ..)) = moved.iter().max_by_key(|(_, rows, _)| *rows)
    {
        measure(source, plan, *id, &mut estimate).await;
    }
    if let Some(free) = estimate
        .target_free
        .filter(|free| *free < estimate.target_needs)
    {
        findings.push(Finding {
            side: Some(Side::Target),
            evidence: format!(
                "about {} are needed, {free} are free",
                estimate.target_needs
            ),
            remedy: "free space, or put the target elsewhere".into(),
            ..finding(
                "TARGET-SPACE",
                Stage::BlocksCopy,
                "there is not enough space for the target",
            )
        });
    }
    estimate
}

async fn free(end: End<'_>, plan: &Arc<Plan>) -> Option<Bytes> {
    // A target that does not exist yet has no pulse; that is no reason not to estimate the rest.
    end.endpoint
        .pulse(plan)
        .await
        .ok()
        .and_then(|pulse| pulse.free)
}

async fn measure(source: End<'_>, plan: &Arc<Plan>, id: TableId, estimate: &mut Estimate) {
    let Some(table) = plan.table(id) else { return };
    let watch = Watch::start();
    let read = async {
        let mut view = source.endpoint.view(plan).await?;
        view.rows(id, &Pick::Range(Range::default()), SAMPLE).await
    };
    let read = match read.await {
        Ok(read) => read,
        Err(_) => {
            estimate.basis = format!("no speed is known: {} could not be read", table.source);
            return;
        }
    };
    let took = watch.took();
    let count = read.rows.len() as u64;
    if let (Some(spec), Some(row)) = (table.key(), estimate.log_per_change) {
        let keys = read.rows.iter().flat_map(|row| {
            let cells = spec.columns.iter();
            cells
                .filter_map(|at| row.get(usize::from(*at)).map(Value::weight))
                .collect::<Vec<_>>()
        });
        let bytes: u64 = keys.sum();
        estimate.log_per_change = Some(Bytes(row.0 + bytes.checked_div(count).unwrap_or_default()));
    }
    if count < ENOUGH || took == Span::ZERO {
        estimate.basis = format!("too few rows in {} to measure a speed", table.source);
        return;
    }
    let bare = count as f64 / took.as_secs_f64();
    let most = plan
        .backfill
        .max_rows_per_second
        .map_or(f64::INFINITY, |rate| rate.0 as f64);
    let at = |part: f64| RowsPerSecond((bare * part).min(most).max(1.0) as u64);
    let (slow, fast) = (at(SLOW), at(FAST));
    let time = |rate: RowsPerSecond| Span((estimate.rows.0 as f64 / rate.0 as f64 * 1e6) as u64);
    estimate.copy = Some((time(fast), time(slow)));
    estimate.rate = Some((slow, fast));
    let limit = if most.is_finite() {
        ", held to max_rows_per_second"
    } else {
        ""
    };
    estimate.basis = format!(
        "from reading {} of {} in {took}{limit}",
        counted(count, "row"),
        table.source
    );
}
