//! The way to write, under one lease.

use super::connect::{Server, Session};
use super::later::{Later, Way};
use super::sql::Tables;
use super::transact::{begin, commit};
use super::{apply, ddl, land, later, ledger, pieces};
use crate::db::across::fits;
use crate::db::advance::Advance;
use crate::db::spill::Spill;
use crate::db::{Applied, Batch, ChunkMark, Ddl, Landed, Landing, Ledger, Writer};
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::id::{TableId, Token};
use crate::domain::position::Position;
use crate::domain::table::Table;
use async_trait::async_trait;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What every session that writes is set to: a commit that returned is on the disk. Those of the stream's changes are not, each
/// ([`begin`]).
const DURABLE: &str = "SET synchronous_commit = on";
/// Triggers and foreign keys are left alone: rows are written as they are. Only a superuser may, or from 15 on whoever was
/// granted SET ON PARAMETER.
const SILENT: &str = "SET session_replication_role = replica";

/// Writes rows as they are, each act in a session of its own.
pub(super) struct PgWriter {
    server: Server,
    tables: Arc<Tables>,
    token: Token,
    spill: Spill,
    later: Later,
    /// Of each table the right to put rows there.
    inserting: Mutex<HashMap<TableId, Arc<Semaphore>>>,
}

impl PgWriter {
    /// Takes the lease. `server` is a pool for this writer alone.
    pub(super) async fn open(server: Server, tables: Arc<Tables>, spill: Spill) -> Result<Self> {
        let mut session = writing(&server).await?;
        let token = ledger::take(&mut session, &tables.plan).await?;
        let later = Later::read(&mut session, &tables.plan).await?;
        session.rest();
        Ok(Self {
            server,
            tables,
            token,
            spill,
            later,
            inserting: Mutex::default(),
        })
    }

    /// Waits until rows may be put into a table: not by all who land at once, for neighbours that are inserted together leave the
    /// index of their key looser. Given back once they are there, so that the next ones go on while these are committed.
    async fn insert(&self, table: TableId) -> Option<OwnedSemaphorePermit> {
        let at_once = usize::from((self.tables.plan.backfill.workers / 2).max(1));
        let turn = {
            let mut tables = self
                .inserting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let turn = tables
                .entry(table)
                .or_insert_with(|| Arc::new(Semaphore::new(at_once)));
            Arc::clone(turn)
        };
        turn.acquire_owned().await.ok()
    }

    /// Applies a batch in a transaction that has begun.
    async fn applied(&self, session: &mut Session, batch: &Batch) -> Result<Applied> {
        if let Some(applied) = apply::at_once(session, &self.tables, batch).await? {
            return Ok(applied);
        }
        session.run("ROLLBACK", apply::DOING).await?;
        begin(session, self.token, batch.advance(), apply::DOING).await?;
        apply::in_other_ways(session, &self.tables, batch).await
    }

    fn planned(&self, table: TableId) -> Result<&Table> {
        self.tables.plan.table(table).ok_or_else(|| {
            Fault::new(
                Kind::Own,
                "a table is asked for that the plan does not have",
            )
        })
    }

    /// Begins a transaction under the lease.
    async fn begin(&self, doing: &str, advance: Advance) -> Result<Session> {
        let mut session = writing(&self.server).await?;
        begin(&mut session, self.token, advance, doing).await?;
        Ok(session)
    }
}

/// Ends what [`PgWriter::begin`] began: commits it, or leaves it to the server to undo, by closing the session.
async fn end<T>(mut session: Session, doing: &str, done: Result<T>) -> Outcome<T> {
    match done {
        Ok(value) => {
            let done = commit(&mut session, doing, value).await;
            if matches!(done, Outcome::Done(_)) {
                session.rest();
            }
            done
        }
        Err(fault) => Outcome::NotDone(fault),
    }
}

/// A session that writes rows.
async fn writing(server: &Server) -> Result<Session> {
    let mut session = server.session().await?;
    if !session.fresh() {
        return Ok(session);
    }
    session.run(DURABLE, "prepare a session").await?;
    match session.run(SILENT, "prepare a session").await {
        Ok(()) => {}
        // Preflight has said what that means.
        Err(fault) if fault.code == "PRIVILEGE" => {}
        Err(fault) => return Err(fault),
    }
    Ok(session)
}

#[async_trait]
impl Writer for PgWriter {
    async fn ledger(&self) -> Result<Ledger> {
        let mut session = writing(&self.server).await?;
        let ledger = ledger::read(&mut session, &self.tables.plan).await?;
        session.rest();
        Ok(ledger)
    }

    async fn landed(&self, table: TableId, from: u32) -> Result<Vec<ChunkMark>> {
        let mut session = writing(&self.server).await?;
        let landed = ledger::landed(&mut session, &self.tables.plan, table, from).await?;
        session.rest();
        Ok(landed)
    }

    async fn begin_at(&self, position: Position) -> Outcome<()> {
        let doing = "set where the stream begins";
        let mut session = match self.begin(doing, Advance::default()).await {
            Ok(session) => session,
            Err(fault) => return Outcome::NotDone(fault),
        };
        let done = ledger::begin_at(&mut session, position).await;
        end(session, doing, done).await
    }

    async fn land(&self, landing: Landing) -> Outcome<Landed> {
        let doing = "land rows";
        let table = self.tables.plan.table(landing.table);
        let rows = table.map(|table| (table, &*landing.rows));
        if let Err(fault) = fits(&self.tables.plan, rows, []) {
            return Outcome::NotDone(fault);
        }
        let way = self.later.way(&landing);
        if way == Way::KeyFirst
            && let Err(fault) = self.make_key(landing.table).await
        {
            return Outcome::NotDone(fault);
        }
        // Without an index there is none that gets loose.
        let turn = match way {
            Way::Bare => None,
            Way::Keyed | Way::KeyFirst => self.insert(landing.table).await,
        };
        let mut session = match self.begin(doing, landing.advance()).await {
            Ok(session) => session,
            Err(fault) => return Outcome::NotDone(fault),
        };
        let done = land::land(&mut session, &self.tables, &landing).await;
        drop(turn);
        end(session, doing, done).await
    }

    async fn takes_sealed(&self, table: TableId, types: &[String]) -> Result<bool> {
        let mut session = writing(&self.server).await?;
        let sql = self.tables.get(&mut session, table).await?;
        session.rest();
        Ok(sql.types() == types)
    }

    async fn apply(&self, batch: Batch) -> Outcome<Applied> {
        let doing = "apply changes";
        if let Err(fault) = fits(&self.tables.plan, None, batch.changes()) {
            return Outcome::NotDone(fault);
        }
        for table in self.later.all() {
            if batch.log.iter().any(|txn| txn.touches(table))
                && let Err(fault) = self.make_key(table).await
            {
                return Outcome::NotDone(fault);
            }
        }
        let mut session = match self.begin(doing, batch.advance()).await {
            Ok(session) => session,
            Err(fault) => return Outcome::NotDone(fault),
        };
        let done = match batch.overflowed() {
            None => self.applied(&mut session, &batch).await,
            Some(txn) => pieces::apply(&mut session, &self.tables, txn, &self.spill).await,
        };
        end(session, doing, done).await
    }

    async fn durable(&self) -> Result<Position> {
        let mut session = writing(&self.server).await?;
        let applied = ledger::durable(&mut session).await?;
        session.rest();
        Ok(applied.unwrap_or(Position::START))
    }

    async fn build(&self, ddl: &Ddl) -> Outcome<()> {
        let doing = "build the schema";
        let mut session = match self.begin(doing, Advance::default()).await {
            Ok(session) => session,
            Err(fault) => return Outcome::NotDone(fault),
        };
        let done = ddl::build(&mut session, &self.tables.plan, ddl).await;
        end(session, doing, done).await
    }

    async fn put_off_key(&self, table: TableId, key: &Ddl) -> Outcome<()> {
        let doing = "note a key that is to be made";
        let done = async {
            let planned = self.planned(table)?;
            let mut session = self.begin(doing, Advance::default()).await?;
            let sql = ddl::moved(&self.tables.plan, key);
            let noted = later::note(&mut session, planned, &sql).await;
            Ok((session, noted))
        };
        let done = match done.await {
            Ok((session, noted)) => end(session, doing, noted).await,
            Err(fault) => return Outcome::NotDone(fault),
        };
        if matches!(done, Outcome::Done(())) {
            self.later.add(table);
        }
        done
    }

    fn copy_begins(&self, table: TableId) {
        self.later.fill(table);
    }

    fn keyless(&self) -> BTreeSet<TableId> {
        self.later.all()
    }

    fn making_key(&self) -> Option<TableId> {
        self.later.at_work()
    }

    async fn make_key(&self, table: TableId) -> Result<bool> {
        if !self.later.all().contains(&table) {
            return Ok(false);
        }
        let doing = "make a key";
        let planned = self.planned(table)?;
        let _making = self.later.making(table);
        let mut session = self.begin(doing, Advance::default()).await?;
        let made = later::make(&mut session, planned).await;
        match end(session, doing, made).await {
            Outcome::Done(made) => {
                self.later.made(table);
                Ok(made)
            }
            Outcome::NotDone(fault) => Err(fault),
            // Asked for again, it finds out.
            Outcome::Unknown(evidence) => Err(Fault::new(
                Kind::Transient,
                "it is not known whether a key was made",
            )
            .cause(evidence)),
        }
    }
}
