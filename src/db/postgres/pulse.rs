//! What is measured every second.

use super::connect::Session;
use super::names;
use super::place::OrFault;
use super::shape::shapes;
use crate::db::Pulse;
use crate::domain::fault::Result;
use crate::domain::plan::{Plan, Side};
use crate::domain::position::Position;
use crate::domain::unit::Bytes;

/// Where the WAL ends that is flushed: what is behind it may not have happened.
const HEAD: &str = "(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
     ELSE pg_catalog.pg_current_wal_flush_lsn() END)";

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

/// Measures.
pub(super) async fn pulse(session: &mut Session, plan: &Plan, side: Side) -> Result<Pulse> {
    let place = session.shared_place();
    let sql = format!(
        "SELECT ({HEAD} - '0/0'::pg_lsn)::text, \
         (SELECT ({HEAD} - restart_lsn)::text FROM pg_catalog.pg_replication_slots WHERE slot_name = $1), \
         (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) || '/' || \
         (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    );
    let (head, kept, identity): (String, Option<String>, String) = sqlx::query_as(&sql)
        .bind(names::capture(&plan.name))
        .fetch_one(session.conn()?)
        .await
        .or_fault(&place, "measure")?;
    Ok(Pulse {
        head: position(&head),
        log_rows: None,
        log_bytes: kept.and_then(|kept| kept.parse().ok()).map(Bytes),
        // What is free on the server's disk is not in SQL.
        free: None,
        identity,
        shapes: shapes(session, plan, side).await?,
        held: None,
    })
}
