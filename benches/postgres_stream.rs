//! The change stream against a native subscription, of the same source to databases of one target. First pgbench's transactions
//! pile up while nobody reads, then one after the other takes them in: from the engine's start (or the subscription's `ENABLE`)
//! until the target has the row that was committed last; then histories and balances must be the source's. Then how long a row
//! takes to be seen on the target while pgbench writes at a steady pace, from the source's clock when it is inserted, so with the
//! source's own commit. The subscription commits without waiting for the disk, as it does unless told otherwise.
//!
//! `cargo bench --bench postgres_stream`

mod machine;
mod servers;

use servers::program::{Migration, Running, Took, program, tied, timed};
use servers::session::Session;
use servers::turns::{self, Entry};
use servers::{PATIENCE, Pair, number, rounds, scratch, until};
use std::cell::{Cell, RefCell};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

const SOURCE: &str = "shop";
const CLIENTS: u64 = 4;
/// Changes that a transaction of pgbench makes: three balances and a line of the history.
const CHANGES: u64 = 4;
/// Asked for, as a part of the subscription's time.
const OF_NATIVE: f64 = 0.7;
/// Between two looks at whether something has arrived: the whole backlog, and a heartbeat.
const LOOK: Duration = Duration::from_millis(5);
const WATCH: Duration = Duration::from_millis(1);
const BEAT: Duration = Duration::from_millis(10);
/// Bytes of log that are no backlog.
const NOTHING: u64 = 1 << 20;
/// pgbench runs for so long before anything counts.
const WARM: Duration = Duration::from_secs(2);

const SCHEMA: &str = "\
    ALTER TABLE pgbench_history ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
    CREATE TABLE mark (id int PRIMARY KEY);
    CREATE TABLE heartbeat (id int PRIMARY KEY, at timestamptz NOT NULL);";
const PUBLISHED: &str =
    "pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history, mark, heartbeat";
/// What pgbench did, in one line.
const DONE: &str = "SELECT concat_ws(' ', (SELECT count(*) FROM pgbench_history), (SELECT sum(delta) FROM pgbench_history), \
     (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), \
     (SELECT sum(bbalance) FROM pgbench_branches))";

fn main() {
    machine::print();
    let scratch = scratch();
    let pair = Pair::start();
    let transactions = number("TIDEGATE_BENCH_TRANSACTIONS", 60_000).next_multiple_of(CLIENTS);
    let stage = Stage::new(&pair, scratch.path());
    let mut entries = [Who::Tidegate, Who::Native].map(|who| {
        let limit = (who == Who::Native).then_some(OF_NATIVE);
        let stage = &stage;
        Entry::new(who.name(), limit, move |round| {
            stage.pile_up(round, transactions);
            stage.drain(who)
        })
    });
    let what =
        format!("{transactions} transactions that nobody has read, until all are on the target");
    let medians = turns::take(&what, rounds(), &mut entries);
    for (who, took) in [Who::Tidegate, Who::Native].iter().zip(medians) {
        let a_second = (transactions * CHANGES) as f64 / took.as_secs_f64();
        println!("{}: {a_second:.0} changes/s", who.name());
    }
    drop(entries);
    stage.latencies();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Tidegate,
    Native,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Native => "native subscription",
        }
    }

    fn slot(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate_bench",
            Self::Native => "native",
        }
    }

    fn database(self) -> &'static str {
        match self {
            Self::Tidegate => "by_tidegate",
            Self::Native => "by_native",
        }
    }
}

/// Both have the source's rows and read nothing.
struct Stage<'a> {
    pair: &'a Pair,
    migration: Migration,
    /// The round whose transactions wait.
    piled: Cell<usize>,
    /// The last row of `mark`, and a position before it.
    mark: Cell<u32>,
    position: RefCell<String>,
    beats: Cell<i32>,
}

impl<'a> Stage<'a> {
    fn new(pair: &'a Pair, scratch: &std::path::Path) -> Self {
        let (source, target) = (&pair.source, &pair.target);
        source.fresh(SOURCE);
        source.pgbench_tables(SOURCE);
        source.run(SOURCE, SCHEMA);
        let native = Who::Native.database();
        for who in [Who::Tidegate, Who::Native] {
            target.fresh(who.database());
        }
        let mut dump = tied(program("pg_dump"))
            .arg(source.url(SOURCE))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let loaded = tied(program("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
            .arg(target.url(native))
            .stdin(Stdio::from(dump.stdout.take().unwrap()))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(dump.wait().unwrap().success() && loaded.success());
        source.run(
            SOURCE,
            &format!("CREATE PUBLICATION native FOR TABLE {PUBLISHED}"),
        );
        target.run(
            native,
            &format!(
                "CREATE SUBSCRIPTION native CONNECTION '{}' PUBLICATION native WITH (copy_data = false, enabled = false)",
                source.words(SOURCE)
            ),
        );
        let migration = Migration::new(
            scratch.join("tidegate"),
            "bench",
            &source.url(SOURCE),
            &target.url(Who::Tidegate.database()),
        );
        migration.until("synced");
        target.run(native, "VACUUM (ANALYZE)");
        target.run(Who::Tidegate.database(), "VACUUM (ANALYZE)");
        Self {
            pair,
            migration,
            piled: Cell::new(0),
            mark: Cell::new(0),
            position: RefCell::default(),
            beats: Cell::new(0),
        }
    }

    /// pgbench's transactions, once a round; how they are written is not measured.
    fn pile_up(&self, round: usize, transactions: u64) {
        if self.piled.replace(round) == round {
            return;
        }
        let mut pgbench = self.pgbench();
        pgbench
            .env("PGOPTIONS", "-c synchronous_commit=off")
            .args(["-t", &(transactions / CLIENTS).to_string()])
            .arg(self.pair.source.url(SOURCE));
        timed(&mut pgbench).expect(0);
        self.set_mark();
    }

    fn pgbench(&self) -> Command {
        let mut pgbench = tied(program("pgbench"));
        pgbench.args(["-n", "-j", "2", "-c", &CLIENTS.to_string()]);
        pgbench
    }

    /// A row after everything else.
    fn set_mark(&self) {
        let mut session = self.pair.source.session(SOURCE);
        let position = session.text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
        self.position.replace(position);
        self.mark.set(self.mark.get() + 1);
        session.run(&format!("INSERT INTO mark VALUES ({})", self.mark.get()));
    }

    fn until_marked(&self, eyes: &mut Session, engine: &mut Option<Running>) {
        let seen = format!("SELECT count(*) FROM mark WHERE id = {}", self.mark.get());
        until("arrived", LOOK, || {
            if let Some(engine) = engine {
                engine.assert_running();
            }
            eyes.text(&seen) == "1"
        });
    }

    fn start(&self, who: Who) -> Option<Running> {
        match who {
            Who::Tidegate => Some(self.migration.start()),
            Who::Native => {
                let enable = "ALTER SUBSCRIPTION native ENABLE";
                self.pair.target.run(who.database(), enable);
                None
            }
        }
    }

    /// Until the slot stands at the end of the log: what is written there meanwhile, by a compare that prunes pages for one, is
    /// not to be read by the next drain. The checkpoint notes a place in the log at which the slot can begin anew.
    fn caught_up(&self, who: Who) {
        let mut session = self.pair.source.session(SOURCE);
        session.run("CHECKPOINT");
        let behind = format!(
            "SELECT pg_current_wal_insert_lsn() - confirmed_flush_lsn < {NOTHING} AND pg_current_wal_insert_lsn() - restart_lsn < {NOTHING} \
             FROM pg_replication_slots WHERE slot_name = '{}'",
            who.slot()
        );
        until("caught up", LOOK, || session.text(&behind) == "true");
    }

    fn stop(&self, who: Who, engine: Option<Running>) {
        match engine {
            Some(engine) => engine.stop(),
            None => {
                let disable = "ALTER SUBSCRIPTION native DISABLE";
                self.pair.target.run(who.database(), disable);
            }
        }
        let mut session = self.pair.source.session(SOURCE);
        until("left alone", LOOK, || {
            session.text("SELECT count(*) FROM pg_replication_slots WHERE active") == "0"
        });
    }

    fn drain(&self, who: Who) -> Took {
        self.pair.flush();
        let mut eyes = self.pair.target.session(who.database());
        let start = Instant::now();
        let mut engine = self.start(who);
        self.until_marked(&mut eyes, &mut engine);
        let time = start.elapsed();
        let memory = engine.as_ref().map(Running::peak);
        let done = self.pair.source.text(SOURCE, DONE);
        assert_eq!(eyes.text(DONE), done, "everything has arrived");
        if who == Who::Tidegate {
            let applied = format!(
                "SELECT applied >= {} FROM tidegate.ledger",
                self.position.borrow()
            );
            assert_eq!(eyes.text(&applied), "true", "the ledger says so");
        }
        self.caught_up(who);
        self.stop(who, engine);
        Took { time, memory }
    }

    fn latencies(&self) {
        let seconds = number("TIDEGATE_BENCH_SECONDS", 20);
        let pace = number("TIDEGATE_BENCH_TPS", 1_000);
        println!(
            "\nfrom a row's insert on the source until it is seen on the target, every {} ms for {seconds}s, at {pace} transactions/s",
            BEAT.as_millis()
        );
        println!(
            "round   {:<20} {:>9} {:>9} {:>9} {:>6} {:>9}",
            "", "p50 ms", "p99 ms", "most ms", "rows", "tps then"
        );
        let mut all = [Vec::new(), Vec::new()];
        for round in 0..rounds() {
            for turn in 0..2 {
                let at = (turn + round) % 2;
                let who = [Who::Tidegate, Who::Native][at];
                let (late, tps) = self.latency(who, seconds, pace);
                let part = Quantiles::of(late);
                println!(
                    "{:>5}   {:<20} {:>9.1} {:>9.1} {:>9.1} {:>6} {tps:>9.0}",
                    round + 1,
                    who.name(),
                    part.half,
                    part.most_of,
                    part.longest,
                    part.rows
                );
                all[at].push(part);
            }
        }
        let medians = all.map(|parts| {
            (
                middle(parts.iter().map(|part| part.half)),
                middle(parts.iter().map(|part| part.most_of)),
            )
        });
        let [ours, theirs] = medians;
        println!(
            "medians: p50 {:.1} and {:.1} ms, {:.2} × the native subscription; p99 {:.1} and {:.1} ms, {:.2} ×",
            ours.0,
            theirs.0,
            ours.0 / theirs.0,
            ours.1,
            theirs.1,
            ours.1 / theirs.1
        );
    }

    /// How late each heartbeat was seen in ms, and the transactions a second that pgbench came to.
    fn latency(&self, who: Who, seconds: u64, pace: u64) -> (Vec<f64>, f64) {
        let mut eyes = self.pair.target.session(who.database());
        let mut engine = self.start(who);
        self.set_mark();
        self.until_marked(&mut eyes, &mut engine);
        self.pair.flush();
        let mut heart = self.pair.source.session(SOURCE);
        let span = WARM + Duration::from_secs(seconds);
        let pgbench = Running::start(
            self.pgbench()
                .args(["-R", &pace.to_string()])
                .args(["-T", &span.as_secs().to_string()])
                .arg(self.pair.source.url(SOURCE)),
        );
        std::thread::sleep(WARM);
        let (first, over, last) = (self.beats.get(), AtomicBool::new(false), AtomicI32::new(-1));
        let (late, ran) = std::thread::scope(|scope| {
            scope.spawn(|| last.store(beat(&mut heart, first, &over), Ordering::Release));
            let watching = scope.spawn(|| watch(&mut eyes, first, &last));
            let ran = pgbench.ended();
            over.store(true, Ordering::Release);
            (watching.join().unwrap(), ran)
        });
        ran.expect(0);
        self.beats.set(last.into_inner());
        self.stop(who, engine);
        let tps = ran.out.lines().find_map(|line| {
            let figure = line.strip_prefix("tps = ")?;
            figure.split(' ').next()?.parse().ok()
        });
        (late, tps.unwrap())
    }
}

/// Inserts a row at every beat, until it is over; the number of the last one. A beat that is missed is not made up for.
fn beat(heart: &mut Session, first: i32, over: &AtomicBool) -> i32 {
    let mut id = first;
    let mut due = Instant::now();
    while !over.load(Ordering::Acquire) {
        id += 1;
        heart.run_with("INSERT INTO heartbeat VALUES ($1, clock_timestamp())", id);
        due = (due + BEAT).max(Instant::now());
        std::thread::sleep(due - Instant::now());
    }
    id
}

/// Sees rows come, until the last one did.
fn watch(eyes: &mut Session, first: i32, last: &AtomicI32) -> Vec<f64> {
    let mut seen = first;
    let mut late = Vec::new();
    let mut moved = Instant::now();
    loop {
        let came = eyes.figures(
            "SELECT id, (extract(epoch FROM clock_timestamp() - at) * 1000)::float8 FROM heartbeat WHERE id > $1 ORDER BY id",
            seen,
        );
        for (id, ms) in came {
            assert_eq!(id, seen + 1, "in order, none left out");
            seen = id;
            late.push(ms);
            moved = Instant::now();
        }
        if seen == last.load(Ordering::Acquire) {
            return late;
        }
        assert!(moved.elapsed() < PATIENCE, "no heartbeat comes any more");
        std::thread::sleep(WATCH);
    }
}

struct Quantiles {
    half: f64,
    most_of: f64,
    longest: f64,
    rows: usize,
}

impl Quantiles {
    fn of(mut late: Vec<f64>) -> Self {
        late.sort_by(f64::total_cmp);
        let at = |part: usize| late[(late.len() - 1) * part / 100];
        Self {
            half: at(50),
            most_of: at(99),
            longest: at(100),
            rows: late.len(),
        }
    }
}

fn middle(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
