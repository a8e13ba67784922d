//! Given up or lost, a migration leaves nothing behind.

use crate::edges::{KINDS, SETUP};
use crate::stand::Stand;
use std::fmt::Write as _;
use std::time::Duration;

/// A schema with everything in it that a migration makes on the target.
fn shop(stand: &Stand) {
    let mut sql = SETUP.to_owned();
    for kind in KINDS.iter().step_by(7) {
        let _ = writeln!(
            sql,
            "CREATE TABLE {}(id int PRIMARY KEY, v {});",
            kind.name, kind.declared
        );
    }
    sql += "CREATE SCHEMA app;
        CREATE TABLE app.customers(id bigserial PRIMARY KEY, mail text NOT NULL UNIQUE);
        CREATE TABLE app.orders(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint NOT NULL REFERENCES app.customers,
          total numeric CHECK (total >= 0), at timestamptz DEFAULT now());
        CREATE INDEX ON app.orders(customer, at DESC) WHERE total > 0;
        CREATE VIEW app.rich AS SELECT customer, sum(total) FROM app.orders GROUP BY 1;
        CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER touch BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
        COMMENT ON TABLE app.orders IS 'what was sold';
        INSERT INTO app.customers(mail) SELECT 'c' || i FROM generate_series(1, 5000) i;
        INSERT INTO app.orders(customer, total) SELECT i % 5000 + 1, i FROM generate_series(1, 20000) i;";
    stand.source.sql(&sql);
    // What the application has there already stays as it is.
    stand.target.sql(
        "CREATE TABLE was_here(id int PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM was_here",
    );
}

/// Gives the migration up with what it made on the target, and waits for the engine's end.
fn give_up(stand: &mut Stand) {
    let name = stand.name.clone();
    let abort = stand.call(&["send", &name, "abort", "--drop-target", "--confirm", &name]);
    assert_eq!(abort.code, 0, "{}{}", abort.out, abort.err);
    let began = std::time::Instant::now();
    while !stand.ended() && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn changed(before: &str, after: &str) -> Vec<String> {
    let lost = before
        .lines()
        .filter(|line| !after.lines().any(|l| l == *line));
    let made = after
        .lines()
        .filter(|line| !before.lines().any(|l| l == *line));
    lost.map(|line| format!("- {line}"))
        .chain(made.map(|line| format!("+ {line}")))
        .collect()
}

fn none_of_ours(catalog: &str) -> Vec<&str> {
    catalog
        .lines()
        .filter(|line| line.contains("tidegate"))
        .collect()
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn given_up_it_leaves_both_catalogs_as_they_were() {
    let mut stand = Stand::new("abort");
    shop(&stand);
    let before = [stand.source.catalog(), stand.target.catalog()];
    stand.start_answering();
    stand.synced();
    stand.kill();
    stand.start_answering();
    stand.synced();
    assert!(!none_of_ours(&stand.source.catalog()).is_empty());
    give_up(&mut stand);
    let after = [stand.source.catalog(), stand.target.catalog()];
    assert_eq!(
        changed(&before[0], &after[0]),
        Vec::<String>::new(),
        "source\n{}",
        stand.log()
    );
    let left = changed(&before[1], &after[1]);
    assert!(left.is_empty(), "target {left:#?}\n{}", stand.log());
    assert_eq!(stand.call(&["clean"]).code, 0);
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn what_was_there_or_is_needed_by_others_stays() {
    let mut stand = Stand::new("needed");
    shop(&stand);
    stand.target.sql(
        "CREATE SCHEMA app;
         CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    );
    let before = stand.target.catalog();
    stand.start_answering();
    stand.synced();
    // By the names of what the source has: an enum that it made there is needed by now.
    stand.target.sql(
        "CREATE TABLE mine(id int PRIMARY KEY, m mood); CREATE TABLE app.mine(id int PRIMARY KEY)",
    );
    give_up(&mut stand);
    let left = stand
        .target
        .sql("SELECT string_agg(oid::regclass::text, ' ' ORDER BY oid) FROM pg_class WHERE relkind = 'r' AND oid >= 16384");
    assert_eq!(left.trim(), "was_here mine app.mine");
    let kept = changed(&before, &stand.target.catalog());
    assert!(!kept.iter().any(|line| line.starts_with("- ")), "{kept:#?}");
    assert!(
        stand.log().contains("still there: type public.mood"),
        "{}",
        stand.log()
    );
    stand
        .target
        .sql("DROP TABLE mine, app.mine; DROP TYPE mood");
    let left = changed(&before, &stand.target.catalog());
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_lost_run_is_cleaned_without_a_trace() {
    let mut stand = Stand::new("lost");
    shop(&stand);
    let before = [stand.source.catalog(), stand.target.catalog()];
    stand.configure(
        &stand.source.server.url(&stand.source.database),
        &stand.target.server.url(&stand.target.database),
        "[backfill]\nmax_rows_per_second = \"5k\"\n",
    );
    for phase in ["copy", "synced"] {
        stand.start_answering();
        stand.until(phase, |status| status["phase"] == phase);
        stand.kill();
        std::fs::remove_dir_all(stand.path("state")).unwrap();
        let name = stand.name.clone();
        let listed = stand.call(&["clean"]);
        assert_eq!(listed.code, 3, "{}{}", listed.out, listed.err);
        let cleaned = stand.call(&["clean", "--confirm", &name]);
        assert_eq!(cleaned.code, 0, "{}{}", cleaned.out, cleaned.err);
        let after = [stand.source.catalog(), stand.target.catalog()];
        assert_eq!(
            changed(&before[0], &after[0]),
            Vec::<String>::new(),
            "source after {phase}"
        );
        assert_eq!(
            none_of_ours(&after[1]),
            Vec::<&str>::new(),
            "target after {phase}"
        );
        assert_eq!(stand.call(&["clean"]).code, 0);
        // The rows that it copied stay: made room for the next one.
        stand.target.sql("DROP SCHEMA public CASCADE; DROP SCHEMA app CASCADE; DROP SCHEMA \"Odd name\" CASCADE; CREATE SCHEMA public");
    }
}

/// One source, two migrations: neither takes the other's slot away, nor calls it lost.
#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn another_migration_of_the_same_source_is_left_alone() {
    let stand = Stand::new("two");
    shop(&stand);
    stand.to_synced();
    let other = format!("{}_other", stand.name);
    stand
        .target
        .server
        .sql("postgres", &format!("CREATE DATABASE {other}"));
    let config = format!(
        "[migration]\nname = \"{other}\"\n[source]\nurl = \"{}\"\n[target]\nurl = \"{}\"\n",
        stand.source.server.url(&stand.source.database),
        stand.target.server.url(&other)
    );
    std::fs::write(stand.path("other.toml"), config).unwrap();
    let check = stand.call(&["check", "-c", "other.toml"]);
    assert!(
        check.out.contains("LEFTOVERS") && check.code == 0,
        "{}{}",
        check.out,
        check.err
    );
    let listed = stand.call(&["clean", "-c", "other.toml"]);
    assert!(
        listed.out.contains(&format!("is needed by {}", stand.name)),
        "{}",
        listed.out
    );
    let refused = stand.call(&["clean", "-c", "other.toml", "--confirm", &other]);
    assert_eq!(refused.code, 5, "{}{}", refused.out, refused.err);
    let slots = || {
        let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
        stand.source.sql(slots).trim().to_owned()
    };
    assert_eq!(slots(), "1");
    let called = stand.call(&["engine", "-c", "other.toml", "--until", "synced"]);
    assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    assert_eq!(slots(), "2");
    let mut engine = stand
        .command(&["engine", "-c", "other.toml"])
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    let abort = || {
        stand.call(&[
            "send",
            &other,
            "abort",
            "--drop-target",
            "--confirm",
            &other,
        ])
    };
    while abort().code != 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(200));
    }
    engine.wait().unwrap();
    assert_eq!(slots(), "1");
    stand
        .target
        .server
        .sql("postgres", &format!("DROP DATABASE {other} WITH (FORCE)"));
    stand
        .source
        .sql("UPDATE app.customers SET mail = 'after' WHERE id = 7");
    stand.to_synced();
    let there = stand
        .target
        .sql("SELECT mail FROM app.customers WHERE id = 7");
    assert_eq!(there.trim(), "after");
}
