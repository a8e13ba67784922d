//! The application of the demo: a process of its own that uses the shop all the time and counts for itself.
//!
//! It knows nothing of tidegate. After each COMMIT that returned it appends a record to a file outside both databases
//! ([`ack`]); that file, and not any database, says what was promised. It measures how long each transaction took, from the
//! first attempt to the COMMIT that worked, and publishes its figures several times a second ([`status`]).
//!
//! Durability: `synchronous = NORMAL` in WAL mode, what most SQLite applications run. A commit is in the kernel's page cache
//! when it returns, so killing any *process* loses nothing; the acknowledgement file rests on the same ground. A power cut
//! could take the last commits along, and the demo does not claim otherwise.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, ffi};

use self::{
    ack::{Acknowledgement, Acknowledgements},
    control::{Command, Order},
    status::{OpenTransaction, Status, Tally},
};
use super::error::{DemoError, Doing, Result};

pub mod ack;
pub mod control;
mod ops;
pub mod status;

/// How the application runs.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The database it begins with.
    pub db: PathBuf,
    /// Where its socket, its status and its acknowledgements are; made when it is not there.
    pub control_dir: PathBuf,
    /// Transactions a second to aim at; 0 writes nothing until told.
    pub writes_per_second: u32,
    /// Chooses what it does.
    pub seed: u64,
    /// Stop when stdin ends. The parent keeps the other end of that pipe and so cannot leave an orphan behind, however it dies.
    pub tethered: bool,
}

/// Waiting for a lock longer than this is one retry; between retries commands are heard and the status is published.
const BUSY: Duration = Duration::from_millis(100);
/// Between two attempts while the database refuses writes.
const RETRY: Duration = Duration::from_millis(2);
const PUBLISH: Duration = Duration::from_millis(150);
/// What could not be written in time is caught up for at most this much; the rest is let go, as users would.
const DEBT: f64 = 0.25;
const MOST_OPEN: usize = 8;

/// Runs until told to stop (or, when tethered, until stdin ends) and returns the last status.
///
/// It finishes the transaction it is in. A thread that waits for stdin may be left; the caller is expected to exit.
///
/// # Errors
/// When the database or the control directory cannot be used, or another application uses the directory.
pub fn run_app(options: AppOptions) -> Result<Status> {
    std::fs::create_dir_all(&options.control_dir)
        .doing(|| format!("cannot write to {}", options.control_dir.display()))?;
    let (ear, orders) = control::listen(&options.control_dir, options.tethered)?;
    let acks = Acknowledgements::open(&ack::path(&options.control_dir))?;
    let db = connect(&options.db)?;
    let in_db: u64 = db
        .query_row("SELECT coalesce(max(op), 0) FROM activity", [], |row| {
            row.get(0)
        })
        .doing(|| format!("{} is not the demo's shop", options.db.display()))?;
    let next = acks.last().max(in_db) + 1;
    let mut app = App {
        tally: Tally::new(Instant::now()),
        databases: vec![options.db],
        current: 0,
        dir: options.control_dir,
        rate: f64::from(options.writes_per_second),
        seed: options.seed,
        errors: None,
        open: Vec::new(),
        stopping: false,
        published: None,
        last_error: None,
        db,
        acks,
        next,
        orders,
    };
    app.work()?;
    drop(ear);
    app.publish(None, true)
}

struct App {
    db: Connection,
    databases: Vec<PathBuf>,
    current: usize,
    dir: PathBuf,
    acks: Acknowledgements,
    orders: Receiver<Order>,
    tally: Tally,
    next: u64,
    seed: u64,
    rate: f64,
    /// Percent of the transactions that fail, until then.
    errors: Option<(f64, Instant)>,
    /// Connections that hold a transaction open, until then.
    open: Vec<(String, Instant, Connection)>,
    stopping: bool,
    published: Option<Instant>,
    last_error: Option<String>,
}

enum Attempt {
    Done { digest: i64 },
    Again(rusqlite::Error),
    Failed(rusqlite::Error),
}

impl App {
    fn work(&mut self) -> Result<()> {
        let mut before = Instant::now();
        let mut due = 0.0_f64;
        while !self.stopping {
            let now = Instant::now();
            due = (due + self.rate * now.duration_since(before).as_secs_f64())
                .min((self.rate * DEBT).max(1.0));
            before = now;
            // At least once a round, or a rate that cannot be met would make it deaf.
            self.listen(Duration::ZERO);
            while due >= 1.0 && !self.stopping && before.elapsed() < RETRY {
                due -= 1.0;
                self.write()?;
            }
            self.tend(None)?;
            if due < 1.0 {
                let wait = if self.rate > 0.0 {
                    (1.0 - due) / self.rate
                } else {
                    1.0
                };
                self.listen(Duration::from_secs_f64(wait.clamp(0.000_5, 0.02)));
            }
        }
        Ok(())
    }

    /// One transaction, tried until it is committed, refused for good, or the application is told to stop.
    fn write(&mut self) -> Result<()> {
        let op = self.next;
        self.next += 1;
        let begun = Instant::now();
        let faulty = self.is_faulty(op, begun);
        let mut attempts = 0_u32;
        loop {
            match self.attempt(op, faulty, attempts > 0) {
                Attempt::Done { digest } => {
                    let now = Instant::now();
                    let took = now - begun;
                    let latency_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
                    let database = u32::try_from(self.current).unwrap_or(u32::MAX);
                    self.acks.append(&Acknowledgement {
                        op,
                        digest,
                        latency_us,
                        database,
                    })?;
                    self.tally.acknowledged(now, took);
                    return Ok(());
                }
                Attempt::Failed(error) => {
                    self.tally.failed(Instant::now());
                    self.last_error = Some(error.to_string());
                    return Ok(());
                }
                Attempt::Again(error) => {
                    attempts += 1;
                    self.tally.retried();
                    self.last_error = Some(error.to_string());
                    self.tend(Some(begun))?;
                    self.listen(RETRY);
                    if self.stopping {
                        // Nobody was promised this one.
                        self.tally.failed(Instant::now());
                        return Ok(());
                    }
                }
            }
        }
    }

    fn attempt(&mut self, op: u64, faulty: bool, again: bool) -> Attempt {
        let at_ms = unix_ms();
        let mut run = || -> rusqlite::Result<i64> {
            let tx = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            // A COMMIT that returned an error may have worked. Writing it twice would be worse than looking.
            if again && let Some(digest) = ops::recorded(&tx, op)? {
                return Ok(digest);
            }
            let digest = ops::perform(&tx, op, self.seed, at_ms)?;
            if faulty {
                ops::blunder(&tx)?;
            }
            tx.commit()?;
            Ok(digest)
        };
        match run() {
            Ok(digest) => Attempt::Done { digest },
            Err(error) if passes(&error) => Attempt::Again(error),
            Err(error) => Attempt::Failed(error),
        }
    }

    fn is_faulty(&mut self, op: u64, now: Instant) -> bool {
        match self.errors {
            Some((_, until)) if now >= until => {
                self.errors = None;
                false
            }
            Some((percent, _)) => fastrand::Rng::with_seed(self.seed ^ !op).f64() * 100.0 < percent,
            None => false,
        }
    }

    /// Ends held transactions that are over, and publishes when it is time.
    fn tend(&mut self, waiting_since: Option<Instant>) -> Result<()> {
        let now = Instant::now();
        self.open.retain(|(_, until, _)| now < *until);
        if self.published.is_none_or(|at| now - at >= PUBLISH) {
            self.publish(waiting_since, false)?;
        }
        Ok(())
    }

    fn publish(&mut self, waiting_since: Option<Instant>, stopped: bool) -> Result<Status> {
        let now = Instant::now();
        self.published = Some(now);
        let open = self.open.iter().map(|(name, until, _)| OpenTransaction {
            name: name.clone(),
            ends_in_ms: until.saturating_duration_since(now).as_millis() as u64,
        });
        let status = Status {
            at_ms: unix_ms().unsigned_abs(),
            pid: std::process::id(),
            databases: self.databases.clone(),
            current: self.current,
            rate: self.rate,
            open_transactions: open.collect(),
            waiting_us: waiting_since.map(|since| (now - since).as_micros() as u64),
            last_error: self.last_error.clone(),
            stopped,
            ..self.tally.status(now)
        };
        status::write(&self.dir, &status)?;
        Ok(status)
    }

    /// Waits for commands for at most so long and obeys those that came.
    fn listen(&mut self, wait: Duration) {
        let mut order = if wait.is_zero() {
            self.orders.try_recv().ok()
        } else {
            match self.orders.recv_timeout(wait) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    // The ear lives as long as the application; without it nobody could stop it.
                    self.stopping = true;
                    None
                }
            }
        };
        while let Some(Order { command, answer }) = order {
            let outcome = self.obey(command);
            if let Some(answer) = answer {
                // Whoever asked may have gone.
                let _ = answer.try_send(outcome.map_err(|error| error.to_string()));
            }
            order = self.orders.try_recv().ok();
        }
    }

    fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Rate(rate) => self.rate = f64::from(rate),
            Command::Errors { percent, lasts } => {
                self.errors = Some((percent, Instant::now() + lasts))
            }
            Command::OpenTransaction { name, lasts } => {
                if self.open.len() >= MOST_OPEN {
                    return Err(DemoError::new(format!(
                        "{MOST_OPEN} transactions are held open already"
                    )));
                }
                let db = connect(&self.databases[self.current])?;
                // A report reads: it holds its snapshot and keeps the log from being reset, but blocks no writer.
                db.execute_batch("BEGIN; SELECT count(*) FROM (SELECT 1 FROM orders LIMIT 1);")?;
                self.open.push((name, Instant::now() + lasts, db));
            }
            Command::Switch(path) => {
                let db = connect(&path)?;
                db.query_row("SELECT max(op) FROM activity", [], |_| Ok(()))
                    .doing(|| format!("{} is not the demo's shop", path.display()))?;
                self.db = db;
                self.current = self
                    .databases
                    .iter()
                    .position(|known| *known == path)
                    .unwrap_or_else(|| {
                        self.databases.push(path);
                        self.databases.len() - 1
                    });
            }
            Command::Stop => self.stopping = true,
        }
        Ok(())
    }
}

/// Whether the same transaction may work when tried again: a lock, or a gate that is closed (a trigger that raises).
fn passes(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, SchemaChanged};
    error.sqlite_error().is_some_and(|e| {
        matches!(e.code, DatabaseBusy | DatabaseLocked | SchemaChanged)
            || e.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER
    })
}

fn connect(path: &Path) -> Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    };
    open().doing(|| format!("the application cannot open {}", path.display()))
}

fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}
