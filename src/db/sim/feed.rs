//! The stream, with waiting.

use super::endpoint::{Map, Sim};
use super::faults::Op;
use crate::db::Feed;
use crate::domain::change::{Change, Item, Txn};
use crate::domain::fault::Result;
use crate::domain::position::Position;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long fetching from the log takes, at least.
const FETCH: Duration = Duration::from_millis(1);
/// Items fetched at once.
const AT_ONCE: usize = 128;
/// How often an idle stream says so again.
const HEARTBEAT: Duration = Duration::from_millis(500);

pub(super) struct SimFeed {
    sim: Arc<Sim>,
    map: Map,
    cursor: Position,
    /// Fetched, not handed out.
    ready: VecDeque<Item>,
    /// Up to where the stream said that it is idle.
    idle: Option<Position>,
    commits: watch::Receiver<u64>,
}

impl SimFeed {
    pub fn new(sim: Arc<Sim>, map: Map, from: Position) -> Self {
        Self {
            commits: sim.commits(),
            sim,
            map,
            cursor: from,
            ready: VecDeque::new(),
            idle: None,
        }
    }

    fn fetch(&mut self) -> Result<()> {
        let mut cursor = self.cursor;
        let mut items = Vec::new();
        let base = self.sim.lock();
        while items.len() < AT_ONCE
            && let Some(item) = base.deliver(&mut cursor)
        {
            items.push(item);
        }
        let items = items.into_iter().filter_map(|item| self.planned(item));
        let items: Result<Vec<_>> = items.map(|item| base.spilled(item)).collect();
        drop(base);
        self.ready.extend(items?);
        self.cursor = cursor;
        Ok(())
    }

    /// In the plan's terms; what is not in the plan is left out.
    fn planned(&self, item: Item) -> Option<Item> {
        Some(match item {
            Item::Txn(txn) => {
                let planned = |mut change: Change| {
                    change.table = self.map.planned(change.table)?;
                    Some(change)
                };
                let changes = txn.changes.into_iter().filter_map(planned);
                Item::Txn(Txn::new(txn.head, changes.collect()))
            }
            Item::Truncate(table) => Item::Truncate(self.map.planned(table)?),
            Item::Schema(table) => Item::Schema(self.map.planned(table)?),
            other => other,
        })
    }
}

#[async_trait]
impl Feed for SimFeed {
    async fn next(&mut self) -> Result<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            self.commits.borrow_and_update();
            tokio::time::sleep(FETCH).await;
            self.sim.may(Op::Next)?;
            self.fetch()?;
            if !self.ready.is_empty() {
                continue;
            }
            if self.idle != Some(self.cursor) {
                self.idle = Some(self.cursor);
                return Ok(Item::Idle(self.cursor));
            }
            tokio::select! {
                // The database lives as long as this feed holds it, so this never fails.
                _ = self.commits.changed() => {}
                () = tokio::time::sleep(HEARTBEAT) => return Ok(Item::Idle(self.cursor)),
            }
        }
    }

    async fn release(&mut self, durable: Position) -> Result<()> {
        self.sim.may(Op::Release)?;
        let mut base = self.sim.lock();
        base.released = base.released.max(durable);
        Ok(())
    }
}
