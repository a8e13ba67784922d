//! A view is one instant, and says which.

use crate::ground::{
    Ground, ITEMS, ITEMS_ID, NOTES, NOTES_ID, Pair, int, item, landing, note, rows,
};
use crate::history::{History, State, lay};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate::db::{Batch, View};
use tidegate::domain::change::{Item, Txn};
use tidegate::domain::key::Range;
use tidegate::domain::plan::Side;
use tidegate::domain::position::Position;
use tidegate::domain::unit::Span;

async fn state(history: &History, view: &mut dyn View) -> State {
    let items = rows(view, ITEMS_ID).await;
    // Let the application go on between two reads of one view.
    history.more(2).await;
    let notes = rows(view, NOTES_ID).await;
    history.state_of([(ITEMS_ID, items), (NOTES_ID, notes)])
}

pub async fn one_instant_over_tables_and_calls(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install().await;
    let mut history = History::start(&pair, 1);
    for _ in 0..20 {
        history.more(1).await;
        let mut view = pair.view(Side::Source).await;
        let (seen, digest) = (
            view.seen().clone(),
            view.digest(ITEMS_ID, &Range::default()).await.unwrap(),
        );
        let found = state(&history, &mut *view).await;
        history.assert_is_one(&found);
        assert_eq!(*view.seen(), seen);
        assert_eq!(
            view.digest(ITEMS_ID, &Range::default()).await.unwrap(),
            digest
        );
    }
    history.stop();
}

/// Rows of a view, with everything laid over that it says it did not see, are every later state in turn.
pub async fn seen_is_exact_under_writers(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install().await;
    let start = pair.head().await;
    let mut history = History::start(&pair, 2);
    history.more(30).await;
    let mut view = pair.view(Side::Source).await;
    let mut found = state(&history, &mut *view).await;
    history.more(30).await;
    history.stop();
    let mut feed = pair.source.feed(&pair.plan, start).await.unwrap();
    let (mut before, mut after) = (0, 0);
    let head = pair.head().await;
    loop {
        match feed.next().await.unwrap() {
            Item::Txn(txn) if view.seen().sees(&txn.head) => before += 1,
            Item::Txn(txn) => {
                txn.changes
                    .iter()
                    .for_each(|change| lay(&mut found, change));
                history.assert_is_one(&found);
                after += 1;
            }
            Item::Idle(at) if at >= head => break,
            _ => {}
        }
    }
    assert!(after > 0, "{before} before, {after} after");
    // One transaction more: no view before it sees it, every view after it does.
    for n in 100..110 {
        let before = pair.view(Side::Source).await;
        pair.put([(ITEMS_ID, item(n, &format!("name {n}"), n))]);
        let after = pair.view(Side::Source).await;
        loop {
            if let Item::Txn(txn) = feed.next().await.unwrap() {
                assert!(!before.seen().sees(&txn.head) && after.seen().sees(&txn.head));
                break;
            }
        }
    }
}

pub async fn applied_is_of_the_same_instant(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.install().await;
    let base = writer.ledger().await.unwrap().applied;
    // How many batches there are, once that is known, and how many views have been read: the machine says how they interleave.
    let (last, reads) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let reader = {
        let (target, plan) = (pair.target.clone(), pair.plan.clone());
        let (last, reads) = (Arc::clone(&last), Arc::clone(&reads));
        tokio::spawn(async move {
            loop {
                let mut view = target.view(&plan).await.unwrap();
                let applied = view.applied().unwrap().0 - base.0;
                let found = rows(&mut *view, ITEMS_ID).await;
                assert_eq!(
                    found.len() as u128,
                    applied,
                    "rows and position of one view"
                );
                reads.fetch_add(1, Ordering::Relaxed);
                if applied == u128::from(last.load(Ordering::Relaxed)) && applied > 0 {
                    return;
                }
            }
        })
    };
    let mut written = 0;
    while written < 60 || reads.load(Ordering::Relaxed) < 5 {
        written += 1;
        assert!(written < 20_000, "the reader has no turn");
        let batch = batch(&pair, written, base);
        writer.apply(batch).await.settled().unwrap();
        tokio::task::yield_now().await;
    }
    last.store(written.cast_unsigned(), Ordering::Relaxed);
    reader.await.unwrap();
    assert_eq!(
        pair.view(Side::Source).await.applied(),
        None,
        "nothing lands on the source"
    );
}

/// One more item, one position later.
fn batch(pair: &Pair, n: i64, base: Position) -> Batch {
    use tidegate::domain::change::{Change, Image};
    let row = item(n, &format!("name {n}"), 0);
    let change = Change {
        table: ITEMS_ID,
        key: pair.key(ITEMS_ID, &row),
        image: Image::Present(row),
    };
    let upto = Position(base.0 + n as u128);
    let head = tidegate::domain::position::Head {
        position: upto,
        xid: None,
        own: false,
    };
    Batch {
        net: vec![change.clone()].into(),
        log: vec![Txn::new(head, vec![change]).into()],
        after: Position::START,
        upto,
    }
}

pub async fn a_figure_is_the_one_cell_of_a_read(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS]).await;
    pair.put((0..5).map(|n| (ITEMS_ID, item(n, &format!("name {n}"), n))));
    let ask = async |sql: &str| pair.source.figure(sql, Span::seconds(20)).await;
    assert_eq!(ask("select count(*) from items").await, Ok(int(5)));
    for bad in [
        "select n from items",
        "select n from items where n = 99",
        "select n, v from items where n = 1",
        "select n from items where n = ?1",
        "delete from items",
        "nonsense",
    ] {
        assert!(ask(bad).await.is_err(), "{bad}");
    }
    assert_eq!(pair.rows(Side::Source, ITEMS_ID).await.len(), 5);
}

pub async fn a_query_reads_and_never_writes(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.put((0..5).map(|n| (ITEMS_ID, item(n, &format!("name {n}"), n))));
    let before = (pair.catalog)(Side::Source);
    let mut view = pair.view(Side::Source).await;
    let found = view
        .query(
            "select n, v from items where n >= ?1 order by n",
            &[int(1)],
            3,
        )
        .await
        .unwrap();
    assert_eq!(found.columns, ["n", "v"]);
    assert_eq!(
        found.rows,
        [
            [int(1), int(1)].into(),
            [int(2), int(2)].into(),
            [int(3), int(3)].into()
        ]
    );
    assert!(found.more);
    let all = view.query("select n from items", &[], 5).await.unwrap();
    assert!(all.rows.len() == 5 && !all.more);
    for bad in [
        "delete from items",
        "insert into items values (9, 'x', 1)",
        "drop table items",
        "commit",
        "select 1; delete from items",
        "nonsense",
        "",
        "select n from items where n = ?1",
    ] {
        assert!(view.query(bad, &[], 10).await.is_err(), "{bad}");
    }
    assert_eq!(
        rows(&mut *view, ITEMS_ID).await.len(),
        5,
        "the view goes on"
    );
    drop(view);
    assert_eq!((pair.catalog)(Side::Source), before);
    assert_eq!(pair.rows(Side::Source, ITEMS_ID).await.len(), 5);
}

pub async fn a_dropped_view_stops_its_work(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.install().await;
    pair.put((0..2000).map(|n| (NOTES_ID, note("k", n, "text"))));
    for _ in 0..50 {
        let mut view = pair.view(Side::Source).await;
        // Dropped in the middle of a read, with the call's future.
        let whole = Range::default();
        let read = view.digest(NOTES_ID, &whole);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(200), read).await;
    }
    let mut view = pair.view(Side::Source).await;
    assert_eq!(
        view.digest(NOTES_ID, &Range::default())
            .await
            .unwrap()
            .rows
            .0,
        2000
    );
    pair.put([(NOTES_ID, note("k", 5000, "later"))]);
    assert_eq!(
        view.digest(NOTES_ID, &Range::default())
            .await
            .unwrap()
            .rows
            .0,
        2000
    );
    drop(view);
    assert_eq!(
        pair.rows(Side::Source, NOTES_ID).await.len(),
        2001,
        "no older read is used again"
    );
    writer
        .land(landing(NOTES_ID, vec![note("k", 1, "x")]))
        .await
        .settled()
        .unwrap();
}
