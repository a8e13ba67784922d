//! A full compare of two PostgreSQL databases that nobody writes to: `pgbench_accounts`, first equal, then with ten rows changed,
//! by `tidegate verify A B` and by `reladiff` over all columns, with its own number of threads and with one for each core. What
//! is timed is the whole program; each must find what is there. tidegate proves a difference by
//! the servers' snapshots where nobody wrote meanwhile; where somebody did, and be it the servers' own upkeep, it reads what
//! differs again a second later, within the time that is shown, and calls it not proven. The answer is printed.
//!
//! `cargo bench --bench postgres_compare`

mod machine;
mod servers;

use serde_json::Value as Json;
use servers::program::{Took, peer, tidegate, tied, timed};
use servers::turns::{self, Entry};
use servers::{ACCOUNTS, CREATE_ACCOUNTS, Pair, rounds, scratch};
use std::cell::RefCell;
use std::path::Path;

const SOURCE: &str = "shop";
const TARGET: &str = "copy";
const CHANGED: u64 = 10;
/// Asked for, as a part of reladiff's time.
const OF_RELADIFF: f64 = 0.3;

fn main() {
    machine::print();
    let reladiff = peer("reladiff", "pip install 'reladiff[postgresql]'");
    let scratch = scratch();
    let pair = Pair::start();
    let rows = pair.source.accounts(SOURCE);
    pair.target.fresh(TARGET);
    pair.target.run(TARGET, CREATE_ACCOUNTS);
    pair.pipe(ACCOUNTS, SOURCE, TARGET);
    let stage = Stage {
        pair: &pair,
        scratch: scratch.path(),
        rows,
        answer: RefCell::default(),
    };
    stage.settle();
    for changed in [0, CHANGED] {
        let what = match changed {
            0 => format!("{rows} rows of {ACCOUNTS}, equal"),
            _ => {
                stage.change();
                format!("{rows} rows of {ACCOUNTS}, {changed} of them changed")
            }
        };
        let stage = &stage;
        let mut entries = vec![Entry::new("tidegate verify", None, move |_| {
            stage.tidegate(changed)
        })];
        if let Some(program) = &reladiff {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let threads: [(String, Vec<String>); 2] = [
                ("reladiff".into(), vec![]),
                (
                    format!("reladiff, {cores} threads"),
                    vec!["--threads".into(), cores.to_string()],
                ),
            ];
            entries.extend(threads.map(|(name, threads)| {
                Entry::new(name, Some(OF_RELADIFF), move |_| {
                    stage.reladiff(program, &threads, changed)
                })
            }));
        }
        turns::take(&what, rounds(), &mut entries);
        println!("tidegate's answer: {}", stage.answer.borrow());
    }
}

struct Stage<'a> {
    pair: &'a Pair,
    scratch: &'a Path,
    rows: u64,
    /// What tidegate said last.
    answer: RefCell<String>,
}

impl Stage<'_> {
    /// What the first reader of new rows would have to write, and what the planner wants to know.
    fn settle(&self) {
        let vacuum = format!("VACUUM (ANALYZE) {ACCOUNTS}");
        self.pair.source.run(SOURCE, &vacuum);
        self.pair.target.run(TARGET, &vacuum);
        self.pair.flush();
    }

    /// Changes rows of the target, far apart.
    fn change(&self) {
        let apart = self.rows / CHANGED;
        self.pair.target.run(
            TARGET,
            &format!(
                "UPDATE {ACCOUNTS} SET abalance = abalance + 1 \
                 WHERE aid IN (SELECT i * {apart} + 7 FROM generate_series(0, {CHANGED} - 1) i)"
            ),
        );
        let changed = format!("SELECT count(*) FROM {ACCOUNTS} WHERE abalance <> 0");
        assert_eq!(
            self.pair.target.text(TARGET, &changed),
            CHANGED.to_string(),
            "so many rows are changed"
        );
        self.settle();
    }

    fn tidegate(&self, changed: u64) -> Took {
        let ran = timed(
            tidegate(self.scratch)
                .args(["verify", "--json"])
                .arg(self.pair.source.url(SOURCE))
                .arg(self.pair.target.url(TARGET)),
        );
        let found: Json = serde_json::from_str(&ran.out).unwrap_or_default();
        let code = match found["answer"].as_str() {
            Some("equal") if changed == 0 => 0,
            Some("differs") if changed > 0 => 1,
            Some("unproven") if changed > 0 => 6,
            _ => panic!("{}{}", ran.out, ran.err),
        };
        ran.expect(code);
        let table = &found["tables"][0];
        let drift = |how: &str| table["drift"][how]["changed"].as_u64().unwrap();
        assert_eq!(table["source_rows"], self.rows, "{found:#}");
        assert_eq!(table["target_rows"], self.rows, "{found:#}");
        assert_eq!(drift("confirmed") + drift("unproven"), changed, "{found:#}");
        let answer = found["answer"].as_str().unwrap_or_default();
        self.answer.replace(format!("{answer} (exit code {code})"));
        ran.took
    }

    fn reladiff(&self, program: &Path, threads: &[String], changed: u64) -> Took {
        let at = |address: String| format!("postgresql://{address}");
        let ran = timed(
            tied(program)
                .arg(at(self.pair.source.address(SOURCE)))
                .arg(ACCOUNTS)
                .arg(at(self.pair.target.address(TARGET)))
                .arg(ACCOUNTS)
                .args(["--algorithm", "hashdiff", "--json", "--key-columns", "aid"])
                .args(["-c", "bid", "-c", "abalance", "-c", "filler"])
                .args(threads),
        );
        // Its code is 0 also when it failed: what it says counts. A changed row is two lines.
        ran.expect(0);
        assert!(!ran.err.contains("ERROR"), "{}", ran.err);
        assert_eq!(ran.out.lines().count() as u64, 2 * changed, "{}", ran.out);
        ran.took
    }
}
