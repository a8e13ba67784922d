//! The one task that writes. It takes whatever has been asked for meanwhile into one transaction, syncs it, then answers.

use super::bounds;
use super::chain::{Hash, seal};
use super::paths::StateDir;
use super::reader;
use super::record::{self, Record};
use super::{Anchor, Beside, Counts, Opening, reserve, schema, trouble};
use crate::domain::event::Event;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::Seq;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

/// A transaction takes no more than this much: a burst must not make one commit last for ever.
const GROUP: usize = 4 << 20;

/// So many of the last records are checked against each other before more are chained to them.
const CHECKED: u32 = 256;

pub(super) struct Append {
    pub(super) records: Vec<Record>,
    pub(super) beside: Vec<Beside>,
    pub(super) weight: usize,
    pub(super) last: bool,
    pub(super) reply: oneshot::Sender<Result<u64>>,
    pub(super) _room: OwnedSemaphorePermit,
}

pub(super) enum Ask {
    Append(Append),
    Probe(oneshot::Sender<Result<Vec<Event>>>),
    Close(oneshot::Sender<Result<()>>),
}

pub(super) struct Writer {
    dir: StateDir,
    conn: Option<SqliteConnection>,
    inode: (u64, u64),
    head: Anchor,
    published: watch::Sender<Seq>,
    failed: Option<Fault>,
    counts: Arc<Counts>,
    _lock: File,
}

impl Writer {
    pub(super) async fn open(
        dir: &StateDir,
        opening: Opening,
        counts: Arc<Counts>,
    ) -> Result<(Self, watch::Receiver<Seq>)> {
        let path = dir.journal();
        if opening == Opening::Resume && !path.exists() {
            return Err(missing(&path));
        }
        let lock = lock(&dir.lock())?;
        create_file(&path)?;
        let mut conn = schema::connect_writer(&path).await?;
        let head = check_tail(&mut conn, &path).await?;
        match opening {
            Opening::Create if head != Anchor::START => {
                return Err(Fault::new(
                    Kind::Usage,
                    format!("{} holds a migration already", path.display()),
                )
                .code("JOURNAL-EXISTS")
                .hint("resume it, or choose another name"));
            }
            Opening::Resume if head == Anchor::START => return Err(missing(&path)),
            _ => {}
        }
        reserve::take(&dir.reserve()).await?;
        let (published, watched) = watch::channel(head.seq);
        let writer = Self {
            inode: inode(&path)?,
            dir: dir.clone(),
            conn: Some(conn),
            head,
            published,
            failed: None,
            counts,
            _lock: lock,
        };
        Ok((writer, watched))
    }

    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut next = asks.recv().await;
        while let Some(ask) = next.take() {
            match ask {
                Ask::Append(first) => next = self.group(first, &mut asks).await,
                Ask::Probe(reply) => {
                    let result = self.probe().await;
                    // Whoever asked may be gone; what was found is in the journal either way.
                    let _ = reply.send(result);
                }
                Ask::Close(reply) => {
                    let closed = self.close().await;
                    drop(self);
                    let _ = reply.send(closed);
                    return;
                }
            }
            if next.is_none() {
                next = asks.recv().await;
            }
        }
        // The last handle is gone, and with it everybody who could be told.
        let _ = self.close().await;
    }

    /// Writes `first` and what waits behind it; gives back the first ask that does not belong to the group.
    async fn group(&mut self, first: Append, asks: &mut mpsc::Receiver<Ask>) -> Option<Ask> {
        let mut weight = first.weight;
        let alone = first.last;
        let mut group = vec![first];
        let mut next = None;
        while !alone && weight < GROUP && next.is_none() {
            match asks.try_recv() {
                Ok(Ask::Append(more)) if !more.last => {
                    weight += more.weight;
                    group.push(more);
                }
                Ok(other) => next = Some(other),
                Err(_) => break,
            }
        }
        self.write(group).await;
        next
    }

    async fn write(&mut self, group: Vec<Append>) {
        let last = group.iter().any(|append| append.last);
        let mut records = Vec::new();
        let mut beside = Vec::new();
        let mut replies = Vec::with_capacity(group.len());
        let mut rooms = Vec::with_capacity(group.len());
        for append in group {
            let first = self.head.seq.0 + 1 + records.len() as u64;
            replies.push((first, append.reply));
            records.extend(append.records);
            beside.extend(append.beside);
            rooms.push(append._room);
        }
        let written = match (last, &self.failed) {
            (true, _) => self.commit_last(records, beside).await,
            (false, Some(fault)) => Err(fault.clone()),
            (false, None) => self.commit(records, beside).await,
        };
        drop(rooms);
        for (first, reply) in replies {
            // A caller that went away has left its facts recorded, as after a crash.
            let _ = reply.send(match &written {
                Ok(()) => Ok(first),
                Err(fault) => Err(fault.clone()),
            });
        }
    }

    async fn commit(&mut self, records: Vec<Record>, beside: Vec<Beside>) -> Result<()> {
        let path = self.dir.journal();
        let count = records.len() as u64;
        let done = match &mut self.conn {
            _ if records.is_empty() && beside.is_empty() => return Ok(()),
            None => Err(self.failed.clone().unwrap_or_else(|| gone(&path))),
            // Writes to a file that was deleted or replaced would succeed and be read by nobody.
            Some(_) if inode(&path).ok() != Some(self.inode) => Err(gone(&path)),
            Some(conn) => transact(conn, self.head, records, beside)
                .await
                .map_err(|e| trouble::writing(&path, &e)),
        };
        match done {
            Ok(head) => {
                self.head = head;
                self.counts.commits.fetch_add(1, Ordering::Relaxed);
                self.counts.records.fetch_add(count, Ordering::Relaxed);
                self.published.send_replace(head.seq);
                Ok(())
            }
            Err(fault) => {
                tracing::error!(%fault, "the journal stands still");
                self.failed = Some(fault.clone());
                self.roll_back().await;
                Err(fault)
            }
        }
    }

    /// Keeps the connection only where it is certain that nothing of the failed transaction is left in it.
    async fn roll_back(&mut self) {
        let Some(mut conn) = self.conn.take() else {
            return;
        };
        // SQLite has rolled back by itself after most errors and then refuses this one.
        let _ = conn.execute("ROLLBACK").await;
        match reader::head(&mut conn).await {
            Ok(head) if head == self.head => self.conn = Some(conn),
            _ => drop(conn.close().await),
        }
    }

    async fn commit_last(&mut self, records: Vec<Record>, beside: Vec<Beside>) -> Result<()> {
        if self.failed.is_none() {
            let copy = records.iter().map(Record::copy).collect();
            if self.commit(copy, beside.clone()).await.is_ok() {
                return Ok(());
            }
        }
        reserve::give_up(&self.dir.reserve()).await;
        let failed = self.failed.clone();
        if self.conn.is_none() {
            self.reopen().await?;
        }
        let written = self.commit(records, beside).await;
        // That the last words went in does not mean that there is room to go on.
        self.failed = failed;
        written
    }

    async fn probe(&mut self) -> Result<Vec<Event>> {
        let Some(failed) = &self.failed else {
            return Ok(Vec::new());
        };
        if failed.code == trouble::FULL_CODE {
            trouble::room_to_go_on(&self.dir.journal())?;
        }
        let found = self.reopen().await?;
        reserve::take(&self.dir.reserve()).await?;
        let path = self.dir.journal();
        if let Some(conn) = &mut self.conn {
            // Writes the file's first page again and syncs it, and means nothing.
            conn.execute(format!("PRAGMA user_version = {}", schema::VERSION).as_str())
                .await
                .map_err(|e| trouble::writing(&path, &e))?;
        }
        self.failed = None;
        Ok(found)
    }

    /// Opens the file anew and makes sure that it is still the one that was written. Gives the records in it that this
    /// writer does not know: a commit whose sync failed may have reached the disk all the same.
    async fn reopen(&mut self) -> Result<Vec<Event>> {
        if let Some(conn) = self.conn.take() {
            drop(conn.close().await);
        }
        let path = self.dir.journal();
        let mut conn = schema::connect_writer(&path).await?;
        match self.compare(&mut conn, &path).await {
            Ok((head, found)) => {
                self.inode = inode(&path)?;
                self.conn = Some(conn);
                self.head = head;
                self.published.send_replace(head.seq);
                Ok(found)
            }
            Err(fault) => {
                drop(conn.close().await);
                Err(fault)
            }
        }
    }

    async fn compare(
        &self,
        conn: &mut SqliteConnection,
        path: &Path,
    ) -> Result<(Anchor, Vec<Event>)> {
        let head = check_tail(conn, path).await?;
        let ours = sqlx::query_scalar::<_, Vec<u8>>("SELECT hash FROM record WHERE seq = ?")
            .bind(self.head.seq.0 as i64)
            .fetch_optional(&mut *conn)
            .await
            .map_err(|e| trouble::reading(path, &e))?;
        let known = self.head == Anchor::START
            || ours.and_then(|h| Hash::from_slice(&h)) == Some(self.head.hash);
        if !known {
            return Err(gone(path));
        }
        let mut found = Vec::new();
        let unknown = u32::try_from(head.seq.0 - self.head.seq.0).unwrap_or(u32::MAX);
        for (seq, _, _, record) in Record::last(conn, unknown)
            .await
            .map_err(|e| trouble::reading(path, &e))?
        {
            found.push(record.event(seq)?);
        }
        found.reverse();
        Ok((head, found))
    }

    async fn close(&mut self) -> Result<()> {
        let Some(mut conn) = self.conn.take() else {
            return Ok(());
        };
        // SQLite folds its log in when the last connection closes; a console may still be reading. Everything is durable
        // either way, so this failing only means that the log stays beside the file.
        let _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
        conn.close()
            .await
            .map_err(|e| trouble::writing(&self.dir.journal(), &e))
    }
}

async fn transact(
    conn: &mut SqliteConnection,
    head: Anchor,
    records: Vec<Record>,
    beside: Vec<Beside>,
) -> sqlx::Result<Anchor> {
    conn.execute("BEGIN IMMEDIATE").await?;
    let head = record::insert(conn, head, records).await?;
    bounds::write(conn, beside).await?;
    conn.execute("COMMIT").await?;
    Ok(head)
}

/// The head, after making sure that the last records follow from each other.
async fn check_tail(conn: &mut SqliteConnection, path: &Path) -> Result<Anchor> {
    let last = Record::last(conn, CHECKED)
        .await
        .map_err(|e| trouble::reading(path, &e))?;
    let mut head = Anchor::START;
    for (seq, prev, hash, record) in last.iter().rev() {
        let follows = head == Anchor::START || (*seq == head.seq.0 + 1 && *prev == head.hash.0);
        let sealed = Hash::from_slice(prev).map(|prev| seal(&prev, *seq, record));
        match sealed {
            Some(sealed) if follows && sealed.0 == **hash => {
                head = Anchor {
                    seq: Seq(*seq),
                    hash: sealed,
                }
            }
            _ => {
                return Err(Fault::new(
                    Kind::Own,
                    format!("record {seq} of {} was altered", path.display()),
                )
                .code("JOURNAL-BROKEN")
                .hint("`tidegate audit` tells more; `tidegate run --adopt` builds a new journal from both databases"));
            }
        }
    }
    Ok(head)
}

/// One process writes. The lock goes with the process, so a killed engine leaves none behind.
fn lock(path: &Path) -> Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| trouble::io(path, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is only told; that somebody does is known.
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another engine".to_owned(),
                pid => format!("another engine (process {pid})"),
            };
            return Err(
                Fault::new(Kind::Blocked, format!("{holder} writes this journal"))
                    .code("JOURNAL-HELD")
                    .hint("attach to it, or stop it first: `tidegate list`, `tidegate stop NAME`"),
            );
        }
        Err(TryLockError::Error(e)) => return Err(trouble::io(path, &e)),
    }
    file.set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(|e| trouble::io(path, &e))?;
    Ok(file)
}

/// Makes the file before SQLite does, to be the owner's only, and its entry in the folder durable.
fn create_file(path: &Path) -> Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => file
            .sync_all()
            .and_then(|()| File::open(path.parent().unwrap_or(path))?.sync_all())
            .map_err(|e| trouble::io(path, &e)),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(trouble::io(path, &e)),
    }
}

fn inode(path: &Path) -> Result<(u64, u64)> {
    let meta = std::fs::metadata(path).map_err(|e| trouble::io(path, &e))?;
    Ok((meta.dev(), meta.ino()))
}

fn missing(path: &Path) -> Fault {
    Fault::new(
        Kind::Usage,
        format!("there is no journal at {}", path.display()),
    )
    .code("JOURNAL-MISSING")
    .hint("`tidegate run --adopt` builds one from both databases")
}

fn gone(path: &Path) -> Fault {
    Fault::new(
        Kind::Own,
        format!(
            "{} is not the file any more that this engine writes",
            path.display()
        ),
    )
    .code("JOURNAL-LOST")
    .hint("put it back; the engine stands still meanwhile")
}
