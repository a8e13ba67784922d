//! One row of the chain, and the statements that read and write it.

use super::chain::{Hash, seal};
use super::{Anchor, Draft};
use crate::domain::event::Event;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{CommandId, Seq, SessionId};
use crate::domain::unit::{At, Tick};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Row as _, Sqlite, query::Query};
use std::sync::LazyLock;

/// A fact as it is stored and hashed: its body is the very text that is hashed, so no form of JSON has to be canonical.
pub(super) struct Record {
    pub(super) at: i64,
    pub(super) tick: u64,
    pub(super) cause: Option<(u64, u64)>,
    pub(super) body: String,
}

/// A row of the chain: its place, the hash before it, its own, and the content.
pub(super) type Linked = (u64, Vec<u8>, Vec<u8>, Record);

/// Rows in one INSERT: a statement costs a hand-over between threads, so a group of facts takes few.
const BLOCK: usize = 64;

const INSERT_ONE: &str = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

static INSERT_BLOCK: LazyLock<String> =
    LazyLock::new(|| INSERT_ONE.to_owned() + &", (?, ?, ?, ?, ?, ?, ?, ?)".repeat(BLOCK - 1));

impl Record {
    pub(super) fn of(draft: &Draft) -> Result<Self> {
        let body = serde_json::to_string(&draft.body).map_err(|e| {
            Fault::new(Kind::Own, "a fact can't be written down")
                .code("JOURNAL-LOST")
                .cause(e)
        })?;
        Ok(Self {
            at: draft.at.0,
            tick: draft.tick.0,
            cause: draft.cause.map(|(session, command)| (session.0, command.0)),
            body,
        })
    }

    pub(super) fn copy(&self) -> Self {
        Self {
            body: self.body.clone(),
            ..*self
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.body.len() + size_of::<Self>()
    }

    // SQLite's integers are signed; ids and ticks keep their 64 bits either way.
    fn read(row: &SqliteRow) -> sqlx::Result<(u64, Self)> {
        let session: Option<i64> = row.try_get(3)?;
        let command: Option<i64> = row.try_get(4)?;
        let record = Self {
            at: row.try_get(1)?,
            tick: row.try_get::<i64, _>(2)? as u64,
            cause: session.zip(command).map(|(s, c)| (s as u64, c as u64)),
            body: row.try_get(5)?,
        };
        Ok((row.try_get::<i64, _>(0)? as u64, record))
    }

    fn linked(row: &SqliteRow) -> sqlx::Result<Linked> {
        let (seq, record) = Self::read(row)?;
        Ok((seq, row.try_get(6)?, row.try_get(7)?, record))
    }

    /// Records from `from` on, in order.
    pub(super) fn stream(
        conn: &mut SqliteConnection,
        from: Seq,
        limit: u32,
    ) -> BoxStream<'_, sqlx::Result<(u64, Self)>> {
        sqlx::query(
            "SELECT seq, at, tick, session, command, body FROM record WHERE seq >= ? ORDER BY seq LIMIT ?",
        )
            .bind(from.0 as i64)
            .bind(i64::from(limit))
            .fetch(conn)
            .map(|row| row.and_then(|row| Self::read(&row)))
            .boxed()
    }

    /// Every record with its links, in order of place.
    pub(super) fn stream_all(conn: &mut SqliteConnection) -> BoxStream<'_, sqlx::Result<Linked>> {
        sqlx::query(
            "SELECT seq, at, tick, session, command, body, prev, hash FROM record ORDER BY seq",
        )
        .fetch(conn)
        .map(|row| row.and_then(|row| Self::linked(&row)))
        .boxed()
    }

    /// Records elsewhere than at `seq` that say they follow the one with hash `prev`.
    pub(super) fn stream_following(
        conn: &mut SqliteConnection,
        prev: Hash,
        seq: u64,
    ) -> BoxStream<'_, sqlx::Result<Linked>> {
        sqlx::query(
            "SELECT seq, at, tick, session, command, body, prev, hash FROM record WHERE prev = ? AND seq <> ?",
        )
        .bind(prev.0.to_vec())
        .bind(seq as i64)
        .fetch(conn)
        .map(|row| row.and_then(|row| Self::linked(&row)))
        .boxed()
    }

    /// The last `count` records with their links, newest first.
    pub(super) async fn last(conn: &mut SqliteConnection, count: u32) -> sqlx::Result<Vec<Linked>> {
        sqlx::query(
            "SELECT seq, at, tick, session, command, body, prev, hash FROM record ORDER BY seq DESC LIMIT ?",
        )
        .bind(i64::from(count))
        .fetch_all(conn)
        .await?
        .iter()
        .map(Self::linked)
        .collect()
    }

    /// Back to what everybody reads.
    pub(super) fn event(self, seq: u64) -> Result<Event> {
        let body = serde_json::from_str(&self.body).map_err(|e| {
            Fault::new(
                Kind::Own,
                format!("record {seq} of the journal is of a form that this version does not know"),
            )
            .code("JOURNAL-UNREADABLE")
            .cause(e)
            .hint("use the tidegate that wrote it")
        })?;
        Ok(Event {
            seq: Seq(seq),
            at: At(self.at),
            tick: Tick(self.tick),
            cause: self
                .cause
                .map(|(session, command)| (SessionId(session), CommandId(command))),
            body,
        })
    }
}

/// Inserts records after `head`, in the transaction that is open, and gives the new head.
pub(super) async fn insert(
    conn: &mut SqliteConnection,
    mut head: Anchor,
    records: Vec<Record>,
) -> sqlx::Result<Anchor> {
    let mut records = records.into_iter();
    loop {
        let whole_block = records.len() >= BLOCK;
        let sql = if whole_block {
            &*INSERT_BLOCK
        } else {
            INSERT_ONE
        };
        let count = if whole_block { BLOCK } else { 1 };
        let mut query = sqlx::query(sql);
        let mut bound = 0;
        for record in records.by_ref().take(count) {
            let seq = head.seq.0 + 1;
            let hash = seal(&head.hash, seq, &record);
            query = bind(query, seq, record, head.hash, hash);
            head = Anchor {
                seq: Seq(seq),
                hash,
            };
            bound += 1;
        }
        if bound == 0 {
            return Ok(head);
        }
        query.execute(&mut *conn).await?;
    }
}

fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments<'q>>,
    seq: u64,
    record: Record,
    prev: Hash,
    hash: Hash,
) -> Query<'q, Sqlite, SqliteArguments<'q>> {
    query
        .bind(seq as i64)
        .bind(record.at)
        .bind(record.tick as i64)
        .bind(record.cause.map(|(session, _)| session as i64))
        .bind(record.cause.map(|(_, command)| command as i64))
        .bind(record.body)
        .bind(prev.0.to_vec())
        .bind(hash.0.to_vec())
}
