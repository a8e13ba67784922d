//! The target's schema is the source's.

use crate::bed::{Bed, all_rows, plan};
use rusqlite::Connection;
use std::sync::Arc;
use tidegate::db::{Batch, Ddl, Part, Sizes, Writer};
use tidegate::domain::change::Item;
use tidegate::domain::fault::{Fault, Outcome};
use tidegate::domain::id::TableId;
use tidegate::domain::plan::Plan;
use tidegate::domain::position::Position;

fn ddl(kind: &str, name: &str, sql: &str) -> Ddl {
    Ddl {
        kind: kind.into(),
        name: name.into(),
        sql: sql.into(),
    }
}

fn schema(path: &std::path::Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut statement = conn
        .prepare(
            "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema
             WHERE name NOT LIKE 'tidegate%' AND name NOT LIKE 'sqlite%' ORDER BY 1",
        )
        .unwrap();
    statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

async fn finish(bed: &Bed, writer: &dyn Writer) {
    let survey = bed.source.survey(Sizes::Told).await.unwrap();
    for after in survey
        .tables
        .iter()
        .flat_map(|table| &table.after)
        .chain(&survey.rest)
    {
        writer.build(after).await.settled().unwrap();
    }
}

const SHOP: &str = concat!(
    include_str!("../../src/demo/shop_tables.sql"),
    "\n;\n",
    include_str!("../../src/demo/shop_after.sql")
);

#[tokio::test]
async fn everything_of_a_shop_is_made_once() {
    let (bed, writer) = Bed::installed(SHOP).await;
    finish(&bed, &*writer).await;
    assert_eq!(
        schema(&bed.path("target.db")),
        schema(&bed.path("source.db"))
    );
    finish(&bed, &*writer).await;
    assert_eq!(
        schema(&bed.path("target.db")),
        schema(&bed.path("source.db"))
    );
}

#[tokio::test]
async fn another_form_is_refused_with_both() {
    let (bed, writer) = Bed::installed("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)").await;
    let same = ddl(
        "table",
        "t",
        "create table T (ID integer primary key, v text) -- the same",
    );
    writer.build(&same).await.settled().unwrap();
    for other in [
        ddl("table", "t", "CREATE TABLE t(id INTEGER PRIMARY KEY, v)"),
        ddl(
            "table",
            "t",
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT DEFAULT 'x')",
        ),
    ] {
        let Outcome::NotDone(Fault { code, cause, .. }) = writer.build(&other).await else {
            panic!("{other:?}")
        };
        assert_eq!(code, "SCHEMA-DIFFERS");
        assert!(cause.unwrap().contains(&other.sql));
    }
    let Outcome::NotDone(fault) = writer
        .build(&ddl("index", "i", "CREATE INDEX i ON nothing(x)"))
        .await
    else {
        panic!("there is no such table")
    };
    assert!(fault.cause.unwrap().contains("nothing"));
    assert!(
        schema(&bed.path("target.db"))
            .iter()
            .all(|line| !line.starts_with("index"))
    );
}

#[tokio::test]
async fn another_name_on_the_target_is_used_for_the_table_and_its_indexes() {
    let bed = Bed::new(
        "CREATE TABLE \"or ders\"(id INTEGER PRIMARY KEY AUTOINCREMENT, ders TEXT); CREATE INDEX \"or ders by\" ON \"or ders\"(ders);
         INSERT INTO \"or ders\" VALUES (7, 'x'); DELETE FROM \"or ders\"; INSERT INTO \"or ders\" VALUES (3, 'y')",
    )
    .await;
    let mut renamed: Plan = (*plan(&bed.dir, &*bed.source).await).clone();
    renamed.tables[0].target = "purchase \"s\"".into();
    let bed = Bed {
        plan: Arc::new(renamed),
        ..bed
    };
    let writer = bed.install().await;
    bed.copy_all(&*writer).await;
    finish(&bed, &*writer).await;
    finish(&bed, &*writer).await;
    let target = bed.open_app("target.db");
    let count = |sql: &str| {
        target
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(count("SELECT id FROM \"purchase \"\"s\"\"\""), 3);
    assert_eq!(
        count(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'purchase \"s\"'"
        ),
        1
    );
    assert_eq!(
        count("SELECT seq FROM sqlite_sequence WHERE name = 'purchase \"s\"'"),
        7
    );
    assert_eq!(count("SELECT count(*) FROM sqlite_sequence"), 1);
}

#[tokio::test]
async fn an_id_that_was_given_once_is_never_given_again() {
    let (bed, writer) =
        Bed::installed("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v)").await;
    bed.app
        .execute_batch(
            "INSERT INTO t VALUES (100, 'gone'); DELETE FROM t; INSERT INTO t VALUES (5, 'kept')",
        )
        .unwrap();
    bed.copy_all(&*writer).await;
    finish(&bed, &*writer).await;
    // Made and removed between two looks: no row ever comes to the target.
    bed.app
        .execute_batch("INSERT INTO t VALUES (900, 'gone'); DELETE FROM t WHERE id = 900")
        .unwrap();
    let target = bed.open_app("target.db");
    let seq = || {
        target
            .query_row("SELECT seq FROM sqlite_sequence", [], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap()
    };
    assert_eq!(seq(), 100);
    finish(&bed, &*writer).await;
    assert_eq!(seq(), 900, "a survey behind the fence has the last value");
    writer
        .build(&ddl(
            "sequence",
            "t",
            "UPDATE sqlite_sequence SET seq = max(seq, 3) WHERE name = 't'",
        ))
        .await
        .settled()
        .unwrap();
    assert_eq!(seq(), 900);
}

#[tokio::test]
async fn what_an_application_keeps_in_the_header_comes_along() {
    let bed = Bed::with(
        "CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL, v); INSERT INTO t VALUES ('ä', 'ö'), ('z', x'00'), ('🦀', 1)",
        "PRAGMA encoding = 'UTF-16be'; PRAGMA page_size = 8192; PRAGMA auto_vacuum = 2; PRAGMA journal_mode = WAL;
         PRAGMA user_version = 42; PRAGMA application_id = -7",
    )
    .await;
    let writer = bed.install().await;
    bed.copy_all(&*writer).await;
    finish(&bed, &*writer).await;
    let target = bed.open_app("target.db");
    for (pragma, wanted) in [
        ("encoding", "UTF-16be"),
        ("page_size", "8192"),
        ("auto_vacuum", "2"),
        ("journal_mode", "wal"),
        ("user_version", "42"),
        ("application_id", "-7"),
    ] {
        let found: rusqlite::types::Value = target
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .unwrap();
        let found = match found {
            rusqlite::types::Value::Integer(i) => i.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, wanted, "{pragma}");
    }
    let (mut source, mut copied) = (bed.source_view().await, bed.target_view().await);
    assert_eq!(
        all_rows(&mut *source, TableId(0)).await,
        all_rows(&mut *copied, TableId(0)).await
    );
}

/// Our writes are rows as they are: what the application's schema does with writes is done on the source already.
#[tokio::test]
async fn no_trigger_fires_and_no_constraint_is_asked_again() {
    let (bed, writer) = Bed::installed(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, n INTEGER CHECK (n < 10), twice AS (n * 2) STORED);
         CREATE TABLE seen(id INTEGER PRIMARY KEY, what);
         CREATE TRIGGER tell AFTER INSERT ON child BEGIN INSERT INTO seen(what) VALUES (NEW.id); END;
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1, 5);
         PRAGMA ignore_check_constraints = 1; INSERT INTO child VALUES (2, 1, 50)",
    )
    .await;
    finish(&bed, &*writer).await;
    let mut feed = bed
        .source
        .feed(&bed.plan, writer.ledger().await.unwrap().applied)
        .await
        .unwrap();
    bed.copy_all(&*writer).await;
    // The child comes before its parent, the parent goes before its child: SQLite checks neither for us.
    bed.app.execute_batch("INSERT INTO child VALUES (3, 1, 6); DELETE FROM seen WHERE what = 1; PRAGMA foreign_keys = 0; DELETE FROM parent").unwrap();
    loop {
        match feed.next().await.unwrap() {
            Item::Txn(txn) => {
                let upto = txn.head.position;
                writer
                    .apply(Batch {
                        net: txn.changes.into(),
                        log: Vec::new(),
                        after: Position::START,
                        upto,
                    })
                    .await
                    .settled()
                    .unwrap();
            }
            Item::Idle(at) if at == bed.head().await => break,
            _ => {}
        }
    }
    let (mut source, mut target) = (bed.source_view().await, bed.target_view().await);
    for (id, _) in bed.plan.ids() {
        assert_eq!(
            all_rows(&mut *source, id).await,
            all_rows(&mut *target, id).await
        );
    }
    let app = bed.open_app("target.db");
    assert_eq!(
        app.query_row("SELECT sum(twice) FROM child", [], |row| row
            .get::<_, i64>(0))
            .unwrap(),
        122
    );
    bed.target
        .remove(&[Part::Ledger, Part::Gate], None)
        .await
        .settled()
        .unwrap();
    app.execute_batch("PRAGMA foreign_keys = 0; INSERT INTO child VALUES (4, 1, 1)")
        .unwrap();
    let told: i64 = app
        .query_row("SELECT count(*) FROM seen WHERE what = 4", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(told, 1, "for the application it fires");
}
