//! The gate: one row says whether the application may write, and guard triggers read it.
//!
//! Closing makes the guards and shuts the row in one immediate transaction. SQLite has one writer, so when that
//! commits no older write is still open, and every later one meets the guards. Opening is one row; the guards stay until
//! everything of ours is removed. Our own connection has triggers off and passes. What guards cannot stop is a program
//! that switches triggers off for itself as we do.

use super::connect::{Access, Db};
use super::ddl::{quote_name, quote_text};
use super::ledger::has_table;
use super::log;
use super::place::{OrFault, Place};
use super::transact::immediate;
use crate::db::{Gate, GateState, refused};
use crate::domain::fault::{Outcome, Result};
use crate::domain::finding::Object;
use crate::domain::plan::{Plan, Side};
use crate::domain::position::Position;
use crate::domain::unit::Span;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

pub(super) const GATE: &str = "tidegate_gate";
pub(super) const CREATE_GATE: &str = "CREATE TABLE tidegate_gate(one INTEGER PRIMARY KEY CHECK (one = 1), open INTEGER NOT NULL, epoch INTEGER NOT NULL)";
/// The prefix of every guard's name.
pub(super) const GUARD: &str = "tidegate_guard_";

/// The gate's first row: a source begins open, a target closed, so that never both are open.
pub(super) fn first_row(side: Side) -> String {
    format!(
        "INSERT INTO tidegate_gate(one, open, epoch) SELECT 1, {}, 0 WHERE NOT EXISTS (SELECT 1 FROM tidegate_gate)",
        i32::from(side == Side::Source)
    )
}

/// The guards of every table that the plan moves, on a side. A gate without its row counts as closed.
pub(super) fn guards(plan: &Plan, side: Side) -> Vec<(String, Object)> {
    let events = [("bi", "INSERT"), ("bu", "UPDATE"), ("bd", "DELETE")];
    plan.tables
        .iter()
        .filter(|table| table.key().is_some())
        .flat_map(|table| {
            let table = table.name_on(side).to_owned();
            events.map(|(suffix, event)| {
                let name = format!("{GUARD}{table}_{suffix}");
                let told = quote_text(&format!(
                    "tidegate: {table} takes no writes here: a migration moves it, and the other database takes them now"
                ));
                let sql = format!(
                    "CREATE TRIGGER {} BEFORE {event} ON {} WHEN coalesce((SELECT open FROM tidegate_gate WHERE one = 1), 0) = 0 \
                     BEGIN SELECT RAISE(ABORT, {told}); END",
                    quote_name(&name),
                    quote_name(&table)
                );
                (table.clone(), Object { side, kind: "trigger".to_owned(), name, sql })
            })
        })
        .collect()
}

/// The gate of one SQLite file.
pub(super) struct SqliteGate {
    place: Arc<Place>,
    plan: Arc<Plan>,
}

impl SqliteGate {
    pub(super) fn new(place: Arc<Place>, plan: Arc<Plan>) -> Self {
        Self { place, plan }
    }

    async fn write<T: Send + 'static>(
        &self,
        wait: Span,
        doing: &'static str,
        act: impl FnOnce(&Connection, &Place, &Plan) -> Result<T> + Send + 'static,
    ) -> Outcome<T> {
        let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let db = match Db::open(&self.place, Access::Schema { wait }).await {
            Ok(db) => db,
            Err(fault) => return Outcome::NotDone(fault),
        };
        let (place, plan) = (Arc::clone(&self.place), Arc::clone(&self.plan));
        let done = db
            .run(move |conn| {
                // Who may write must survive losing power.
                conn.execute_batch("PRAGMA synchronous = FULL")
                    .or_fault(&place, doing)?;
                Ok(immediate(conn, &place, doing, |conn| {
                    act(conn, &place, &plan)
                }))
            })
            .await;
        done.unwrap_or_else(|fault| match fault.code.as_str() {
            "CONNECTION-ENDED" => Outcome::Unknown(format!("to {doing}: {fault}")),
            _ => Outcome::NotDone(fault),
        })
    }
}

#[async_trait]
impl Gate for SqliteGate {
    async fn read(&self) -> Result<Option<GateState>> {
        if self.place.identity()?.is_none() {
            return Ok(None);
        }
        let db = Db::open(&self.place, Access::Read).await?;
        let (place, plan) = (Arc::clone(&self.place), Arc::clone(&self.plan));
        db.run(move |conn| {
            let tx = conn
                .unchecked_transaction()
                .or_fault(&place, "read the gate")?;
            read(&tx, &place, &plan)
        })
        .await
    }

    async fn close(&self, epoch: u64, budget: Span) -> Outcome<Position> {
        self.write(budget, "close the gate", move |conn, place, plan| {
            let doing = "close the gate";
            move_to(conn, place, false, epoch)?;
            for (table, guard) in guards(plan, place.side) {
                if !has_table(conn, &table).or_fault(place, doing)? {
                    continue;
                }
                let there = stored(conn, &guard.name).or_fault(place, doing)?;
                if there.as_deref() == Some(&guard.sql) {
                    continue;
                }
                if there.is_some() {
                    let drop = format!("DROP TRIGGER main.{}", quote_name(&guard.name));
                    conn.execute_batch(&drop).or_fault(place, doing)?;
                }
                conn.execute_batch(&guard.sql).or_fault(place, doing)?;
            }
            log::head(conn, place)
        })
        .await
    }

    async fn open(&self, epoch: u64) -> Outcome<()> {
        self.write(Span::seconds(5), "open the gate", move |conn, place, _| {
            move_to(conn, place, true, epoch)
        })
        .await
    }
}

/// Reads the gate in the caller's transaction.
pub(super) fn read(conn: &Connection, place: &Place, plan: &Plan) -> Result<Option<GateState>> {
    let doing = "read the gate";
    let Some((open, epoch)) = row(conn).or_fault(place, doing)? else {
        return Ok(None);
    };
    let mut unguarded = Vec::new();
    let guards = guards(plan, place.side);
    for (id, table) in plan.ids().filter(|(_, table)| table.key().is_some()) {
        let name = table.name_on(place.side);
        for (_, guard) in guards.iter().filter(|(on, _)| on == name) {
            let there = stored(conn, &guard.name).or_fault(place, doing)?;
            if there.as_deref() != Some(&guard.sql) {
                unguarded.push(id);
                break;
            }
        }
    }
    Ok(Some(GateState {
        open,
        epoch,
        unguarded,
    }))
}

fn row(conn: &Connection) -> rusqlite::Result<Option<(bool, u64)>> {
    if !has_table(conn, GATE)? {
        return Ok(None);
    }
    conn.query_row(
        "SELECT open, epoch FROM tidegate_gate WHERE one = 1",
        [],
        |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())),
    )
    .optional()
}

/// Writes the row, unless a newer move was made already.
fn move_to(conn: &Connection, place: &Place, open: bool, epoch: u64) -> Result<()> {
    let doing = "move the gate";
    let there = row(conn).or_fault(place, doing)?;
    match refused::gate_move(place, there, open, epoch) {
        Some(fault) => Err(fault),
        None => conn
            .execute(
                "UPDATE tidegate_gate SET open = ?1, epoch = ?2",
                params![open, epoch.cast_signed()],
            )
            .map(drop)
            .or_fault(place, doing),
    }
}

fn stored(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT sql FROM main.sqlite_schema WHERE type = 'trigger' AND name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}
