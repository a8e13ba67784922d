//! The compare on small pairs: what counts as a difference, what does not, and where it is said to be.

use super::*;

/// Two files made by the same SQL, then each changed by its own.
fn pair(both: &str, only_a: &str, only_b: &str) -> Comparison {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, then: &str| {
        let path = dir.path().join(name);
        Connection::open(&path)
            .unwrap()
            .execute_batch(&format!("{both};{then}"))
            .unwrap();
        path
    };
    compare(
        &make("a.db", only_a),
        &make("b.db", only_b),
        &["tidegate_*", "scratch"],
    )
    .unwrap()
}

const T: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w); INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30)";

fn only(comparison: &Comparison) -> &Difference {
    assert_eq!(comparison.differ(), 1, "{comparison}");
    assert!(!comparison.equal());
    let all: Vec<_> = comparison.tables.iter().flat_map(|t| &t.first).collect();
    assert_eq!(all.len(), 1, "{comparison}");
    all[0]
}

fn changed(column: &str, a: Cell, b: Cell) -> Kind {
    Kind::Changed {
        column: column.to_owned(),
        a,
        b,
    }
}

fn text(bytes: &[u8]) -> Cell {
    Cell::Text(bytes.to_vec())
}

#[test]
fn the_same_rows_are_equal_and_counted() {
    let c = pair(
        T,
        "",
        "DELETE FROM t; INSERT INTO t VALUES (3, 'c', 30), (1, 'a', 10), (2, 'b', 20)",
    );
    assert!(c.equal(), "{c}");
    assert_eq!((c.rows(), c.tables[0].rows_b), (3, 3));
}

#[test]
fn nothing_compared_is_not_equal() {
    assert!(!pair("", "", "").equal());
}

#[test]
fn a_missing_and_an_extra_row_are_found() {
    let c = pair(T, "", "DELETE FROM t WHERE id = 2");
    assert_eq!(
        only(&c),
        &Difference {
            key: vec![Cell::Integer(2)],
            kind: Kind::Missing
        }
    );
    let c = pair(T, "", "INSERT INTO t VALUES (0, 'z', 0)");
    assert_eq!(
        only(&c),
        &Difference {
            key: vec![Cell::Integer(0)],
            kind: Kind::Extra
        }
    );
    let c = pair(T, "DELETE FROM t WHERE id = 3", "");
    assert_eq!(only(&c).kind, Kind::Extra);
}

#[test]
fn storage_class_and_bytes_count_not_the_look() {
    for (a, b, cell_a, cell_b) in [
        ("1", "'1'", Cell::Integer(1), text(b"1")),
        ("1", "1.0", Cell::Integer(1), Cell::Real(1.0)),
        ("''", "NULL", text(b""), Cell::Null),
        ("''", "x''", text(b""), Cell::Blob(vec![])),
        (
            "'abc'",
            "x'616263'",
            text(b"abc"),
            Cell::Blob(b"abc".to_vec()),
        ),
        ("'abc'", "'abc' || char(0)", text(b"abc"), text(b"abc\0")),
        (
            "x'61'",
            "x'6100'",
            Cell::Blob(b"a".to_vec()),
            Cell::Blob(b"a\0".to_vec()),
        ),
        ("'abc'", "'Abc'", text(b"abc"), text(b"Abc")),
        ("'a'", "'a '", text(b"a"), text(b"a ")),
        (
            "'é'",
            "'e' || char(0x301)",
            text("é".as_bytes()),
            text("e\u{301}".as_bytes()),
        ),
        (
            "9007199254740993",
            "9007199254740992",
            Cell::Integer(9007199254740993),
            Cell::Integer(9007199254740992),
        ),
        ("0.1 + 0.2", "0.3", Cell::Real(0.1 + 0.2), Cell::Real(0.3)),
        (
            "CAST(x'ff61' AS TEXT)",
            "CAST(x'fe61' AS TEXT)",
            text(b"\xffa"),
            text(b"\xfea"),
        ),
    ] {
        let c = pair(
            T,
            &format!("UPDATE t SET v = {a} WHERE id = 2"),
            &format!("UPDATE t SET v = {b} WHERE id = 2"),
        );
        assert_eq!(
            only(&c),
            &Difference {
                key: vec![Cell::Integer(2)],
                kind: changed("v", cell_a, cell_b)
            },
            "{a} and {b}"
        );
    }
}

#[test]
fn two_swapped_values_are_two_changed_rows() {
    let c = pair(
        T,
        "",
        "UPDATE t SET w = CASE id WHEN 1 THEN 20 ELSE 10 END WHERE id < 3",
    );
    let table = c.table("t").unwrap();
    assert_eq!((table.changed, table.missing, table.extra), (2, 0, 0));
    assert_eq!(
        table.first[0].kind,
        changed("w", Cell::Integer(10), Cell::Integer(20))
    );
    assert_eq!(table.first[1].to_string(), "(2) w: 20 became 10");
}

#[test]
fn keys_of_every_sort_line_up() {
    let composite = "CREATE TABLE t (b TEXT, a INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
        INSERT INTO t VALUES ('y', 1, 0), ('x', 2, 0), ('x', 1, 0), ('é', 1, 0)";
    assert!(pair(composite, "", "").equal());
    let c = pair(composite, "", "DELETE FROM t WHERE a = 1 AND b = 'y'");
    assert_eq!(only(&c).key, [Cell::Integer(1), text(b"y")]);
    let nocase = "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, v); INSERT INTO t VALUES ('a', 1), ('B', 2), ('c', 3)";
    assert!(pair(nocase, "", "").equal());
    let c = pair(nocase, "", "UPDATE t SET k = 'A' WHERE k = 'a'");
    assert_eq!(
        (c.table("t").unwrap().missing, c.table("t").unwrap().extra),
        (1, 1),
        "another key by its bytes"
    );
    let mixed = "CREATE TABLE t (k BLOB NOT NULL PRIMARY KEY, v);
        INSERT INTO t VALUES (1, 0), (1.5, 0), ('1', 0), (x'31', 0), (9223372036854775807, 0), (9.3e18, 0), (-1, 0)";
    assert!(pair(mixed, "", "").equal());
    let c = pair(mixed, "", "UPDATE t SET k = 1.0 WHERE k = 1");
    assert_eq!(
        only(&c).kind,
        changed("k", Cell::Integer(1), Cell::Real(1.0))
    );
}

#[test]
fn a_table_without_a_key_is_compared_as_a_multiset() {
    let heap =
        "CREATE TABLE t (v, w); INSERT INTO t VALUES (1, 'a'), (1, 'a'), (1.0, 'a'), (NULL, NULL)";
    assert!(
        pair(
            heap,
            "",
            "DELETE FROM t; INSERT INTO t VALUES (NULL, NULL), (1.0, 'a'), (1, 'a'), (1, 'a')"
        )
        .equal()
    );
    assert_eq!(
        only(&pair(heap, "", "DELETE FROM t WHERE rowid = 1")).kind,
        Kind::Missing
    );
    let null_key = "CREATE TABLE t (k TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 1), (NULL, 2), (NULL, 1)";
    assert!(
        pair(
            null_key,
            "",
            "DELETE FROM t; INSERT INTO t VALUES (NULL, 1), (NULL, 1), (NULL, 2)"
        )
        .equal()
    );
    assert!(!pair(null_key, "", "UPDATE t SET v = 2 WHERE rowid = 1").equal());
}

#[test]
fn tables_and_columns_of_one_side_only_are_said() {
    let c = pair(
        T,
        "CREATE TABLE u (x); CREATE TABLE tidegate_log (x); CREATE TABLE scratch (x)",
        "ALTER TABLE t ADD COLUMN more",
    );
    assert_eq!(c.only_in_a, ["u"]);
    assert_eq!(c.table("t").unwrap().columns_on_one_side, ["more"]);
    assert_eq!(c.differ(), 0);
    assert!(!c.equal());
}

#[test]
fn generated_columns_and_quoted_names_are_read() {
    let sql = "CREATE TABLE \"od\"\"d\" (id INTEGER PRIMARY KEY, \"a b\" INT, twice INT AS (\"a b\" * 2)); INSERT INTO \"od\"\"d\" VALUES (1, 4)";
    let c = pair(sql, "", "UPDATE \"od\"\"d\" SET \"a b\" = 5");
    let first = &c.table("od\"d").unwrap().first;
    assert_eq!(first.len(), 2);
    assert_eq!(
        first[1].kind,
        changed("twice", Cell::Integer(8), Cell::Integer(10))
    );
}

#[test]
fn many_differences_are_all_counted_and_few_kept() {
    let many = "CREATE TABLE t (id INTEGER PRIMARY KEY, v);
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000) INSERT INTO t SELECT n, n FROM n";
    let c = pair(many, "", "UPDATE t SET v = v + 1 WHERE id % 2 = 0");
    assert_eq!((c.differ(), c.table("t").unwrap().first.len()), (500, KEPT));
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let no = dir.path().join("no.db");
    assert!(
        compare(&no, &no, &[])
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
    assert!(!no.exists());
}

#[test]
fn integers_and_reals_sort_without_rounding() {
    let big = 9_007_199_254_740_993;
    assert_eq!(
        integer_to_real(big, 9_007_199_254_740_992.0),
        Ordering::Greater
    );
    assert_eq!(integer_to_real(1, 1.5), Ordering::Less);
    assert_eq!(integer_to_real(-1, -1.5), Ordering::Greater);
    assert_eq!(
        integer_to_real(i64::MAX, 9_223_372_036_854_775_808.0),
        Ordering::Less
    );
    assert_eq!(
        integer_to_real(i64::MIN, f64::NEG_INFINITY),
        Ordering::Greater
    );
    assert_eq!(
        integer_to_real(i64::MIN, -9_223_372_036_854_775_808.0),
        Ordering::Equal
    );
}
