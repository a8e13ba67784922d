//! The side where rows land: one transaction with the ledger, or nothing.

use super::base::{Base, Slack};
use crate::db::pieces::{in_order, parted};
use crate::db::spill::Spill;
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

    pub(super) fn check(&self, token: Token) -> Result<()> {
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
            let (table, no, hi) = (mark.chunk.table, mark.chunk.no, mark.range.hi.clone());
            match last.last_mut() {
                Some(l)
                    if l.0 == table && l.1 + 1 == no && l.2.is_some() && l.2 == mark.range.lo =>
                {
                    *l = (table, no, hi);
                }
                None if no == 0 => last.push((table, no, hi)),
                Some(l) if l.0 != table && no == 0 => last.push((table, no, hi)),
                // Beyond a gap.
                _ => {}
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

    /// Up to where the log may be forgotten.
    pub fn released(&self) -> Position {
        self.released
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
        landing.advance().check("the target", self.applied)?;
        self.begin();
        let landed = self.put_rows(landing).inspect_err(|_| self.roll_back())?;
        if let Some(mark) = &landing.mark {
            self.marks.insert(mark.chunk, mark.clone());
        }
        let keys = landing
            .rows
            .iter()
            .map(|row| self.key_of(landing.table, &row));
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
        if let (Slack::DeleteRangeFirst, Some(mark)) = (slack, &landing.mark) {
            let rows = self.rows_in(table, &mark.range);
            let doomed: Vec<Key> = rows
                .into_iter()
                .map(|row| self.key_of(table, row))
                .collect();
            for key in doomed {
                self.write(table, &key, None).map_err(|_| no_table())?;
            }
        }
        for key in &landing.gone {
            let old = self.write(table, key, None).map_err(|_| no_table())?;
            landed.deleted += u32::from(old.is_some());
            if landing.keep_before {
                landed.before.push((key.clone(), old));
            }
        }
        for row in landing.rows.iter() {
            let key = self.key_of(table, &row);
            let put = self.write(table, &key, Some(row));
            let old = put.map_err(|_| no_table())?;
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
            self.unique(table, &row)?;
        }
        Ok(landed)
    }

    /// Applies changes with their position: as a set first, and in the order of the log when that meets a
    /// constraint. A transaction that has outgrown memory: piece by piece first, and as one set when that meets a constraint.
    pub fn apply(&mut self, token: Token, batch: &Batch) -> Result<Applied> {
        self.check(token)?;
        batch.advance().check("the target", self.applied)?;
        // This database is memory: of a large transaction everything may be looked at.
        let all = batch.log.iter().flat_map(|txn| txn.pieces());
        let all: Vec<Vec<Change>> = all
            .map(|piece| Ok(piece?.to_vec()))
            .collect::<Result<_>>()?;
        let log = all.concat();
        let net: Vec<Change> = batch.changes().cloned().collect();
        let large = batch.overflowed();
        let surprises = self.surprises.len();
        let mut applied = Ok(Applied::default());
        for first in [true, false] {
            let (sets, as_set) = match (large, first) {
                (None, true) => (vec![net.clone()], true),
                (None, false) => (vec![log.clone()], false),
                (Some(txn), true) => (in_order(txn).collect::<Result<_>>()?, true),
                (Some(txn), false) => {
                    let parts = parted(&Spill::default().sized(0, 1 << 10), txn)?;
                    let parts: Vec<Vec<Change>> = parts.collect::<Result<_>>()?;
                    (vec![parts.concat()], true)
                }
            };
            self.begin();
            applied = self.change_sets(&sets, as_set);
            if applied.is_ok() {
                break;
            }
            self.roll_back();
            self.surprises.truncate(surprises);
        }
        let applied = applied?;
        self.applied = batch.upto;
        let touched = if large.is_some() { &log } else { &net };
        let touched: Vec<(TableId, Key)> = touched
            .iter()
            .map(|change| (change.table, change.key.clone()))
            .collect();
        self.log_own(&touched);
        Ok(applied)
    }

    fn change_sets(&mut self, sets: &[Vec<Change>], as_set: bool) -> Result<Applied> {
        let mut applied = Applied::default();
        for set in sets {
            applied.add(self.change_all(set, as_set)?);
        }
        Ok(applied)
    }

    /// `as_set`: unique constraints hold at the end, not after each row.
    fn change_all(&mut self, changes: &[Change], as_set: bool) -> Result<Applied> {
        let mut applied = Applied::default();
        for change in changes {
            match self.change(change)? {
                Did::Changed => applied.changed += 1,
                Did::Nothing => {}
                Did::Missed => applied.missed.push((change.table, change.key.clone())),
            }
            if !as_set {
                self.unique_after(change)?;
            }
        }
        if as_set {
            changes
                .iter()
                .try_for_each(|change| self.unique_after(change))?;
        }
        Ok(applied)
    }

    fn change(&mut self, change: &Change) -> Result<Did> {
        let old = self.row(change.table, &change.key);
        let row = match (&change.image, old) {
            (Image::Gone, None) => return Ok(Did::Nothing),
            (Image::Updated(_) | Image::Partial(_), None) => return Ok(Did::Missed),
            (Image::Gone, Some(_)) => None,
            (Image::Inserted(row) | Image::Present(row) | Image::Updated(row), _) => {
                Some(row.clone())
            }
            (Image::Partial(cells), Some(old)) => {
                let mut row = old.clone();
                merge(&mut row, cells);
                Some(row)
            }
        };
        if matches!(change.image, Image::Inserted(_)) && old.is_some() {
            self.surprises.push((change.table, change.key.clone()));
        }
        self.write(change.table, &change.key, row)
            .map_err(|_| no_table())?;
        Ok(Did::Changed)
    }

    fn unique_after(&self, change: &Change) -> Result<()> {
        match self.row(change.table, &change.key) {
            Some(row) => self.unique(change.table, row),
            None => Ok(()),
        }
    }

    fn unique(&self, table: TableId, row: &Row) -> Result<()> {
        let rows = super::table::at(&self.committed, table).ok_or_else(no_table)?;
        match rows.in_the_way(row, &rows.key_of(row)) {
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

enum Did {
    Changed,
    /// What was to be removed is not there.
    Nothing,
    /// What was to be changed is not there.
    Missed,
}

fn no_table() -> Fault {
    Fault::new(FaultKind::Refused, "the target has no such table").code("NO-TABLE")
}

fn violated(constraint: &str) -> Fault {
    Fault::new(
        FaultKind::Refused,
        format!("a change does not fit {constraint} on the target"),
    )
    .code("PARKED")
}
