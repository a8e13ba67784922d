//! The copy: reads the next chunk of each table while those before it land, in key order.

use super::clock::Watch;
use super::lane::{ChunkRead, Intent, LaneHandle};
use super::report::Report;
use super::site::{Site, stopped};
use super::sizing::Sizing;
use super::throttle::Governor;
use crate::domain::bulk::Bulk;
use crate::domain::fault::{Kind, Result};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::key::{Bound, Pick, Range};
use crate::domain::unit::{Bytes, Rows, Span};
use futures_util::stream::{self, FuturesOrdered, StreamExt as _, TryStreamExt as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

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

/// What the copy works with.
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
    /// Its place among the chunks in memory.
    room: OwnedSemaphorePermit,
}

/// Whether the chunks of a table are read sealed: quicker, but of no use once a change has touched one before it landed.
#[derive(Default)]
struct Sealing {
    /// Chunks that are still to be read in a form that can be looked into.
    open: AtomicU32,
    /// Whether the target has said that it takes them.
    taken: AtomicBool,
}

/// So many chunks are read open after one had to be read again: a table that is written to all over would be read twice.
const OPEN_AFTER_TOUCHED: u32 = 8;

impl Sealing {
    fn next(&self) -> bool {
        let less = |open: u32| open.checked_sub(1);
        let open = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        open.is_err()
    }

    /// A sealed chunk was touched.
    fn touched(&self) {
        self.open.fetch_max(OPEN_AFTER_TOUCHED, Ordering::Relaxed);
    }

    /// Rows of this table don't go sealed.
    fn refused(&self) {
        self.open.store(u32::MAX, Ordering::Relaxed);
    }
}

struct Taken {
    intent: Intent,
    read: ChunkRead,
    range: Range,
    bytes: Bytes,
    cut: bool,
}

impl Copier {
    /// Copies what is left of these tables, several at once where the plan and the target allow it.
    pub async fn run(self, starts: Vec<Start>) -> Result<()> {
        let longest = self.site.source.abilities().longest_read;
        let chunk_time = longest.map_or(self.site.plan.backfill.chunk_time, |most| {
            most.min(self.site.plan.backfill.chunk_time)
        });
        let wanted = self.site.plan.backfill.workers;
        let landing = wanted.min(self.site.target.abilities().workers).max(1);
        let tables = landing.min(self.site.source.abilities().workers).max(1);
        // Beside the chunks that land, one is read.
        let room = Arc::new(Semaphore::new(usize::from(landing) + 1));
        stream::iter(starts)
            .map(|start| self.table(start, chunk_time, Arc::clone(&room)))
            .buffer_unordered(tables.into())
            .try_collect()
            .await
    }

    /// Reads one chunk after the other, while those before it land, several at once. They are told of in their order: what is
    /// known of a table has no gap, also where the target has a later chunk already. A new engine begins at the gap.
    async fn table(&self, start: Start, chunk_time: Span, room: Arc<Semaphore>) -> Result<()> {
        let Start {
            table,
            mut no,
            mut lo,
        } = start;
        let mut site = self.site.clone();
        let mut sizing = Sizing::new(chunk_time, site.plan.backfill.chunk_bytes);
        let sealing = Sealing::default();
        self.lane.copy_begins(table);
        let mut landings = FuturesOrdered::new();
        loop {
            let chunk = ChunkId { table, no };
            let mut next = pin!(self.next(&mut site, chunk, lo, &mut sizing, &sealing, &room));
            let in_hand = loop {
                tokio::select! {
                    in_hand = &mut next => break in_hand?,
                    Some(landed) = landings.next() => self.site.tell(landed?).await,
                }
            };
            lo = in_hand.range.hi.clone();
            // Handed over at once, however many land already: the lane keeps changes for a read that has begun, and what it keeps
            // must not stop the stream that those who wait to land wait for.
            landings.push_back(self.land(in_hand, &sealing));
            if lo.is_none() {
                while let Some(landed) = landings.next().await {
                    self.site.tell(landed?).await;
                }
                self.lane.make_key(&self.site, table).await?;
                self.site.tell(Report::Copied(table)).await;
                return Ok(());
            }
            no += 1;
        }
    }

    /// The next chunk, once it may be read and there is room for it.
    async fn next(
        &self,
        site: &mut Site,
        chunk: ChunkId,
        lo: Option<Bound>,
        sizing: &mut Sizing,
        sealing: &Sealing,
        room: &Arc<Semaphore>,
    ) -> Result<InHand> {
        let room = Arc::clone(room).acquire_owned().await;
        let room = room.map_err(|_| stopped())?;
        if !site.moving().await {
            return Err(stopped());
        }
        let size = tokio::select! {
            () = site.stop.cancelled() => return Err(stopped()),
            size = self.governor.permit(sizing.rows(), sizing.target()) => size,
        };
        self.progress.send_modify(|p| p.copying.push(chunk));
        self.read(chunk, lo, size, sizing, sealing, room).await
    }

    async fn read(
        &self,
        chunk: ChunkId,
        lo: Option<Bound>,
        size: Rows,
        sizing: &mut Sizing,
        sealing: &Sealing,
        room: OwnedSemaphorePermit,
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
            .retry(|| self.take(chunk, lo.clone(), size, sealing))
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
            room,
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

    async fn take(
        &self,
        chunk: ChunkId,
        lo: Option<Bound>,
        size: Rows,
        sealing: &Sealing,
    ) -> Result<Taken> {
        // Intent first: from here on the lane keeps every change that this read may not see.
        let intent = self.lane.begin().await?;
        let mut view = self.site.source.view(&self.site.plan).await?;
        let barrier = view.barrier().await?;
        let most = self.site.plan.backfill.chunk_bytes;
        let (lo_now, sealed) = (lo.as_ref(), sealing.next());
        let mut read = view.chunk(chunk.table, lo_now, size, most, sealed).await?;
        if let Bulk::Sealed(rows) = &read.rows
            && !sealing.taken.load(Ordering::Relaxed)
        {
            // Only an answer counts: a question that failed is asked again.
            if self.lane.takes_sealed(chunk.table, rows.types()).await? {
                sealing.taken.store(true, Ordering::Relaxed);
            } else {
                sealing.refused();
                read = view.chunk(chunk.table, lo_now, size, most, false).await?;
            }
        }
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

    /// Lands it; gives what is to be told of it.
    async fn land(&self, in_hand: InHand, sealing: &Sealing) -> Result<Report> {
        let InHand {
            mut intent,
            mut read,
            chunk,
            range,
            mut rows,
            mut bytes,
            watch,
            room,
        } = in_hand;
        let landed = loop {
            match self.lane.land(intent, read).await {
                Ok(landed) => break landed,
                Err(fault) if fault.kind == Kind::Transient => {
                    // The read became useless (its table was redefined, or it took too long): the same range once more.
                    tracing::debug!(error = %fault, %chunk, "read again");
                    sealing.touched();
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
        drop(room);
        Ok(Report::Landed {
            chunk,
            range,
            rows,
            bytes,
            took: watch.took(),
            position: landed.position,
        })
    }
}
