//! How a stream begins, waits, breaks and goes on.

use super::*;
use crate::db::postgres::pull::STATUS;
use std::cell::Cell;

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn an_idle_stream_says_how_far_it_is() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    let mut last = Position::START;
    for round in 0..5 {
        // Empty for us, and no transaction at all.
        bed.run("INSERT INTO other VALUES (1)").await;
        bed.marker(round).await;
        let now = position(&bed.text("SELECT pg_current_wal_flush_lsn()::text").await);
        let mut marker = false;
        let asked = std::time::Instant::now();
        while last < now {
            match next(&mut feed).await.unwrap() {
                Item::Idle(position) => {
                    assert!(position > last, "it never goes back");
                    last = position;
                }
                Item::Marker(nonce) => marker = nonce == Nonce(round),
                other => panic!("{other:?}"),
            }
        }
        assert!(marker);
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
    }
    // Opened where nothing comes any more, it says so at once.
    drop(feed);
    let mut feed = bed.feed(last).await.unwrap();
    assert_eq!(next(&mut feed).await.unwrap(), Item::Idle(last));
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_dropped_call_loses_nothing() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    // How many calls fall into a wait is the machine's to say: it goes on until enough did.
    let (done, dropped) = (Cell::new(None), Cell::new(0));
    let writes = async {
        let mut written = 0;
        while written < 200 || dropped.get() <= 10 {
            assert!(written < 20_000, "{} calls were dropped", dropped.get());
            bed.run(&format!("INSERT INTO t VALUES ({written}, 0)"))
                .await;
            written += 1;
        }
        done.set(Some(written));
    };
    let reads = async {
        let mut ids = Vec::new();
        while done.get() != Some(ids.len()) {
            match tokio::time::timeout(Duration::from_micros(300), feed.next()).await {
                Err(_) => dropped.set(dropped.get() + 1),
                Ok(Ok(Item::Txn(txn))) => ids.push(txn.changes[0].key.parts()[0].clone()),
                Ok(other) => drop(other.unwrap()),
            }
        }
        ids
    };
    let (ids, ()) = tokio::join!(reads, writes);
    assert!(
        ids.iter()
            .enumerate()
            .all(|(i, id)| *id == Value::Integer(i as i64))
    );
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_released_stream_goes_on_behind_that() {
    let bed = Bed::new().await;
    let start = bed.held().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    for id in 1..=3 {
        bed.run(&format!("INSERT INTO t VALUES ({id}, 0)")).await;
    }
    let (first, second) = (txn(&mut feed).await, txn(&mut feed).await);
    feed.release(first.head.position).await.unwrap();
    tokio::time::sleep(STATUS * 3).await;
    assert_eq!(bed.held().await, first.head.position);
    // Never beyond what was handed out, and told at the end too.
    feed.release(Position(u128::MAX)).await.unwrap();
    drop(feed);
    // From where the lane stands, which may be further than what is held.
    let mut feed = bed.feed(second.head.position).await.unwrap();
    assert_eq!(bed.held().await, second.head.position);
    let third = txn(&mut feed).await;
    assert_eq!(third.changes, [t(3, Image::Inserted(row(3, 0, "")))]);
    drop(feed);
    let lost = bed.feed(first.head.position).await.err().unwrap();
    assert_eq!(lost.code, "CAPTURE-LOST");
    assert!(lost.to_string().contains("released up to"), "{lost}");
    let lost = bed.feed(Position::START).await.err().unwrap();
    assert_eq!(lost.code, "CAPTURE-LOST");
    let lost = bed
        .feed(Position(u128::from(u64::MAX)))
        .await
        .err()
        .unwrap();
    assert!(lost.to_string().contains("its log ends at"), "{lost}");
    assert_eq!(bed.fence.now(), Fenced::Closed, "no read may be used");
    assert!(start < first.head.position);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_broken_connection_passes() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    let Fenced::Least(first) = bed.fence.now() else {
        panic!("the fence is open");
    };
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    let one = txn(&mut feed).await;
    let second = bed.feed(one.head.position).await.err().unwrap();
    assert_eq!(
        (second.kind, second.code.as_str()),
        (Kind::Transient, "SLOT-IN-USE")
    );
    bed.run(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        bed.slot()
    ))
    .await;
    let broken = loop {
        match next(&mut feed).await {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert_eq!(
        (broken.kind, broken.code.as_str()),
        (Kind::Transient, "CONNECTION-LOST")
    );
    assert_eq!(next(&mut feed).await.err().unwrap(), broken, "and stays so");
    bed.run("INSERT INTO t VALUES (2, 2)").await;
    let mut feed = bed.feed(one.head.position).await.unwrap();
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(2, Image::Inserted(row(2, 2, "")))]
    );
    let Fenced::Least(again) = bed.fence.now() else {
        panic!("the fence is open");
    };
    assert!(again > first);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_lost_capture_is_told() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    let one = txn(&mut feed).await.head.position;
    drop(feed);
    let mut tries = 0;
    while bed.feed(one).await.is_err() && tries < 5 {
        tries += 1;
    }
    bed.run(&format!("DROP PUBLICATION {}", bed.slot())).await;
    let lost = bed.feed(one).await.err().unwrap();
    assert_eq!(lost.code, "CAPTURE-LOST", "{lost}");
    bed.run(&format!(
        "SELECT pg_drop_replication_slot('{}')",
        bed.slot()
    ))
    .await;
    let lost = bed.feed(one).await.err().unwrap();
    assert!(
        lost.code == "CAPTURE-LOST" && lost.to_string().contains("is gone"),
        "{lost}"
    );
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_stream_that_nobody_takes_from_is_kept_alive() {
    let bed = Bed::new().await;
    let impatient = format!("ALTER DATABASE {} SET wal_sender_timeout = '2s'", bed.name);
    sql(&bed.server, &impatient).await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (0, 0)").await;
    let first = txn(&mut feed).await.head.position;
    // More than all channels hold.
    for id in 1..1000 {
        bed.run(&format!("INSERT INTO t VALUES ({id}, 0)")).await;
    }
    feed.release(first).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        bed.held().await,
        first,
        "released although nothing is taken"
    );
    for id in 1..1000 {
        assert_eq!(
            txn(&mut feed).await.changes,
            [t(id, Image::Inserted(row(id, 0, "")))]
        );
    }
    drop(feed);
    bed.end().await;
}
