//! Counting against the application's own record: what it had acknowledged must be in the database, once.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

pub use super::app::status::Status;
use super::{
    app::{ack, status},
    error::{Doing, Result},
};

/// The outcome of a full count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Witnessed {
    /// Writes the application had acknowledged.
    pub acknowledged: u64,
    /// Of these, found in the database with the digest the application remembers.
    pub found: u64,
    /// Of these, not found, or found saying something else.
    pub lost: u64,
    /// Rows too many: a write that is there twice counts one.
    pub twice: u64,
    /// Acknowledged by each of the application's databases, in the order of [`Status::databases`].
    pub by_database: Vec<u64>,
    /// The first lost writes by number, at most ten.
    pub first_lost: Vec<u64>,
}

impl Witnessed {
    /// Something was acknowledged, and all of it is there exactly once.
    pub fn whole(&self) -> bool {
        self.acknowledged > 0
            && self.found == self.acknowledged
            && self.lost == 0
            && self.twice == 0
    }
}

/// Reads what the application says about itself.
///
/// # Errors
/// When it has not said anything yet, or the file is not its own.
pub fn status(control_dir: &Path) -> Result<Status> {
    let path = status::path(control_dir);
    let sentence = || {
        format!(
            "cannot read the application's status from {}",
            path.display()
        )
    };
    serde_json::from_slice(&std::fs::read(&path).doing(sentence)?).doing(sentence)
}

/// The line below the caption, such as `APPLICATION  acknowledged 318 · lost 0 · slowest 3 ms`. A loss nobody has counted
/// yet is a question mark, never a zero.
pub fn caption(status: &Status, lost: Option<u64>) -> String {
    let lost = lost.map_or_else(|| "?".to_owned(), grouped);
    let mut line = format!(
        "APPLICATION  acknowledged {} · lost {lost} · slowest {}",
        grouped(status.acknowledged),
        in_words(status.slowest_us)
    );
    if let Some(waiting) = status.waiting_us {
        line += &format!(" · waiting {}", in_words(waiting));
    }
    if status.failed_10s > 0 {
        line += &format!(" · failed {} in 10 s", grouped(status.failed_10s));
    }
    line
}

/// 58113 as `58,113`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn in_words(us: u64) -> String {
    match us {
        0..1_000 => format!("0.{} ms", us / 100),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

/// Counts every acknowledged write against `activity` in `database`, in one read transaction.
///
/// Records and rows are both read in the order of their numbers, so it takes no memory. To be fair the application should have
/// stopped: what it acknowledges after the count began is not looked at, and what it wrote meanwhile is not counted as too much.
///
/// # Errors
/// When either cannot be read, or the record is damaged.
pub fn count(ack_file: &Path, database: &Path) -> Result<Witnessed> {
    // The record first: what is in it was committed before the database is looked at.
    let acknowledgements = ack::AckReader::open(ack_file, 0)?;
    let db = reading(database)?;
    let mut result = Witnessed::default();
    let mut statement = db.prepare("SELECT op, digest FROM activity ORDER BY op")?;
    let mut rows = statement.query([])?;
    let mut next = || -> Result<Option<(u64, i64)>> {
        Ok(rows
            .next()?
            .map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?)))
            .transpose()?)
    };
    let mut row = next()?;
    let mut before = None;
    let mut pass = |row: &mut Option<(u64, i64)>, twice: &mut u64| -> Result<()> {
        let op = row.map(|(op, _)| op);
        *twice += u64::from(op == before);
        before = op;
        *row = next()?;
        Ok(())
    };
    for acknowledgement in acknowledgements {
        let acknowledgement = acknowledgement?;
        result.acknowledged += 1;
        let database = acknowledgement.database as usize;
        if result.by_database.len() <= database {
            result.by_database.resize(database + 1, 0);
        }
        result.by_database[database] += 1;
        while row.is_some_and(|(op, _)| op < acknowledgement.op) {
            pass(&mut row, &mut result.twice)?;
        }
        let mut found = false;
        while row.is_some_and(|(op, _)| op == acknowledgement.op) {
            found |= row.is_some_and(|(_, digest)| digest == acknowledgement.digest);
            pass(&mut row, &mut result.twice)?;
        }
        result.found += u64::from(found);
        if !found {
            result.lost += 1;
            if result.first_lost.len() < 10 {
                result.first_lost.push(acknowledgement.op);
            }
        }
    }
    while row.is_some() {
        pass(&mut row, &mut result.twice)?;
    }
    Ok(result)
}

/// Counts while the application runs: each look examines what was acknowledged since the last one.
///
/// It sees a write that never arrived. A row that vanished after it was looked at is found by [`count`].
#[derive(Debug)]
pub struct Running {
    ack_file: PathBuf,
    looked_at: u64,
    lost: u64,
}

impl Running {
    /// Begins with the first acknowledgement.
    pub fn new(ack_file: impl Into<PathBuf>) -> Self {
        Self {
            ack_file: ack_file.into(),
            looked_at: 0,
            lost: 0,
        }
    }

    /// Acknowledgements looked at so far.
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Looks for what is new in the database that owns the writes, and returns how many are lost in all.
    ///
    /// # Errors
    /// When either cannot be read; the next look begins where this one was.
    pub fn look(&mut self, owner: &Path) -> Result<u64> {
        let new = ack::AckReader::open(&self.ack_file, self.looked_at)?;
        let db = reading(owner)?;
        let mut find = db.prepare("SELECT 1 FROM activity WHERE op = ?1 AND digest = ?2")?;
        let (mut looked_at, mut lost) = (0, 0);
        for acknowledgement in new {
            let acknowledgement = acknowledgement?;
            let found = find
                .query_row((acknowledgement.op as i64, acknowledgement.digest), |_| {
                    Ok(())
                })
                .optional()?;
            looked_at += 1;
            lost += u64::from(found.is_none());
        }
        self.looked_at += looked_at;
        self.lost += lost;
        Ok(self.lost)
    }
}

fn reading(database: &Path) -> Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.execute_batch("BEGIN")?;
        db.query_row("SELECT 1 FROM activity LIMIT 1", [], |_| Ok(()))
            .optional()?;
        Ok(db)
    };
    open().doing(|| format!("cannot count in {}", database.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::app::ack::{Acknowledgement, Acknowledgements};

    fn case(acknowledged: &[(u64, i64)], rows: &[(u64, i64)]) -> (Witnessed, u64) {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = (dir.path().join("acknowledged"), dir.path().join("shop.db"));
        let mut acks = Acknowledgements::open(&file).unwrap();
        for (op, digest) in acknowledged {
            let database = u32::from(*op > 2);
            acks.append(&Acknowledgement {
                op: *op,
                digest: *digest,
                latency_us: 1,
                database,
            })
            .unwrap();
        }
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE activity (id INTEGER PRIMARY KEY, op INTEGER, digest INTEGER)",
        )
        .unwrap();
        for row in rows {
            db.execute("INSERT INTO activity (op, digest) VALUES (?1, ?2)", *row)
                .unwrap();
        }
        (
            count(&file, &path).unwrap(),
            Running::new(&file).look(&path).unwrap(),
        )
    }

    #[test]
    fn each_way_to_be_wrong_is_counted() {
        let all = [(1, 10), (2, -20), (3, 30)];
        let (whole, running) = case(&all, &all);
        assert_eq!(
            (
                whole.acknowledged,
                whole.found,
                whole.lost,
                whole.twice,
                running
            ),
            (3, 3, 0, 0, 0)
        );
        assert_eq!(whole.by_database, [2, 1]);
        assert!(whole.whole());

        let (lost, running) = case(&all, &[(1, 10), (3, 30)]);
        assert_eq!((lost.found, lost.lost, lost.twice, running), (2, 1, 0, 1));
        assert_eq!(lost.first_lost, [2]);
        assert!(!lost.whole());

        let (altered, running) = case(&all, &[(1, 10), (2, 21), (3, 30)]);
        assert_eq!(
            (altered.found, altered.lost, running),
            (2, 1, 1),
            "another digest is another write"
        );

        let (twice, _) = case(
            &all,
            &[(1, 10), (2, -20), (3, 30), (3, 30), (3, 30), (1, 10)],
        );
        assert_eq!((twice.found, twice.lost, twice.twice), (3, 0, 3));
        assert!(!twice.whole());

        let (unasked, _) = case(&all[..2], &[(1, 10), (2, -20), (3, 30), (4, 40), (4, 40)]);
        assert_eq!(
            (unasked.found, unasked.lost, unasked.twice),
            (2, 0, 1),
            "committed without an answer is no loss"
        );

        assert!(
            !case(&[], &all).0.whole(),
            "nothing acknowledged proves nothing"
        );
    }

    #[test]
    fn a_running_count_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = (dir.path().join("acknowledged"), dir.path().join("shop.db"));
        let mut acks = Acknowledgements::open(&file).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE activity (id INTEGER PRIMARY KEY, op INTEGER, digest INTEGER)",
        )
        .unwrap();
        let mut running = Running::new(&file);
        for op in 1..=5 {
            acks.append(&Acknowledgement {
                op,
                digest: 0,
                latency_us: 1,
                database: 0,
            })
            .unwrap();
            if op != 4 {
                db.execute("INSERT INTO activity (op, digest) VALUES (?1, 0)", [op])
                    .unwrap();
            }
            assert_eq!(running.look(&path).unwrap(), u64::from(op >= 4));
            assert_eq!(running.looked_at(), op);
        }
    }

    #[test]
    fn the_caption_says_what_is_known() {
        let mut status = Status {
            acknowledged: 58_113,
            slowest_us: 3_400,
            ..Status::default()
        };
        assert_eq!(
            caption(&status, Some(0)),
            "APPLICATION  acknowledged 58,113 · lost 0 · slowest 3 ms"
        );
        status.slowest_us = 450;
        status.waiting_us = Some(1_250_000);
        assert_eq!(
            caption(&status, None),
            "APPLICATION  acknowledged 58,113 · lost ? · slowest 0.4 ms · waiting 1.2 s"
        );
    }
}
