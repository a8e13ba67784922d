//! About a target that is there already.

use super::{file_of, finding};
use crate::db::refused;
use crate::db::sqlite::catalog::{Affinity, Catalog, Column, ColumnKind, Table as Found};
use crate::db::sqlite::identity::{Identity, collation_name};
use crate::db::sqlite::place::{OrFault, Place};
use crate::db::sqlite::survey;
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Stage};
use crate::domain::plan::{Plan, Side};
use crate::domain::table::Table;
use rusqlite::{Connection, OpenFlags};

pub(super) fn findings(
    conn: &Connection,
    place: &Place,
    plan: &Plan,
    catalog: &Catalog,
) -> Result<Vec<Finding>> {
    let doing = "look at the target";
    let mut found = Vec::new();
    found.extend(journal_mode(conn, place).or_fault(place, doing)?);
    found.extend(encoding(conn, place, plan).or_fault(place, doing)?);
    for table in plan.tables.iter().filter(|table| table.key().is_some()) {
        if let Some(there) = catalog.table(&table.target) {
            found.extend(types(place, table, there));
            found.extend(collations(place, table, there));
            found.extend(extra_columns(table, there));
        }
    }
    Ok(found)
}

fn journal_mode(conn: &Connection, place: &Place) -> rusqlite::Result<Option<Finding>> {
    let mode = survey::pragma(conn, "journal_mode")?;
    Ok((mode != "wal").then(|| Finding {
        evidence: format!("journal_mode = {mode}"),
        remedy: "nothing; the change needs a moment in which nobody else has the file open"
            .to_owned(),
        sql: vec!["PRAGMA journal_mode = WAL".to_owned()],
        ..finding(
            place,
            "TARGET-TO-WAL",
            Stage::KnowBefore,
            "the target is brought into WAL mode when the migration starts, and stays in it",
        )
    }))
}

/// Text is ordered by its bytes: in another encoding a range of keys holds other rows.
fn encoding(conn: &Connection, place: &Place, plan: &Plan) -> rusqlite::Result<Option<Finding>> {
    let here = survey::pragma(conn, "encoding")?;
    let Some(there) = file_of(&plan.source).and_then(|path| source_pragma(&path, "encoding"))
    else {
        return Ok(None);
    };
    if here == there || place.is_unwritten().unwrap_or(false) {
        return Ok(None);
    }
    Ok(Some(Finding {
        evidence: format!("source {there}, target {here}"),
        remedy: format!("make the target as a new file: tidegate gives it {there}"),
        ..finding(
            place,
            "ENCODING-DIFFERS",
            Stage::BlocksCopy,
            "source and target keep text in different encodings, so they order keys differently",
        )
    }))
}

/// A pragma of the source's file; none when it can't be read from here.
pub(in crate::db::sqlite) fn source_pragma(path: &std::path::Path, name: &str) -> Option<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).ok()?;
    survey::pragma(&conn, name).ok()
}

fn pairs<'a>(
    table: &'a Table,
    there: &'a Found,
) -> impl Iterator<Item = (&'a crate::domain::table::Column, &'a Column)> {
    table.columns.iter().filter_map(|column| {
        let found = there
            .columns
            .iter()
            .find(|found| found.name.eq_ignore_ascii_case(&column.name))?;
        Some((column, found))
    })
}

/// A column of another affinity converts what is put into it.
fn types(place: &Place, table: &Table, there: &Found) -> Option<Finding> {
    let differ: Vec<String> = pairs(table, there)
        .filter(|(column, found)| {
            // Whether the source's table is STRICT is not in the plan; it matters for ANY alone, which then converts nothing.
            let any = |declared: &str| declared.eq_ignore_ascii_case("any");
            let declared = column.declared_on(Side::Target);
            Affinity::of(declared, any(declared) && there.strict) != found.affinity
                || found.kind != ColumnKind::Ordinary
        })
        .map(|(column, found)| match found.kind {
            ColumnKind::Ordinary => format!(
                "{}: {} on the source, {} on the target",
                column.name,
                shown(&column.declared),
                shown(&found.declared)
            ),
            _ => format!("{}: computed on the target", column.name),
        })
        .collect();
    (!differ.is_empty()).then(|| Finding {
        table: Some(table.source.clone()),
        evidence: differ.join("; "),
        remedy: "declare the target's columns as the source's, or drop the empty table there and let tidegate make it".to_owned(),
        ..finding(
            place,
            "TARGET-TYPES",
            Stage::BlocksCopy,
            format!("target {} would change values on their way in", table.target),
        )
    })
}

fn shown(declared: &str) -> &str {
    if declared.is_empty() {
        "no type"
    } else {
        declared
    }
}

/// Keys must be the same and in the same order on both sides.
fn collations(place: &Place, table: &Table, there: &Found) -> Option<Finding> {
    let spec = table.key()?;
    let (Identity::Key(key) | Identity::Nullable(key)) = &there.identity else {
        return None;
    };
    let wanted: Vec<_> = spec.collations.iter().map(|c| collation_name(*c)).collect();
    let found: Vec<_> = key
        .columns
        .iter()
        .map(|c| collation_name(c.collation))
        .collect();
    (wanted != found && wanted.len() == found.len()).then(|| Finding {
        table: Some(table.source.clone()),
        evidence: format!("source {}, target {}", wanted.join(", "), found.join(", ")),
        remedy: "declare the key's columns with the source's collation on the target".to_owned(),
        ..finding(
            place,
            "TARGET-COLLATION",
            Stage::BlocksCopy,
            format!(
                "the key of target {} compares text in another way than the source's",
                table.target
            ),
        )
    })
}

fn extra_columns(table: &Table, there: &Found) -> Option<Finding> {
    let extra: Vec<&Column> = there
        .columns
        .iter()
        .filter(|found| found.kind == ColumnKind::Ordinary)
        .filter(|found| {
            !table
                .columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(&found.name))
        })
        .collect();
    let names: Vec<&str> = extra.iter().map(|column| column.name.as_str()).collect();
    let needed = extra
        .iter()
        .any(|column| column.not_null && column.default.is_none());
    refused::extra_columns(table, &names, needed)
}
