//! What the battery stands on: tables said once, two endpoints, an application.

use async_trait::async_trait;
use std::sync::Arc;
use tidegate::db::{Endpoint, Landing, Part, Sizes, View, Writer};
use tidegate::domain::fault::Kind;
use tidegate::domain::id::{MigrationName, TableId};
use tidegate::domain::key::{Collation, Key, Pick, Range};
use tidegate::domain::plan::{Backfill, EndPlan, Environment, Plan, Prune, Side, Throttle, Verify};
use tidegate::domain::position::Position;
use tidegate::domain::table::Table;
use tidegate::domain::unit::{Bytes, Span};
use tidegate::domain::value::{Row, Value};

/// A table, said so that every database can make it.
#[derive(Clone)]
pub struct Spec {
    pub name: &'static str,
    /// Name and declared type.
    pub columns: &'static [(&'static str, &'static str)],
    /// Places of the key's columns.
    pub key: &'static [usize],
    pub collations: &'static [Collation],
    /// Places of columns that are unique by themselves.
    pub unique: &'static [usize],
    /// Whether rows lie in the key's order, where the database has both.
    pub clustered: bool,
}

/// `n` (key), `name` (unique), `v` (anything).
pub const ITEMS: Spec = Spec {
    name: "items",
    columns: &[("n", "INTEGER"), ("name", "TEXT"), ("v", "")],
    key: &[0],
    collations: &[Collation::Binary],
    unique: &[1],
    clustered: false,
};

/// Another table without anything unique but its key.
pub const NOTES: Spec = Spec {
    name: "notes",
    columns: &[("k", "TEXT"), ("n", "INTEGER"), ("text", "")],
    key: &[0, 1],
    collations: &[Collation::Nocase, Collation::Binary],
    unique: &[],
    clustered: false,
};

pub const ITEMS_ID: TableId = TableId(0);
pub const NOTES_ID: TableId = TableId(1);

/// One statement of the application.
#[derive(Debug, Clone)]
pub enum Write {
    /// Makes a row, or makes the one with its key the same.
    Put(TableId, Row),
    Delete(TableId, Key),
}

/// The application: its own connections, its own rights.
pub trait Application: Send + Sync {
    /// Commits one transaction, or says why not.
    fn commit(&self, side: Side, writes: &[Write]) -> Result<(), String>;
}

/// In what databases may differ, where the battery has to ask otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// A column holds values of one type only, and text is UTF-8 without NUL.
    pub typed: bool,
    /// Keys can be the same though their letters' case differs.
    pub folds_keys: bool,
    /// Nothing but commits of the application moves the stream's head.
    pub head_is_ours: bool,
    /// What was released can't be read again from that moment on; otherwise the database is told in passing.
    pub releases_at_once: bool,
}

impl Habits {
    /// As SQLite has them.
    pub const LOOSE: Self = Self {
        typed: false,
        folds_keys: true,
        head_is_ours: true,
        releases_at_once: true,
    };
}

/// A kind of database.
#[async_trait]
pub trait Ground: Sync {
    fn habits(&self) -> Habits;
    /// Two databases: the source holds these tables, the target nothing.
    async fn pair(&self, tables: &[Spec]) -> Pair;
}

pub struct Pair {
    pub source: Arc<dyn Endpoint>,
    pub target: Arc<dyn Endpoint>,
    pub plan: Arc<Plan>,
    pub app: Arc<dyn Application>,
    /// Everything a side's catalog holds, in any stable form.
    pub catalog: Box<dyn Fn(Side) -> Vec<String> + Send + Sync>,
    /// What must outlive the test.
    pub _kept: Box<dyn std::any::Any + Send + Sync>,
}

impl Pair {
    pub fn table(&self, id: TableId) -> &Table {
        self.plan.table(id).unwrap()
    }

    pub fn put(&self, rows: impl IntoIterator<Item = (TableId, Row)>) {
        let writes: Vec<_> = rows
            .into_iter()
            .map(|(id, row)| Write::Put(id, row))
            .collect();
        self.app.commit(Side::Source, &writes).unwrap();
    }

    /// Ledger, tables, capture, the stream's beginning: as the engine does it before the copy.
    pub async fn begin(&self) -> Box<dyn Writer> {
        self.target
            .install(Part::Ledger, &self.plan)
            .await
            .settled()
            .unwrap();
        let writer = self.target.writer(&self.plan).await.unwrap();
        for surveyed in &self.source.survey(Sizes::Told).await.unwrap().tables {
            writer.build(&surveyed.create).await.settled().unwrap();
            let found = self
                .plan
                .ids()
                .find(|(_, table)| table.source == surveyed.table.source);
            if let (Some(key), Some((id, _))) = (&surveyed.key, found) {
                writer.put_off_key(id, key).await.settled().unwrap();
                writer.copy_begins(id);
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

    /// The same with what comes after the copy.
    pub async fn install(&self) -> Box<dyn Writer> {
        let writer = self.begin().await;
        let survey = self.source.survey(Sizes::Told).await.unwrap();
        for ddl in survey.tables.iter().flat_map(|found| &found.after) {
            writer.build(ddl).await.settled().unwrap();
        }
        writer
    }

    /// The same for a target that an application writes to.
    pub async fn install_keyed(&self) -> Box<dyn Writer> {
        let writer = self.install().await;
        for (id, _) in self.plan.ids() {
            writer.make_key(id).await.unwrap();
        }
        writer
    }

    pub async fn head(&self) -> Position {
        self.source.pulse(&self.plan).await.unwrap().head
    }

    pub async fn view(&self, side: Side) -> Box<dyn View> {
        let end = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        loop {
            match end.view(&self.plan).await {
                Err(fault) if fault.kind == Kind::Transient => {}
                view => return view.unwrap(),
            }
        }
    }

    /// All rows of a table on a side, in key order.
    pub async fn rows(&self, side: Side, id: TableId) -> Vec<Row> {
        rows(&mut *self.view(side).await, id).await
    }

    pub fn key(&self, id: TableId, row: &Row) -> Key {
        self.table(id).key_of(row)
    }
}

pub async fn rows(view: &mut dyn View, id: TableId) -> Vec<Row> {
    let read = view
        .rows(id, &Pick::Range(Range::default()), Bytes(u64::MAX))
        .await
        .unwrap();
    assert_eq!(read.cut, None);
    read.rows.iter().collect()
}

pub fn landing(table: TableId, rows: impl IntoIterator<Item = Row>) -> Landing {
    Landing {
        table,
        rows: Arc::new(rows.into_iter().collect()),
        ..Landing::default()
    }
}

pub fn plan(source: EndPlan, target: EndPlan, tables: Vec<Table>) -> Arc<Plan> {
    Arc::new(Plan {
        name: MigrationName::new("conformance").unwrap(),
        environment: Environment::Dev,
        source,
        target,
        tables,
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

pub fn int(i: i64) -> Value {
    Value::Integer(i)
}

pub fn text(s: &str) -> Value {
    Value::text(s)
}

/// A row of [`ITEMS`].
pub fn item(n: i64, name: &str, v: i64) -> Row {
    [int(n), text(name), int(v)].into()
}

/// A row of [`NOTES`].
pub fn note(k: &str, n: i64, v: &str) -> Row {
    [text(k), int(n), text(v)].into()
}

/// The names of a table's key columns.
pub fn key_names(table: &Table) -> Vec<&str> {
    let places = &table.key().unwrap().columns;
    places
        .iter()
        .map(|place| table.columns[usize::from(*place)].name.as_str())
        .collect()
}

/// Makes a row, or makes the one with its key the same: SQLite and PostgreSQL say it alike.
pub fn upsert(table: &Table, values: &[String]) -> String {
    let names: Vec<_> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let set: Vec<_> = names
        .iter()
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    format!(
        "INSERT INTO {}({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        table.source,
        names.join(", "),
        values.join(", "),
        key_names(table).join(", "),
        set.join(", ")
    )
}
