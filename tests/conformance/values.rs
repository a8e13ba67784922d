//! What goes in comes out, to the bit.

use crate::ground::{Ground, NOTES, NOTES_ID, int, landing, text};
use tidegate::domain::change::{Image, Item};
use tidegate::domain::key::Range;
use tidegate::domain::plan::Side;
use tidegate::domain::unit::Bytes;
use tidegate::domain::value::{Row, Value};

pub async fn every_kind_of_value_survives(ground: &impl Ground) {
    let pair = ground.pair(&[crate::ground::ITEMS, NOTES]).await;
    let writer = pair.install().await;
    let start = pair.head().await;
    let values = [
        Value::Null,
        int(0),
        int(i64::MIN),
        int(i64::MAX),
        Value::Real(0.1),
        Value::Real(-0.0),
        Value::Real(1.0),
        Value::Real(f64::MIN_POSITIVE),
        Value::Real(f64::INFINITY),
        Value::Real(9_007_199_254_740_993.0),
        text(""),
        text("0"),
        text("1.0"),
        text("NULL"),
        text("a\0b"),
        text("Zoë 🦀 \u{202e}"),
        Value::Text([0xc3, 0x28, 0xff].into()),
        Value::Blob(Box::default()),
        Value::Blob([0, 1, 2, 255].into()),
        Value::Blob([b'0'].into()),
    ];
    let fits = |value: &Value| match value {
        Value::Null => true,
        Value::Text(bytes) => !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok(),
        _ => false,
    };
    let values = values
        .into_iter()
        .filter(|value| !ground.habits().typed || fits(value));
    let rows: Vec<Row> = (0..)
        .zip(values)
        .map(|(n, value)| [text(&format!("k {n:02}")), int(n), value].into())
        .collect();
    pair.put(rows.iter().map(|row| (NOTES_ID, row.clone())));
    let read = pair.rows(Side::Source, NOTES_ID).await;
    assert_eq!(read, rows);
    writer
        .land(landing(NOTES_ID, read))
        .await
        .settled()
        .unwrap();
    assert_eq!(pair.rows(Side::Target, NOTES_ID).await, rows);
    let whole = Range::default();
    let source = pair
        .view(Side::Source)
        .await
        .digest(NOTES_ID, &whole)
        .await
        .unwrap();
    let target = pair
        .view(Side::Target)
        .await
        .digest(NOTES_ID, &whole)
        .await
        .unwrap();
    assert_eq!(source, target);
    let mut feed = pair.source.feed(&pair.plan, start).await.unwrap();
    let mut streamed: Vec<Row> = Vec::new();
    while streamed.len() < rows.len() {
        if let Item::Txn(txn) = feed.next().await.unwrap() {
            streamed.extend(
                txn.changes
                    .into_iter()
                    .filter_map(|change| match change.image {
                        Image::Present(row) | Image::Inserted(row) | Image::Updated(row) => {
                            Some(row)
                        }
                        _ => None,
                    }),
            );
        }
    }
    streamed.sort_by_key(|row| row[0].to_string());
    assert_eq!(streamed, rows);
}

pub async fn large_rows_survive(ground: &impl Ground) {
    let pair = ground.pair(&[crate::ground::ITEMS, NOTES]).await;
    let writer = pair.install().await;
    let large = |n: i64, byte: u8| -> Row {
        let bytes = vec![byte + b'0'; 8_000_000].into();
        let large = match ground.habits().typed {
            true => Value::Text(bytes),
            false => Value::Blob(bytes),
        };
        [text("k"), int(n), large].into()
    };
    pair.put([
        (NOTES_ID, large(1, 1)),
        (NOTES_ID, large(2, 2)),
        (NOTES_ID, [text("k"), int(3), text("3")].into()),
    ]);
    let mut view = pair.view(Side::Source).await;
    let mut range = Range::default();
    let mut pieces = 0;
    loop {
        let pick = tidegate::domain::key::Pick::Range(range.clone());
        let read = view.rows(NOTES_ID, &pick, Bytes(1_000_000)).await.unwrap();
        assert!(read.rows.bytes().0 < 9_000_000, "one row at a time");
        pieces += 1;
        writer
            .land(landing(NOTES_ID, read.rows.iter()))
            .await
            .settled()
            .unwrap();
        let Some(cut) = read.cut else { break };
        range.lo = Some(cut);
    }
    assert_eq!(pieces, 3);
    assert_eq!(
        pair.rows(Side::Target, NOTES_ID).await,
        pair.rows(Side::Source, NOTES_ID).await
    );
}
