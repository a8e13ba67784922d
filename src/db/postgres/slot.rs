//! The slot before the stream is started from it: whether it still holds everything after a position.

use super::connect::Session;
use super::place::{OrFault, Place};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::position::Position;
use pgwire_replication::Lsn;
use std::str::FromStr as _;
use std::time::Duration;

/// How long a slot may still be held by a connection of ours that has just ended.
const PARTING: Duration = Duration::from_millis(100);
const PARTINGS: u32 = 20;

/// The comment on a publication whose slot was made at `lsn`. Whoever makes the slot leaves it there: only so can a stream that
/// begins at [`Position::START`] be told from one whose beginning was released long ago.
pub(super) fn begins(lsn: u64) -> String {
    format!("tidegate: begins at {}", Lsn(lsn))
}

/// Where a stream can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ready {
    /// After this.
    pub(super) from: u64,
    /// What the server knows to be held on the target.
    pub(super) held: u64,
}

/// The slot as the server has it.
struct Found {
    active_pid: Option<i32>,
    wal_status: Option<String>,
    confirmed: Option<String>,
    /// PostgreSQL 17 says why, 16 only that it is so.
    invalid: Option<String>,
    published: bool,
    comment: Option<String>,
    end: String,
}

/// Waits for a connection of ours that is about to end, and looks whether the slot holds everything after `from`.
///
/// # Errors
/// `CAPTURE-LOST` when it does not; a passing fault when somebody else reads from it.
pub(super) async fn ready(session: &mut Session, name: &str, from: Position) -> Result<Ready> {
    let mut waited = 0;
    loop {
        let place = session.place().clone();
        let found = find(session, name).await?;
        match judge(found, &place, name, from)? {
            Ok(ready) => return Ok(ready),
            Err(pid) if waited == PARTINGS => {
                return Err(Fault::new(
                    Kind::Transient,
                    format!("the stream is read by somebody else: {place}"),
                )
                .code("SLOT-IN-USE")
                .cause(format!("process {pid} of the server reads the slot {name}"))
                .hint("does another engine run this migration?"));
            }
            Err(_) => {
                waited += 1;
                tokio::time::sleep(PARTING).await;
            }
        }
    }
}

async fn find(session: &mut Session, name: &str) -> Result<Option<Found>> {
    let place = session.place().clone();
    type Text = Option<String>;
    type Row = (Option<i32>, Text, Text, Text, bool, Text, String);
    let row: Option<Row> = sqlx::query_as(
        "SELECT s.active_pid, s.wal_status, s.confirmed_flush_lsn::text, \
           coalesce(to_jsonb(s)->>'invalidation_reason', \
             CASE WHEN to_jsonb(s)->>'conflicting' = 'true' THEN 'a conflict with recovery' END), \
           p.oid IS NOT NULL, obj_description(p.oid, 'pg_publication'), pg_current_wal_insert_lsn()::text \
         FROM pg_replication_slots s LEFT JOIN pg_publication p ON p.pubname = $1 \
         WHERE s.slot_name = $1 AND s.database = current_database() AND s.plugin = 'pgoutput'",
    )
    .bind(name)
    .fetch_optional(session.conn()?)
    .await
    .or_fault(&place, "look at the replication slot")?;
    Ok(row.map(
        |(active_pid, wal_status, confirmed, invalid, published, comment, end)| Found {
            active_pid,
            wal_status,
            confirmed,
            invalid,
            published,
            comment,
            end,
        },
    ))
}

/// Whether the slot is read from now: whoever watches over a silent connection asks.
pub(super) async fn read_from(session: &mut Session, name: &str) -> Result<bool> {
    let place = session.place().clone();
    let active: Option<bool> =
        sqlx::query_scalar("SELECT active FROM pg_replication_slots WHERE slot_name = $1")
            .bind(name)
            .fetch_optional(session.conn()?)
            .await
            .or_fault(&place, "look at the replication slot")?;
    Ok(active == Some(true))
}

/// Where to start, or the process that reads from the slot.
fn judge(
    found: Option<Found>,
    place: &Place,
    name: &str,
    from: Position,
) -> Result<Result<Ready, i32>> {
    let found =
        found.ok_or_else(|| place.capture_lost(format!("its replication slot {name} is gone")))?;
    if let Some(reason) = found.invalid {
        return Err(place.capture_lost(format!("the server gave the slot {name} up: {reason}")));
    }
    if found.wal_status.as_deref() == Some("lost") {
        return Err(place.capture_lost(format!(
            "the server removed log that the slot {name} needs (max_slot_wal_keep_size)"
        )));
    }
    if !found.published {
        return Err(place.capture_lost(format!("its publication {name} is gone")));
    }
    let held = found
        .confirmed
        .as_deref()
        .and_then(|lsn| Lsn::from_str(lsn).ok())
        .ok_or_else(|| place.capture_lost(format!("the slot {name} was never made ready")))?
        .as_u64();
    let from = if from == Position::START {
        if found.comment != Some(begins(held)) {
            return Err(released(place, name, held, "its beginning".to_owned()));
        }
        held
    } else {
        u64::try_from(from.0)
            .map_err(|_| place.capture_lost(format!("{from} is no position of its log")))?
    };
    if held > from {
        return Err(released(place, name, held, Lsn(from).to_string()));
    }
    let end = Lsn::from_str(&found.end).unwrap_or_default().as_u64();
    if from > end {
        return Err(place.capture_lost(format!(
            "its log ends at {}, before {}: an older copy was restored, or a standby took over",
            Lsn(end),
            Lsn(from)
        )));
    }
    Ok(match found.active_pid {
        Some(pid) => Err(pid),
        None => Ok(Ready { from, held }),
    })
}

fn released(place: &Place, name: &str, held: u64, from: String) -> Fault {
    place.capture_lost(format!(
        "the slot {name} was released up to {}, further than the target holds ({from})",
        Lsn(held)
    ))
}

/// Takes a transaction id of our own, 64 bits wide, that is over when this returns.
pub(super) async fn own_xid(session: &mut Session) -> Result<u64> {
    let place = session.place().clone();
    let doing = "take a transaction id";
    // Rolled back: a commit could wait for a standby.
    session.run("BEGIN", doing).await?;
    let xid: String = sqlx::query_scalar("SELECT pg_current_xact_id()::text")
        .fetch_one(session.conn()?)
        .await
        .or_fault(&place, doing)?;
    session.run("ROLLBACK", doing).await?;
    xid.parse()
        .map_err(|error| Fault::new(Kind::Own, format!("could not {doing}: {place}")).cause(error))
}

/// The plan's tables of `tables` (schema, name) that are not published any more: dropped, renamed, or taken out.
pub(super) async fn unpublished<'a, T: Copy>(
    session: &mut Session,
    name: &str,
    tables: impl Iterator<Item = (T, &'a (String, String))>,
) -> Result<Vec<T>> {
    let place = session.place().clone();
    let there: Vec<(String, String)> = sqlx::query_as(
        "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = $1",
    )
    .bind(name)
    .fetch_all(session.conn()?)
    .await
    .or_fault(&place, "look at the publication")?;
    Ok(tables
        .filter(|(_, table)| !there.contains(table))
        .map(|(id, _)| id)
        .collect())
}
