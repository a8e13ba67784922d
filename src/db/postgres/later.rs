//! Keys that are made when the rows are there.
//!
//! A B-tree that is built from all rows costs a third of one that is filled row by row, and rows without one can be put in by
//! several sessions at once. So a table that we make is filled without its key for as long as nothing looks for one of its rows: as
//! long as the application leaves it alone, and this one lease fills it. The statement waits beside the ledger, in the
//! database itself: where its row is, the key is not. Both change in one transaction.
//!
//! Without a key nothing would be in the way of a row that is there already. That no row comes twice rests on this: no change
//! of the stream was applied to the table, and of one copy under one lease the chunks don't overlap, and each is tried once.
//! An earlier lease, or an earlier copy under this one, may have landed chunks beyond a gap, or be about to: then the key is made
//! first. Were it ever otherwise, making the key would fail and say so.

use super::connect::Session;
use super::place::OrFault;
use crate::db::Landing;
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::plan::Plan;
use crate::domain::table::Table;
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

pub(super) const CREATE_KEY: &str =
    "CREATE TABLE tidegate.key(tbl text PRIMARY KEY, target text NOT NULL, sql text NOT NULL)";

const READ: &str = "read which keys are to be made";

/// Which tables have no key yet, as this lease knows it.
pub(super) struct Later {
    tables: Mutex<BTreeMap<TableId, Filling>>,
    /// Whose key is being made now.
    making: watch::Sender<Option<TableId>>,
}

/// A key is being made for as long as this lives.
pub(super) struct Making<'a>(&'a watch::Sender<Option<TableId>>);

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// How far a table without its key is.
#[derive(Debug)]
enum Filling {
    /// Nobody has landed anything.
    Empty,
    /// One copy fills it; it has tried to land these chunks.
    Once(BTreeSet<u32>),
    /// Another copy has landed something, or may.
    Again,
}

impl Later {
    /// Reads what is put off, under a lease that was just taken: nobody else writes any more.
    pub(super) async fn read(session: &mut Session, plan: &Plan) -> Result<Self> {
        let place = session.shared_place();
        let there = there(session.conn()?).await.or_fault(&place, READ)?;
        let found: Vec<(String, bool)> = if there {
            sqlx::query_as(
                "SELECT k.tbl, EXISTS (SELECT FROM tidegate.chunk c WHERE c.tbl = k.tbl) FROM tidegate.key k",
            )
            .fetch_all(session.conn()?)
            .await
            .or_fault(&place, READ)?
        } else {
            Vec::new()
        };
        let found: BTreeMap<String, bool> = found.into_iter().collect();
        let tables = plan.ids().filter_map(|(id, table)| {
            let begun = *found.get(&table.source)?;
            Some((
                id,
                if begun {
                    Filling::Again
                } else {
                    Filling::Empty
                },
            ))
        });
        Ok(Self {
            tables: Mutex::new(tables.collect()),
            making: watch::Sender::default(),
        })
    }

    fn tables<T>(&self, with: impl FnOnce(&mut BTreeMap<TableId, Filling>) -> T) -> T {
        with(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tables without their key.
    pub(super) fn all(&self) -> BTreeSet<TableId> {
        self.tables(|tables| tables.keys().copied().collect())
    }

    /// A table waits for its key from now on.
    pub(super) fn add(&self, table: TableId) {
        self.tables(|tables| tables.insert(table, Filling::Empty));
    }

    /// A table has its key.
    pub(super) fn made(&self, table: TableId) {
        self.tables(|tables| tables.remove(&table));
    }

    /// The key of a table begins to be made.
    pub(super) fn making(&self, table: TableId) -> Making<'_> {
        self.making.send_replace(Some(table));
        Making(&self.making)
    }

    /// Whose key is being made now.
    pub(super) fn at_work(&self) -> Option<TableId> {
        *self.making.borrow()
    }

    /// A copy of the table begins.
    pub(super) fn fill(&self, table: TableId) {
        self.tables(|tables| {
            if let Some(filling) = tables.get_mut(&table) {
                *filling = match filling {
                    Filling::Empty => Filling::Once(BTreeSet::new()),
                    Filling::Once(_) | Filling::Again => Filling::Again,
                };
            }
        });
    }

    /// How rows land in a table now.
    pub(super) fn way(&self, landing: &Landing) -> Way {
        let plain = landing.gone.is_empty() && !landing.keep_before;
        let chunk = landing.mark.as_ref().filter(|_| plain);
        self.tables(|tables| match (tables.get_mut(&landing.table), chunk) {
            (None, _) => Way::Keyed,
            (Some(Filling::Once(tried)), Some(mark)) => match tried.insert(mark.chunk.no) {
                true => Way::Bare,
                false => Way::KeyFirst,
            },
            (Some(_), _) => Way::KeyFirst,
        })
    }
}

/// How rows land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The table has its key.
    Keyed,
    /// It has none, and needs none for these rows.
    Bare,
    /// It has none, and these rows need it.
    KeyFirst,
}

/// Whether anything can be noted: not in a database without a ledger, nor in the ledger of a version that made keys at once.
async fn there(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_catalog.to_regclass('tidegate.key') IS NOT NULL")
        .fetch_one(conn)
        .await
}

/// The statements that are noted, by the names of their tables here.
pub(super) async fn noted(conn: &mut PgConnection) -> sqlx::Result<HashMap<String, String>> {
    if !there(conn).await? {
        return Ok(HashMap::new());
    }
    let found: Vec<(String, String)> = sqlx::query_as("SELECT target, sql FROM tidegate.key")
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().collect())
}

/// Notes what will make a key, in the caller's transaction.
pub(super) async fn note(session: &mut Session, table: &Table, sql: &str) -> Result<()> {
    let place = session.shared_place();
    sqlx::query("INSERT INTO tidegate.key(tbl, target, sql) VALUES ($1, $2, $3) ON CONFLICT (tbl) DO UPDATE SET sql = excluded.sql")
        .bind(&table.source)
        .bind(&table.target)
        .bind(sql)
        .execute(session.conn()?)
        .await
        .map(drop)
        .or_fault(&place, "note a key that is to be made")
}

/// Makes a key, in the caller's transaction, unless somebody has; whoever comes second waits for the first.
pub(super) async fn make(session: &mut Session, table: &Table) -> Result<bool> {
    let place = session.shared_place();
    let sql: Option<String> =
        sqlx::query_scalar("DELETE FROM tidegate.key WHERE tbl = $1 RETURNING sql")
            .bind(&table.source)
            .fetch_optional(session.conn()?)
            .await
            .or_fault(&place, READ)?;
    match sql {
        Some(sql) => {
            let doing = format!("make the key of {}", table.target);
            session.run(&sql, &doing).await.map(|()| true)
        }
        None => Ok(false),
    }
}
