//! Reading the source's log of dirty keys.

use super::capture::LOG;
use super::ledger::has_table;
use super::place::{OrFault, Place};
use crate::domain::fault::Result;
use crate::domain::position::Position;
use rusqlite::Connection;

/// Both ends of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    /// The first row that is still there.
    pub(super) first: u64,
    /// Whether that row is the one the log is born with (table -1), so that nothing was ever pruned.
    pub(super) whole: bool,
    /// The newest row.
    pub(super) last: u64,
}

/// Reads both ends; none where nothing is captured. `Ends` of an empty log are zero.
pub(super) fn ends(conn: &Connection, place: &Place) -> Result<Option<Ends>> {
    let doing = "read the capture's log";
    if !has_table(conn, LOG).or_fault(place, doing)? {
        return Ok(None);
    }
    // Two scalar queries: min and max together would scan.
    conn.prepare_cached(
        "SELECT coalesce((SELECT min(seq) FROM tidegate_log), 0), coalesce((SELECT max(seq) FROM tidegate_log), 0), \
         coalesce((SELECT t = -1 FROM tidegate_log ORDER BY seq LIMIT 1), 1)",
    )
    .and_then(|mut s| {
        s.query_row([], |row| {
            let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(Ends { first: first.cast_unsigned(), last: last.cast_unsigned(), whole: row.get(2)? })
        })
    })
    .or_fault(place, doing)
    .map(Some)
}

/// The newest position; the start where nothing is captured.
pub(super) fn head(conn: &Connection, place: &Place) -> Result<Position> {
    Ok(ends(conn, place)?.map_or(Position::START, |ends| Position(ends.last.into())))
}
