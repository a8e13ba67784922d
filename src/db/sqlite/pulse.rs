//! What is measured every second.

use super::capture::LOG;
use super::ledger::has_table;
use super::log;
use super::place::{OrFault, Place};
use super::prune::Held;
use super::reader::Reader;
use super::shape::fingerprint;
use crate::db::Pulse;
use crate::domain::fault::Result;
use crate::domain::position::Position;
use crate::domain::unit::{Bytes, Rows};
use rusqlite::Connection;

/// Measures in one read transaction.
pub(super) fn pulse(conn: &Connection, reader: &Reader, held: &Held) -> Result<Pulse> {
    let place = &*reader.place;
    let tx = conn.unchecked_transaction().or_fault(place, "measure")?;
    let catalog = reader.schema.read(&tx, place)?;
    let ends = log::ends(&tx, place)?;
    let log_rows = ends.map(|ends| {
        Rows(if ends.last == 0 {
            0
        } else {
            ends.last - ends.first + 1
        })
    });
    let shapes = reader
        .plan
        .ids()
        .filter_map(|(id, table)| {
            Some((id, fingerprint(catalog.table(table.name_on(place.side))?)))
        })
        .collect();
    Ok(Pulse {
        head: ends.map_or(Position::START, |ends| Position(ends.last.into())),
        log_rows,
        log_bytes: match log_rows {
            Some(rows) => log_bytes(&tx, rows).or_fault(place, "measure the capture's log")?,
            None => None,
        },
        behind: None,
        written: None,
        room: None,
        free: free(place),
        identity: place
            .identity()?
            .map(|file| file.to_string())
            .unwrap_or_default(),
        shapes,
        held: held.take(),
        active: None,
        standbys: Vec::new(),
        blind: String::new(),
    })
}

/// Estimated from the newest rows: counting pages would read them all.
fn log_bytes(conn: &Connection, rows: Rows) -> rusqlite::Result<Option<Bytes>> {
    if !has_table(conn, LOG)? {
        return Ok(None);
    }
    let width = conn
        .prepare_cached("SELECT * FROM tidegate_log LIMIT 0")?
        .column_count()
        .saturating_sub(2);
    let parts: String = (0..width)
        .map(|part| format!(" + coalesce(length(CAST(k{part} AS BLOB)), 0)"))
        .collect();
    // A row's header, its number and its table take about a dozen bytes.
    let sql = format!(
        "SELECT avg(n) FROM (SELECT 12{parts} AS n FROM tidegate_log ORDER BY seq DESC LIMIT 100)"
    );
    let each: Option<f64> = conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
    Ok(Some(Bytes((each.unwrap_or(0.0) * rows.0 as f64) as u64)))
}

/// Free space for this user where the file lies.
pub(super) fn free(place: &Place) -> Option<Bytes> {
    let stat = nix::sys::statvfs::statvfs(place.directory()).ok()?;
    Some(Bytes(
        stat.blocks_available().saturating_mul(stat.fragment_size()),
    ))
}
