//! One read.

use super::base::Snapshot;
use super::endpoint::{Map, Sim};
use super::query;
use super::table::{Rows as Stored, at};
use crate::db::canon::row_hash;
use crate::db::{Read, ResultSet, View};
use crate::domain::fault::{Fault, Kind as FaultKind, Result};
use crate::domain::id::TableId;
use crate::domain::key::{Bound, Key, Pick, Range};
use crate::domain::packed::Packed;
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::unit::{Bytes, Rows};
use crate::domain::value::Value;
use crate::domain::verdict::Digest;
use async_trait::async_trait;
use std::sync::Arc;

pub(super) struct SimView {
    sim: Arc<Sim>,
    snapshot: Snapshot,
    map: Map,
    ledger: bool,
}

impl SimView {
    pub fn new(sim: Arc<Sim>, snapshot: Snapshot, map: Map, ledger: bool) -> Self {
        Self {
            sim,
            snapshot,
            map,
            ledger,
        }
    }

    fn table(&self, table: TableId) -> Result<&Stored> {
        let here = self.map.here(table)?;
        at(&self.snapshot.tables, here).ok_or_else(|| {
            Fault::new(
                FaultKind::Blocked,
                "the table was made after this read began",
            )
            .code("TABLE-MISSING")
        })
    }
}

#[async_trait]
impl View for SimView {
    fn seen(&self) -> &Seen {
        &self.snapshot.seen
    }

    fn applied(&self) -> Option<Position> {
        self.ledger.then_some(self.snapshot.applied)
    }

    async fn barrier(&mut self) -> Result<Barrier> {
        let seen = &self.snapshot.seen;
        Ok(self.sim.with(|base| base.barrier(seen)))
    }

    async fn bound(
        &mut self,
        table: TableId,
        after: Option<&Bound>,
        rows: Rows,
    ) -> Result<Option<Bound>> {
        let stored = self.table(table)?;
        let from = Range {
            lo: after.cloned(),
            hi: None,
        };
        let nth = usize::try_from(rows.0).unwrap_or(usize::MAX);
        let found = stored.range(&from).nth(nth);
        Ok(found.map(|row| stored.definition.table.bound_of(row)))
    }

    async fn rows(&mut self, table: TableId, pick: &Pick, budget: Bytes) -> Result<Read> {
        tokio::task::yield_now().await;
        let stored = self.table(table)?;
        let (mut rows, mut cut) = (Packed::default(), None);
        for row in stored.pick(pick) {
            rows.push(row);
            if rows.len() > 1 && rows.bytes() > budget {
                rows.pop();
                cut = Some(stored.definition.table.bound_of(row));
                break;
            }
        }
        Ok(Read {
            rows: rows.into(),
            cut,
        })
    }

    async fn inside(&mut self, table: TableId, range: &Range, keys: &[Key]) -> Result<Vec<bool>> {
        let stored = self.table(table)?;
        Ok(keys.iter().map(|key| stored.inside(range, key)).collect())
    }

    async fn digest(&mut self, table: TableId, range: &Range) -> Result<Digest> {
        let mut digest = Digest::default();
        for row in self.table(table)?.range(range) {
            digest.rows += Rows(1);
            digest.sum = digest.sum.wrapping_add(row_hash(row));
        }
        Ok(digest)
    }

    async fn hashes(&mut self, table: TableId, range: &Range) -> Result<Vec<(Key, u128)>> {
        let stored = self.table(table)?;
        let hash = |row| (stored.key_of(row), row_hash(row));
        Ok(stored.range(range).map(|row| hash(row)).collect())
    }

    async fn query(&mut self, sql: &str, params: &[Value], limit: u32) -> Result<ResultSet> {
        query::run(&self.snapshot, sql, params, limit)
    }
}
