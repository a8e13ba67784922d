//! What comes for what an application does.

use super::*;

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn rows_come_as_they_changed() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    assert!(matches!(next(&mut feed).await.unwrap(), Item::Idle(_)));
    bed.run("INSERT INTO t VALUES (1, 10, 'x'), (2, NULL, 'y')")
        .await;
    bed.run("UPDATE t SET n = 11 WHERE id = 1").await;
    bed.run("DELETE FROM t WHERE id = 2").await;
    bed.run("INSERT INTO u VALUES ('ä', '\\x00ff')").await;
    let null = [Value::Integer(2), Value::Null, Value::text("y")].into();
    let first = txn(&mut feed).await;
    let inserted = [
        t(1, Image::Inserted(row(1, 10, "x"))),
        t(2, Image::Inserted(null)),
    ];
    assert_eq!(first.changes, inserted);
    let second = txn(&mut feed).await;
    assert_eq!(second.changes, [t(1, Image::Updated(row(1, 11, "x")))]);
    assert!(second.head.position > first.head.position && !second.head.own);
    assert!(second.head.xid > first.head.xid);
    assert_eq!(txn(&mut feed).await.changes, [t(2, Image::Gone)]);
    let other = txn(&mut feed).await;
    let cells = [Value::text("ä"), Value::Blob([0, 255].into())];
    assert_eq!(other.changes[0].image, Image::Inserted(cells.into()));
    assert_eq!(other.changes[0].table, U);
    let now: u64 = bed
        .text("SELECT pg_current_xact_id()::text")
        .await
        .parse()
        .unwrap();
    assert!(other.head.xid.unwrap() < now && other.head.xid.unwrap() + 10 > now);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_changed_key_is_another_row() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 10, 'x')").await;
    bed.run("UPDATE t SET id = 5, n = 50").await;
    bed.run("UPDATE t SET id = 5, n = 51").await;
    txn(&mut feed).await;
    let moved = [t(1, Image::Gone), t(5, Image::Inserted(row(5, 50, "x")))];
    assert_eq!(txn(&mut feed).await.changes, moved);
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(5, Image::Updated(row(5, 51, "x")))]
    );
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn unchanged_large_cells_are_absent_or_found() {
    let bed = Bed::new().await;
    let big = big();
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run(&format!(
        "INSERT INTO t VALUES (1, 1, '{big}'), (2, 2, '{big}'), (3, 3, '{big}')"
    ))
    .await;
    bed.run("UPDATE t SET n = 10 WHERE id = 1").await;
    txn(&mut feed).await;
    let cells = [Some(Value::Integer(1)), Some(Value::Integer(10)), None].into();
    assert_eq!(txn(&mut feed).await.changes, [t(1, Image::Partial(cells))]);
    // With a new key: read from the row. It changed since, which comes later.
    bed.run("UPDATE t SET id = 20 WHERE id = 2").await;
    bed.run("UPDATE t SET big = 'new' WHERE id = 20").await;
    let moved = txn(&mut feed).await;
    assert_eq!(moved.changes[0], t(2, Image::Gone));
    let found = [row(20, 2, &big), row(20, 2, "new")].map(|row| t(20, Image::Inserted(row)));
    assert!(found.contains(&moved.changes[1]), "{:?}", moved.changes);
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(20, Image::Updated(row(20, 2, "new")))]
    );
    // Gone by now: left out until it is removed.
    drop(feed);
    bed.run("UPDATE t SET id = 30 WHERE id = 3").await;
    bed.run("UPDATE t SET n = 31 WHERE id = 30").await;
    bed.run("DELETE FROM t WHERE id = 30").await;
    bed.run("INSERT INTO t VALUES (30, 0, 'again')").await;
    bed.run("DELETE FROM t").await;
    let mut feed = bed.feed(bed.held().await).await.unwrap();
    // 20 is gone by now too, so its update does not come a second time.
    for _ in 0..3 {
        txn(&mut feed).await;
    }
    let moved = [t(3, Image::Gone), t(30, Image::Gone)];
    assert_eq!(txn(&mut feed).await.changes, moved);
    assert_eq!(txn(&mut feed).await.changes, [t(30, Image::Gone)]);
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(30, Image::Inserted(row(30, 0, "again")))]
    );
    drop(feed);
    bed.end().await;
}

/// A compare must not take for a difference what is only newer: the key is told, and what a read must see not to be older.
#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_was_read_later_than_its_change_says_so() {
    let bed = Bed::new().await;
    let big = big();
    let seen = async || {
        let text = bed.text("SELECT pg_current_snapshot()::text").await;
        crate::db::postgres::view::snapshot_of(&text).unwrap()
    };
    bed.run(&format!(
        "INSERT INTO t VALUES (1, 1, '{big}'), (2, 2, '{big}')"
    ))
    .await;
    bed.run("UPDATE t SET id = 10 WHERE id = 1").await;
    bed.run("UPDATE t SET id = 20 WHERE id = 2").await;
    let before = seen().await;
    bed.run("UPDATE t SET big = 'new' WHERE id = 10").await;
    bed.run("DELETE FROM t WHERE id = 20").await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    assert_eq!(txn(&mut feed).await.read_before, None);
    let newer = txn(&mut feed).await;
    assert_eq!(
        newer.changes,
        [t(1, Image::Gone), t(10, Image::Inserted(row(10, 1, "new")))]
    );
    let gone = txn(&mut feed).await;
    assert_eq!(gone.changes, [t(2, Image::Gone), t(20, Image::Gone)]);
    let plain = txn(&mut feed).await;
    assert_eq!(plain.read_before, None);
    let after = seen().await;
    for txn in [newer, gone] {
        let began = txn.read_before.unwrap();
        assert!(before.sees(&txn.head) && !before.sees_xid(began));
        assert!(after.sees_xid(began));
    }
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn full_identity_gives_the_whole_row() {
    let bed = Bed::new().await;
    let big = big();
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("ALTER TABLE t REPLICA IDENTITY FULL").await;
    bed.run(&format!("INSERT INTO t VALUES (1, 1, '{big}')"))
        .await;
    bed.run("UPDATE t SET n = 2").await;
    bed.run("UPDATE t SET id = 3").await;
    bed.run("DELETE FROM t").await;
    txn(&mut feed).await;
    assert_eq!(
        txn(&mut feed).await.changes,
        [t(1, Image::Updated(row(1, 2, &big)))]
    );
    let moved = [t(1, Image::Gone), t(3, Image::Inserted(row(3, 2, &big)))];
    assert_eq!(txn(&mut feed).await.changes, moved);
    assert_eq!(txn(&mut feed).await.changes, [t(3, Image::Gone)]);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_was_rolled_back_does_not_come() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("BEGIN; INSERT INTO t VALUES (1, 1); ROLLBACK")
        .await;
    bed.run(
        "BEGIN; INSERT INTO t VALUES (2, 2); SAVEPOINT a; INSERT INTO t VALUES (3, 3); ROLLBACK TO a;
         INSERT INTO t VALUES (4, 4); RELEASE a; COMMIT",
    )
    .await;
    let kept = [
        t(2, Image::Inserted(row(2, 2, ""))),
        t(4, Image::Inserted(row(4, 4, ""))),
    ];
    assert_eq!(txn(&mut feed).await.changes, kept);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn markers_stand_where_they_were_set() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    bed.marker(u64::MAX).await;
    bed.run("INSERT INTO t VALUES (2, 2)").await;
    bed.run("BEGIN; SELECT pg_logical_emit_message(true, 'tidegate', '7'); INSERT INTO t VALUES (3, 3); COMMIT").await;
    bed.run("SELECT pg_logical_emit_message(true, 'somebody', '8')")
        .await;
    bed.run("SELECT pg_logical_emit_message(true, 'tidegate', 'none')")
        .await;
    bed.run("INSERT INTO tidegate.ledger VALUES (1, 'x'); INSERT INTO t VALUES (4, 4)")
        .await;
    bed.run(
        "BEGIN; INSERT INTO tidegate.ledger VALUES (2, 'x'); INSERT INTO t VALUES (5, 5); COMMIT",
    )
    .await;
    bed.run(
        "BEGIN; INSERT INTO t VALUES (6, 6); INSERT INTO tidegate.ledger VALUES (3, 'x'); COMMIT",
    )
    .await;
    let id = |txn: &Txn| txn.changes[0].key.parts()[0].clone();
    assert_eq!(id(&txn(&mut feed).await), Value::Integer(1));
    assert_eq!(item(&mut feed).await, Item::Marker(Nonce(u64::MAX)));
    assert_eq!(id(&txn(&mut feed).await), Value::Integer(2));
    assert_eq!(id(&txn(&mut feed).await), Value::Integer(3));
    assert_eq!(item(&mut feed).await, Item::Marker(Nonce(7)));
    // Each simple query is one transaction, so the ledger is its first write.
    for (n, own) in [(4, true), (5, true), (6, false)] {
        let txn = txn(&mut feed).await;
        assert_eq!((id(&txn), txn.head.own), (Value::Integer(n), own));
    }
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn an_emptied_table_comes_before_what_follows() {
    let bed = Bed::new().await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1)").await;
    bed.run("BEGIN; INSERT INTO t VALUES (2, 2); INSERT INTO u VALUES ('u'); TRUNCATE t; INSERT INTO t VALUES (3, 3); COMMIT").await;
    bed.run("TRUNCATE t, u").await;
    txn(&mut feed).await;
    assert_eq!(item(&mut feed).await, Item::Truncate(T));
    let rest = txn(&mut feed).await.changes;
    assert_eq!((rest[0].table, rest.len()), (U, 2));
    assert_eq!(rest[1], t(3, Image::Inserted(row(3, 3, ""))));
    assert_eq!(item(&mut feed).await, Item::Truncate(T));
    assert_eq!(item(&mut feed).await, Item::Truncate(U));
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_redefined_table_is_told_once_and_left_out() {
    for alter in [
        "ALTER TABLE t ADD x int",
        "ALTER TABLE t DROP n",
        "ALTER TABLE t RENAME n TO m",
        "ALTER TABLE t ALTER n TYPE bigint",
        "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id, big)",
        "ALTER TABLE t RENAME TO gone",
        "ALTER TABLE t RENAME TO gone; CREATE TABLE t AS TABLE gone",
        "ALTER TABLE t SET SCHEMA tidegate",
    ] {
        let bed = Bed::new().await;
        let mut feed = bed.feed(Position::START).await.unwrap();
        bed.run("INSERT INTO t VALUES (1, 1)").await;
        bed.run("CREATE INDEX ON t (n); COMMENT ON TABLE t IS 'x'")
            .await;
        bed.run("INSERT INTO t VALUES (2, 2)").await;
        bed.run(alter).await;
        let named = if alter.contains("gone") {
            "gone"
        } else if alter.contains("SCHEMA") {
            "tidegate.t"
        } else {
            "t"
        };
        bed.run(&format!(
            "INSERT INTO {named} (id) VALUES (3); INSERT INTO {named} (id) VALUES (4)"
        ))
        .await;
        bed.run("INSERT INTO u VALUES ('last')").await;
        txn(&mut feed).await;
        assert_eq!(
            txn(&mut feed).await.changes,
            [t(2, Image::Inserted(row(2, 2, "")))]
        );
        assert_eq!(item(&mut feed).await, Item::Schema(T), "{alter}");
        let last = txn(&mut feed).await;
        assert_eq!(
            (last.changes.len(), last.changes[0].table),
            (1, U),
            "{alter}"
        );
        drop(feed);
        // Also seen by a stream that begins after it.
        let mut feed = bed.feed(last.head.position).await.unwrap();
        bed.run(&format!("INSERT INTO {named} (id) VALUES (5)"))
            .await;
        assert_eq!(item(&mut feed).await, Item::Schema(T), "{alter}");
        drop(feed);
        bed.end().await;
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_large_transaction_comes_whole_less_what_was_emptied_in_it() {
    let mut bed = Bed::new().await;
    bed.spill = Spill::default().sized(5_000, 2_000);
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run(
        "BEGIN; INSERT INTO t SELECT i, i FROM generate_series(1, 500) i;
         INSERT INTO u SELECT 'u' || i FROM generate_series(1, 300) i; TRUNCATE t;
         INSERT INTO t SELECT i, -i FROM generate_series(400, 900) i; UPDATE t SET n = 0 WHERE id = 700;
         ALTER TABLE u ADD more int; INSERT INTO u (a) VALUES ('never told'); DELETE FROM t WHERE id = 400; COMMIT",
    )
    .await;
    assert_eq!(item(&mut feed).await, Item::Schema(U));
    assert_eq!(item(&mut feed).await, Item::Truncate(T));
    let large = txn(&mut feed).await;
    assert!(large.overflow.is_some() && large.weight() < 6_000);
    let pieces: Vec<Vec<Change>> = large.pieces().map(|p| p.unwrap().to_vec()).collect();
    assert!(pieces.len() > 20, "{}", pieces.len());
    let all = pieces.concat();
    assert_eq!(large.count(), all.len() as u64);
    let (of_t, of_u): (Vec<_>, Vec<_>) = all.into_iter().partition(|change| change.table == T);
    let mut wanted: Vec<Change> = (400..=900)
        .map(|id| t(id, Image::Inserted(row(id, -id, ""))))
        .collect();
    wanted.push(t(700, Image::Updated(row(700, 0, ""))));
    wanted.push(t(400, Image::Gone));
    assert_eq!(of_t, wanted);
    assert_eq!(of_u.len(), 300, "what came before its definition changed");
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn partitions_come_as_their_root() {
    let bed = Bed::new().await;
    bed.run(
        "DROP TABLE t;
         CREATE TABLE t (id bigint, n int, big text NOT NULL DEFAULT '', PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE leaf1 PARTITION OF t FOR VALUES FROM (0) TO (100);
         CREATE TABLE leaf2 (x int, big text NOT NULL DEFAULT '', n int, id bigint NOT NULL);
         ALTER TABLE leaf2 DROP x; ALTER TABLE t ATTACH PARTITION leaf2 FOR VALUES FROM (100) TO (200)",
    )
    .await;
    let mut missing = bed.feed(Position::START).await.unwrap();
    assert_eq!(
        next(&mut missing).await.unwrap(),
        Item::Schema(T),
        "not published any more"
    );
    drop(missing);
    bed.run(&format!("ALTER PUBLICATION {} ADD TABLE t", bed.slot()))
        .await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run("INSERT INTO t VALUES (1, 1), (101, 2)").await;
    bed.run("UPDATE t SET id = 102 WHERE id = 1").await;
    let rows = [
        t(1, Image::Inserted(row(1, 1, ""))),
        t(101, Image::Inserted(row(101, 2, ""))),
    ];
    assert_eq!(txn(&mut feed).await.changes, rows);
    let moved = [t(1, Image::Gone), t(102, Image::Inserted(row(102, 1, "")))];
    assert_eq!(txn(&mut feed).await.changes, moved);
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_row_that_cannot_be_read_any_more_stops_its_table() {
    let bed = Bed::new().await;
    bed.run(&format!("INSERT INTO t VALUES (1, 1, '{}')", big()))
        .await;
    bed.run("UPDATE t SET id = 2").await;
    bed.run("ALTER TABLE t DROP big; INSERT INTO t VALUES (3)")
        .await;
    bed.run("INSERT INTO u VALUES ('last')").await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    txn(&mut feed).await;
    // The column is gone before the stream comes to its end.
    assert_eq!(item(&mut feed).await, Item::Schema(T));
    assert_eq!(txn(&mut feed).await.changes[0].table, U);
    drop(feed);
    bed.end().await;
}
