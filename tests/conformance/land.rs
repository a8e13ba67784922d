//! Landing: rows and mark as one, under the lease, with an exact account.

use crate::apply::{batch, present};
use crate::ground::{Ground, ITEMS, ITEMS_ID, NOTES, NOTES_ID, Pair, item, landing, note, text};
use std::sync::Arc;
use tidegate::db::{Batch, ChunkMark, Ddl, Landing, WENT_BACK, Writer};
use tidegate::domain::fault::Outcome;
use tidegate::domain::id::ChunkId;
use tidegate::domain::key::{Bound, Range};
use tidegate::domain::plan::Side;
use tidegate::domain::position::Position;
use tidegate::domain::unit::Rows;
use tidegate::domain::value::{Row, Value};

pub fn mark(no: u32, lo: Option<i64>, hi: Option<i64>, rows: u64) -> Option<ChunkMark> {
    let bound = |n: i64| Bound([Value::Integer(n)].into());
    Some(ChunkMark {
        chunk: ChunkId {
            table: ITEMS_ID,
            no,
        },
        range: Range {
            lo: lo.map(bound),
            hi: hi.map(bound),
        },
        rows: Rows(rows),
    })
}

pub fn items(from: i64, to: i64) -> Vec<Row> {
    (from..to)
        .map(|n| item(n, &format!("name {n}"), n))
        .collect()
}

async fn ready(ground: &impl Ground) -> (Pair, Box<dyn Writer>) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.install().await;
    (pair, writer)
}

fn refused<T: std::fmt::Debug>(outcome: Outcome<T>, code: &str) {
    match outcome {
        Outcome::NotDone(fault) => {
            assert_eq!(fault.code, code, "{fault:?}");
            assert!(fault.what.len() > 10);
        }
        other => panic!("{other:?} instead of {code}"),
    }
}

pub async fn lands_rows_and_mark_as_one(ground: &impl Ground) {
    let (pair, writer) = ready(ground).await;
    let first = Landing {
        mark: mark(0, None, Some(10), 10),
        ..landing(ITEMS_ID, items(0, 10))
    };
    let landed = writer.land(first).await.settled().unwrap();
    assert_eq!(
        (landed.inserted, landed.updated, landed.deleted),
        (10, 0, 0)
    );
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, items(0, 10));
    let ledger = writer.ledger().await.unwrap();
    assert_eq!(
        ledger.last,
        [(ITEMS_ID, 0, Some(Bound([Value::Integer(10)].into())))]
    );
    let last = Landing {
        mark: mark(1, Some(10), None, 5),
        ..landing(ITEMS_ID, items(10, 15))
    };
    writer.land(last).await.settled().unwrap();
    assert_eq!(writer.ledger().await.unwrap().last, [(ITEMS_ID, 1, None)]);
    // An empty table is one empty chunk.
    let empty = ChunkMark {
        chunk: ChunkId {
            table: NOTES_ID,
            no: 0,
        },
        range: Range::default(),
        rows: Rows(0),
    };
    writer
        .land(Landing {
            mark: Some(empty),
            ..landing(NOTES_ID, Vec::new())
        })
        .await
        .settled()
        .unwrap();
    assert_eq!(
        writer.ledger().await.unwrap().last,
        [(ITEMS_ID, 1, None), (NOTES_ID, 0, None)]
    );
}

pub async fn landing_again_changes_nothing(ground: &impl Ground) {
    let (pair, writer) = ready(ground).await;
    let chunk = Landing {
        mark: mark(0, None, Some(10), 10),
        ..landing(ITEMS_ID, items(0, 10))
    };
    writer.land(chunk.clone()).await.settled().unwrap();
    let again = writer.land(chunk).await.settled().unwrap();
    assert_eq!((again.inserted, again.updated, again.deleted), (0, 10, 0));
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, items(0, 10));
    assert_eq!(
        writer.landed(ITEMS_ID, 0).await.unwrap(),
        [mark(0, None, Some(10), 10).unwrap()]
    );
}

pub async fn counts_and_before_images_are_exact(ground: &impl Ground) {
    let (pair, writer) = ready(ground).await;
    writer
        .land(landing(ITEMS_ID, items(0, 6)))
        .await
        .settled()
        .unwrap();
    let rows = vec![item(1, "other", 1), item(7, "new", 7), item(2, "name 2", 2)];
    let repair = Landing {
        gone: [4, 5, 99]
            .map(|n| pair.key(ITEMS_ID, &item(n, "", 0)))
            .into(),
        keep_before: true,
        ..landing(ITEMS_ID, rows)
    };
    let landed = writer.land(repair.clone()).await.settled().unwrap();
    assert_eq!((landed.inserted, landed.updated, landed.deleted), (1, 2, 2));
    let mut before = landed.before;
    before.sort_by_key(|(key, _)| key.to_string());
    let key = |n: i64| pair.key(ITEMS_ID, &item(n, "", 0));
    let wanted = [
        (key(1), Some(item(1, "name 1", 1))),
        (key(2), Some(item(2, "name 2", 2))),
        (key(4), Some(item(4, "name 4", 4))),
        (key(5), Some(item(5, "name 5", 5))),
        (key(7), None),
        (key(99), None),
    ];
    assert_eq!(before, wanted);
    let now = [
        item(0, "name 0", 0),
        item(1, "other", 1),
        item(2, "name 2", 2),
        item(3, "name 3", 3),
        item(7, "new", 7),
    ];
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, now);
    let quiet = writer
        .land(Landing {
            keep_before: false,
            ..repair
        })
        .await
        .settled()
        .unwrap();
    assert_eq!((quiet.inserted, quiet.updated, quiet.deleted), (0, 3, 0));
    assert!(quiet.before.is_empty());
    if !ground.habits().folds_keys {
        return;
    }
    // A key that differs in letters' case only is the same row, and takes the new spelling.
    writer
        .land(landing(NOTES_ID, vec![note("Abc", 1, "x")]))
        .await
        .settled()
        .unwrap();
    let landed = writer
        .land(landing(NOTES_ID, vec![note("aBC", 1, "y")]))
        .await
        .settled()
        .unwrap();
    assert_eq!((landed.inserted, landed.updated), (0, 1));
    assert_eq!(
        pair.rows(Side::Target, NOTES_ID).await,
        [note("aBC", 1, "y")]
    );
}

pub async fn rows_exchange_unique_values(ground: &impl Ground) {
    let (pair, writer) = ready(ground).await;
    writer
        .land(landing(ITEMS_ID, items(0, 4)))
        .await
        .settled()
        .unwrap();
    // The new row goes in before the exchange is met: it must not be counted as one that was there.
    let around = vec![
        item(9, "fresh", 0),
        item(1, "name 2", 0),
        item(2, "name 3", 0),
        item(3, "name 1", 0),
    ];
    let swap = Landing {
        keep_before: true,
        ..landing(ITEMS_ID, around.clone())
    };
    let landed = writer.land(swap).await.settled().unwrap();
    assert_eq!((landed.inserted, landed.updated, landed.deleted), (1, 3, 0));
    assert_eq!(
        landed
            .before
            .iter()
            .filter(|(_, row)| row.is_some())
            .count(),
        3
    );
    assert_eq!(landed.before.len(), 4);
    let mut wanted = vec![item(0, "name 0", 0)];
    wanted.extend(around);
    wanted.sort_by_key(|row| row[0].to_string());
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, wanted);
}

pub async fn a_failed_landing_leaves_nothing(ground: &impl Ground) {
    let (pair, writer) = ready(ground).await;
    writer
        .land(landing(ITEMS_ID, items(0, 4)))
        .await
        .settled()
        .unwrap();
    // Row 50's name is row 3's, which is not among the landing's own.
    let mut rows = items(10, 20);
    rows.push(item(50, "name 3", 0));
    let bad = Landing {
        mark: mark(0, None, None, 11),
        gone: vec![pair.key(ITEMS_ID, &item(0, "", 0))],
        ..landing(ITEMS_ID, rows)
    };
    match writer.land(bad).await {
        Outcome::NotDone(fault) => {
            assert_eq!(fault.code, "PARKED", "{fault:?}");
            let said = format!("{} {}", fault.what, fault.cause.unwrap_or_default());
            assert!(said.contains("name"), "the constraint is named: {said}");
            assert!(!said.contains("name 3"), "no value is: {said}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, items(0, 4));
    assert_eq!(writer.landed(ITEMS_ID, 0).await.unwrap(), []);
    writer
        .land(landing(ITEMS_ID, items(10, 20)))
        .await
        .settled()
        .unwrap();
}

pub async fn a_stolen_lease_writes_nothing(ground: &impl Ground) {
    let (pair, old) = ready(ground).await;
    old.land(landing(ITEMS_ID, items(0, 2)))
        .await
        .settled()
        .unwrap();
    let before = old.ledger().await.unwrap();
    let new = pair.target.writer(&pair.plan).await.unwrap();
    assert!(new.ledger().await.unwrap().token > before.token);
    refused(old.land(landing(ITEMS_ID, items(5, 9))).await, "LEASE-LOST");
    let upto = Position(before.applied.0 + 1);
    refused(
        old.apply(Batch {
            net: Vec::new().into(),
            log: Vec::new(),
            after: Position::START,
            upto,
        })
        .await,
        "LEASE-LOST",
    );
    refused(old.begin_at(upto).await, "LEASE-LOST");
    let ddl = Ddl {
        kind: "index".into(),
        name: "late".into(),
        sql: "CREATE INDEX late ON items(v)".into(),
    };
    refused(old.build(&ddl).await, "LEASE-LOST");
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, items(0, 2));
    assert_eq!(new.ledger().await.unwrap().applied, before.applied);
    new.land(landing(ITEMS_ID, items(5, 9)))
        .await
        .settled()
        .unwrap();
    refused(
        old.land(landing(ITEMS_ID, items(20, 21))).await,
        "LEASE-LOST",
    );
}

/// A server that lost power, or another one in its place, has less than was committed: nothing is built on what is gone.
pub async fn a_target_that_has_gone_back_takes_nothing(ground: &impl Ground) {
    let (pair, writer) = ready(ground).await;
    let there = writer.ledger().await.unwrap().applied;
    let (had, upto) = (Position(there.0 + 1), Position(there.0 + 2));
    let net = || vec![present(&pair, ITEMS_ID, item(1, "late", 1))];
    let after = |after| Batch {
        after,
        ..batch(upto, net())
    };
    let chunk = |after| Landing {
        after,
        ..landing(ITEMS_ID, items(5, 9))
    };
    refused(writer.apply(after(had)).await, WENT_BACK);
    refused(writer.land(chunk(had)).await, WENT_BACK);
    assert_eq!(writer.durable().await.unwrap(), there);
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, []);
    // It has all of it.
    writer.land(chunk(there)).await.settled().unwrap();
    writer.apply(after(there)).await.settled().unwrap();
    writer.land(chunk(upto)).await.settled().unwrap();
    assert_eq!(writer.durable().await.unwrap(), upto);
    // More than was asked for is no loss.
    let more = Batch {
        after: there,
        ..batch(Position(upto.0 + 1), net())
    };
    writer.apply(more).await.settled().unwrap();
}

pub async fn a_chunk_beyond_a_gap_does_not_count_yet(ground: &impl Ground) {
    let (pair, _) = ready(ground).await;
    let bound = |at: i64| Some(Bound([Value::Integer(at)].into()));
    let land = async |no: u32, lo: Option<Bound>, hi: Option<Bound>| {
        // The lease is taken anew each time.
        let writer = pair.target.writer(&pair.plan).await.unwrap();
        let chunk = ChunkId {
            table: NOTES_ID,
            no,
        };
        let landing = Landing {
            mark: Some(ChunkMark {
                chunk,
                range: Range { lo, hi },
                rows: Rows(1),
            }),
            table: NOTES_ID,
            ..Landing::default()
        };
        writer.land(landing).await.settled()?;
        writer.ledger().await.map(|ledger| ledger.last)
    };
    let at = |no: u32, hi: Option<Bound>| vec![(NOTES_ID, no, hi)];
    assert_eq!(land(1, bound(5), bound(9)).await.unwrap(), []);
    assert_eq!(land(0, None, bound(5)).await.unwrap(), at(1, bound(9)));
    assert_eq!(land(3, bound(20), None).await.unwrap(), at(1, bound(9)));
    assert_eq!(land(2, bound(9), bound(20)).await.unwrap(), at(3, None));
    // Cut otherwise by an engine that was started anew: what was behind it does not follow any more. Where chunks land one by
    // one that can't be.
    match land(2, bound(9), bound(15)).await {
        Err(fault) if fault.code == "CHUNK-DIFFERS" => return,
        last => assert_eq!(last.unwrap(), at(2, bound(15))),
    }
    assert_eq!(
        land(3, bound(15), bound(30)).await.unwrap(),
        at(3, bound(30))
    );
    assert_eq!(land(4, bound(30), None).await.unwrap(), at(4, None));
}

pub async fn chunks_are_read_back(ground: &impl Ground) {
    let (pair, writer) = ready(ground).await;
    let odd: Vec<Bound> = [
        vec![
            Value::Text([0xc3, 0x28, 0].into()),
            Value::Integer(i64::MIN),
        ],
        vec![text("ä\"'\n"), Value::Real(0.1)],
        vec![Value::Blob([0, 255].into()), Value::Real(1e300)],
    ]
    .map(|parts| Bound(parts.into()))
    .into();
    let mut lo = None;
    let mut marks = Vec::new();
    for (no, hi) in (0..).zip(odd.into_iter().map(Some).chain([None])) {
        let chunk = ChunkId {
            table: NOTES_ID,
            no,
        };
        let mark = ChunkMark {
            chunk,
            range: Range { lo, hi: hi.clone() },
            rows: Rows(u64::from(no) * 3),
        };
        let land = Landing {
            mark: Some(mark.clone()),
            table: NOTES_ID,
            rows: Arc::default(),
            ..Landing::default()
        };
        writer.land(land).await.settled().unwrap();
        marks.push(mark);
        lo = hi;
    }
    let again = pair.target.writer(&pair.plan).await.unwrap();
    assert_eq!(again.landed(NOTES_ID, 0).await.unwrap(), marks);
    assert_eq!(again.landed(NOTES_ID, 2).await.unwrap(), marks[2..]);
    assert_eq!(again.landed(ITEMS_ID, 0).await.unwrap(), []);
    assert_eq!(again.ledger().await.unwrap().last, [(NOTES_ID, 3, None)]);
    assert_eq!(
        again.durable().await.unwrap(),
        again.ledger().await.unwrap().applied
    );
}
