//! Our tables on the side where rows land: one ledger row, and the landed chunks.
//!
//! One migration owns a database at a time; the row says which. Tokens begin at the clock and only grow, so that a ledger
//! that was removed and made again never gives a token that an older engine still holds.
//!
//! The token has an index of its own, which makes changing it a change of a key: it waits for everybody who holds the row
//! FOR KEY SHARE. Landings hold it so, many at once; the applied position is no key and moves beside them; a new lease
//! waits for all of them, and after it none of them finds its token.

use super::connect::Session;
use super::place::{OrFault, Place};
use crate::db::{ChunkMark, Ledger, refused};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, TableId, Token};
use crate::domain::key::{Bound, Range};
use crate::domain::plan::Plan;
use crate::domain::position::Position;
use crate::domain::unit::Rows;
use sqlx::{Executor as _, Row as _};
use std::collections::BTreeMap;

pub(super) const CREATE_LEDGER: &str = "CREATE TABLE tidegate.ledger(one integer PRIMARY KEY CHECK (one = 1), migration text NOT NULL, \
     token bigint NOT NULL UNIQUE, applied numeric(39) NOT NULL)";
pub(super) const CREATE_CHUNK: &str = "CREATE TABLE tidegate.chunk(tbl text NOT NULL, no bigint NOT NULL, lo text, hi text, rows bigint NOT NULL, \
     PRIMARY KEY (tbl, no))";
/// The ledger's only row. A token's room is a thousand leases a second since 1970.
pub(super) const FIRST_ROW: &str = "INSERT INTO tidegate.ledger(one, migration, token, applied) \
     SELECT 1, $1, extract(epoch FROM pg_catalog.now())::bigint * 1000, 0 \
     WHERE NOT EXISTS (SELECT 1 FROM tidegate.ledger)";

/// The last chunk of each table before the first gap: each begins where the one before it ends.
const LAST: &str = "\
    WITH c AS (SELECT tbl, no, lo, hi, row_number() OVER w - 1 AS nth, lag(hi) OVER w AS before \
               FROM tidegate.chunk WINDOW w AS (PARTITION BY tbl ORDER BY no)), \
         gap AS (SELECT tbl, min(no) AS no FROM c WHERE no <> nth OR no > 0 AND (before IS NULL OR lo IS DISTINCT FROM before) GROUP BY tbl) \
    SELECT DISTINCT ON (c.tbl) c.tbl, c.no, c.hi FROM c LEFT JOIN gap USING (tbl) \
    WHERE gap.no IS NULL OR c.no < gap.no ORDER BY c.tbl, c.no DESC";

const READ: &str = "read the ledger";
const MARK: &str = "mark a chunk as landed";

/// The applied position; the ledger is there.
pub(super) async fn applied(session: &mut Session) -> Result<Option<Position>> {
    let place = session.shared_place();
    let text: Option<String> = sqlx::query_scalar("SELECT applied::text FROM tidegate.ledger")
        .fetch_optional(session.conn()?)
        .await
        .or_fault(&place, READ)?;
    text.map(|text| position(&text, &place)).transpose()
}

/// The applied position, once everything up to it is on the disk: whoever commits a lock of the row waits for that.
pub(super) async fn durable(session: &mut Session) -> Result<Option<Position>> {
    let place = session.shared_place();
    let read = "BEGIN; SELECT applied::text FROM tidegate.ledger FOR KEY SHARE; COMMIT";
    // All answers are waited for: the last one is that of the commit.
    let rows = session
        .conn()?
        .fetch_all(sqlx::raw_sql(read))
        .await
        .or_fault(&place, READ)?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let text: String = row.try_get(0).or_fault(&place, READ)?;
    position(&text, &place).map(Some)
}

/// The ledger must be this migration's.
pub(super) async fn owned(session: &mut Session, plan: &Plan) -> Result<()> {
    let place = session.shared_place();
    let there: bool =
        sqlx::query_scalar("SELECT pg_catalog.to_regclass('tidegate.ledger') IS NOT NULL")
            .fetch_one(session.conn()?)
            .await
            .or_fault(&place, READ)?;
    let owner: Option<String> = if there {
        sqlx::query_scalar("SELECT migration FROM tidegate.ledger")
            .fetch_optional(session.conn()?)
            .await
            .or_fault(&place, READ)?
    } else {
        None
    };
    if owner.as_deref() == Some(plan.name.as_str()) {
        Ok(())
    } else {
        Err(refused::not_ours(&place, owner.as_deref()))
    }
}

/// Takes the lease: the next token.
pub(super) async fn take(session: &mut Session, plan: &Plan) -> Result<Token> {
    owned(session, plan).await?;
    let place = session.shared_place();
    let token: i64 =
        sqlx::query_scalar("UPDATE tidegate.ledger SET token = token + 1 RETURNING token")
            .fetch_one(session.conn()?)
            .await
            .or_fault(&place, "take the lease on the ledger")?;
    Ok(Token(token.cast_unsigned()))
}

/// Where things stand, once nobody writes under any lease any more: the lock waits for them.
pub(super) async fn read(session: &mut Session, plan: &Plan) -> Result<Ledger> {
    let place = session.shared_place();
    session.run("BEGIN", READ).await?;
    let (token, applied): (i64, String) =
        sqlx::query_as("SELECT token, applied::text FROM tidegate.ledger FOR UPDATE")
            .fetch_one(session.conn()?)
            .await
            .or_fault(&place, READ)?;
    let found: Vec<(String, i64, Option<String>)> = sqlx::query_as(LAST)
        .fetch_all(session.conn()?)
        .await
        .or_fault(&place, READ)?;
    session.run("COMMIT", READ).await?;
    let mut by_name: BTreeMap<String, (i64, Option<String>)> = found
        .into_iter()
        .map(|(tbl, no, hi)| (tbl, (no, hi)))
        .collect();
    let mut last = Vec::new();
    for (id, table) in plan.ids() {
        if let Some((no, hi)) = by_name.remove(&table.source) {
            let hi = hi.map(|text| bound(&text, &place)).transpose()?;
            last.push((id, number(no), hi));
        }
    }
    Ok(Ledger {
        token: Token(token.cast_unsigned()),
        applied: position(&applied, &place)?,
        last,
    })
}

/// The landed chunks of a table, from a number on.
pub(super) async fn landed(
    session: &mut Session,
    plan: &Plan,
    table: TableId,
    from: u32,
) -> Result<Vec<ChunkMark>> {
    let place = session.shared_place();
    let name = plan.table(table).map(|table| table.source.clone());
    type Found = (i64, Option<String>, Option<String>, i64);
    let found: Vec<Found> = sqlx::query_as(
        "SELECT no, lo, hi, rows FROM tidegate.chunk WHERE tbl = $1 AND no >= $2 ORDER BY no",
    )
    .bind(name)
    .bind(i64::from(from))
    .fetch_all(session.conn()?)
    .await
    .or_fault(&place, READ)?;
    found
        .into_iter()
        .map(|(no, lo, hi, rows)| {
            Ok(ChunkMark {
                chunk: ChunkId {
                    table,
                    no: number(no),
                },
                range: Range {
                    lo: lo.map(|text| bound(&text, &place)).transpose()?,
                    hi: hi.map(|text| bound(&text, &place)).transpose()?,
                },
                rows: Rows(rows.cast_unsigned()),
            })
        })
        .collect()
}

/// Sets where the stream begins, in the caller's transaction.
pub(super) async fn begin_at(session: &mut Session, position: Position) -> Result<()> {
    let place = session.shared_place();
    sqlx::query("UPDATE tidegate.ledger SET applied = $1::numeric")
        .bind(position.0.to_string())
        .execute(session.conn()?)
        .await
        .map(drop)
        .or_fault(&place, "set where the stream begins")
}

/// Marks a chunk as landed, in the caller's transaction.
pub(super) async fn mark(session: &mut Session, plan: &Plan, mark: &ChunkMark) -> Result<()> {
    let place = session.shared_place();
    let text = |bound: &Option<Bound>| match bound {
        Some(bound) => serde_json::to_string(bound).map(Some).map_err(|error| {
            Fault::new(Kind::Own, "a chunk's bound can't be written").cause(error)
        }),
        None => Ok(None),
    };
    sqlx::query(
        "INSERT INTO tidegate.chunk(tbl, no, lo, hi, rows) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (tbl, no) DO UPDATE SET lo = excluded.lo, hi = excluded.hi, rows = excluded.rows",
    )
    .bind(plan.table(mark.chunk.table).map(|table| table.source.clone()))
    .bind(i64::from(mark.chunk.no))
    .bind(text(&mark.range.lo)?)
    .bind(text(&mark.range.hi)?)
    .bind(mark.rows.0.cast_signed())
    .execute(session.conn()?)
    .await
    .or_fault(&place, MARK)?;
    if mark.range.hi.is_none() {
        // The table's last: what lies behind is left from an engine that ended while several landed, and cut them otherwise.
        sqlx::query("DELETE FROM tidegate.chunk WHERE tbl = $1 AND no > $2")
            .bind(
                plan.table(mark.chunk.table)
                    .map(|table| table.source.clone()),
            )
            .bind(i64::from(mark.chunk.no))
            .execute(session.conn()?)
            .await
            .or_fault(&place, MARK)?;
    }
    Ok(())
}

fn number(no: i64) -> u32 {
    u32::try_from(no).unwrap_or(u32::MAX)
}

fn position(text: &str, place: &Place) -> Result<Position> {
    text.parse()
        .map(Position)
        .map_err(|error| refused::unreadable_ledger(place).cause(error))
}

fn bound(text: &str, place: &Place) -> Result<Bound> {
    serde_json::from_str(text).map_err(|error| refused::unreadable_ledger(place).cause(error))
}
