//! About what a database has that tidegate does not make on the target: rights first of all.

use super::{About, finding, some};
use crate::db::postgres::names::{literal, quote, shown};
use crate::domain::finding::{Finding, Stage};
use sqlx::postgres::PgConnection;

pub(super) async fn findings(
    conn: &mut PgConnection,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    let mut found = Vec::new();
    found.extend(grants(conn, about).await?);
    found.extend(owners(conn, about).await?);
    found.extend(row_security(conn, about).await?);
    found.extend(settings(conn, about).await?);
    found.extend(others(conn, about).await?);
    Ok(found)
}

/// The name on the target.
fn there(about: &About<'_>, schema: &str, name: &str) -> String {
    let source = shown(schema, name);
    let mut tables = about.plan.tables.iter();
    let table = tables.find(|table| table.source == source);
    table.map_or(source, |table| table.target.clone())
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
            "SCHEMA" => quote(schema),
            _ => there(about, schema, name),
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

/// What tidegate makes on the target belongs to the role that it logs in as there.
async fn owners(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(
        "WITH owned AS ( \
           SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind, \
             n.nspname AS schema, c.relname AS name, c.relowner AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition \
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i', 'e')) \
           UNION ALL SELECT 'SCHEMA', n.nspname, '', n.nspowner FROM pg_namespace n WHERE n.oid >= 16384) \
         SELECT kind, schema::text, name::text, quote_ident(pg_get_userbyid(owner)) FROM owned \
         WHERE schema NOT LIKE 'pg\\_%' AND schema NOT IN ('information_schema', 'tidegate') \
           AND owner <> (SELECT oid FROM pg_roles WHERE rolname = current_user) ORDER BY 4, 1, 2, 3",
    )
    .fetch_all(conn)
    .await?;
    let mut roles: Vec<String> = rows.iter().map(|row| row.3.clone()).collect();
    roles.dedup();
    let sql: Vec<String> = rows
        .iter()
        .map(|(kind, schema, name, role)| match kind.as_str() {
            "SCHEMA" => format!("ALTER SCHEMA {} OWNER TO {role}", quote(schema)),
            kind => format!(
                "ALTER {kind} {} OWNER TO {role}",
                there(about, schema, name)
            ),
        })
        .collect();
    Ok((!sql.is_empty()).then(|| Finding {
        evidence: format!("{} things of {}", sql.len(), some(&roles)),
        remedy: "give them the same owners on the target once they are there".to_owned(),
        sql,
        ..finding(
            about.place,
            "OWNERS-NOT-CARRIED",
            Stage::KnowBefore,
            "what tidegate makes on the target belongs to the role that it logs in as there, not to its owner here",
        )
    }))
}

/// Rows that some roles must not see would be seen by all who may read the table there.
async fn row_security(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let tables: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT n.nspname::text, c.relname::text, c.relforcerowsecurity FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relrowsecurity AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2",
    )
    .fetch_all(&mut *conn)
    .await?;
    let policies: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT schemaname::text, tablename::text, concat(quote_ident(policyname), ' ON %', ' AS ', permissive, ' FOR ', cmd, ' TO ', \
           (SELECT string_agg(CASE r WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(r) END, ', ') FROM unnest(roles) AS r), \
           ' USING (' || qual || ')', ' WITH CHECK (' || with_check || ')') \
         FROM pg_policies ORDER BY 1, 2, policyname",
    )
    .fetch_all(conn)
    .await?;
    let made = policies.iter().map(|(schema, name, policy)| {
        let on = format!(" ON {} AS ", there(about, schema, name));
        format!("CREATE POLICY {}", policy.replacen(" ON % AS ", &on, 1))
    });
    let on = tables.iter().flat_map(|(schema, name, forced)| {
        let table = there(about, schema, name);
        let enable = format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY");
        let force = format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY");
        [Some(enable), forced.then_some(force)]
            .into_iter()
            .flatten()
    });
    let sql: Vec<String> = made.chain(on).collect();
    let names: Vec<String> = tables
        .iter()
        .map(|(schema, name, _)| shown(schema, name))
        .collect();
    Ok((!sql.is_empty()).then(|| Finding {
        evidence: format!("{} policies; row security is on for {}", policies.len(), some(&names)),
        remedy: "make the policies on the target, as its tables' owner, before the application reads there".to_owned(),
        sql,
        ..finding(
            about.place,
            "ROW-SECURITY-NOT-CARRIED",
            Stage::KnowBefore,
            "row level security is not moved: on the target everybody who may read a table would see all of its rows",
        )
    }))
}

/// Settings of which a value is a list of names, which is not quoted as a whole.
const LISTS: [&str; 5] = [
    "search_path",
    "local_preload_libraries",
    "session_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// A search path or a time zone that a role or the database sets changes what the application's statements mean.
async fn settings(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    let rows: Vec<(Option<String>, Option<String>, String)> = sqlx::query_as(
        "SELECT quote_ident(r.rolname), quote_ident(d.datname), c FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c \
         LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase \
         WHERE (d.datname = current_database() OR s.setdatabase = 0) AND r.rolname IS DISTINCT FROM current_user ORDER BY 1, 2, 3",
    )
    .fetch_all(conn)
    .await?;
    let mut sql = Vec::new();
    let mut names = Vec::new();
    for (role, database, setting) in rows {
        let (name, value) = setting.split_once('=').unwrap_or((&setting, ""));
        names.push(name.to_owned());
        let whose = match (role, database) {
            (Some(role), Some(database)) => format!("ROLE {role} IN DATABASE {database}"),
            (Some(role), None) => format!("ROLE {role}"),
            (None, Some(database)) => format!("DATABASE {database}"),
            (None, None) => "ROLE ALL".to_owned(),
        };
        // An application's own setting may be a secret.
        if !name.contains('.') {
            let value = if LISTS.contains(&name) {
                value.to_owned()
            } else {
                literal(value)
            };
            sql.push(format!("ALTER {whose} SET {name} TO {value}"));
        }
    }
    names.sort();
    names.dedup();
    Ok((!names.is_empty()).then(|| Finding {
        evidence: some(&names),
        remedy: "set the same on the target, under its database's name; values of the application's own settings are not shown".to_owned(),
        sql,
        ..finding(
            about.place,
            "SETTINGS-NOT-CARRIED",
            Stage::KnowBefore,
            "settings of roles and of the database are not moved",
        )
    }))
}

async fn others(conn: &mut PgConnection, about: &About<'_>) -> sqlx::Result<Option<Finding>> {
    // Each with its catalog, the column of its name, and the condition that it is the application's.
    let kinds = [
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
