//! What tidegate makes: listed, made, removed, gone.

use crate::ground::{Ground, ITEMS, ITEMS_ID, NOTES, NOTES_ID, item, landing, note};
use tidegate::db::{Made, Part, Sizes, Survey};
use tidegate::domain::plan::Side;
use tidegate::domain::position::Position;
use tidegate::domain::unit::{Rows, Span};

const ALL: [Part; 3] = [Part::Capture, Part::Ledger, Part::Gate];

pub async fn nothing_is_left_behind(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.put([(ITEMS_ID, item(1, "x", 1))]);
    let before = (pair.catalog)(Side::Source);
    for part in ALL {
        pair.source
            .install(part, &pair.plan)
            .await
            .settled()
            .unwrap();
    }
    pair.source
        .gate(&pair.plan)
        .await
        .unwrap()
        .close(1, Span::seconds(5))
        .await
        .settled()
        .unwrap();
    assert_ne!((pair.catalog)(Side::Source), before);
    assert!(!pair.source.leftovers().await.unwrap().is_empty());
    assert_eq!(
        pair.source
            .remove(&[Part::Gate], None)
            .await
            .settled()
            .unwrap(),
        []
    );
    pair.put([(ITEMS_ID, item(2, "the gate is gone", 1))]);
    assert_eq!(pair.source.remove(&ALL, None).await.settled().unwrap(), []);
    assert_eq!(pair.source.leftovers().await.unwrap(), []);
    assert_eq!((pair.catalog)(Side::Source), before);
    assert_eq!(
        pair.source.remove(&ALL, None).await.settled().unwrap(),
        [],
        "done again"
    );
    // The target keeps the rows.
    let writer = pair.install().await;
    writer
        .land(landing(ITEMS_ID, vec![item(1, "x", 1)]))
        .await
        .settled()
        .unwrap();
    assert_eq!(pair.target.remove(&ALL, None).await.settled().unwrap(), []);
    assert_eq!(pair.target.leftovers().await.unwrap(), []);
    assert_eq!(pair.rows(Side::Target, ITEMS_ID).await, [item(1, "x", 1)]);
    assert!(
        writer
            .land(landing(ITEMS_ID, vec![item(2, "y", 1)]))
            .await
            .settled()
            .is_err()
    );
}

pub async fn done_again_it_changes_nothing(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.install().await;
    pair.put([(ITEMS_ID, item(1, "x", 1))]);
    writer
        .land(landing(NOTES_ID, vec![note("k", 1, "x")]))
        .await
        .settled()
        .unwrap();
    pair.target
        .install(Part::Gate, &pair.plan)
        .await
        .settled()
        .unwrap();
    let state = async || {
        let head = match ground.habits().head_is_ours {
            true => pair.head().await,
            false => Position::START,
        };
        (
            (pair.catalog)(Side::Source),
            (pair.catalog)(Side::Target),
            head,
        )
    };
    let before = state().await;
    let ledger = writer.ledger().await.unwrap();
    let gate = pair.target.gate(&pair.plan).await.unwrap();
    let door = gate.read().await.unwrap();
    pair.source
        .install(Part::Capture, &pair.plan)
        .await
        .settled()
        .unwrap();
    pair.target
        .install(Part::Ledger, &pair.plan)
        .await
        .settled()
        .unwrap();
    pair.target
        .install(Part::Gate, &pair.plan)
        .await
        .settled()
        .unwrap();
    for surveyed in &pair.source.survey(Sizes::Told).await.unwrap().tables {
        writer.build(&surveyed.create).await.settled().unwrap();
    }
    assert_eq!(state().await, before);
    assert_eq!(
        writer.ledger().await.unwrap(),
        ledger,
        "the lease and the position stay"
    );
    assert_eq!(gate.read().await.unwrap(), door);
}

pub async fn a_survey_without_sizes_says_all_else(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.put([(ITEMS_ID, item(1, "x", 1)), (ITEMS_ID, item(2, "y", 2))]);
    let told = pair.source.survey(Sizes::Told).await.unwrap();
    let untold = pair.source.survey(Sizes::Untold).await.unwrap();
    let sizes = |survey: &Survey| -> Vec<_> {
        let tables = survey.tables.iter();
        tables.map(|table| (table.rows, table.exact)).collect()
    };
    let mut counted = sizes(&told);
    counted.sort_unstable();
    assert_eq!(counted, [(Rows(0), true), (Rows(2), true)]);
    assert_eq!(sizes(&untold), [(Rows(0), false); 2]);
    let made = |survey: &Survey| -> Vec<_> {
        let tables = survey.tables.iter();
        tables
            .map(|table| (table.table.clone(), table.whole(), table.after.clone()))
            .collect()
    };
    assert_eq!(made(&untold), made(&told));
    assert_eq!((untold.before, untold.rest), (told.before, told.rest));
}

pub async fn what_is_listed_is_what_is_made(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    assert_eq!(pair.source.leftovers().await.unwrap(), []);
    for part in ALL {
        let listed = pair.source.objects(part, &pair.plan).await.unwrap();
        assert!(!listed.is_empty() && listed.iter().all(|object| !object.sql.is_empty()));
        pair.source
            .install(part, &pair.plan)
            .await
            .settled()
            .unwrap();
        if part == Part::Gate {
            pair.source
                .gate(&pair.plan)
                .await
                .unwrap()
                .close(1, Span::seconds(5))
                .await
                .settled()
                .unwrap();
        }
        let mut there = pair.source.leftovers().await.unwrap();
        there.retain(|object| listed.iter().any(|listed| listed.name == object.name));
        assert_eq!(there.len(), listed.len(), "{part:?}");
        assert_eq!(
            pair.source.remove(&[part], None).await.settled().unwrap(),
            []
        );
        assert_eq!(
            pair.source.leftovers().await.unwrap(),
            [],
            "{part:?} is all that was made"
        );
    }
}

pub async fn discarded_tables_are_gone(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.install().await;
    writer
        .land(landing(ITEMS_ID, vec![item(1, "x", 1)]))
        .await
        .settled()
        .unwrap();
    pair.target.remove(&ALL, None).await.settled().unwrap();
    let made = |name: &str| Made {
        kind: "table".to_owned(),
        name: name.to_owned(),
    };
    let left = pair
        .target
        .discard(&[made(&pair.table(ITEMS_ID).target), made("never")])
        .await
        .settled()
        .unwrap();
    assert_eq!(left, Vec::new());
    let names: Vec<_> = pair
        .target
        .survey(Sizes::Told)
        .await
        .unwrap()
        .tables
        .into_iter()
        .map(|surveyed| surveyed.table.source)
        .collect();
    assert_eq!(names, [pair.table(NOTES_ID).source.as_str()]);
}
