//! About what a database has that tidegate does not make on the target: rights first of all. What the target has already is
//! left out.

use super::{finding, some};
use crate::db::Beside;
use crate::db::postgres::beside::{Reader, Thing};
use crate::db::postgres::names::literal;
use crate::db::postgres::place::Place;
use crate::domain::finding::{Finding, Stage};
use crate::domain::plan::Plan;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;

pub(super) async fn findings(
    conn: &mut PgConnection,
    place: &Place,
    plan: &Plan,
    there: Option<&Beside>,
) -> sqlx::Result<Vec<Finding>> {
    let reader = Reader::source(conn, plan, there).await?;
    let lay = Lay { place, there };
    let mut found = Vec::new();
    found.extend(lay.grants(conn, &reader).await?);
    found.extend(lay.owners(conn, &reader).await?);
    found.extend(lay.row_security(conn, &reader).await?);
    found.extend(lay.settings(conn, &reader).await?);
    found.extend(others(conn, place).await?);
    Ok(found)
}

/// Lays what the source has beside what the target has; where nobody knows what that is, everything is missing there.
struct Lay<'a> {
    place: &'a Place,
    there: Option<&'a Beside>,
}

impl Lay<'_> {
    fn missing(&self, sql: &str) -> bool {
        self.there.is_none_or(|there| !there.made.contains(sql))
    }

    /// How many of how many; only how many where nobody knows of how many.
    fn count(&self, missing: usize, all: usize, (one, many): (&str, &str)) -> String {
        let things = if all == 1 { one } else { many };
        match self.there {
            None => format!("{all} {things}"),
            Some(_) => format!("{missing} of {all} {things}"),
        }
    }

    /// Those of the roles that the target does not know, as the end of a sentence.
    fn lacking<'r>(&self, roles: impl IntoIterator<Item = &'r String>) -> String {
        let Some(there) = self.there else {
            return String::new();
        };
        let roles = roles.into_iter().filter(|role| *role != "PUBLIC");
        let lacking: BTreeSet<&str> = roles
            .filter(|role| !there.roles.contains(*role))
            .map(String::as_str)
            .collect();
        let names = lacking.iter().copied().collect::<Vec<_>>().join(", ");
        // All of them: each has to be made.
        match lacking.len() {
            0 => String::new(),
            1 => format!("; the target lacks the role {names}"),
            _ => format!("; the target lacks the roles {names}"),
        }
    }

    /// The application logs in on the target as somebody, who needs there what it has here.
    async fn grants(
        &self,
        conn: &mut PgConnection,
        reader: &Reader<'_>,
    ) -> sqlx::Result<Option<Finding>> {
        let mut grants = reader.grants(conn).await?;
        let all = grants.len();
        // A right that the target's version does not know can't be given there.
        let known = |right: &String| self.there.is_none_or(|there| there.rights.contains(right));
        let mut unknown = BTreeSet::new();
        for grant in &mut grants {
            let rights = std::mem::take(&mut grant.rights).into_iter();
            let (rights, beyond): (Vec<_>, Vec<_>) = rights.partition(known);
            unknown.extend(beyond);
            let missing = rights
                .into_iter()
                .filter(|right| self.missing(&grant.of(right)));
            grant.rights = missing.collect();
        }
        grants.retain(|grant| !grant.rights.is_empty());
        let mut roles: Vec<String> = grants.iter().map(|grant| grant.role.clone()).collect();
        roles.dedup();
        let count = self.count(grants.len(), all, ("grant", "grants"));
        let lacking = self.lacking(&roles);
        let to = some(&roles);
        let mut evidence = match (self.there, grants.len()) {
            (None, _) => format!("{count} to {to}"),
            (Some(_), 1) => format!("{count} is not on the target, to {to}{lacking}"),
            (Some(_), _) => format!("{count} are not on the target, to {to}{lacking}"),
        };
        if !unknown.is_empty() {
            let unknown = unknown.into_iter().collect::<Vec<_>>().join(", ");
            evidence.push_str(&format!("; its version knows no {unknown}"));
        }
        let remedy = if self.there.is_some() && lacking.is_empty() {
            "give these roles the same on the target once its tables are there"
        } else {
            "make these roles on the target, and give them the same once its tables are there"
        };
        Ok((!grants.is_empty()).then(|| Finding {
            evidence,
            remedy: remedy.to_owned(),
            sql: grants.iter().map(|grant| grant.sql()).collect(),
            ..finding(
                self.place,
                "GRANTS-NOT-CARRIED",
                Stage::KnowBefore,
                "roles and their rights are not moved: the application needs them on the target before the cutover",
            )
        }))
    }

    /// What tidegate makes on the target belongs to the role that it logs in as there.
    async fn owners(
        &self,
        conn: &mut PgConnection,
        reader: &Reader<'_>,
    ) -> sqlx::Result<Option<Finding>> {
        let mut things = reader.owners(conn).await?;
        let all = things.len();
        things.retain(|thing| self.missing(&thing.sql));
        let mut roles: Vec<String> = things.iter().flat_map(|t| t.roles.clone()).collect();
        roles.dedup();
        let count = self.count(things.len(), all, ("thing", "things"));
        let (lacking, whose) = (self.lacking(&roles), some(&roles));
        let evidence = match (self.there, things.len()) {
            (None, _) => format!("{count} of {whose}"),
            (Some(_), 1) => format!("{count} does not belong to {whose} on the target{lacking}"),
            (Some(_), _) => format!("{count} do not belong to {whose} on the target{lacking}"),
        };
        Ok((!things.is_empty()).then(|| Finding {
            evidence,
            remedy: "give them the same owners on the target once they are there".to_owned(),
            sql: statements(things),
            ..finding(
                self.place,
                "OWNERS-NOT-CARRIED",
                Stage::KnowBefore,
                "what tidegate makes on the target belongs to the role that it logs in as there, not to its owner here",
            )
        }))
    }

    /// Rows that some roles must not see would be seen by all who may read the table there.
    async fn row_security(
        &self,
        conn: &mut PgConnection,
        reader: &Reader<'_>,
    ) -> sqlx::Result<Option<Finding>> {
        let mut policies = reader.policies(conn).await?;
        let all = policies.len();
        policies.retain(|policy| self.missing(&policy.sql));
        let mut on = reader.row_security(conn).await?;
        on.retain(|table| self.missing(&table.sql));
        let mut tables: Vec<String> = on.iter().map(|table| table.name.clone()).collect();
        tables.dedup();
        let count = self.count(policies.len(), all, ("policy", "policies"));
        let evidence = if self.there.is_none() {
            format!("{count}; row security is on for {}", some(&tables))
        } else {
            let are = if policies.len() == 1 { "is" } else { "are" };
            let lacking = self.lacking(policies.iter().flat_map(|policy| &policy.roles));
            let missing = format!("{count} {are} not on the target{lacking}");
            let off = format!(
                "row security is not the same on the target for {}",
                some(&tables)
            );
            match (policies.is_empty(), tables.is_empty()) {
                (true, _) => off,
                (false, true) => missing,
                (false, false) => format!("{missing}; {off}"),
            }
        };
        let sql = statements(policies.into_iter().chain(on));
        Ok((!sql.is_empty()).then(|| Finding {
            evidence,
            remedy: "make the policies on the target, as its tables' owner, before the application reads there".to_owned(),
            sql,
            ..finding(
                self.place,
                "ROW-SECURITY-NOT-CARRIED",
                Stage::KnowBefore,
                "row level security is not moved: on the target everybody who may read a table would see all of its rows",
            )
        }))
    }

    /// A search path or a time zone that a role or the database sets changes what the application's statements mean.
    async fn settings(
        &self,
        conn: &mut PgConnection,
        reader: &Reader<'_>,
    ) -> sqlx::Result<Option<Finding>> {
        let mut settings = reader.settings(conn).await?;
        let all = settings.len();
        settings.retain(|setting| self.missing(&setting.sql));
        let names: BTreeSet<String> = settings.iter().map(|s| s.name.clone()).collect();
        let names = some(&names.into_iter().collect::<Vec<_>>());
        let lacking = self.lacking(settings.iter().flat_map(|setting| &setting.roles));
        let count = self.count(settings.len(), all, ("setting", "settings"));
        let evidence = match (self.there, settings.len()) {
            (None, _) => names,
            (Some(_), 1) => format!("{count} is not on the target: {names}{lacking}"),
            (Some(_), _) => format!("{count} are not on the target: {names}{lacking}"),
        };
        let place = match self.there {
            None => "on the target, under its database's name",
            Some(_) => "on the target",
        };
        let found = !settings.is_empty();
        // An application's own setting may be a secret.
        settings.retain(|setting| !setting.name.contains('.'));
        Ok(found.then(|| Finding {
            evidence,
            remedy: format!(
                "set the same {place}; values of the application's own settings are not shown"
            ),
            sql: statements(settings),
            ..finding(
                self.place,
                "SETTINGS-NOT-CARRIED",
                Stage::KnowBefore,
                "settings of roles and of the database are not moved",
            )
        }))
    }
}

fn statements(things: impl IntoIterator<Item = Thing>) -> Vec<String> {
    things.into_iter().map(|thing| thing.sql).collect()
}

async fn others(conn: &mut PgConnection, place: &Place) -> sqlx::Result<Option<Finding>> {
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
            place,
            "NOT-CARRIED",
            Stage::KnowBefore,
            "the source has things that tidegate does not make on the target",
        )
    }))
}
