//! Two SQLite files, an application's connection, and a plan made from the source's survey.

use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tidegate::db::{Endpoint, Landing, Part, Sizes, View, Writer, sqlite};
use tidegate::domain::id::{MigrationName, TableId};
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine, Environment, Plan, Prune, Side, Throttle, Verify,
};
use tidegate::domain::position::Position;
use tidegate::domain::unit::{Bytes, Span};

pub struct Bed {
    pub dir: TempDir,
    pub app: Connection,
    pub source: Arc<dyn Endpoint>,
    pub target: Arc<dyn Endpoint>,
    pub plan: Arc<Plan>,
}

pub fn end_plan(path: &std::path::Path) -> EndPlan {
    EndPlan {
        engine: Engine::Sqlite,
        url: format!("sqlite://{}", path.display()),
        label: path.file_name().unwrap().to_string_lossy().into_owned(),
    }
}

impl Bed {
    /// A WAL source with this schema; nothing is installed yet.
    pub async fn new(schema: &str) -> Self {
        Self::with(schema, "PRAGMA journal_mode = WAL").await
    }

    pub async fn with(schema: &str, pragmas: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let app = Connection::open(dir.path().join("source.db")).unwrap();
        app.execute_batch(pragmas).unwrap();
        app.execute_batch("PRAGMA busy_timeout = 5000").unwrap();
        app.execute_batch(schema).unwrap();
        let source = sqlite::open(dir.path().join("source.db"), Side::Source)
            .await
            .unwrap();
        let target = sqlite::open(dir.path().join("target.db"), Side::Target)
            .await
            .unwrap();
        let plan = plan(&dir, &*source).await;
        Self {
            dir,
            app,
            source,
            target,
            plan,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn open_app(&self, name: &str) -> Connection {
        let app = Connection::open(self.path(name)).unwrap();
        app.execute_batch("PRAGMA busy_timeout = 5000").unwrap();
        app
    }

    /// Ledger, tables, capture, and the stream's beginning, as the engine does it.
    pub async fn installed(schema: &str) -> (Self, Box<dyn Writer>) {
        let bed = Self::new(schema).await;
        let writer = bed.install().await;
        (bed, writer)
    }

    pub async fn install(&self) -> Box<dyn Writer> {
        self.target
            .install(Part::Ledger, &self.plan)
            .await
            .settled()
            .unwrap();
        let writer = self.target.writer(&self.plan).await.unwrap();
        for surveyed in &self.source.survey(Sizes::Told).await.unwrap().tables {
            if surveyed.table.key().is_some() {
                writer.build(&surveyed.create).await.settled().unwrap();
            }
        }
        self.source
            .install(Part::Capture, &self.plan)
            .await
            .settled()
            .unwrap();
        writer.begin_at(self.head().await).await.settled().unwrap();
        writer
    }

    pub async fn head(&self) -> Position {
        self.source.pulse(&self.plan).await.unwrap().head
    }

    pub async fn source_view(&self) -> Box<dyn View> {
        self.source.view(&self.plan).await.unwrap()
    }

    pub async fn target_view(&self) -> Box<dyn View> {
        self.target.view(&self.plan).await.unwrap()
    }

    /// Copies whole tables in one piece each.
    pub async fn copy_all(&self, writer: &dyn Writer) {
        let mut view = self.source_view().await;
        for (id, table) in self.plan.ids() {
            if table.key().is_some() {
                let rows = all_rows(&mut *view, id).await;
                let landing = Landing {
                    table: id,
                    rows: Arc::new(rows.iter().collect()),
                    ..Landing::default()
                };
                writer.land(landing).await.settled().unwrap();
            }
        }
    }
}

pub async fn plan(dir: &TempDir, source: &dyn Endpoint) -> Arc<Plan> {
    let survey = source.survey(Sizes::Told).await.unwrap();
    Arc::new(Plan {
        name: MigrationName::new("test").unwrap(),
        environment: Environment::Dev,
        source: end_plan(&dir.path().join("source.db")),
        target: end_plan(&dir.path().join("target.db")),
        tables: survey
            .tables
            .into_iter()
            .map(|surveyed| surveyed.table)
            .collect(),
        backfill: Backfill {
            chunk_time: Span::millis(500),
            chunk_bytes: Bytes(1 << 20),
            workers: 1,
            max_rows_per_second: None,
        },
        throttle: Throttle {
            max_lag: Span::seconds(10),
            max_lock_wait: Span::seconds(1),
            stale_after: Span::seconds(10),
            ..Throttle::default()
        },
        verify: Verify {
            max_age: Span::seconds(3600),
            max_rows_per_second: None,
        },
        shadow: Vec::new(),
        prune: Prune::Auto,
        adopt: Vec::new(),
        signals: Vec::new(),
        wal_space: None,
    })
}

pub async fn all_rows(view: &mut dyn View, table: TableId) -> Vec<tidegate::domain::value::Row> {
    use tidegate::domain::key::{Pick, Range};
    let read = view
        .rows(table, &Pick::Range(Range::default()), Bytes(u64::MAX))
        .await
        .unwrap();
    assert_eq!(read.cut, None);
    read.rows.iter().collect()
}
