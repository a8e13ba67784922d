//! Reading a journal: a live one beside its engine, or a copy. Never locks anybody out, holds a bounded piece in memory.

use super::chain::{Anchor, Hash};
use super::record::Record;
use super::{schema, trouble};
use crate::domain::event::Event;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::Seq;
use crate::domain::unit::{At, Tick};
use futures_util::TryStreamExt as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One call gives at most this much of bodies (but at least one event).
const PIECE: usize = 4 << 20;

/// One reader of one journal. Every task that reads has its own.
pub struct Reader {
    pub(super) conn: SqliteConnection,
    pub(super) path: PathBuf,
}

impl Reader {
    /// Opens the journal in `file`: a `journal.db`, or a copy of one under any name. Opening a journal of a newer form is
    /// refused.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self> {
        let path = file.as_ref().to_owned();
        let conn = schema::connect_reader(&path).await?;
        Ok(Self { conn, path })
    }

    /// The file it reads.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Events from `from` on, in order, without gaps: at most `limit` and at most 4 MB of them (but at least one). Empty at
    /// the end.
    pub async fn events(&mut self, from: Seq, limit: u32) -> Result<Vec<Event>> {
        let unreadable = |e| trouble::reading(&self.path, &e);
        let mut records = Record::stream(&mut self.conn, from, limit);
        let mut events: Vec<Event> = Vec::new();
        let mut bytes = 0;
        let mut expected = from.0.max(1);
        while let Some((seq, record)) = records.try_next().await.map_err(unreadable)? {
            if seq != expected {
                return Err(Fault::new(
                    Kind::Own,
                    format!("record {expected} is missing from the journal"),
                )
                .code("JOURNAL-BROKEN")
                .hint("`tidegate audit` tells what was changed"));
            }
            expected += 1;
            bytes += record.weight();
            events.push(record.event(seq)?);
            if bytes >= PIECE {
                break;
            }
        }
        Ok(events)
    }

    /// Like [`Reader::events`], but waits until there is at least one, looking every `every`. Cancel-safe.
    pub async fn tail(&mut self, from: Seq, limit: u32, every: Duration) -> Result<Vec<Event>> {
        loop {
            let events = self.events(from, limit).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            tokio::time::sleep(every).await;
        }
    }

    /// The last record and its hash; [`Anchor::START`] when there is none.
    pub async fn head(&mut self) -> Result<Anchor> {
        head(&mut self.conn)
            .await
            .map_err(|e| trouble::reading(&self.path, &e))
    }

    /// The first record that was written at or after `at` by the wall clock; the one after the last if there is none. Where
    /// the clock was set back in between, one of the places that fit.
    pub async fn find(&mut self, at: At) -> Result<Seq> {
        self.bisect("SELECT at < ? FROM record WHERE seq = ?", at.0)
            .await
    }

    /// The first record that was made after `tick` on the migration's clock; the one after the last if there is none.
    pub async fn after(&mut self, tick: Tick) -> Result<Seq> {
        let tick = i64::try_from(tick.0).unwrap_or(i64::MAX);
        self.bisect("SELECT tick <= ? FROM record WHERE seq = ?", tick)
            .await
    }

    /// The first record for which `sql` does not say that it is before.
    async fn bisect(&mut self, sql: &'static str, value: i64) -> Result<Seq> {
        let (mut low, mut high) = (1, self.head().await?.seq.0 + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let before = sqlx::query_scalar::<_, bool>(sql)
                .bind(value)
                .bind(middle as i64)
                .fetch_one(&mut self.conn)
                .await
                .map_err(|e| trouble::reading(&self.path, &e))?;
            if before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(Seq(low))
    }

    /// Writes a consistent copy as one file that can be replayed and audited anywhere, while the engine writes on. Refuses
    /// to overwrite. The copy holds facts, chunk bounds and differing keys, never rows.
    pub async fn export(&mut self, to: &Path) -> Result<()> {
        let failed = |cause: String| {
            Fault::new(
                Kind::Own,
                format!("the journal can't be copied to {}", to.display()),
            )
            .cause(cause)
        };
        if to.exists() {
            return Err(Fault::new(
                Kind::Usage,
                format!("{} is there already", to.display()),
            ));
        }
        let name = to
            .to_str()
            .ok_or_else(|| failed("its name is not UTF-8".into()))?;
        // Never copied as a file: closing another descriptor of it would drop SQLite's locks in this process.
        sqlx::query("VACUUM INTO ?")
            .bind(name)
            .execute(&mut self.conn)
            .await
            .map_err(|e| failed(e.to_string()))?;
        let file = tokio::fs::File::open(to)
            .await
            .map_err(|e| failed(e.to_string()))?;
        file.sync_all().await.map_err(|e| failed(e.to_string()))
    }

    /// Ends reading.
    pub async fn close(self) {
        // A read-only connection has nothing left to write: failing to close loses nothing.
        let _ = self.conn.close().await;
    }
}

pub(super) async fn head(conn: &mut SqliteConnection) -> sqlx::Result<Anchor> {
    let last = sqlx::query_as::<_, (i64, Vec<u8>)>(
        "SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1",
    )
    .fetch_optional(conn)
    .await?;
    let Some((seq, hash)) = last else {
        return Ok(Anchor::START);
    };
    let hash = Hash::from_slice(&hash)
        .ok_or_else(|| sqlx::Error::Decode("the last record's hash is not one".into()))?;
    Ok(Anchor {
        seq: Seq(seq as u64),
        hash,
    })
}
