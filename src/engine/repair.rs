//! Repair: landing a set of keys again from the source, through the lane, in order with the stream. And its undo.

use super::clock::Watch;
use super::lane::{ChunkRead, LaneHandle};
use super::report::Report;
use super::site::Site;
use super::verify::open_pair;
use crate::db::Landing;
use crate::domain::event::Fact;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, RepairId, TableId};
use crate::domain::key::{Key, Pick};
use crate::domain::plan::Side;
use crate::domain::unit::{Bytes, Span};
use crate::domain::value::Row;
use crate::journal::Reader;
use crate::journal::undo::UndoFile;
use std::path::Path;
use std::sync::Arc;

/// Rows landed in one transaction.
const AT_ONCE: usize = 500;
/// Bytes of rows read for one such transaction.
const BYTES: Bytes = Bytes(32 << 20);
/// How long putting a guard back may take.
const GUARD_BUDGET: Span = Span::seconds(5);
/// Most differing keys known of one chunk before it is compared anew for them.
const KEYS_OF_CHUNK: u32 = 1_000;

/// Lands the differing rows of these chunks again. What differs is found anew, in one pair of views, so that a row the
/// application has changed since is not touched for an old reason.
pub async fn repair(
    site: &Site,
    lane: &LaneHandle,
    journal: &Path,
    repair: RepairId,
    table: TableId,
    chunks: &[ChunkId],
) -> Result<Report> {
    let (mut inserted, mut updated, mut deleted) = (0, 0, 0);
    let mut before: Vec<(Key, Option<Row>)> = Vec::new();
    for chunk in chunks {
        loop {
            let keys = site
                .retry(|| differing(site, lane, table, *chunk, journal))
                .await?;
            let whole = keys.len() >= KEYS_OF_CHUNK as usize;
            for some in keys.chunks(AT_ONCE) {
                let landed = site
                    .retry(|| land(site, lane, table, some.to_vec()))
                    .await?;
                inserted += landed.landed.inserted;
                updated += landed.landed.updated;
                deleted += landed.landed.deleted;
                before.extend(landed.landed.before);
            }
            // A chunk with more differing rows than are listed at once is gone through again until the list is short.
            if !whole {
                break;
            }
        }
    }
    guard(site, table).await?;
    let fact = Fact::Repaired {
        repair,
        inserted,
        updated,
        deleted,
        chunks: chunks.to_vec(),
    };
    Ok(Report::Repaired {
        repair,
        table,
        fact,
        before: Arc::new(before),
    })
}

/// Whoever damaged the rows may have taken the guard away: it is put back, or the next one finds the door open.
async fn guard(site: &Site, table: TableId) -> Result<()> {
    let gate = site.target.gate(&site.plan).await?;
    let state = gate.read().await?;
    let Some(state) = state.filter(|state| !state.open && state.unguarded.contains(&table)) else {
        return Ok(());
    };
    let watch = Watch::start();
    site.retry(|| async { gate.close(state.epoch, GUARD_BUDGET).await.settled() })
        .await?;
    let name = site
        .plan
        .table(table)
        .map(|t| t.target.clone())
        .unwrap_or_default();
    let what = format!("guard on {name}, again");
    site.tell(Report::Made(Side::Target, what, watch.took()))
        .await;
    Ok(())
}

async fn differing(
    site: &Site,
    lane: &LaneHandle,
    table: TableId,
    chunk: ChunkId,
    journal: &Path,
) -> Result<Vec<Key>> {
    let mut reader = Reader::open(journal).await?;
    let range = reader.bounds(chunk).await?.ok_or_else(|| {
        Fault::new(
            Kind::Own,
            format!("the bounds of chunk {} are not in the journal", chunk.no),
        )
    })?;
    let mut pair = open_pair(site, lane).await?;
    let (rows, _) = pair
        .differences(site, lane, table, &range, KEYS_OF_CHUNK as usize)
        .await?;
    Ok(rows.into_iter().map(|diff| diff.key).collect())
}

async fn land(
    site: &Site,
    lane: &LaneHandle,
    table: TableId,
    keys: Vec<Key>,
) -> Result<super::lane::LandedAt> {
    let intent = lane.begin().await?;
    let mut view = site.source.view(&site.plan).await?;
    let barrier = view.barrier().await?;
    let pick = Pick::Keys(keys);
    let read = view.rows(table, &pick, BYTES).await?;
    if read.cut.is_some() {
        return Err(Fault::new(
            Kind::Own,
            "the differing rows are too large to be repaired at once",
        )
        .hint("repair them row by row: tidegate send NAME repair TABLE KEY"));
    }
    let seen = view.seen().clone();
    drop(view);
    lane.land(
        intent,
        ChunkRead {
            table,
            pick,
            chunk: None,
            seen,
            barrier,
            rows: read.rows,
            keep_before: true,
        },
    )
    .await
}

/// Puts back what a repair replaced, row for row.
pub async fn undo(
    lane: &LaneHandle,
    store: &Path,
    repair: RepairId,
    table: TableId,
    chunks: &[ChunkId],
) -> Result<Report> {
    let mut store = UndoFile::open(store).await?;
    let (mut after, mut count) = (0, 0);
    loop {
        let images = store.read(repair, after, AT_ONCE as u32).await?;
        let Some(last) = images.last() else { break };
        after = last.no;
        count += images.len();
        let (rows, gone): (Vec<_>, Vec<_>) =
            images.into_iter().partition(|image| image.row.is_some());
        let rows = rows.into_iter().filter_map(|image| image.row).collect();
        let gone = gone.into_iter().map(|image| image.key).collect();
        lane.put(Landing {
            table,
            mark: None,
            rows: Arc::new(rows),
            gone,
            keep_before: false,
        })
        .await?;
    }
    let fact = Fact::RepairUndone {
        repair,
        rows: u32::try_from(count).unwrap_or(u32::MAX),
        chunks: chunks.to_vec(),
    };
    Ok(Report::RepairEnded(fact))
}
