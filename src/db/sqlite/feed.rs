//! The change stream: the log's dirty keys, with their rows as they are.
//!
//! A batch is one read transaction: the newest position S, every key dirtied since the last batch, and the current row of
//! each. It is delivered as one transaction at S, however much it holds. Cutting it is not possible: rows are read as of S,
//! so if a first half were applied at a position before S, the target would hold rows newer than its position, and a
//! chunk read between would be landed with older rows that nothing puts right again. A long pause makes a large batch,
//! which is written aside while it is read (`db::spill`); keys that were dirtied often are in it once.

use super::capture::{self, Captured};
use super::connect::Db;
use super::dirty::dirty;
use super::log::{self, Ends};
use super::place::{FileId, OrFault, Place};
use super::prune::Pruner;
use super::reader::{Reader, Tables};
use super::shape::fingerprint;
use crate::db::Feed;
use crate::domain::change::{Item, Txn};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::position::{Head, Position};
use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The shortest and the longest time between two looks at a file nobody writes to.
const SOON: Duration = Duration::from_millis(2);
const LATE: Duration = Duration::from_millis(50);
/// How often an idle stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The stream of one SQLite file.
///
/// A table whose definition changed is announced once, before anything else of it, and is left out from then on: it stopped,
/// and has to be copied again.
pub(super) struct SqliteFeed {
    db: Db,
    reader: Arc<Reader>,
    file: FileId,
    pruner: Option<Pruner>,
    known: Known,
    ready: VecDeque<Item>,
    /// The look that is under way. Kept here, not in a call of `next`: a call that is dropped must not make it begin again, or a
    /// look that takes longer than its caller's patience would never come to its end.
    looking: Option<JoinHandle<Result<Option<Look>>>>,
    pause: Duration,
    /// How long nothing was said; none when the last item was no idle.
    quiet: Option<Duration>,
}

/// What the stream knows between two looks. A look takes a copy and gives back the next one, so a dropped call loses nothing.
#[derive(Clone)]
struct Known {
    from: u64,
    data_version: Option<i64>,
    schema_version: Option<i64>,
    stopped: BTreeSet<TableId>,
}

/// What a look found.
struct Look {
    known: Known,
    /// Tables whose definition changed.
    moved: Vec<TableId>,
    txn: Option<Txn>,
}

impl SqliteFeed {
    /// Opens the stream after `from`.
    ///
    /// # Errors
    /// When the log does not hold every change after `from`.
    pub(super) async fn open(
        db: Db,
        reader: Arc<Reader>,
        file: FileId,
        pruner: Option<Pruner>,
        from: Position,
    ) -> Result<Self> {
        let from = u64::try_from(from.0).map_err(|_| {
            db.place
                .capture_lost(format!("{from} is no position of its log"))
        })?;
        let known = Known {
            from,
            data_version: None,
            schema_version: None,
            stopped: BTreeSet::new(),
        };
        let mut feed = Self {
            db,
            reader,
            file,
            pruner,
            known,
            ready: VecDeque::new(),
            looking: None,
            pause: SOON,
            quiet: None,
        };
        let (reader, start) = (Arc::clone(&feed.reader), feed.known.clone());
        feed.db
            .run(move |conn| {
                let tx = begin(conn, &reader.place)?;
                check_log(log::ends(&tx, &reader.place)?, &start, &reader.place)
            })
            .await?;
        feed.known.data_version = None;
        Ok(feed)
    }

    /// Takes a look, or goes on with the one that a dropped call began.
    async fn look(&mut self) -> Result<Option<Look>> {
        let looking = self.looking.get_or_insert_with(|| {
            let (db, reader) = (self.db.clone(), Arc::clone(&self.reader));
            let known = self.known.clone();
            tokio::spawn(async move { db.run(move |conn| look(conn, &reader, known)).await })
        });
        let looked = looking.await;
        self.looking = None;
        looked.map_err(|error| {
            Fault::new(
                Kind::Own,
                format!("reading the changes of {} broke off", self.db.place),
            )
            .cause(error)
        })?
    }

    fn take(&mut self, look: Look) {
        self.known = look.known;
        self.ready.extend(look.moved.into_iter().map(Item::Schema));
        if let Some(txn) = look.txn {
            self.ready.push_back(Item::Txn(txn));
            self.pause = SOON;
            self.quiet = None;
        }
    }
}

#[async_trait]
impl Feed for SqliteFeed {
    async fn next(&mut self) -> Result<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            same_file(&self.db.place, self.file)?;
            if let Some(look) = self.look().await? {
                self.take(look);
                if !self.ready.is_empty() {
                    continue;
                }
            }
            let idle = Item::Idle(Position(self.known.from.into()));
            match self.quiet {
                None => {
                    self.quiet = Some(Duration::ZERO);
                    return Ok(idle);
                }
                Some(quiet) if quiet >= HEARTBEAT => {
                    self.quiet = Some(Duration::ZERO);
                    return Ok(idle);
                }
                Some(quiet) => {
                    tokio::time::sleep(self.pause).await;
                    self.quiet = Some(quiet + self.pause);
                    self.pause = (self.pause * 3 / 2).min(LATE);
                }
            }
        }
    }

    async fn release(&mut self, durable: Position) -> Result<()> {
        let upto = u64::try_from(durable.0)
            .unwrap_or(u64::MAX)
            .min(self.known.from);
        match &mut self.pruner {
            Some(pruner) => pruner.prune(upto).await,
            None => Ok(()),
        }
    }
}

/// The path must still lead to the file that was opened.
pub(super) fn same_file(place: &Place, file: FileId) -> Result<()> {
    match place.identity()? {
        Some(now) if now == file => Ok(()),
        Some(now) => Err(place.replaced(format!("it was {file} and is {now}"))),
        None => Err(place.replaced("the file is gone")),
    }
}

fn begin<'a>(conn: &'a mut Connection, place: &Place) -> Result<rusqlite::Transaction<'a>> {
    conn.transaction_with_behavior(TransactionBehavior::Deferred)
        .or_fault(place, "read the capture's log")
}

fn check_log(ends: Option<Ends>, known: &Known, place: &Place) -> Result<Ends> {
    let ends = ends.ok_or_else(|| place.capture_lost("its log table is gone"))?;
    if known.from > ends.last {
        return Err(if ends.last == 0 {
            place.capture_lost("its log is empty")
        } else {
            place.replaced(format!(
                "its log ends at {:X}, before the position {:X} that was read from it: an older copy was restored",
                ends.last, known.from
            ))
        });
    }
    if known.from + 1 < ends.first && !(known.from == 0 && ends.whole) {
        return Err(place.capture_lost(format!(
            "its log begins at {:X}, after the position {:X} that it was read to",
            ends.first, known.from
        )));
    }
    Ok(ends)
}

/// One look, in one read transaction. None: nobody committed anything since the last.
fn look(conn: &mut Connection, reader: &Reader, mut known: Known) -> Result<Option<Look>> {
    let place = &*reader.place;
    let doing = "read the capture's log";
    // Read before the transaction begins: what commits between is seen again at the next look.
    let version: i64 = conn
        .query_row("PRAGMA main.data_version", [], |row| row.get(0))
        .or_fault(place, doing)?;
    if known.data_version == Some(version) {
        return Ok(None);
    }
    known.data_version = Some(version);
    let tx = begin(conn, place)?;
    let tables = reader.tables(&tx)?;
    let mut moved = Vec::new();
    if known.schema_version != Some(tables.catalog.schema_version) {
        moved = moved_tables(reader, &tables, &known.stopped);
        known.stopped.extend(&moved);
        check_triggers(&tx, reader, &tables, &known.stopped)?;
        known.schema_version = Some(tables.catalog.schema_version);
    }
    let ends = check_log(log::ends(&tx, place)?, &known, place)?;
    let txn = if ends.last > known.from {
        let changes = dirty(
            &tx,
            reader,
            &tables,
            &known.stopped,
            known.from + 1..=ends.last,
        )?;
        known.from = ends.last;
        let head = Head {
            position: Position(known.from.into()),
            xid: None,
            own: false,
        };
        Some(changes.txn(head)?)
    } else {
        None
    };
    Ok(Some(Look { known, moved, txn }))
}

fn moved_tables(reader: &Reader, tables: &Tables, stopped: &BTreeSet<TableId>) -> Vec<TableId> {
    reader
        .plan
        .ids()
        .filter(|(id, table)| table.key().is_some() && !stopped.contains(id))
        .filter(|(_, table)| {
            let now = tables
                .catalog
                .table(table.name_on(reader.place.side))
                .map(fingerprint);
            now.as_ref() != Some(&table.shape)
        })
        .map(|(id, _)| id)
        .collect()
}

/// The tables to capture, as the capture wants them.
pub(super) fn captured(reader: &Reader, without: &BTreeSet<TableId>) -> Vec<Captured> {
    reader
        .plan
        .ids()
        .filter(|(id, table)| table.key().is_some() && !without.contains(id))
        .map(|(id, table)| Captured {
            table: table.name_on(reader.place.side).to_owned(),
            id,
        })
        .collect()
}

/// Every trigger of the capture must be there in its exact form, or changes may have been missed.
fn check_triggers(
    conn: &Connection,
    reader: &Reader,
    tables: &Tables,
    stopped: &BTreeSet<TableId>,
) -> Result<()> {
    let place = &*reader.place;
    let wanted =
        capture::plan_capture(&tables.catalog, &captured(reader, stopped)).map_err(|refusals| {
            let why: Vec<_> = refusals.iter().map(ToString::to_string).collect();
            place.capture_lost(why.join("; "))
        })?;
    let there: HashMap<String, String> = capture::present(conn)
        .or_fault(place, "look for the capture's triggers")?
        .into_iter()
        .map(|object| (object.name, object.sql))
        .collect();
    let missing = wanted
        .objects
        .iter()
        .find(|object| object.kind == "trigger" && there.get(&object.name) != Some(&object.sql));
    match missing {
        None => Ok(()),
        Some(object) => Err(place.capture_lost(format!(
            "the trigger {} on {} was dropped or changed, so changes may have been missed",
            object.name, object.on
        ))),
    }
}
