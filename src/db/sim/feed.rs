//! The stream, with waiting.

use super::endpoint::{Map, Sim};
use super::faults::Op;
use crate::db::Feed;
use crate::domain::change::{Item, Txn};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::position::Position;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::watch;

pub(super) struct SimFeed {
    sim: Arc<Sim>,
    map: Map,
    cursor: Position,
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
            idle: None,
        }
    }

    /// In the plan's terms; what is not in the plan is left out.
    fn planned(&self, item: Item) -> Option<Item> {
        Some(match item {
            Item::Txn(Txn { head, changes }) => Item::Txn(Txn {
                head,
                changes: changes
                    .into_iter()
                    .filter_map(|mut change| {
                        change.table = self.map.planned(change.table)?;
                        Some(change)
                    })
                    .collect(),
            }),
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
            self.commits.borrow_and_update();
            self.sim.may(Op::Next)?;
            let mut cursor = self.cursor;
            let delivered = self.sim.lock().deliver(&mut cursor);
            self.cursor = cursor;
            if let Some(item) = delivered {
                match self.planned(item) {
                    Some(item) => return Ok(item),
                    None => continue,
                }
            }
            if self.idle != Some(self.cursor) {
                self.idle = Some(self.cursor);
                return Ok(Item::Idle(self.cursor));
            }
            // The database lives as long as this feed holds it, so this never fails.
            self.commits
                .changed()
                .await
                .map_err(|_| Fault::new(Kind::Own, "the simulated database is gone"))?;
        }
    }

    async fn release(&mut self, durable: Position) -> Result<()> {
        self.sim.may(Op::Release)?;
        let mut base = self.sim.lock();
        base.released = base.released.max(durable);
        Ok(())
    }
}
