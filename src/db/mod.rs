//! L2: the five traits every database implements, so that every database can be either side.
//!
//! A method has a default body only where an adapter may do the same quicker: one that forgot something must not compile. What
//! an engine can't do is said as data in [`Abilities`] and refused in preflight. Positions are made and read by their adapter
//! only.
//!
//! An [`Endpoint`] is one physical end of the migration. A source keeps table names of `Table::source`, a target those of
//! `Table::target`; a reverse lane swaps the endpoints, not the names.

pub mod across;
mod advance;
mod beside;
pub mod canon;
mod pieces;
pub mod postgres;
mod refused;
pub mod sim;
pub mod spill;
pub mod sqlite;

pub use beside::Beside;
pub use refused::{WENT_BACK, went_back};

use across::Holds;
use advance::Advance;

use crate::domain::bulk::Bulk;
use crate::domain::change::{Change, Item, Net, Txn};
use crate::domain::fault::{Outcome, Result};
use crate::domain::finding::{Finding, Object};
use crate::domain::id::{ChunkId, MigrationName, TableId, Token};
use crate::domain::key::{Bound, Key, Pick, Range};
use crate::domain::packed::Packed;
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::table::Table;
use crate::domain::unit::{Bytes, Rows, Span};
use crate::domain::value::{Row, Value};
use crate::domain::verdict::Digest;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// What an engine can do, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Readers, or landings, that gain from working in parallel; 1 where they would only wait for each other.
    pub workers: u16,
    /// Whether the stream may deliver a transaction before a read can see it (PostgreSQL, MySQL).
    pub delivers_before_visible: bool,
    /// How long one read may last without hurting the application (a SQLite source in rollback-journal mode blocks writers).
    pub longest_read: Option<Span>,
}

/// The property of a survey that tells one database of servers from all others, however it was reached; nobody is shown it. A
/// clone of a server has its system identifier, so that alone would not do.
pub const IDENTITY: &str = "identity";

/// What a database holds, as far as a plan needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The engine with its version, as people say it: `SQLite 3.46.0`.
    pub version: String,
    /// Facts worth showing: journal mode, page size, encoding, size of the file.
    pub properties: Vec<(String, String)>,
    /// What tables are made of, and must be there before any of them: schemas, types, sequences. In the order of making.
    pub before: Vec<Ddl>,
    /// Every application table.
    pub tables: Vec<Surveyed>,
    /// Views and triggers of the application: made on the target last.
    pub rest: Vec<Ddl>,
    /// Extensions that the server can make, made or not; empty for an engine that has none.
    pub extensions: Vec<String>,
    /// Bytes the database takes.
    pub bytes: Bytes,
}

impl Survey {
    /// The rows of all tables, and whether all of them were counted.
    pub fn rows(&self) -> (Rows, bool) {
        let rows = self.tables.iter().map(|table| table.rows).sum();
        (rows, self.tables.iter().all(|table| table.exact))
    }
}

/// Whether a survey says how many rows there are, which takes longer than all else it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Counted, or estimated where that would take long.
    Told,
    /// Not looked at: all of them are 0, and not exact.
    Untold,
}

/// One table of a survey.
#[derive(Debug, Clone, PartialEq)]
pub struct Surveyed {
    /// The table, named on this side for both `source` and `target`.
    pub table: Table,
    /// Its rows, counted or estimated.
    pub rows: Rows,
    /// Whether they were counted.
    pub exact: bool,
    /// What makes the table, with its key unless that stands in `key`.
    pub create: Ddl,
    /// What gives the table its key, where that may come after the rows.
    pub key: Option<Ddl>,
    /// Secondary indexes and whatever else is built after the copy.
    pub after: Vec<Ddl>,
    /// The same as data, for a target of another kind.
    pub outline: across::Outline,
}

impl Surveyed {
    /// What makes the table with its key.
    pub fn whole(&self) -> Ddl {
        let key = self.key.iter().map(|key| key.sql.as_str());
        let sql: Vec<&str> = std::iter::once(self.create.sql.as_str())
            .chain(key)
            .collect();
        Ddl {
            sql: sql.join(";\n"),
            ..self.create.clone()
        }
    }
}

/// One statement that makes something on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddl {
    /// `table`, `index`, `view`, `trigger`; of PostgreSQL also `key`, `schema`, `extension`, `type`, `constraint`, `statistics`,
    /// `comment`, `analyze`, `sequence`, `function`.
    pub kind: String,
    /// The thing's name.
    pub name: String,
    /// The statement.
    pub sql: String,
}

/// A thing that tidegate has made on the target, as its [`Ddl`] called it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Parts of ours in a database. Each is listed before it is made and read back as gone after it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// On the source: change capture.
    Capture,
    /// Where rows land: ledger and landed chunks.
    Ledger,
    /// The gate's row and its guard triggers.
    Gate,
}

/// What is measured every second. `None`: could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pulse {
    /// The newest position of the stream.
    pub head: Position,
    /// Rows of our log that are not pruned.
    pub log_rows: Option<Rows>,
    /// Bytes of our log.
    pub log_bytes: Option<Bytes>,
    /// Bytes of the stream that are not known to be durable on the other side.
    pub behind: Option<Bytes>,
    /// Bytes that were ever written to the log that the stream is read from: two of them tell its growth.
    pub written: Option<Bytes>,
    /// Bytes that may still be written before the database drops log that we need; none where no limit is set.
    pub room: Option<Bytes>,
    /// Free space where the database lies.
    pub free: Option<Bytes>,
    /// What the database is, so that a replaced one is noticed: device and inode, system id.
    pub identity: String,
    /// Fingerprints of the plan's tables' definitions as they are now, by table; a missing table is absent.
    pub shapes: Vec<(TableId, String)>,
    /// The longest that anybody was held up by us since the last pulse, or is now; none when nobody was.
    pub held: Option<Span>,
    /// Statements of others that run now, where the plan limits them.
    pub active: Option<u32>,
    /// The standbys that follow this database, where the plan limits their lag.
    pub standbys: Vec<Standby>,
    /// Why something of these can't be seen, and what to do about it; empty where all is seen.
    pub blind: String,
}

/// A copy of the whole server that follows it for reads and for its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// The name it goes by.
    pub name: String,
    /// How far it is behind in replaying; none: the server does not say now.
    pub lag: Option<Span>,
}

/// One physical end of a migration.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// Its kind.
    fn engine(&self) -> Engine;
    /// Which end it is: decides which of a table's two names it uses.
    fn side(&self) -> Side;
    /// What it can do.
    fn abilities(&self) -> Abilities;
    /// Looks at everything, changes nothing.
    async fn survey(&self, sizes: Sizes) -> Result<Survey>;
    /// What preflight has to say about the plan on this end; changes nothing.
    async fn findings(&self, plan: &Plan) -> Result<Vec<Finding>>;
    /// What this end has of what is not carried over to it; none for an engine of which everything is carried.
    async fn beside(&self) -> Result<Option<Beside>>;
    /// What this end has that is not carried over, as far as the target does not have it yet. `there` is what the target has;
    /// none where that can't be compared.
    async fn not_carried(&self, plan: &Plan, there: Option<&Beside>) -> Result<Vec<Finding>>;
    /// What `install` would make, exactly.
    async fn objects(&self, part: Part, plan: &Plan) -> Result<Vec<Object>>;
    /// Makes a part, in one short transaction where the engine can. Done again it changes nothing.
    async fn install(&self, part: Part, plan: &Plan) -> Outcome<Vec<Object>>;
    /// Removes every object of ours of these parts, also those of a lost run, and says what is still there (read back). `of`:
    /// all but those that bear another migration's name ([`Endpoint::belongs`]).
    async fn remove(&self, parts: &[Part], of: Option<&MigrationName>) -> Outcome<Vec<Object>>;
    /// Drops what tidegate made here, given in the order of making: tables with all that stands on them, and of the rest what
    /// nobody else has come to need. Names what is still there (read back). The caller answers for the list: never anything
    /// that was there before.
    async fn discard(&self, made: &[Made]) -> Outcome<Vec<Made>>;
    /// Everything of ours that is there now, of whatever run.
    async fn leftovers(&self) -> Result<Vec<Object>>;
    /// Whether one of those is the migration's of this name; none where it does not tell whose it is.
    fn belongs(&self, object: &Object, migration: &MigrationName) -> Option<bool>;
    /// Opens one read transaction. It contains every transaction at or before the position that the newest feed of this
    /// end was opened from: where the log runs ahead of what reads can see, this waits (PostgreSQL: for
    /// `pg_snapshot_xmin(pg_current_snapshot()) ≥` an own xid taken after the feed was opened).
    async fn view(&self, plan: &Arc<Plan>) -> Result<Box<dyn View>>;
    /// Opens the change stream after `from`. A position that the stream no longer has is a fault, never a silent start.
    async fn feed(&self, plan: &Arc<Plan>, from: Position) -> Result<Box<dyn Feed>>;
    /// Takes the lease: bumps the ledger's token above every older one, and opens the way to write with it.
    async fn writer(&self, plan: &Arc<Plan>) -> Result<Box<dyn Writer>>;
    /// The gate of this end.
    async fn gate(&self, plan: &Arc<Plan>) -> Result<Box<dyn Gate>>;
    /// Measures.
    async fn pulse(&self, plan: &Arc<Plan>) -> Result<Pulse>;
    /// The one cell of one read of the operator's, for a figure: refused if it would write, ended by the database itself after
    /// `within`, or when it is dropped.
    async fn figure(&self, sql: &str, within: Span) -> Result<Value>;
}

/// Rows of a read, and where it stopped when they grew past the budget.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    /// The rows, in key order for a range, in any order for keys. Keys that are not there give no row.
    pub rows: Bulk,
    /// The first key that was not read any more because of the budget; at least one row is always read.
    pub cut: Option<Bound>,
}

/// The rows of a query, as text-free values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResultSet {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, at most as many as were asked for.
    pub rows: Vec<Row>,
    /// Whether there were more.
    pub more: bool,
}

/// Rows looked at before others get their turn.
const TURN: usize = 256;

/// ONE read transaction: everything it says is about one instant. Dropped, it ends.
#[async_trait]
pub trait View: Send {
    /// What it contains of its own database's stream.
    fn seen(&self) -> &Seen;
    /// The ledger's applied position inside this very transaction, where rows land on this side.
    fn applied(&self) -> Option<Position>;
    /// Emits (or names) the barrier after which the stream has passed this read.
    async fn barrier(&mut self) -> Result<Barrier>;
    /// The first key that comes `rows` rows after `after` (from the start when none): the end of a chunk. None: fewer are left.
    async fn bound(
        &mut self,
        table: TableId,
        after: Option<&Bound>,
        rows: Rows,
    ) -> Result<Option<Bound>>;
    /// Reads rows, at most `budget` bytes of them packed (but at least one). A view whose read was cut may have ended with it:
    /// then the next call is a `Transient` fault.
    async fn rows(&mut self, table: TableId, pick: &Pick, budget: Bytes) -> Result<Read>;
    /// Reads the next chunk: at most `rows` rows after `after` (from the start when none) and at most `budget` bytes of them
    /// packed, but at least one row. Where the chunk ends is where the read was cut; not cut, the table ends with it.
    ///
    /// `sealed`: the rows may come as [`Bulk::Sealed`], where that is quicker and the other end takes them so.
    async fn chunk(
        &mut self,
        table: TableId,
        after: Option<&Bound>,
        rows: Rows,
        budget: Bytes,
        _sealed: bool,
    ) -> Result<Read> {
        let hi = self.bound(table, after, rows).await?;
        let pick = Pick::Range(Range {
            lo: after.cloned(),
            hi: hi.clone(),
        });
        let read = self.rows(table, &pick, budget).await?;
        Ok(Read {
            cut: read.cut.or(hi),
            ..read
        })
    }
    /// The rows of a range that hold a value which their columns on the other side, as `holds` has them, can't hold. Looks at
    /// about `budget` bytes of rows, and at least at one; cut, it gives the first key that was not looked at.
    async fn unfit(
        &mut self,
        table: TableId,
        range: &Range,
        holds: &[Holds],
        budget: Bytes,
    ) -> Result<Read> {
        let pick = Pick::Range(range.clone());
        let read = self.rows(table, &pick, budget).await?;
        let (all, mut rows) = (read.rows.packed()?, Packed::default());
        for at in 0..all.len() {
            if at % TURN == 0 {
                tokio::task::yield_now().await;
            }
            if across::unfit(holds, all.cells(at)) {
                rows.push(&all.row(at));
            }
        }
        Ok(Read {
            rows: rows.into(),
            cut: read.cut,
        })
    }
    /// Which of these keys lie inside the range, by the database's own order.
    async fn inside(&mut self, table: TableId, range: &Range, keys: &[Key]) -> Result<Vec<bool>>;
    /// Count and hash sum of a range.
    async fn digest(&mut self, table: TableId, range: &Range) -> Result<Digest>;
    /// How this side's server hashes rows of a table by itself, as [`View::own_digest`] does: two servers that say the same
    /// hash alike. None: it does not.
    async fn hashing(&mut self, _table: TableId) -> Result<Option<String>> {
        Ok(None)
    }
    /// Count and hash sum of a range as the server itself hashes rows, to be compared only with that of a server of the same
    /// [`View::hashing`]. None: it can't, for these rows.
    async fn own_digest(&mut self, _table: TableId, _range: &Range) -> Result<Option<Digest>> {
        Ok(None)
    }
    /// Key and hash of every row of a range.
    async fn hashes(&mut self, table: TableId, range: &Range) -> Result<Vec<(Key, u128)>>;
    /// Runs one read of the operator's: refused if it would write. At most `limit` rows.
    async fn query(&mut self, sql: &str, params: &[Value], limit: u32) -> Result<ResultSet>;
}

/// A change stream in commit order.
#[async_trait]
pub trait Feed: Send {
    /// The next item; waits for one. Cancel-safe: a dropped call loses nothing, and the next one goes on where it was.
    async fn next(&mut self) -> Result<Item>;
    /// Everything up to here is durable on the other side: the source may forget it.
    async fn release(&mut self, durable: Position) -> Result<()>;
}

/// The mark that a landed chunk leaves in the ledger, in the same transaction as its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkMark {
    /// Which chunk.
    pub chunk: ChunkId,
    /// Its range.
    pub range: Range,
    /// Rows in it.
    pub rows: Rows,
}

/// Rows to be made so on the target, in one transaction with the ledger.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Landing {
    /// The table.
    pub table: TableId,
    /// The chunk's mark; none for a repair of keys.
    pub mark: Option<ChunkMark>,
    /// What the ledger must hold at least: the rows are of a later state of the source than what lies before.
    pub after: Position,
    /// Rows to put there. A row whose key is there already is replaced. Shared with the lane, which holds the stream back
    /// from their keys meanwhile.
    pub rows: Arc<Bulk>,
    /// Keys that must not be there (a repair of rows that only the target has). Never a whole range.
    pub gone: Vec<Key>,
    /// Whether the images that are replaced or removed are to be handed back, for undo.
    pub keep_before: bool,
}

/// What landing did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Landed {
    /// Rows that were not there before.
    pub inserted: u32,
    /// Rows that were replaced.
    pub updated: u32,
    /// Rows that were removed.
    pub deleted: u32,
    /// What was there before, where it was asked for: the row, or none where there was none, by key.
    pub before: Vec<(Key, Option<Row>)>,
}

/// Changes to apply, in one transaction with the ledger's new position.
///
/// A transaction that has outgrown memory is a batch of its own: it is the only one in `log`, and `net` is empty.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Net effect, at most one for each key: applied set-wise in a savepoint.
    pub net: Net,
    /// The same as it happened: replayed in order when the net effect runs into a constraint.
    pub log: Vec<Arc<Txn>>,
    /// What the ledger must hold at least: these are the changes behind it.
    pub after: Position,
    /// The position the ledger has afterwards.
    pub upto: Position,
}

impl Landing {
    fn advance(&self) -> Advance {
        Advance {
            after: self.after,
            upto: None,
        }
    }
}

impl Batch {
    fn advance(&self) -> Advance {
        Advance {
            after: self.after,
            upto: Some(self.upto),
        }
    }

    /// The changes of the net effect.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.net.changes(&self.log)
    }

    /// The transaction that has outgrown memory, where this is one.
    pub fn overflowed(&self) -> Option<&Txn> {
        let mut log = self.log.iter().map(AsRef::as_ref);
        log.find(|txn: &&Txn| txn.overflow.is_some())
    }

    /// The tables that it changes.
    pub fn tables(&self) -> BTreeSet<TableId> {
        let beyond = self.overflowed().map(Txn::tables).unwrap_or_default();
        let net = self.changes().map(|change| change.table);
        net.chain(beyond).collect()
    }
}

/// What applying did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    /// Rows written or removed.
    pub changed: u64,
    /// Updates that found no row, of a large transaction the first of them. Normal in a range that has not landed; drift in one
    /// that has.
    pub missed: Vec<(TableId, Key)>,
}

/// The ledger's head.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Our lease.
    pub token: Token,
    /// The position applied and committed.
    pub applied: Position,
    /// Of each table of which anything has landed the last chunk before the first gap, with its upper bound (none: the table is
    /// complete). A chunk that landed beyond a gap, because several land at once, counts only once the gap is closed: then it
    /// begins where the one before it ends. Otherwise it is left from an engine that ended meanwhile, and its rows are as if
    /// the stream had made them.
    pub last: Vec<(TableId, u32, Option<Bound>)>,
}

/// The way to write, under one lease. A stolen lease makes every call fail for good.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Where things stand, read back. Waits until no write of this writer is under way any more, so that it settles an
    /// unknown outcome for good.
    async fn ledger(&self) -> Result<Ledger>;
    /// The landed chunks of a table from a number on, in order: what a resumed engine must learn.
    async fn landed(&self, table: TableId, from: u32) -> Result<Vec<ChunkMark>>;
    /// Sets the applied position before anything has landed: where the stream begins.
    async fn begin_at(&self, position: Position) -> Outcome<()>;
    /// Lands rows with their mark. Done or not done as a whole; done, they survive losing power, with all that was done before.
    /// [`WENT_BACK`] where the ledger holds less than [`Landing::after`].
    async fn land(&self, landing: Landing) -> Outcome<Landed>;
    /// Whether rows of these types may land in a table without being looked into ([`Bulk::Sealed`]).
    async fn takes_sealed(&self, _table: TableId, _types: &[String]) -> Result<bool> {
        Ok(false)
    }
    /// Applies changes with their position. Done or not done as a whole; what is done would survive losing power once
    /// [`Writer::durable`] says so. [`WENT_BACK`] where the ledger holds less than [`Batch::after`].
    async fn apply(&self, batch: Batch) -> Outcome<Applied>;
    /// The position in the ledger, once everything up to it would survive losing power.
    async fn durable(&self) -> Result<Position>;
    /// Runs one statement of the plan's schema; already there in the same form counts as done.
    async fn build(&self, ddl: &Ddl) -> Outcome<()>;
    /// Puts the key of a table that was just made off until its rows are there: an index is built in a fraction of the time that
    /// entering its rows one by one takes. Whatever looks for rows by their key makes it before: applying changes of the
    /// table, landing anything but fresh chunks. Where that is no gain, it is made at once.
    async fn put_off_key(&self, _table: TableId, key: &Ddl) -> Outcome<()> {
        self.build(key).await
    }
    /// A copy of the table begins. Its chunks don't overlap each other; they may overlap what an earlier copy landed, or still
    /// lands.
    fn copy_begins(&self, _table: TableId) {}
    /// The tables whose key is still put off: nothing finds a row of theirs quickly.
    fn keyless(&self) -> BTreeSet<TableId> {
        BTreeSet::new()
    }
    /// A table whose key is being made at this moment.
    fn making_key(&self) -> Option<TableId> {
        None
    }
    /// Makes a key that was put off; false where none was. May be asked for again.
    async fn make_key(&self, _table: TableId) -> Result<bool> {
        Ok(false)
    }
}

/// Whether a side takes the application's writes, as read from the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateState {
    /// Whether it is open.
    pub open: bool,
    /// Bumped with every move.
    pub epoch: u64,
    /// Tables of the plan whose guard does not stand.
    pub unguarded: Vec<TableId>,
}

/// One side's gate for the application's writes. Closing is a barrier: when it stands, no older write can still commit.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Reads it; none when there is no gate here.
    async fn read(&self) -> Result<Option<GateState>>;
    /// Closes it within the budget, or leaves it as it was. Gives the position after the barrier.
    async fn close(&self, epoch: u64, budget: Span) -> Outcome<Position>;
    /// Opens it: one row.
    async fn open(&self, epoch: u64) -> Outcome<()>;
}
