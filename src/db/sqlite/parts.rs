//! What tidegate makes in a SQLite file: listed before, made, removed, proven gone.

use super::capture::{self, Captured};
use super::catalog::{self, Catalog};
use super::ddl::quote_name;
use super::gate::{self, CREATE_GATE, GATE, GUARD};
use super::ledger::{self, CHUNK, CREATE_CHUNK, CREATE_LEDGER, FIRST_ROW, LEDGER};
use super::place::{OrFault, Place};
use super::transact::immediate;
use crate::db::{Made, Part};
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::finding::Object;
use crate::domain::plan::{Plan, Side};
use rusqlite::Connection;

/// What a part consists of. A gate's guards are made when it closes, all else by [`install`].
pub(super) fn objects(
    conn: &Connection,
    place: &Place,
    part: Part,
    plan: &Plan,
) -> Result<Vec<Object>> {
    let side = place.side;
    Ok(match part {
        Part::Capture => {
            let catalog = Catalog::read(conn).or_fault(place, "read the schema")?;
            let planned = plan_capture(&catalog, place, plan)?;
            planned
                .objects
                .iter()
                .map(|object| told(side, object))
                .collect()
        }
        Part::Ledger | Part::Gate => fixed(side, part, plan),
    })
}

/// The objects that do not depend on what the database holds: all but the capture's.
pub(super) fn fixed(side: Side, part: Part, plan: &Plan) -> Vec<Object> {
    match part {
        Part::Capture => Vec::new(),
        Part::Ledger => vec![
            table(side, LEDGER, CREATE_LEDGER),
            table(side, CHUNK, CREATE_CHUNK),
        ],
        Part::Gate => {
            let mut all = vec![table(side, GATE, CREATE_GATE)];
            all.extend(gate::guards(plan, side).into_iter().map(|(_, guard)| guard));
            all
        }
    }
}

fn table(side: Side, name: &str, sql: &str) -> Object {
    Object {
        side,
        kind: "table".to_owned(),
        name: name.to_owned(),
        sql: sql.to_owned(),
    }
}

fn told(side: Side, object: &capture::Object) -> Object {
    Object {
        side,
        kind: object.kind.clone(),
        name: object.name.clone(),
        sql: object.sql.clone(),
    }
}

/// The capture of every table that the plan moves, as this side names them.
pub(super) fn plan_capture(
    catalog: &Catalog,
    place: &Place,
    plan: &Plan,
) -> Result<capture::Capture> {
    let tables: Vec<Captured> = plan
        .ids()
        .filter(|(_, table)| table.key().is_some())
        .map(|(id, table)| Captured {
            table: table.name_on(place.side).to_owned(),
            id,
        })
        .collect();
    capture::plan_capture(catalog, &tables).map_err(|refusals| {
        let first = refusals.first();
        let all: Vec<_> = refusals.iter().map(ToString::to_string).collect();
        let fault = Fault::new(
            Kind::Blocked,
            format!("changes can't be captured on {place}"),
        )
        .code(first.map_or("", capture::Refusal::code))
        .cause(all.join("; "));
        match first {
            Some(first) => fault.hint(first.remedy()),
            None => fault,
        }
    })
}

/// Makes a part; the connection has triggers on, as the application's.
pub(super) fn install(
    conn: &Connection,
    place: &Place,
    part: Part,
    plan: &Plan,
) -> Outcome<Vec<Object>> {
    let wanted = match objects(conn, place, part, plan) {
        Ok(wanted) => wanted,
        Err(fault) => return Outcome::NotDone(fault),
    };
    let done = match part {
        Part::Capture => install_capture(conn, place, plan),
        Part::Ledger => immediate(conn, place, "make the ledger", |conn| {
            make(conn, place, &wanted)?;
            conn.execute(FIRST_ROW, [plan.name.as_str()])
                .or_fault(place, "make the ledger")?;
            ledger::owned(conn, place, plan)
        }),
        Part::Gate => immediate(conn, place, "make the gate", |conn| {
            make(conn, place, &wanted[..1])?;
            conn.execute_batch(&gate::first_row(place.side))
                .or_fault(place, "make the gate")
        }),
    };
    match done {
        Outcome::Done(()) => Outcome::Done(wanted),
        Outcome::NotDone(fault) => Outcome::NotDone(fault),
        Outcome::Unknown(evidence) => Outcome::Unknown(evidence),
    }
}

fn install_capture(conn: &Connection, place: &Place, plan: &Plan) -> Outcome<()> {
    let planned = Catalog::read(conn)
        .or_fault(place, "read the schema")
        .and_then(|catalog| plan_capture(&catalog, place, plan));
    match planned {
        Ok(planned) => match capture::install(conn, &planned) {
            Ok(()) => Outcome::Done(()),
            Err(error) => Outcome::NotDone(error.into()),
        },
        Err(fault) => Outcome::NotDone(fault),
    }
}

/// Makes the tables that are not there; one of that name in another form is refused.
fn make(conn: &Connection, place: &Place, wanted: &[Object]) -> Result<()> {
    let doing = "make our tables";
    let there = capture::present(conn).or_fault(place, doing)?;
    for object in wanted {
        match there.iter().find(|found| found.name == object.name) {
            None => conn.execute_batch(&object.sql).or_fault(place, doing)?,
            Some(found) if found.sql == object.sql => {}
            Some(_) => {
                return Err(Fault::new(
                    Kind::Blocked,
                    format!("{} is there already and is another: {place}", object.name),
                )
                .code("LEFTOVERS")
                .hint("another version of tidegate left it: run `tidegate clean`"));
            }
        }
    }
    Ok(())
}

/// Everything of ours, of whatever run.
pub(super) fn present(conn: &Connection, place: &Place) -> Result<Vec<Object>> {
    let found = capture::present(conn).or_fault(place, "look for what is ours")?;
    Ok(found
        .iter()
        .map(|object| told(place.side, object))
        .collect())
}

/// Removes parts, guards before the table they read, and says what of these parts is still there.
pub(super) fn remove(conn: &Connection, place: &Place, parts: &[Part]) -> Outcome<Vec<Object>> {
    let doing = "remove what is ours";
    if parts.contains(&Part::Capture)
        && let Err(error) = capture::remove(conn)
    {
        return Outcome::NotDone(place.fault(doing, &error));
    }
    let done = immediate(conn, place, doing, |conn| {
        for object in capture::present(conn).or_fault(place, doing)? {
            if part_of(&object).is_some_and(|part| part != Part::Capture && parts.contains(&part)) {
                let drop = format!(
                    "DROP {} main.{}",
                    object.kind.to_ascii_uppercase(),
                    quote_name(&object.name)
                );
                conn.execute_batch(&drop).or_fault(place, doing)?;
            }
        }
        Ok(())
    });
    match done {
        Outcome::Done(()) => match capture::present(conn) {
            Ok(left) => Outcome::Done(
                left.iter()
                    .filter(|object| part_of(object).is_some_and(|part| parts.contains(&part)))
                    .map(|object| told(place.side, object))
                    .collect(),
            ),
            Err(error) => Outcome::Unknown(format!(
                "the objects were dropped, but reading back said: {error}"
            )),
        },
        Outcome::NotDone(fault) => Outcome::NotDone(fault),
        Outcome::Unknown(evidence) => Outcome::Unknown(evidence),
    }
}

/// Drops tables, and the views that no longer compile without them; says which tables are still there.
pub(super) fn discard(conn: &Connection, place: &Place, tables: &[Made]) -> Outcome<Vec<Made>> {
    let doing = "drop the tables that were made here";
    immediate(conn, place, doing, |conn| {
        let compile = |view: &str| {
            conn.prepare(&format!("SELECT * FROM main.{}", quote_name(view)))
                .is_ok()
        };
        let views: Vec<String> = catalog::rows(
            conn,
            "SELECT name FROM main.sqlite_schema WHERE type = 'view'",
            [],
            |row| row.get(0),
        )
        .or_fault(place, doing)?;
        let working: Vec<String> = views.into_iter().filter(|view| compile(view)).collect();
        for table in tables {
            conn.execute_batch(&format!(
                "DROP TABLE IF EXISTS main.{}",
                quote_name(&table.name)
            ))
            .or_fault(place, doing)?;
        }
        for view in working.iter().filter(|view| !compile(view)) {
            conn.execute_batch(&format!("DROP VIEW main.{}", quote_name(view)))
                .or_fault(place, doing)?;
        }
        let mut left = Vec::new();
        for table in tables {
            if ledger::has_table(conn, &table.name).or_fault(place, doing)? {
                left.push(table.clone());
            }
        }
        Ok(left)
    })
}

/// Which part an object under our prefix belongs to; triggers come before the tables they read.
fn part_of(object: &capture::Object) -> Option<Part> {
    match (object.kind.as_str(), object.name.as_str()) {
        ("table", LEDGER | CHUNK) => Some(Part::Ledger),
        ("table", GATE) => Some(Part::Gate),
        ("table", capture::LOG) => Some(Part::Capture),
        ("trigger", _) if object.sql.contains(GATE) => Some(Part::Gate),
        ("trigger", name) if name.starts_with(GUARD) => Some(Part::Gate),
        ("trigger", _) => Some(Part::Capture),
        _ => None,
    }
}
