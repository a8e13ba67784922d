//! Damage on the target that a compare could take for equal: each is found, with its table, its key and its column.

use crate::edges::{KINDS, Kind, SETUP};
use crate::kinds::make;
use crate::load::Load;
use crate::server::Private;
use crate::stand::{Called, Stand};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// A table `name(id, v)`: what the source has, and what is put on the target instead.
const PAIRS: &[(&str, &str, &str, &str)] = &[
    ("l_numeric", "numeric", "1.0", "1.00"),
    ("l_numeric_array", "numeric[]", "'{1.0}'", "'{1.00}'"),
    ("l_exact", "free", "1.0", "1.00"),
    ("l_float8", "float8", "'0'", "'-0'"),
    ("l_float4", "float4", "'0'", "'-0'"),
    ("l_interval", "interval", "'1 mon'", "'30 days'"),
    ("l_day", "interval", "'24:00:00'", "'1 day'"),
    ("l_bpchar", "bpchar", "'a'", "'a  '"),
    ("l_text", "text", "'a'", "'a '"),
    ("l_form", "text", "E'\\u00e9'", "E'e\\u0301'"),
    ("l_jsonb", "jsonb", "'1.0'", "'1.00'"),
    ("l_json", "json", "'{\"a\": 1}'", "'{\"a\":1}'"),
    ("l_citext", "citext", "'Abc'", "'ABC'"),
    ("l_nocase", "text COLLATE nocase", "'Abc'", "'aBC'"),
    ("l_box", "box", "'(1,1),(0,0)'", "'(2,2),(1,1)'"),
    ("l_circle", "circle", "'<(0,0),1>'", "'<(5,5),1>'"),
    ("l_path", "path", "'[(0,0),(1,1)]'", "'[(0,0),(7,7)]'"),
    ("l_point", "point", "'(0,0)'", "'(1e-7,0)'"),
    ("l_numrange", "numrange", "'[1.0,2]'", "'[1.00,2]'"),
    ("l_row", "priced", "'(1.0,a)'", "'(1.00,a)'"),
    ("l_xml", "xml", "'<a/>'", "'<a></a>'"),
    ("l_bounds", "text[]", "'{x}'", "'[0:0]={x}'"),
    ("l_null_array", "text[]", "'{NULL}'", "'{\"NULL\"}'"),
    ("l_bytea", "bytea", "'\\x00ff'", "'\\x00fe'"),
    ("l_empty", "text", "''", "NULL"),
    ("l_zero", "text", "'0'", "''"),
    ("l_int", "int", "0", "NULL"),
    // One half of the number moved to the other: the server's own hash of eight bytes is the same.
    ("l_bigint", "bigint", "1", "4294967296"),
    ("l_negative", "bigint", "-1", "4294967295"),
    (
        "l_money",
        "money",
        "'0.01'::numeric",
        "'42949672.96'::numeric",
    ),
    ("l_time", "time", "'00:00:00.000001'", "'01:11:34.967296'"),
    (
        "l_timetz",
        "timetz",
        "'00:00:00.000001+00'",
        "'01:11:34.967296+00'",
    ),
    (
        "l_timestamp",
        "timestamp",
        "'2000-01-01 00:00:00.000001'",
        "'2000-01-01 01:11:34.967296'",
    ),
    (
        "l_timestamptz",
        "timestamptz",
        "'2000-01-01 00:00:00.000001+00'",
        "'2000-01-01 01:11:34.967296+00'",
    ),
];

fn tables(called: &Called) -> Vec<Json> {
    let told = called.json();
    let tables = told["tables"].as_array().unwrap().iter();
    tables
        .filter(|table| !table["rows"].as_array().unwrap().is_empty())
        .cloned()
        .collect()
}

/// The one table that differs, in this row of this class, in column v.
fn assert_told(called: &Called, table: &str, id: i64) {
    assert_eq!(called.code, 1, "{table}: {}{}", called.out, called.err);
    let told = tables(called);
    assert_eq!(told.len(), 1, "{table}: {told:#?}");
    assert_eq!(told[0]["source"], format!("public.{table}"));
    assert_eq!(told[0]["columns"], json!(["v"]), "{table}");
    assert_eq!(
        told[0]["drift"]["confirmed"],
        json!({"missing": 0, "extra": 0, "changed": 1}),
        "{table}"
    );
    assert_eq!(told[0]["rows"][0]["key"], json!([id]), "{table}");
}

const VERIFY: [&str; 4] = ["verify", "-c", "tidegate.toml", "--json"];

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn what_sql_takes_for_equal_is_found_by_both_compares() {
    let mut stand = Stand::new("lies");
    let mut sql = format!(
        "{SETUP} CREATE DOMAIN free AS numeric; CREATE TYPE priced AS (p numeric, t text);"
    );
    for (name, declared, ours, _) in PAIRS {
        let _ = writeln!(
            sql,
            "CREATE TABLE {name}(id int PRIMARY KEY, v {declared}); \
             INSERT INTO {name} SELECT i, {ours} FROM generate_series(1, 20) i;"
        );
    }
    stand.source.sql(&sql);
    stand.to_synced();
    let put = |value: &str, name: &str| format!("UPDATE {name} SET v = {value} WHERE id = 7;");
    for (name, _, ours, theirs) in PAIRS {
        stand.target.intrude(&put(theirs, name));
        assert_told(&stand.call(&VERIFY), name, 7);
        stand.target.intrude(&put(ours, name));
    }
    assert_eq!(stand.call(&VERIFY).code, 0);
    stand.start_answering();
    stand.synced();
    for (name, _, ours, theirs) in PAIRS {
        let one = (*name).to_owned();
        let verify = [&VERIFY[..], &["-t", &one]].concat();
        stand.target.intrude(&put(theirs, name));
        assert_told(&stand.call(&verify), name, 7);
        stand.target.intrude(&put(ours, name));
    }
    assert_eq!(stand.call(&VERIFY).code, 0);
    stand.assert_equal();
}

/// What is done to every table at once, and the rows that are then told of each: key and class.
type Damage = (&'static str, &'static str, &'static [(i64, &'static str)]);
const DAMAGE: &[Damage] = &[
    ("missing", "DELETE FROM T WHERE id = 1", &[(1, "missing")]),
    (
        "extra",
        "INSERT INTO T SELECT 5000, v FROM T WHERE id = 1",
        &[(5_000, "extra")],
    ),
    (
        "swapped",
        "UPDATE T SET v = CASE id WHEN 1 THEN (SELECT v FROM T WHERE id = L) ELSE (SELECT v FROM T WHERE id = 1) END WHERE id IN (1, L)",
        &[(1, "changed"), (-1, "changed")],
    ),
    (
        "cleared",
        "UPDATE T SET v = NULL WHERE id = 1",
        &[(1, "changed")],
    ),
    (
        "an even number",
        "UPDATE T SET v = NULL WHERE id IN (1, 1001)",
        &[(1, "changed"), (1_001, "changed")],
    ),
];

/// A fifth of the types, or all.
fn kinds() -> impl Iterator<Item = &'static Kind> {
    let step = if crate::load::full() { 1 } else { 5 };
    KINDS.iter().step_by(step)
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn damage_in_every_type_is_found_and_repaired() {
    let mut stand = Stand::new("damage");
    make(&stand.source, 2);
    stand.to_synced();
    stand.start_answering();
    stand.synced();
    for (what, sql, rows) in DAMAGE {
        let script = kinds().fold(String::new(), |mut script, kind| {
            let last = (kind.values.len() + 1).to_string();
            let words = sql.split(' ').map(|word| match word {
                "T" => kind.name.to_owned(),
                "L" => last.clone(),
                word => word.replace("L)", &format!("{last})")),
            });
            let _ = writeln!(script, "{};", words.collect::<Vec<_>>().join(" "));
            script
        });
        stand.target.intrude(&script);
        let called = stand.call(&VERIFY);
        assert_eq!(called.code, 1, "{what}: {}{}", called.out, called.err);
        let told = tables(&called);
        assert_eq!(told.len(), kinds().count(), "{what}");
        for (table, kind) in told.iter().map(|table| {
            let name = table["source"]
                .as_str()
                .unwrap()
                .trim_start_matches("public.");
            (table, kinds().find(|kind| kind.name == name).unwrap())
        }) {
            let last = kind.values.len() as i64 + 1;
            let mut want: Vec<(i64, &str)> = rows.to_vec();
            want.iter_mut()
                .filter(|row| row.0 == -1)
                .for_each(|row| row.0 = last);
            let mut got: Vec<(i64, &str)> = table["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| {
                    (
                        row["key"][0].as_i64().unwrap(),
                        row["class"].as_str().unwrap(),
                    )
                })
                .collect();
            got.sort_unstable();
            assert_eq!(got, want, "{what}: {}", kind.name);
        }
        let repair = stand.call(&["send", &stand.name, "repair"]);
        assert_eq!(repair.code, 0, "{what}: {}{}", repair.out, repair.err);
        stand.until_equal();
    }
    stand.synced();
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_busy_source_is_no_difference() {
    let mut stand = Stand::new("busy");
    stand.configure(
        &stand.source.server.url(&stand.source.database),
        &stand.target.server.url(&stand.target.database),
        "[verify]\nmax_age = \"1s\"\n",
    );
    Load::prepare(&stand.source);
    let load = Load::start(&stand.source, stand.path("life.sql"));
    stand.start_answering();
    stand.until("synced", |status| status["phase"] == "synced");
    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < Duration::from_secs(12) {
        // Every other time the stream is far behind.
        if round % 2 == 1 {
            stand.call(&["send", &stand.name, "pause"]);
            std::thread::sleep(Duration::from_secs(1));
            stand.call(&["send", &stand.name, "resume"]);
        }
        let verify = stand.call(&VERIFY);
        assert!(matches!(verify.code, 0 | 6), "{}{}", verify.out, verify.err);
        let status = stand.status().unwrap();
        assert_eq!(status["drift"]["confirmed"], 0, "{status:#}");
        round += 1;
    }
    // Without the engine the stream says what is only late, and the difference is one.
    stand.park();
    stand
        .target
        .intrude("UPDATE quiet SET t = 'x' WHERE id = 5");
    let verify = stand.call(&VERIFY);
    let told = tables(&verify);
    assert_eq!(verify.code, 1, "{}{}", verify.out, verify.err);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (&told[0]["source"], &told[0]["rows"][0]["key"]),
        (&json!("public.quiet"), &json!([5]))
    );
    stand
        .target
        .intrude("UPDATE quiet SET t = 'row 5' WHERE id = 5");
    load.stop();
    stand.to_synced();
    stand.assert_equal();
}

/// Of any two databases: as long as nobody writes, snapshots prove a difference; then it may be one that is only late.
#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn two_quiet_servers_differ_for_certain_and_two_busy_ones_perhaps() {
    let (from, to) = (
        Private::start("autovacuum = off"),
        Private::start("autovacuum = off"),
    );
    let stand = Stand::between("quiet", from.server(), to.server());
    Load::prepare(&stand.source);
    for table in ["quiet", "chairs"] {
        stand.target.sql(&format!(
            "CREATE TABLE {table}(id int PRIMARY KEY, {})",
            if table == "quiet" {
                "t text"
            } else {
                "place int NOT NULL"
            }
        ));
    }
    stand.target.sql(
        "INSERT INTO quiet SELECT i, 'row ' || i FROM generate_series(1, 100) i;
         INSERT INTO chairs SELECT i, i FROM generate_series(1, 400) i;
         UPDATE quiet SET t = (ARRAY['row 8', 'row 7'])[id - 6] WHERE id IN (7, 8)",
    );
    let urls = [&stand.source, &stand.target].map(|side| side.server.url(&side.database));
    let verify = || {
        stand.call(&[
            "verify", &urls[0], &urls[1], "-t", "quiet", "-t", "chairs", "--json",
        ])
    };
    let called = verify();
    assert_eq!(called.code, 1, "{}{}", called.out, called.err);
    let told = tables(&called);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["drift"]["confirmed"]["changed"], 2);
    assert_eq!(called.json()["still"], true);
    let load = Load::start(&stand.source, stand.path("life.sql"));
    stand.source.sql("SELECT pg_sleep(1)");
    let called = verify();
    load.stop();
    assert_eq!(called.code, 6, "{}{}", called.out, called.err);
    let quiet = tables(&called)
        .into_iter()
        .find(|table| table["source"] == "public.quiet")
        .unwrap();
    assert_eq!(quiet["drift"]["unproven"]["changed"], 2);
    assert_eq!(called.json()["still"], false);
}
