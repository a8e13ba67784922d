//! About a source.

use super::finding;
use crate::db::sqlite::catalog::{Catalog, IndexOrigin, Table as Found};
use crate::db::sqlite::ddl::{quote_name, tokens};
use crate::db::sqlite::identity::{Identity, Rowid};
use crate::db::sqlite::place::{OrFault, Place};
use crate::db::sqlite::probe::{Against, Verdict};
use crate::db::sqlite::sql::TableSql;
use crate::db::sqlite::{capture, survey};
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Stage};
use crate::domain::id::TableId;
use crate::domain::key::{Bound, Range};
use crate::domain::plan::{Plan, Prune};
use crate::domain::value::Value;
use rusqlite::Connection;
use std::sync::Arc;

pub(super) fn findings(
    conn: &Connection,
    place: &Place,
    plan: &Plan,
    catalog: &Catalog,
) -> Result<Vec<Finding>> {
    let doing = "look at the source";
    let moved: Vec<(TableId, &Found)> = plan
        .ids()
        .filter(|(_, table)| table.key().is_some())
        .filter_map(|(id, table)| Some((id, catalog.table(&table.source)?)))
        .collect();
    let mut found = Vec::new();
    found.extend(journal_mode(conn, place).or_fault(place, doing)?);
    found.extend(captured(conn, place, plan).or_fault(place, doing)?);
    found.extend(busy(place, plan));
    found.extend(keys(place, &moved));
    found.extend(search(conn, place, plan, catalog, &moved)?);
    found.extend(ties(place, catalog, &moved));
    found.extend(triggers(place, catalog, &moved));
    found.extend(row_ids(place, &moved));
    found.extend(buildable(place, catalog, &moved).or_fault(place, doing)?);
    Ok(found)
}

fn is_moved(moved: &[(TableId, &Found)], name: &str) -> bool {
    moved
        .iter()
        .any(|(_, table)| table.name.eq_ignore_ascii_case(name))
}

fn journal_mode(conn: &Connection, place: &Place) -> rusqlite::Result<Option<Finding>> {
    let mode = survey::pragma(conn, "journal_mode")?;
    Ok((mode != "wal").then(|| Finding {
        evidence: format!("journal_mode = {mode}"),
        remedy: "switch the source to WAL, which readers and writers share without waiting; otherwise tidegate reads in \
                 pieces of 20 ms and the copy takes longer"
            .to_owned(),
        sql: vec!["PRAGMA journal_mode = WAL".to_owned()],
        ..finding(
            place,
            "NOT-WAL",
            Stage::KnowBefore,
            "the source is not in WAL mode: a writer of the application waits while tidegate reads",
        )
    }))
}

/// Everything that keeps changes from being captured, or makes capturing them slow.
fn captured(conn: &Connection, place: &Place, plan: &Plan) -> rusqlite::Result<Vec<Finding>> {
    let catalog = Catalog::read(conn)?;
    let tables: Vec<_> = plan
        .ids()
        .filter(|(_, table)| table.key().is_some())
        .map(|(id, table)| capture::Captured {
            table: table.source.clone(),
            id,
        })
        .collect();
    let planned = match capture::plan_capture(&catalog, &tables) {
        Ok(planned) => planned,
        Err(refusals) => {
            return Ok(refusals
                .iter()
                .map(|refusal| Finding {
                    table: Some(refusal.table().to_owned()),
                    remedy: refusal.remedy().to_owned(),
                    ..finding(
                        place,
                        refusal.code(),
                        Stage::BlocksCopy,
                        refusal.to_string(),
                    )
                })
                .collect());
        }
    };
    let plans = capture::explain_probes(conn, &planned)?;
    Ok(plans
        .into_iter()
        .filter(|plan| !plan.is_search())
        .map(|plan| {
            let against = match &plan.against {
                Against::Index(name) => format!("unique index {name}"),
                Against::Rowid => "its rowid".to_owned(),
            };
            let (code, evidence) = match plan.verdict {
                Verdict::Unreadable(why) => ("PROBE-UNREADABLE", why),
                Verdict::Scan | Verdict::Search => ("PROBE-SCANS", plan.detail.join("; ")),
            };
            Finding {
                table: Some(plan.table.clone()),
                evidence,
                remedy: "leave the table out, or replace the index by one over plain columns".to_owned(),
                ..finding(
                    place,
                    code,
                    Stage::BlocksCopy,
                    format!(
                        "with every write to {} the capture would have to look for replaced rows in {against}, and \
                         SQLite can't search it",
                        plan.table
                    ),
                )
            }
        })
        .collect())
}

/// Nothing in the file says how long the application waits for a lock.
fn busy(place: &Place, plan: &Plan) -> Option<Finding> {
    (plan.prune == Prune::Auto).then(|| Finding {
        evidence: "capture is made under the write lock once; its log is pruned under it, a few milliseconds at a time".to_owned(),
        remedy: "see that the application sets a busy timeout (5 s is usual); for one that gives up at once set prune = \"at-end\""
            .to_owned(),
        sql: vec!["PRAGMA busy_timeout = 5000".to_owned()],
        ..finding(
            place,
            "BUSY-TIMEOUT",
            Stage::KnowBefore,
            "a connection of the application without a busy timeout may meet SQLITE_BUSY while tidegate prunes its log",
        )
    })
}

fn keys(place: &Place, moved: &[(TableId, &Found)]) -> Vec<Finding> {
    moved
        .iter()
        .filter_map(|(_, table)| match &table.identity {
            Identity::Nullable(key) => Some((table, key)),
            _ => None,
        })
        .map(|(table, key)| {
            let columns: Vec<_> = key.columns.iter().map(|column| column.name.clone()).collect();
            Finding {
                table: Some(table.name.clone()),
                evidence: format!("no row holds NULL in {} now", columns.join(", ")),
                remedy: "declare the key's columns NOT NULL; a row with NULL in its key stops the stream when it comes".to_owned(),
                ..finding(
                    place,
                    "KEY-NULLABLE",
                    Stage::KnowBefore,
                    format!("the PRIMARY KEY of {} may hold NULL, and such a row can't be named", table.name),
                )
            }
        })
        .collect()
}

/// A chunk must be a search in the key's index. It is not when the index is ordered partly ascending, partly descending.
fn search(
    conn: &Connection,
    place: &Place,
    plan: &Plan,
    catalog: &Catalog,
    moved: &[(TableId, &Found)],
) -> Result<Vec<Finding>> {
    let plan = Arc::new(plan.clone());
    let mut found = Vec::new();
    for (id, table) in moved {
        let sql = TableSql::new(&plan, *id, place.side, catalog)?;
        let bound = || Some(Bound(vec![Value::Null; sql.key_width()].into()));
        let query = sql.rows(&Range {
            lo: bound(),
            hi: bound(),
        });
        let lines: Vec<String> = conn
            .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
            .and_then(|mut statement| {
                let mut rows = statement.raw_query();
                let mut lines = Vec::new();
                while let Some(row) = rows.next()? {
                    lines.push(row.get(3)?);
                }
                Ok(lines)
            })
            .or_fault(place, "explain how a chunk is read")?;
        if lines.iter().all(|line| line.starts_with("SEARCH")) {
            continue;
        }
        let columns: Vec<_> = table
            .identity
            .key()
            .map(|key| {
                key.columns
                    .iter()
                    .map(|column| quote_name(&column.name))
                    .collect()
            })
            .unwrap_or_default();
        found.push(Finding {
            table: Some(table.name.clone()),
            evidence: lines.join("; "),
            remedy: "give the key an index in one direction, or expect each chunk to read and sort the table".to_owned(),
            sql: vec![format!(
                "CREATE UNIQUE INDEX {} ON {} ({})",
                quote_name(&format!("{}_in_order", table.name)),
                quote_name(&table.name),
                columns.join(", ")
            )],
            ..finding(
                place,
                "KEY-NOT-SEARCHED",
                Stage::KnowBefore,
                format!("reading a chunk of {} is no search in its key's index", table.name),
            )
        });
    }
    Ok(found)
}

/// Foreign keys between what moves and what stays.
fn ties(place: &Place, catalog: &Catalog, moved: &[(TableId, &Found)]) -> Vec<Finding> {
    let mut found = Vec::new();
    for child in &catalog.tables {
        for parent in child.foreign_keys.iter().map(|key| key.parent.as_str()) {
            let (code, what) = match (is_moved(moved, &child.name), is_moved(moved, parent)) {
                (true, false) => (
                    Stage::BlocksCutover,
                    format!(
                        "{} refers to {parent}, which stays behind: its writes would fail on the target",
                        child.name
                    ),
                ),
                (false, true) => (
                    Stage::KnowBefore,
                    format!(
                        "{} stays behind and refers to {parent}, which moves",
                        child.name
                    ),
                ),
                _ => continue,
            };
            found.push(Finding {
                table: Some(child.name.clone()),
                evidence: format!("FOREIGN KEY … REFERENCES {parent}"),
                remedy: "move both tables, or drop the foreign key".to_owned(),
                ..finding(place, "FOREIGN-KEY-TIE", code, what)
            });
        }
    }
    found.dedup();
    found
}

/// The application's triggers over what moves that name a table which stays.
fn triggers(place: &Place, catalog: &Catalog, moved: &[(TableId, &Found)]) -> Vec<Finding> {
    let stays: Vec<&str> = catalog
        .tables
        .iter()
        .filter(|table| !is_moved(moved, &table.name))
        .map(|table| table.name.as_str())
        .collect();
    catalog
        .triggers
        .iter()
        .filter(|trigger| is_moved(moved, &trigger.on))
        .filter_map(|trigger| {
            let tokens = tokens(&trigger.sql).unwrap_or_default();
            let named = tokens.iter().find_map(|token| {
                let name = token.name(&trigger.sql)?;
                stays.iter().find(|stays| stays.eq_ignore_ascii_case(&name))
            })?;
            Some(Finding {
                table: Some(trigger.on.clone()),
                evidence: format!("trigger {} names {named}", trigger.name),
                remedy: format!(
                    "move {named} as well or make it on the target, or change the trigger"
                ),
                ..finding(
                    place,
                    "TRIGGER-TIE",
                    Stage::BlocksCutover,
                    format!(
                        "trigger {} on {} uses {named}, which stays behind",
                        trigger.name, trigger.on
                    ),
                )
            })
        })
        .collect()
}

fn row_ids(place: &Place, moved: &[(TableId, &Found)]) -> Option<Finding> {
    let names: Vec<_> = moved
        .iter()
        .filter(|(_, table)| matches!(table.rowid, Rowid::Separate(_)))
        .map(|(_, table)| table.name.as_str())
        .collect();
    (!names.is_empty()).then(|| Finding {
        evidence: names.join(", "),
        remedy: "nothing, unless the application uses rowid, _rowid_ or oid of these tables: then make it a column".to_owned(),
        ..finding(
            place,
            "ROWID-NOT-KEPT",
            Stage::KnowBefore,
            "rows get new row ids on the target where the row id is not the key (VACUUM does the same)",
        )
    })
}

/// The plan's schema is made once in memory: what fails there would fail on the target.
fn buildable(
    place: &Place,
    catalog: &Catalog,
    moved: &[(TableId, &Found)],
) -> rusqlite::Result<Vec<Finding>> {
    let trial = Connection::open_in_memory()?;
    let mut found = Vec::new();
    let mut attempt = |kind: &str, name: &str, on: Option<&str>, sql: &str, stage: Stage| {
        if let Err(error) = trial.execute_batch(sql) {
            let why = match error {
                rusqlite::Error::SqliteFailure(_, Some(why)) => why,
                other => other.to_string(),
            };
            found.push(Finding {
                table: on.map(str::to_owned),
                evidence: why,
                remedy: "functions and collations that the application registers itself exist only there: make this one on the \
                         target with the application"
                    .to_owned(),
                sql: vec![sql.to_owned()],
                ..finding(
                    place,
                    "SCHEMA-NOT-BUILDABLE",
                    stage,
                    format!("{kind} {name} can't be made by {}", survey::version()),
                )
            });
        }
    };
    for (_, table) in moved {
        attempt(
            "table",
            &table.name,
            Some(&table.name),
            &table.sql,
            Stage::BlocksCopy,
        );
        for index in table
            .indexes
            .iter()
            .filter(|index| index.origin == IndexOrigin::Created)
        {
            let sql = index.sql.as_deref().unwrap_or_default();
            attempt(
                "index",
                &index.name,
                Some(&table.name),
                sql,
                Stage::BlocksCutover,
            );
        }
    }
    for view in &catalog.views {
        attempt("view", &view.name, None, &view.sql, Stage::KnowBefore);
    }
    for trigger in catalog
        .triggers
        .iter()
        .filter(|trigger| is_moved(moved, &trigger.on))
    {
        attempt(
            "trigger",
            &trigger.name,
            Some(&trigger.on),
            &trigger.sql,
            Stage::BlocksCutover,
        );
    }
    Ok(found)
}
