//! The side where rows land: one transaction with the ledger, or nothing.

use super::base::{Base, Slack, Tables};
use crate::db::{Applied, Batch, Landed, Landing, Ledger};
use crate::domain::change::{Change, Image, merge};
use crate::domain::fault::{Fault, Kind as FaultKind, Result};
use crate::domain::id::{TableId, Token};
use crate::domain::key::{Key, Range};
use crate::domain::position::Position;
use crate::domain::value::Row;

impl Base {
    /// Takes the lease: every older token is refused from now on.
    pub fn take_lease(&mut self) -> Token {
        let token = Token(self.token.map_or(1, |token| token.0 + 1));
        self.token = Some(token);
        token
    }

    fn check(&self, token: Token) -> Result<()> {
        if self.token == Some(token) {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Refused,
            "another engine has taken the lease on the target",
        )
        .code("LEASE-LOST"))
    }

    /// The ledger, under a lease.
    pub fn ledger(&self, token: Token) -> Result<Ledger> {
        self.check(token)?;
        let mut last: Vec<(TableId, u32, Option<_>)> = Vec::new();
        for mark in self.marks.values() {
            let hi = mark.range.hi.clone();
            match last.last_mut() {
                Some(l) if l.0 == mark.chunk.table => *l = (l.0, mark.chunk.no, hi),
                _ => last.push((mark.chunk.table, mark.chunk.no, hi)),
            }
        }
        Ok(Ledger {
            token,
            applied: self.applied,
            last,
        })
    }

    /// The applied position as it is committed.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// The landed chunks, as they are committed.
    pub fn marks(&self) -> impl Iterator<Item = &crate::db::ChunkMark> {
        self.marks.values()
    }

    /// Sets where the stream begins.
    pub fn begin_at(&mut self, token: Token, position: Position) -> Result<()> {
        self.check(token)?;
        self.applied = position;
        Ok(())
    }

    /// Lands rows with their mark.
    pub fn land(&mut self, token: Token, landing: &Landing) -> Result<Landed> {
        self.check(token)?;
        let before = self.committed.clone();
        let landed = self
            .put_rows(landing)
            .inspect_err(|_| self.committed = before)?;
        if let Some(mark) = &landing.mark {
            self.marks.insert(mark.chunk, mark.clone());
        }
        let keys = landing
            .rows
            .iter()
            .map(|row| self.key_of(landing.table, row));
        let touched: Vec<(TableId, Key)> = keys
            .chain(landing.gone.iter().cloned())
            .map(|key| (landing.table, key))
            .collect();
        self.log_own(&touched);
        Ok(landed)
    }

    fn key_of(&self, table: TableId, row: &Row) -> Key {
        match super::table::at(&self.committed, table) {
            Some(rows) => rows.key_of(row),
            None => Key::normal([], &[]),
        }
    }

    fn put_rows(&mut self, landing: &Landing) -> Result<Landed> {
        let (slack, table) = (self.slack, landing.table);
        let mut landed = Landed::default();
        let rows = self.table_mut(table).map_err(|_| no_table())?;
        if let (Slack::DeleteRangeFirst, Some(mark)) = (slack, &landing.mark) {
            let doomed: Vec<Key> = rows
                .range(&mark.range)
                .map(|row| rows.key_of(row))
                .collect();
            doomed.iter().for_each(|key| drop(rows.set(key, None)));
        }
        for key in &landing.gone {
            let old = rows.set(key, None);
            landed.deleted += u32::from(old.is_some());
            if landing.keep_before {
                landed.before.push((key.clone(), old));
            }
        }
        for row in landing.rows.iter() {
            let key = rows.key_of(row);
            let old = rows.set(&key, Some(row.clone()));
            if slack == Slack::PlainInsert && old.is_some() {
                return Err(violated("primary key"));
            }
            landed.updated += u32::from(old.is_some());
            landed.inserted += u32::from(old.is_none());
            if landing.keep_before {
                landed.before.push((key, old));
            }
        }
        for row in landing.rows.iter() {
            if let Some(bad) = rows.in_the_way(row, &rows.key_of(row)) {
                return Err(violated(&bad.constraint));
            }
        }
        Ok(landed)
    }

    /// Applies changes with their position: as a set first, and in the order of the log when that meets a constraint.
    pub fn apply(&mut self, token: Token, batch: &Batch) -> Result<Applied> {
        self.check(token)?;
        let before = self.committed.clone();
        let surprises = self.surprises.len();
        let back = |base: &mut Self, tables: &Tables| {
            base.committed.clone_from(tables);
            base.surprises.truncate(surprises);
        };
        let set = self.change_all(&batch.net, true);
        let applied = match set {
            Ok(applied) => applied,
            Err(_) => {
                back(self, &before);
                let log: Vec<Change> = batch.log.iter().flat_map(|t| t.changes.clone()).collect();
                self.change_all(&log, false)
                    .inspect_err(|_| back(self, &before))?
            }
        };
        self.applied = batch.upto;
        let touched: Vec<(TableId, Key)> = batch
            .net
            .iter()
            .map(|change| (change.table, change.key.clone()))
            .collect();
        self.log_own(&touched);
        Ok(applied)
    }

    /// `as_set`: unique constraints hold at the end, not after each row.
    fn change_all(&mut self, changes: &[Change], as_set: bool) -> Result<Applied> {
        let mut applied = Applied::default();
        for change in changes {
            if !self.change(change)? {
                applied.missed.push((change.table, change.key.clone()));
            } else {
                applied.changed += 1;
            }
            if !as_set {
                self.unique(change)?;
            }
        }
        if as_set {
            changes.iter().try_for_each(|change| self.unique(change))?;
        }
        Ok(applied)
    }

    /// False: an update found no row.
    fn change(&mut self, change: &Change) -> Result<bool> {
        let rows = self.table_mut(change.table).map_err(|_| no_table())?;
        let old = rows.get(&change.key);
        let row = match (&change.image, old) {
            (Image::Gone, _) => None,
            (Image::Present(row), _) | (Image::Inserted(row), None) => Some(row.clone()),
            (Image::Inserted(row), Some(_)) => {
                let row = row.clone();
                rows.set(&change.key, Some(row));
                self.surprises.push((change.table, change.key.clone()));
                return Ok(true);
            }
            (Image::Updated(_) | Image::Partial(_), None) => return Ok(false),
            (Image::Updated(row), Some(_)) => Some(row.clone()),
            (Image::Partial(cells), Some(old)) => {
                let mut row = old.clone();
                merge(&mut row, cells);
                Some(row)
            }
        };
        rows.set(&change.key, row);
        Ok(true)
    }

    fn unique(&self, change: &Change) -> Result<()> {
        let Some(rows) = super::table::at(&self.committed, change.table) else {
            return Ok(());
        };
        match rows
            .get(&change.key)
            .and_then(|row| rows.in_the_way(row, &change.key))
        {
            Some(bad) => Err(violated(&bad.constraint)),
            None => Ok(()),
        }
    }

    /// A write that is nobody's: what drift is made of.
    pub fn tamper(&mut self, table: TableId, key: &Key, row: Option<Row>) {
        if let Ok(rows) = self.table_mut(table) {
            rows.set(key, row);
            self.log_own(&[(table, key.clone())]);
        }
    }

    /// Which of the rows lie in a range.
    pub fn rows_in(&self, table: TableId, range: &Range) -> Vec<&Row> {
        super::table::at(&self.committed, table).map_or_else(Vec::new, |t| t.range(range).collect())
    }
}

fn no_table() -> Fault {
    Fault::new(FaultKind::Refused, "the target has no such table").code("NO-TABLE")
}

fn violated(constraint: &str) -> Fault {
    Fault::new(
        FaultKind::Refused,
        format!("a change does not fit the target's {constraint}"),
    )
    .code("CONSTRAINT")
}
