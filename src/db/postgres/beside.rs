//! What a database has beside its tables and their rows: who may do what, to whom things belong, which rows a role sees, how
//! roles and the database are set. Both ends say it as statements under the target's names, so that the same is told by
//! the same statement.
//!
//! Not looked at: grants on single columns, on functions and on types, WITH GRANT OPTION, and roles that are members of others.
//! A policy's expressions are compared as each server writes them: where two versions write the same in different ways, it
//! is taken for missing.

use super::connect::Session;
use super::names::{literal, quote, shown, split};
use super::place::OrFault;
use crate::db::Beside;
use crate::domain::fault::Result;
use crate::domain::plan::Plan;
use crate::domain::table::Mode;
use sqlx::postgres::PgConnection;
use std::collections::{HashMap, HashSet};

/// What one role may do with one thing.
pub(super) struct Grant {
    /// `TABLE shop.orders`
    on: String,
    pub(super) role: String,
    pub(super) rights: Vec<String>,
}

impl Grant {
    pub(super) fn sql(&self) -> String {
        self.of(&self.rights.join(", "))
    }

    /// The statement for one of the rights.
    pub(super) fn of(&self, right: &str) -> String {
        format!("GRANT {right} ON {} TO {}", self.on, self.role)
    }
}

/// One thing that is so, with the statement that would make it so.
pub(super) struct Thing {
    pub(super) sql: String,
    /// What it is about: a table, a policy, a setting.
    pub(super) name: String,
    /// Roles that it names.
    pub(super) roles: Vec<String>,
}

/// Reads one end. On the target everything is read; on the source only what somebody else than we must be given there.
#[derive(Default)]
pub(super) struct Reader<'a> {
    everything: bool,
    /// What is called otherwise on the target: by the name here, the name there.
    renamed: HashMap<String, String>,
    /// Tables that stay behind: nothing need be given on the target for what is not there.
    behind: HashSet<&'a str>,
    /// The target's database.
    database: Option<&'a str>,
}

/// What the target has.
///
/// # Errors
/// A database that can't be read.
pub(super) async fn beside(session: &mut Session) -> Result<Beside> {
    let doing = "look at roles and rights";
    session
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", doing)
        .await?;
    let place = session.place().clone();
    let found = look(session.conn()?).await.or_fault(&place, doing)?;
    session.run("COMMIT", doing).await?;
    Ok(found)
}

async fn look(conn: &mut PgConnection) -> sqlx::Result<Beside> {
    let reader = Reader {
        everything: true,
        ..Reader::default()
    };
    let (database, roles, rights): (String, Vec<String>, Vec<String>) = sqlx::query_as(
        "SELECT quote_ident(current_database()), ARRAY(SELECT quote_ident(rolname) FROM pg_roles), \
           ARRAY(SELECT privilege_type FROM unnest('{r,s,n}'::\"char\"[]) AS kind \
             CROSS JOIN LATERAL aclexplode(acldefault(kind, 10)))",
    )
    .fetch_one(&mut *conn)
    .await?;
    let sequences = identities(conn).await?;
    let grants = reader.grants(conn).await?;
    let rights_there = grants
        .iter()
        .flat_map(|grant| grant.rights.iter().map(|right| grant.of(right)));
    let mut made: Vec<String> = rights_there.collect();
    for things in [
        reader.owners(conn).await?,
        reader.policies(conn).await?,
        reader.row_security(conn).await?,
        reader.settings(conn).await?,
    ] {
        made.extend(things.into_iter().map(|thing| thing.sql));
    }
    Ok(Beside {
        database,
        roles: roles.into_iter().collect(),
        rights: rights.into_iter().collect(),
        sequences: sequences
            .into_iter()
            .map(|(table, column, sequence)| ((table, column), sequence))
            .collect(),
        made: made.into_iter().collect(),
    })
}

/// Table, column and sequence of each identity column.
async fn identities(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, String, String)>> {
    let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "SELECT tn.nspname::text, t.relname::text, a.attname::text, sn.nspname::text, s.relname::text FROM pg_depend d \
         JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace \
         JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid \
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'",
    )
    .fetch_all(conn)
    .await?;
    let told =
        |(schema, table, column, own, sequence): (String, String, String, String, String)| {
            (shown(&schema, &table), column, shown(&own, &sequence))
        };
    Ok(rows.into_iter().map(told).collect())
}

impl<'a> Reader<'a> {
    /// For the source of a plan.
    pub(super) async fn source(
        conn: &mut PgConnection,
        plan: &'a Plan,
        there: Option<&'a Beside>,
    ) -> sqlx::Result<Self> {
        let tables = plan.tables.iter().map(|table| {
            // As the target's catalog says it, with the schema; a database of another engine has none.
            let (schema, name) = split(&table.target);
            let target = match there {
                Some(_) => shown(&schema, &name),
                None => table.target.clone(),
            };
            (table.source.clone(), target)
        });
        let mut reader = Self {
            everything: false,
            renamed: tables.collect(),
            behind: plan
                .tables
                .iter()
                .filter(|table| matches!(table.mode, Mode::LeftOut(_)))
                .map(|table| table.source.as_str())
                .collect(),
            database: there.map(|there| there.database.as_str()),
        };
        // The target's server names them by its own table.
        if let Some(there) = there {
            for (table, column, sequence) in identities(conn).await? {
                let table = reader.renamed.get(&table).cloned().unwrap_or(table);
                if let Some(theirs) = there.sequences.get(&(table, column)) {
                    reader.renamed.insert(sequence, theirs.clone());
                }
            }
        }
        Ok(reader)
    }

    /// Whether a table, or whatever else it is, goes to the target.
    fn goes(&self, schema: &str, name: &str) -> bool {
        !self.behind.contains(shown(schema, name).as_str())
    }

    /// The name on the target.
    fn named(&self, schema: &str, name: &str) -> String {
        let own = shown(schema, name);
        self.renamed.get(&own).cloned().unwrap_or(own)
    }

    /// A schema, or something in it, with its kind.
    fn placed(&self, kind: &str, schema: &str, name: &str) -> String {
        match kind {
            "SCHEMA" => format!("SCHEMA {}", quote(schema)),
            kind => format!("{kind} {}", self.named(schema, name)),
        }
    }

    /// In the order of roles.
    pub(super) async fn grants(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Grant>> {
        // An owner has all rights without having been given them.
        let rows: Vec<(String, String, String, String, Vec<String>)> = sqlx::query_as(
            "WITH acl AS ( \
               SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, n.nspname AS schema, c.relname AS name, \
                 c.relowner AS owner, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner)) AS acl \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition \
               UNION ALL SELECT 'SCHEMA', n.nspname, '', n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n) \
             SELECT a.kind, a.schema::text, a.name::text, \
               CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, \
               array_agg(DISTINCT x.privilege_type ORDER BY x.privilege_type) \
             FROM acl a CROSS JOIN LATERAL aclexplode(a.acl) x \
             WHERE a.schema NOT LIKE 'pg\\_%' AND a.schema NOT IN ('information_schema', 'tidegate') \
               AND ($1 OR (x.grantee <> a.owner AND x.grantee <> (SELECT oid FROM pg_roles WHERE rolname = current_user) \
                 AND NOT (a.kind = 'SCHEMA' AND x.grantee = 0))) \
             GROUP BY 1, 2, 3, 4 ORDER BY 4, 1 DESC, 2, 3",
        )
        .bind(self.everything)
        .fetch_all(conn)
        .await?;
        let grant =
            |(kind, schema, name, role, rights): (String, String, String, String, _)| Grant {
                on: self.placed(&kind, &schema, &name),
                role,
                rights,
            };
        let goes = rows.into_iter().filter(|row| self.goes(&row.1, &row.2));
        Ok(goes.map(grant).collect())
    }

    /// In the order of roles.
    pub(super) async fn owners(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Thing>> {
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "WITH owned AS ( \
               SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind, \
                 n.nspname AS schema, c.relname AS name, c.relowner AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition AND ($1 OR NOT EXISTS (SELECT FROM pg_depend d \
                   WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i', 'e'))) \
               UNION ALL SELECT 'SCHEMA', n.nspname, '', n.nspowner FROM pg_namespace n WHERE $1 OR n.oid >= 16384) \
             SELECT kind, schema::text, name::text, quote_ident(pg_get_userbyid(owner)) FROM owned \
             WHERE schema NOT LIKE 'pg\\_%' AND schema NOT IN ('information_schema', 'tidegate') \
               AND ($1 OR owner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)) ORDER BY 4, 1, 2, 3",
        )
        .bind(self.everything)
        .fetch_all(conn)
        .await?;
        let thing = |(kind, schema, name, role): (String, String, String, String)| Thing {
            sql: format!(
                "ALTER {} OWNER TO {role}",
                self.placed(&kind, &schema, &name)
            ),
            name: shown(&schema, &name),
            roles: vec![role],
        };
        let goes = rows.into_iter().filter(|row| self.goes(&row.1, &row.2));
        Ok(goes.map(thing).collect())
    }

    pub(super) async fn policies(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Thing>> {
        let rows: Vec<(String, String, String, Vec<String>, String, String)> = sqlx::query_as(
            "SELECT schemaname::text, tablename::text, quote_ident(policyname), \
               ARRAY(SELECT CASE r WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(r) END FROM unnest(roles) AS r ORDER BY r), \
               concat('AS ', permissive, ' FOR ', cmd), concat(' USING (' || qual || ')', ' WITH CHECK (' || with_check || ')') \
             FROM pg_policies ORDER BY 1, 2, policyname",
        )
        .fetch_all(conn)
        .await?;
        let policies = rows
            .into_iter()
            .filter(|row| self.goes(&row.0, &row.1))
            .map(|(schema, table, name, roles, kind, of)| Thing {
                sql: format!(
                    "CREATE POLICY {name} ON {} {kind} TO {}{of}",
                    self.named(&schema, &table),
                    roles.join(", ")
                ),
                name,
                roles,
            });
        Ok(policies.collect())
    }

    /// Tables for which row security is on, or on for their owner too.
    pub(super) async fn row_security(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Thing>> {
        let rows: Vec<(String, String, bool, bool)> = sqlx::query_as(
            "SELECT n.nspname::text, c.relname::text, c.relrowsecurity, c.relforcerowsecurity \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE (c.relrowsecurity OR ($1 AND c.relforcerowsecurity)) AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2",
        )
        .bind(self.everything)
        .fetch_all(conn)
        .await?;
        let goes = rows.into_iter().filter(|row| self.goes(&row.0, &row.1));
        let things = goes.flat_map(|(schema, name, on, forced)| {
            let table = self.named(&schema, &name);
            let how = [on.then_some("ENABLE"), forced.then_some("FORCE")];
            let thing = move |how| Thing {
                sql: format!("ALTER TABLE {table} {how} ROW LEVEL SECURITY"),
                name: shown(&schema, &name),
                roles: Vec::new(),
            };
            how.into_iter().flatten().map(thing)
        });
        Ok(things.collect())
    }

    /// With their values, also those that nobody may be shown.
    pub(super) async fn settings(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Thing>> {
        let rows: Vec<(Option<String>, Option<String>, String)> = sqlx::query_as(
            "SELECT quote_ident(r.rolname), quote_ident(d.datname), c FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c \
             LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase \
             WHERE (d.datname = current_database() OR s.setdatabase = 0) AND ($1 OR r.rolname IS DISTINCT FROM current_user) \
             ORDER BY 1, 2, 3",
        )
        .bind(self.everything)
        .fetch_all(conn)
        .await?;
        let thing = |(role, database, setting): (Option<String>, Option<String>, String)| {
            let (name, value) = setting.split_once('=').unwrap_or((&setting, ""));
            let database = database.map(|own| self.database.map_or(own, str::to_owned));
            let whose = match (&role, database) {
                (Some(role), Some(database)) => format!("ROLE {role} IN DATABASE {database}"),
                (Some(role), None) => format!("ROLE {role}"),
                (None, Some(database)) => format!("DATABASE {database}"),
                (None, None) => "ROLE ALL".to_owned(),
            };
            let value = if LISTS.contains(&name) {
                value.to_owned()
            } else {
                literal(value)
            };
            Thing {
                sql: format!("ALTER {whose} SET {name} TO {value}"),
                name: name.to_owned(),
                roles: role.into_iter().collect(),
            }
        };
        Ok(rows.into_iter().map(thing).collect())
    }
}

/// Settings of which a value is a list of names, which is not quoted as a whole.
const LISTS: [&str; 5] = [
    "search_path",
    "local_preload_libraries",
    "session_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];
