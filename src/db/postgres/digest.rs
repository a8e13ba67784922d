//! A range's digest, hashed by the server itself: no row travels, and none is read here.
//!
//! A row is hashed as the bytes in which the server would send it: two rows of the same bytes are one row, and NULL, `''`, `1.0` and
//! `1.00`, and a moved boundary between columns are told apart by them. Those bytes are hashed as a whole: a record's own hash is a
//! sum over its columns, which two values swapped between rows leave as it was. The hash is the server's, of 64 bits. No
//! release promises that it stays the same, so both servers are asked for hashes of the same bytes first: only where they hash
//! alike, and the columns' types are the same, does it say anything.

use super::cell;
use super::connect::Session;
use super::place::{OrFault, Place, state};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::unit::Rows;
use crate::domain::verdict::Digest;
use sqlx::{Executor as _, Row as _};

/// Hashes of every length that the hash treats in another way, and what the bytes of texts are.
const PROBE: &str = "SELECT pg_catalog.current_setting('server_encoding') || pg_catalog.string_agg(' ' || \
       pg_catalog.hash_record_extended(ROW(pg_catalog.record_send(ROW(n, pg_catalog.left(t, n), NULL::integer))), 0)::text, \
       '' ORDER BY n) \
     FROM (VALUES ('the quick brown fox jumps over 13 lazy dogs, (\"\\x\",,) and back')) AS texts(t), \
     pg_catalog.generate_series(0, 61) AS n";

/// A cell as the row's bytes have it. A record names its columns' types by numbers, which for a type that somebody made are other
/// ones in each database: those go as text.
pub(super) fn cell(column: &str, cast: &str) -> String {
    if cell::portable(cast) {
        column.to_owned()
    } else {
        format!("ROW({column})::text")
    }
}

/// How many rows there are, and the sum of their hashes.
pub(super) fn select(cells: &str, from: &str, within: &str) -> String {
    format!(
        "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(\
         pg_catalog.hash_record_extended(ROW(pg_catalog.record_send(ROW({cells}))), 0)), 0)::text \
         FROM {from} WHERE {within}"
    )
}

/// How this server hashes rows of these types.
///
/// # Errors
/// A server that can't be asked.
pub(super) async fn hashing(session: &mut Session, types: &[String]) -> Result<String> {
    let place = session.shared_place();
    let probe: String = sqlx::query_scalar(PROBE)
        .fetch_one(session.conn()?)
        .await
        .or_fault(&place, "ask how the server hashes")?;
    Ok(format!("{probe} {}", types.join(", ")))
}

/// The digest that `select` (a count and a sum of hashes) gives; none where a row is too large to be one value. Leaves the
/// transaction as it was.
///
/// # Errors
/// A server that can't read the range.
pub(super) async fn of(session: &mut Session, select: &str, doing: &str) -> Result<Option<Digest>> {
    let place = session.shared_place();
    let sql = format!("SAVEPOINT tidegate; {select}; RELEASE tidegate");
    match session.conn()?.fetch_all(sqlx::raw_sql(&sql)).await {
        Ok(rows) => read(&rows, &place, doing).map(Some),
        // "program limit exceeded": a value has 1 GB at most.
        Err(error) if state(&error) == Some("54000") => {
            session
                .run("ROLLBACK TO tidegate; RELEASE tidegate", doing)
                .await?;
            Ok(None)
        }
        Err(error) => Err(place.fault(doing, &error)),
    }
}

fn read(rows: &[sqlx::postgres::PgRow], place: &Place, doing: &str) -> Result<Digest> {
    let unreadable = || Fault::new(Kind::Own, format!("could not {doing}: {place}"));
    let row = rows.first().ok_or_else(unreadable)?;
    let figure = |at: usize| -> Result<i128> {
        let text: &str = row.try_get_unchecked(at).or_fault(place, doing)?;
        text.parse()
            .map_err(|_| unreadable().cause(text.to_owned()))
    };
    Ok(Digest {
        rows: Rows(u64::try_from(figure(0)?).map_err(|_| unreadable())?),
        sum: figure(1)? as u128,
    })
}
