//! About who else is there: transactions that hold the start up, and who will stay behind.

use super::{About, finding, some};
use crate::db::postgres::names;
use crate::domain::finding::{Finding, Stage};
use sqlx::postgres::PgConnection;

pub(super) async fn findings(
    conn: &mut PgConnection,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    let mut found = Vec::new();
    if about.source() {
        found.extend(old(conn, about).await?);
        found.extend(hidden(conn, about).await?);
        found.extend(others(conn, about).await?);
    }
    found.extend(prepared(conn, about).await?);
    Ok(found)
}

/// What others do is shown to some roles only; to all others it looks as if nothing happened.
async fn hidden(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let may: bool = sqlx::query_scalar("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")
        .fetch_one(conn)
        .await?;
    // A limit on what can't be seen is never found to be kept: the copy would not move.
    let throttle = &about.plan.throttle;
    let limited = throttle.max_active.is_some() || throttle.max_replica_lag.is_some();
    let (stage, remedy) = match limited {
        true => (
            Stage::BlocksCopy,
            "let it see them; [throttle] max_active and max_replica_lag can't be measured without that",
        ),
        false => (
            Stage::KnowBefore,
            "let it see them; without that nothing is said of old transactions, slots' readers and standbys",
        ),
    };
    Ok((!may).then(|| Finding {
        evidence: format!("{} is no member of pg_read_all_stats", about.role),
        remedy: remedy.to_owned(),
        sql: vec![format!("GRANT pg_monitor TO {}", names::quote(&about.role))],
        ..finding(
            about.place,
            "ACTIVITY-HIDDEN",
            stage,
            format!(
                "{} can't see what other sessions of the source do",
                about.role
            ),
        )
    }))
}

/// A slot begins when every transaction that was writing has ended, in whichever database of the server.
async fn old(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let lines: Vec<(i32, String)> = sqlx::query_as(
        "SELECT a.pid, concat('pid ', a.pid, ' ', coalesce(nullif(a.application_name, ''), '(no application name)'), ', ', a.usename, ' in ', \
           a.datname, ', ', a.state, ', ', justify_interval(date_trunc('second', now() - a.xact_start))) \
         FROM pg_stat_activity a WHERE a.xact_start < now() - interval '1 minute' AND a.pid <> pg_backend_pid() \
           AND a.backend_xid IS NOT NULL AND a.backend_type = 'client backend' ORDER BY a.xact_start",
    )
    .fetch_all(conn)
    .await?;
    if lines.is_empty() {
        return Ok(None);
    }
    let (pids, lines): (Vec<i32>, Vec<String>) = lines.into_iter().unzip();
    Ok(Some(Finding {
        evidence: some(&lines),
        remedy:
            "let them end, or end them if nobody needs them: the start waits for all that write"
                .to_owned(),
        sql: pids
            .iter()
            .map(|pid| format!("SELECT pg_terminate_backend({pid})"))
            .collect(),
        ..finding(
            about.place,
            "OLD-TRANSACTION",
            Stage::KnowBefore,
            "transactions have been open for more than a minute, and the start waits for them",
        )
    }))
}

async fn prepared(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let lines: Vec<(String, String)> = sqlx::query_as(
        "SELECT p.gid, concat(p.gid, ', ', p.owner, ' in ', p.database, ', ', justify_interval(date_trunc('second', now() - p.prepared))) \
         FROM pg_prepared_xacts p WHERE p.prepared < now() - interval '1 minute' ORDER BY p.prepared",
    )
    .fetch_all(conn)
    .await?;
    if lines.is_empty() {
        return Ok(None);
    }
    let (gids, lines): (Vec<String>, Vec<String>) = lines.into_iter().unzip();
    Ok(Some(Finding {
        evidence: some(&lines),
        remedy: "ask whose they are, then commit them or roll them back in their database: nothing else ends them".to_owned(),
        sql: gids.iter().map(|gid| format!("ROLLBACK PREPARED {}", names::literal(gid))).collect(),
        ..finding(
            about.place,
            "PREPARED-TRANSACTION",
            if about.source() { Stage::BlocksCopy } else { Stage::BlocksCutover },
            "prepared transactions are open; a change stream can't begin before they end",
        )
    }))
}

/// Who reads or feeds this database and will not come along.
async fn others(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let lines: Vec<String> = sqlx::query_scalar(
        "SELECT line FROM ( \
           SELECT 1 AS n, concat('slot ', s.slot_name, ' (', coalesce(s.plugin, 'physical'), CASE WHEN NOT s.active THEN ', not active' END, ')') \
             AS line FROM pg_replication_slots s WHERE s.slot_name NOT LIKE 'tidegate\\_%' AND coalesce(s.database, current_database()) = current_database() \
           UNION ALL SELECT 2, concat('standby ', coalesce(nullif(r.application_name, ''), r.pid::text)) FROM pg_stat_replication r \
             WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical') \
           UNION ALL SELECT 3, concat('subscription ', s.subname) FROM pg_subscription s \
             WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) \
           UNION ALL SELECT 4, concat('application ', coalesce(nullif(a.application_name, ''), '(no name)'), ' as ', a.usename, ', ', count(*), ' sessions') \
             FROM pg_stat_activity a WHERE a.datname = current_database() AND a.backend_type = 'client backend' \
               AND a.application_name NOT LIKE 'tidegate%' GROUP BY a.application_name, a.usename \
         ) AS x ORDER BY n, line",
    )
    .fetch_all(conn)
    .await?;
    Ok((!lines.is_empty()).then(|| Finding {
        evidence: lines.join("; "),
        remedy: "decide for each what it does after the cutover: none of them is moved".to_owned(),
        ..finding(
            about.place,
            "ALSO-THERE",
            Stage::KnowBefore,
            "others use the source as well; they stay with it after the cutover",
        )
    }))
}
