//! The journal's file: its tables, its version, and how connections to it are made.

use super::trouble;
use crate::domain::fault::{Fault, Kind, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::path::Path;
use std::time::Duration;

/// `TGJ1` in the file's header: a SQLite file that says something else is not ours.
const APPLICATION: i64 = 0x5447_4A31;

/// The version of the tables below. A file with a greater one is refused, never guessed at.
pub(super) const VERSION: i64 = 1;

/// `record` is the chain. The tables beside it are not chained: they hold what is too much for memory, are rebuilt from the
/// ledger or the next compare when they are lost, and decide nothing alone.
const TABLES: &str = "
CREATE TABLE record (
  seq     INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  tick    INTEGER NOT NULL,
  session INTEGER,
  command INTEGER,
  body    TEXT NOT NULL,
  prev    BLOB NOT NULL,
  hash    BLOB NOT NULL
) STRICT;
CREATE TABLE bounds (
  tbl INTEGER NOT NULL,
  no  INTEGER NOT NULL,
  lo  BLOB,
  hi  BLOB,
  PRIMARY KEY (tbl, no)
) STRICT, WITHOUT ROWID;
CREATE TABLE drift (
  tbl   INTEGER NOT NULL,
  no    INTEGER NOT NULL,
  key   BLOB NOT NULL,
  class INTEGER NOT NULL,
  since INTEGER NOT NULL,
  stale INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tbl, no, key)
) STRICT, WITHOUT ROWID;
";

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-512")
        .disable_statement_logging()
}

/// Opens for writing; the file must be there (an empty one is new). WAL with `synchronous = FULL`: COMMIT returns after the
/// write-ahead log is synced, and readers in other processes never wait for it.
pub(super) async fn connect_writer(path: &Path) -> Result<SqliteConnection> {
    let mut conn = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .map_err(|e| trouble::writing(path, &e))?;
    let (application, version) = identity(&mut conn, path).await?;
    if (application, version) == (0, 0) && is_empty(&mut conn, path).await? {
        create(&mut conn)
            .await
            .map_err(|e| trouble::writing(path, &e))?;
    } else {
        check(path, application, version)?;
    }
    Ok(conn)
}

/// Opens to read, also while an engine writes. A copy on a medium where SQLite can't make its shared-memory file is opened
/// as immutable, which is right as long as it has no write-ahead log beside it.
pub(super) async fn connect_reader(path: &Path) -> Result<SqliteConnection> {
    if !path.is_file() {
        return Err(Fault::new(
            Kind::Usage,
            format!("there is no journal at {}", path.display()),
        )
        .code("JOURNAL-MISSING")
        .hint("`tidegate list` shows what is there"));
    }
    let mut conn = match open_reader(options(path).read_only(true)).await {
        Ok(conn) => conn,
        Err(e) if has_log(path) => return Err(trouble::reading(path, &e)),
        Err(first) => open_reader(options(path).read_only(true).immutable(true))
            .await
            .map_err(|_| trouble::reading(path, &first))?,
    };
    let (application, version) = identity(&mut conn, path).await?;
    check(path, application, version)?;
    Ok(conn)
}

async fn open_reader(options: SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut conn = options.connect().await?;
    // Connecting alone reads nothing; a missing shared-memory file shows at the first read.
    conn.execute("SELECT count(*) FROM sqlite_schema").await?;
    Ok(conn)
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|m| m.len() > 0)
}

async fn identity(conn: &mut SqliteConnection, path: &Path) -> Result<(i64, i64)> {
    sqlx::query_as(
        "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(conn)
    .await
    .map_err(|e| trouble::reading(path, &e))
}

async fn is_empty(conn: &mut SqliteConnection, path: &Path) -> Result<bool> {
    sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_schema")
        .fetch_one(conn)
        .await
        .map(|n| n == 0)
        .map_err(|e| trouble::reading(path, &e))
}

async fn create(conn: &mut SqliteConnection) -> sqlx::Result<()> {
    let mut tx = conn.begin().await?;
    tx.execute(TABLES).await?;
    tx.execute(format!("PRAGMA application_id = {APPLICATION}").as_str())
        .await?;
    tx.execute(format!("PRAGMA user_version = {VERSION}").as_str())
        .await?;
    tx.commit().await
}

fn check(path: &Path, application: i64, version: i64) -> Result<()> {
    if application != APPLICATION {
        return Err(Fault::new(
            Kind::Usage,
            format!("{} is not a journal of tidegate", path.display()),
        )
        .code("JOURNAL-FOREIGN"));
    }
    if version > VERSION {
        return Err(Fault::new(
            Kind::Own,
            format!(
                "{} was written by a newer tidegate: its form is {version}, this one knows up to {VERSION}",
                path.display()
            ),
        )
        .code("JOURNAL-NEWER")
        .hint("use the newer tidegate; nothing was changed"));
    }
    Ok(())
}
