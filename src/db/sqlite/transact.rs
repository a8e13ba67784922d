//! The frame of every write: under the lease, whole or not at all, with an honest outcome.

use super::ledger;
use super::place::{OrFault, Place};
use crate::db::advance::Advance;
use crate::db::refused;
use crate::domain::fault::{Fault, Outcome, Result};
use crate::domain::id::Token;
use rusqlite::{Connection, ErrorCode, params};

/// Runs `act` in one transaction whose first write is the ledger's row under `token`, where that stands as the write
/// needs it, with its new position if there is one.
pub(super) fn leased<T>(
    conn: &Connection,
    place: &Place,
    token: Token,
    advance: Advance,
    doing: &str,
    act: impl FnOnce(&Connection) -> Result<T>,
) -> Outcome<T> {
    immediate(conn, place, doing, |conn| {
        let mine = token.0.cast_signed();
        if advance != Advance::default()
            && let Some(there) = ledger::applied(conn, place)?
        {
            advance.check(place, there)?;
        }
        let changed = match advance.upto {
            Some(position) => conn
                .prepare_cached("UPDATE tidegate_ledger SET applied = ?2 WHERE token = ?1")
                .and_then(|mut s| s.execute(params![mine, position.to_string()])),
            None => conn
                .prepare_cached("UPDATE tidegate_ledger SET token = token WHERE token = ?1")
                .and_then(|mut s| s.execute(params![mine])),
        };
        if changed.or_fault(place, doing)? == 0 {
            return Err(refused::lease_lost(place));
        }
        act(conn)
    })
}

/// Runs `act` in one write transaction. What failed before the commit is certainly not done.
pub(super) fn immediate<T>(
    conn: &Connection,
    place: &Place,
    doing: &str,
    act: impl FnOnce(&Connection) -> Result<T>,
) -> Outcome<T> {
    if let Err(error) = conn.execute_batch("BEGIN IMMEDIATE") {
        return Outcome::NotDone(place.fault(doing, &error));
    }
    match act(conn) {
        Ok(value) => match conn.execute_batch("COMMIT") {
            Ok(()) => Outcome::Done(value),
            Err(error) => {
                let back = roll_back(conn);
                committed_or_not(place, doing, &error, back)
            }
        },
        Err(fault) => match roll_back(conn) {
            Ok(()) => Outcome::NotDone(fault),
            Err(error) => Outcome::NotDone(Fault {
                cause: Some(format!(
                    "{}; the rollback said: {error}",
                    fault.cause.as_deref().unwrap_or(&fault.what)
                )),
                ..fault
            }),
        },
    }
}

/// A commit that could not get its lock or its space has not happened. After any other failure the log may or may not hold
/// the whole transaction.
fn committed_or_not<T>(
    place: &Place,
    doing: &str,
    error: &rusqlite::Error,
    back: rusqlite::Result<()>,
) -> Outcome<T> {
    let certain = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::ConstraintViolation
        )
    );
    if certain && back.is_ok() {
        Outcome::NotDone(place.fault(doing, error))
    } else {
        Outcome::Unknown(format!(
            "COMMIT was sent to {place} to {doing}; it answered: {error}"
        ))
    }
}

/// SQLite rolls back by itself on some errors; then there is nothing left to do.
fn roll_back(conn: &Connection) -> rusqlite::Result<()> {
    if conn.is_autocommit() {
        Ok(())
    } else {
        conn.execute_batch("ROLLBACK")
    }
}

/// Runs `act` in a savepoint: an error leaves nothing of it behind, and the transaction goes on.
pub(super) fn savepoint<T, E: From<rusqlite::Error>>(
    conn: &Connection,
    act: impl FnOnce(&Connection) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    conn.prepare_cached("SAVEPOINT tidegate")?.execute([])?;
    match act(conn) {
        Ok(value) => {
            conn.prepare_cached("RELEASE tidegate")?.execute([])?;
            Ok(value)
        }
        Err(error) => {
            // On a full disk or an I/O error SQLite has ended the whole transaction, and the savepoint with it.
            if !conn.is_autocommit() {
                conn.prepare_cached("ROLLBACK TO tidegate")?.execute([])?;
                conn.prepare_cached("RELEASE tidegate")?.execute([])?;
            }
            Err(error)
        }
    }
}

/// Whether a row that is already there is in the way.
pub(super) fn in_the_way(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
