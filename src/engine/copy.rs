//! The copy worker: reads the next chunk while the last one lands, table after table, in key order.

use super::clock::Watch;
use super::lane::{ChunkRead, Intent, LaneHandle};
use super::report::Report;
use super::site::{Site, stopped};
use super::sizing::Sizing;
use super::throttle::Governor;
use crate::domain::fault::{Kind, Result};
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
    intent: Intent,
    read: ChunkRead,
    chunk: ChunkId,
    range: Range,
    rows: Rows,
    bytes: Bytes,
    watch: Watch,
}

struct Taken {
    intent: Intent,
    read: ChunkRead,
    range: Range,
    bytes: Bytes,
    cut: bool,
}

impl Copier {
    /// Copies what is left of these tables.
    pub async fn run(mut self, starts: Vec<Start>) -> Result<()> {
        let longest = self.site.source.abilities().longest_read;
        let chunk_time = longest.map_or(self.site.plan.backfill.chunk_time, |most| {
            most.min(self.site.plan.backfill.chunk_time)
        });
        for start in starts {
            let mut sizing = Sizing::new(chunk_time, self.site.plan.backfill.chunk_bytes);
            self.table(start, &mut sizing, chunk_time).await?;
        }
        Ok(())
    }

    async fn table(&mut self, start: Start, sizing: &mut Sizing, chunk_time: Span) -> Result<()> {
        let Start {
            table,
            mut no,
            mut lo,
        } = start;
        let mut landing: Option<InHand> = None;
        loop {
            let chunk = ChunkId { table, no };
            if !self.site.moving().await {
                return Err(stopped());
            }
            let size = tokio::select! {
                () = self.site.stop.cancelled() => return Err(stopped()),
                size = self.governor.permit(sizing.rows(), chunk_time) => size,
            };
            self.progress.send_modify(|p| p.copying.push(chunk));
            // The next chunk is read while the last one lands: on one stream they go to the target one after the other.
            let (read, landed) = tokio::join!(
                self.read(chunk, lo.clone(), size, sizing),
                self.land(landing.take())
            );
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

    async fn read(
        &self,
        chunk: ChunkId,
        lo: Option<Bound>,
        size: Rows,
        sizing: &mut Sizing,
    ) -> Result<InHand> {
        let watch = Watch::start();
        let Taken {
            intent,
            read,
            range,
            bytes,
            cut,
        } = self
            .site
            .retry(|| self.take(chunk, lo.clone(), size))
            .await?;
        let rows = Rows(read.rows.len() as u64);
        sizing.took(rows, bytes, watch.took(), cut);
        Ok(InHand {
            intent,
            read,
            chunk,
            range,
            rows,
            bytes,
            watch,
        })
    }

    /// A range whose bounds are settled, because the next chunk begins where it ends.
    async fn read_range(&self, chunk: ChunkId, range: Range) -> Result<Taken> {
        let intent = self.lane.begin().await?;
        let mut view = self.site.source.view(&self.site.plan).await?;
        let barrier = view.barrier().await?;
        let pick = Pick::Range(range.clone());
        let read = view.rows(chunk.table, &pick, Bytes(u64::MAX)).await?;
        let (seen, bytes) = (view.seen().clone(), read.rows.bytes());
        let taken = ChunkRead {
            table: chunk.table,
            seen,
            barrier,
            pick,
            rows: read.rows,
            chunk: Some(chunk),
            keep_before: false,
        };
        Ok(Taken {
            intent,
            read: taken,
            range,
            bytes,
            cut: false,
        })
    }

    async fn take(&self, chunk: ChunkId, lo: Option<Bound>, size: Rows) -> Result<Taken> {
        // Intent first: from here on the lane keeps every change that this read may not see.
        let intent = self.lane.begin().await?;
        let mut view = self.site.source.view(&self.site.plan).await?;
        let barrier = view.barrier().await?;
        let most = self.site.plan.backfill.chunk_bytes;
        let read = view.chunk(chunk.table, lo.as_ref(), size, most).await?;
        let bytes = read.rows.bytes();
        let cut = read.cut.is_some() && (read.rows.len() as u64) < size.0;
        let range = Range { lo, hi: read.cut };
        let taken = ChunkRead {
            table: chunk.table,
            seen: view.seen().clone(),
            barrier,
            pick: Pick::Range(range.clone()),
            rows: read.rows,
            chunk: Some(chunk),
            keep_before: false,
        };
        Ok(Taken {
            intent,
            read: taken,
            range,
            bytes,
            cut,
        })
    }

    async fn land(&self, in_hand: Option<InHand>) -> Result<()> {
        let Some(InHand {
            mut intent,
            mut read,
            chunk,
            range,
            mut rows,
            mut bytes,
            watch,
        }) = in_hand
        else {
            return Ok(());
        };
        let landed = loop {
            match self.lane.land(intent, read).await {
                Ok(landed) => break landed,
                Err(fault) if fault.kind == Kind::Transient => {
                    // The read became useless (its table was redefined, or it took too long): the same range once more.
                    tracing::debug!(error = %fault, %chunk, "read again");
                    let taken = self
                        .site
                        .retry(|| self.read_range(chunk, range.clone()))
                        .await?;
                    (intent, read, bytes) = (taken.intent, taken.read, taken.bytes);
                    rows = Rows(read.rows.len() as u64);
                }
                Err(fault) => return Err(fault),
            }
        };
        self.progress.send_modify(|p| {
            p.rows += rows.0;
            p.bytes += bytes.0;
            p.copying.retain(|c| *c != chunk);
        });
        let report = Report::Landed {
            chunk,
            range,
            rows,
            bytes,
            took: watch.took(),
            position: landed.position,
        };
        self.site.tell(report).await;
        Ok(())
    }
}
