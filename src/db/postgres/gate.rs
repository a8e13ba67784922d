//! The gate: one row says whether the application may write, and guard triggers read it.
//!
//! Closing takes a lock on every table that waits for whoever writes to it, makes the guards, and shuts the row, in one
//! transaction: when it commits, no older write is still open, and every later one meets a guard. A transaction that began
//! before still reads with its old snapshot, in which the row may be as it was; so a guard is made anew for each closing
//! and lets nothing pass until the row says that it was opened *after* that. Opening is one row. Sessions of ours run as
//! replicas, for which these triggers don't fire.

use super::connect::{Server, Session};
use super::names::qualified;
use super::place::OrFault;
use super::transact::commit;
use crate::db::{Gate, GateState, refused};
use crate::domain::fault::{Outcome, Result};
use crate::domain::finding::Object;
use crate::domain::plan::{Plan, Side};
use crate::domain::position::Position;
use crate::domain::unit::Span;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) const CREATE_GATE: &str = "CREATE TABLE tidegate.gate(one integer PRIMARY KEY CHECK (one = 1), open boolean NOT NULL, epoch bigint NOT NULL)";
/// Reads the gate with its owner's rights: the application needs none on our schema.
pub(super) const CREATE_GUARD: &str = "CREATE FUNCTION tidegate.guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
SET search_path = pg_catalog AS $$ \
BEGIN \
IF NOT coalesce((SELECT open AND epoch > TG_ARGV[0]::bigint FROM tidegate.gate WHERE one = 1), false) THEN \
RAISE EXCEPTION 'tidegate: % takes no writes here: a migration moves it, and the other database takes them now', TG_RELID::regclass \
USING ERRCODE = 'read_only_sql_transaction'; \
END IF; \
RETURN NULL; \
END $$";
/// The name of every guard.
pub(super) const GUARD: &str = "tidegate_guard";

/// The gate's first row: a source begins open, a target closed, so that never both are open.
pub(super) fn first_row(side: Side) -> String {
    format!(
        "INSERT INTO tidegate.gate(one, open, epoch) SELECT 1, {}, 0 WHERE NOT EXISTS (SELECT 1 FROM tidegate.gate)",
        side == Side::Source
    )
}

/// The guard of each table that the plan moves, on a side, made for a closing.
pub(super) fn guards(plan: &Plan, side: Side, epoch: u64) -> Vec<(String, Object)> {
    plan.tables
        .iter()
        .filter(|table| table.key().is_some())
        .map(|table| {
            let name = table.name_on(side);
            let from = qualified(name);
            let sql = format!(
                "CREATE TRIGGER {GUARD} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {from} \
                 FOR EACH STATEMENT EXECUTE FUNCTION tidegate.guard({epoch})"
            );
            let object = Object {
                side,
                kind: "trigger".to_owned(),
                name: guard_on(name),
                sql,
            };
            (from, object)
        })
        .collect()
}

/// How a guard is listed.
pub(super) fn guard_on(table: &str) -> String {
    format!("{GUARD} on {table}")
}

/// The gate of one database.
pub(super) struct PgGate {
    server: Server,
    plan: Arc<Plan>,
}

impl PgGate {
    pub(super) fn new(server: Server, plan: Arc<Plan>) -> Self {
        Self { server, plan }
    }

    async fn shut(
        &self,
        session: &mut Session,
        epoch: u64,
        budget: Span,
        doing: &str,
    ) -> Result<()> {
        let wait = budget.as_millis().max(1);
        session
            .run(
                &format!(
                    "BEGIN; SET LOCAL lock_timeout = {wait}; SET LOCAL synchronous_commit = on"
                ),
                doing,
            )
            .await?;
        let there = there(session, &self.plan).await?;
        let guards = guards(&self.plan, self.server.place.side, epoch);
        let guards: Vec<_> = guards
            .into_iter()
            .filter(|(table, _)| there.contains(table))
            .collect();
        if !guards.is_empty() {
            let tables: Vec<_> = guards.iter().map(|(table, _)| table.as_str()).collect();
            let lock = format!(
                "LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
                tables.join(", ")
            );
            session.run(&lock, doing).await?;
        }
        move_to(session, false, epoch, doing).await?;
        for (table, guard) in guards {
            let make = format!("DROP TRIGGER IF EXISTS {GUARD} ON {table}; {}", guard.sql);
            session.run(&make, doing).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Gate for PgGate {
    async fn read(&self) -> Result<Option<GateState>> {
        let mut session = self.server.session().await?;
        let state = read(&mut session, &self.plan, self.server.place.side).await?;
        session.rest();
        Ok(state)
    }

    async fn close(&self, epoch: u64, budget: Span) -> Outcome<Position> {
        let doing = "close the gate";
        let mut session = match self.server.session().await {
            Ok(session) => session,
            Err(fault) => return Outcome::NotDone(fault),
        };
        // A session that failed in the middle is closed, and the server undoes what it did.
        if let Err(fault) = self.shut(&mut session, epoch, budget, doing).await {
            return Outcome::NotDone(fault);
        }
        match commit(&mut session, doing, ()).await {
            Outcome::Done(()) => match super::pulse::head(&mut session).await {
                Ok(position) => {
                    session.rest();
                    Outcome::Done(position)
                }
                Err(fault) => Outcome::Unknown(format!("the gate is closed, but: {fault}")),
            },
            Outcome::NotDone(fault) => Outcome::NotDone(fault),
            Outcome::Unknown(evidence) => Outcome::Unknown(evidence),
        }
    }

    async fn open(&self, epoch: u64) -> Outcome<()> {
        let doing = "open the gate";
        let begun = async {
            let mut session = self.server.session().await?;
            session
                .run("BEGIN; SET LOCAL synchronous_commit = on", doing)
                .await?;
            move_to(&mut session, true, epoch, doing).await?;
            Ok(session)
        };
        match begun.await {
            Ok(mut session) => {
                let done = commit(&mut session, doing, ()).await;
                if matches!(done, Outcome::Done(())) {
                    session.rest();
                }
                done
            }
            Err(fault) => Outcome::NotDone(fault),
        }
    }
}

/// Reads the gate.
pub(super) async fn read(
    session: &mut Session,
    plan: &Plan,
    side: Side,
) -> Result<Option<GateState>> {
    let Some((open, epoch)) = row(session).await? else {
        return Ok(None);
    };
    let place = session.shared_place();
    let found: Vec<(String,)> = sqlx::query_as(
        "SELECT pg_catalog.format('%s.%s', '\"' || replace(n.nspname, '\"', '\"\"') || '\"', '\"' || replace(c.relname, '\"', '\"\"') || '\"') \
         FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE t.tgname = $1 AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled = 'O'",
    )
    .bind(GUARD)
    .fetch_all(session.conn()?)
    .await
    .or_fault(&place, "read the gate")?;
    let guarded: BTreeSet<String> = found.into_iter().map(|(name,)| name).collect();
    let unguarded = plan
        .ids()
        .filter(|(_, table)| table.key().is_some())
        .filter(|(_, table)| !guarded.contains(&qualified(table.name_on(side))))
        .map(|(id, _)| id)
        .collect();
    Ok(Some(GateState {
        open,
        epoch,
        unguarded,
    }))
}

/// Which tables of the plan are there, as statements name them.
async fn there(session: &mut Session, plan: &Plan) -> Result<BTreeSet<String>> {
    let place = session.shared_place();
    let names: Vec<String> = plan
        .tables
        .iter()
        .map(|table| qualified(table.name_on(place.side)))
        .collect();
    let found: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM unnest($1::text[]) AS name WHERE pg_catalog.to_regclass(name) IS NOT NULL",
    )
    .bind(names)
    .fetch_all(session.conn()?)
    .await
    .or_fault(&place, "look for the tables")?;
    Ok(found.into_iter().map(|(name,)| name).collect())
}

async fn row(session: &mut Session) -> Result<Option<(bool, u64)>> {
    let place = session.shared_place();
    let doing = "read the gate";
    let there: bool =
        sqlx::query_scalar("SELECT pg_catalog.to_regclass('tidegate.gate') IS NOT NULL")
            .fetch_one(session.conn()?)
            .await
            .or_fault(&place, doing)?;
    if !there {
        return Ok(None);
    }
    let found: Option<(bool, i64)> =
        sqlx::query_as("SELECT open, epoch FROM tidegate.gate WHERE one = 1")
            .fetch_optional(session.conn()?)
            .await
            .or_fault(&place, doing)?;
    Ok(found.map(|(open, epoch)| (open, epoch.cast_unsigned())))
}

/// Writes the row, unless a newer move was made already.
async fn move_to(session: &mut Session, open: bool, epoch: u64, doing: &str) -> Result<()> {
    let place = session.shared_place();
    let there = row(session).await?;
    match refused::gate_move(&place, there, open, epoch) {
        Some(fault) => Err(fault),
        None => {
            let update = format!("UPDATE tidegate.gate SET open = {open}, epoch = {epoch}");
            session.run(&update, doing).await
        }
    }
}
