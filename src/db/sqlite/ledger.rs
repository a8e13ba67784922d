//! Our tables on the side where rows land: one ledger row, and the landed chunks.
//!
//! One migration owns a database at a time; the row says which. Tokens begin at the clock and only grow, so that a ledger
//! that was removed and made again never gives a token that an older engine still holds.

use super::place::{OrFault, Place};
use crate::db::{ChunkMark, Ledger, refused};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, TableId, Token};
use crate::domain::key::{Bound, Range};
use crate::domain::plan::Plan;
use crate::domain::position::Position;
use crate::domain::unit::Rows;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) const LEDGER: &str = "tidegate_ledger";
pub(super) const CHUNK: &str = "tidegate_chunk";

pub(super) const CREATE_LEDGER: &str = "CREATE TABLE tidegate_ledger(one INTEGER PRIMARY KEY CHECK (one = 1), migration TEXT NOT NULL, \
     token INTEGER NOT NULL, applied TEXT NOT NULL)";
pub(super) const CREATE_CHUNK: &str = "CREATE TABLE tidegate_chunk(tbl TEXT NOT NULL, no INTEGER NOT NULL, lo TEXT, hi TEXT, rows INTEGER NOT NULL, \
     PRIMARY KEY (tbl, no)) WITHOUT ROWID";
/// The ledger's only row, for the migration `?1`. A token's room is a thousand leases a second since 1970.
pub(super) const FIRST_ROW: &str = "INSERT INTO tidegate_ledger(one, migration, token, applied) \
     SELECT 1, ?1, CAST(strftime('%s', 'now') AS INTEGER) * 1000, '0' \
     WHERE NOT EXISTS (SELECT 1 FROM tidegate_ledger)";

/// Whether the database has a table of that name.
pub(super) fn has_table(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1")?
        .exists([name])
}

/// The applied position, where there is a ledger.
pub(super) fn applied(conn: &Connection, place: &Place) -> Result<Option<Position>> {
    let doing = "read the ledger";
    if !has_table(conn, LEDGER).or_fault(place, doing)? {
        return Ok(None);
    }
    let text: Option<String> = conn
        .prepare_cached("SELECT applied FROM tidegate_ledger")
        .and_then(|mut s| s.query_row([], |row| row.get(0)).optional())
        .or_fault(place, doing)?;
    text.map(|text| position(&text, place)).transpose()
}

/// Whose ledger it is; none where there is none.
pub(super) fn owner(conn: &Connection) -> rusqlite::Result<Option<String>> {
    if !has_table(conn, LEDGER)? {
        return Ok(None);
    }
    conn.query_row("SELECT migration FROM tidegate_ledger", [], |row| {
        row.get(0)
    })
    .optional()
}

/// The ledger must be there and be this migration's.
pub(super) fn owned(conn: &Connection, place: &Place, plan: &Plan) -> Result<()> {
    let found = owner(conn).or_fault(place, "read the ledger")?;
    if found.as_deref() == Some(plan.name.as_str()) {
        Ok(())
    } else {
        Err(refused::not_ours(place, found.as_deref()))
    }
}

/// Takes the lease: the next token.
pub(super) fn take(conn: &Connection, place: &Place, plan: &Plan) -> Result<Token> {
    let doing = "take the lease on the ledger";
    owned(conn, place, plan)?;
    let token: i64 = conn
        .query_row(
            "UPDATE tidegate_ledger SET token = token + 1 RETURNING token",
            [],
            |row| row.get(0),
        )
        .or_fault(place, doing)?;
    Ok(Token(token.cast_unsigned()))
}

/// The last chunk of a table before the first gap: each begins where the one before it ends.
const LAST: &str = "\
    WITH c AS (SELECT no, lo, hi, row_number() OVER w - 1 AS nth, lag(hi) OVER w AS before \
               FROM tidegate_chunk WHERE tbl = ?1 WINDOW w AS (ORDER BY no)), \
         gap AS (SELECT min(no) AS no FROM c WHERE no <> nth OR no > 0 AND (before IS NULL OR lo IS NOT before)) \
    SELECT c.no, c.hi FROM c, gap WHERE gap.no IS NULL OR c.no < gap.no ORDER BY c.no DESC LIMIT 1";

/// Where things stand.
pub(super) fn read(conn: &Connection, place: &Place, plan: &Plan) -> Result<Ledger> {
    let doing = "read the ledger";
    let tx = conn.unchecked_transaction().or_fault(place, doing)?;
    let (token, text): (i64, String) = tx
        .query_row("SELECT token, applied FROM tidegate_ledger", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .or_fault(place, doing)?;
    let mut last = Vec::new();
    for (id, table) in plan.ids() {
        let found: Option<(u32, Option<String>)> = tx
            .prepare_cached(LAST)
            .and_then(|mut s| {
                s.query_row([&table.source], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .or_fault(place, doing)?;
        if let Some((no, hi)) = found {
            last.push((id, no, hi.map(|text| bound(&text, place)).transpose()?));
        }
    }
    Ok(Ledger {
        token: Token(token.cast_unsigned()),
        applied: position(&text, place)?,
        last,
    })
}

/// The landed chunks of a table, from a number on.
pub(super) fn landed(
    conn: &Connection,
    place: &Place,
    plan: &Plan,
    table: TableId,
    from: u32,
) -> Result<Vec<ChunkMark>> {
    let doing = "read the landed chunks";
    let name = plan
        .table(table)
        .map(|t| t.source.clone())
        .unwrap_or_default();
    let mut statement = conn
        .prepare_cached(
            "SELECT no, lo, hi, rows FROM tidegate_chunk WHERE tbl = ?1 AND no >= ?2 ORDER BY no",
        )
        .or_fault(place, doing)?;
    let found: Vec<(u32, Option<String>, Option<String>, i64)> = statement
        .query_map(params![name, from], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .and_then(Iterator::collect)
        .or_fault(place, doing)?;
    found
        .into_iter()
        .map(|(no, lo, hi, rows)| {
            Ok(ChunkMark {
                chunk: ChunkId { table, no },
                range: Range {
                    lo: lo.map(|text| bound(&text, place)).transpose()?,
                    hi: hi.map(|text| bound(&text, place)).transpose()?,
                },
                rows: Rows(rows.cast_unsigned()),
            })
        })
        .collect()
}

/// Writes a chunk's mark. A chunk keeps the range it first landed with.
pub(super) fn mark(conn: &Connection, place: &Place, plan: &Plan, mark: &ChunkMark) -> Result<()> {
    let doing = "mark a chunk as landed";
    let name = plan
        .table(mark.chunk.table)
        .map(|t| t.source.as_str())
        .unwrap_or_default();
    let (lo, hi) = (text(mark.range.lo.as_ref()), text(mark.range.hi.as_ref()));
    let changed = conn
        .prepare_cached(
            "INSERT INTO tidegate_chunk(tbl, no, lo, hi, rows) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT(tbl, no) DO UPDATE SET rows = excluded.rows WHERE lo IS excluded.lo AND hi IS excluded.hi",
        )
        .and_then(|mut s| s.execute(params![name, mark.chunk.no, lo, hi, mark.rows.0.cast_signed()]))
        .or_fault(place, doing)?;
    if changed == 0 {
        return Err(Fault::new(
            Kind::Refused,
            format!(
                "chunk {} of {name} landed before with other bounds in {place}",
                mark.chunk.no
            ),
        )
        .code("CHUNK-DIFFERS")
        .hint("a chunk is never split or merged once landed: read the ledger again"));
    }
    Ok(())
}

/// Sets where the stream begins, as long as nothing has landed.
pub(super) fn begin_at(conn: &Connection, place: &Place, at: Position) -> Result<()> {
    let doing = "set where the stream begins";
    let changed = conn
        .execute(
            "UPDATE tidegate_ledger SET applied = ?1 \
             WHERE applied = ?1 OR NOT EXISTS (SELECT 1 FROM tidegate_chunk)",
            [at.to_string()],
        )
        .or_fault(place, doing)?;
    if changed == 0 {
        return Err(Fault::new(
            Kind::Refused,
            format!("rows have landed already in {place}"),
        )
        .code("ALREADY-LANDED")
        .hint("the stream goes on from the ledger's position"));
    }
    Ok(())
}

fn text(bound: Option<&Bound>) -> Option<String> {
    // A bound is an array of plain values: writing it can't fail.
    bound.map(|bound| serde_json::to_string(bound).unwrap_or_default())
}

fn bound(text: &str, place: &Place) -> Result<Bound> {
    serde_json::from_str(text).map_err(|error| refused::unreadable_ledger(place).cause(error))
}

fn position(text: &str, place: &Place) -> Result<Position> {
    u128::from_str_radix(text, 16)
        .map(Position)
        .map_err(|error| refused::unreadable_ledger(place).cause(error))
}
