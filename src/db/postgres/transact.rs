//! The frame of every write: under the lease, whole or not at all, with an honest outcome.

use super::connect::Session;
use super::place::{OrFault, in_the_way};
use crate::db::refused;
use crate::domain::fault::{Fault, Outcome, Result};
use crate::domain::id::Token;
use crate::domain::position::Position;

/// What a step inside a transaction came to: an error of the server's stays one, so that it can be looked at.
pub(super) enum Broke {
    /// The server refused.
    Server(sqlx::Error),
    /// Something of ours.
    Ours(Fault),
}

impl From<sqlx::Error> for Broke {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error)
    }
}

impl From<Fault> for Broke {
    fn from(fault: Fault) -> Self {
        Self::Ours(fault)
    }
}

impl Broke {
    /// Whether a row that is already there is in the way.
    pub(super) fn in_the_way(&self) -> bool {
        matches!(self, Self::Server(error) if in_the_way(error))
    }

    pub(super) fn fault(self, session: &Session, doing: &str) -> Fault {
        match self {
            Self::Server(error) => session.place().fault(doing, &error),
            Self::Ours(fault) => fault,
        }
    }
}

/// Begins a transaction under the lease, with the ledger's new position if one is given.
///
/// Without a position the lease's row is only held, so that landings go on beside each other and beside the stream.
pub(super) async fn begin(
    session: &mut Session,
    token: Token,
    applied: Option<Position>,
    doing: &str,
) -> Result<()> {
    session.run("BEGIN", doing).await?;
    let place = session.shared_place();
    let mine = token.0.cast_signed();
    let held = match applied {
        None => sqlx::query("SELECT 1 FROM tidegate.ledger WHERE token = $1 FOR KEY SHARE")
            .bind(mine)
            .fetch_optional(session.conn()?)
            .await
            .or_fault(&place, doing)?
            .is_some(),
        Some(position) => {
            let before: Option<String> = sqlx::query_scalar(
                "SELECT applied::text FROM tidegate.ledger WHERE token = $1 FOR NO KEY UPDATE",
            )
            .bind(mine)
            .fetch_optional(session.conn()?)
            .await
            .or_fault(&place, doing)?;
            if let Some(before) = &before {
                not_back(session, before, position)?;
                sqlx::query("UPDATE tidegate.ledger SET applied = $2::numeric WHERE token = $1")
                    .bind(mine)
                    .bind(position.0.to_string())
                    .execute(session.conn()?)
                    .await
                    .or_fault(&place, doing)?;
            }
            before.is_some()
        }
    };
    if held {
        Ok(())
    } else {
        Err(refused::lease_lost(&place))
    }
}

fn not_back(session: &Session, before: &str, position: Position) -> Result<()> {
    match before.parse::<u128>() {
        Ok(there) if position.0 < there => Err(refused::position_back(
            session.place(),
            Position(there),
            position,
        )),
        _ => Ok(()),
    }
}

/// Commits. What the server refused has not happened; where no answer came, nobody knows.
pub(super) async fn commit<T>(session: &mut Session, doing: &str, value: T) -> Outcome<T> {
    match session.run("COMMIT", doing).await {
        Ok(()) => Outcome::Done(value),
        Err(fault) if fault.code == "CONNECTION-LOST" => Outcome::Unknown(format!(
            "COMMIT was sent to {} to {doing}; it answered: {fault}",
            session.place()
        )),
        Err(fault) => Outcome::NotDone(fault),
    }
}

/// Sets a savepoint; what follows is ended by [`settled`].
pub(super) async fn savepoint(session: &mut Session) -> Result<(), Broke> {
    Ok(session.run("SAVEPOINT tidegate", "set a savepoint").await?)
}

/// Ends a savepoint: an error leaves nothing of what was done since, and the transaction goes on.
pub(super) async fn settled<T>(session: &mut Session, done: Result<T, Broke>) -> Result<T, Broke> {
    match done {
        Ok(value) => {
            session
                .run("RELEASE tidegate", "release a savepoint")
                .await?;
            Ok(value)
        }
        Err(broke) => {
            // On a broken connection this fails too, and the first error is the one to tell.
            let _ = session
                .run(
                    "ROLLBACK TO tidegate; RELEASE tidegate",
                    "go back to a savepoint",
                )
                .await;
            Err(broke)
        }
    }
}
