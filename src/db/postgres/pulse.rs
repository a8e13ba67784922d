//! What is measured every second.

use super::connect::Session;
use super::names;
use super::place::OrFault;
use super::shape::shapes;
use crate::db::{Pulse, Standby};
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

/// Statements of others that run on the server now: what it is busy with, of whatever database.
const ACTIVE: &str = "(SELECT count(*)::int4 FROM pg_catalog.pg_stat_activity a WHERE a.backend_type = 'client backend' \
       AND a.state = 'active' AND a.application_name <> 'tidegate' AND a.pid <> pg_catalog.pg_backend_pid())";

/// Whether sessions of others are hidden from our role: then what they do can't be counted.
const HIDDEN: &str = "(SELECT exists(SELECT FROM pg_catalog.pg_stat_activity a WHERE a.usesysid IS NOT NULL AND a.datid IS NOT NULL \
       AND a.query = '<insufficient privilege>'))";

/// What our role must be granted to see what others do.
const GRANT: &str = "our role can't see what other sessions do: GRANT pg_monitor TO it";

/// What one question tells.
type Told = (
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    bool,
    String,
    Option<i32>,
    bool,
);

/// Measures.
pub(super) async fn pulse(session: &mut Session, plan: &Plan, side: Side) -> Result<Pulse> {
    let place = session.shared_place();
    let wanted = side == Side::Source && plan.throttle.max_active.is_some();
    let (active, hidden) = match wanted {
        true => (ACTIVE, HIDDEN),
        false => ("NULL::int4", "false"),
    };
    let sql = format!(
        "SELECT ({HEAD} - '0/0'::pg_lsn)::text, ({HEAD} - s.restart_lsn)::int8, ({HEAD} - s.confirmed_flush_lsn)::int8, \
           s.safe_wal_size, {HELD}, has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'), d.oid::text, \
           {active}, {hidden} \
         FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1 \
         WHERE d.datname = pg_catalog.current_database()"
    );
    let (head, kept, behind, room, held, may, database, active, hidden): Told =
        sqlx::query_as(&sql)
            .bind(names::capture(&plan.name))
            .fetch_one(session.conn()?)
            .await
            .or_fault(&place, "measure")?;
    let bytes = |n: i64| Bytes(u64::try_from(n).unwrap_or_default());
    let head = position(&head);
    let followed = side == Side::Source && plan.throttle.max_replica_lag.is_some();
    let standbys = match followed {
        true => standbys(session).await?,
        false => Some(Vec::new()),
    };
    let blind = hidden || standbys.is_none();
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
        active: active
            .filter(|_| !hidden)
            .and_then(|active| u32::try_from(active).ok()),
        standbys: standbys.unwrap_or_default(),
        blind: if blind { GRANT.into() } else { String::new() },
    })
}

/// The physical standbys that follow the server, with how far behind they are in replaying; none where our role may not see it.
/// A standby that has replayed everything is not behind, whatever the server remembers of older WAL. Logical receivers are no
/// copies of the server, and a base backup replays nothing.
async fn standbys(session: &mut Session) -> Result<Option<Vec<Standby>>> {
    let place = session.shared_place();
    let sql = format!(
        "SELECT r.state IS NULL, coalesce(nullif(r.application_name, ''), r.pid::text), \
           CASE WHEN r.replay_lsn >= {HEAD} THEN 0 ELSE (extract(epoch FROM r.replay_lag) * 1000000)::int8 END \
         FROM pg_catalog.pg_stat_replication r \
         WHERE (r.state IS NULL OR r.replay_lsn IS NOT NULL) AND NOT exists(SELECT FROM pg_catalog.pg_replication_slots s \
           WHERE s.active_pid = r.pid AND s.slot_type = 'logical') ORDER BY 2"
    );
    let found: Vec<(bool, String, Option<i64>)> = sqlx::query_as(&sql)
        .fetch_all(session.conn()?)
        .await
        .or_fault(&place, "measure")?;
    if found.iter().any(|(hidden, _, _)| *hidden) {
        return Ok(None);
    }
    let standby = |(_, name, lag): (bool, String, Option<i64>)| Standby {
        name,
        lag: lag.and_then(|lag| u64::try_from(lag).ok()).map(Span),
    };
    Ok(Some(found.into_iter().map(standby).collect()))
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
