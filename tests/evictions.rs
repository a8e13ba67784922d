//! Every row that a statement of the application changes or evicts is in the capture's log.
//!
//! Random schemas take random statements from a second process: this test binary again, which writes the file through a
//! connection of its own and knows nothing of tidegate. The whole table is compared before and after each statement, and
//! each key whose row differs must have been logged, byte for byte. 300 schemas, 3,000 with `TIDEGATE_FULL`
//! (as `tests/run` does), or as many as `TIDEGATE_SEEDS` says.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use fastrand::Rng;
use rusqlite::Connection;
use rusqlite::types::Value;
use tidegate::db::sqlite::capture::{
    Captured, Refusal, explain_probes, install, plan_capture_with,
};
use tidegate::db::sqlite::catalog::{Catalog, ColumnKind, Table};
use tidegate::db::sqlite::identity::Rowid;
use tidegate::db::sqlite::probe::ProbeForm;
use tidegate::domain::id::TableId;

const RUNNER: &str = "TIDEGATE_TEST_STATEMENT_RUNNER";
const SCHEMAS: u64 = 300;
const STATEMENTS: usize = 60;

/// The second process. Lines in: `["open", path]` or `["run", sql]`; lines out: `= ok` or `= error`.
#[test]
fn statement_runner() {
    if std::env::var_os(RUNNER).is_none() {
        return;
    }
    let mut conn = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let [what, text]: [String; 2] = serde_json::from_str(&line.unwrap()).unwrap();
        let done = match what.as_str() {
            "open" => Connection::open(text).map(|opened| conn = Some(opened)),
            _ => conn.as_ref().unwrap().execute_batch(&text),
        };
        let answer = done.err().map_or("= ok".into(), |error| {
            format!("= {error}").replace('\n', " ")
        });
        writeln!(out, "{answer}").unwrap();
        out.flush().unwrap();
    }
}

struct Application {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Application {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "statement_runner",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(RUNNER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (
            child.stdin.take(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        Self { child, to, from }
    }

    fn ask(&mut self, what: &str, text: &str) -> Result<(), String> {
        let to = self.to.as_mut().unwrap();
        writeln!(to, "{}", serde_json::to_string(&[what, text]).unwrap()).unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.from.read_line(&mut line).unwrap(),
                0,
                "the second process ended"
            );
            // The test harness of the second process writes lines of its own.
            if let Some((_, answer)) = line.split_once("= ") {
                return if answer.trim_end() == "ok" {
                    Ok(())
                } else {
                    Err(answer.into())
                };
            }
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.wait();
    }
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

fn value(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "NULL", "NULL", "0", "1", "2", "3", "7", "'1'", "'2'", "'a'", "'A'", "'a '", "'b'",
            "'B'", "'x'", "1.0", "1.5", "x'61'", "'7'", "-7",
        ],
    )
}

const COLUMNS: [&str; 7] = [
    "\"a\"",
    "\"select\"",
    "\"c \"\"c\"",
    "\"ü\"",
    "\"desc\"",
    "\"new\"",
    "\"g'\"",
];

struct Schema {
    table: &'static str,
    sql: Vec<String>,
}

fn expression(rng: &mut Rng, columns: &[&str]) -> String {
    let (c, d) = (pick(rng, columns), pick(rng, columns));
    match rng.u8(..16) {
        0 => format!("lower({c})"),
        1 => format!("abs({c})"),
        2 => format!("{c} || 'x, ('"),
        3 => format!("CASE WHEN {c} = '1' THEN {d} END"),
        4 => format!("typeof({c}) || {d}"),
        5 => format!("coalesce({c}, /* ) */ {d})"),
        6 => format!("CAST({c} AS TEXT)"),
        7 => format!("CASE WHEN {c} = 'A' THEN {d} ELSE {c} END"),
        8 => format!("{c} IN ('1', 'x', {d})"),
        9 => format!("substr({c}, 1, 1)"),
        10 => format!("{c} + 1"),
        11 => format!("({c} > '3') || {d}"),
        12 => format!("{c} || {d} COLLATE NOCASE"),
        13 => format!("ifnull({c}, {d})"),
        14 => format!("CASE {c} WHEN 1 THEN {d} WHEN 'b' THEN 2 ELSE {c} END"),
        _ => format!("CAST({c} AS INTEGER)"),
    }
}

fn schema(rng: &mut Rng) -> Schema {
    let table = pick(
        rng,
        &[
            "\"t\"",
            "\"new\"",
            "\"old\"",
            "\"a \"\"b\"\"\"",
            "\"order\"",
            "\"it's\"",
        ],
    );
    let strict = rng.u8(..8) == 0;
    let plain = 3 + rng.usize(..3);
    let shape = rng.u8(..8);
    let mut parts: Vec<String> = Vec::new();
    for (place, name) in COLUMNS[..plain].iter().enumerate() {
        let declared = if strict {
            pick(rng, &["TEXT", "INTEGER", "REAL", "ANY", "BLOB"])
        } else {
            pick(
                rng,
                &[
                    "",
                    "TEXT",
                    "INTEGER",
                    "REAL",
                    "NUMERIC",
                    "BLOB",
                    "VARCHAR(9)",
                ],
            )
        };
        let key = place == 0 && shape < 2;
        let mut part = format!("{name} {}", if key { "INTEGER" } else { declared });
        if key {
            part += if shape == 0 {
                " PRIMARY KEY AUTOINCREMENT"
            } else {
                " PRIMARY KEY"
            };
        } else if place < 2 || rng.bool() {
            part += " NOT NULL";
        }
        if rng.u8(..4) < 3 {
            let default = pick(
                rng,
                &[
                    "7",
                    "'2'",
                    "'a'",
                    "foo",
                    "\"select\"",
                    "TRUE",
                    "(1 + 1)",
                    "-7",
                    "(lower('A'))",
                    "1.0",
                    "x'61'",
                    "NULL",
                ],
            );
            part += &format!(" DEFAULT {default}");
        }
        if rng.u8(..3) == 0 {
            part += pick(
                rng,
                &[" COLLATE NOCASE", " COLLATE RTRIM", " COLLATE binary"],
            );
        }
        if place > 1 && rng.u8(..8) == 0 {
            part += " UNIQUE ON CONFLICT REPLACE";
        }
        parts.push(part);
    }
    let mut columns: Vec<&str> = COLUMNS[..plain].to_vec();
    for name in &COLUMNS[plain..plain + rng.usize(..3)] {
        let declared = if strict {
            "ANY"
        } else {
            pick(rng, &["", "TEXT", "INTEGER", "REAL"])
        };
        let expr = expression(rng, &columns);
        let kept = pick(rng, &["STORED", "VIRTUAL", ""]);
        let collate = pick(rng, &["", "", "COLLATE NOCASE"]);
        parts.push(format!(
            "{name} {declared} {collate} GENERATED ALWAYS AS ({expr}) {kept}"
        ));
        columns.push(name);
    }
    let collate = |rng: &mut Rng| {
        pick(
            rng,
            &[
                "",
                "",
                "",
                " COLLATE NOCASE",
                " COLLATE RTRIM",
                " COLLATE BINARY",
            ],
        )
    };
    let mut without_rowid = "";
    match shape {
        2 => parts.push(format!("PRIMARY KEY({}{})", columns[0], collate(rng))),
        3 => parts.push(format!(
            "PRIMARY KEY({}{}, {} DESC)",
            columns[1],
            collate(rng),
            columns[0]
        )),
        4 => parts.push(format!(
            "UNIQUE({}, {}{})",
            columns[1],
            columns[0],
            collate(rng)
        )),
        5 => {
            parts.push(format!("PRIMARY KEY({}{})", columns[0], collate(rng)));
            without_rowid = "WITHOUT ROWID";
        }
        6 => {
            parts.push(format!(
                "PRIMARY KEY({}, {}{})",
                columns[0],
                columns[2],
                collate(rng)
            ));
            without_rowid = "WITHOUT ROWID";
        }
        // A PRIMARY KEY that may be NULL beside a key that may not.
        7 => parts.push(format!(
            "PRIMARY KEY({}), UNIQUE({})",
            columns[2], columns[1]
        )),
        _ => {}
    }
    let options: Vec<&str> = [without_rowid, if strict { "STRICT" } else { "" }]
        .into_iter()
        .filter(|option| !option.is_empty())
        .collect();
    let mut sql = vec![format!(
        "CREATE TABLE {table}({}) {}",
        parts.join(", "),
        options.join(", ")
    )];
    for number in 0..1 + rng.usize(..3) {
        let mut keys = Vec::new();
        for _ in 0..1 + rng.usize(..2) {
            let mut key = if rng.bool() {
                pick(rng, &columns).to_owned()
            } else {
                expression(rng, &columns)
            };
            if rng.u8(..4) == 0 {
                key = format!("({key})");
            }
            keys.push(format!(
                "{key}{}{}",
                collate(rng),
                pick(rng, &["", "", " DESC", " asc"])
            ));
        }
        let condition = match rng.u8(..4) {
            0 => format!(" WHERE {} IS NOT NULL -- )", pick(rng, &columns)),
            1 => format!(
                " WHERE {} > '0' OR {} = 1",
                pick(rng, &columns),
                pick(rng, &columns)
            ),
            _ => String::new(),
        };
        sql.push(format!(
            "CREATE UNIQUE INDEX \"on x{number}\" ON {table} ({}){condition}",
            keys.join(", /*,*/ ")
        ));
    }
    if rng.u8(..4) == 0 {
        // The application's own trigger, made before ours, that writes the same table.
        let (c, d) = (columns[plain - 1], columns[1]);
        sql.push(format!(
            "CREATE TRIGGER touch AFTER INSERT ON {table} BEGIN UPDATE OR IGNORE {table} SET {c} = {d} WHERE {d} = NEW.{d}; END"
        ));
    }
    Schema { table, sql }
}

fn statement(rng: &mut Rng, quoted: &str, table: &Table) -> String {
    let plain: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.kind == ColumnKind::Ordinary)
        .map(|column| format!("\"{}\"", column.name.replace('"', "\"\"")))
        .collect();
    let names: Vec<&str> = plain.iter().map(String::as_str).collect();
    let rowid = matches!(table.rowid, Rowid::Separate(_)).then_some("rowid");
    let small = |rng: &mut Rng| rng.u8(1..6).to_string();
    let condition = |rng: &mut Rng| match rng.u8(..3) {
        0 if rowid.is_some() => format!("rowid = {}", small(rng)),
        1 => format!("{} IN ({}, {})", pick(rng, &names), value(rng), value(rng)),
        _ => format!("{} = {}", pick(rng, &names), value(rng)),
    };
    let assignments = |rng: &mut Rng| {
        let mut set: Vec<String> = (0..1 + rng.usize(..2))
            .map(|_| format!("{} = {}", pick(rng, &names), value(rng)))
            .collect();
        if let Some(rowid) = rowid.filter(|_| rng.u8(..4) == 0) {
            set.push(format!("{rowid} = {}", small(rng)));
        }
        set.join(", ")
    };
    let insert = |rng: &mut Rng, verb: &str| {
        let mut into: Vec<&str> = names.iter().copied().filter(|_| rng.u8(..6) > 0).collect();
        if into.is_empty() {
            into.push(names[0]);
        }
        let at = rowid.filter(|_| rng.u8(..4) == 0);
        let rows: Vec<String> = (0..1 + rng.usize(..2))
            .map(|_| {
                let mut values: Vec<String> = into.iter().map(|_| value(rng).to_owned()).collect();
                values.extend(at.map(|_| small(rng)));
                format!("({})", values.join(", "))
            })
            .collect();
        into.extend(at);
        format!(
            "{verb} INTO {quoted}({}) VALUES {}",
            into.join(", "),
            rows.join(", ")
        )
    };
    match rng.u8(..16) {
        0..=2 => insert(rng, "INSERT"),
        3..=6 => insert(rng, "REPLACE"),
        7 => insert(rng, "INSERT OR IGNORE"),
        8 => insert(rng, "INSERT") + " ON CONFLICT DO UPDATE SET " + &assignments(rng),
        9 => insert(rng, "REPLACE") + " ON CONFLICT DO UPDATE SET " + &assignments(rng),
        10..=11 => format!(
            "UPDATE {quoted} SET {} WHERE {}",
            assignments(rng),
            condition(rng)
        ),
        12..=13 => format!(
            "UPDATE OR REPLACE {quoted} SET {} WHERE {}",
            assignments(rng),
            condition(rng)
        ),
        14 => format!(
            "UPDATE OR IGNORE {quoted} SET {} WHERE {}",
            assignments(rng),
            condition(rng)
        ),
        _ => format!("DELETE FROM {quoted} WHERE {}", condition(rng)),
    }
}

/// The table's rows by key, each as text that tells 1, 1.0 and '1' apart.
fn state(conn: &Connection, quoted: &str, key: &[String]) -> BTreeMap<String, String> {
    let mut rows = conn
        .prepare_cached(&format!("SELECT * FROM {quoted}"))
        .unwrap();
    let width = rows.column_count();
    let places: Vec<usize> = key
        .iter()
        .map(|name| rows.column_index(name).unwrap())
        .collect();
    let mut out = BTreeMap::new();
    let mut found = rows.query([]).unwrap();
    while let Some(row) = found.next().unwrap() {
        let cells: Vec<Value> = (0..width).map(|place| row.get(place).unwrap()).collect();
        let key: Vec<&Value> = places.iter().map(|place| &cells[*place]).collect();
        assert_eq!(
            out.insert(format!("{key:?}"), format!("{cells:?}")),
            None,
            "two rows have one key"
        );
    }
    out
}

fn logged(conn: &Connection, after: &mut i64, width: usize) -> HashSet<String> {
    let mut rows = conn
        .prepare_cached("SELECT * FROM tidegate_log WHERE seq > ?1 AND t >= 0 ORDER BY seq")
        .unwrap();
    let mut found = rows.query([*after]).unwrap();
    let mut keys = HashSet::new();
    while let Some(row) = found.next().unwrap() {
        *after = row.get(0).unwrap();
        assert_eq!(row.get::<_, u16>(1).unwrap(), 7);
        let key: Vec<Value> = (0..width).map(|part| row.get(2 + part).unwrap()).collect();
        keys.insert(format!("{key:?}"));
    }
    keys
}

#[derive(Default, Debug)]
struct Tally {
    schemas: usize,
    refused: usize,
    changed: usize,
    evicted: usize,
    missed: Vec<String>,
}

fn run(form: ProbeForm, seeds: std::ops::Range<u64>) -> Tally {
    let folder = Path::new("/dev/shm")
        .is_dir()
        .then(|| tempfile::tempdir_in("/dev/shm").ok())
        .flatten();
    let folder = folder.unwrap_or_else(|| tempfile::tempdir().unwrap());
    let mut application = Application::start();
    let mut tally = Tally::default();
    for seed in seeds {
        let rng = &mut Rng::with_seed(seed);
        let file = folder.path().join(format!("{seed}.db"));
        one_schema(form, seed, rng, &file, &mut application, &mut tally);
        let _ = std::fs::remove_file(&file);
    }
    tally
}

fn one_schema(
    form: ProbeForm,
    seed: u64,
    rng: &mut Rng,
    file: &Path,
    application: &mut Application,
    tally: &mut Tally,
) {
    let conn = Connection::open(file).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let Schema { table: quoted, sql } = schema(rng);
    for statement in &sql {
        // Some indexes SQLite itself refuses (a constant, a loop); the schema is then without them.
        let _ = conn.execute_batch(statement);
    }
    let catalog = Catalog::read(&conn).unwrap();
    let Some(table) = catalog.tables.first() else {
        return;
    };
    let captured = [Captured {
        table: table.name.clone(),
        id: TableId(7),
    }];
    let capture = match plan_capture_with(&catalog, &captured, form) {
        Ok(capture) => capture,
        Err(refusals) => {
            let known = |refusal: &Refusal| matches!(refusal, Refusal::ComputedFromRowid { .. });
            assert!(
                refusals.iter().all(known),
                "seed {seed}: {refusals:?}\n{sql:#?}"
            );
            tally.refused += 1;
            return;
        }
    };
    tally.schemas += 1;
    for plan in explain_probes(&conn, &capture).unwrap() {
        assert!(
            plan.is_search(),
            "seed {seed}: {plan:#?}\n{sql:#?}\n{capture:#?}"
        );
    }
    install(&conn, &capture).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{sql:#?}"));
    application.ask("open", file.to_str().unwrap()).unwrap();
    application
        .ask("run", "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF")
        .unwrap();
    if rng.bool() {
        application
            .ask("run", "PRAGMA recursive_triggers = ON")
            .unwrap();
    }
    let key: Vec<String> = table
        .identity
        .key()
        .unwrap()
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let mut seq = 0;
    let mut before = state(&conn, quoted, &key);
    for _ in 0..STATEMENTS {
        let statement = statement(rng, quoted, table);
        let answer = application.ask("run", &statement);
        if let Err(error) = &answer {
            let usual = [
                "constraint failed",
                "datatype mismatch",
                "cannot store",
                "no such column: rowid",
            ];
            assert!(
                usual.iter().any(|part| error.contains(part)),
                "seed {seed}: {error}\n{statement}\n{sql:#?}"
            );
        }
        let after = state(&conn, quoted, &key);
        let log = logged(&conn, &mut seq, key.len());
        let keys: HashSet<&String> = before.keys().chain(after.keys()).collect();
        let changed: Vec<&&String> = keys
            .iter()
            .filter(|key| before.get(**key) != after.get(**key))
            .collect();
        tally.changed += changed.len();
        if !statement.starts_with("DELETE") {
            tally.evicted += before.len().saturating_sub(after.len());
        }
        for key in changed {
            if !log.contains(*key) {
                tally.missed.push(format!(
                    "seed {seed}: {key} is not in the log {log:?} of\n{statement}\nbefore {before:#?}\nafter {after:#?}\n{sql:#?}\n{:#?}",
                    capture.objects
                ));
            }
        }
        before = after;
    }
}

fn schemas() -> u64 {
    let set = std::env::var("TIDEGATE_SEEDS").ok();
    let full = std::env::var_os("TIDEGATE_FULL").is_some();
    let usual = if full { 10 * SCHEMAS } else { SCHEMAS };
    set.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_change_and_no_eviction_is_missed() {
    let tally = run(ProbeForm::Full, 0..schemas());
    assert!(
        tally.missed.is_empty(),
        "{} missed, first: {}",
        tally.missed.len(),
        tally.missed[0]
    );
    println!(
        "{} schemas, {} refused, {} rows changed, {} evicted",
        tally.schemas, tally.refused, tally.changed, tally.evicted
    );
    assert!(
        tally.schemas > 200 && tally.evicted > 500 && tally.refused > 0 && tally.changed > 5_000,
        "{tally:?}"
    );
}

#[test]
fn the_test_sees_the_loss_when_a_probe_ignores_defaults() {
    let tally = run(ProbeForm::WithoutDefault, 0..SCHEMAS);
    assert!(!tally.missed.is_empty(), "{tally:?}");
}
