//! The file changes under us: definitions, triggers, log, the file itself.

use crate::bed::Bed;
use std::time::Duration;
use tidegate::db::{Feed, Part};
use tidegate::domain::change::{Image, Item, Txn};
use tidegate::domain::fault::Fault;
use tidegate::domain::id::TableId;

const SCHEMA: &str = "CREATE TABLE a(id INTEGER PRIMARY KEY, v);
                      CREATE TABLE b(id INTEGER PRIMARY KEY, v);
                      INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 'x')";
const A: TableId = TableId(0);
const B: TableId = TableId(1);

async fn feed(bed: &Bed) -> Box<dyn Feed> {
    bed.source.feed(&bed.plan, bed.head().await).await.unwrap()
}

/// The next item that is no idle.
async fn next(feed: &mut dyn Feed) -> Result<Item, Fault> {
    let told = async {
        loop {
            match feed.next().await? {
                Item::Idle(_) => {}
                item => return Ok(item),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told)
        .await
        .expect("something is told")
}

async fn txn(feed: &mut dyn Feed) -> Txn {
    match next(feed).await.unwrap() {
        Item::Txn(txn) => txn,
        other => panic!("{other:?}"),
    }
}

async fn fault(feed: &mut dyn Feed) -> String {
    let fault = next(feed).await.expect_err("the stream stops");
    assert!(fault.hint.is_some() && fault.cause.is_some(), "{fault:?}");
    fault.code
}

fn tables(txn: &Txn) -> Vec<TableId> {
    txn.changes.iter().map(|change| change.table).collect()
}

#[tokio::test]
async fn a_changed_definition_is_told_before_anything_else_of_the_table() {
    for alter in [
        "ALTER TABLE a ADD COLUMN w",
        "ALTER TABLE a RENAME COLUMN v TO w",
        "ALTER TABLE a RENAME TO z",
        "DROP TABLE a",
        "CREATE UNIQUE INDEX u ON a(v)",
    ] {
        let (bed, _writer) = Bed::installed(SCHEMA).await;
        let mut feed = feed(&bed).await;
        bed.app
            .execute_batch(&format!("UPDATE a SET v = 'before'; UPDATE b SET v = 'before'; {alter}; UPDATE b SET v = 'after'"))
            .unwrap();
        assert_eq!(next(&mut *feed).await.unwrap(), Item::Schema(A), "{alter}");
        assert_eq!(
            tables(&txn(&mut *feed).await),
            [B],
            "{alter}: nothing more of it"
        );
        bed.app.execute_batch("UPDATE b SET v = 'later'").unwrap();
        let later = txn(&mut *feed).await;
        assert_eq!(tables(&later), [B], "{alter}: told once");
        assert!(matches!(&later.changes[0].image, Image::Present(_)));
        let shapes = bed.source.pulse(&bed.plan).await.unwrap().shapes;
        let shape = |id| {
            shapes
                .iter()
                .find(|(found, _)| *found == id)
                .map(|(_, shape)| shape.clone())
        };
        assert_ne!(
            shape(A).as_ref(),
            Some(&bed.plan.tables[0].shape),
            "{alter}"
        );
        assert_eq!(
            shape(B).as_ref(),
            Some(&bed.plan.tables[1].shape),
            "{alter}"
        );
    }
}

#[tokio::test]
async fn what_does_not_touch_rows_is_no_change_of_the_definition() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    let mut feed = feed(&bed).await;
    for harmless in [
        "VACUUM",
        "CREATE INDEX plain ON a(v)",
        "DROP INDEX plain",
        "CREATE TABLE other(x)",
        "CREATE VIEW seen AS SELECT * FROM a",
        "ANALYZE",
        "REINDEX",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        bed.app.execute_batch(harmless).unwrap();
        bed.app.execute_batch("UPDATE a SET v = random()").unwrap();
        assert_eq!(tables(&txn(&mut *feed).await), [A], "{harmless}");
    }
}

#[tokio::test]
async fn a_dropped_trigger_is_a_lost_capture() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    let mut feed = feed(&bed).await;
    bed.app
        .execute_batch(
            "DROP TRIGGER tidegate_b_au; UPDATE b SET v = 'unseen'; UPDATE a SET v = 'seen'",
        )
        .unwrap();
    assert_eq!(fault(&mut *feed).await, "CAPTURE-LOST");
}

#[tokio::test]
async fn a_table_made_again_is_a_lost_capture() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    let mut feed = feed(&bed).await;
    bed.app
        .execute_batch(
            "BEGIN; CREATE TABLE fresh(id INTEGER PRIMARY KEY, v); INSERT INTO fresh SELECT * FROM a; DROP TABLE a;
             ALTER TABLE fresh RENAME TO a; COMMIT",
        )
        .unwrap();
    assert_eq!(fault(&mut *feed).await, "CAPTURE-LOST");
}

#[tokio::test]
async fn a_log_that_is_gone_or_went_back_is_told() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    let mut one = feed(&bed).await;
    bed.app.execute_batch("UPDATE a SET v = 'x'").unwrap();
    txn(&mut *one).await;
    bed.app
        .execute_batch("DELETE FROM tidegate_log WHERE seq = (SELECT max(seq) FROM tidegate_log)")
        .unwrap();
    assert_eq!(fault(&mut *one).await, "SOURCE-REPLACED");
    let mut two = feed(&bed).await;
    bed.app.execute_batch("DELETE FROM tidegate_log").unwrap();
    assert_eq!(fault(&mut *two).await, "CAPTURE-LOST");
    assert_eq!(
        bed.source
            .remove(&[Part::Capture], None)
            .await
            .settled()
            .unwrap(),
        []
    );
    assert_eq!(fault(&mut *two).await, "CAPTURE-LOST");
}

#[tokio::test]
async fn a_log_made_again_never_passes_for_the_older_one() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    bed.app
        .execute_batch("UPDATE a SET v = 1; UPDATE a SET v = 2")
        .unwrap();
    let old = bed.head().await;
    bed.source
        .remove(&[Part::Capture], None)
        .await
        .settled()
        .unwrap();
    // The log's birth is at the clock, to the second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    bed.app.execute_batch("UPDATE a SET v = 'unseen'").unwrap();
    bed.source
        .install(Part::Capture, &bed.plan)
        .await
        .settled()
        .unwrap();
    for _ in 0..20 {
        bed.app.execute_batch("UPDATE a SET v = random()").unwrap();
    }
    assert!(bed.head().await > old);
    let Err(fault) = bed.source.feed(&bed.plan, old).await else {
        panic!("a change was missed")
    };
    assert_eq!(fault.code, "CAPTURE-LOST");
}

#[tokio::test]
async fn another_file_in_its_place_is_told() {
    let (bed, _writer) = Bed::installed(SCHEMA).await;
    let mut feed = feed(&bed).await;
    assert!(matches!(feed.next().await.unwrap(), Item::Idle(_)));
    let before = bed.source.pulse(&bed.plan).await.unwrap().identity;
    bed.app
        .execute_batch(&format!("VACUUM INTO '{}'", bed.path("copy.db").display()))
        .unwrap();
    std::fs::rename(bed.path("copy.db"), bed.path("source.db")).unwrap();
    assert_eq!(fault(&mut *feed).await, "SOURCE-REPLACED");
    let Err(view) = bed.source.view(&bed.plan).await else {
        panic!("another file is read")
    };
    assert_eq!(view.code, "SOURCE-REPLACED");
    assert!(
        bed.source
            .install(Part::Gate, &bed.plan)
            .await
            .settled()
            .is_err()
    );
    let again =
        tidegate::db::sqlite::open(bed.path("source.db"), tidegate::domain::plan::Side::Source)
            .await
            .unwrap();
    assert_ne!(again.pulse(&bed.plan).await.unwrap().identity, before);
    std::fs::remove_file(bed.path("source.db")).unwrap();
    assert_eq!(fault(&mut *feed).await, "SOURCE-REPLACED");
}

#[tokio::test]
async fn a_row_with_null_in_its_key_stops_the_stream() {
    let (bed, _writer) =
        Bed::installed("CREATE TABLE t(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1)")
            .await;
    let mut feed = feed(&bed).await;
    bed.app
        .execute_batch("INSERT INTO t VALUES (NULL, 2)")
        .unwrap();
    assert_eq!(next(&mut *feed).await.unwrap_err().code, "NULL-KEY");
}
