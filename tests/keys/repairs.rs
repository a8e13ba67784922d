//! The Diff while rows are repaired: what is listed, what is selected, and what `R` would meet.

use crate::desk::Desk;
use crate::story::{CUSTOMERS, ORDERS, PAYMENTS, Story, ana};
use tidegate::domain::command::{Answer, Drifted, Query};
use tidegate::domain::event::Fact;
use tidegate::domain::id::{ChunkId, RepairId, TableId};
use tidegate::domain::key::{Collation, Key};
use tidegate::domain::unit::Span;
use tidegate::domain::value::Value;
use tidegate::domain::verdict::{DriftClass, DriftCounts};
use tidegate::tui::model::{Popup, Replay, Screen};
use tidegate::tui::update::Msg;

fn row(table: TableId, no: u32, key: i64) -> Drifted {
    Drifted {
        chunk: ChunkId { table, no },
        key: Key::normal([Value::Integer(key)], &[Collation::Binary]),
        class: DriftClass::Missing,
        age: Span::seconds(24),
    }
}

/// Two chunks of two tables differ in a row each.
fn two_differ() -> Desk {
    let mut story = Story::planned().started();
    let counts = DriftCounts {
        missing: 1,
        ..DriftCounts::default()
    };
    for table in [CUSTOMERS, PAYMENTS] {
        story.land(table, 0.2);
        story.check(table, 0, 4, &[(2, counts)]);
    }
    let mut desk = Desk::of(story);
    desk.press("3");
    answer(
        &mut desk,
        vec![row(CUSTOMERS, 2, 110_001), row(PAYMENTS, 2, 120_002)],
    );
    desk
}

fn answer(desk: &mut Desk, rows: Vec<Drifted>) {
    let asked = desk.asked();
    let drifted = |(_, q): &&(_, Query)| matches!(q, Query::Drifted { .. });
    let id = asked
        .iter()
        .rev()
        .find(drifted)
        .expect("nothing was asked")
        .0;
    desk.effects.clear();
    desk.tell(Msg::Answer(id, Answer::Drifted(rows)));
}

fn repair(desk: &mut Desk, no: u32, table: TableId) {
    let chunks = vec![ChunkId { table, no: 2 }];
    let expected = DriftCounts {
        missing: 1,
        ..DriftCounts::default()
    };
    let repair = RepairId(no);
    desk.story.fact(Fact::RepairOrdered {
        repair,
        table,
        chunks: chunks.clone(),
        expected,
        by: ana(),
    });
    desk.story.fact(Fact::Repaired {
        repair,
        inserted: 1,
        updated: 0,
        deleted: 0,
        chunks,
    });
}

#[test]
fn a_repaired_row_is_gone_at_once_and_no_other_takes_its_place() {
    let mut desk = two_differ();
    assert!(desk.frame().contains("110001"));
    repair(&mut desk, 1, CUSTOMERS);
    let frame = desk.frame();
    assert!(!frame.contains("110001"), "{frame}");
    assert!(frame.contains("No row selected"), "{frame}");
    desk.press("R");
    assert!(desk.ui.popup.is_none(), "R meets no other chunk");
    assert!(desk.notice().contains("nothing is selected"));
    desk.press("jR");
    let Some(Popup::Ask(prompt)) = &desk.ui.popup else {
        panic!("{:?}", desk.ui.popup);
    };
    assert_eq!(prompt.lines[0], "1 row known to differ");
    assert!(
        prompt.title.contains("payments chunk 2"),
        "{}",
        prompt.title
    );
}

#[test]
fn the_list_is_asked_for_again_when_a_verdict_changes() {
    let mut desk = two_differ();
    desk.wait(Span::seconds(2));
    desk.effects.clear();
    desk.wait(Span::seconds(2));
    assert!(desk.asked().is_empty(), "nothing changed");
    // One row is mended and another one breaks: as many differ as before.
    let counts = DriftCounts {
        changed: 1,
        ..DriftCounts::default()
    };
    repair(&mut desk, 1, CUSTOMERS);
    desk.story.check(CUSTOMERS, 2, 3, &[(2, counts)]);
    desk.wait(Span::seconds(2));
    answer(
        &mut desk,
        vec![row(CUSTOMERS, 2, 110_009), row(PAYMENTS, 2, 120_002)],
    );
    assert!(desk.frame().contains("110009"));
    let selected = desk.ui.diff.row.clone().unwrap();
    assert_eq!(
        selected.1,
        row(CUSTOMERS, 2, 110_001).key,
        "not the new row"
    );
    assert!(desk.frame().contains("No row selected"));
}

#[test]
fn how_long_a_row_is_known_goes_on_and_its_chunk_s_repairs_are_its_own() {
    let mut desk = two_differ();
    let asked = desk.asked();
    let values = |(_, q): &&(_, Query)| matches!(q, Query::Differences { .. });
    let id = asked.iter().find(values).unwrap().0;
    repair(&mut desk, 1, PAYMENTS);
    repair(&mut desk, 2, CUSTOMERS);
    let counts = DriftCounts {
        missing: 1,
        ..DriftCounts::default()
    };
    desk.story.check(CUSTOMERS, 2, 3, &[(2, counts)]);
    desk.wait(Span::seconds(30));
    let frame = desk.frame();
    assert!(frame.contains("54s"), "{frame}");
    let chunk = ChunkId {
        table: CUSTOMERS,
        no: 2,
    };
    answer(&mut desk, vec![row(CUSTOMERS, 2, 110_001)]);
    let found = tidegate::domain::verdict::RowDiff {
        key: row(CUSTOMERS, 2, 110_001).key,
        class: DriftClass::Missing,
        source: Some(vec![Value::Integer(1); 3]),
        target: None,
        columns: Vec::new(),
    };
    desk.tell(Msg::Answer(
        id,
        Answer::Differences {
            rows: vec![found],
            more: false,
        },
    ));
    let frame = desk.frame();
    assert_eq!(desk.ui.diff.row.as_ref().unwrap().0, chunk);
    assert!(frame.contains("repair 2 done"), "{frame}");
    assert!(!frame.contains("repair 1"), "{frame}");
}

#[test]
fn rows_of_the_past_are_not_asked_for_and_the_screen_says_why() {
    let mut desk = two_differ();
    let state = &desk.story.state;
    let replay = Replay {
        seq: state.seq,
        last: state.seq,
        at: state.at,
        tick: state.tick,
        last_tick: state.tick,
        speed: 1,
        ..Replay::default()
    };
    desk.effects.clear();
    desk.tell(Msg::Past(Some(replay)));
    desk.press("3");
    assert_eq!(desk.ui.screen, Screen::Diff);
    assert!(desk.asked().is_empty());
    let frame = desk.frame();
    assert!(frame.contains("2 rows known to differ then"), "{frame}");
    assert!(frame.contains("not recorded"), "{frame}");
    assert!(!frame.contains("110001"), "what differs now is not shown");
}

#[test]
fn a_key_beyond_the_last_copied_chunk_is_not_copied_yet() {
    let mut desk = two_differ();
    desk.press("2/999999999<Enter>");
    let asked = desk.asked();
    let locate = |(_, q): &&(_, Query)| matches!(q, Query::Locate { .. });
    let id = asked.iter().find(locate).unwrap().0;
    desk.tell(Msg::Answer(id, Answer::Located(None)));
    assert!(
        desk.notice().contains("not copied yet"),
        "{}",
        desk.notice()
    );
    let at = ChunkId {
        table: ORDERS,
        no: 0,
    };
    assert_ne!(desk.ui.map.table, Some(at.table));
}
