//! Keys of every type that can be one.

use crate::edges::SETUP;
use crate::stand::Stand;
use std::fmt::Write as _;

/// A table `name(k, n, pad)` with k its key, and five values of the key, in any order.
const KEYS: &[(&str, &str, [&str; 5])] = &[
    (
        "y_int",
        "int",
        ["-1", "0", "1", "2147483647", "-2147483648"],
    ),
    (
        "y_text",
        "text",
        ["''", "' '", "E'a\\tb\\\\'", "'ä'", "repeat('k', 2000)"],
    ),
    (
        "y_c",
        "text COLLATE \"C\"",
        ["'B'", "'a'", "'Z'", "'é'", "'zz'"],
    ),
    (
        "y_german",
        "text COLLATE german",
        ["'B'", "'a'", "'Z'", "'é'", "'zz'"],
    ),
    (
        "y_varchar",
        "varchar(3)",
        ["'a'", "'a '", "'a  '", "'b'", "''"],
    ),
    ("y_char", "char(3)", ["'a'", "'b'", "'abc'", "''", "' a'"]),
    (
        "y_byte_char",
        "\"char\"",
        ["'a'", "'B'", "''", "' '", "'~'"],
    ),
    ("y_name", "name", ["'a'", "'B'", "''", "' '", "'zz'"]),
    (
        "y_uuid",
        "uuid",
        [
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "md5('1')::uuid",
            "md5('2')::uuid",
            "md5('3')::uuid",
        ],
    ),
    (
        "y_numeric",
        "numeric",
        ["1.0", "-0.5", "'NaN'", "'Infinity'", "1e50"],
    ),
    (
        "y_timestamptz",
        "timestamptz",
        [
            "'-infinity'",
            "'2024-01-01 00:00:00.000001+00'",
            "'infinity'",
            "'0044-03-15 BC'",
            "'2024-01-01Z'",
        ],
    ),
    (
        "y_date",
        "date",
        [
            "'-infinity'",
            "'2024-01-01'",
            "'infinity'",
            "'0044-03-15 BC'",
            "'1970-01-01'",
        ],
    ),
    (
        "y_time",
        "time",
        [
            "'00:00'",
            "'24:00'",
            "'12:00'",
            "'12:00:00.000001'",
            "'01:00'",
        ],
    ),
    (
        "y_bytea",
        "bytea",
        ["''", "'\\x00'", "'\\x0000'", "'\\xff'", "'\\x5c'"],
    ),
    (
        "y_mood",
        "mood",
        ["'sad'", "'it''s ok'", "''", "'a,b'", "'MiXed'"],
    ),
    ("y_posint", "posint", ["1", "2", "3", "4", "2147483647"]),
    ("y_code", "code", ["'a'", "'a '", "'B'", "''", "'zz'"]),
    (
        "y_inet",
        "inet",
        [
            "'10.0.0.1'",
            "'10.0.0.1/8'",
            "'::1'",
            "'10.0.0.0/8'",
            "'0.0.0.0/0'",
        ],
    ),
    (
        "y_macaddr",
        "macaddr",
        [
            "'08:00:2b:01:02:03'",
            "'00:00:00:00:00:00'",
            "'ff:ff:ff:ff:ff:ff'",
            "'08:00:2b:01:02:04'",
            "'08:00:2b:01:02:05'",
        ],
    ),
    (
        "y_float8",
        "float8",
        ["0", "'NaN'", "'-Infinity'", "5e-324", "0.1"],
    ),
    (
        "y_float4",
        "real",
        ["0", "'NaN'", "'Infinity'", "1e-45", "0.1"],
    ),
    (
        "y_bit",
        "bit(3)",
        ["B'000'", "B'001'", "B'111'", "B'010'", "B'100'"],
    ),
    (
        "y_varbit",
        "varbit",
        ["B''", "B'0'", "B'00'", "B'1'", "B'10'"],
    ),
    (
        "y_interval",
        "interval",
        ["'1 mon'", "'-1 day'", "'0'", "'100 years'", "'1 sec'"],
    ),
    (
        "y_range",
        "int4range",
        ["'empty'", "'[1,2)'", "'(,)'", "'[1,)'", "'(,9)'"],
    ),
    (
        "y_array",
        "int[]",
        ["'{}'", "'{1,NULL}'", "'{1}'", "'{{1}}'", "'{2}'"],
    ),
    (
        "y_text_array",
        "text[]",
        ["'{}'", "'{\"a,b\"}'", "'{a,b}'", "'{\"\"}'", "'{NULL}'"],
    ),
    (
        "y_row",
        "inner_pair",
        [
            "'(1,a)'::inner_pair",
            "'(1,B)'::inner_pair",
            "'(2,\"\")'::inner_pair",
            "'(3,\"a,\"\"b\")'::inner_pair",
            "'(-1,\" \")'::inner_pair",
        ],
    ),
    (
        "y_lsn",
        "pg_lsn",
        ["'0/0'", "'0/1'", "'1/0'", "'FF/0'", "'FFFFFFFF/FFFFFFFF'"],
    ),
    (
        "y_money",
        "money",
        ["'1'", "'-1'", "'0'", "'0.01'", "'1000000'"],
    ),
    ("y_oid", "oid", ["0", "1", "4294967295", "2147483648", "7"]),
];

/// Keys that SQL takes for equal though they are written differently, and those whose `=` an extension brings.
const REFUSED: &[(&str, &str, [&str; 5], &str)] = &[
    (
        "y_ltree",
        "ltree",
        ["'a'", "'a.b'", "'b'", "'A'", "''"],
        "KEY-OPERATORS",
    ),
    (
        "y_citext",
        "citext",
        ["'a'", "'B'", "''", "' '", "'zz'"],
        "KEY-FOLDS",
    ),
    (
        "y_nocase",
        "text COLLATE nocase",
        ["'a'", "'B'", "''", "' '", "'zz'"],
        "KEY-FOLDS",
    ),
];

fn script(name: &str, values: &[&str; 5], stream: bool) -> String {
    let [a, b, c, d, e] = values;
    let pad = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i)";
    if stream {
        format!(
            "INSERT INTO {name} VALUES ({d}, 4, {pad});\n\
             UPDATE {name} SET n = n + 10 WHERE k = {a};\n\
             DELETE FROM {name} WHERE k = {b};\n\
             UPDATE {name} SET k = {e} WHERE k = {c};\n\
             BEGIN; UPDATE {name} SET k = {c} WHERE k = {e}; UPDATE {name} SET k = {b} WHERE k = {a}; UPDATE {name} SET k = {a} WHERE k = {c}; \
             UPDATE {name} SET n = 7 WHERE k = {a}; COMMIT;\n"
        )
    } else {
        format!("INSERT INTO {name} VALUES ({a}, 1, {pad}), ({b}, 2, {pad}), ({c}, NULL, '');\n")
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn rows_are_found_by_keys_of_every_type() {
    let mut stand = Stand::new("keys");
    let mut sql = SETUP.to_owned();
    for (name, declared, values) in KEYS {
        let _ = writeln!(
            sql,
            "CREATE TABLE {name}(k {declared} PRIMARY KEY, n int, pad text); ALTER TABLE {name} ALTER pad SET STORAGE EXTERNAL;"
        );
        sql += &script(name, values, false);
    }
    sql += "CREATE TABLE y_three(t text, pad text, i int, u uuid, PRIMARY KEY (t, i, u)); ALTER TABLE y_three ALTER pad SET STORAGE EXTERNAL;
        INSERT INTO y_three SELECT chr(97 + i % 26), repeat(md5(i::text), 100), i % 7 - 3, md5(i::text)::uuid FROM generate_series(1, 500) i;
        CREATE TABLE y_only(a text, b int, PRIMARY KEY (b, a)); INSERT INTO y_only VALUES ('', 1), ('x', 1), ('', 2);
        CREATE TABLE y_full(a int, b text, c numeric); ALTER TABLE y_full REPLICA IDENTITY FULL; INSERT INTO y_full VALUES (1, 'a', 1.0), (1, 'a', 1.0);
        CREATE TABLE y_index(id int, k text NOT NULL UNIQUE, n int); ALTER TABLE y_index REPLICA IDENTITY USING INDEX y_index_k_key;
        INSERT INTO y_index VALUES (1, 'a', 1), (2, 'b', NULL);";
    stand.source.sql(&sql);
    let config = |more: &str| {
        stand.configure(
            &stand.source.server.url(&stand.source.database),
            &stand.target.server.url(&stand.target.database),
            more,
        );
    };
    config("[backfill]\nchunk_time = \"10ms\"\n");
    let check = stand.call(&["check"]);
    assert!(check.out.contains("y_full"), "{}", check.out);
    stand.source.sql("DROP TABLE y_full");
    let check = stand.call(&["check"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    stand.start_answering();
    stand.synced();
    stand.assert_equal();
    let mut sql = String::new();
    for (name, _, values) in KEYS {
        sql += &script(name, values, true);
    }
    sql += "UPDATE y_three SET i = i + 100 WHERE t < 'f'; UPDATE y_three SET t = upper(t) WHERE t > 'p'; DELETE FROM y_three WHERE i = 0;
        UPDATE y_three SET u = md5(u::text)::uuid WHERE i = 2; UPDATE y_only SET a = a || 'z'; DELETE FROM y_only WHERE b = 2;
        UPDATE y_index SET n = 5 WHERE id = 2; UPDATE y_index SET k = 'c' WHERE id = 1; UPDATE y_index SET id = 9 WHERE k = 'b';";
    stand.source.sql(&sql);
    stand.until_equal();
    stand.synced();
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn keys_that_could_lose_rows_are_refused_by_name() {
    let stand = Stand::new("folds");
    let mut sql = SETUP.to_owned();
    for (name, declared, values, _) in REFUSED {
        let _ = writeln!(
            sql,
            "CREATE TABLE {name}(k {declared} PRIMARY KEY, n int, pad text);"
        );
        sql += &script(name, values, false);
    }
    stand.source.sql(&sql);
    let check = stand.call(&["check"]);
    assert_eq!(check.code, 3, "{}{}", check.out, check.err);
    for (name, _, _, code) in REFUSED {
        let told = check
            .out
            .lines()
            .any(|line| line.contains(name) && line.contains(code));
        assert!(told, "{name}: {}", check.out);
    }
}
