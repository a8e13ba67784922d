//! The stream: everything, exactly as of its position, and nothing twice.

use crate::ground::{Ground, ITEMS, ITEMS_ID, NOTES, NOTES_ID, item, rows};
use crate::history::{History, State, lay};
use std::time::Duration;
use tidegate::db::Feed;
use tidegate::domain::change::Item;
use tidegate::domain::fault::Kind;
use tidegate::domain::plan::Side;
use tidegate::domain::position::{Position, Seen};

/// Reads until the stream says that it is idle at the database's head; each transaction must make another state, but for those
/// that the view has seen which the rows are of.
async fn follow(
    history: &History,
    seen: Option<&Seen>,
    feed: &mut dyn Feed,
    found: &mut State,
    mut at: Position,
    head: Position,
) -> Position {
    loop {
        match feed.next().await.unwrap() {
            Item::Txn(txn) => {
                assert!(txn.head.position > at, "positions grow");
                at = txn.head.position;
                if seen.is_none_or(|seen| !seen.sees(&txn.head)) {
                    txn.changes.iter().for_each(|change| lay(found, change));
                    history.assert_is_one(found);
                }
            }
            Item::Idle(idle) => {
                assert!(idle >= at);
                at = idle;
                if at >= head {
                    return at;
                }
            }
            Item::Marker(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub async fn every_change_is_delivered_as_of_its_position(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install().await;
    let start = pair.head().await;
    let mut feed = pair.source.feed(&pair.plan, start).await.unwrap();
    let mut history = History::start(&pair, 3);
    let mut found = State::new();
    let mut at = start;
    // Many looks while commits fall at every moment of them, some of a few changes and some of many.
    for look in 0..500 {
        if look % 100 == 0 {
            history.more(50).await;
        }
        match feed.next().await.unwrap() {
            Item::Txn(txn) => {
                assert!(txn.head.position > at && !txn.head.own);
                at = txn.head.position;
                txn.changes
                    .iter()
                    .for_each(|change| lay(&mut found, change));
                history.assert_is_one(&found);
            }
            Item::Idle(idle) => assert!(idle >= at),
            other => panic!("{other:?}"),
        }
    }
    let last = history.stop();
    let head = pair.head().await;
    follow(&history, None, &mut *feed, &mut found, at, head).await;
    assert_eq!(found, last);
    // Idle, it says so again, and stays where it is.
    let idle = tokio::time::timeout(Duration::from_secs(5), feed.next())
        .await
        .unwrap()
        .unwrap();
    match idle {
        Item::Idle(at) if ground.habits().head_is_ours => assert_eq!(at, pair.head().await),
        Item::Idle(_) => {}
        other => panic!("{other:?}"),
    }
}

pub async fn a_dropped_call_loses_nothing(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install().await;
    let start = pair.head().await;
    let mut feed = pair.source.feed(&pair.plan, start).await.unwrap();
    let mut history = History::start(&pair, 4);
    let mut found = State::new();
    let mut dropped = 0;
    // How often a call is dropped depends on the machine: as many calls as it takes, within bounds.
    for n in 0..20_000u64 {
        if n >= 300 && dropped > 10 {
            break;
        }
        let patience = Duration::from_micros(n % 40 * 20);
        match tokio::time::timeout(patience, feed.next()).await {
            Ok(Ok(Item::Txn(txn))) => {
                txn.changes
                    .iter()
                    .for_each(|change| lay(&mut found, change));
                history.assert_is_one(&found);
            }
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => panic!("{fault}"),
            Err(_) => dropped += 1,
        }
    }
    assert!(dropped > 10, "{dropped} calls were dropped");
    let last = history.stop();
    let head = pair.head().await;
    follow(&history, None, &mut *feed, &mut found, start, head).await;
    assert_eq!(found, last);
}

pub async fn released_is_never_needed_again(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install().await;
    let mut history = History::start(&pair, 5);
    history.more(10).await;
    // Everything that is there now is read by a view; the stream goes on from it.
    let start = pair.head().await;
    let mut feed = pair.source.feed(&pair.plan, start).await.unwrap();
    let mut view = pair.view(Side::Source).await;
    let tables = [
        (ITEMS_ID, rows(&mut *view, ITEMS_ID).await),
        (NOTES_ID, rows(&mut *view, NOTES_ID).await),
    ];
    let seen = view.seen().clone();
    drop(view);
    let mut found = history.state_of(tables);
    let mut at = start;
    for round in 0..12 {
        history.more(60).await;
        loop {
            match feed.next().await.unwrap() {
                Item::Txn(txn) => {
                    at = txn.head.position;
                    if !seen.sees(&txn.head) {
                        txn.changes
                            .iter()
                            .for_each(|change| lay(&mut found, change));
                        history.assert_is_one(&found);
                    }
                    break;
                }
                Item::Idle(_) => {}
                other => panic!("{other:?}"),
            }
        }
        feed.release(at).await.unwrap();
        if round % 3 == 2 {
            // A new engine goes on from the released position.
            drop(feed);
            feed = pair.source.feed(&pair.plan, at).await.unwrap();
        }
    }
    let last = history.stop();
    let head = pair.head().await;
    feed.release(at).await.unwrap();
    if ground.habits().head_is_ours {
        assert_eq!(pair.head().await, head, "forgetting moves no position");
    }
    follow(&history, Some(&seen), &mut *feed, &mut found, at, head).await;
    assert_eq!(found, last);
}

pub async fn a_position_that_is_gone_is_refused(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    assert!(
        pair.source.feed(&pair.plan, Position(7)).await.is_err(),
        "nothing is captured yet"
    );
    pair.install().await;
    let start = pair.head().await;
    for n in 0..5_000 {
        if n % 500 == 0 {
            pair.put((n..n + 500).map(|n| (ITEMS_ID, item(n, &format!("name {n}"), n))));
        }
    }
    let head = pair.head().await;
    assert!(
        pair.source
            .feed(&pair.plan, Position(head.0 + (1 << 40)))
            .await
            .is_err(),
        "it lies ahead of the stream"
    );
    let mut feed = pair.source.feed(&pair.plan, start).await.unwrap();
    loop {
        match feed.next().await.unwrap() {
            Item::Txn(txn) if txn.head.position == head => break,
            Item::Idle(at) if at >= head => break,
            _ => {}
        }
    }
    feed.release(head).await.unwrap();
    let mut patience = if ground.habits().releases_at_once {
        1
    } else {
        100
    };
    let fault = loop {
        match pair.source.feed(&pair.plan, start).await {
            Err(fault) if fault.kind != Kind::Transient => break fault,
            _ => {}
        }
        patience -= 1;
        assert!(patience > 0, "what was released is gone");
        // Told in passing: at the latest when it is read no more.
        drop(feed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        feed = pair.source.feed(&pair.plan, head).await.unwrap();
    };
    drop(feed);
    assert!(
        fault.code == "CAPTURE-LOST" && fault.hint.is_some(),
        "{fault:?}"
    );
    pair.source.feed(&pair.plan, head).await.unwrap();
}
