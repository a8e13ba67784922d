//! What preflight has to say about a plan on a PostgreSQL database. Changes nothing, and takes no lock that a writer waits for.
//!
//! What shows only when both ends are laid side by side (rows on the target, its columns and key, collations, extensions) is the
//! engine's.

mod activity;
mod carried;
mod rights;
mod server;
mod tables;
mod target;

use super::catalog::{self, Relation};
use super::connect::{Server, Session};
use super::names::split;
use super::place::{OrFault, Place};
use crate::db::{Beside, refused};
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Stage};
use crate::domain::id::TableId;
use crate::domain::plan::{Plan, Side};
use crate::domain::table::Table;
use sqlx::postgres::PgConnection;
use std::sync::Arc;

/// What is asked about.
struct About<'a> {
    place: &'a Place,
    plan: &'a Plan,
    /// `server_version_num`.
    version: i32,
    /// Who we are there.
    role: String,
    superuser: bool,
    /// The plan's live tables that are there.
    tables: Vec<(TableId, &'a Table, Relation)>,
    /// Every table that is there.
    all: Vec<Relation>,
}

/// About the database as it is.
///
/// # Errors
/// A database that can't be read.
pub(super) async fn findings(
    session: &mut Session,
    server: &Server,
    plan: &Plan,
) -> Result<Vec<Finding>> {
    let doing = "look at the database";
    let place = Arc::clone(&server.place);
    session
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", doing)
        .await?;
    let conn = session.conn()?;
    let about = about(conn, &place, plan).await.or_fault(&place, doing)?;
    let mut found = of(conn, server, &about).await.or_fault(&place, doing)?;
    session.run("COMMIT", doing).await?;
    if place.side == Side::Target {
        found.extend(rights::silence(session, &about).await?);
    }
    Ok(found)
}

/// About what the source has that is not carried, and that the target does not have yet.
///
/// # Errors
/// A database that can't be read.
pub(super) async fn not_carried(
    session: &mut Session,
    plan: &Plan,
    there: Option<&Beside>,
) -> Result<Vec<Finding>> {
    let doing = "look at roles and rights";
    session
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", doing)
        .await?;
    let place = session.place().clone();
    let found = carried::findings(session.conn()?, &place, plan, there)
        .await
        .or_fault(&place, doing)?;
    session.run("COMMIT", doing).await?;
    Ok(found)
}

async fn about<'a>(
    conn: &mut PgConnection,
    place: &'a Place,
    plan: &'a Plan,
) -> sqlx::Result<About<'a>> {
    let (version, role, superuser): (i32, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_user::text, \
           (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)",
    )
    .fetch_one(&mut *conn)
    .await?;
    let all = catalog::relations(conn, None).await?;
    let live = plan.ids().filter(|(_, table)| table.key().is_some());
    let tables = live
        .filter_map(|(id, table)| {
            let (schema, name) = split(table.name_on(place.side));
            let found = all.iter().find(|r| r.schema == schema && r.name == name)?;
            Some((id, table, found.clone()))
        })
        .collect();
    Ok(About {
        place,
        plan,
        version,
        role,
        superuser,
        tables,
        all,
    })
}

async fn of(
    conn: &mut PgConnection,
    server: &Server,
    about: &About<'_>,
) -> sqlx::Result<Vec<Finding>> {
    let mut found = server::findings(conn, server, about).await?;
    found.extend(activity::findings(conn, about).await?);
    found.extend(rights::findings(conn, about).await?);
    found.extend(tables::findings(conn, about).await?);
    if about.place.side == Side::Target {
        found.extend(target::findings(conn, about).await?);
    }
    Ok(found)
}

/// A finding of this side with its fixed parts.
fn finding(place: &Place, code: &str, stage: Stage, what: impl Into<String>) -> Finding {
    refused::finding(place.side, code, stage, what)
}

impl About<'_> {
    /// What stands in the way of a change stream from here: of the copy on the source, of the way back on the target.
    fn streaming(&self) -> Stage {
        match self.place.side {
            Side::Source => Stage::BlocksCopy,
            Side::Target => Stage::BlocksCutover,
        }
    }

    fn source(&self) -> bool {
        self.place.side == Side::Source
    }
}

/// The first few of many, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
