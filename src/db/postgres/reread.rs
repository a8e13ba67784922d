//! Cells that the stream left out of a row whose key changed, read from the row itself.

use super::cell::text;
use super::connect::{Server, Session};
use super::names::{literal, quote};
use super::place::{OrFault, state};
use super::tuple::{Cells, Shape};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::key::Key;
use crate::domain::plan::Plan;
use crate::domain::value::Value;
use sqlx::{Executor as _, Row as _, ValueRef as _};
use std::time::Duration;

/// Between two looks whether a transaction is visible already.
const AGAIN: Duration = Duration::from_millis(20);

/// Which row.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) plan: &'a Plan,
    pub(super) shape: &'a Shape,
    /// Schema and name.
    pub(super) table: (&'a str, &'a str),
    /// The transaction that gave the row its key: the read must see it.
    pub(super) xid: u64,
}

/// What was found.
pub(super) enum Found {
    /// Every cell.
    Cells(Cells),
    /// No row has that key any more.
    Nothing,
    /// The table is not what it was when the row got its key.
    Redefined,
}

/// No such table, column, schema or type (any more), and a key that its column's type can't be.
const REDEFINED: [&str; 6] = ["42P01", "42703", "3F000", "42883", "42704", "22P02"];

/// Fills in the absent cells of a row, and says which transaction began after it was read.
///
/// Waits until the transaction is visible: before, a row that is not found might just not be visible yet. And until the log is on
/// disk as far as was read: of what was read, nothing can be undone by a crash that takes the newest commits with it.
///
/// # Errors
/// A source that can't be read.
pub(super) async fn cells(
    server: &Server,
    asked: Asked<'_>,
    key: &Key,
    mut cells: Cells,
) -> Result<(Found, Option<u64>)> {
    let place = &server.place;
    let doing = "read the rest of a row";
    let absent: Vec<usize> = (0..cells.len()).filter(|i| cells[*i].is_none()).collect();
    let sql = statement(asked, key, &absent).ok_or_else(|| {
        Fault::new(Kind::Own, format!("could not {doing}: {place}"))
            .cause("its key can't be written")
    })?;
    let mut session = server.session().await?;
    loop {
        // Asked in one statement, so that both are about one snapshot. Sent as plain text, the cells come as the stream's do.
        let row = match session.conn()?.fetch_one(sqlx::raw_sql(&sql)).await {
            Ok(row) => row,
            Err(error) if state(&error).is_some_and(|state| REDEFINED.contains(&state)) => {
                return Ok((Found::Redefined, None));
            }
            Err(error) => return Err(place.fault(doing, &error)),
        };
        let cell = |at: usize| -> Result<Option<Vec<u8>>> {
            let raw = row.try_get_raw(at).or_fault(place, doing)?;
            let bytes = (!raw.is_null()).then(|| raw.as_bytes().map(<[u8]>::to_vec));
            bytes
                .transpose()
                .map_err(|error| place.fault(doing, &sqlx::Error::Decode(error)))
        };
        if cell(0)?.as_deref() != Some(b"t") {
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        let there = cell(1)?.is_some();
        for (at, column) in absent.iter().enumerate() {
            let value = match cell(at + 2)? {
                Some(bytes) => asked.shape.forms[*column].value(&bytes),
                None => Value::Null,
            };
            cells[*column] = Some(value);
        }
        drop(row);
        let after = on_disk(&mut session).await?;
        session.rest();
        let found = if there {
            Found::Cells(cells)
        } else {
            Found::Nothing
        };
        return Ok((found, Some(after)));
    }
}

fn statement(asked: Asked<'_>, key: &Key, absent: &[usize]) -> Option<String> {
    let Asked {
        plan,
        shape,
        table: (schema, table),
        xid,
    } = asked;
    let columns = &plan.table(shape.table)?.columns;
    let cells: String = absent
        .iter()
        .map(|at| {
            columns
                .get(*at)
                .map(|column| format!(", t.{}", quote(&column.name)))
        })
        .collect::<Option<_>>()?;
    let places = shape
        .key
        .columns
        .iter()
        .map(|at| columns.get(usize::from(*at)));
    let equal: Vec<String> = places
        .zip(key.parts())
        .map(|(column, part)| {
            Some(format!(
                // Some types (a composite one) are not guessed from the other side of `=`.
                "t.{} = {}::{}",
                quote(&column?.name),
                literal(&text(part)?),
                column?.declared
            ))
        })
        .collect::<Option<_>>()?;
    Some(format!(
        "SELECT pg_visible_in_snapshot('{xid}'::xid8, pg_current_snapshot()), t.ctid{cells} \
         FROM (VALUES (1)) AS one LEFT JOIN {}.{} AS t ON {}",
        quote(schema),
        quote(table),
        equal.join(" AND ")
    ))
}

/// Puts everything on disk that was visible until now. A commit of our own does that: nothing else makes the server write the last
/// page of its log in time. Says which transaction it was.
async fn on_disk(session: &mut Session) -> Result<u64> {
    let (place, doing) = (session.shared_place(), "wait for the log");
    let (xid, _, _): (String, String, String) = sqlx::query_as(
        "SELECT pg_catalog.pg_current_xact_id()::text, \
         pg_catalog.set_config('synchronous_commit', 'local', true), \
         pg_catalog.pg_logical_emit_message(true, 'tidegate.flush', '')::text",
    )
    .fetch_one(session.conn()?)
    .await
    .or_fault(&place, doing)?;
    xid.parse().map_err(|_| {
        Fault::new(Kind::Own, format!("could not {doing}: {place}"))
            .cause(format!("{xid} is no transaction id"))
    })
}
