//! Forgetting what the other side has made durable, without holding the application up.
//!
//! A slice is one short transaction: a few thousand rows, no fsync and no checkpoint under the lock, given up at once when
//! the application writes. The newest row is never deleted, so positions never go back.

use super::connect::{Access, Db};
use super::place::{OrFault, Place};
use crate::domain::fault::{Kind, Result};
use crate::domain::unit::Span;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows deleted under one lock.
const SLICE: u64 = 2_000;
/// Fewer than these are not worth a lock.
const WORTH: u64 = 1_000;
/// Slices in one call: the stream goes on between two calls.
const SLICES: u32 = 8;
/// Milliseconds to wait for the application's lock before trying again later.
const WAIT: u32 = 10;

/// The longest time since the last measurement that a write of ours held the lock, in microseconds.
#[derive(Default)]
pub(super) struct Held(AtomicU64);

impl Held {
    /// Notes one.
    pub(super) fn note(&self, span: Span) {
        self.0.fetch_max(span.0, Ordering::Relaxed);
    }
    /// Takes the longest; none when nothing was written.
    pub(super) fn take(&self) -> Option<Span> {
        let longest = self.0.swap(0, Ordering::Relaxed);
        (longest > 0).then_some(Span(longest))
    }
}

/// Deletes the log's older rows.
pub(super) struct Pruner {
    place: Arc<Place>,
    held: Arc<Held>,
    db: Option<Db>,
    done: u64,
}

impl Pruner {
    pub(super) fn new(place: Arc<Place>, held: Arc<Held>) -> Self {
        Self {
            place,
            held,
            db: None,
            done: 0,
        }
    }

    /// Deletes rows up to `upto`, as many as go without waiting for the application.
    pub(super) async fn prune(&mut self, upto: u64) -> Result<()> {
        if upto < self.done + WORTH {
            return Ok(());
        }
        let db = match &self.db {
            Some(db) => db.clone(),
            None => {
                let db = Db::open(&self.place, Access::Schema { wait: WAIT }).await?;
                self.db.insert(db).clone()
            }
        };
        for _ in 0..SLICES {
            let (place, held) = (Arc::clone(&self.place), Arc::clone(&self.held));
            match db.run(move |conn| slice(conn, &place, &held, upto)).await {
                Ok(true) => {}
                Ok(false) => {
                    self.done = upto;
                    break;
                }
                Err(fault) if fault.kind == Kind::Transient => break,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

/// Deletes one slice; whether there is more.
fn slice(conn: &mut Connection, place: &Place, held: &Held, upto: u64) -> Result<bool> {
    let doing = "prune the capture's log";
    let first: Option<i64> = conn
        .query_row("SELECT min(seq) FROM tidegate_log", [], |row| row.get(0))
        .or_fault(place, doing)?;
    let Some(first) = first.map(i64::cast_unsigned).filter(|first| *first <= upto) else {
        return Ok(false);
    };
    // The birth row lies alone, far before or right before the others.
    let end = upto.min(first.saturating_add(SLICE));
    let tx = conn
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .or_fault(place, doing)?;
    let begun = clock(&tx).or_fault(place, doing)?;
    let deleted = tx
        .execute(
            "DELETE FROM tidegate_log WHERE seq <= ?1 AND seq < (SELECT max(seq) FROM tidegate_log)",
            [end.cast_signed()],
        )
        .or_fault(place, doing)?;
    tx.commit().or_fault(place, doing)?;
    held.note(Span(
        clock(conn)
            .or_fault(place, doing)?
            .saturating_sub(begun)
            .max(1),
    ));
    Ok(deleted > 0 && end < upto)
}

/// SQLite's clock in microseconds, to the millisecond: only differences of it are used.
fn clock(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000",
    )?
    .query_row([], |row| row.get::<_, i64>(0))
    .map(i64::cast_unsigned)
}
