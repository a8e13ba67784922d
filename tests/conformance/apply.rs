//! Applying: the net effect as a set, updates that never make rows, the position with it.

use crate::ground::{
    Ground, ITEMS, ITEMS_ID, NOTES, NOTES_ID, Pair, int, item, landing, note, text,
};
use tidegate::db::spill::{Gathered, Spill};
use tidegate::db::{Batch, Writer};
use tidegate::domain::change::{Change, Image, Overflow, Txn};
use tidegate::domain::fault::{Fault, Kind, Outcome, Result};
use tidegate::domain::id::TableId;
use tidegate::domain::plan::Side;
use tidegate::domain::position::{Head, Position};
use tidegate::domain::value::Row;

fn change(pair: &Pair, table: TableId, like: &Row, image: Image) -> Change {
    Change {
        table,
        key: pair.key(table, like),
        image,
    }
}

pub fn present(pair: &Pair, table: TableId, row: Row) -> Change {
    change(pair, table, &row.clone(), Image::Present(row))
}

pub fn gone(pair: &Pair, n: i64) -> Change {
    change(pair, ITEMS_ID, &item(n, "", 0), Image::Gone)
}

/// The net effect, and the same as one transaction of the log.
pub fn batch(upto: Position, net: Vec<Change>) -> Batch {
    let head = Head {
        position: upto,
        xid: None,
        own: false,
    };
    Batch {
        log: vec![Txn::new(head, net.clone()).into()],
        net: net.into(),
        after: Position::START,
        upto,
    }
}

async fn ready(ground: &impl Ground) -> (Pair, Box<dyn Writer>, Position) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.install().await;
    let rows = (0..6).map(|n| item(n, &format!("name {n}"), n));
    writer
        .land(landing(ITEMS_ID, rows))
        .await
        .settled()
        .unwrap();
    let at = writer.ledger().await.unwrap().applied;
    (pair, writer, Position(at.0 + 5))
}

pub async fn the_net_effect_is_applied(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let net = vec![
        present(&pair, ITEMS_ID, item(1, "changed", 1)),
        present(&pair, ITEMS_ID, item(8, "made", 8)),
        gone(&pair, 2),
        gone(&pair, 77),
        change(
            &pair,
            ITEMS_ID,
            &item(3, "", 0),
            Image::Updated(item(3, "updated", 3)),
        ),
        change(
            &pair,
            ITEMS_ID,
            &item(9, "", 0),
            Image::Inserted(item(9, "inserted", 9)),
        ),
        present(&pair, NOTES_ID, note("k", 1, "x")),
        // What one deletes another takes, whatever the order.
        present(&pair, ITEMS_ID, item(4, "name 5", 4)),
        gone(&pair, 5),
    ];
    let applied = writer.apply(batch(upto, net)).await.settled().unwrap();
    assert_eq!(applied.changed, 8);
    assert!(applied.missed.is_empty());
    let wanted = [
        item(0, "name 0", 0),
        item(1, "changed", 1),
        item(3, "updated", 3),
        item(4, "name 5", 4),
        item(8, "made", 8),
        item(9, "inserted", 9),
    ];
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, wanted);
    assert_eq!(pair.rows(Side::Target, NOTES_ID).await, [note("k", 1, "x")]);
    assert_eq!(writer.ledger().await.unwrap().applied, upto);
    assert_eq!(writer.durable().await.unwrap(), upto);
    assert_eq!(pair.view(Side::Target).await.applied(), Some(upto));
}

pub async fn updates_never_make_rows(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let updated = change(
        &pair,
        ITEMS_ID,
        &item(50, "", 0),
        Image::Updated(item(50, "x", 1)),
    );
    let partial = change(
        &pair,
        ITEMS_ID,
        &item(51, "", 0),
        Image::Partial([None, None, Some(int(1))].into()),
    );
    let nothing = change(
        &pair,
        ITEMS_ID,
        &item(52, "", 0),
        Image::Partial([None, None, None].into()),
    );
    let applied = writer
        .apply(batch(
            upto,
            vec![updated.clone(), partial.clone(), nothing.clone()],
        ))
        .await
        .settled()
        .unwrap();
    assert_eq!(applied.changed, 0);
    let mut missed = applied.missed;
    missed.sort_by_key(|(_, key)| key.to_string());
    assert_eq!(
        missed,
        [updated, partial, nothing].map(|change| (ITEMS_ID, change.key))
    );
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await.len(), 6);
    assert_eq!(
        writer.ledger().await.unwrap().applied,
        upto,
        "the position moves on all the same"
    );
}

/// How an adapter asks may hang on what the last batch met: what it is told must not.
pub async fn each_batch_says_what_it_missed(ground: &impl Ground) {
    let (pair, writer, mut upto) = ready(ground).await;
    let batches: [&[i64]; 7] = [
        &[0, 1, 2],
        &[3, 50, 4],
        &[51, 5],
        &[0, 1],
        &[2, 52],
        &[3, 4, 5],
        &[53],
    ];
    for (qty, keys) in (100..).zip(batches) {
        let updated = |n: &i64| {
            let row = item(*n, &format!("name {n}"), qty);
            change(&pair, ITEMS_ID, &item(*n, "", 0), Image::Updated(row))
        };
        let net: Vec<Change> = keys.iter().map(updated).collect();
        let mut batch = batch(upto, net);
        batch.after = writer.ledger().await.unwrap().applied;
        let applied = writer.apply(batch).await.settled().unwrap();
        let lacking = keys.iter().filter(|n| **n >= 50);
        let missed: Vec<_> = lacking.map(|n| (ITEMS_ID, updated(n).key)).collect();
        assert_eq!(applied.changed, (keys.len() - missed.len()) as u64);
        assert_eq!(applied.missed, missed, "{keys:?}");
        upto.0 += 5;
    }
    let rows = pair.rows(Side::Target, ITEMS_ID).await;
    let last = [103, 103, 104, 105, 105, 105];
    let wanted: Vec<Row> = (0..)
        .zip(last)
        .map(|(n, qty)| item(n, &format!("name {n}"), qty))
        .collect();
    assert_eq!(rows, wanted);
}

pub async fn partial_images_keep_cells(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let partial = |n: i64, cells: [Option<tidegate::domain::value::Value>; 3]| {
        change(
            &pair,
            ITEMS_ID,
            &item(n, "", 0),
            Image::Partial(cells.into()),
        )
    };
    let net = vec![
        partial(1, [Some(int(1)), None, Some(int(100))]),
        partial(2, [None, Some(text("renamed")), None]),
        // Exchanged by way of partial images.
        partial(3, [None, Some(text("name 4")), None]),
        partial(4, [None, Some(text("name 3")), None]),
    ];
    let applied = writer.apply(batch(upto, net)).await.settled().unwrap();
    assert!(
        applied.missed.is_empty() && applied.changed == 4,
        "{applied:?}"
    );
    let found = pair.rows(Side::Target, ITEMS_ID).await;
    let wanted = [
        item(0, "name 0", 0),
        item(1, "name 1", 100),
        item(2, "renamed", 2),
        item(3, "name 4", 3),
        item(4, "name 3", 4),
        item(5, "name 5", 5),
    ];
    assert_eq!(found, wanted);
}

pub async fn unique_values_are_exchanged(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let net = vec![
        present(&pair, ITEMS_ID, item(0, "name 1", 10)),
        present(&pair, ITEMS_ID, item(1, "name 2", 11)),
        present(&pair, ITEMS_ID, item(2, "name 0", 12)),
        change(
            &pair,
            ITEMS_ID,
            &item(3, "", 0),
            Image::Updated(item(3, "name 4", 13)),
        ),
        present(&pair, ITEMS_ID, item(7, "name 3", 14)),
        gone(&pair, 4),
        change(
            &pair,
            ITEMS_ID,
            &item(60, "", 0),
            Image::Updated(item(60, "nobody", 0)),
        ),
    ];
    let applied = writer.apply(batch(upto, net)).await.settled().unwrap();
    assert_eq!((applied.missed.len(), applied.changed), (1, 6));
    let wanted = [
        item(0, "name 1", 10),
        item(1, "name 2", 11),
        item(2, "name 0", 12),
        item(3, "name 4", 13),
        item(5, "name 5", 5),
        item(7, "name 3", 14),
    ];
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, wanted);
}

pub async fn a_failed_batch_leaves_nothing(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let before = (
        pair.rows(Side::Target, ITEMS_ID).await,
        writer.ledger().await.unwrap(),
    );
    let net = vec![
        gone(&pair, 0),
        present(&pair, ITEMS_ID, item(20, "name 5", 0)),
    ];
    match writer.apply(batch(upto, net)).await {
        Outcome::NotDone(fault) => assert_eq!(fault.code, "PARKED", "{fault:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        (
            pair.rows(Side::Target, ITEMS_ID).await,
            writer.ledger().await.unwrap()
        ),
        before
    );
    writer
        .apply(batch(upto, vec![gone(&pair, 0)]))
        .await
        .settled()
        .unwrap();
}

pub async fn the_position_never_goes_back(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    writer
        .apply(batch(upto, vec![gone(&pair, 0)]))
        .await
        .settled()
        .unwrap();
    let older = Position(upto.0 - 1);
    let outcome = writer.apply(batch(older, vec![gone(&pair, 1)])).await;
    assert!(matches!(outcome, Outcome::NotDone(_)), "{outcome:?}");
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await.len(), 5);
    writer
        .apply(batch(upto, vec![gone(&pair, 0)]))
        .await
        .settled()
        .unwrap();
    assert_eq!(writer.ledger().await.unwrap().applied, upto);
}

/// One transaction that has outgrown memory, in pieces of one change each.
fn large(upto: Position, log: Vec<Change>) -> Batch {
    let mut gathered = Gathered::new(&Spill::default().sized(0, 1));
    log.into_iter()
        .for_each(|change| gathered.push(change).unwrap());
    let head = Head {
        position: upto,
        xid: None,
        own: false,
    };
    let txn = gathered.txn(head).unwrap();
    assert!(txn.pieces().count() > 1);
    Batch {
        net: Vec::new().into(),
        log: vec![txn.into()],
        after: Position::START,
        upto,
    }
}

fn updated(pair: &Pair, row: Row) -> Change {
    change(pair, ITEMS_ID, &row.clone(), Image::Updated(row))
}

pub async fn a_large_transaction_is_applied_in_pieces(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let partial = |n: i64, cells: [Option<tidegate::domain::value::Value>; 3]| {
        let image = Image::Partial(cells.into());
        change(&pair, ITEMS_ID, &item(n, "", 0), image)
    };
    let mut log: Vec<Change> = (100..140)
        .map(|n| {
            let row = item(n, &format!("made {n}"), n);
            change(&pair, ITEMS_ID, &row.clone(), Image::Inserted(row))
        })
        .collect();
    // The same rows once more, far behind.
    log.extend((100..120).map(|n| gone(&pair, n)));
    log.extend((120..130).map(|n| updated(&pair, item(n, &format!("then {n}"), 7))));
    log.extend((130..140).map(|n| partial(n, [None, None, Some(int(8))])));
    log.push(gone(&pair, 0));
    log.push(present(&pair, NOTES_ID, note("k", 1, "x")));
    // What an earlier piece gave up.
    log.push(present(&pair, ITEMS_ID, item(200, "name 0", 0)));
    log.push(updated(&pair, item(300, "nobody", 0)));
    let applied = writer.apply(large(upto, log)).await.settled().unwrap();
    assert_eq!(
        applied.missed,
        [(ITEMS_ID, pair.key(ITEMS_ID, &item(300, "", 0)))]
    );
    let mut wanted: Vec<Row> = (1..6).map(|n| item(n, &format!("name {n}"), n)).collect();
    wanted.extend((120..130).map(|n| item(n, &format!("then {n}"), 7)));
    wanted.extend((130..140).map(|n| item(n, &format!("made {n}"), 8)));
    wanted.push(item(200, "name 0", 0));
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, wanted);
    assert_eq!(pair.rows(Side::Target, NOTES_ID).await, [note("k", 1, "x")]);
    assert_eq!(writer.ledger().await.unwrap().applied, upto);
}

pub async fn unique_values_are_exchanged_across_pieces(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let name = |n: i64| text(&format!("name {n}"));
    let mut log = vec![
        present(&pair, ITEMS_ID, item(0, "name 1", 10)),
        change(
            &pair,
            ITEMS_ID,
            &item(3, "", 0),
            Image::Partial([None, Some(name(4)), None].into()),
        ),
    ];
    // Many pieces between those who exchange.
    log.extend((100..150).map(|n| present(&pair, ITEMS_ID, item(n, &format!("far {n}"), n))));
    log.extend([
        present(&pair, ITEMS_ID, item(1, "name 2", 11)),
        updated(&pair, item(4, "name 3", 14)),
        updated(&pair, item(60, "nobody", 0)),
    ]);
    log.extend((100..150).map(|n| gone(&pair, n)));
    log.extend([
        present(&pair, ITEMS_ID, item(2, "name 0", 12)),
        // Once more after its piece, and after what it depends on.
        change(
            &pair,
            ITEMS_ID,
            &item(3, "", 0),
            Image::Partial([None, None, Some(int(13))].into()),
        ),
    ]);
    let applied = writer.apply(large(upto, log)).await.settled().unwrap();
    assert_eq!(applied.missed.len(), 1, "{applied:?}");
    let wanted = [
        item(0, "name 1", 10),
        item(1, "name 2", 11),
        item(2, "name 0", 12),
        item(3, "name 4", 13),
        item(4, "name 3", 14),
        item(5, "name 5", 5),
    ];
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, wanted);
    assert_eq!(writer.ledger().await.unwrap().applied, upto);
}

pub async fn a_failed_piece_leaves_nothing(ground: &impl Ground) {
    let (pair, writer, upto) = ready(ground).await;
    let before = (
        pair.rows(Side::Target, ITEMS_ID).await,
        writer.ledger().await.unwrap(),
    );
    let mut log: Vec<Change> = (100..150)
        .map(|n| present(&pair, ITEMS_ID, item(n, &format!("far {n}"), n)))
        .collect();
    log.push(gone(&pair, 0));
    log.push(present(&pair, ITEMS_ID, item(20, "name 5", 0)));
    log.extend((150..200).map(|n| present(&pair, ITEMS_ID, item(n, &format!("far {n}"), n))));
    match writer.apply(large(upto, log.clone())).await {
        Outcome::NotDone(fault) => assert_eq!(fault.code, "PARKED", "{fault:?}"),
        other => panic!("{other:?}"),
    }
    let lost = Batch {
        log: vec![std::sync::Arc::new(Txn {
            overflow: Some(std::sync::Arc::new(Torn(log[..60].to_vec()))),
            read_before: None,
            ..(*large(upto, log).log[0]).clone()
        })],
        net: Vec::new().into(),
        after: Position::START,
        upto,
    };
    match writer.apply(lost).await {
        Outcome::NotDone(fault) => assert_eq!(fault.code, "SPILL-FAILED", "{fault:?}"),
        other => panic!("{other:?}"),
    }
    let after = (
        pair.rows(Side::Target, ITEMS_ID).await,
        writer.ledger().await.unwrap(),
    );
    assert_eq!(after, before);
    writer
        .apply(large(upto, vec![gone(&pair, 0), gone(&pair, 1)]))
        .await
        .settled()
        .unwrap();
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await.len(), 4);
}

/// What was kept aside, and can't be read to its end any more.
#[derive(Debug)]
struct Torn(Vec<Change>);

impl Overflow for Torn {
    fn count(&self) -> u64 {
        1_000
    }
    fn weight(&self) -> u64 {
        1_000
    }
    fn length(&self) -> u64 {
        1_000
    }
    fn tables(&self) -> Vec<TableId> {
        vec![ITEMS_ID]
    }
    fn pieces(&self) -> Box<dyn Iterator<Item = Result<Vec<Change>>> + Send + '_> {
        let there = self.0.iter().map(|change| Ok(vec![change.clone()]));
        // One that fits all the same: the end of it is what is missing.
        let there = there.take(40);
        let broken = Fault::new(Kind::Transient, "it can't be read").code("SPILL-FAILED");
        Box::new(there.chain([Err(broken)]))
    }
}
