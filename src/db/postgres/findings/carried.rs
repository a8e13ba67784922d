//! About what a database has that tidegate does not make on the target: rights first of all.

use super::{About, finding, some};
use crate::db::postgres::names::{literal, shown};
use crate::domain::finding::{Finding, Stage};
use sqlx::postgres::PgConnection;

pub(super) async fn findings(
    conn: &mut PgConnection,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    let mut found = Vec::new();
    found.extend(grants(conn, about).await?);
    found.extend(others(conn, about).await?);
    Ok(found)
}

/// The application logs in on the target as somebody, who needs there what it has here.
async fn grants(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "WITH acl AS ( \
           SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, n.nspname AS schema, c.relname AS name, c.relowner AS owner, \
             c.relacl AS acl FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition \
           UNION ALL SELECT 'SCHEMA', n.nspname, '', n.nspowner, n.nspacl FROM pg_namespace n) \
         SELECT a.kind, a.schema::text, a.name::text, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, \
           string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) \
         FROM acl a CROSS JOIN LATERAL aclexplode(a.acl) x \
         WHERE a.schema NOT LIKE 'pg\\_%' AND a.schema NOT IN ('information_schema', 'tidegate') AND x.grantee <> a.owner \
           AND x.grantee <> (SELECT oid FROM pg_roles WHERE rolname = current_user) AND NOT (a.kind = 'SCHEMA' AND x.grantee = 0) \
         GROUP BY 1, 2, 3, 4 ORDER BY 4, 1 DESC, 2, 3",
    )
    .fetch_all(conn)
    .await?;
    let mut roles: Vec<String> = rows.iter().map(|row| row.3.clone()).collect();
    roles.dedup();
    let sql = rows.iter().map(|(kind, schema, name, role, rights)| {
        let on = match kind.as_str() {
            "SCHEMA" => crate::db::postgres::names::quote(schema),
            _ => {
                let source = shown(schema, name);
                let table = about
                    .plan
                    .tables
                    .iter()
                    .find(|table| table.source == source);
                table.map_or(source, |table| table.target.clone())
            }
        };
        format!("GRANT {rights} ON {kind} {on} TO {role}")
    });
    let sql: Vec<String> = sql.collect();
    Ok((!sql.is_empty()).then(|| Finding {
        evidence: format!("{} grants to {}", sql.len(), some(&roles)),
        remedy: "make these roles on the target, and give them the same once its tables are there".to_owned(),
        sql,
        ..finding(
            about.place,
            "GRANTS-NOT-CARRIED",
            Stage::KnowBefore,
            "roles and their rights are not moved: the application needs them on the target before the cutover",
        )
    }))
}

async fn others(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    // Each with its catalog, the column of its name, and the condition that it is the application's.
    let kinds = [
        ("policy", "pg_policy", "polname", "true"),
        ("rule", "pg_rewrite", "rulename", "rulename <> '_RETURN'"),
        ("aggregate", "pg_proc", "proname", "prokind = 'a'"),
        ("operator", "pg_operator", "oprname", "true"),
        ("operator class", "pg_opclass", "opcname", "true"),
        ("cast", "pg_cast", "castmethod", "true"),
        (
            "text search configuration",
            "pg_ts_config",
            "cfgname",
            "true",
        ),
        (
            "publication",
            "pg_publication",
            "pubname",
            r"pubname NOT LIKE 'tidegate\_%'",
        ),
        ("event trigger", "pg_event_trigger", "evtname", "true"),
        ("foreign server", "pg_foreign_server", "srvname", "true"),
        (
            "large object",
            "pg_largeobject_metadata",
            "lomowner",
            "true",
        ),
    ];
    let parts: Vec<String> = kinds
        .iter()
        .map(|(kind, catalog, name, own)| {
            format!(
                "SELECT {kind} AS kind, count(*) AS n, (array_agg({name}::text ORDER BY {name}::text))[1] AS one FROM {catalog} c \
                 WHERE c.oid >= 16384 AND {own} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass \
                   AND d.objid = c.oid AND d.deptype IN ('e', 'i'))",
                kind = literal(kind)
            )
        })
        .collect();
    let sql = format!(
        "SELECT * FROM ({}) AS x WHERE n > 0",
        parts.join(" UNION ALL ")
    );
    let found: Vec<(String, i64, String)> = sqlx::query_as(&sql).fetch_all(conn).await?;
    let lines: Vec<String> = found
        .iter()
        .map(|(kind, n, one)| match (*n, kind.as_str()) {
            (n, "cast" | "large object") => format!("{n} × {kind}"),
            (1, _) => format!("{kind} {one}"),
            (n, _) => format!("{n} × {kind} ({one} …)"),
        })
        .collect();
    Ok((!lines.is_empty()).then(|| Finding {
        evidence: lines.join("; "),
        remedy: "make those that the application needs on the target yourself, for example from pg_dump --schema-only".to_owned(),
        ..finding(
            about.place,
            "NOT-CARRIED",
            Stage::KnowBefore,
            "the source has things that tidegate does not make on the target",
        )
    }))
}
