//! The database itself: committed rows, what reads see of them, and the log, which may run ahead of that.

use super::table::{Definition, Rows, at, unique_values};
use crate::db::spill::{Gathered, Spill};
use crate::db::{ChunkMark, GateState, Part};
use crate::domain::change::{Change, Image, Item, Txn};
use crate::domain::fault::Result as FaultResult;
use crate::domain::finding::Object;
use crate::domain::id::{ChunkId, Nonce, TableId, Token};
use crate::domain::key::{Key, Pick, Range};
use crate::domain::position::{Barrier, Head, Position, Seen};
use crate::domain::value::{Row, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How its log and its reads go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Like PostgreSQL: a transaction is delivered before reads see it, and they come to see them in any order. Reads are
    /// snapshots of transaction ids, markers are in the log, UPDATEs leave out unchanged big values.
    Snapshots,
    /// Like MariaDB: delivered before visible, visible in commit order. A read is up to a position.
    Prefix,
    /// Like SQLite: the log has keys only, several transactions come as one batch with the rows as they are then. Reads
    /// see all that is committed.
    DirtyKeys,
}

/// What an application does to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stmt {
    /// A new row.
    Insert(TableId, Row),
    /// Cells of a row, by place; changing the key is allowed.
    Update(TableId, Key, Vec<(u16, Value)>),
    /// No row any more.
    Delete(TableId, Key),
    /// No row any more; none may have been there.
    Discard(TableId, Key),
    /// A new row, or the one with its key made the same.
    Put(TableId, Row),
    /// A new row that removes whatever row has its key or a unique value of it.
    Replace(TableId, Row),
    /// No rows any more.
    Truncate(TableId),
}

/// Why a commit did not happen; nothing of it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It would wait for a lock of a transaction that is committed and not visible yet.
    Waits,
    /// A constraint, by name.
    Constraint(String),
    /// No such row or table.
    NoRow,
    /// The gate is closed.
    Gate,
}

#[derive(Debug)]
enum Logged {
    Txn {
        head: Head,
        /// As the log delivers it.
        changes: Vec<Change>,
        /// Whole rows, for replay.
        truth: Vec<Change>,
        visible: bool,
        /// Unique values touched: locked until visible.
        locks: Vec<(TableId, usize, Vec<Value>)>,
    },
    Marker(Nonce),
    Truncate(TableId),
    Schema(TableId),
}

#[derive(Debug)]
pub(super) struct Entry {
    position: Position,
    what: Logged,
}

pub(super) type Tables = Vec<Arc<Rows>>;

/// One database.
#[derive(Debug)]
pub struct Base {
    kind: Kind,
    pub(super) committed: Tables,
    pub(super) visible: Tables,
    pub(super) log: Vec<Entry>,
    /// Places in `log` of transactions that no read sees.
    pub(super) hidden: Vec<usize>,
    open: Vec<u64>,
    next_xid: u64,
    next_nonce: u64,
    pub(super) identity: u64,
    /// What the transaction under way has replaced, oldest first.
    undo: Vec<(TableId, Key, Option<Row>)>,
    rng: fastrand::Rng,
    pub(super) token: Option<Token>,
    pub(super) applied: Position,
    pub(super) marks: BTreeMap<ChunkId, ChunkMark>,
    pub(super) gate: Option<GateState>,
    pub(super) parts: Vec<(Part, Vec<Object>)>,
    pub(super) released: Position,
    pub(super) fed_from: Position,
    /// INSERTs of the stream that found the row there already, by key. A lane that keeps the rule causes none.
    pub surprises: Vec<(TableId, Key)>,
    pub(super) slack: Slack,
    spill: Option<Spill>,
}

/// Leaves out one sentence of the rule on the landing side, for `tests/interleave.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slack {
    /// Lands and applies as it should.
    #[default]
    None,
    /// Landing removes the range before it puts rows there.
    DeleteRangeFirst,
    /// Landing inserts, and fails where the row is there already.
    PlainInsert,
}

impl Base {
    /// An empty database. The seed decides transaction ids and whatever else chance decides.
    pub fn new(kind: Kind, definitions: Vec<Definition>, seed: u64) -> Self {
        let tables: Tables = definitions
            .into_iter()
            .map(|definition| Arc::new(Rows::new(definition)))
            .collect();
        Self {
            kind,
            visible: tables.clone(),
            committed: tables,
            log: Vec::new(),
            hidden: Vec::new(),
            open: Vec::new(),
            next_xid: 100,
            next_nonce: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            identity: seed,
            undo: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            token: None,
            applied: Position::START,
            marks: BTreeMap::new(),
            gate: None,
            parts: Vec::new(),
            released: Position::START,
            fed_from: Position::START,
            surprises: Vec::new(),
            slack: Slack::None,
            spill: None,
        }
    }

    /// How its log and its reads go together.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Makes the landing side careless, for tests.
    pub fn set_slack(&mut self, slack: Slack) {
        self.slack = slack;
    }

    /// Lets the stream keep transactions aside that are larger than this; without, none is.
    pub fn set_spill(&mut self, spill: Spill) {
        self.spill = Some(spill);
    }

    /// What the stream delivers of an item: a transaction that is too large for memory is kept aside.
    ///
    /// # Errors
    /// It can't be kept.
    pub fn spilled(&self, item: Item) -> FaultResult<Item> {
        let (Item::Txn(txn), Some(spill)) = (&item, &self.spill) else {
            return Ok(item);
        };
        let mut gathered = Gathered::new(spill);
        txn.changes
            .iter()
            .try_for_each(|change| gathered.push(change.clone()))?;
        gathered.txn(txn.head).map(Item::Txn)
    }

    /// The newest position of the log.
    pub fn head(&self) -> Position {
        self.log
            .last()
            .map_or(Position::START, |entry| entry.position)
    }

    fn next_position(&self) -> Position {
        Position(self.head().0 + 8)
    }

    pub(super) fn gapped(&self) -> bool {
        self.kind != Kind::DirtyKeys
    }

    /// A row as it is committed.
    pub fn row(&self, table: TableId, key: &Key) -> Option<&Row> {
        at(&self.committed, table)?.get(key)
    }

    /// All rows as they are committed, in key order.
    pub fn rows(&self, table: TableId) -> Vec<&Row> {
        at(&self.committed, table).map_or_else(Vec::new, |t| t.range(&Default::default()).collect())
    }

    /// Lets reads see everything up to this position.
    pub fn reveal_upto(&mut self, position: Position) {
        while !self.shows(position) {
            self.reveal();
        }
    }

    /// Adds a table.
    pub(super) fn create(&mut self, definition: Definition) {
        let rows = Arc::new(Rows::new(definition));
        self.committed.push(Arc::clone(&rows));
        self.visible.push(rows);
    }

    /// Gives a table another shape; its rows stay as they are. The stream tells of it.
    pub fn reshape(&mut self, table: TableId, shape: &str) {
        if let Ok(rows) = self.table_mut(table) {
            rows.definition.table.shape = shape.to_owned();
        }
        let position = self.next_position();
        self.log.push(Entry {
            position,
            what: Logged::Schema(table),
        });
    }

    /// Takes tables away.
    pub(super) fn discard(&mut self, gone: impl Fn(&str) -> bool) {
        for tables in [&mut self.committed, &mut self.visible] {
            for rows in tables.iter_mut() {
                if gone(&rows.definition.table.source) {
                    // Its place stays, so that the others keep theirs.
                    Arc::make_mut(rows).retire();
                }
            }
        }
    }

    /// Everything that is here besides rows: tables, and parts of ours.
    pub fn catalog(&self) -> Vec<String> {
        let tables = self.committed.iter().map(|rows| &rows.definition);
        let named = tables.filter(|definition| !definition.table.source.is_empty());
        let ours = self.parts.iter().flat_map(|(_, objects)| objects);
        let mut all: Vec<String> = named
            .map(|definition| format!("{definition:?}"))
            .chain(ours.map(|object| object.sql.clone()))
            .collect();
        all.sort();
        all
    }

    /// Where a table of this name is.
    pub fn find(&self, name: &str) -> Option<TableId> {
        let at = self
            .committed
            .iter()
            .position(|rows| rows.definition.table.source == name)?;
        u16::try_from(at).ok().map(TableId)
    }

    /// Runs statements as one transaction of the application. Delivered from now on; where the log runs ahead, no read
    /// sees it before [`Base::reveal`].
    pub fn commit(&mut self, stmts: &[Stmt]) -> Result<Position, Refused> {
        let shut = |gate: &GateState| !gate.open && gate.unguarded.is_empty();
        if self.gate.as_ref().is_some_and(shut) {
            return Err(Refused::Gate);
        }
        self.begin();
        let mut work = Work::default();
        let done = stmts
            .iter()
            .try_for_each(|stmt| self.run(stmt, &mut work))
            .and_then(|()| match self.waits(&work) {
                true => Err(Refused::Waits),
                false => Ok(()),
            });
        if let Err(refused) = done {
            self.roll_back();
            return Err(refused);
        }
        for table in work.truncated {
            let position = self.next_position();
            self.log.push(Entry {
                position,
                what: Logged::Truncate(table),
            });
            self.visible[usize::from(table.0)] = Arc::clone(&self.committed[usize::from(table.0)]);
        }
        if work.truth.is_empty() {
            return Ok(self.head());
        }
        let head = Head {
            position: self.next_position(),
            xid: (self.kind == Kind::Snapshots).then(|| self.xid()),
            own: false,
        };
        self.log.push(Entry {
            position: head.position,
            what: Logged::Txn {
                head,
                changes: work.changes,
                truth: work.truth,
                visible: false,
                locks: work.locks,
            },
        });
        self.hidden.push(self.log.len() - 1);
        if !self.gapped() {
            self.reveal_all();
        }
        Ok(head.position)
    }

    /// A transaction's id is taken when it begins: ids come to an end in another order than commits.
    fn xid(&mut self) -> u64 {
        while self.open.is_empty() || (self.open.len() < 4 && self.rng.u8(..4) == 0) {
            self.open.push(self.next_xid);
            self.next_xid += 1;
        }
        self.open.swap_remove(self.rng.usize(..self.open.len()))
    }

    /// Whether a hidden transaction still locks what this one touched.
    fn waits(&self, work: &Work) -> bool {
        self.hidden.iter().any(|at| match &self.log[*at].what {
            Logged::Txn { truth, locks, .. } => {
                let row = |c: &Change| truth.iter().any(|d| d.table == c.table && d.key == c.key);
                !work.truncated.is_empty()
                    || work.truth.iter().any(row)
                    || work.locks.iter().any(|lock| locks.contains(lock))
            }
            Logged::Marker(_) | Logged::Truncate(_) | Logged::Schema(_) => false,
        })
    }

    fn run(&mut self, stmt: &Stmt, work: &mut Work) -> Result<(), Refused> {
        match stmt {
            Stmt::Insert(table, row) => {
                let rows = self.table(*table)?;
                let key = rows.key_of(row);
                if rows.get(&key).is_some() {
                    return Err(Refused::Constraint("primary key".into()));
                }
                self.put(*table, key, row.clone(), Image::Inserted, work)
            }
            Stmt::Update(table, key, cells) => {
                let rows = self.table(*table)?;
                let old = rows.get(key).ok_or(Refused::NoRow)?.clone();
                let toast = rows.definition.toast.map(usize::from);
                let mut new = old.clone();
                for (at, value) in cells {
                    *new.get_mut(usize::from(*at)).ok_or(Refused::NoRow)? = value.clone();
                }
                let new_key = rows.key_of(&new);
                if new_key != *key {
                    if rows.get(&new_key).is_some() {
                        return Err(Refused::Constraint("primary key".into()));
                    }
                    self.remove(*table, key, work)?;
                    return self.put(*table, new_key, new, Image::Inserted, work);
                }
                let image = move |row: Row| match toast {
                    Some(toast) if old.get(toast) == row.get(toast) => Image::Partial(
                        row.into_iter()
                            .enumerate()
                            .map(|(at, value)| (at != toast).then_some(value))
                            .collect(),
                    ),
                    _ => Image::Updated(row),
                };
                self.put(*table, new_key, new, image, work)
            }
            Stmt::Delete(table, key) => self.remove(*table, key, work),
            Stmt::Discard(table, key) => match self.table(*table)?.get(key) {
                Some(_) => self.remove(*table, key, work),
                None => Ok(()),
            },
            Stmt::Put(table, row) => {
                let rows = self.table(*table)?;
                let key = rows.key_of(row);
                let image = match rows.get(&key) {
                    Some(_) => Image::Updated,
                    None => Image::Inserted,
                };
                self.put(*table, key, row.clone(), image, work)
            }
            Stmt::Replace(table, row) => {
                let rows = self.table(*table)?;
                let key = rows.key_of(row);
                if rows.get(&key).is_some() {
                    self.remove(*table, &key, work)?;
                }
                while let Some(other) = self.table(*table)?.in_the_way(row, &key) {
                    self.remove(*table, &other.key, work)?;
                }
                self.put(*table, key, row.clone(), Image::Inserted, work)
            }
            Stmt::Truncate(table) => {
                let rows = self.table(*table)?;
                let all: Vec<Key> = rows
                    .range(&Range::default())
                    .map(|r| rows.key_of(r))
                    .collect();
                for key in all {
                    self.write(*table, &key, None)?;
                }
                work.truncated.push(*table);
                Ok(())
            }
        }
    }

    fn put(
        &mut self,
        table: TableId,
        key: Key,
        row: Row,
        image: impl FnOnce(Row) -> Image,
        work: &mut Work,
    ) -> Result<(), Refused> {
        if let Some(violated) = self.table(table)?.in_the_way(&row, &key) {
            return Err(Refused::Constraint(violated.constraint));
        }
        let old = self.write(table, &key, Some(row.clone()))?;
        work.lock(self.table(table)?, table, old.as_deref());
        work.lock(self.table(table)?, table, Some(&row));
        let delivered = match (image(row.clone()), self.kind) {
            (Image::Partial(_), Kind::Prefix) => Image::Updated(row.clone()),
            (image, _) => image,
        };
        work.push(table, key, delivered, Image::Present(row));
        Ok(())
    }

    fn remove(&mut self, table: TableId, key: &Key, work: &mut Work) -> Result<(), Refused> {
        let old = self.write(table, key, None)?.ok_or(Refused::NoRow)?;
        work.lock(self.table(table)?, table, Some(&old));
        work.push(table, key.clone(), Image::Gone, Image::Gone);
        Ok(())
    }

    fn table(&self, table: TableId) -> Result<&Rows, Refused> {
        at(&self.committed, table).ok_or(Refused::NoRow)
    }

    /// Puts a row, or removes it, for the transaction under way. Gives what was there.
    pub(super) fn write(
        &mut self,
        table: TableId,
        key: &Key,
        row: Option<Row>,
    ) -> Result<Option<Row>, Refused> {
        let old = self.table_mut(table)?.set(key, row);
        self.undo.push((table, key.clone(), old.clone()));
        Ok(old)
    }

    /// Begins a transaction: what was written before stays.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
    }

    /// Takes back what the transaction under way has written.
    pub(super) fn roll_back(&mut self) {
        while let Some((table, key, old)) = self.undo.pop() {
            if let Ok(rows) = self.table_mut(table) {
                rows.set(&key, old);
            }
        }
    }

    pub(super) fn table_mut(&mut self, table: TableId) -> Result<&mut Rows, Refused> {
        let rows = self.committed.get_mut(usize::from(table.0));
        Ok(Arc::make_mut(rows.ok_or(Refused::NoRow)?))
    }

    /// Puts a transaction of ours into the log and makes its rows visible at once.
    pub(super) fn log_own(&mut self, touched: &[(TableId, Key)]) {
        for (table, key) in touched {
            let row = self.row(*table, key).cloned();
            if let Some(rows) = self.visible.get_mut(usize::from(table.0)) {
                Arc::make_mut(rows).set(key, row);
            }
        }
        if self.kind == Kind::DirtyKeys {
            return;
        }
        let position = self.next_position();
        let head = Head {
            position,
            xid: (self.kind == Kind::Snapshots).then(|| self.xid()),
            own: true,
        };
        self.log.push(Entry {
            position,
            what: Logged::Txn {
                head,
                changes: Vec::new(),
                truth: Vec::new(),
                visible: true,
                locks: Vec::new(),
            },
        });
    }

    /// How many committed transactions reads do not see.
    pub fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// Lets reads see one more transaction: any, or the oldest, as the kind has it.
    pub fn reveal(&mut self) {
        if self.hidden.is_empty() {
            return;
        }
        let which = match self.kind {
            Kind::Snapshots => self.rng.usize(..self.hidden.len()),
            Kind::Prefix | Kind::DirtyKeys => 0,
        };
        let at = self.hidden.remove(which);
        if let Logged::Txn { truth, visible, .. } = &mut self.log[at].what {
            *visible = true;
            for change in truth {
                if let Some(rows) = self.visible.get_mut(usize::from(change.table.0)) {
                    let row = match &change.image {
                        Image::Present(row) => Some(row.clone()),
                        _ => None,
                    };
                    Arc::make_mut(rows).set(&change.key, row);
                }
            }
        }
    }

    /// Lets reads see everything.
    pub fn reveal_all(&mut self) {
        while !self.hidden.is_empty() {
            self.reveal();
        }
    }

    /// Whether reads see everything up to this position: a view opened now keeps its promise to a feed opened from there.
    pub fn shows(&self, position: Position) -> bool {
        self.hidden
            .iter()
            .all(|at| self.log[*at].position > position)
    }

    /// What a read begun now contains.
    pub fn seen(&self) -> Seen {
        match self.kind {
            Kind::DirtyKeys => Seen::UpTo(self.head()),
            Kind::Prefix => Seen::UpTo(match self.hidden.first() {
                Some(at) => self.log[..*at]
                    .last()
                    .map_or(Position::START, |entry| entry.position),
                None => self.head(),
            }),
            Kind::Snapshots => {
                let hidden = self
                    .hidden
                    .iter()
                    .filter_map(|at| match &self.log[*at].what {
                        Logged::Txn { head, .. } => head.xid,
                        Logged::Marker(_) | Logged::Truncate(_) | Logged::Schema(_) => None,
                    });
                let mut xip: Vec<u64> = hidden.chain(self.open.iter().copied()).collect();
                xip.sort_unstable();
                Seen::Pg {
                    xmin: xip.first().copied().unwrap_or(self.next_xid),
                    xmax: self.next_xid,
                    xip,
                }
            }
        }
    }

    /// Begins a read.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            seen: self.seen(),
            applied: self.applied,
            tables: self.visible.clone(),
        }
    }

    /// The barrier for a read that was begun with `seen`.
    pub fn barrier(&mut self, seen: &Seen) -> Barrier {
        match (self.kind, seen) {
            (Kind::Prefix | Kind::DirtyKeys, Seen::UpTo(position)) => Barrier::At(*position),
            _ => {
                self.next_nonce = self.next_nonce.wrapping_add(1);
                let nonce = Nonce(self.next_nonce);
                let position = self.next_position();
                self.log.push(Entry {
                    position,
                    what: Logged::Marker(nonce),
                });
                Barrier::Marker(nonce)
            }
        }
    }

    /// The next item of the log after `cursor`, which moves on. None: nothing new.
    pub fn deliver(&self, cursor: &mut Position) -> Option<Item> {
        let next = self.log.partition_point(|entry| entry.position <= *cursor);
        let entry = self.log.get(next)?;
        *cursor = entry.position;
        match &entry.what {
            Logged::Marker(nonce) => return Some(Item::Marker(*nonce)),
            Logged::Truncate(table) => return Some(Item::Truncate(*table)),
            Logged::Schema(table) => return Some(Item::Schema(*table)),
            Logged::Txn { head, changes, .. } if self.kind != Kind::DirtyKeys => {
                return Some(Item::Txn(Txn::new(*head, changes.clone())));
            }
            Logged::Txn { .. } => {}
        }
        let mut dirty = BTreeSet::new();
        for entry in &self.log[next..] {
            let Logged::Txn { truth, .. } = &entry.what else {
                break;
            };
            *cursor = entry.position;
            dirty.extend(
                truth
                    .iter()
                    .map(|c| (c.table, super::table::Place(c.key.parts().into()))),
            );
        }
        let changes = dirty.into_iter().map(|(table, place)| {
            let key = Key::normal(place.0, &[]);
            let image = match self.row(table, &key) {
                Some(row) => Image::Present(row.clone()),
                None => Image::Gone,
            };
            Change { table, key, image }
        });
        let head = Head {
            position: *cursor,
            xid: None,
            own: false,
        };
        Some(Item::Txn(Txn::new(head, changes.collect())))
    }

    /// The whole rows of what was committed after `from` up to and with `upto`, in order: what the log comes to.
    pub fn truth(&self, from: Position, upto: Position) -> impl Iterator<Item = &Change> {
        let first = self.log.partition_point(|entry| entry.position <= from);
        self.log[first..]
            .iter()
            .take_while(move |entry| entry.position <= upto)
            .flat_map(|entry| match &entry.what {
                Logged::Txn { truth, .. } => &truth[..],
                Logged::Marker(_) | Logged::Truncate(_) | Logged::Schema(_) => &[],
            })
    }
}

/// One read: everything as of one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What it contains of the log.
    pub seen: Seen,
    /// The ledger's position in it.
    pub applied: Position,
    pub(super) tables: Tables,
}

impl Snapshot {
    /// Rows of a table.
    pub fn rows(&self, table: TableId, pick: &Pick) -> Vec<Row> {
        let picked = at(&self.tables, table).map(|rows| rows.pick(pick));
        picked.unwrap_or_default().into_iter().cloned().collect()
    }
}

/// What a transaction has done so far.
#[derive(Default)]
struct Work {
    changes: Vec<Change>,
    truth: Vec<Change>,
    locks: Vec<(TableId, usize, Vec<Value>)>,
    truncated: Vec<TableId>,
}

impl Work {
    fn push(&mut self, table: TableId, key: Key, delivered: Image, truth: Image) {
        self.changes.push(Change {
            table,
            key: key.clone(),
            image: delivered,
        });
        self.truth.push(Change {
            table,
            key,
            image: truth,
        });
    }

    fn lock(&mut self, rows: &Rows, table: TableId, row: Option<&[Value]>) {
        let Some(row) = row else { return };
        for (at, columns) in rows.definition.unique.iter().enumerate() {
            if let Some(values) = unique_values(row, columns) {
                self.locks.push((table, at, values));
            }
        }
    }
}
