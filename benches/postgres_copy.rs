//! PostgreSQL to PostgreSQL with change capture on: `pgbench_accounts` with its key, against the two COPY statements and a pipe
//! into a table that has its key already, and against `pgcopydb clone`. What is timed of tidegate and of pgcopydb is the whole
//! program on an empty database, from its start until it has ended; tidegate ends when everything is copied. pgcopydb makes the
//! key when the rows are there, and ends with a VACUUM.
//!
//! `cargo bench --bench postgres_copy`

mod machine;
mod servers;

use servers::program::{Migration, Took, peer, tied, timed};
use servers::turns::{self, Entry};
use servers::{ACCOUNTS, CREATE_ACCOUNTS, Pair, rounds, scratch};
use std::path::Path;

const SOURCE: &str = "shop";
/// Asked for, as a part of the pipe's time and of pgcopydb's.
const OF_PIPE: f64 = 1.15;
const OF_PGCOPYDB: f64 = 1.0;

fn main() {
    machine::print();
    let pgcopydb = peer("pgcopydb", "apt-get install pgcopydb");
    let scratch = scratch();
    let pair = Pair::start();
    let rows = pair.source.accounts(SOURCE);
    let stage = Stage {
        pair: &pair,
        scratch: scratch.path(),
        rows,
    };
    let mut entries = vec![
        Entry::new("tidegate", None, |round| stage.tidegate(round)),
        Entry::new("COPY | COPY", Some(OF_PIPE), |_| stage.pipe()),
    ];
    if let Some(program) = &pgcopydb {
        let stage = &stage;
        let jobs: [(&str, &[&str]); 2] = [
            ("pgcopydb, 1 table job", &["--table-jobs", "1"]),
            ("pgcopydb, its own jobs", &[]),
        ];
        entries.extend(jobs.map(|(name, jobs)| {
            Entry::new(name, Some(OF_PGCOPYDB), move |_| {
                stage.pgcopydb(program, jobs)
            })
        }));
    }
    let what = format!("{rows} rows of {ACCOUNTS}, of programs with the most memory they took");
    let medians = turns::take(&what, rounds(), &mut entries);
    println!(
        "tidegate: {:.0} rows/s",
        rows as f64 / medians[0].as_secs_f64()
    );
}

struct Stage<'a> {
    pair: &'a Pair,
    scratch: &'a Path,
    rows: u64,
}

impl Stage<'_> {
    fn tidegate(&self, round: usize) -> Took {
        let url = self.begin("by_tidegate");
        let migration = Migration::new(
            self.scratch.join(format!("tidegate{round}")),
            &format!("bench_{round}"),
            &self.pair.source.url(SOURCE),
            &url,
        );
        let took = migration.until("catch-up");
        self.end("by_tidegate");
        self.pair.source.forget_migration(SOURCE);
        took
    }

    fn pipe(&self) -> Took {
        self.pair.target.fresh("by_pipe");
        self.pair.target.run("by_pipe", CREATE_ACCOUNTS);
        self.pair.flush();
        let took = self.pair.pipe(ACCOUNTS, SOURCE, "by_pipe");
        self.end("by_pipe");
        took
    }

    fn pgcopydb(&self, program: &Path, jobs: &[&str]) -> Took {
        let url = self.begin("by_pgcopydb");
        let work = tempfile::tempdir_in(self.scratch).unwrap();
        let ran = timed(
            tied(program)
                .args(["clone", "--source", &self.pair.source.url(SOURCE)])
                .args(["--target", &url])
                .arg("--dir")
                .arg(work.path().join("work"))
                .args(jobs),
        );
        ran.expect(0);
        self.end("by_pgcopydb");
        ran.took
    }

    /// An empty database on the target.
    fn begin(&self, database: &str) -> String {
        self.pair.target.fresh(database);
        self.pair.flush();
        self.pair.target.url(database)
    }

    /// Everything is there, with its key; and away with it, so that nothing is cleaned up in the next one's time.
    fn end(&self, database: &str) {
        let target = &self.pair.target;
        let count = target.text(database, &format!("SELECT count(*) FROM {ACCOUNTS}"));
        assert_eq!(count, self.rows.to_string(), "everything is copied");
        let keys = format!(
            "SELECT count(*) FROM pg_index WHERE indrelid = '{ACCOUNTS}'::regclass AND indisprimary AND indisvalid"
        );
        assert_eq!(target.text(database, &keys), "1", "with its key");
        target.run(
            "postgres",
            &format!("DROP DATABASE {database} WITH (FORCE)"),
        );
    }
}
