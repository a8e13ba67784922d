//! The copy worker: reads the next chunk while the last one lands, table after table, in key order.

use super::clock::Watch;
use super::lane::{ChunkRead, LaneHandle, Ticket};
use super::report::Report;
use super::site::{Site, stopped};
use super::sizing::Sizing;
use super::throttle::Governor;
use crate::db::ChunkMark;
use crate::domain::fault::Result;
use crate::domain::id::{ChunkId, TableId};
use crate::domain::key::{Bound, Pick, Range};
use crate::domain::unit::{Bytes, Rows, Span};
use std::sync::Arc;
use tokio::sync::watch;

/// Where a table's copy goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The table.
    pub table: TableId,
    /// The number of the next chunk.
    pub no: u32,
    /// Its lower bound; none: from the beginning.
    pub lo: Option<Bound>,
}

/// What the copy has done so far, for the sampler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows landed by this engine.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks being read or landed now.
    pub copying: Vec<ChunkId>,
}

/// What a copy worker works with.
pub struct Copier {
    /// What every task has.
    pub site: Site,
    /// Where chunks land.
    pub lane: LaneHandle,
    /// Permits.
    pub governor: Arc<Governor>,
    /// What was done, for the sampler.
    pub progress: watch::Sender<Progress>,
}

struct InHand {
    ticket: Ticket,
    read: ChunkRead,
    chunk: ChunkId,
    range: Range,
    rows: Rows,
    bytes: Bytes,
    watch: Watch,
}

impl Copier {
    /// Copies what is left of these tables.
    pub async fn run(mut self, starts: Vec<Start>) -> Result<()> {
        let longest = self.site.source.abilities().longest_read;
        let chunk_time = longest.map_or(self.site.plan.backfill.chunk_time, |most| most.min(self.site.plan.backfill.chunk_time));
        for start in starts {
            let mut sizing = Sizing::new(chunk_time);
            self.table(start, &mut sizing, chunk_time).await?;
        }
        Ok(())
    }

    async fn table(&mut self, start: Start, sizing: &mut Sizing, chunk_time: Span) -> Result<()> {
        let Start { table, mut no, mut lo } = start;
        let mut landing: Option<InHand> = None;
        loop {
            let chunk = ChunkId { table, no };
            if !self.site.moving().await {
                return Err(stopped());
            }
            let size = self.governor.fitting(sizing.rows(), chunk_time);
            tokio::select! {
                () = self.site.stop.cancelled() => return Err(stopped()),
                () = self.governor.permit(size) => {}
            }
            self.progress.send_modify(|p| p.copying.push(chunk));
            // The next chunk is read while the last one lands: on one stream they go to the target one after the other.
            let (read, landed) = tokio::join!(self.read(chunk, lo.clone(), size, sizing), self.land(landing.take()));
            landed?;
            let in_hand = read?;
            lo.clone_from(&in_hand.range.hi);
            let last = lo.is_none();
            if last {
                self.land(Some(in_hand)).await?;
                self.site.tell(Report::Copied(table)).await;
                return Ok(());
            }
            landing = Some(in_hand);
            no += 1;
        }
    }

    async fn read(&self, chunk: ChunkId, lo: Option<Bound>, size: Rows, sizing: &mut Sizing) -> Result<InHand> {
        let watch = Watch::start();
        let (ticket, read, hi) = self.site.retry(|| self.try_read(chunk, lo.clone(), size)).await?;
        let (rows, bytes) = (Rows(read.rows.len() as u64), read.bytes);
        sizing.took(rows, watch.took(), read.cut);
        let range = Range { lo, hi };
        let mark = ChunkMark { chunk, range: range.clone(), rows };
        let read = ChunkRead { mark: Some(mark), pick: Pick::Range(range.clone()), ..read };
        Ok(InHand { ticket, read, chunk, range, rows, bytes, watch })
    }

    async fn try_read(&self, chunk: ChunkId, lo: Option<Bound>, size: Rows) -> Result<(Ticket, ChunkRead, Option<Bound>)> {
        // Intent first: from here on the lane keeps every change that this read may not see.
        let ticket = self.lane.begin().await?;
        let mut view = self.site.source.view(&self.site.plan).await?;
        let mut hi = view.bound(chunk.table, lo.as_ref(), size).await?;
        let barrier = view.barrier().await?;
        let pick = Pick::Range(Range { lo, hi: hi.clone() });
        let read = view.rows(chunk.table, &pick, self.site.plan.backfill.chunk_bytes).await?;
        let cut = read.cut.is_some();
        if cut {
            hi = read.cut;
        }
        let chunk_read = ChunkRead {
            table: chunk.table,
            pick,
            mark: None,
            seen: view.seen().clone(),
            barrier,
            rows: read.rows,
            bytes: read.bytes,
            cut,
            keep_before: false,
        };
        Ok((ticket, chunk_read, hi))
    }

    async fn land(&self, in_hand: Option<InHand>) -> Result<()> {
        let Some(InHand { ticket, read, chunk, range, rows, bytes, watch }) = in_hand else { return Ok(()) };
        let landed = self.lane.land(ticket, read).await?;
        self.progress.send_modify(|p| {
            p.rows += rows.0;
            p.bytes += bytes.0;
            p.copying.retain(|c| *c != chunk);
        });
        let report = Report::Landed { chunk, range, rows, bytes, took: watch.took(), position: landed.position };
        self.site.tell(report).await;
        Ok(())
    }
}
