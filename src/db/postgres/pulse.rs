//! What is measured every second.

use super::connect::Session;
use super::names;
use super::place::OrFault;
use super::shape::shapes;
use crate::db::Pulse;
use crate::domain::fault::Result;
use crate::domain::plan::{Plan, Side};
use crate::domain::position::Position;
use crate::domain::unit::{Bytes, Span};

/// Where the WAL ends that is flushed: what is behind it may not have happened.
const HEAD: &str = "(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
     ELSE pg_catalog.pg_current_wal_flush_lsn() END)";

/// Microseconds for which the session waits that has waited longest for a lock of ours. A session behind one that waits for us
/// waits for us as well, and shorter than that one.
const HELD: &str = "(WITH ours AS (SELECT pg_catalog.array_agg(a.pid) AS pids FROM pg_catalog.pg_stat_activity a \
       WHERE a.application_name = 'tidegate') \
     SELECT (extract(epoch FROM max(pg_catalog.clock_timestamp() - l.waitstart)) * 1000000)::int8 \
     FROM pg_catalog.pg_locks l, ours \
     WHERE CASE WHEN l.granted THEN false ELSE l.pid <> ALL (ours.pids) AND pg_catalog.pg_blocking_pids(l.pid) && ours.pids END)";

/// The newest position of the stream.
pub(super) async fn head(session: &mut Session) -> Result<Position> {
    let place = session.shared_place();
    let lsn: String = sqlx::query_scalar(&format!("SELECT ({HEAD} - '0/0'::pg_lsn)::text"))
        .fetch_one(session.conn()?)
        .await
        .or_fault(&place, "measure")?;
    Ok(position(&lsn))
}

fn position(lsn: &str) -> Position {
    Position(lsn.parse().unwrap_or_default())
}

/// What one question tells.
type Told = (
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    bool,
    String,
);

/// Measures.
pub(super) async fn pulse(session: &mut Session, plan: &Plan, side: Side) -> Result<Pulse> {
    let place = session.shared_place();
    let sql = format!(
        "SELECT ({HEAD} - '0/0'::pg_lsn)::text, ({HEAD} - s.restart_lsn)::int8, ({HEAD} - s.confirmed_flush_lsn)::int8, \
           s.safe_wal_size, {HELD}, has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'), d.oid::text \
         FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1 \
         WHERE d.datname = pg_catalog.current_database()"
    );
    let (head, kept, behind, room, held, may, database): Told = sqlx::query_as(&sql)
        .bind(names::capture(&plan.name))
        .fetch_one(session.conn()?)
        .await
        .or_fault(&place, "measure")?;
    let bytes = |n: i64| Bytes(u64::try_from(n).unwrap_or_default());
    let head = position(&head);
    Ok(Pulse {
        head,
        log_rows: None,
        log_bytes: kept.map(bytes),
        behind: behind.map(bytes),
        written: u64::try_from(head.0).ok().map(Bytes),
        room: room.map(bytes),
        // What is free on the server's disk is not in SQL.
        free: None,
        identity: identity(session, may, &database).await?,
        shapes: shapes(session, plan, side).await?,
        held: held.and_then(|held| u64::try_from(held).ok()).map(Span),
    })
}

/// Which server's database it is. Where our role may not ask for the server, the database's number alone.
async fn identity(session: &mut Session, may: bool, database: &str) -> Result<String> {
    if !may {
        return Ok(database.to_owned());
    }
    let place = session.shared_place();
    let system: String =
        sqlx::query_scalar("SELECT system_identifier::text FROM pg_catalog.pg_control_system()")
            .fetch_one(session.conn()?)
            .await
            .or_fault(&place, "measure")?;
    Ok(format!("{system}/{database}"))
}
