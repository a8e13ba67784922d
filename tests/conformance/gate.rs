//! The gate: a barrier for the application, none for us.

use crate::ground::{Ground, ITEMS, ITEMS_ID, NOTES, NOTES_ID, Pair, Write, item, landing, note};
use crate::history::History;
use tidegate::db::{Gate, GateState, Part};
use tidegate::domain::fault::Outcome;
use tidegate::domain::plan::Side;
use tidegate::domain::unit::Span;

const BUDGET: Span = Span::seconds(5);

async fn gated(pair: &Pair, side: Side) -> Box<dyn Gate> {
    let end = if side == Side::Source {
        &pair.source
    } else {
        &pair.target
    };
    assert_eq!(
        end.gate(&pair.plan).await.unwrap().read().await.unwrap(),
        None,
        "no gate yet"
    );
    end.install(Part::Gate, &pair.plan).await.settled().unwrap();
    end.gate(&pair.plan).await.unwrap()
}

pub async fn closed_refuses_the_application_and_not_us(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    let writer = pair.install_keyed().await;
    let gate = gated(&pair, Side::Target).await;
    let begun = gate.read().await.unwrap().unwrap();
    assert!(!begun.open, "a target's gate is never open by itself");
    assert_eq!(begun.unguarded, [ITEMS_ID, NOTES_ID]);
    gate.close(1, BUDGET).await.settled().unwrap();
    assert_eq!(
        gate.read().await.unwrap(),
        Some(GateState {
            open: false,
            epoch: 1,
            unguarded: Vec::new()
        })
    );
    writer
        .land(landing(ITEMS_ID, vec![item(1, "ours", 1)]))
        .await
        .settled()
        .unwrap();
    let key = pair.key(ITEMS_ID, &item(1, "", 0));
    for write in [
        Write::Put(ITEMS_ID, item(2, "theirs", 1)),
        Write::Put(ITEMS_ID, item(1, "theirs", 1)),
        Write::Delete(ITEMS_ID, key),
        Write::Put(NOTES_ID, note("k", 1, "theirs")),
    ] {
        let said = pair.app.commit(Side::Target, &[write]).unwrap_err();
        assert!(
            said.contains("tidegate"),
            "the application is told by whom: {said}"
        );
    }
    assert_eq!(
        pair.rows(Side::Target, ITEMS_ID).await,
        [item(1, "ours", 1)]
    );
    pair.put([(ITEMS_ID, item(5, "on the source", 5))]);
}

pub async fn opening_lets_it_write_again(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install_keyed().await;
    let gate = gated(&pair, Side::Target).await;
    gate.close(1, BUDGET).await.settled().unwrap();
    gate.open(2).await.settled().unwrap();
    assert_eq!(
        gate.read().await.unwrap(),
        Some(GateState {
            open: true,
            epoch: 2,
            unguarded: Vec::new()
        })
    );
    pair.app
        .commit(Side::Target, &[Write::Put(ITEMS_ID, item(2, "theirs", 1))])
        .unwrap();
    gate.close(3, BUDGET).await.settled().unwrap();
    pair.app
        .commit(Side::Target, &[Write::Put(ITEMS_ID, item(3, "late", 1))])
        .unwrap_err();
    assert_eq!(
        pair.rows(Side::Target, ITEMS_ID).await,
        [item(2, "theirs", 1)]
    );
}

pub async fn an_older_epoch_moves_nothing(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install().await;
    let gate = gated(&pair, Side::Target).await;
    gate.close(7, BUDGET).await.settled().unwrap();
    assert!(matches!(gate.open(6).await, Outcome::NotDone(_)));
    assert!(
        matches!(gate.open(7).await, Outcome::NotDone(_)),
        "one epoch is one state"
    );
    gate.close(7, BUDGET).await.settled().unwrap();
    let state = gate.read().await.unwrap().unwrap();
    assert_eq!((state.open, state.epoch), (false, 7));
}

/// The source's own gate, with the application writing: what the barrier's position covers is everything.
pub async fn nothing_commits_after_the_barrier(ground: &impl Ground) {
    let pair = ground.pair(&[ITEMS, NOTES]).await;
    pair.install().await;
    let gate = gated(&pair, Side::Source).await;
    assert!(
        gate.read().await.unwrap().unwrap().open,
        "a source's gate begins open"
    );
    let mut history = History::start(&pair, 9);
    history.more(20).await;
    let last = history.stop();
    let barrier = gate.close(1, BUDGET).await.settled().unwrap();
    let ours = ground.habits().head_is_ours;
    assert!(!ours || pair.head().await == barrier);
    pair.app
        .commit(Side::Source, &[Write::Put(ITEMS_ID, item(70, "late", 1))])
        .unwrap_err();
    assert!(
        !ours || pair.head().await == barrier,
        "what was refused left no trace in the stream"
    );
    let found = history.state_of([
        (ITEMS_ID, pair.rows(Side::Source, ITEMS_ID).await),
        (NOTES_ID, pair.rows(Side::Source, NOTES_ID).await),
    ]);
    assert_eq!(found, last);
    gate.open(2).await.settled().unwrap();
    pair.put([(ITEMS_ID, item(70, "let in", 1))]);
    assert!(pair.head().await > barrier);
}
