//! About a target that holds something already.

use super::{About, finding, some};
use crate::db::postgres::catalog::{Column, Relation};
use crate::db::refused;
use crate::domain::finding::{Finding, Stage};
use crate::domain::plan::Side;
use crate::domain::table::Table;
use sqlx::postgres::PgConnection;

pub(super) async fn findings(
    conn: &mut PgConnection,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    let mut found: Vec<Finding> = event_triggers(conn, about).await?.into_iter().collect();
    for (_, table, there) in &about.tables {
        found.extend(types(about, table, there));
        found.extend(extra_columns(table, there));
    }
    Ok(found)
}

/// They run with every statement that makes something here, ours too.
async fn event_triggers(
    conn: &mut PgConnection,
    about: &About<'_>,
) -> sqlx::Result<Option<Finding>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT concat(e.evtname, ' (', e.evtevent, ')') FROM pg_event_trigger e \
         WHERE e.evtenabled IN ('O', 'A') AND NOT EXISTS (SELECT FROM pg_depend d \
           WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e') ORDER BY e.evtname",
    )
    .fetch_all(conn)
    .await?;
    Ok((!names.is_empty()).then(|| Finding {
        evidence: some(&names),
        remedy: "see that they let tables, indexes and our schema be made, or disable them until the migration is done".to_owned(),
        ..finding(
            about.place,
            "EVENT-TRIGGER",
            Stage::KnowBefore,
            "event triggers of the target run with every table and index that is made there",
        )
    }))
}

fn types(about: &About<'_>, table: &Table, there: &Relation) -> Option<Finding> {
    let differ: Vec<String> = table
        .columns
        .iter()
        .filter_map(|column| {
            let found = there
                .columns
                .iter()
                .find(|found| found.name == column.name)?;
            if found.generated.is_some() {
                return Some(format!("{}: computed on the target", column.name));
            }
            (!holds(&found.declared, column.declared_on(Side::Target))).then(|| {
                format!(
                    "{}: {} on the source, {} on the target",
                    column.name, column.declared, found.declared
                )
            })
        })
        .collect();
    (!differ.is_empty()).then(|| Finding {
        table: Some(table.source.clone()),
        evidence: differ.join("; "),
        remedy: "declare the target's columns as the source's or wider, or drop the empty table there and let tidegate make it".to_owned(),
        ..finding(
            about.place,
            "TARGET-TYPES",
            Stage::BlocksCopy,
            format!("target {} would change values on their way in, or refuse them", table.target),
        )
    })
}

/// Whether every value of a type is one of the other, written in the same way.
fn holds(there: &str, here: &str) -> bool {
    let whole = |name: &str| {
        ["smallint", "integer", "bigint"]
            .iter()
            .position(|known| *known == name)
    };
    if there == here {
        return true;
    }
    if let (Some(there), Some(here)) = (whole(there), whole(here)) {
        return there >= here;
    }
    let text = |name: &str| name == "text" || name == "character varying";
    let length = |name: &str| {
        let rest = name.strip_prefix("character varying(")?;
        rest.strip_suffix(')')?.parse::<u32>().ok()
    };
    match (length(there), length(here)) {
        (Some(there), Some(here)) => there >= here,
        (None, Some(_)) => text(there),
        (None, None) => text(there) && text(here),
        (Some(_), None) => false,
    }
}

fn extra_columns(table: &Table, there: &Relation) -> Option<Finding> {
    let extra: Vec<&Column> = there
        .columns
        .iter()
        .filter(|found| found.generated.is_none())
        .filter(|found| !table.columns.iter().any(|column| column.name == found.name))
        .collect();
    let names: Vec<&str> = extra.iter().map(|column| column.name.as_str()).collect();
    let needed = extra
        .iter()
        .any(|column| column.not_null && column.expression.is_none() && column.identity.is_none());
    refused::extra_columns(table, &names, needed)
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_wider_type_holds_a_narrower_one() {
        assert!(holds("bigint", "integer") && !holds("integer", "bigint"));
        assert!(holds("text", "character varying(10)") && !holds("character varying(10)", "text"));
        assert!(holds("character varying(20)", "character varying(10)"));
        assert!(!holds("numeric(12,2)", "numeric(12,3)") && !holds("text", "integer"));
    }
}
