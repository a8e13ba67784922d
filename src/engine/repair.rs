//! Repair: landing a set of keys again from the source, through the lane, in order with the stream. And its undo.

use super::clock::Watch;
use super::lane::{ChunkRead, LaneHandle};
use super::report::Report;
use super::site::Site;
use super::verify::{bounds, open_pair, read_of};
use crate::db::{Landed, Landing};
use crate::domain::event::Fact;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, RepairId, TableId};
use crate::domain::key::{Key, Pick, Range};
use crate::domain::plan::Side;
use crate::domain::position::Position;
use crate::domain::unit::{Bytes, Span};
use crate::domain::value::Row;
use crate::journal::Reader;
use crate::journal::undo::UndoFile;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Rows landed in one transaction.
const AT_ONCE: usize = 500;
/// Bytes of rows of one side read for one such transaction (at least one row).
const BYTES: Bytes = Bytes(8 << 20);
/// How long putting a guard back may take.
const GUARD_BUDGET: Span = Span::seconds(5);
/// Most differing keys of one chunk that are gone through before it is compared anew.
const KEYS_AT_ONCE: usize = 1_000;

/// What a repair works with.
pub struct Repairer {
    /// What every task has.
    pub site: Site,
    /// Where rows land.
    pub lane: LaneHandle,
    /// Where the chunks' bounds are.
    pub journal: Reader,
    /// Where what is replaced is kept.
    pub undo: UndoFile,
}

impl Repairer {
    /// Lands the differing rows of these chunks again. What differs is found anew, in one pair of views, so that a row the
    /// application has changed since is not touched for an old reason.
    ///
    /// What is about to be replaced is kept on disk before it is: killed in the middle, a repair goes on with the next engine
    /// and all of it can still be put back. One that fails after it has landed something says both.
    pub async fn run(
        mut self,
        repair: RepairId,
        table: TableId,
        chunks: &[ChunkId],
    ) -> Result<Report> {
        let mut sum = Landed::default();
        let ended = self.chunks(repair, table, chunks, &mut sum).await;
        let touched = sum.inserted + sum.updated + sum.deleted > 0;
        match ended {
            Err(fault) if fault.kind == Kind::Interrupted || !touched => return Err(fault),
            Err(fault) => self.site.tell(Report::Failed(fault)).await,
            Ok(()) => guard(&self.site, table).await?,
        }
        let fact = Fact::Repaired {
            repair,
            inserted: sum.inserted,
            updated: sum.updated,
            deleted: sum.deleted,
            chunks: chunks.to_vec(),
        };
        Ok(Report::Repaired(fact))
    }

    async fn chunks(
        &mut self,
        repair: RepairId,
        table: TableId,
        chunks: &[ChunkId],
        sum: &mut Landed,
    ) -> Result<()> {
        for chunk in chunks {
            let range = bounds(&mut self.journal, &self.lane, *chunk).await?;
            loop {
                let (mut keys, more) = self.site.retry(|| self.differing(table, &range)).await?;
                while !keys.is_empty() {
                    let next = keys.split_off(keys.len().min(AT_ONCE));
                    let mut some = std::mem::replace(&mut keys, next);
                    let kept = self.keep(repair, table, &some).await?;
                    some.splice(kept.., []).for_each(|key| keys.push(key));
                    let (landed, read) = self.site.retry(|| self.land(table, &some)).await?;
                    sum.inserted += landed.inserted;
                    sum.updated += landed.updated;
                    sum.deleted += landed.deleted;
                    keys.extend(some.split_off(read));
                }
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn differing(&self, table: TableId, range: &Range) -> Result<(Vec<Key>, bool)> {
        let mut pair = open_pair(&self.site, &self.lane).await?;
        pair.differing_keys(&self.lane, table, range, KEYS_AT_ONCE)
            .await
    }

    /// Keeps the target's rows of these keys, as many as fit; says of how many.
    async fn keep(&mut self, repair: RepairId, table: TableId, keys: &[Key]) -> Result<usize> {
        let plan = self
            .site
            .plan
            .table(table)
            .cloned()
            .ok_or_else(|| Fault::new(Kind::Usage, format!("the plan has no table {table}")))?;
        let pick = Pick::Keys(keys.to_vec());
        let read = self
            .site
            .retry(|| async {
                let mut view = self.site.target.view(&self.site.plan).await?;
                view.rows(table, &pick, BYTES).await
            })
            .await?;
        let count = read_of(keys, &read);
        let mut rows: HashMap<Key, Row> = read
            .rows
            .iter()
            .map(|row| (plan.key_of(&row), row))
            .collect();
        let before: Vec<(Key, Option<Row>)> = keys[..count]
            .iter()
            .map(|key| (key.clone(), rows.remove(key)))
            .collect();
        self.undo.keep(repair, table, &before).await?;
        Ok(count)
    }

    /// Lands as many of these keys as fit; says how many.
    async fn land(&self, table: TableId, keys: &[Key]) -> Result<(Landed, usize)> {
        let intent = self.lane.begin().await?;
        let mut view = self.site.source.view(&self.site.plan).await?;
        let barrier = view.barrier().await?;
        let read = view.rows(table, &Pick::Keys(keys.to_vec()), BYTES).await?;
        let count = read_of(keys, &read);
        let seen = view.seen().clone();
        drop(view);
        let read = ChunkRead {
            table,
            pick: Pick::Keys(keys[..count].to_vec()),
            chunk: None,
            seen,
            barrier,
            rows: read.rows,
            keep_before: false,
        };
        let landed = self.lane.land(intent, read).await?;
        Ok((landed.landed, count))
    }
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
            // What was there before is put back, wherever the stream stands.
            after: Position::START,
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
