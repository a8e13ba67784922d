//! The thin path: copy, stream, apply, compare.

use crate::bed::{Bed, all_rows};
use tidegate::db::Batch;
use tidegate::domain::change::{Image, Item};
use tidegate::domain::id::TableId;
use tidegate::domain::key::Range;
use tidegate::domain::position::Position;

const T: TableId = TableId(0);

#[tokio::test]
async fn what_is_copied_and_streamed_is_the_source() {
    let (bed, writer) = Bed::installed(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, v);
         INSERT INTO t VALUES (1, 'a', 1.5), (2, 'b', NULL), (3, 'c', x'00ff'), (4, 'd', 'text')",
    )
    .await;
    bed.copy_all(&*writer).await;
    let from = writer.ledger().await.unwrap().applied;
    let mut feed = bed.source.feed(&bed.plan, from).await.unwrap();
    assert_eq!(feed.next().await.unwrap(), Item::Idle(from));

    bed.app
        .execute_batch(
            "BEGIN; UPDATE t SET name = 'x' WHERE id = 1; UPDATE t SET name = 'a' WHERE id = 2;
             UPDATE t SET name = 'b' WHERE id = 1; DELETE FROM t WHERE id = 3;
             INSERT OR REPLACE INTO t VALUES (9, 'd', 9); COMMIT",
        )
        .unwrap();
    let Item::Txn(txn) = feed.next().await.unwrap() else {
        panic!("no transaction")
    };
    assert_eq!(txn.head.position, bed.head().await);
    assert_eq!(txn.changes.len(), 5, "{:?}", txn.changes);
    assert_eq!(
        txn.changes
            .iter()
            .filter(|change| change.image == Image::Gone)
            .count(),
        2
    );
    let batch = Batch {
        net: txn.changes.clone().into(),
        after: Position::START,
        upto: txn.head.position,
        log: vec![txn.into()],
    };
    let applied = writer.apply(batch).await.settled().unwrap();
    assert_eq!(applied.changed, 5);
    assert!(applied.missed.is_empty());

    let (mut source, mut target) = (bed.source_view().await, bed.target_view().await);
    assert_eq!(
        all_rows(&mut *source, T).await,
        all_rows(&mut *target, T).await
    );
    let whole = Range::default();
    let digest = source.digest(T, &whole).await.unwrap();
    assert_eq!(digest.rows.0, 3);
    assert_eq!(digest, target.digest(T, &whole).await.unwrap());
    assert_eq!(target.applied(), Some(bed.head().await));
    assert_eq!(source.applied(), None);
}

/// A look after a long pause: more than memory should hold, and unique values that went round over all of it.
#[tokio::test]
async fn a_large_look_is_kept_aside_and_applied_as_a_whole() {
    let (bed, writer) = Bed::installed(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, v);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         INSERT INTO t SELECT i, 'name ' || i, zeroblob(10) FROM n",
    )
    .await;
    bed.copy_all(&*writer).await;
    let from = writer.ledger().await.unwrap().applied;
    bed.app
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 3000 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
             INSERT INTO t SELECT i, 'name ' || i, randomblob(1000) FROM n;
             UPDATE t SET name = '-' || (id % 2000 + 1) WHERE id <= 2000;
             UPDATE t SET name = 'name ' || substr(name, 2) WHERE id <= 2000;
             DELETE FROM t WHERE id % 100 = 0",
        )
        .unwrap();
    let mut feed = bed.source.feed(&bed.plan, from).await.unwrap();
    let Item::Txn(txn) = feed.next().await.unwrap() else {
        panic!("no transaction")
    };
    assert!(txn.overflow.is_some() && txn.weight() < 5 << 20);
    assert_eq!(txn.count(), 2_000 + 9_001);
    let batch = Batch {
        net: Vec::new().into(),
        after: Position::START,
        upto: txn.head.position,
        log: vec![txn.into()],
    };
    let applied = writer.apply(batch).await.settled().unwrap();
    assert!(applied.missed.is_empty());
    let (mut source, mut target) = (bed.source_view().await, bed.target_view().await);
    let whole = Range::default();
    let digest = source.digest(T, &whole).await.unwrap();
    assert_eq!(digest, target.digest(T, &whole).await.unwrap());
    assert_eq!(target.applied(), Some(bed.head().await));
}
