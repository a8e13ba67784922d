//! Keys that are made when the rows are there. An adapter that makes them with the table goes through the same.

use crate::apply::{batch, gone, present};
use crate::ground::{Ground, ITEMS, ITEMS_ID, NOTES, Pair, item, landing};
use crate::land::{items, mark};
use tidegate::db::{Landing, Sizes, Surveyed, Writer};
use tidegate::domain::key::{Bound, Pick, Range};
use tidegate::domain::plan::Side;
use tidegate::domain::position::Position;
use tidegate::domain::unit::Bytes;
use tidegate::domain::value::{Row, Value};

fn chunk(no: u32, lo: Option<i64>, hi: Option<i64>, rows: Vec<Row>) -> Landing {
    Landing {
        mark: mark(no, lo, hi, rows.len() as u64),
        ..landing(ITEMS_ID, rows)
    }
}

async fn land(writer: &dyn Writer, landing: Landing) {
    writer.land(landing).await.settled().unwrap();
}

/// The table as the target has it.
async fn there(pair: &Pair) -> Surveyed {
    let wanted = &pair.table(ITEMS_ID).target;
    let survey = pair.target.survey(Sizes::Told).await.unwrap();
    let mut tables = survey.tables.into_iter();
    tables.find(|found| found.table.target == *wanted).unwrap()
}

async fn has_its_key(pair: &Pair) -> bool {
    there(pair).await.table.key().is_some()
}

/// Whether this adapter makes keys later at all.
async fn makes_later(pair: &Pair) -> bool {
    let survey = pair.source.survey(Sizes::Told).await.unwrap();
    survey.tables.iter().all(|found| found.key.is_some())
}

pub async fn rows_land_and_the_key_comes_when_it_is_needed(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.begin().await;
    let later = makes_later(&pair).await;
    // Side by side, in any order.
    let (b, a) = (
        chunk(1, Some(10), Some(20), items(10, 20)),
        chunk(0, None, Some(10), items(0, 10)),
    );
    tokio::join!(land(&*writer, b), land(&*writer, a));
    assert_eq!(writer.keyless().contains(&ITEMS_ID), later);
    assert_eq!(has_its_key(&pair).await, !later);
    // The stream changes a row that has landed, and makes one where nothing has yet.
    let upto = Position(writer.ledger().await.unwrap().applied.0 + 5);
    let changed = item(5, "changed", 5);
    let changes = vec![
        present(&pair, ITEMS_ID, changed.clone()),
        present(&pair, ITEMS_ID, item(25, "ahead", 25)),
        gone(&pair, 7),
    ];
    writer.apply(batch(upto, changes)).await.settled().unwrap();
    assert!(!writer.keyless().contains(&ITEMS_ID));
    assert!(has_its_key(&pair).await);
    land(&*writer, chunk(2, Some(20), None, items(20, 30))).await;
    let wanted = items(0, 30).into_iter().enumerate();
    let wanted: Vec<Row> = wanted
        .filter(|(n, _)| *n != 7)
        .map(|(n, row)| if n == 5 { changed.clone() } else { row })
        .collect();
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, wanted);
}

/// Under an earlier lease, by an earlier copy under the same one, or at an earlier try.
pub async fn what_an_earlier_copy_landed_is_not_landed_twice(ground: &impl Ground) {
    for how in ["lease", "copy", "try"] {
        let pair = ground.pair(&[ITEMS]).await;
        let mut writer = pair.begin().await;
        land(&*writer, chunk(0, None, Some(10), items(0, 10))).await;
        if how == "try" {
            land(&*writer, chunk(1, Some(10), Some(20), items(10, 20))).await;
        } else {
            // Beyond a gap: what lies in between was read and never landed.
            land(&*writer, chunk(2, Some(20), Some(30), items(20, 30))).await;
        }
        if how == "lease" {
            writer = pair.target.writer(&pair.plan).await.unwrap();
        }
        if how != "try" {
            writer.copy_begins(ITEMS_ID);
        }
        // Cut otherwise, and over the rows that are there.
        let more = async {
            let again = chunk(1, Some(10), Some(30), items(10, 30));
            writer.land(again).await.settled()?;
            let last = chunk(2, Some(30), None, items(30, 35));
            writer.land(last).await.settled()?;
            writer.make_key(ITEMS_ID).await
        };
        match more.await {
            // Where chunks land one by one, none is cut otherwise.
            Err(fault) if fault.code == "CHUNK-DIFFERS" => {}
            done => {
                done.unwrap();
                let there = pair.rows(Side::Target, ITEMS_ID).await;
                assert_eq!(there, items(0, 35), "{how}");
            }
        }
    }
}

pub async fn a_key_is_made_once(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS]).await;
    let writer = pair.begin().await;
    let later = makes_later(&pair).await;
    land(&*writer, chunk(0, None, None, items(0, 50))).await;
    // Whoever asks at the same time waits for it.
    let (one, other) = tokio::join!(writer.make_key(ITEMS_ID), writer.make_key(ITEMS_ID));
    assert_eq!(one.unwrap() || other.unwrap(), later);
    assert!(!writer.make_key(ITEMS_ID).await.unwrap());
    assert!(writer.keyless().is_empty());
    // Another lease finds it so.
    let writer = pair.target.writer(&pair.plan).await.unwrap();
    assert!(writer.keyless().is_empty());
    assert!(!writer.make_key(ITEMS_ID).await.unwrap());
    assert!(has_its_key(&pair).await);
    // It is what was wanted: with and without its key, and the key alone.
    let survey = pair.source.survey(Sizes::Told).await.unwrap();
    for found in survey.tables {
        writer.build(&found.whole()).await.settled().unwrap();
        writer.build(&found.create).await.settled().unwrap();
        if let Some(key) = &found.key {
            writer.build(key).await.settled().unwrap();
        }
    }
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, items(0, 50));
}

pub async fn every_way_to_look_for_a_row_makes_the_key(ground: &impl Ground) {
    for how in ["repair", "remove", "undo"] {
        let pair = ground.pair(&[ITEMS]).await;
        let writer = pair.begin().await;
        land(&*writer, chunk(0, None, Some(10), items(0, 10))).await;
        let put = match how {
            "remove" => Landing {
                gone: vec![pair.key(ITEMS_ID, &item(3, "", 0))],
                ..landing(ITEMS_ID, [])
            },
            _ => Landing {
                keep_before: how == "undo",
                ..landing(ITEMS_ID, [item(3, "mended", 3)])
            },
        };
        let landed = writer.land(put).await.settled().unwrap();
        assert_eq!(landed.updated + landed.deleted, 1, "{how}");
        assert_eq!(landed.before.len(), usize::from(how == "undo"));
        assert!(has_its_key(&pair).await, "{how}");
        assert!(writer.keyless().is_empty(), "{how}");
        let pick = Pick::Range(Range {
            lo: Some(Bound([Value::Integer(3)].into())),
            hi: Some(Bound([Value::Integer(4)].into())),
        });
        let mut view = pair.view(Side::Target).await;
        let read = view.rows(ITEMS_ID, &pick, Bytes(u64::MAX)).await.unwrap();
        let rows: Vec<Row> = read.rows.iter().collect();
        match how {
            "remove" => assert!(rows.is_empty()),
            _ => assert_eq!(rows, [item(3, "mended", 3)], "{how}"),
        }
    }
}
