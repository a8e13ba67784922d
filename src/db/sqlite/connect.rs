//! Connections: one thread each, opened for one kind of work.

use super::place::{OrFault, Place};
use crate::domain::fault::{Fault, Kind, Result};
use futures_util::FutureExt;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, InterruptHandle, OpenFlags};
use std::sync::{Arc, Mutex, PoisonError};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads only; refuses to write.
    Read,
    /// Makes and drops our objects and prunes our log, in short transactions; waits at most this many milliseconds for a lock.
    Schema { wait: u32 },
    /// Makes the target's file and decides what can only be decided before anything else: nothing is set on it.
    Birth,
    /// Writes rows as they are: no trigger fires, no foreign key acts, no CHECK is asked again.
    Data,
}

/// A connection on a thread of its own. Dropped, it closes; what was not committed is rolled back.
#[derive(Clone)]
pub(super) struct Db {
    connection: tokio_rusqlite::Connection,
    interrupt: Arc<InterruptHandle>,
    pub(super) place: Arc<Place>,
}

impl Db {
    /// Opens the file. A file that is not there is a fault, unless it is to be made.
    pub(super) async fn open(place: &Arc<Place>, access: Access) -> Result<Self> {
        let create = access == Access::Birth;
        if place.identity()?.is_none() && !create {
            return Err(place.missing());
        }
        let mut flags = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Schema { .. } | Access::Birth | Access::Data => {
                OpenFlags::SQLITE_OPEN_READ_WRITE
            }
        } | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let connection = tokio_rusqlite::Connection::open_with_flags(&place.path, flags)
            .await
            .map_err(|error| match error {
                tokio_rusqlite::Error::Rusqlite(error) => place.fault("open the database", &error),
                other => ended(place).cause(other),
            })?;
        let told = Arc::clone(place);
        let interrupt = call(&connection, place, move |conn| {
            configure(conn, access).or_fault(&told, "open the database")?;
            Ok(conn.get_interrupt_handle())
        })
        .await?;
        Ok(Self {
            connection,
            interrupt: Arc::new(interrupt),
            place: Arc::clone(place),
        })
    }

    /// Runs `act` on the connection's thread. Dropping the future does not stop it: `act` must leave nothing half done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        call(&self.connection, &self.place, act).await
    }

    /// Stops whatever runs and rolls back, without waiting for it.
    pub(super) fn cut(&self) {
        self.interrupt.interrupt();
        // The call is queued on its first poll; nobody waits for its answer.
        let _ = self
            .connection
            .call(|conn| {
                if !conn.is_autocommit() {
                    conn.execute_batch("ROLLBACK")?;
                }
                Ok(())
            })
            .now_or_never();
    }
}

async fn call<T: Send + 'static>(
    connection: &tokio_rusqlite::Connection,
    place: &Place,
    act: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
) -> Result<T> {
    connection
        .call(move |conn| Ok(act(conn)))
        .await
        .map_err(|error| ended(place).cause(error))?
}

fn ended(place: &Place) -> Fault {
    Fault::new(Kind::Own, format!("the connection to {place} ended")).code("CONNECTION-ENDED")
}

fn configure(conn: &Connection, access: Access) -> rusqlite::Result<()> {
    if access == Access::Birth {
        return Ok(());
    }
    conn.set_prepared_statement_cache_capacity(256);
    // The last connection to close would checkpoint under an exclusive lock, which the application may run into.
    conn.set_db_config(
        DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
        access != Access::Data,
    )?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0);
    // As it is built here, SQLite shares the sizes of all caches of a process among all connections: what idle ones may have,
    // a busy one takes.
    match access {
        Access::Read => conn.execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA query_only = 1; PRAGMA cache_size = -512",
        ),
        // Losing a prune with the power is harmless, and its lock must not last as long as an fsync; a checkpoint is the
        // application's to make.
        Access::Schema { wait } => conn.execute_batch(&format!(
            "PRAGMA busy_timeout = {wait}; PRAGMA foreign_keys = 0; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; \
             PRAGMA cache_size = -512"
        )),
        Access::Birth => Ok(()),
        Access::Data => {
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            conn.execute_batch(
                "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = 0; PRAGMA ignore_check_constraints = 1; \
                 PRAGMA synchronous = FULL; PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 12000",
            )
        }
    }
}

/// Read connections that wait to be used again: their page cache and statements stay warm.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Db>>);

/// More than this many idle connections are closed.
const KEPT: usize = 4;

impl Pool {
    pub(super) fn take(&self) -> Option<Db> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
    pub(super) fn put(&self, db: Db) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(db);
        }
    }
    /// Forgets them all: the file under them was replaced.
    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
