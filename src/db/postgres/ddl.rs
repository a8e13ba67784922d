//! Making the plan's schema on the target, one statement at a time; done again, each finds that it is there.
//!
//! Whether what is there has the wanted form is not read from its text: it is read from the catalog and written in the same
//! words as the wanted statement was on the source.

use super::catalog;
use super::connect::Session;
use super::form::{name_after, qualified_name, renamed, same, same_loosely};
use super::names::{qualified, shown, split};
use super::objects;
use super::place::OrFault;
use super::render::Source;
use crate::db::{Ddl, across};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Plan;
use sqlx::postgres::PgConnection;

/// Builds inside the caller's transaction.
///
/// # Errors
/// `Blocked` with `SCHEMA-DIFFERS`: something of that name is there and is another. What the server says to the statement.
pub(super) async fn build(session: &mut Session, plan: &Plan, ddl: &Ddl) -> Result<()> {
    let doing = format!("make {} {}", ddl.kind, ddl.name);
    let place = session.place().clone();
    let sql = moved(plan, ddl);
    let conn = session.conn()?;
    let sql = match ddl.kind.as_str() {
        "comment" => followed(conn, plan, sql).await.or_fault(&place, &doing)?,
        _ => sql,
    };
    let there = there(conn, plan, ddl, &sql)
        .await
        .or_fault(&place, &doing)?;
    match there {
        Some(there) if same(&there, &sql) => Ok(()),
        // A condition that was not written by this server is not in its words yet.
        Some(there) if across::kinds(plan).is_some() && same_loosely(&there, &sql) => Ok(()),
        Some(there) => Err(Fault::new(
            Kind::Blocked,
            format!(
                "{} {} is there already and is another: {place}",
                ddl.kind, ddl.name
            ),
        )
        .code("SCHEMA-DIFFERS")
        .cause(format!("there: {there} | wanted: {sql}"))
        .hint("drop it or change it to the wanted form, then go on")),
        None => {
            // A function may name what is made after it.
            let sql = match ddl.kind.as_str() {
                "function" => format!("SET LOCAL check_function_bodies = off; {sql}"),
                _ => sql,
            };
            session.run(&sql, &doing).await
        }
    }
}

/// The statement with the target's names.
pub(super) fn moved(plan: &Plan, ddl: &Ddl) -> String {
    if across::kinds(plan).is_some() {
        return ddl.sql.clone();
    }
    let sql = renamed(plan, &ddl.kind, &ddl.sql);
    if elsewhere(plan, ddl) {
        without_counters(&sql)
    } else {
        sql
    }
}

/// Whether it is a table that goes into another schema, or comes from another kind of database: its counters can't be where they
/// are on the source.
fn elsewhere(plan: &Plan, ddl: &Ddl) -> bool {
    let apart = || split(&target_of(plan, &ddl.name)).0 != split(&ddl.name).0;
    ddl.kind == "table" && (across::kinds(plan).is_some() || apart())
}

/// CREATE TABLE without what its counters are set to.
fn without_options(sql: &str) -> String {
    let mut out = sql.to_owned();
    while let Some(at) = out.find(" (SEQUENCE NAME ") {
        let end = out[at..].find(')').map_or(out.len(), |end| at + end + 1);
        out.replace_range(at..end, "");
    }
    out
}

/// CREATE TABLE without the names of its counters, and without a tie to one.
fn without_counters(sql: &str) -> String {
    sql.split(";\n")
        .filter(|statement| !statement.starts_with("ALTER SEQUENCE"))
        .map(without_sequence_names)
        .collect::<Vec<_>>()
        .join(";\n")
}

fn without_sequence_names(sql: &str) -> String {
    let mut out = sql.to_owned();
    while let Some(at) = out.find("(SEQUENCE NAME ") {
        let end = out[at..]
            .find(" START WITH")
            .map_or(out.len(), |end| at + end + 1);
        out.replace_range(at + 1..end, "");
    }
    out
}

/// An index lies in its table's schema, so a comment on one goes where the table went.
async fn followed(conn: &mut PgConnection, plan: &Plan, sql: String) -> sqlx::Result<String> {
    let Some((schema, name)) = qualified_name(&sql, false) else {
        return Ok(sql);
    };
    if !sql.starts_with("COMMENT ON INDEX ")
        || catalog::oid_of(conn, &schema, &name).await?.is_some()
    {
        return Ok(sql);
    }
    let text = sql.find(" IS ").map_or("", |at| &sql[at..]);
    let moved = plan
        .tables
        .iter()
        .map(|table| (split(&table.source).0, split(&table.target).0));
    for (_, to) in moved.filter(|(from, to)| *from == schema && from != to) {
        if catalog::oid_of(conn, &to, &name).await?.is_some() {
            return Ok(format!(
                "COMMENT ON INDEX {}{text}",
                qualified(&shown(&to, &name))
            ));
        }
    }
    Ok(sql)
}

/// The target's name of a table of the source.
fn target_of(plan: &Plan, source: &str) -> String {
    if across::kinds(plan).is_some() {
        return source.to_owned();
    }
    plan.tables
        .iter()
        .find(|table| table.source == source)
        .map_or_else(|| source.to_owned(), |table| table.target.clone())
}

/// What is there under the name of what is wanted, as the statement that would make it. None: nothing is, or it does no harm
/// to do it again.
async fn there(
    conn: &mut PgConnection,
    plan: &Plan,
    ddl: &Ddl,
    sql: &str,
) -> sqlx::Result<Option<String>> {
    let of = |found: Vec<objects::Object>| found.into_iter().next().map(|object| object.ddl.sql);
    let (schema, name) = split(&ddl.name);
    let only = Some((schema.as_str(), name.as_str()));
    Ok(match ddl.kind.as_str() {
        "schema" => {
            let found = objects::schemas(conn).await?;
            found
                .into_iter()
                .find(|there| there.name == ddl.name)
                .map(|there| there.sql)
        }
        // Its version and its schema are the target's own affair.
        "extension" => {
            let found = objects::extensions(conn).await?;
            let found = found.into_iter().any(|(there, _)| there.name == ddl.name);
            found.then(|| sql.to_owned())
        }
        "type" => of(objects::types(conn, only).await?),
        "collation" => of(objects::collations(conn, only).await?),
        "view" => of(objects::views(conn, only).await?),
        "function" => {
            let schema = qualified_name(sql, false)
                .map(|name| name.0)
                .unwrap_or_default();
            of(objects::functions(conn, Some((&schema, &ddl.name))).await?)
        }
        "sequence" if sql.starts_with("CREATE") => {
            let found = objects::sequences(conn, only).await?;
            found.first().map(|sequence| sequence.create().sql)
        }
        "table" => {
            let (schema, name) = split(&target_of(plan, &ddl.name));
            let found = on_table(conn, &schema, &name).await?;
            let of = |kind: &str| found.iter().find(|there| there.kind == kind);
            of("table").map(|table| {
                let bare = match elsewhere(plan, ddl) {
                    true if across::kinds(plan).is_some() => without_options(&table.sql),
                    true => without_counters(&table.sql),
                    false => table.sql.clone(),
                };
                // Wanted without its key, it may have got that since.
                match of("key") {
                    Some(key) if !same(&bare, sql) => format!("{bare};\n{}", key.sql),
                    _ => bare,
                }
            })
        }
        "key" => {
            let (schema, name) = split(&target_of(plan, &ddl.name));
            let found = on_table(conn, &schema, &name).await?;
            let there = found.into_iter().find(|there| there.kind == "key");
            there.map(|there| there.sql)
        }
        "index" | "constraint" | "statistics" => {
            let Some((schema, name)) = qualified_name(sql, ddl.kind == "statistics") else {
                return Ok(None);
            };
            let words = ["index", "constraint", "statistics"];
            let wanted = name_after(sql, &words);
            let found = on_table(conn, &schema, &name).await?;
            found
                .into_iter()
                .filter(|there| {
                    there.kind == ddl.kind && !there.sql.contains(" VALIDATE CONSTRAINT ")
                })
                .find(|there| name_after(&there.sql, &words) == wanted)
                .filter(|_| !sql.contains(" VALIDATE CONSTRAINT "))
                .map(|there| if_valid(&there.sql, sql))
        }
        "trigger" => {
            let Some((schema, name)) = qualified_name(sql, false) else {
                return Ok(None);
            };
            let wanted = name_after(sql, &["trigger"]);
            let found = objects::triggers(conn, Some((&schema, &name))).await?;
            found
                .into_iter()
                .find(|there| name_after(&there.sql, &["trigger"]) == wanted)
                .map(|there| there.sql)
        }
        _ => None,
    })
}

/// A constraint that was validated since it was added is still the wanted one.
fn if_valid(there: &str, wanted: &str) -> String {
    let valid = |sql: &str| sql.strip_suffix(" NOT VALID").unwrap_or(sql).to_owned();
    if same(&valid(there), &valid(wanted)) {
        wanted.to_owned()
    } else {
        there.to_owned()
    }
}

/// Everything that makes a table of the target.
async fn on_table(conn: &mut PgConnection, schema: &str, name: &str) -> sqlx::Result<Vec<Ddl>> {
    let relations = catalog::family(conn, schema, name).await?;
    let sequences = objects::sequences(conn, None).await?;
    let source = Source {
        relations: &relations,
        sequences: &sequences,
    };
    Ok(relations
        .iter()
        .filter(|relation| relation.schema == schema && relation.name == name)
        .flat_map(|relation| {
            let mut all = vec![source.create(relation)];
            all.extend(source.key(relation));
            all.extend(source.after(relation));
            all
        })
        .collect())
}
