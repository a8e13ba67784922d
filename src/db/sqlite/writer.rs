//! The way to write, under one lease.

use super::connect::Db;
use super::place::Place;
use super::reader::Reader;
use super::transact::{immediate, leased};
use super::{apply, build, land, ledger, pieces};
use crate::db::across::fits;
use crate::db::advance::Advance;
use crate::db::{Applied, Batch, ChunkMark, Ddl, Landed, Landing, Ledger, Writer};
use crate::domain::fault::{Fault, Outcome, Result};
use crate::domain::id::{TableId, Token};
use crate::domain::plan::Plan;
use crate::domain::position::Position;
use async_trait::async_trait;
use rusqlite::Connection;
use std::sync::Arc;

/// One connection that writes rows as they are: triggers off, foreign keys off, CHECKs not asked again.
///
/// It commits with `synchronous = FULL`, so that a commit that returned is on the disk.
pub(super) struct SqliteWriter {
    db: Db,
    reader: Arc<Reader>,
    token: Token,
}

impl SqliteWriter {
    /// Takes the lease.
    pub(super) async fn open(db: Db, reader: Arc<Reader>) -> Result<Self> {
        let lease = Arc::clone(&reader);
        let token = db
            .run(move |conn| {
                immediate(conn, &lease.place, "take the lease on the ledger", |conn| {
                    ledger::take(conn, &lease.place, &lease.plan)
                })
                .settled()
            })
            .await?;
        Ok(Self { db, reader, token })
    }

    async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection, &Place, &Plan) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = Arc::clone(&self.reader);
        self.db
            .run(move |conn| act(conn, &reader.place, &reader.plan))
            .await
    }

    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        advance: Advance,
        act: impl FnOnce(&Connection, &Reader) -> Result<T> + Send + 'static,
    ) -> Outcome<T> {
        let reader = Arc::clone(&self.reader);
        let token = self.token;
        let done = self
            .db
            .run(move |conn| {
                Ok(leased(conn, &reader.place, token, advance, doing, |conn| {
                    act(conn, &reader)
                }))
            })
            .await;
        // Only a connection whose thread is gone gets here: the transaction may have ended either way.
        done.unwrap_or_else(|fault: Fault| Outcome::Unknown(format!("to {doing}: {fault}")))
    }
}

#[async_trait]
impl Writer for SqliteWriter {
    async fn ledger(&self) -> Result<Ledger> {
        self.read(ledger::read).await
    }

    async fn landed(&self, table: TableId, from: u32) -> Result<Vec<ChunkMark>> {
        self.read(move |conn, place, plan| ledger::landed(conn, place, plan, table, from))
            .await
    }

    async fn begin_at(&self, position: Position) -> Outcome<()> {
        self.write(
            "set where the stream begins",
            Advance::default(),
            move |conn, reader| ledger::begin_at(conn, &reader.place, position),
        )
        .await
    }

    async fn land(&self, landing: Landing) -> Outcome<Landed> {
        self.write("land rows", landing.advance(), move |conn, reader| {
            let table = reader.plan.table(landing.table);
            fits(&reader.plan, table.map(|table| (table, &*landing.rows)), [])?;
            let sql = reader.tables(conn)?.get(landing.table)?;
            land::land(conn, &reader.place, &reader.plan, &sql, &landing)
        })
        .await
    }

    async fn apply(&self, batch: Batch) -> Outcome<Applied> {
        self.write("apply changes", batch.advance(), move |conn, reader| {
            let tables = reader.tables(conn)?;
            if let Some(txn) = batch.overflowed() {
                return pieces::apply(conn, reader, &tables, txn);
            }
            fits(&reader.plan, None, batch.changes())?;
            apply::apply(conn, &reader.place, &tables, &batch)
        })
        .await
    }

    async fn durable(&self) -> Result<Position> {
        self.read(|conn, place, _| {
            // FULL: what the ledger says was synced when its commit returned.
            Ok(ledger::applied(conn, place)?.unwrap_or(Position::START))
        })
        .await
    }

    async fn build(&self, ddl: &Ddl) -> Outcome<()> {
        let ddl = ddl.clone();
        self.write(
            "build the schema",
            Advance::default(),
            move |conn, reader| build::build(conn, &reader.place, &reader.plan, &ddl),
        )
        .await
    }
}
