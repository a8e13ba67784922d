//! SQLite to PostgreSQL with change capture on, against `pgloader`: the same rows into an empty database, with their key. What is
//! timed is the whole program, of tidegate from its start with preflight until everything is copied.
//!
//! `cargo bench --bench sqlite_to_postgres`

mod machine;
mod servers;

use rusqlite::Connection;
use servers::program::{Migration, Took, peer, tied, timed};
use servers::turns::{self, Entry};
use servers::{Pair, rounds, rows, scratch};
use std::path::{Path, PathBuf};

/// Asked for, as a part of pgloader's time.
const OF_PGLOADER: f64 = 0.3;

fn main() {
    machine::print();
    let pgloader = peer("pgloader", "apt-get install pgloader");
    let scratch = scratch();
    let source = scratch.path().join("source.db");
    fill(&source);
    let pair = Pair::start();
    let stage = Stage {
        pair: &pair,
        scratch: scratch.path(),
        source,
    };
    let mut entries = vec![Entry::new("tidegate", None, |round| stage.tidegate(round))];
    if let Some(program) = &pgloader {
        let stage = &stage;
        entries.push(Entry::new("pgloader", Some(OF_PGLOADER), move |_| {
            stage.pgloader(program)
        }));
    }
    let what = format!(
        "{} rows of four columns, with the most memory they took",
        rows()
    );
    let medians = turns::take(&what, rounds(), &mut entries);
    println!(
        "tidegate: {:.0} rows/s",
        rows() as f64 / medians[0].as_secs_f64()
    );
}

fn fill(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE payment (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, cents INTEGER NOT NULL, note TEXT);
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {})
         INSERT INTO payment SELECT n, n * 7919 % 100000, n % 9973, 'payment ' || n FROM n;
         PRAGMA wal_checkpoint(TRUNCATE)",
        rows()
    ))
    .unwrap();
}

struct Stage<'a> {
    pair: &'a Pair,
    scratch: &'a Path,
    source: PathBuf,
}

impl Stage<'_> {
    fn tidegate(&self, round: usize) -> Took {
        // A source of its own for each round: one that nobody has captured yet.
        let fresh = self.scratch.join(format!("source{round}.db"));
        std::fs::copy(&self.source, &fresh).unwrap();
        self.begin("by_tidegate");
        let migration = Migration::new(
            self.scratch.join(format!("tidegate{round}")),
            &format!("bench_{round}"),
            &format!("sqlite://{}", fresh.display()),
            &self.pair.target.url("by_tidegate"),
        );
        let took = migration.until("catch-up");
        self.end("by_tidegate");
        took
    }

    fn pgloader(&self, program: &Path) -> Took {
        self.begin("by_pgloader");
        let work = tempfile::tempdir_in(self.scratch).unwrap();
        let ran = timed(
            tied(program)
                .arg("--root-dir")
                .arg(work.path())
                .arg(format!("sqlite://{}", self.source.display()))
                .arg(format!(
                    "pgsql://{}",
                    self.pair.target.address("by_pgloader")
                )),
        );
        ran.expect(0);
        self.end("by_pgloader");
        ran.took
    }

    /// An empty database on the target.
    fn begin(&self, database: &str) {
        self.pair.target.fresh(database);
        self.pair.flush();
    }

    /// Everything is there, with its key; and away with it, so that nothing is cleaned up in the next one's time.
    fn end(&self, database: &str) {
        let target = &self.pair.target;
        let found = target.text(
            database,
            "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(account) || ' ' || sum(cents) FROM payment",
        );
        let there: String = Connection::open(&self.source)
            .unwrap()
            .query_row(
                "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(account) || ' ' || sum(cents) FROM payment",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(found, there, "everything is copied");
        let keys = "SELECT count(*) FROM pg_index WHERE indrelid = 'payment'::regclass AND indisprimary AND indisvalid";
        assert_eq!(target.text(database, keys), "1", "with its key");
        target.run(
            "postgres",
            &format!("DROP DATABASE {database} WITH (FORCE)"),
        );
    }
}
