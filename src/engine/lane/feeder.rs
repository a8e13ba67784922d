//! The task that reads the stream ahead of the lane, so that nothing else the lane hears of ever interrupts a read.

use crate::domain::change::Item;
use crate::domain::fault::{Fault, Result};
use crate::domain::position::Position;
use crate::engine::site::{Site, stopped};
use futures_util::future::poll_immediate;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// Handfuls read ahead at most, and kilobytes of them (and one more item, however large).
const HANDFULS: usize = 32;
const AHEAD_KB: u32 = 4 << 10;
/// Items of a handful, and bytes beyond which none is added: every one of them alone would wake the lane.
const ITEMS: usize = 32;
const BYTES: u64 = 64 << 10;

/// The pause before the source is told again what it may forget.
const RELEASE_AGAIN: Duration = Duration::from_secs(1);

/// What comes from the stream.
pub(super) enum Fed {
    Opened,
    /// What came at once, with its share of what may be read ahead.
    Items(Vec<Item>, OwnedSemaphorePermit),
    /// The last that is heard of this feed.
    Broken(Fault),
}

/// A running feed. Dropped, it stops.
pub(super) struct Feeder {
    pub items: mpsc::Receiver<Fed>,
    task: JoinHandle<()>,
}

impl Feeder {
    /// Opens the stream after `start` in a task of its own. `release`: up to where the source may forget.
    pub fn spawn(site: &Site, start: Position, release: watch::Receiver<Position>) -> Self {
        let (tx, items) = mpsc::channel(HANDFULS);
        let site = site.clone();
        let task = tokio::spawn(async move {
            if let Err(fault) = run(&site, start, release, &tx).await {
                // The lane may be gone; then nobody wants to know.
                let _ = tx.send(Fed::Broken(fault)).await;
            }
        });
        Self { items, task }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    site: &Site,
    start: Position,
    mut release: watch::Receiver<Position>,
    tx: &mpsc::Sender<Fed>,
) -> Result<()> {
    let room = Arc::new(Semaphore::new(AHEAD_KB as usize));
    let mut feed = site.source.feed(&site.plan, start).await?;
    let mut released = Position::START;
    let mut due = true;
    let said = |fed: Fed| async { tx.send(fed).await.map_err(|_| stopped()) };
    said(Fed::Opened).await?;
    loop {
        let wanted = *release.borrow_and_update();
        if due && wanted > released {
            match feed.release(wanted).await {
                Ok(()) => released = wanted,
                Err(fault) => {
                    tracing::debug!(error = %fault, "the source keeps its log a little longer");
                }
            }
        }
        due = false;
        let item = tokio::select! {
            item = feed.next() => item?,
            changed = release.changed() => {
                changed.map_err(|_| stopped())?;
                due = true;
                continue;
            }
            () = tokio::time::sleep(RELEASE_AGAIN), if wanted > released => {
                due = true;
                continue;
            }
        };
        let mut weight = weight(&item);
        let mut items = vec![item];
        let broken = loop {
            if items.len() >= ITEMS || weight >= BYTES {
                break None;
            }
            match poll_immediate(feed.next()).await {
                Some(Ok(item)) => {
                    weight += self::weight(&item);
                    items.push(item);
                }
                Some(Err(fault)) => break Some(fault),
                None => break None,
            }
        };
        let share = u32::try_from(weight >> 10).map_or(AHEAD_KB, |kb| kb.min(AHEAD_KB));
        let permit = Arc::clone(&room).acquire_many_owned(share).await;
        said(Fed::Items(items, permit.map_err(|_| stopped())?)).await?;
        if let Some(fault) = broken {
            return Err(fault);
        }
    }
}

/// Bytes that an item takes.
fn weight(item: &Item) -> u64 {
    match item {
        Item::Txn(txn) => txn.weight(),
        _ => 0,
    }
}
