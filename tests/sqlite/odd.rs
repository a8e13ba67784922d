//! Tables as people really have them.

use crate::bed::{Bed, all_rows};
use std::sync::Arc;
use tidegate::db::{Batch, Sizes};
use tidegate::domain::change::Item;
use tidegate::domain::key::Range;
use tidegate::domain::position::Position;
use tidegate::domain::table::Mode;
use tidegate::domain::unit::Rows;

const ODD: &str = r#"
    CREATE TABLE "select ""from"" [x]"("a ""b"" c" INTEGER PRIMARY KEY, "rowid" TEXT, 'quoted' , [br ck]);
    CREATE TABLE shout(K TEXT NOT NULL, n INT NOT NULL, V, G GENERATED ALWAYS AS (n + 1) VIRTUAL, PRIMARY KEY (K COLLATE NOCASE, n)) WITHOUT ROWID;
    CREATE TABLE by_index(a TEXT NOT NULL, b TEXT COLLATE NOCASE NOT NULL, v);
    CREATE UNIQUE INDEX by_index_key ON by_index(b COLLATE BINARY, a COLLATE NOCASE);
    CREATE TABLE backwards(k INTEGER NOT NULL, l INTEGER NOT NULL, v, PRIMARY KEY (k DESC, l DESC)) WITHOUT ROWID;
    CREATE TABLE both_ways(k INTEGER NOT NULL, l INTEGER NOT NULL, v, PRIMARY KEY (k DESC, l)) WITHOUT ROWID;
    CREATE TABLE strict(k TEXT PRIMARY KEY NOT NULL, i INT, r REAL, a ANY, b BLOB) STRICT;
    CREATE TABLE loose(k NUMERIC PRIMARY KEY NOT NULL, i INT, r REAL, t TEXT, b BLOB, n NUMERIC, x);
    CREATE TABLE keyless(a, b);
    CREATE VIRTUAL TABLE words USING fts5(body);
"#;

const FILL: &str = r#"
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
    INSERT INTO "select ""from"" [x]" SELECT i * 8 % 91, 'row ' || i, i, NULL FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
    INSERT INTO shout SELECT CASE i % 2 WHEN 0 THEN 'Key' ELSE 'KEY' END, i, i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
    INSERT INTO by_index SELECT 'A' || (i % 9), 'b' || char(65 + i), i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
    INSERT INTO backwards SELECT i % 10, i, i FROM n;
    INSERT INTO both_ways SELECT * FROM backwards;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
    INSERT INTO strict SELECT 'k' || i, i, i / 2.0, CASE i % 3 WHEN 0 THEN '12' WHEN 1 THEN 12 ELSE 12.0 END, x'00' FROM n;
    INSERT INTO loose VALUES (1, 'abc', '1', 12, 12, '12x', '12'), (2.5, '12', 1, 1.0, '1', '1e3', 1e3),
        ('x', 9223372036854775808, '1e400', x'00', NULL, '9223372036854775808', x''), (x'00', -0.0, -0.0, -0.0, -0.0, -0.0, -0.0),
        ('12a', 1.5, 'nan', '', '', '', ''), (1e300, ' 12 ', ' 12 ', ' 12 ', ' 12 ', ' 12 ', ' 12 ');
    INSERT INTO keyless VALUES (1, 2);
"#;

async fn ready() -> (Bed, Box<dyn tidegate::db::Writer>) {
    let (bed, writer) = Bed::installed(&format!("{ODD}{FILL}")).await;
    (bed, writer)
}

#[tokio::test]
async fn odd_tables_are_copied_followed_and_equal() {
    let (bed, writer) = ready().await;
    let mut feed = bed
        .source
        .feed(&bed.plan, writer.ledger().await.unwrap().applied)
        .await
        .unwrap();
    bed.copy_all(&*writer).await;
    bed.app
        .execute_batch(
            r#"UPDATE "select ""from"" [x]" SET "a ""b"" c" = "a ""b"" c" + 1000 WHERE "a ""b"" c" % 2;
               UPDATE shout SET K = upper(K) WHERE n % 3 = 0; DELETE FROM shout WHERE n % 5 = 0;
               UPDATE by_index SET b = lower(b) WHERE rowid % 4 = 0; DELETE FROM by_index WHERE rowid % 7 = 0;
               UPDATE backwards SET l = -l WHERE l % 2; UPDATE both_ways SET k = -k;
               REPLACE INTO strict VALUES ('k3', 1, 1, 1, x'01'); UPDATE loose SET x = 1.0, n = '007';
               DELETE FROM keyless"#,
        )
        .unwrap();
    let head = bed.head().await;
    loop {
        if let Item::Txn(txn) = feed.next().await.unwrap() {
            let (upto, txn) = (txn.head.position, Arc::new(txn));
            let applied = writer
                .apply(Batch {
                    net: txn.changes.clone().into(),
                    log: vec![txn],
                    after: Position::START,
                    upto,
                })
                .await
                .settled()
                .unwrap();
            assert!(applied.missed.is_empty());
            if upto == head {
                break;
            }
        }
    }
    let (mut source, mut target) = (bed.source_view().await, bed.target_view().await);
    let mut live = 0;
    for (id, table) in bed.plan.ids().filter(|(_, table)| table.key().is_some()) {
        live += 1;
        let (ours, theirs) = (
            all_rows(&mut *source, id).await,
            all_rows(&mut *target, id).await,
        );
        assert!(!ours.is_empty() && ours == theirs, "{}", table.source);
        let digest = source.digest(id, &Range::default()).await.unwrap();
        assert_eq!(
            digest,
            target.digest(id, &Range::default()).await.unwrap(),
            "{}",
            table.source
        );
        // Chunks of the source are chunks of the target.
        let mut lo = None;
        let mut sum = 0;
        loop {
            let hi = source.bound(id, lo.as_ref(), Rows(7)).await.unwrap();
            let range = Range {
                lo: lo.take(),
                hi: hi.clone(),
            };
            let here = source.digest(id, &range).await.unwrap();
            assert_eq!(
                here,
                target.digest(id, &range).await.unwrap(),
                "{} {range:?}",
                table.source
            );
            sum += here.rows.0;
            lo = hi;
            if lo.is_none() {
                break;
            }
        }
        assert_eq!(sum, digest.rows.0, "{}", table.source);
    }
    assert_eq!(live, 7);
}

#[tokio::test]
async fn what_is_not_moved_says_why() {
    let (bed, _writer) = ready().await;
    let left: Vec<_> = bed
        .plan
        .tables
        .iter()
        .filter_map(|table| match &table.mode {
            Mode::LeftOut(why) => Some((table.source.as_str(), why.as_str())),
            Mode::Live(_) => None,
        })
        .collect();
    assert_eq!(
        left,
        [
            ("keyless", "it has no PRIMARY KEY and no unique index"),
            ("words", "it is a virtual table"),
        ]
    );
    // What was not counted is not told as a count of none.
    let survey = bed.source.survey(Sizes::Told).await.unwrap();
    let guessed = survey.tables.iter().filter(|found| !found.exact);
    let guessed: Vec<_> = guessed.map(|found| found.table.source.as_str()).collect();
    assert_eq!(guessed, ["words"]);
}

/// A chunk of any key is a search in its index; where the index goes both ways preflight says that it is not.
#[tokio::test]
async fn a_chunk_is_a_search() {
    let (bed, _writer) = ready().await;
    let found = bed.source.findings(&bed.plan).await.unwrap();
    let slow: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == "KEY-NOT-SEARCHED")
        .filter_map(|finding| finding.table.as_deref())
        .collect();
    assert_eq!(slow, ["both_ways"], "{found:#?}");
}
