//! One PostgreSQL database as an end of a migration.

use super::connect::{Server, Session};
use super::feed::PgFeed;
use super::fence::StartFence;
use super::gate::PgGate;
use super::sql::Tables;
use super::view::PgView;
use super::writer::PgWriter;
use super::{beside, findings, parts, pulse, survey, view};
use crate::db::spill::Spill;
use crate::db::{
    Abilities, Beside, Endpoint, Feed, Gate, Made, Part, Pulse, Sizes, Survey, View, Writer,
};
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::finding::{Finding, Object};
use crate::domain::id::MigrationName;
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::position::Position;
use crate::domain::unit::Span;
use crate::domain::value::Value;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Readers beyond this wait for each other on most servers; the plan asks for fewer by default.
const WORKERS: u16 = 16;

/// How long a view waits for a stream that is being opened.
const PATIENCE: Duration = Duration::from_secs(5);

/// One database of a server.
struct PgEnd {
    server: Server,
    /// From when on views contain what the newest feed does not deliver.
    fence: Arc<StartFence>,
    tables: Mutex<Option<Arc<Tables>>>,
    spill: Spill,
}

/// Opens a database as one end. Nothing is written. Large transactions are kept aside among the temporary files.
///
/// # Errors
/// A URL that can't be read, a server that can't be reached, a database that isn't there.
pub async fn open(url: &str, side: Side) -> Result<Arc<dyn Endpoint>> {
    open_with(url, side, Spill::default()).await
}

/// The same with a place for large transactions.
///
/// # Errors
/// As for [`open`].
pub async fn open_with(url: &str, side: Side, spill: Spill) -> Result<Arc<dyn Endpoint>> {
    let server = Server::at(url, side)?;
    server.session().await?.rest();
    Ok(Arc::new(PgEnd {
        server,
        fence: Arc::default(),
        tables: Mutex::new(None),
        spill,
    }))
}

/// What tells a database from others by its URL alone: host, port and name.
pub fn identity(url: &str) -> Option<String> {
    let server = Server::at(url, Side::Source).ok()?;
    Some(format!(
        "{} {}",
        server.place.label,
        server.options.get_port()
    ))
}

impl PgEnd {
    /// The plan's statements, shared by everything that works with the same plan.
    fn tables(&self, plan: &Arc<Plan>) -> Arc<Tables> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        match &*tables {
            Some(tables) if Arc::ptr_eq(&tables.plan, plan) => Arc::clone(tables),
            _ => {
                let new = Arc::new(Tables::new(plan, self.server.place.side));
                Arc::clone(tables.insert(new))
            }
        }
    }
}

#[async_trait]
impl Endpoint for PgEnd {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn side(&self) -> Side {
        self.server.place.side
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            workers: WORKERS,
            delivers_before_visible: true,
            longest_read: None,
        }
    }

    async fn survey(&self, sizes: Sizes) -> Result<Survey> {
        let mut session = self.server.session().await?;
        let found = survey::survey(&mut session, sizes).await?;
        session.rest();
        Ok(found)
    }

    async fn findings(&self, plan: &Plan) -> Result<Vec<Finding>> {
        let mut session = self.server.session().await?;
        let found = findings::findings(&mut session, &self.server, plan).await?;
        session.rest();
        Ok(found)
    }

    async fn beside(&self) -> Result<Option<Beside>> {
        let mut session = self.server.session().await?;
        let found = beside::beside(&mut session).await?;
        session.rest();
        Ok(Some(found))
    }

    async fn not_carried(&self, plan: &Plan, there: Option<&Beside>) -> Result<Vec<Finding>> {
        let mut session = self.server.session().await?;
        let found = findings::not_carried(&mut session, plan, there).await?;
        session.rest();
        Ok(found)
    }

    async fn objects(&self, part: Part, plan: &Plan) -> Result<Vec<Object>> {
        Ok(parts::objects(self.server.place.side, part, plan))
    }

    async fn install(&self, part: Part, plan: &Plan) -> Outcome<Vec<Object>> {
        match self.server.session().await {
            Ok(mut session) => {
                let done = parts::install(&mut session, part, plan).await;
                kept(session, done)
            }
            Err(fault) => Outcome::NotDone(fault),
        }
    }

    async fn remove(&self, removed: &[Part], of: Option<&MigrationName>) -> Outcome<Vec<Object>> {
        match self.server.session().await {
            Ok(mut session) => {
                let done = parts::remove(&mut session, removed, of).await;
                kept(session, done)
            }
            Err(fault) => Outcome::NotDone(fault),
        }
    }

    async fn discard(&self, made: &[Made]) -> Outcome<Vec<Made>> {
        match self.server.session().await {
            Ok(mut session) => {
                let done = parts::discard(&mut session, made).await;
                kept(session, done)
            }
            Err(fault) => Outcome::NotDone(fault),
        }
    }

    async fn leftovers(&self) -> Result<Vec<Object>> {
        let mut session = self.server.session().await?;
        let found = parts::present(&mut session).await?;
        session.rest();
        Ok(found)
    }

    fn belongs(&self, object: &Object, migration: &MigrationName) -> Option<bool> {
        parts::belongs(object, migration)
    }

    async fn view(&self, plan: &Arc<Plan>) -> Result<Box<dyn View>> {
        let least = tokio::time::timeout(PATIENCE, self.fence.least()).await;
        let least = least.map_err(|_| {
            Fault::new(
                Kind::Transient,
                format!("the stream is not open yet: {}", self.server.place),
            )
            .hint("rows are read once it is")
        })?;
        Ok(Box::new(
            PgView::open(&self.server, self.tables(plan), least).await?,
        ))
    }

    async fn feed(&self, plan: &Arc<Plan>, from: Position) -> Result<Box<dyn Feed>> {
        let (server, fence) = (self.server.clone(), Arc::clone(&self.fence));
        Ok(Box::new(
            PgFeed::open(server, Arc::clone(plan), from, fence, self.spill.clone()).await?,
        ))
    }

    async fn writer(&self, plan: &Arc<Plan>) -> Result<Box<dyn Writer>> {
        Ok(Box::new(
            PgWriter::open(self.server.apart(), self.tables(plan), self.spill.clone()).await?,
        ))
    }

    async fn gate(&self, plan: &Arc<Plan>) -> Result<Box<dyn Gate>> {
        Ok(Box::new(PgGate::new(self.server.clone(), Arc::clone(plan))))
    }

    async fn pulse(&self, plan: &Arc<Plan>) -> Result<Pulse> {
        let mut session = self.server.session().await?;
        let pulse = pulse::pulse(&mut session, plan, self.server.place.side).await?;
        session.rest();
        Ok(pulse)
    }

    async fn figure(&self, sql: &str, within: Span) -> Result<Value> {
        let mut session = self.server.session().await?;
        let found = view::figure(&mut session, sql, within).await?;
        session.rest();
        Ok(found)
    }
}

/// Keeps a session that came to its end; another may be in the middle of something, and is closed.
fn kept<T>(session: Session, done: Outcome<T>) -> Outcome<T> {
    if matches!(done, Outcome::Done(_)) {
        session.rest();
    }
    done
}
