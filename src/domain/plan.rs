//! What was decided before the first row moved. The plan's hash is in the journal; approvals are given for a hash.

use super::id::{MigrationName, TableId};
use super::signal::{Limit, Measure};
use super::table::Table;
use super::unit::{Bytes, RowsPerSecond, Span};
use serde::{Deserialize, Serialize};

/// Where a migration runs: colours the header, turns on the two-person rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Real users, real data.
    Prod,
    /// A rehearsal.
    Staging,
    /// A developer's machine.
    Dev,
    /// `tidegate demo`.
    Demo,
}

impl Environment {
    /// The word in the header.
    pub fn label(self) -> &'static str {
        match self {
            Self::Prod => "PROD",
            Self::Staging => "STAGING",
            Self::Dev => "DEV",
            Self::Demo => "DEMO",
        }
    }
}

/// The kind of database at one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// SQLite files.
    Sqlite,
    /// A database of a PostgreSQL server.
    Postgres,
    /// The deterministic database in memory that tests run on.
    Sim,
}

impl Engine {
    /// Its name as people write it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Sim => "sim",
        }
    }
}

/// One end, as it may be shown: never with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndPlan {
    /// The kind of database.
    pub engine: Engine,
    /// The URL with secrets replaced by `***`.
    pub url: String,
    /// A short name for the header: the file's name, or host and database.
    pub label: String,
}

/// Which of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Where the rows come from.
    Source,
    /// Where they go.
    Target,
}

impl Side {
    /// The word on the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// `[backfill]`: how the copy goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// How long reading one chunk should take; sizes adapt to it.
    pub chunk_time: Span,
    /// Most bytes in one chunk.
    pub chunk_bytes: Bytes,
    /// Parallel readers, where the source's engine can use them.
    pub workers: u16,
    /// The pace at the start; none means as fast as the signals allow.
    pub max_rows_per_second: Option<RowsPerSecond>,
}

/// `[throttle]`: what slows us. What not every database can measure has a limit only where one was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// The copy slows as the stream's lag nears this, and stands still beyond it.
    pub max_lag: Span,
    /// The same in bytes of the stream that are not known to be durable on the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lag_bytes: Option<Bytes>,
    /// The copy slows when a write of the application would wait longer than this for us.
    pub max_lock_wait: Span,
    /// Statements of others that run on the source at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active: Option<u32>,
    /// How far the source's standbys may be behind in replaying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replica_lag: Option<Span>,
    /// The standbys that must be there, by `application_name`; none: whichever are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<String>,
    /// A signal older than this is stale, and pauses the copy.
    pub stale_after: Span,
}

impl Default for Throttle {
    /// Safe on a busy source: what every database can measure, and nothing that has to be asked for.
    fn default() -> Self {
        Self {
            max_lag: Span::seconds(3),
            max_lag_bytes: None,
            max_lock_wait: Span::millis(50),
            max_active: None,
            max_replica_lag: None,
            replicas: Vec::new(),
            stale_after: Span::seconds(10),
        }
    }
}

/// `[[signal]]`: a figure from elsewhere that the copy heeds. How it is read, with whatever secret that takes, is no part of
/// the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalPlan {
    /// Its name on the screen.
    pub name: String,
    /// Where it comes from, without secrets: `command /opt/cpu`, `http http://db1:9100/cpu`.
    pub from: String,
    /// Its limit.
    pub limit: Limit,
    /// What it counts.
    #[serde(default)]
    pub measure: Measure,
    /// How often it is read.
    pub every: Span,
    /// How long reading it may take.
    pub timeout: Span,
}

/// `[verify]`: how often equality is proven again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// No chunk's last check may be older than this once synced.
    pub max_age: Span,
    /// Most rows hashed a second on each side while checking again; none means no limit but the throttle's.
    pub max_rows_per_second: Option<RowsPerSecond>,
}

/// `[[shadow]]`: one read that is run on both sides and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowQuery {
    /// Its name on the screen.
    pub name: String,
    /// The read, with `?1`, `?2` … for parameters.
    pub sql: String,
    /// A read on the source that gives the parameters, a row each; empty means the query has none.
    pub params: Option<String>,
    /// Whether the order of the result counts.
    pub ordered: bool,
}

/// When the source's log is pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prune {
    /// In short transactions while it runs.
    Auto,
    /// Only when everything of ours is removed: for an application that gives up at the first busy moment.
    AtEnd,
}

/// Everything that was decided: resolved from the config and both catalogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The migration's name.
    pub name: MigrationName,
    /// Where it runs.
    pub environment: Environment,
    /// Where rows come from.
    pub source: EndPlan,
    /// Where they go.
    pub target: EndPlan,
    /// Every table of the migration, in the order they are copied; the index is the `TableId`.
    pub tables: Vec<Table>,
    /// How the copy goes.
    pub backfill: Backfill,
    /// What slows it.
    pub throttle: Throttle,
    /// How equality is proven.
    pub verify: Verify,
    /// Reads compared on both sides.
    pub shadow: Vec<ShadowQuery>,
    /// When the source's log is pruned.
    pub prune: Prune,
    /// Tables whose rows on the target were there before and are compared and repaired, not copied.
    pub adopt: Vec<TableId>,
    /// Figures from elsewhere that the copy heeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<SignalPlan>,
    /// How much log the source may keep for us, where somebody said so; the database may set a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_space: Option<Bytes>,
}

impl Plan {
    /// A table by its id; none for an id of another plan.
    pub fn table(&self, id: TableId) -> Option<&Table> {
        self.tables.get(usize::from(id.0))
    }
    /// All tables with their ids.
    pub fn ids(&self) -> impl Iterator<Item = (TableId, &Table)> {
        self.tables
            .iter()
            .enumerate()
            .map(|(i, t)| (TableId(i as u16), t))
    }
    /// The schema that every table of the source lies in; none where there are several, or the engine knows none.
    pub fn schema(&self) -> Option<&str> {
        if self.source.engine != Engine::Postgres {
            return None;
        }
        let mut all = self.tables.iter().map(|t| t.source.split_once('.'));
        let (first, _) = all.next()??;
        all.all(|parts| parts.is_some_and(|(schema, _)| schema == first))
            .then_some(first)
    }
    /// Finds a table by its source name, or its unqualified one where that is unambiguous.
    pub fn find(&self, name: &str) -> Option<TableId> {
        let named = self.ids().find(|(_, t)| t.source == name);
        let mut last = self.ids().filter(|(_, t)| {
            t.source
                .rsplit_once('.')
                .is_some_and(|(_, last)| last == name)
        });
        named
            .or_else(|| last.next().filter(|_| last.next().is_none()))
            .map(|(id, _)| id)
    }
}
