//! One read transaction.

use super::cell::{bind, cells, hash, pack};
use super::connect::{Db, Pool};
use super::ddl::TokenKind;
use super::place::{OrFault, Place};
use super::reader::{Reader, Tables};
use super::sql::TableSql;
use super::{ledger, log, unfit};
use crate::db::across::Holds;
use crate::db::canon::RowHasher;
use crate::db::{Read, ResultSet, View, refused};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::key::{Bound, Key, Pick, Range};
use crate::domain::packed::Packed;
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::unit::{Bytes, Rows};
use crate::domain::value::Value;
use crate::domain::verdict::Digest;
use async_trait::async_trait;
use rusqlite::Connection;
use std::sync::Arc;

/// A snapshot of one SQLite file: WAL keeps what it reads as it was when the view opened.
///
/// Dropped, it stops what still runs, rolls back and gives its connection to the pool.
pub(super) struct SqliteView {
    db: Db,
    pool: Arc<Pool>,
    tables: Tables,
    seen: Seen,
    applied: Option<Position>,
}

impl SqliteView {
    pub(super) async fn open(db: Db, pool: Arc<Pool>, reader: Arc<Reader>) -> Result<Self> {
        let place = Arc::clone(&db.place);
        let begun = db
            .run(move |conn| {
                if !conn.is_autocommit() {
                    conn.execute_batch("ROLLBACK")
                        .or_fault(&place, "end an older read")?;
                }
                conn.execute_batch("BEGIN")
                    .or_fault(&place, "begin a read")?;
                let begun = reader.tables(conn).and_then(|tables| {
                    Ok((
                        tables,
                        log::head(conn, &place)?,
                        ledger::applied(conn, &place)?,
                    ))
                });
                if begun.is_err() {
                    // The first error is the one to tell.
                    let _ = conn.execute_batch("ROLLBACK");
                }
                begun
            })
            .await;
        let (tables, head, applied) = begun?;
        Ok(Self {
            db,
            pool,
            tables,
            seen: Seen::UpTo(head),
            applied,
        })
    }

    /// Runs a read of one table on the connection's thread.
    async fn read<T: Send + 'static>(
        &self,
        table: TableId,
        doing: &'static str,
        act: impl FnOnce(&Connection, &TableSql) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let sql = self.tables.get(table)?;
        let place = Arc::clone(&self.db.place);
        self.db
            .run(move |conn| {
                act(conn, &sql).or_fault(&place, &format!("{doing} of {}", sql.table().source))
            })
            .await
    }
}

impl Drop for SqliteView {
    fn drop(&mut self) {
        self.db.cut();
        self.pool.put(self.db.clone());
    }
}

pub(super) fn bounds(range: &Range) -> impl Iterator<Item = &Value> {
    range
        .lo
        .iter()
        .chain(&range.hi)
        .flat_map(|bound| bound.0.iter())
}

#[async_trait]
impl View for SqliteView {
    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn applied(&self) -> Option<Position> {
        self.applied
    }

    /// The log is read in the same transaction, so what was seen is exact and nothing is written.
    async fn barrier(&mut self) -> Result<Barrier> {
        match &self.seen {
            Seen::UpTo(position) => Ok(Barrier::At(*position)),
            Seen::Pg { .. } => Err(Fault::new(
                Kind::Own,
                "a SQLite read has seen a PostgreSQL snapshot",
            )),
        }
    }

    async fn bound(
        &mut self,
        table: TableId,
        after: Option<&Bound>,
        rows: Rows,
    ) -> Result<Option<Bound>> {
        let after = after.cloned();
        self.read(table, "find the end of a chunk", move |conn, sql| {
            let mut statement = conn.prepare_cached(&sql.bound(after.is_some()))?;
            let mut skip = 1;
            if let Some(Bound(parts)) = &after {
                bind(&mut statement, 1, parts)?;
                skip += parts.len();
            }
            statement.raw_bind_parameter(skip, i64::try_from(rows.0).unwrap_or(i64::MAX))?;
            let mut found = statement.raw_query();
            found
                .next()?
                .map(|row| cells(row, 0, sql.key_width()).map(Bound))
                .transpose()
        })
        .await
    }

    async fn rows(&mut self, table: TableId, pick: &Pick, budget: Bytes) -> Result<Read> {
        let pick = pick.clone();
        self.read(table, "read rows", move |conn, sql| match &pick {
            Pick::Range(range) => rows_of_range(conn, sql, range, Rows(u64::MAX), budget),
            Pick::Keys(keys) => rows_of_keys(conn, sql, keys, budget),
        })
        .await
    }

    async fn chunk(
        &mut self,
        table: TableId,
        after: Option<&Bound>,
        rows: Rows,
        budget: Bytes,
        _sealed: bool,
    ) -> Result<Read> {
        let range = Range {
            lo: after.cloned(),
            hi: None,
        };
        self.read(table, "read rows", move |conn, sql| {
            rows_of_range(conn, sql, &range, rows, budget)
        })
        .await
    }

    async fn unfit(
        &mut self,
        table: TableId,
        range: &Range,
        holds: &[Holds],
        budget: Bytes,
    ) -> Result<Read> {
        let (range, holds) = (range.clone(), Arc::from(holds));
        self.read(table, "look for values that don't fit", move |conn, sql| {
            unfit::of_range(conn, sql, &range, &holds, budget)
        })
        .await
    }

    async fn inside(&mut self, table: TableId, range: &Range, keys: &[Key]) -> Result<Vec<bool>> {
        if range.lo.is_none() && range.hi.is_none() {
            // A statement without a bound has no place for the key either.
            return Ok(vec![true; keys.len()]);
        }
        let (range, keys) = (range.clone(), keys.to_vec());
        self.read(table, "place keys in a range", move |conn, sql| {
            let mut statement = conn.prepare_cached(&sql.inside(&range))?;
            let width = sql.key_width();
            keys.iter()
                .map(|key| {
                    bind(&mut statement, 1, key.parts())?;
                    bind(&mut statement, width + 1, bounds(&range))?;
                    let mut found = statement.raw_query();
                    found.next()?.map_or(Ok(false), |row| row.get(0))
                })
                .collect()
        })
        .await
    }

    async fn digest(&mut self, table: TableId, range: &Range) -> Result<Digest> {
        let range = range.clone();
        self.read(table, "hash rows", move |conn, sql| {
            let mut statement = conn.prepare_cached(&sql.rows_unordered(&range))?;
            bind(&mut statement, 1, bounds(&range))?;
            let mut digest = Digest::default();
            let mut hasher = RowHasher::new();
            let mut found = statement.raw_query();
            while let Some(row) = found.next()? {
                hash(&mut hasher, row, sql.width())?;
                digest.rows.0 += 1;
                digest.sum = digest.sum.wrapping_add(hasher.finish());
            }
            Ok(digest)
        })
        .await
    }

    async fn hashes(&mut self, table: TableId, range: &Range) -> Result<Vec<(Key, u128)>> {
        let range = range.clone();
        self.read(table, "hash rows one by one", move |conn, sql| {
            let mut statement = conn.prepare_cached(&sql.rows(&range))?;
            bind(&mut statement, 1, bounds(&range))?;
            let mut hasher = RowHasher::new();
            let mut hashes = Vec::new();
            let mut found = statement.raw_query();
            while let Some(row) = found.next()? {
                hash(&mut hasher, row, sql.width())?;
                hashes.push((sql.key_of(row)?, hasher.finish()));
            }
            Ok(hashes)
        })
        .await
    }

    async fn query(&mut self, sql: &str, params: &[Value], limit: u32) -> Result<ResultSet> {
        let (sql, params) = (sql.to_owned(), params.to_vec());
        let place = Arc::clone(&self.db.place);
        self.db
            .run(move |conn| query(conn, &place, &sql, &params, limit))
            .await
    }
}

fn rows_of_range(
    conn: &Connection,
    sql: &TableSql,
    range: &Range,
    most: Rows,
    budget: Bytes,
) -> rusqlite::Result<Read> {
    let mut statement = conn.prepare_cached(&sql.rows(range))?;
    bind(&mut statement, 1, bounds(range))?;
    let (mut rows, mut cut) = (Packed::for_chunk(), None);
    let mut found = statement.raw_query();
    while let Some(row) = found.next()? {
        pack(&mut rows, row, sql.width())?;
        let many = rows.len() as u64 > most.0 || rows.bytes() > budget;
        if rows.len() > 1 && many {
            cut = rows.pop().map(|row| sql.table().bound_of(&row));
            break;
        }
    }
    Ok(Read {
        rows: rows.into(),
        cut,
    })
}

fn rows_of_keys(
    conn: &Connection,
    sql: &TableSql,
    keys: &[Key],
    budget: Bytes,
) -> rusqlite::Result<Read> {
    let mut statement = conn.prepare_cached(&sql.row())?;
    let (mut rows, mut cut) = (Packed::default(), None);
    for key in keys {
        if !rows.is_empty() && rows.bytes() >= budget {
            cut = Some(Bound(key.parts().into()));
            break;
        }
        bind(&mut statement, 1, key.parts())?;
        let mut found = statement.raw_query();
        if let Some(row) = found.next()? {
            pack(&mut rows, row, sql.width())?;
        }
    }
    Ok(Read {
        rows: rows.into(),
        cut,
    })
}

/// One read of the operator's. `COMMIT`, `ATTACH` and some pragmas also count as read-only statements, so the first word
/// decides as well; the connection itself cannot write.
pub(super) fn query(
    conn: &Connection,
    place: &Place,
    sql: &str,
    params: &[Value],
    limit: u32,
) -> Result<ResultSet> {
    let not_a_read = |why| refused::not_a_read(why, "SELECT, VALUES, WITH or EXPLAIN");
    let doing = "run the query";
    let tokens = super::ddl::tokens(sql).unwrap_or_default();
    let first = tokens.first().and_then(|token| token.name(sql));
    let reads = ["select", "values", "with", "explain"];
    if !first.is_some_and(|word| reads.iter().any(|read| word.eq_ignore_ascii_case(read))) {
        return Err(not_a_read("it begins with another word"));
    }
    let end = tokens
        .iter()
        .position(|token| token.kind == TokenKind::Punct(b';'));
    if end.is_some_and(|end| end + 1 < tokens.len()) {
        return Err(not_a_read("it is more than one statement"));
    }
    let mut statement = conn.prepare(sql).or_fault(place, doing)?;
    if !statement.readonly() {
        return Err(not_a_read("it would write"));
    }
    if statement.parameter_count() != params.len() {
        return Err(refused::parameters(
            statement.parameter_count(),
            params.len(),
        ));
    }
    let columns = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let width = columns.len();
    bind(&mut statement, 1, params).or_fault(place, doing)?;
    let mut result = ResultSet {
        columns,
        ..ResultSet::default()
    };
    let mut found = statement.raw_query();
    while let Some(row) = found.next().or_fault(place, doing)? {
        if result.rows.len() >= limit as usize {
            result.more = true;
            break;
        }
        result
            .rows
            .push(cells(row, 0, width).or_fault(place, doing)?);
    }
    Ok(result)
}
