//! The frame of every write: under the lease, whole or not at all, with an honest outcome.

use super::connect::Session;
use super::place::{OrFault, in_the_way};
use crate::db::advance::Advance;
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

/// Begins a transaction under the lease, where the ledger stands as the write needs it, with its new position if there is one.
///
/// Without a position the lease's row is only held, so that landings go on beside each other and beside the stream. With one, the
/// commit does not wait for the disk: one that is lost with the server's memory is missed by the next write, which needs the
/// position that it had left, and everything else that commits here waits for the disk, with all that came before.
pub(super) async fn begin(
    session: &mut Session,
    token: Token,
    advance: Advance,
    doing: &str,
) -> Result<()> {
    let (mine, Position(after)) = (token.0.cast_signed(), advance.after);
    // Together, for each round trip counts where batches are small.
    let sql = match advance.upto {
        None => format!(
            "BEGIN; SELECT 1 FROM tidegate.ledger WHERE token = {mine} AND applied >= {after} FOR KEY SHARE"
        ),
        Some(Position(upto)) => format!(
            "BEGIN; SET LOCAL synchronous_commit = off; \
             UPDATE tidegate.ledger SET applied = {upto} WHERE token = {mine} AND applied BETWEEN {after} AND {upto}"
        ),
    };
    match session.count(&sql, doing).await? {
        0 => Err(why_not(session, mine, advance, doing).await?),
        _ => Ok(()),
    }
}

/// Why the ledger's row was not found as it was to be.
async fn why_not(session: &mut Session, mine: i64, advance: Advance, doing: &str) -> Result<Fault> {
    let place = session.shared_place();
    let there: Option<String> =
        sqlx::query_scalar("SELECT applied::text FROM tidegate.ledger WHERE token = $1")
            .bind(mine)
            .fetch_optional(session.conn()?)
            .await
            .or_fault(&place, doing)?;
    let there = there.and_then(|there| there.parse().ok()).map(Position);
    let wrong = there.and_then(|there| advance.check(&place, there).err());
    Ok(wrong.unwrap_or_else(|| refused::lease_lost(&place)))
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
