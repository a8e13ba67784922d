//! About the server: its settings, room for a slot, the way to it.

use super::{About, finding};
use crate::db::postgres::catalog::get;
use crate::db::postgres::connect::Server;
use crate::db::postgres::names;
use crate::domain::finding::{Finding, Stage};
use crate::domain::unit::{Bytes, Span};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use std::time::Duration;

pub(super) async fn findings(
    conn: &mut PgConnection,
    server: &Server,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    let row = sqlx::query(
        "SELECT current_setting('wal_level') AS wal_level, \
           pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') = 'on' AS read_only, \
           (SELECT pg_encoding_to_char(d.encoding)::text FROM pg_database d WHERE d.datname = current_database()) AS encoding, \
           current_setting('max_replication_slots')::int AS slots, (SELECT count(*)::int FROM pg_replication_slots) AS slots_used, \
           EXISTS (SELECT FROM pg_replication_slots s WHERE s.slot_name = $1) AS our_slot, \
           current_setting('max_wal_senders')::int AS senders, \
           (SELECT count(*)::int FROM pg_stat_activity a WHERE a.backend_type = 'walsender') AS senders_used, \
           current_setting('max_slot_wal_keep_size') AS kept, \
           (SELECT s.setting::int8 FROM pg_settings s WHERE s.name = 'max_slot_wal_keep_size') AS kept_mb, \
           current_setting('idle_replication_slot_timeout', true) AS idle, \
           coalesce((SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false) AS ssl, \
           host(inet_server_addr()) AS address, inet_client_addr() = inet_server_addr() AS here",
    )
    .bind(names::capture(&about.plan.name))
    .fetch_one(&mut *conn)
    .await?;
    let mut found = Vec::new();
    found.extend(wal_level(&row, about)?);
    found.extend(room(&row, about)?);
    found.extend(standby(&row, about)?);
    found.extend(encoding(&row, about)?);
    let growth = match get::<&str>(&row, "kept")? {
        kept if about.source() && kept != "-1" => growth(conn).await?,
        _ => None,
    };
    found.extend(wal_kept(&row, growth, about)?);
    found.extend(plain(&row, server, about)?);
    Ok(found)
}

fn wal_level(row: &PgRow, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let level: String = get(row, "wal_level")?;
    Ok((level != "logical").then(|| Finding {
        evidence: format!("wal_level = {level}"),
        remedy: "set it and restart the server: plan that restart. Managed services have a parameter for it \
                 (rds.logical_replication, cloudsql.logical_decoding)"
            .to_owned(),
        sql: vec!["ALTER SYSTEM SET wal_level = 'logical'".to_owned()],
        ..finding(
            about.place,
            "WAL-LEVEL",
            about.streaming(),
            if about.source() {
                "the source writes no log that changes can be read from"
            } else {
                "the target writes no log that the way back could be read from"
            },
        )
    }))
}

/// One slot and one WAL sender are needed.
fn room(row: &PgRow, about: &About<'_>) -> sqlx::Result<Vec<Finding>> {
    if get(row, "our_slot")? {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (setting, most, used, code, what) in [
        (
            "max_replication_slots",
            "slots",
            "slots_used",
            "NO-FREE-SLOT",
            "no replication slot is free",
        ),
        (
            "max_wal_senders",
            "senders",
            "senders_used",
            "NO-FREE-SENDER",
            "no WAL sender is free",
        ),
    ] {
        let (most, used): (i32, i32) = (get(row, most)?, get(row, used)?);
        if used < most {
            continue;
        }
        found.push(Finding {
            evidence: format!("{used} of {setting} = {most} are in use"),
            remedy: "drop what nobody uses any more, or raise the setting and restart the server"
                .to_owned(),
            sql: vec![
                "SELECT slot_name, database, active FROM pg_replication_slots".to_owned(),
                format!("ALTER SYSTEM SET {setting} = {}", used + 2),
            ],
            ..finding(
                about.place,
                code,
                about.streaming(),
                format!("{what} on the {}", about.place.side.label()),
            )
        });
    }
    Ok(found)
}

fn standby(row: &PgRow, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let standby: bool = get(row, "standby")?;
    let read_only = get(row, "read_only")? && !about.source();
    let evidence = match (standby, read_only) {
        (false, false) => return Ok(None),
        (true, _) => "pg_is_in_recovery() is true",
        (false, true) => "default_transaction_read_only = on",
    };
    Ok(Some(Finding {
        evidence: evidence.to_owned(),
        remedy: "give the URL of the primary".to_owned(),
        ..finding(
            about.place,
            "NOT-WRITABLE",
            Stage::BlocksCopy,
            format!(
                "the {} is a standby, or read-only",
                about.place.side.label()
            ),
        )
    }))
}

fn encoding(row: &PgRow, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let encoding: String = get(row, "encoding")?;
    Ok((encoding == "SQL_ASCII").then(|| Finding {
        evidence: "encoding SQL_ASCII".to_owned(),
        remedy:
            "move to a database with the encoding that the bytes really have, by dump and restore"
                .to_owned(),
        ..finding(
            about.place,
            "ENCODING-UNKNOWN",
            Stage::BlocksCopy,
            format!(
                "nobody knows which characters the {}'s texts are made of",
                about.place.side.label()
            ),
        )
    }))
}

/// Bytes of WAL that the server writes a second, as of now; none while it writes nothing.
async fn growth(conn: &mut PgConnection) -> sqlx::Result<Option<Bytes>> {
    const WATCHED: Duration = Duration::from_secs(1);
    let end = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END \
               - '0/0'::pg_lsn)::int8";
    let before: i64 = sqlx::query_scalar(end).fetch_one(&mut *conn).await?;
    tokio::time::sleep(WATCHED).await;
    let after: i64 = sqlx::query_scalar(end).fetch_one(conn).await?;
    let written = u64::try_from(after - before).unwrap_or_default();
    Ok((written > 0).then_some(Bytes(written)))
}

/// How long the server keeps what we did not read yet.
fn wal_kept(
    row: &PgRow,
    growth: Option<Bytes>,
    about: &About<'_>,
) -> sqlx::Result<Option<Finding>> {
    if !about.source() {
        return Ok(None);
    }
    let kept: String = get(row, "kept")?;
    let idle: Option<String> = row.try_get("idle")?;
    let idle = idle.filter(|idle| idle != "0");
    let mut evidence = vec![format!("max_slot_wal_keep_size = {kept}")];
    let megabytes: i64 = get(row, "kept_mb")?;
    if let (Some(growth), Ok(room)) = (growth, u64::try_from(megabytes)) {
        let lasts = Span::seconds((room << 20) / growth.0.max(1));
        evidence.push(format!(
            "{growth}/s of WAL now: a pause may last about {lasts}"
        ));
    }
    let limited = kept != "-1" || idle.is_some();
    evidence.extend(idle.map(|idle| format!("idle_replication_slot_timeout = {idle}")));
    let (what, remedy) = if !limited {
        (
            "while the migration is paused or stopped, the source keeps its log without a limit, until its disk is full",
            "watch the disk during a pause; a limit protects the source, and costs the migration when it is reached",
        )
    } else {
        (
            "the source drops the log of a migration that is paused for too long, and it must begin anew",
            "let the limit be larger than what is written in the longest pause",
        )
    };
    Ok(Some(Finding {
        evidence: evidence.join(", "),
        remedy: remedy.to_owned(),
        ..finding(about.place, "WAL-KEPT", Stage::KnowBefore, what)
    }))
}

fn plain(row: &PgRow, server: &Server, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let encrypted: bool = get(row, "ssl")?;
    let here: Option<bool> = row.try_get("here")?;
    if !server.plain() || encrypted || here == Some(true) {
        return Ok(None);
    }
    let address: Option<String> = row.try_get("address")?;
    Ok(Some(Finding {
        evidence: format!("no TLS to {}", address.unwrap_or_default()),
        remedy: "add sslmode=verify-full (or require) to the URL".to_owned(),
        ..finding(
            about.place,
            "PLAIN-CONNECTION",
            Stage::KnowBefore,
            format!(
                "rows and password go to the {} unencrypted",
                about.place.side.label()
            ),
        )
    }))
}
