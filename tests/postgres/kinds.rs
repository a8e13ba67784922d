//! Every type, by a chunk and by the stream.

use crate::edges::{KINDS, Kind, SETUP};
use crate::stand::{Side, Stand};
use std::fmt::Write as _;

/// Makes the tables, with their rows: ids from 1, a NULL last; and so many times, from 1001, from 2001 …
pub fn make(side: &Side, times: usize) {
    let mut sql = SETUP.to_owned();
    for kind in KINDS {
        let _ = writeln!(
            sql,
            "CREATE TABLE {}(id int PRIMARY KEY, v {});",
            kind.name, kind.declared
        );
        for time in 0..times {
            sql += &inserts(kind, time * 1_000);
        }
    }
    side.sql(&sql);
}

fn inserts(kind: &Kind, from: usize) -> String {
    let values = kind.values.iter().chain(&["NULL"]);
    values
        .enumerate()
        .fold(String::new(), |mut sql, (i, value)| {
            let _ = writeln!(
                sql,
                "INSERT INTO {} VALUES ({}, {value});",
                kind.name,
                from + i + 1
            );
            sql
        })
}

/// Each row gets the value of the next one, in one statement a row.
fn rotations(kind: &Kind) -> String {
    let rows = kind.values.len() + 1;
    (0..rows).fold(String::new(), |mut sql, i| {
        let value = kind
            .values
            .iter()
            .chain(&["NULL"])
            .nth((i + 1) % rows)
            .unwrap();
        let _ = writeln!(
            sql,
            "UPDATE {} SET v = {value} WHERE id = {};",
            kind.name,
            i + 1
        );
        sql
    })
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn every_type_arrives_as_it_was_by_chunk_and_by_stream() {
    let mut stand = Stand::new("kinds");
    // What a database is set to changes how its sessions write values.
    for (side, settings) in [
        (
            &stand.source,
            [
                "datestyle = 'German, DMY'",
                "intervalstyle = 'sql_standard'",
                "bytea_output = 'escape'",
                "timezone = 'Asia/Kolkata'",
                "extra_float_digits = 0",
            ],
        ),
        (
            &stand.target,
            [
                "datestyle = 'SQL, MDY'",
                "intervalstyle = 'iso_8601'",
                "xmloption = 'document'",
                "timezone = 'America/St_Johns'",
                "extra_float_digits = -5",
            ],
        ),
    ] {
        for setting in settings {
            let database = &side.database;
            side.sql(&format!("ALTER DATABASE {database} SET {setting}"));
        }
    }
    make(&stand.source, 1);
    let check = stand.call(&["check"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    stand.start_answering();
    stand.synced();
    stand.assert_equal();
    let mut sql = String::new();
    for kind in KINDS {
        sql += &inserts(kind, 1_000);
        sql += &rotations(kind);
    }
    stand.source.sql(&sql);
    stand.until_equal();
    stand.synced();
    stand.park();
    let verify = stand.call(&["verify", "-c", "tidegate.toml"]);
    assert_eq!(verify.code, 0, "{}{}", verify.out, verify.err);
}
