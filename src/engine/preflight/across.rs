//! What there is to say when the target is of another kind than the source.

use super::finding;
use crate::db::across::{Fold, Part, kinds, left, sorts_as_bytes};
use crate::db::{Survey, Surveyed};
use crate::domain::finding::{Finding, Stage};
use crate::domain::key::Collation;
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::preflight::MappedTable;
use crate::domain::table::{Column, Table};
use crate::domain::unit::counted;

/// The longest name PostgreSQL keeps.
const LONGEST: usize = 63;

/// What types become, table by table; nothing where both ends are of one kind.
pub(super) fn mapping(plan: &Plan) -> Vec<MappedTable> {
    let live = plan.tables.iter().filter(|table| table.key().is_some());
    live.filter(|_| kinds(plan).is_some())
        .map(|table| MappedTable {
            source: table.source.clone(),
            target: table.target.clone(),
            columns: table
                .columns
                .iter()
                .filter(|column| column.declared != column.becomes)
                .map(|column| {
                    let declared = match column.declared.as_str() {
                        "" => "no type",
                        declared => declared,
                    };
                    (
                        column.name.clone(),
                        declared.to_owned(),
                        column.becomes.clone(),
                    )
                })
                .collect(),
        })
        .collect()
}

pub(super) fn findings(source: &Survey, target: &Survey, plan: &Plan) -> Vec<Finding> {
    let Some((from, to)) = kinds(plan) else {
        return Vec::new();
    };
    let mut findings = not_carried(source, plan);
    for table in plan.tables.iter().filter(|table| table.key().is_some()) {
        let mut tables = source.tables.iter();
        let Some(found) = tables.find(|found| found.table.source == table.source) else {
            continue;
        };
        findings.extend(key(table, to));
        findings.extend(collations(table, found));
        if to == Engine::Postgres {
            findings.extend(long_names(table));
        }
        if from == Engine::Postgres {
            findings.extend(order(source, table, found));
        }
    }
    findings.extend(encoding(source, target, plan));
    findings.extend(capitals(plan, to));
    findings
}

fn some(names: &[String]) -> String {
    let shown = names.iter().take(6).cloned().collect::<Vec<_>>().join("; ");
    match names.len().saturating_sub(6) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

fn not_carried(source: &Survey, plan: &Plan) -> Vec<Finding> {
    let tell = |(table, left): (Option<String>, Vec<String>)| {
        let place = match &table {
            Some(table) => format!("with {table}"),
            None => "to the target".to_owned(),
        };
        let what = format!("what only the source understands is not carried {place}");
        Finding {
            side: Some(Side::Target),
            table,
            evidence: some(&left),
            remedy: "write it anew where the application needs it; the rows are complete without"
                .into(),
            ..finding("ACROSS-LEFT", Stage::KnowBefore, what)
        }
    };
    left(source, plan).into_iter().map(tell).collect()
}

fn key_columns(table: &Table) -> impl Iterator<Item = &Column> {
    let places = table.key().map(|spec| spec.columns.as_slice());
    let places = places.unwrap_or_default().iter();
    places.filter_map(|at| table.columns.get(usize::from(*at)))
}

/// A key that takes different texts for the same names other rows there.
fn key(table: &Table, to: Engine) -> Option<Finding> {
    let spec = table.key()?;
    let words = |collation: &Collation| match collation {
        Collation::Binary => None,
        Collation::Nocase => Some("NOCASE"),
        Collation::Rtrim => Some("RTRIM"),
    };
    let mut folding = key_columns(table)
        .zip(&spec.collations)
        .filter_map(|(column, collation)| {
            (column.becomes == "text").then_some(())?;
            Some(format!("{} {}", column.name, words(collation)?))
        });
    let first = folding.next()?;
    Some(Finding {
        side: Some(Side::Source),
        table: Some(table.source.clone()),
        evidence: std::iter::once(first)
            .chain(folding)
            .collect::<Vec<_>>()
            .join(", "),
        remedy: "give it a key that compares by bytes, or leave the table out".into(),
        ..finding(
            "ACROSS-KEY",
            Stage::BlocksCopy,
            format!(
                "the key of {} takes texts for equal that {} tells apart",
                table.source,
                to.label()
            ),
        )
    })
}

fn collations(table: &Table, found: &Surveyed) -> Option<Finding> {
    let in_key = |name: &str| key_columns(table).any(|column| column.name == name);
    let folding: Vec<String> = found
        .outline
        .parts
        .iter()
        .filter(|part| !part.computed && !in_key(&part.name))
        .filter_map(|part| {
            let how = match part.folds? {
                Fold::Case => "NOCASE",
                Fold::Spaces => "RTRIM",
                Fold::Own => "a collation of its own",
            };
            Some(format!("{} {how}", part.name))
        })
        .collect();
    (!folding.is_empty()).then(|| Finding {
        side: Some(Side::Target),
        table: Some(table.source.clone()),
        evidence: folding.join(", "),
        remedy: "see which queries rely on it".into(),
        ..finding(
            "ACROSS-COLLATION",
            Stage::KnowBefore,
            format!(
                "columns of {} compare text by its bytes on the target",
                table.source
            ),
        )
    })
}

fn long_names(table: &Table) -> Option<Finding> {
    let columns = table.columns.iter().map(|column| column.name.as_str());
    let too_long: Vec<String> = std::iter::once(table.source.as_str())
        .chain(columns)
        .filter(|name| name.len() > LONGEST)
        .map(str::to_owned)
        .collect();
    (!too_long.is_empty()).then(|| Finding {
        side: Some(Side::Target),
        table: Some(table.source.clone()),
        evidence: too_long.join(", "),
        remedy: "rename it on the source first, or give the table another name with target = \"…\""
            .into(),
        ..finding(
            "ACROSS-NAMES",
            Stage::BlocksCopy,
            format!(
                "names of {} are longer than PostgreSQL's {LONGEST} bytes",
                table.source
            ),
        )
    })
}

/// A range of keys goes by bytes; where the key has no such order, no index has it either.
fn order(source: &Survey, table: &Table, found: &Surveyed) -> Option<Finding> {
    const BYTEWISE: [&str; 4] = ["C", "POSIX", "C.UTF-8", "C.utf8"];
    let property = source
        .properties
        .iter()
        .find(|(name, _)| name == "collation");
    let database = property.map_or("", |(_, value)| value.as_str());
    let bytewise = |part: Option<&Part>| match part.and_then(|part| part.collation.as_deref()) {
        Some(own) => BYTEWISE
            .iter()
            .any(|name| own == format!("pg_catalog.\"{name}\"")),
        None => BYTEWISE.contains(&database) || database.ends_with("(builtin)"),
    };
    let is_text = |column: &Column| {
        ["text", "character varying"]
            .iter()
            .any(|name| column.declared.starts_with(name))
    };
    let other = |column: &&Column| {
        let plain = is_text(column) && bytewise(found.outline.part(&column.name));
        sorts_as_bytes(&column.declared) && !plain
    };
    let names: Vec<&str> = key_columns(table)
        .filter(other)
        .map(|c| c.name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let terms: Vec<String> = key_columns(table)
        .map(|column| {
            let name = format!("\"{}\"", column.name.replace('"', "\"\""));
            match (other(&column), is_text(column)) {
                (false, _) => name,
                (true, true) => format!("{name} COLLATE \"C\""),
                (true, false) => format!("(({name}::text) COLLATE \"C\")"),
            }
        })
        .collect();
    Some(Finding {
        side: Some(Side::Source),
        table: Some(table.source.clone()),
        evidence: format!("{}: {}", names.join(", "), counted(found.rows.0, "row")),
        remedy: "nothing for a small table; for a large one make an index in that order, where its type lets one be made".into(),
        sql: vec![format!(
            "CREATE INDEX CONCURRENTLY ON {} ({})",
            table.source,
            terms.join(", ")
        )],
        ..finding(
            "ACROSS-ORDER",
            Stage::KnowBefore,
            format!("the key of {} is sorted by its bytes for each chunk", table.source),
        )
    })
}

/// Text in another encoding than UTF-8 has another order, and may lack characters.
fn encoding(source: &Survey, target: &Survey, plan: &Plan) -> Vec<Finding> {
    let ends = [
        (Side::Source, source, plan.source.engine),
        (Side::Target, target, plan.target.engine),
    ];
    ends.into_iter()
        .filter_map(|(side, survey, engine)| encoding_of(side, survey, engine, plan))
        .collect()
}

fn encoding_of(side: Side, survey: &Survey, engine: Engine, plan: &Plan) -> Option<Finding> {
    let plain = ["UTF-8", "UTF8"];
    let property = survey
        .properties
        .iter()
        .find(|(name, _)| name == "encoding");
    let (_, encoding) = property.filter(|(_, encoding)| !plain.contains(&encoding.as_str()))?;
    let text = |column: &Column| column.becomes.eq_ignore_ascii_case("text");
    let tables: Vec<String> = plan
        .tables
        .iter()
        .filter(|table| key_columns(table).any(text))
        .map(|table| table.source.clone())
        .collect();
    // A server's other encodings lack most characters; UTF-16 has them all.
    let lacking = engine == Engine::Postgres && side == Side::Target;
    (lacking || !tables.is_empty()).then(|| Finding {
        side: Some(side),
        evidence: format!("{encoding}; tables with a text key: {}", some(&tables)),
        remedy: "make the database in UTF-8, or leave tables with a text key out".into(),
        ..finding(
            "ENCODING-DIFFERS",
            Stage::BlocksCopy,
            format!(
                "the {} keeps text in {encoding}, not in UTF-8",
                side.label()
            ),
        )
    })
}

fn capitals(plan: &Plan, to: Engine) -> Option<Finding> {
    if to != Engine::Postgres {
        return None;
    }
    let odd = |name: &str| name.bytes().any(|b| b.is_ascii_uppercase());
    let names: Vec<String> = plan
        .tables
        .iter()
        .filter(|table| table.key().is_some())
        .flat_map(|table| {
            let columns = table.columns.iter().map(|column| &column.name);
            std::iter::once(&table.source).chain(columns)
        })
        .filter(|name| odd(name))
        .cloned()
        .collect();
    (!names.is_empty()).then(|| Finding {
        side: Some(Side::Target),
        evidence: some(&names),
        remedy: "nothing, where the application writes them in double quotes".into(),
        ..finding(
            "ACROSS-NAMES",
            Stage::KnowBefore,
            "names with capital letters are kept, and must be quoted in PostgreSQL",
        )
    })
}
