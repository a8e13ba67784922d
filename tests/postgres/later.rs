//! Keys that come after the rows: of tables that nobody writes to meanwhile, whatever happens to the engine.

use crate::stand::{PATIENCE, Side, Stand};
use std::time::{Duration, Instant};

const TABLES: &str = "\
    CREATE TABLE cold(id int PRIMARY KEY, t text NOT NULL);
    INSERT INTO cold SELECT i, 'row ' || i FROM generate_series(1, 30000) i;
    CREATE TABLE warm(a text, b int, t text, CONSTRAINT \"warm by two\" PRIMARY KEY (b, a) INCLUDE (t));
    INSERT INTO warm SELECT 'a' || i % 7, i, 'row ' || i FROM generate_series(1, 30000) i;
    CREATE INDEX ON cold (t);
    CREATE TABLE part(id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (1000);
    CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (1000) TO (9000);
    INSERT INTO part SELECT generate_series(1, 3000);";

/// So that there is time to look.
const SLOWLY: &str = "chunk_time = \"20ms\"\nmax_rows_per_second = \"3k\"\n";

fn stand(what: &str, backfill: &str) -> Stand {
    let stand = Stand::new(what);
    stand.source.sql(TABLES);
    let url = |side: &Side| side.server.url(&side.database);
    stand.configure(
        &url(&stand.source),
        &url(&stand.target),
        &format!("[backfill]\n{backfill}"),
    );
    stand
}

/// The primary keys of these tables on the target.
fn keys(stand: &Stand) -> String {
    let found = stand.target.sql(
        "SELECT conrelid::regclass::text || ': ' || pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE contype = 'p' AND conrelid::regclass::text IN ('cold', 'warm') ORDER BY 1",
    );
    found.trim().to_owned()
}

fn until(what: &str, stand: &Stand, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "not {what}: {}", stand.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn landed(stand: &Stand, table: &str) -> u64 {
    let count = format!("SELECT count(*) FROM {table}");
    let count = stand.target.try_sql(&count).unwrap_or_default();
    count.trim().parse().unwrap_or(0)
}

const WARM: &str = "warm: PRIMARY KEY (b, a) INCLUDE (t)";
const BOTH: &str = "cold: PRIMARY KEY (id)\nwarm: PRIMARY KEY (b, a) INCLUDE (t)";

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_key_comes_when_a_row_is_looked_for_or_all_are_there() {
    let mut stand = stand("later", SLOWLY);
    let shown = stand.call(&["check", "-c", "tidegate.toml", "--sql"]);
    let key = r#"ALTER TABLE "public"."cold" ADD CONSTRAINT "cold_pkey" PRIMARY KEY (id)"#;
    assert!(shown.out.contains(key), "{}", shown.out);
    stand.start();
    until("copying both", &stand, || {
        landed(&stand, "cold") > 500 && landed(&stand, "warm") > 500
    });
    assert_eq!(keys(&stand), "");
    // Comparing does not read all of a table for each chunk, nor does it make the key.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(keys(&stand), "");
    stand
        .source
        .sql("UPDATE warm SET t = 'written' WHERE b IN (1, 29999)");
    until("keyed", &stand, || keys(&stand) == WARM);
    until("applied", &stand, || {
        stand.target.sql("SELECT t FROM warm WHERE b = 1").trim() == "written"
    });
    let report = stand.call(&["report", &stand.name]);
    assert!(report.out.contains("key of public.warm"), "{}", report.out);
    // Killed, it goes on with the key: what landed beyond a gap may be read again.
    stand.kill();
    assert_eq!(keys(&stand), WARM);
    let before = landed(&stand, "cold");
    assert!((500..30_000).contains(&before), "{before}");
    stand.start_answering();
    until("keyed", &stand, || keys(&stand) == BOTH);
    let hurried = stand.call(&["send", &stand.name, "throttle", "1000k"]);
    assert_eq!(hurried.code, 0, "{}", hurried.err);
    stand.synced();
    stand.park();
    stand.assert_equal();
    stand.assert_landed_once();
    let waiting = stand.target.sql("SELECT count(*) FROM tidegate.key");
    assert_eq!(waiting.trim(), "0");
    let verify = stand.call(&["verify", "-c", "tidegate.toml"]);
    assert_eq!(verify.code, 0, "{}{}", verify.out, verify.err);
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn killed_at_any_moment_quiet_tables_end_whole() {
    let mut stand = stand("quiet", "chunk_time = \"10ms\"\nworkers = 4\n");
    for _ in 0..6 {
        stand.start();
        std::thread::sleep(Duration::from_millis(fastrand::u64(300..1_200)));
        stand.kill();
    }
    stand.to_synced();
    assert_eq!(keys(&stand), BOTH);
    stand.assert_equal();
    stand.assert_landed_once();
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn what_somebody_wants_compared_is_given_its_key() {
    let mut stand = stand("asked", SLOWLY);
    stand.start_answering();
    until("copying both", &stand, || {
        landed(&stand, "cold") > 500 && landed(&stand, "warm") > 500
    });
    let asked = stand.call(&["send", &stand.name, "verify", "public.cold"]);
    assert!(
        asked.out.contains("public.cold"),
        "{}{}",
        asked.out,
        asked.err
    );
    until("keyed", &stand, || keys(&stand) == "cold: PRIMARY KEY (id)");
    stand.until("compared", |status| {
        let tables = status["tables"].as_array().into_iter().flatten();
        let cold = tables
            .into_iter()
            .find(|table| table["source"] == "public.cold");
        cold.is_some_and(|cold| {
            let figure = |name: &str| cold[name].as_f64().unwrap_or_default();
            figure("rows") * figure("copied") - figure("uncovered") >= 500.0
        })
    });
}
