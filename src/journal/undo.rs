//! What repairs replaced, so that they can be undone.
//!
//! This is the one place outside the databases that holds rows. It is a file of its own, for the owner only (0600), so that
//! the journal can be replayed, reported and handed on without handing on data, and so that it can be deleted at the end
//! while the journal stays. Deleted rows are overwritten (`secure_delete`).

use super::cells::{decode, encode};
use super::trouble;
use crate::domain::fault::Result;
use crate::domain::id::{RepairId, TableId};
use crate::domain::key::Key;
use crate::domain::value::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// One row as it was before a repair.
#[derive(Debug, Clone, PartialEq)]
pub struct Before {
    /// Its place among everything that is kept, to read on from.
    pub no: u64,
    /// The table.
    pub table: TableId,
    /// The row's key.
    pub key: Key,
    /// The row; none where there was none, so that undoing removes it.
    pub row: Option<Row>,
}

/// The file of before-images.
pub struct UndoFile {
    conn: SqliteConnection,
    path: PathBuf,
}

impl UndoFile {
    /// Opens it, or makes it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        if !path.exists() {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|e| trouble::io(&path, &e))?;
        }
        let failed = |e| trouble::writing(&path, &e);
        // A rollback journal that is deleted with each commit: no copy of a row stays behind in a log.
        let mut conn = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .disable_statement_logging()
            .connect()
            .await
            .map_err(failed)?;
        conn.execute(
            "CREATE TABLE IF NOT EXISTS undo (
               no     INTEGER PRIMARY KEY,
               repair INTEGER NOT NULL,
               tbl    INTEGER NOT NULL,
               key    BLOB NOT NULL,
               row    BLOB,
               UNIQUE (repair, tbl, key)
             ) STRICT",
        )
        .await
        .map_err(failed)?;
        Ok(Self { conn, path })
    }

    /// Keeps what a repair replaced, durably. A key that the repair has touched before keeps its first image: that is the one
    /// to go back to.
    pub async fn keep(
        &mut self,
        repair: RepairId,
        table: TableId,
        before: &[(Key, Option<Row>)],
    ) -> Result<()> {
        let failed = |e| trouble::writing(&self.path, &e);
        let mut tx = self.conn.begin().await.map_err(failed)?;
        for (key, row) in before {
            sqlx::query(
                "INSERT INTO undo (repair, tbl, key, row) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(repair.0)
            .bind(table.0)
            .bind(encode(key.parts()))
            .bind(row.as_deref().map(encode))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        }
        tx.commit().await.map_err(failed)
    }

    /// What a repair replaced, in the order in which it was kept: what comes after place `after` (0 from the start), at most
    /// `limit` rows.
    pub async fn read(&mut self, repair: RepairId, after: u64, limit: u32) -> Result<Vec<Before>> {
        let failed = |e| trouble::reading(&self.path, &e);
        let rows = sqlx::query(
            "SELECT no, tbl, key, row FROM undo WHERE repair = ? AND no > ? ORDER BY no LIMIT ?",
        )
        .bind(repair.0)
        .bind(after as i64)
        .bind(limit)
        .fetch_all(&mut self.conn)
        .await
        .map_err(failed)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let key: Vec<u8> = row.try_get(2).map_err(failed)?;
            let cells: Option<Vec<u8>> = row.try_get(3).map_err(failed)?;
            found.push(Before {
                no: row.try_get::<i64, _>(0).map_err(failed)? as u64,
                table: TableId(row.try_get(1).map_err(failed)?),
                key: Key::normal(decode(&key)?, &[]),
                row: cells.map(|c| decode(&c)).transpose()?,
            });
        }
        Ok(found)
    }

    /// Forgets a repair that was undone.
    pub async fn forget(&mut self, repair: RepairId) -> Result<()> {
        sqlx::query("DELETE FROM undo WHERE repair = ?")
            .bind(repair.0)
            .execute(&mut self.conn)
            .await
            .map(drop)
            .map_err(|e| trouble::writing(&self.path, &e))
    }

    /// Deletes the file: at the end of a migration no row of it stays on the operator's disk.
    pub async fn destroy(mut self) -> Result<()> {
        let failed = |e| trouble::writing(&self.path, &e);
        self.conn
            .execute("DELETE FROM undo")
            .await
            .map_err(failed)?;
        self.conn
            .close()
            .await
            .map_err(|e| trouble::writing(&self.path, &e))?;
        tokio::fs::remove_file(&self.path)
            .await
            .map_err(|e| trouble::io(&self.path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::Value;
    use std::os::unix::fs::PermissionsExt as _;

    fn key(i: i64) -> Key {
        Key::normal([Value::Integer(i)], &[])
    }
    fn row(i: i64, text: &str) -> Row {
        Box::new([Value::Integer(i), Value::text(text), Value::Real(0.1)])
    }

    #[tokio::test]
    async fn keeps_the_first_image_in_order_and_leaves_no_row_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("undo.db");
        let mut undo = UndoFile::open(&path).await.unwrap();
        let (r1, r2, t) = (RepairId(1), RepairId(2), TableId(3));
        undo.keep(
            r1,
            t,
            &[(key(5), Some(row(5, "needle-one"))), (key(4), None)],
        )
        .await
        .unwrap();
        undo.keep(r1, t, &[(key(5), Some(row(5, "later")))])
            .await
            .unwrap();
        undo.keep(r2, t, &[(key(5), None)]).await.unwrap();
        drop(undo);

        let mut undo = UndoFile::open(&path).await.unwrap();
        let first = undo.read(r1, 0, 1).await.unwrap();
        assert_eq!(first[0].key, key(5));
        assert_eq!(first[0].row, Some(row(5, "needle-one")));
        let rest = undo.read(r1, first[0].no, 10).await.unwrap();
        assert_eq!(rest.len(), 1);
        assert_eq!((&rest[0].key, &rest[0].row), (&key(4), &None));

        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let holds = |needle: &str| {
            let bytes = std::fs::read(&path).unwrap();
            bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
        };
        assert!(holds("needle-one"));
        undo.forget(r1).await.unwrap();
        assert!(!holds("needle-one"));
        assert_eq!(undo.read(r1, 0, 10).await.unwrap(), []);
        assert_eq!(undo.read(r2, 0, 10).await.unwrap().len(), 1);
        undo.destroy().await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
