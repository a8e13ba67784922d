//! One SQLite file as an end of a migration.

use super::connect::{Access, Db, Pool};
use super::ddl::quote_text;
use super::feed::{SqliteFeed, same_file};
use super::gate::SqliteGate;
use super::place::{FileId, OrFault, Place};
use super::prune::{Held, Pruner};
use super::reader::{Reader, SchemaCache};
use super::view::{SqliteView, query};
use super::writer::SqliteWriter;
use super::{findings, parts, pulse, survey};
use crate::db::refused::one_cell;
use crate::db::spill::Spill;
use crate::db::{
    Abilities, Beside, Endpoint, Feed, Gate, Made, Part, Pulse, Sizes, Survey, View, Writer,
};
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::finding::{Finding, Object};
use crate::domain::id::MigrationName;
use crate::domain::plan::{Engine, Plan, Prune, Side};
use crate::domain::position::Position;
use crate::domain::unit::{Bytes, Span};
use crate::domain::value::Value;
use async_trait::async_trait;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How long a read of a source that is not in WAL mode may last: its writers wait for it.
const SHORT_READ: Span = Span::millis(20);
/// Milliseconds to wait for the application's lock while our objects are made or removed.
const PATIENCE: u32 = 5_000;

/// One SQLite file.
struct SqliteEnd {
    place: Arc<Place>,
    schema: Arc<SchemaCache>,
    pool: Arc<Pool>,
    held: Arc<Held>,
    wal: AtomicBool,
    file: Mutex<Option<FileId>>,
    reader: Mutex<Option<Arc<Reader>>>,
    spill: Spill,
}

/// Opens a SQLite file as one end. A source must be there; a target may be made by the first `install`. Nothing is written.
/// Large transactions are kept aside among the temporary files.
///
/// # Errors
/// A missing source, a directory, a file that is not a database or that can't be read.
pub async fn open(path: impl Into<PathBuf>, side: Side) -> Result<Arc<dyn Endpoint>> {
    open_with(path, side, Spill::default()).await
}

/// The same with a place for large transactions.
///
/// # Errors
/// As for [`open`].
pub async fn open_with(
    path: impl Into<PathBuf>,
    side: Side,
    spill: Spill,
) -> Result<Arc<dyn Endpoint>> {
    let place = Arc::new(Place {
        side,
        path: path.into(),
    });
    let file = place.identity()?;
    if file.is_none() && side == Side::Source {
        return Err(place.missing());
    }
    let end = SqliteEnd {
        place: Arc::clone(&place),
        schema: Arc::default(),
        pool: Arc::default(),
        held: Arc::default(),
        wal: AtomicBool::new(true),
        file: Mutex::new(file),
        reader: Mutex::new(None),
        spill,
    };
    if file.is_some() {
        let mode = end
            .look(|conn, place| {
                // The header alone is read lazily: the schema's count makes SQLite look at the file.
                conn.query_row("SELECT count(*) FROM main.sqlite_schema", [], |_| Ok(()))
                    .and_then(|()| survey::pragma(conn, "journal_mode"))
                    .or_fault(place, "read the database")
            })
            .await?;
        end.wal.store(mode == "wal", Ordering::Relaxed);
    }
    Ok(Arc::new(end))
}

impl SqliteEnd {
    /// A read connection to the very file that was opened, from the pool or new.
    async fn reading(&self) -> Result<Db> {
        self.still_the_same()?;
        match self.pool.take() {
            Some(db) => Ok(db),
            None => Db::open(&self.place, Access::Read).await,
        }
    }

    /// The file that is worked with must stay the one it was. A target's is known from when it is made.
    fn still_the_same(&self) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match *file {
            Some(file) => same_file(&self.place, file).inspect_err(|_| {
                self.pool.clear();
                self.schema.clear();
            }),
            None => {
                *file = self.place.identity()?;
                Ok(())
            }
        }
    }

    async fn look<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection, &Place) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.reading().await?;
        let place = Arc::clone(&self.place);
        let found = db.run(move |conn| act(conn, &place)).await;
        self.pool.put(db);
        found
    }

    /// Runs `act` on a connection like the application's own.
    async fn change<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection, &Place) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let opened = match self.still_the_same() {
            Ok(()) => Db::open(&self.place, Access::Schema { wait: PATIENCE }).await,
            Err(fault) => Err(fault),
        };
        let db = match opened {
            Ok(db) => db,
            Err(fault) => return Outcome::NotDone(fault),
        };
        let place = Arc::clone(&self.place);
        let done = db
            .run(move |conn| {
                conn.execute_batch("PRAGMA synchronous = FULL")
                    .or_fault(&place, "open the database")?;
                Ok(act(conn, &place))
            })
            .await;
        done.unwrap_or_else(|fault| match fault.code.as_str() {
            "CONNECTION-ENDED" => Outcome::Unknown(fault.to_string()),
            _ => Outcome::NotDone(fault),
        })
    }

    /// The plan's statements, shared by everything that works with the same plan.
    fn reader(&self, plan: &Arc<Plan>) -> Arc<Reader> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reader {
            Some(reader) if Arc::ptr_eq(&reader.plan, plan) => Arc::clone(reader),
            _ => {
                let place = Arc::clone(&self.place);
                let new = Arc::new(Reader::new(
                    place,
                    Arc::clone(plan),
                    Arc::clone(&self.schema),
                    self.spill.clone(),
                ));
                Arc::clone(reader.insert(new))
            }
        }
    }

    /// Makes the target's file as the source's is in what can't be changed later, or brings an existing one into WAL mode.
    async fn prepare_target(&self, plan: &Plan) -> Result<()> {
        let fresh = self.place.is_unwritten()?;
        let db = Db::open(&self.place, Access::Birth).await?;
        let (place, source) = (Arc::clone(&self.place), findings::file_of(&plan.source));
        let mode = db
            .run(move |conn| {
                let doing = "make the target's file";
                for name in ["encoding", "page_size", "auto_vacuum"] {
                    let value = source
                        .as_deref()
                        .filter(|_| fresh)
                        .and_then(|path| findings::source_pragma(path, name));
                    if let Some(value) = value {
                        let sql = format!("PRAGMA {name} = {}", quote_text(&value));
                        conn.execute_batch(&sql).or_fault(&place, doing)?;
                    }
                }
                if fresh {
                    // The encoding is written with the first table, and only by the connection that chose it.
                    conn.execute_batch("CREATE TABLE tidegate_birth(a); DROP TABLE tidegate_birth")
                        .or_fault(&place, doing)?;
                }
                conn.query_row("PRAGMA journal_mode = WAL", [], |row| {
                    row.get::<_, String>(0)
                })
                .or_fault(&place, "bring the target into WAL mode")
            })
            .await?;
        self.wal.store(mode == "wal", Ordering::Relaxed);
        self.still_the_same()
    }
}

#[async_trait]
impl Endpoint for SqliteEnd {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn side(&self) -> Side {
        self.place.side
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            workers: 1,
            delivers_before_visible: false,
            longest_read: (!self.wal.load(Ordering::Relaxed)).then_some(SHORT_READ),
        }
    }

    async fn survey(&self, sizes: Sizes) -> Result<Survey> {
        if self.place.side == Side::Target && self.place.identity()?.is_none() {
            return Ok(Survey {
                version: survey::version(),
                properties: Vec::new(),
                before: Vec::new(),
                tables: Vec::new(),
                rest: Vec::new(),
                extensions: Vec::new(),
                bytes: Bytes::ZERO,
            });
        }
        self.look(move |conn, place| survey::survey(conn, place, sizes))
            .await
    }

    async fn findings(&self, plan: &Plan) -> Result<Vec<Finding>> {
        if self.place.side == Side::Target && self.place.identity()?.is_none() {
            return Ok(findings::without_file(&self.place));
        }
        let plan = plan.clone();
        self.look(move |conn, place| findings::findings(conn, place, &plan))
            .await
    }

    async fn beside(&self) -> Result<Option<Beside>> {
        Ok(None)
    }

    async fn not_carried(&self, _plan: &Plan, _there: Option<&Beside>) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    async fn objects(&self, part: Part, plan: &Plan) -> Result<Vec<Object>> {
        let plan = plan.clone();
        if part != Part::Capture && self.place.identity()?.is_none() {
            return Ok(parts::fixed(self.place.side, part, &plan));
        }
        self.look(move |conn, place| parts::objects(conn, place, part, &plan))
            .await
    }

    async fn install(&self, part: Part, plan: &Plan) -> Outcome<Vec<Object>> {
        if self.place.side == Side::Target
            && let Err(fault) = self.prepare_target(plan).await
        {
            return Outcome::NotDone(fault);
        }
        let plan = plan.clone();
        self.change(move |conn, place| parts::install(conn, place, part, &plan))
            .await
    }

    async fn remove(&self, removed: &[Part], _of: Option<&MigrationName>) -> Outcome<Vec<Object>> {
        match self.place.identity() {
            Ok(None) => return Outcome::Done(Vec::new()),
            Err(fault) => return Outcome::NotDone(fault),
            Ok(Some(_)) => {}
        }
        let removed = removed.to_vec();
        self.change(move |conn, place| parts::remove(conn, place, &removed))
            .await
    }

    async fn discard(&self, made: &[Made]) -> Outcome<Vec<Made>> {
        match self.place.identity() {
            Ok(None) => return Outcome::Done(Vec::new()),
            Err(fault) => return Outcome::NotDone(fault),
            Ok(Some(_)) => {}
        }
        let tables = made.iter().filter(|made| made.kind == "table");
        let tables: Vec<Made> = tables.cloned().collect();
        self.change(move |conn, place| parts::discard(conn, place, &tables))
            .await
    }

    async fn leftovers(&self) -> Result<Vec<Object>> {
        if self.place.identity()?.is_none() {
            return Ok(Vec::new());
        }
        self.look(parts::present).await
    }

    fn belongs(&self, _object: &Object, _migration: &MigrationName) -> Option<bool> {
        None
    }

    async fn view(&self, plan: &Arc<Plan>) -> Result<Box<dyn View>> {
        let view = SqliteView::open(
            self.reading().await?,
            Arc::clone(&self.pool),
            self.reader(plan),
        )
        .await?;
        Ok(Box::new(view))
    }

    async fn feed(&self, plan: &Arc<Plan>, from: Position) -> Result<Box<dyn Feed>> {
        let db = self.reading().await?;
        let file = *self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = file.ok_or_else(|| self.place.missing())?;
        let pruner = (plan.prune == Prune::Auto)
            .then(|| Pruner::new(Arc::clone(&self.place), Arc::clone(&self.held)));
        Ok(Box::new(
            SqliteFeed::open(db, self.reader(plan), file, pruner, from).await?,
        ))
    }

    async fn writer(&self, plan: &Arc<Plan>) -> Result<Box<dyn Writer>> {
        self.still_the_same()?;
        if self.place.identity()?.is_none() {
            return Err(Fault::new(
                Kind::Blocked,
                format!("{} has not been made yet", self.place),
            )
            .code("NO-LEDGER")
            .hint("the ledger is installed first"));
        }
        let db = Db::open(&self.place, Access::Data).await?;
        Ok(Box::new(SqliteWriter::open(db, self.reader(plan)).await?))
    }

    async fn gate(&self, plan: &Arc<Plan>) -> Result<Box<dyn Gate>> {
        self.still_the_same()?;
        Ok(Box::new(SqliteGate::new(
            Arc::clone(&self.place),
            Arc::clone(plan),
        )))
    }

    async fn pulse(&self, plan: &Arc<Plan>) -> Result<Pulse> {
        if self.place.side == Side::Target && self.place.identity()?.is_none() {
            return Ok(Pulse {
                free: pulse::free(&self.place),
                ..Pulse::default()
            });
        }
        let (reader, held) = (self.reader(plan), Arc::clone(&self.held));
        let pulse = self
            .look(move |conn, _| pulse::pulse(conn, &reader, &held))
            .await?;
        Ok(pulse)
    }

    async fn figure(&self, sql: &str, within: Span) -> Result<Value> {
        let asking = Asking {
            db: self.reading().await?,
            pool: Arc::clone(&self.pool),
        };
        let (sql, place) = (sql.to_owned(), Arc::clone(&self.place));
        let asked = asking.db.run(move |conn| query(conn, &place, &sql, &[], 1));
        let within = within.to_duration();
        let found = tokio::time::timeout(within, asked).await;
        let late = |_| {
            Fault::new(Kind::Transient, format!("no answer within {within:?}"))
                .code("SIGNAL-UNKNOWN")
        };
        one_cell(found.map_err(late)??)
    }
}

/// A connection that is asked something: what runs there ends with it.
struct Asking {
    db: Db,
    pool: Arc<Pool>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.db.cut();
        self.pool.put(self.db.clone());
    }
}
