//! What tidegate makes in a database: listed before, made, removed, proven gone.

use super::connect::Session;
use super::gate::{self, CREATE_GATE, CREATE_GUARD, GUARD};
use super::later::CREATE_KEY;
use super::ledger::{self, CREATE_CHUNK, CREATE_LEDGER, FIRST_ROW};
use super::names::{self, PREFIX, SCHEMA, literal, qualified, quote};
use super::place::{OrFault, state};
use super::slot;
use super::transact::commit;
use crate::db::{Made, Part};
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::finding::Object;
use crate::domain::id::MigrationName;
use crate::domain::plan::{Plan, Side};
use sqlx::Executor as _;

const CREATE_SCHEMA: &str = "CREATE SCHEMA tidegate";
/// How long making or removing may wait for somebody's lock.
const PATIENCE: &str = "SET LOCAL lock_timeout = '5s'";
/// How long a slot may wait for transactions that were under way when it was asked for.
const SLOT_PATIENCE: &str = "SET statement_timeout = '30s'";

/// What a part consists of. A gate's guards are made when it closes, all else by [`install`].
pub(super) fn objects(side: Side, part: Part, plan: &Plan) -> Vec<Object> {
    let object = |kind: &str, name: &str, sql: &str| Object {
        side,
        kind: kind.to_owned(),
        name: name.to_owned(),
        sql: sql.to_owned(),
    };
    let schema = object("schema", SCHEMA, CREATE_SCHEMA);
    match part {
        Part::Capture => {
            let name = names::capture(&plan.name);
            vec![
                object("publication", &name, &create_publication(side, plan)),
                object("slot", &name, &create_slot(&name)),
            ]
        }
        Part::Ledger => vec![
            schema,
            object("table", "tidegate.ledger", CREATE_LEDGER),
            object("table", "tidegate.chunk", CREATE_CHUNK),
            object("table", "tidegate.key", CREATE_KEY),
        ],
        Part::Gate => {
            let mut all = vec![
                schema,
                object("table", "tidegate.gate", CREATE_GATE),
                object("function", "tidegate.guard", CREATE_GUARD),
            ];
            all.extend(
                gate::guards(plan, side, 0)
                    .into_iter()
                    .map(|(_, guard)| guard),
            );
            all
        }
    }
}

fn create_publication(side: Side, plan: &Plan) -> String {
    let tables: Vec<_> = plan
        .tables
        .iter()
        .filter(|table| table.key().is_some())
        .map(|table| qualified(table.name_on(side)))
        .collect();
    format!(
        "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)",
        quote(&names::capture(&plan.name)),
        tables.join(", ")
    )
}

fn create_slot(name: &str) -> String {
    format!(
        "SELECT pg_catalog.pg_create_logical_replication_slot({}, 'pgoutput')",
        literal(name)
    )
}

/// Makes a part. Done again it changes nothing.
pub(super) async fn install(
    session: &mut Session,
    part: Part,
    plan: &Plan,
) -> Outcome<Vec<Object>> {
    let side = session.place().side;
    let wanted = objects(side, part, plan);
    let made = match part {
        Part::Capture => return capture(session, wanted).await,
        Part::Ledger => ledger_part(session, &wanted, plan).await,
        Part::Gate => gate_part(session, &wanted[..3], side).await,
    };
    match made {
        Ok(()) => commit(session, "make what is ours", wanted).await,
        Err(fault) => Outcome::NotDone(fault),
    }
}

async fn ledger_part(session: &mut Session, wanted: &[Object], plan: &Plan) -> Result<()> {
    let doing = "make the ledger";
    make(session, wanted, doing).await?;
    let place = session.shared_place();
    sqlx::query(FIRST_ROW)
        .bind(plan.name.as_str())
        .execute(session.conn()?)
        .await
        .or_fault(&place, doing)?;
    ledger::owned(session, plan).await
}

async fn gate_part(session: &mut Session, wanted: &[Object], side: Side) -> Result<()> {
    let doing = "make the gate";
    make(session, wanted, doing).await?;
    session.run(&gate::first_row(side), doing).await
}

/// Begins, and makes what is not there.
async fn make(session: &mut Session, wanted: &[Object], doing: &str) -> Result<()> {
    session.run(&format!("BEGIN; {PATIENCE}"), doing).await?;
    let there = present(session).await?;
    for object in wanted {
        if !there
            .iter()
            .any(|found| found.kind == object.kind && found.name == object.name)
        {
            session.run(&object.sql, doing).await?;
        }
    }
    Ok(())
}

/// The publication first, and committed: the slot's first transaction must find it.
async fn capture(session: &mut Session, wanted: Vec<Object>) -> Outcome<Vec<Object>> {
    let doing = "make the capture";
    let there = match present(session).await {
        Ok(there) => there,
        Err(fault) => return Outcome::NotDone(fault),
    };
    for object in &wanted {
        if there
            .iter()
            .any(|found| found.kind == object.kind && found.name == object.name)
        {
            continue;
        }
        let slot = object.kind == "slot";
        if slot && let Err(fault) = session.run(SLOT_PATIENCE, doing).await {
            return Outcome::NotDone(fault);
        }
        match session.run(&object.sql, doing).await {
            Ok(()) => {}
            Err(fault) if fault.code == "CONNECTION-LOST" => {
                return Outcome::Unknown(format!("to {doing}: {fault}"));
            }
            Err(fault) if slot && fault.code == "CANCELLED" => {
                return Outcome::NotDone(
                    Fault::new(
                        Kind::Transient,
                        "a replication slot waits for transactions that are still open on the source",
                    )
                    .code("OLD-TRANSACTION")
                    .cause(fault)
                    .hint("it is made once they have ended; end those that nobody needs"),
                );
            }
            Err(fault) if slot && fault.code == "NAME-TAKEN" => {
                return Outcome::NotDone(fault.hint(
                    "slots have one name on the whole server: give this migration another name",
                ));
            }
            Err(fault) => return Outcome::NotDone(fault),
        }
        if slot && let Err(fault) = session.run("SET statement_timeout = 0", doing).await {
            return Outcome::Unknown(format!("to {doing}: {fault}"));
        }
    }
    match wanted.first() {
        Some(publication) => match say_where(session, &publication.name).await {
            Ok(()) => Outcome::Done(wanted),
            Err(fault) => Outcome::NotDone(fault),
        },
        None => Outcome::Done(wanted),
    }
}

/// Leaves word on the publication where the slot began, once: a stream from its beginning can be told from one that was
/// released since.
async fn say_where(session: &mut Session, name: &str) -> Result<()> {
    let (place, doing) = (session.shared_place(), "make the capture");
    let began: Option<String> = sqlx::query_scalar(
        "SELECT (s.confirmed_flush_lsn - '0/0'::pg_lsn)::text FROM pg_catalog.pg_replication_slots s \
         JOIN pg_catalog.pg_publication p ON p.pubname = s.slot_name \
         WHERE s.slot_name = $1 AND pg_catalog.obj_description(p.oid, 'pg_publication') IS NULL",
    )
    .bind(name)
    .fetch_optional(session.conn()?)
    .await
    .or_fault(&place, doing)?;
    match began.and_then(|lsn| lsn.parse().ok()) {
        Some(lsn) => {
            let comment = literal(&slot::begins(lsn));
            let say = format!("COMMENT ON PUBLICATION {} IS {comment}", quote(name));
            session.run(&say, doing).await
        }
        None => Ok(()),
    }
}

/// Everything of ours, of whatever run. A slot belongs to the server; it counts where it reads this database.
pub(super) async fn present(session: &mut Session) -> Result<Vec<Object>> {
    let place = session.shared_place();
    let sql = format!(
        "SELECT kind, name FROM (\
         SELECT 1, 'slot', slot_name::text FROM pg_catalog.pg_replication_slots \
           WHERE starts_with(slot_name::text, {prefix}) AND database = pg_catalog.current_database() \
         UNION ALL SELECT 2, 'publication', pubname::text FROM pg_catalog.pg_publication WHERE starts_with(pubname::text, {prefix}) \
         UNION ALL SELECT 3, 'trigger', {guard} || ' on ' || tgrelid::pg_catalog.regclass::text FROM pg_catalog.pg_trigger \
           WHERE tgname = {guard} AND tgparentid = 0 \
         UNION ALL SELECT 4, 'function', 'tidegate.' || proname FROM pg_catalog.pg_proc \
           WHERE pronamespace = pg_catalog.to_regnamespace({schema}) \
         UNION ALL SELECT 5, 'table', 'tidegate.' || relname FROM pg_catalog.pg_class \
           WHERE relnamespace = pg_catalog.to_regnamespace({schema}) AND relkind = 'r' \
         UNION ALL SELECT 6, 'schema', nspname::text FROM pg_catalog.pg_namespace WHERE nspname = {schema}\
         ) AS ours(place, kind, name) ORDER BY place, name",
        prefix = literal(PREFIX),
        guard = literal(GUARD),
        schema = literal(SCHEMA),
    );
    let found: Vec<(String, String)> = sqlx::query_as(&sql)
        .fetch_all(session.conn()?)
        .await
        .or_fault(&place, "look for what is ours")?;
    Ok(found
        .into_iter()
        .map(|(kind, name)| Object {
            side: place.side,
            sql: removal(&kind, &name),
            kind,
            name,
        })
        .collect())
}

/// The statement that removes an object of ours: what a person runs where tidegate can't.
fn removal(kind: &str, name: &str) -> String {
    match kind {
        "slot" => format!(
            "SELECT pg_catalog.pg_drop_replication_slot({})",
            literal(name)
        ),
        "publication" => format!("DROP PUBLICATION {}", quote(name)),
        "trigger" => {
            let table = name.rsplit_once(" on ").map_or(name, |(_, table)| table);
            format!("DROP TRIGGER {GUARD} ON {}", qualified(table))
        }
        "function" => format!("DROP FUNCTION {name}()"),
        "schema" => format!("DROP SCHEMA {name}"),
        _ => format!("DROP TABLE {name}"),
    }
}

fn part_of(object: &Object) -> Option<Part> {
    match (object.kind.as_str(), object.name.as_str()) {
        ("slot" | "publication", _) => Some(Part::Capture),
        ("table", "tidegate.ledger" | "tidegate.chunk" | "tidegate.key") => Some(Part::Ledger),
        ("table", "tidegate.gate") | ("trigger" | "function", _) => Some(Part::Gate),
        _ => None,
    }
}

/// Whether a slot or a publication is the migration's of this name; none of anything else.
pub(super) fn belongs(object: &Object, migration: &MigrationName) -> Option<bool> {
    let named = matches!(object.kind.as_str(), "slot" | "publication");
    named.then(|| object.name == names::capture(migration))
}

/// Removes parts, guards before the table they read, and says what of these parts is still there.
pub(super) async fn remove(
    session: &mut Session,
    parts: &[Part],
    of: Option<&MigrationName>,
) -> Outcome<Vec<Object>> {
    let doing = "remove what is ours";
    let mine = |object: &Object| {
        part_of(object).is_some_and(|part| parts.contains(&part))
            && of.is_none_or(|name| belongs(object, name) != Some(false))
    };
    let removed = async {
        let there = present(session).await?;
        for slot in there
            .iter()
            .filter(|object| object.kind == "slot" && mine(object))
        {
            drop_slot(session, &slot.name).await?;
        }
        session.run(&format!("BEGIN; {PATIENCE}"), doing).await?;
        for object in there
            .iter()
            .filter(|object| object.kind != "slot" && mine(object))
        {
            session.run(&object.sql, doing).await?;
        }
        // The schema goes with the last of what is in it.
        let left = present(session).await?;
        let inside = |object: &Object| matches!(object.kind.as_str(), "table" | "function");
        if left.iter().any(|object| object.kind == "schema") && !left.iter().any(inside) {
            session.run("DROP SCHEMA tidegate", doing).await?;
        }
        Ok(())
    };
    if let Err(fault) = removed.await {
        return Outcome::NotDone(fault);
    }
    match commit(session, doing, ()).await {
        Outcome::Done(()) => match present(session).await {
            Ok(left) => Outcome::Done(left.into_iter().filter(mine).collect()),
            Err(fault) => Outcome::Unknown(format!(
                "the objects were dropped, but reading back said: {fault}"
            )),
        },
        Outcome::NotDone(fault) => Outcome::NotDone(fault),
        Outcome::Unknown(evidence) => Outcome::Unknown(evidence),
    }
}

/// Drops a slot. A feed of ours that still reads it, or has just gone away, is ended first.
async fn drop_slot(session: &mut Session, name: &str) -> Result<()> {
    let place = session.shared_place();
    let drop = removal("slot", name);
    for _ in 0..50 {
        match session.run(&drop, "drop the replication slot").await {
            Err(fault) if fault.code == "DATABASE-LOCKED" => {}
            other => return other,
        }
        sqlx::query(
            "SELECT pg_catalog.pg_terminate_backend(s.active_pid) FROM pg_catalog.pg_replication_slots s \
             JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid \
             WHERE s.slot_name = $1 AND a.application_name = 'tidegate'",
        )
        .bind(name)
        .execute(session.conn()?)
        .await
        .or_fault(&place, "end the slot's reader")?;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    session.run(&drop, "drop the replication slot").await
}

/// Drops what was made here, the last first; says what of it is still there. Tables go with what stands on them, all else only
/// where nobody needs it.
pub(super) async fn discard(session: &mut Session, made: &[Made]) -> Outcome<Vec<Made>> {
    let doing = "drop what was made here";
    let dropped = async {
        session.run(&format!("BEGIN; {PATIENCE}"), doing).await?;
        let mut left: Vec<&Made> = made.iter().rev().collect();
        // What one thing needs may be dropped after it in a later turn: the order of making is not that of needing.
        loop {
            let before = left.len();
            let mut kept = Vec::new();
            for thing in left {
                if !drop_made(session, thing).await? {
                    kept.push(thing);
                }
            }
            left = kept;
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        left.reverse();
        Ok(left.into_iter().cloned().collect::<Vec<_>>())
    };
    match dropped.await {
        Ok(left) => commit(session, doing, left).await,
        Err(fault) => Outcome::NotDone(fault),
    }
}

/// Drops one thing, if it is there; false where somebody else needs it, or owns it by now.
async fn drop_made(session: &mut Session, made: &Made) -> Result<bool> {
    let name = qualified(&made.name);
    let statements = match made.kind.as_str() {
        "table" => vec![format!("DROP TABLE IF EXISTS {name} CASCADE")],
        "schema" | "extension" => {
            let kind = made.kind.to_uppercase();
            vec![format!("DROP {kind} IF EXISTS {}", quote(&made.name))]
        }
        "type" | "collation" | "sequence" => {
            vec![format!(
                "DROP {} IF EXISTS {name}",
                made.kind.to_uppercase()
            )]
        }
        "function" => vec![format!("DROP ROUTINE IF EXISTS {}", made.name)],
        "view" => vec![
            format!("DROP VIEW IF EXISTS {name}"),
            format!("DROP MATERIALIZED VIEW IF EXISTS {name}"),
        ],
        "trigger" => {
            let on = made.name.replacen(" on ", " ON ", 1);
            vec![format!("DROP TRIGGER IF EXISTS {on}")]
        }
        _ => return Ok(false),
    };
    let doing = format!("drop the {made} that was made here");
    for drop in statements {
        session.run("SAVEPOINT made", &doing).await?;
        match session.conn()?.execute(sqlx::raw_sql(&drop)).await {
            Ok(_) => {
                session.run("RELEASE made", &doing).await?;
                return Ok(true);
            }
            Err(error) if state(&error).is_some_and(|state| KEPT.contains(&state)) => {
                session
                    .run("ROLLBACK TO made; RELEASE made", &doing)
                    .await?;
            }
            Err(error) => return Err(session.shared_place().fault(&doing, &error)),
        }
    }
    Ok(false)
}

/// Something else needs it; it is somebody else's; it is of another kind (a materialized view, a table in its place).
const KEPT: [&str; 3] = ["2BP01", "42501", "42809"];
