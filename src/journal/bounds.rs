//! The tables beside the chain: where each chunk begins and ends, and which keys are known to differ.
//!
//! They are written in the transaction of the facts that they belong to. Disk instead of memory: a map of a million chunks
//! costs the fold a few bytes a chunk, its bounds lie here.

use super::cells::{decode, encode};
use super::reader::Reader;
use super::trouble;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::key::{Bound, Key, Range};
use crate::domain::unit::Tick;
use crate::domain::verdict::DriftClass;
use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::sync::LazyLock;

/// Something that goes beside the chain, together with its facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Beside {
    /// A chunk's range. Written again (a chunk whose landing was found in the ledger) it replaces.
    Bounds {
        /// Which chunk.
        chunk: ChunkId,
        /// From where to where.
        range: Range,
    },
    /// All that is known to differ in a chunk: replaces what was known before. A key that was known keeps the moment since
    /// when. Empty: nothing differs.
    Drift {
        /// Which chunk.
        chunk: ChunkId,
        /// The rows that differ.
        keys: Vec<(Key, DriftClass)>,
        /// When the verdict was given.
        tick: Tick,
    },
}

impl Beside {
    pub(super) fn weight(&self) -> usize {
        let content = match self {
            Self::Bounds { range, .. } => [&range.lo, &range.hi]
                .into_iter()
                .flatten()
                .map(|b| crate::domain::value::row_weight(&b.0))
                .sum(),
            Self::Drift { keys, .. } => keys.iter().map(|(key, _)| key.weight()).sum::<u64>(),
        };
        size_of::<Self>() + content as usize
    }
}

/// Bounds in one INSERT: resuming learns a million of them.
const BLOCK: usize = 64;

const INSERT_ONE: &str = "INSERT OR REPLACE INTO bounds VALUES (?, ?, ?, ?)";

static INSERT_BLOCK: LazyLock<String> =
    LazyLock::new(|| INSERT_ONE.to_owned() + &", (?, ?, ?, ?)".repeat(BLOCK - 1));

/// Writes what goes beside, in the transaction that is open.
pub(super) async fn write(conn: &mut SqliteConnection, beside: Vec<Beside>) -> sqlx::Result<()> {
    let mut ranges = Vec::new();
    for item in beside {
        match item {
            Beside::Bounds { chunk, range } => ranges.push((chunk, range)),
            Beside::Drift { chunk, keys, tick } => replace_drift(conn, chunk, keys, tick).await?,
        }
    }
    let (blocks, rest) = ranges.as_chunks::<BLOCK>();
    for block in blocks {
        insert_bounds(conn, &INSERT_BLOCK, block).await?;
    }
    for one in rest {
        insert_bounds(conn, INSERT_ONE, std::slice::from_ref(one)).await?;
    }
    Ok(())
}

async fn insert_bounds(
    conn: &mut SqliteConnection,
    sql: &'static str,
    ranges: &[(ChunkId, Range)],
) -> sqlx::Result<()> {
    let cells = |bound: &Option<Bound>| bound.as_ref().map(|b| encode(&b.0));
    let mut query = sqlx::query(sql);
    for (chunk, range) in ranges {
        query = query
            .bind(chunk.table.0)
            .bind(chunk.no)
            .bind(cells(&range.lo))
            .bind(cells(&range.hi));
    }
    query.execute(conn).await.map(drop)
}

async fn replace_drift(
    conn: &mut SqliteConnection,
    chunk: ChunkId,
    keys: Vec<(Key, DriftClass)>,
    tick: Tick,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE drift SET stale = 1 WHERE tbl = ? AND no = ?")
        .bind(chunk.table.0)
        .bind(chunk.no)
        .execute(&mut *conn)
        .await?;
    for (key, class) in keys {
        sqlx::query(
            "INSERT INTO drift VALUES (?, ?, ?, ?, ?, 0)
             ON CONFLICT DO UPDATE SET class = excluded.class, stale = 0",
        )
        .bind(chunk.table.0)
        .bind(chunk.no)
        .bind(encode(key.parts()))
        .bind(number(class))
        .bind(tick.0 as i64)
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query("DELETE FROM drift WHERE tbl = ? AND no = ? AND stale")
        .bind(chunk.table.0)
        .bind(chunk.no)
        .execute(conn)
        .await
        .map(drop)
}

/// One row that is known to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifter {
    /// Where it lies.
    pub chunk: ChunkId,
    /// Which row.
    pub key: Key,
    /// How it differs.
    pub class: DriftClass,
    /// Since when it is known.
    pub since: Tick,
}

impl Reader {
    /// The range of one chunk; none if it is not known.
    pub async fn bounds(&mut self, chunk: ChunkId) -> Result<Option<Range>> {
        let found = self.bounds_from(chunk.table, chunk.no, 1).await?;
        Ok(found
            .into_iter()
            .find(|(no, _)| *no == chunk.no)
            .map(|(_, range)| range))
    }

    /// Ranges of a table's chunks from number `first` on, in order, at most `count`.
    pub async fn bounds_from(
        &mut self,
        table: TableId,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, Range)>> {
        let rows = sqlx::query(
            "SELECT no, lo, hi FROM bounds WHERE tbl = ? AND no >= ? ORDER BY no LIMIT ?",
        )
        .bind(table.0)
        .bind(first)
        .bind(count)
        .fetch_all(&mut self.conn)
        .await
        .map_err(|e| trouble::reading(&self.path, &e))?;
        rows.iter()
            .map(|row| numbered_range(row).map_err(|e| trouble::reading(&self.path, &e))?)
            .collect()
    }

    /// The highest chunk of a table whose range is known.
    pub async fn bounds_last(&mut self, table: TableId) -> Result<Option<(u32, Range)>> {
        sqlx::query("SELECT no, lo, hi FROM bounds WHERE tbl = ? ORDER BY no DESC LIMIT 1")
            .bind(table.0)
            .fetch_optional(&mut self.conn)
            .await
            .and_then(|row| row.as_ref().map(numbered_range).transpose())
            .map_err(|e| trouble::reading(&self.path, &e))?
            .transpose()
    }

    /// Rows known to differ, by table and chunk, at most `limit`; of one table or of all.
    pub async fn drifted(&mut self, table: Option<TableId>, limit: u32) -> Result<Vec<Drifter>> {
        let (first, last) = table.map_or((0, u16::MAX), |t| (t.0, t.0));
        self.drift_between((first, 0), (last, u32::MAX), limit)
            .await
    }

    /// Rows known to differ in one chunk, at most `limit`.
    pub async fn drifted_in(&mut self, chunk: ChunkId, limit: u32) -> Result<Vec<Drifter>> {
        let place = (chunk.table.0, chunk.no);
        self.drift_between(place, place, limit).await
    }

    async fn drift_between(
        &mut self,
        first: (u16, u32),
        last: (u16, u32),
        limit: u32,
    ) -> Result<Vec<Drifter>> {
        let unreadable = |e| trouble::reading(&self.path, &e);
        let mut rows = sqlx::query(
            "SELECT tbl, no, key, class, since FROM drift
             WHERE (tbl, no) >= (?, ?) AND (tbl, no) <= (?, ?) ORDER BY tbl, no LIMIT ?",
        )
        .bind(first.0)
        .bind(first.1)
        .bind(last.0)
        .bind(last.1)
        .bind(limit)
        .fetch(&mut self.conn);
        let mut found = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(unreadable)? {
            found.push(drifter(&row).map_err(unreadable)??);
        }
        Ok(found)
    }
}

fn numbered_range(row: &SqliteRow) -> sqlx::Result<Result<(u32, Range)>> {
    let no = row.try_get(0)?;
    let lo: Option<Vec<u8>> = row.try_get(1)?;
    let hi: Option<Vec<u8>> = row.try_get(2)?;
    let bound = |cells: Option<Vec<u8>>| cells.map(|c| decode(&c).map(Bound)).transpose();
    Ok(bound(lo).and_then(|lo| Ok((no, Range { lo, hi: bound(hi)? }))))
}

fn drifter(row: &SqliteRow) -> sqlx::Result<Result<Drifter>> {
    let chunk = ChunkId {
        table: TableId(row.try_get(0)?),
        no: row.try_get(1)?,
    };
    let key: Vec<u8> = row.try_get(2)?;
    let (class, since): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
    // Normal form is a fixed point of Key::normal, whatever the collations.
    Ok(decode(&key).and_then(|cells| {
        Ok(Drifter {
            chunk,
            key: Key::normal(cells, &[]),
            class: class_of(class)?,
            since: Tick(since as u64),
        })
    }))
}

const CLASSES: [DriftClass; 3] = [DriftClass::Missing, DriftClass::Extra, DriftClass::Changed];

fn number(class: DriftClass) -> i64 {
    match class {
        DriftClass::Missing => 0,
        DriftClass::Extra => 1,
        DriftClass::Changed => 2,
    }
}

fn class_of(number: i64) -> Result<DriftClass> {
    usize::try_from(number)
        .ok()
        .and_then(|i| CLASSES.get(i).copied())
        .ok_or_else(|| {
            Fault::new(
                Kind::Own,
                format!("{number} is no class of difference that this version knows"),
            )
            .code("JOURNAL-UNREADABLE")
        })
}
