//! Writes under a lease, with replies that may get lost.

use super::base::Base;
use super::endpoint::{Map, Sim};
use super::faults::{Op, Trouble};
use super::table::{Definition, at};
use crate::db::spill::{Gathered, Spill};
use crate::db::{Applied, Batch, ChunkMark, Ddl, Landed, Landing, Ledger, Writer};
use crate::domain::change::{Change, Txn};
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::id::{TableId, Token};
use crate::domain::plan::{Plan, Side};
use crate::domain::position::Position;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// How long a write takes to get there, at least.
const ON_THE_WAY: Duration = Duration::from_micros(500);

pub(super) struct SimWriter {
    sim: Arc<Sim>,
    plan: Arc<Plan>,
    side: Side,
    token: Token,
}

impl SimWriter {
    pub fn new(sim: Arc<Sim>, plan: Arc<Plan>, side: Side, token: Token) -> Self {
        Self {
            sim,
            plan,
            side,
            token,
        }
    }

    /// Writes are there or not as a whole; what is told of them is another matter.
    async fn write<T>(&self, op: Op, act: impl FnOnce(&mut Base, &Map) -> Result<T>) -> Outcome<T> {
        tokio::time::sleep(ON_THE_WAY).await;
        let trouble = self.sim.goes_wrong(op);
        let lost = |what: &str| Outcome::Unknown(format!("{op:?}: the {what} was lost"));
        match trouble {
            Some(Trouble::LostRequest) => return lost("request"),
            Some(trouble @ (Trouble::Passing | Trouble::Fails(_))) => {
                return Outcome::NotDone(trouble.fault());
            }
            Some(Trouble::LostReply) | None => {}
        }
        let done = self.sim.with(|base| {
            let map = Map::of(base, &self.plan, self.side);
            act(base, &map)
        });
        tokio::task::yield_now().await;
        match (done, trouble) {
            (_, Some(_)) => lost("reply"),
            (Ok(value), None) => Outcome::Done(value),
            (Err(fault), None) => Outcome::NotDone(fault),
        }
    }
}

fn here<'a>(changes: impl IntoIterator<Item = &'a Change>, map: &Map) -> Result<Vec<Change>> {
    let here = |change: &Change| {
        let mut change = change.clone();
        change.table = map.here(change.table)?;
        Ok(change)
    };
    changes.into_iter().map(here).collect()
}

/// A transaction that has outgrown memory, cut where it was.
fn large(txn: &Txn, map: &Map) -> Result<Txn> {
    let pieces = txn.pieces().map(|piece| here(&*piece?, map));
    let pieces: Vec<Vec<Change>> = pieces.collect::<Result<_>>()?;
    let largest = pieces.iter().map(|piece| weight(piece)).max();
    let mut gathered = Gathered::new(&Spill::default().sized(0, largest.unwrap_or_default()));
    for change in pieces.into_iter().flatten() {
        gathered.push(change)?;
    }
    gathered.txn(txn.head)
}

fn weight(piece: &[Change]) -> u64 {
    piece.iter().map(Change::weight).sum()
}

#[async_trait]
impl Writer for SimWriter {
    async fn ledger(&self) -> Result<Ledger> {
        self.sim.may(Op::Ledger)?;
        self.sim.lock().ledger(self.token)
    }

    async fn landed(&self, table: TableId, from: u32) -> Result<Vec<ChunkMark>> {
        self.sim.may(Op::Ledger)?;
        let base = self.sim.lock();
        let marks = base.marks();
        Ok(marks
            .filter(|mark| mark.chunk.table == table && mark.chunk.no >= from)
            .cloned()
            .collect())
    }

    async fn begin_at(&self, position: Position) -> Outcome<()> {
        match self.sim.with(|base| base.begin_at(self.token, position)) {
            Ok(()) => Outcome::Done(()),
            Err(fault) => Outcome::NotDone(fault),
        }
    }

    async fn land(&self, landing: Landing) -> Outcome<Landed> {
        self.write(Op::Land, |base, map| {
            let table = map.here(landing.table)?;
            base.land(self.token, &Landing { table, ..landing })
        })
        .await
    }

    async fn apply(&self, batch: Batch) -> Outcome<Applied> {
        self.write(Op::Apply, |base, map| {
            let log = batch.log.iter().map(|txn| match &txn.overflow {
                None => Ok(Arc::new(Txn::new(txn.head, here(&txn.changes, map)?))),
                Some(_) => large(txn, map).map(Arc::new),
            });
            let batch = Batch {
                net: here(batch.changes(), map)?.into(),
                log: log.collect::<Result<_>>()?,
                after: batch.after,
                upto: batch.upto,
            };
            let mut applied = base.apply(self.token, &batch)?;
            for (table, _) in &mut applied.missed {
                *table = map.planned(*table).unwrap_or(*table);
            }
            Ok(applied)
        })
        .await
    }

    async fn durable(&self) -> Result<Position> {
        Ok(self.sim.lock().applied())
    }

    async fn build(&self, ddl: &Ddl) -> Outcome<()> {
        if let Err(fault) = self.sim.lock().check(self.token) {
            return Outcome::NotDone(fault);
        }
        let Ok(mut definition) = serde_json::from_str::<Definition>(&ddl.sql) else {
            let what = format!("{} {} can't be read", ddl.kind, ddl.name);
            return Outcome::NotDone(Fault::new(Kind::Refused, what).code("DDL-UNREADABLE"));
        };
        let planned = self.plan.tables.iter().find(|t| t.source == ddl.name);
        if let Some(table) = planned {
            definition.table.source = table.name_on(self.side).to_owned();
        }
        self.sim.with(|base| {
            let there = base
                .find(&definition.table.source)
                .and_then(|table| at(&base.committed, table));
            match there {
                Some(rows) if rows.definition == definition => Outcome::Done(()),
                Some(_) => Outcome::NotDone(
                    Fault::new(
                        Kind::Blocked,
                        format!("{} is there in another form", ddl.name),
                    )
                    .code("SCHEMA-DIFFERS"),
                ),
                None => {
                    base.create(definition);
                    Outcome::Done(())
                }
            }
        })
    }
}
