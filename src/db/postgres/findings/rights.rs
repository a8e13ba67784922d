//! About what our role may do, with the GRANTs for whoever may give them.

use super::{About, finding, some};
use crate::db::postgres::catalog::get;
use crate::db::postgres::connect::Session;
use crate::db::postgres::names::{qualified, quote, split};
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Stage};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::BTreeSet;

pub(super) async fn findings(
    conn: &mut PgConnection,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    if about.superuser {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    found.extend(replication(conn, about).await?);
    let oids: Vec<Oid> = about.tables.iter().map(|(_, _, found)| found.oid).collect();
    let rows = sqlx::query(
        "SELECT c.oid, pg_get_userbyid(c.relowner)::text AS owner, pg_has_role(c.relowner, 'USAGE') AS ours, \
           has_schema_privilege(c.relnamespace, 'USAGE') AS enter, has_table_privilege(c.oid, 'SELECT') AS read, \
           has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') AS write \
         FROM pg_class c WHERE c.oid = ANY($1)",
    )
    .bind(&oids)
    .fetch_all(&mut *conn)
    .await?;
    found.extend(tables(&rows, about)?);
    found.extend(owner(&rows, about)?);
    found.extend(create(conn, about).await?);
    Ok(found)
}

/// A slot needs REPLICATION, or what a managed service has for it.
async fn replication(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let (may, service): (bool, bool) = sqlx::query_as(
        "SELECT (SELECT r.rolreplication FROM pg_roles r WHERE r.rolname = current_user) \
             OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname IN ('rds_replication', 'alloydbreplica') AND pg_has_role(r.oid, 'MEMBER')), \
           EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication')",
    )
    .fetch_one(conn)
    .await?;
    let role = quote(&about.role);
    Ok((!may).then(|| Finding {
        evidence: format!("role {} has not the attribute REPLICATION", about.role),
        remedy: "a superuser gives it".to_owned(),
        sql: vec![if service {
            format!("GRANT rds_replication TO {role}")
        } else {
            format!("ALTER ROLE {role} REPLICATION")
        }],
        ..finding(
            about.place,
            "REPLICATION-ROLE",
            about.streaming(),
            format!(
                "{} may not read the {}'s change stream",
                about.role,
                about.place.side.label()
            ),
        )
    }))
}

fn tables(rows: &[PgRow], about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let role = quote(&about.role);
    let (mut lacking, mut sql, mut schemas) = (Vec::new(), Vec::new(), BTreeSet::new());
    for row in rows {
        let Some((_, table, relation)) = about
            .tables
            .iter()
            .find(|t| Ok(t.2.oid) == get::<Oid>(row, "oid").map_err(drop))
        else {
            continue;
        };
        if !get::<bool>(row, "enter")? {
            schemas.insert(quote(&relation.schema));
        }
        let mut rights = Vec::new();
        if !get::<bool>(row, "read")? {
            rights.push("SELECT");
        }
        // Reading back what a row was before it is replaced needs SELECT as well.
        if !about.source() && !get::<bool>(row, "write")? {
            rights.extend(["INSERT", "UPDATE", "DELETE"]);
        }
        if !rights.is_empty() {
            let name = table.name_on(about.place.side);
            lacking.push(name.to_owned());
            sql.push(format!(
                "GRANT {} ON {} TO {role}",
                rights.join(", "),
                qualified(name)
            ));
        }
    }
    let schemas: Vec<String> = schemas
        .iter()
        .map(|schema| format!("GRANT USAGE ON SCHEMA {schema} TO {role}"))
        .collect();
    if lacking.is_empty() && schemas.is_empty() {
        return Ok(None);
    }
    let verb = if about.source() { "read" } else { "write" };
    Ok(Some(Finding {
        evidence: if lacking.is_empty() {
            schemas.join("; ")
        } else {
            some(&lacking)
        },
        remedy: "their owner gives it".to_owned(),
        sql: schemas.into_iter().chain(sql).collect(),
        ..finding(
            about.place,
            "GRANTS",
            Stage::BlocksCopy,
            format!(
                "{} may not {verb} every table of the plan on the {}",
                about.role,
                about.place.side.label()
            ),
        )
    }))
}

/// Publishing a table, and taking a guard off it again, is its owner's.
fn owner(rows: &[PgRow], about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let (mut tables, mut owners) = (Vec::new(), BTreeSet::new());
    for row in rows {
        if get::<bool>(row, "ours")? {
            continue;
        }
        let oid: Oid = get(row, "oid")?;
        owners.insert(get::<String>(row, "owner")?);
        tables.extend(
            about
                .tables
                .iter()
                .filter(|t| t.2.oid == oid)
                .map(|t| t.1.name_on(about.place.side).to_owned()),
        );
    }
    Ok((!tables.is_empty()).then(|| Finding {
        evidence: format!(
            "{} of {}: {}",
            tables.len(),
            about.tables.len(),
            some(&tables)
        ),
        remedy: "make our role a member of their owner's".to_owned(),
        sql: owners
            .iter()
            .map(|owner| format!("GRANT {} TO {}", quote(owner), quote(&about.role)))
            .collect(),
        ..finding(
            about.place,
            "PUB-OWNER",
            about.streaming(),
            format!(
                "{} may neither publish nor guard tables that it does not own on the {}",
                about.role,
                about.place.side.label()
            ),
        )
    }))
}

/// A publication and our schema need CREATE on the database; new tables need it on their schema.
async fn create(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Vec<Finding>> {
    let mut schemas: Vec<String> = Vec::new();
    if !about.source() {
        let missing = about.plan.tables.iter().filter(|t| t.key().is_some());
        schemas = missing
            .filter(|table| {
                !about
                    .tables
                    .iter()
                    .any(|(_, there, _)| there.target == table.target)
            })
            .map(|table| split(&table.target).0)
            .collect();
    }
    let (database, allowed, lacking): (String, bool, Vec<String>) = sqlx::query_as(
        "SELECT current_database()::text, has_database_privilege(current_database(), 'CREATE'), \
           ARRAY(SELECT n.nspname::text FROM pg_namespace n WHERE n.nspname = ANY($1) AND NOT has_schema_privilege(n.oid, 'CREATE') ORDER BY 1)",
    )
    .bind(&schemas)
    .fetch_one(conn)
    .await?;
    let role = quote(&about.role);
    let mut sql = Vec::new();
    if !allowed {
        sql.push(format!(
            "GRANT CREATE ON DATABASE {} TO {role}",
            quote(&database)
        ));
    }
    sql.extend(
        lacking
            .iter()
            .map(|schema| format!("GRANT USAGE, CREATE ON SCHEMA {} TO {role}", quote(schema))),
    );
    let mut evidence: Vec<String> = lacking
        .iter()
        .map(|schema| format!("no CREATE on schema {schema}"))
        .collect();
    if !allowed {
        evidence.insert(0, format!("no CREATE on database {database}"));
    }
    Ok((!sql.is_empty())
        .then(|| Finding {
            evidence: evidence.join(", "),
            remedy: "the owner of the database gives it".to_owned(),
            sql,
            ..finding(
                about.place,
                "CREATE-RIGHT",
                Stage::BlocksCopy,
                format!(
                    "{} may not make what is needed on the {}",
                    about.role,
                    about.place.side.label()
                ),
            )
        })
        .into_iter()
        .collect())
}

/// Whether our sessions can write without the application's triggers and foreign keys: tried, because a managed service may
/// allow it to roles that no catalog tells. A failed try ends its transaction, and nothing else.
pub(super) async fn silence(session: &mut Session, about: &About<'_>) -> Result<Option<Finding>> {
    let doing = "look at the database";
    session.run("BEGIN", doing).await?;
    let tried = session
        .run("SET LOCAL session_replication_role = replica", doing)
        .await;
    session.run("ROLLBACK", doing).await?;
    let Err(fault) = tried else { return Ok(None) };
    if fault.code != "PRIVILEGE" {
        return Err(fault);
    }
    let role = quote(&about.role);
    let foreign = about.tables.iter().flat_map(|(_, _, found)| {
        found
            .constraints
            .iter()
            .filter(|c| c.kind == 'f')
            .map(|c| c.name.clone())
    });
    let foreign: Vec<String> = foreign.collect();
    let fires = if foreign.is_empty() {
        String::new()
    } else {
        format!("; these would be checked for every row: {}", some(&foreign))
    };
    Ok(Some(Finding {
        evidence: format!(
            "session_replication_role can't be set by {}{fires}",
            about.role
        ),
        remedy: if about.version >= 150_000 {
            "a superuser allows it".to_owned()
        } else {
            "before PostgreSQL 15 only superusers can: use one for the migration".to_owned()
        },
        sql: vec![if about.version >= 150_000 {
            format!("GRANT SET ON PARAMETER session_replication_role TO {role}")
        } else {
            format!("ALTER ROLE {role} SUPERUSER")
        }],
        ..finding(
            about.place,
            "TRIGGERS-FIRE",
            Stage::BlocksCopy,
            "triggers and foreign keys of the target would act on the rows that are copied, in any order",
        )
    }))
}
