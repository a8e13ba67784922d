//! A range's digest, hashed by the server itself: no row travels, and none is read here.
//!
//! A row is hashed as the bytes of its cells, never as what its types take for equal: `1.0` and `1.00`, -0 and 0, and two texts of
//! one meaning are told apart, and so are NULL and `''`. A record's own hash is a sum over its columns, and one value may stand in
//! two rows: that sum is hashed once more, so that values swapped between rows change the digest. The hash is the server's, of
//! 64 bits. No release promises that it stays the same, so both servers are asked for hashes of the same values first: only where
//! they hash alike, and the columns' types are the same, does it say anything.

use super::cell;
use super::connect::Session;
use super::place::{OrFault, Place, state};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::unit::Rows;
use crate::domain::verdict::Digest;
use sqlx::{Executor as _, Row as _};

/// Hashes of every type that is hashed by its own function, of every length that the hash treats in another way; and what the
/// bytes of texts are.
const PROBE: &str = "SELECT pg_catalog.current_setting('server_encoding') || pg_catalog.string_agg(' ' || \
       pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW(CASE WHEN n > 9 THEN n END, n::smallint, \
         n * 30000001, (n * 60000001::bigint)::oid, n % 2 = 0, '2000-01-01'::date + n * 9001, \
         pg_catalog.md5(n::text)::uuid, pg_catalog.left(t, n) COLLATE \"C\", \
         pg_catalog.left(t, n)::character varying COLLATE \"C\", pg_catalog.decode(pg_catalog.left(t, n), 'escape')), 0) \
       ::text COLLATE \"C\", 0)::text, '' ORDER BY n) \
     FROM (VALUES ('the quick brown fox jumps over 13 lazy dogs, (\",,) and is back again')) AS texts(t), \
     pg_catalog.generate_series(0, 61) AS n";

/// A cell as something whose hash is that of all its bytes.
///
/// Four bytes and strings of bytes are hashed whole by their own types. Eight are not: a bigint's hash is that of its halves
/// joined by XOR, 1 and 4294967296 are one, and a timestamp's is the same. Those go as the server would send them. What somebody
/// made goes as text: its form on the wire names types by numbers, which are other ones in each database.
pub(super) fn cell(column: &str, cast: &str, send: Option<&str>) -> String {
    match (cast, send) {
        ("smallint" | "integer" | "oid" | "boolean" | "date" | "uuid" | "bytea", _) => {
            column.to_owned()
        }
        // By this collation a text is its bytes; its own may take two for equal.
        ("text" | "character varying", _) => format!("{column} COLLATE \"C\""),
        (_, Some(send)) if cell::portable(cast) => format!("{send}({column})"),
        _ => format!("ROW({column})::text COLLATE \"C\""),
    }
}

/// How many rows there are, and the sum of their hashes.
pub(super) fn select(cells: &str, from: &str, within: &str) -> String {
    format!(
        "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(\
         pg_catalog.hash_record_extended(ROW({cells}), 0)::text COLLATE \"C\", 0)), 0)::text \
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
