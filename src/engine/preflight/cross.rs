//! What only shows when both ends are laid side by side.

use super::finding;
use crate::db::{Ddl, Endpoint, Survey, Surveyed};
use crate::domain::fault::{Kind, Result};
use crate::domain::finding::{Finding, Object, Stage};
use crate::domain::id::MigrationName;
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::table::{Mode, Table};
use crate::domain::unit::{Rows, counted};
use std::sync::Arc;

/// Findings about the plan's tables, from both surveys. `begun`: rows on the target are the migration's own.
pub(super) fn findings(source: &Survey, target: &Survey, plan: &Plan, begun: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if plan.source.engine == Engine::Postgres && plan.target.engine == Engine::Postgres {
        findings.extend(extensions(source, target));
        findings.extend(encoding(source, target));
        findings.extend(collation(source, target, plan));
    }
    for (id, table) in plan.ids() {
        if let Mode::LeftOut(why) = &table.mode {
            findings.push(left_out(source, table, why));
            continue;
        }
        let adopted = plan.adopt.contains(&id);
        match target
            .tables
            .iter()
            .find(|there| there.table.target.eq_ignore_ascii_case(&table.target))
        {
            Some(there) => {
                findings.extend(columns(table, there));
                findings.extend(key(table, there));
                if !begun {
                    findings.extend(rows(table, there, adopted));
                }
            }
            None if adopted => findings.push(Finding {
                side: Some(Side::Target),
                table: Some(table.source.clone()),
                evidence: format!("no table {} on the target", table.target),
                remedy: "take existing = \"verify\" out of its [[table]], or make the table there"
                    .into(),
                ..finding(
                    "EXISTING-MISSING",
                    Stage::BlocksCopy,
                    format!(
                        "{} is to be compared with rows that are there, and is not there",
                        table.target
                    ),
                )
            }),
            None => {}
        }
    }
    findings
}

/// Extensions of the source that the target's server does not have.
fn extensions(source: &Survey, target: &Survey) -> Vec<Finding> {
    let missing = |ddls: &[Ddl]| -> Vec<String> {
        let made = ddls.iter().filter(|ddl| ddl.kind == "extension");
        made.filter(|ddl| !target.extensions.contains(&ddl.name))
            .map(|ddl| ddl.name.clone())
            .collect()
    };
    let stages = [
        (
            missing(&source.before),
            Stage::BlocksCopy,
            "tables are made of",
        ),
        (missing(&source.rest), Stage::KnowBefore, "the source has"),
    ];
    let lacking = stages.into_iter().filter(|(names, _, _)| !names.is_empty());
    lacking
        .map(|(names, stage, whose)| Finding {
            side: Some(Side::Target),
            evidence: names.join(", "),
            remedy: "install them on the target's server".into(),
            ..finding(
                "EXTENSION-MISSING",
                stage,
                format!("the target's server lacks extensions that {whose}"),
            )
        })
        .collect()
}

fn property<'a>(survey: &'a Survey, name: &str) -> &'a str {
    let found = survey.properties.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

fn encoding(source: &Survey, target: &Survey) -> Option<Finding> {
    let (here, there) = (property(source, "encoding"), property(target, "encoding"));
    (here != there).then(|| Finding {
        evidence: format!("source {here}, target {there}"),
        remedy: format!("make the target with ENCODING '{here}' TEMPLATE template0"),
        ..finding(
            "ENCODING-DIFFERS",
            if there == "UTF8" {
                Stage::KnowBefore
            } else {
                Stage::BlocksCopy
            },
            "source and target keep text in different encodings",
        )
    })
}

/// Text that is ordered in another way puts other rows into a range of keys.
fn collation(source: &Survey, target: &Survey, plan: &Plan) -> Option<Finding> {
    let differ = |name| property(source, name) != property(target, name);
    let (name, version) = (differ("collation"), differ("collation_version"));
    if !name && !version {
        return None;
    }
    let words = |table: &&Table| {
        let places = table.key().map(|spec| spec.columns.as_slice());
        let places = places.unwrap_or_default().iter();
        let mut columns = places.filter_map(|at| table.columns.get(usize::from(*at)));
        columns.any(|c| c.declared.starts_with("text") || c.declared.starts_with("character"))
    };
    let tables: Vec<&str> = plan
        .tables
        .iter()
        .filter(words)
        .map(|table| table.source.as_str())
        .collect();
    let told = |survey| {
        let (name, version) = (
            property(survey, "collation"),
            property(survey, "collation_version"),
        );
        format!("{name} {version}").trim().to_owned()
    };
    let with = if tables.is_empty() {
        "none".to_owned()
    } else {
        tables.join(", ")
    };
    Some(Finding {
        evidence: format!(
            "source {}, target {}; tables with a text key: {with}",
            told(source),
            told(target)
        ),
        remedy: "make the target with the source's collation, from template0".into(),
        ..finding(
            "COLLATION-DIFFERS",
            if name && !tables.is_empty() {
                Stage::BlocksCopy
            } else {
                Stage::KnowBefore
            },
            "source and target order text in different ways",
        )
    })
}

fn left_out(source: &Survey, table: &Table, why: &str) -> Finding {
    let found = source
        .tables
        .iter()
        .find(|found| found.table.source == table.source);
    Finding {
        side: Some(Side::Source),
        table: Some(table.source.clone()),
        evidence: match found {
            Some(found) if found.exact => {
                format!("{} of it stay behind", counted(found.rows.0, "row"))
            }
            Some(_) => "its rows stay behind, they were not counted".into(),
            None => String::new(),
        },
        remedy: "see whether the application can do without it on the target".into(),
        ..finding(
            "TABLE-LEFT-OUT",
            Stage::KnowBefore,
            format!("{} is not moved: {why}", table.source),
        )
    }
}

fn rows(table: &Table, there: &Surveyed, adopted: bool) -> Option<Finding> {
    if there.rows == Rows::ZERO || adopted {
        return None;
    }
    Some(Finding {
        side: Some(Side::Target),
        table: Some(table.source.clone()),
        evidence: counted(there.rows.0, "row"),
        remedy: format!(
            "choose: existing = \"verify\" in the [[table]] of {} (compare, then repair), or empty it yourself. tidegate never deletes them",
            table.source
        ),
        ..finding(
            "TARGET-NOT-EMPTY",
            Stage::BlocksCopy,
            format!(
                "target {} has rows that tidegate did not put there",
                table.target
            ),
        )
    })
}

fn columns(table: &Table, there: &Surveyed) -> Option<Finding> {
    let lacks: Vec<&str> = table
        .columns
        .iter()
        .filter(|column| {
            !there
                .table
                .columns
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&column.name))
        })
        .map(|column| column.name.as_str())
        .collect();
    if lacks.is_empty() {
        return None;
    }
    Some(Finding {
        side: Some(Side::Target),
        table: Some(table.source.clone()),
        evidence: format!("the source's {} has {}", table.source, lacks.join(", ")),
        remedy: "add them on the target, or drop the empty table there and let tidegate make it"
            .into(),
        ..finding(
            "TARGET-COLUMNS",
            Stage::BlocksCopy,
            format!(
                "target {} lacks columns: {}",
                table.target,
                lacks.join(", ")
            ),
        )
    })
}

fn key(table: &Table, there: &Surveyed) -> Option<Finding> {
    let names = |table: &Table| -> Vec<String> {
        let places = table
            .key()
            .map(|spec| spec.columns.clone())
            .unwrap_or_default();
        let columns = places
            .iter()
            .filter_map(|at| table.columns.get(usize::from(*at)));
        columns
            .map(|column| column.name.to_ascii_lowercase())
            .collect()
    };
    let (ours, theirs) = (names(table), names(&there.table));
    // One that is put off is ours: an earlier engine made the table.
    let to_come = theirs.is_empty() && there.key.is_some();
    if ours == theirs || to_come {
        return None;
    }
    let told = |names: &[String]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    Some(Finding {
        side: Some(Side::Target),
        table: Some(table.source.clone()),
        evidence: format!("key on the source: {}; on the target: {}", told(&ours), told(&theirs)),
        remedy: "give the target's table the same primary key, or drop the empty table there and let tidegate make it".into(),
        ..finding("TARGET-KEY", Stage::BlocksCopy, format!("target {} names its rows by another key", table.target))
    })
}

/// What a lost run left on either side.
pub(super) async fn leftovers(
    source: &dyn Endpoint,
    target: &dyn Endpoint,
    migration: &MigrationName,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (side, end) in [(Side::Source, source), (Side::Target, target)] {
        let left = end.leftovers().await?;
        if left.is_empty() {
            continue;
        }
        // What bears another migration's name is in nobody's way.
        let others = |object: &Object| end.belongs(object, migration) == Some(false);
        let stage = match left.iter().all(others) {
            true => Stage::KnowBefore,
            false => Stage::BlocksCopy,
        };
        let names: Vec<&str> = left
            .iter()
            .take(3)
            .map(|object| object.name.as_str())
            .collect();
        let more = if left.len() > 3 {
            format!(" and {} more", left.len() - 3)
        } else {
            String::new()
        };
        findings.push(Finding {
            side: Some(side),
            evidence: format!("{}{more}", names.join(", ")),
            remedy: "if no other migration of this database runs, or is parked somewhere: tidegate clean -c FILE removes them and says what is left".into(),
            ..finding(
                "LEFTOVERS",
                stage,
                format!("the {} holds {} of tidegate's objects that are not of this run", side.label(), left.len()),
            )
        });
    }
    Ok(findings)
}

/// Whether the source understands the reads that are to be compared.
pub(super) async fn shadow(source: &dyn Endpoint, plan: &Arc<Plan>) -> Vec<Finding> {
    if plan.shadow.is_empty() {
        return Vec::new();
    }
    let Ok(mut view) = source.view(plan).await else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for query in &plan.shadow {
        let mut params = Vec::new();
        if let Some(sql) = &query.params {
            match view.query(sql, &[], 1).await {
                Ok(found) => {
                    params = found
                        .rows
                        .into_iter()
                        .next()
                        .map(Vec::from)
                        .unwrap_or_default()
                }
                Err(fault) => {
                    findings.push(shadow_finding(&query.name, "its params", &fault));
                    continue;
                }
            }
        }
        match view.query(&query.sql, &params, 1).await {
            Ok(_) => {}
            // Without a row of parameters its number can't be told from a mistake in the query.
            Err(fault)
                if fault.kind == Kind::Usage && params.is_empty() && query.params.is_some() => {}
            Err(fault) => findings.push(shadow_finding(&query.name, "it", &fault)),
        }
    }
    findings
}

fn shadow_finding(name: &str, part: &str, fault: &crate::domain::fault::Fault) -> Finding {
    Finding {
        side: Some(Side::Source),
        evidence: fault.to_string(),
        remedy: "change the [[shadow]] query; the migration runs without it".into(),
        ..finding(
            "SHADOW-QUERY",
            Stage::KnowBefore,
            format!("shadow query \"{name}\": {part} can't be run"),
        )
    }
}
