//! Tables of one schema are told apart by what is left of their names, at every width.

use crate::desk::Desk;
use crate::story::{self, CUSTOMERS, ITEMS, ORDERS, PAYMENTS, Story};
use ratatui::layout::Size;
use tidegate::domain::command::{Answer, Drifted, Query};
use tidegate::domain::id::ChunkId;
use tidegate::domain::key::{Collation, Key};
use tidegate::domain::plan::{Engine, Environment};
use tidegate::domain::unit::Span;
use tidegate::domain::value::Value;
use tidegate::domain::verdict::{DriftClass, DriftCounts};
use tidegate::tui::update::Msg;

const NAMES: [&str; 6] = [
    "public.pgbench_accounts",
    "public.pgbench_branches",
    "public.pgbench_history",
    "public.pgbench_tellers",
    "public.pgbench_accounts_of_last_year_by_branch",
    "public.log",
];

fn of_one_schema() -> Story {
    let mut plan = story::plan("bench", Environment::Dev);
    plan.source.engine = Engine::Postgres;
    for (table, name) in plan.tables.iter_mut().zip(NAMES) {
        table.source = name.into();
    }
    let mut story = Story::planned_with(plan).started();
    for table in [CUSTOMERS, PAYMENTS, ORDERS, ITEMS] {
        story.land(table, 0.1);
    }
    story
}

#[test]
fn the_schema_that_all_tables_share_is_left_out() {
    let mut desk = Desk::of(of_one_schema());
    for (width, height) in [(80, 24), (120, 36), (200, 60)] {
        desk.tell(Msg::Resize(Size::new(width, height)));
        desk.press("1");
        let frame = desk.frame();
        for name in &NAMES[..4] {
            let short = name.trim_start_matches("public.");
            assert!(frame.contains(short), "{short} at {width}: {frame}");
        }
        assert!(!frame.contains("public."), "{frame}");
        assert!(frame.contains("_branch "), "both ends are shown: {frame}");
        desk.press("2");
        assert!(!desk.frame().contains("public."), "{}", desk.frame());
    }
}

#[test]
fn tables_of_several_schemas_keep_them() {
    let mut plan = story::plan("bench", Environment::Dev);
    plan.source.engine = Engine::Postgres;
    for (table, name) in plan.tables.iter_mut().zip(NAMES) {
        table.source = name.into();
    }
    plan.tables[3].source = "sales.tellers".into();
    let desk = Desk::of(Story::planned_with(plan).started());
    assert!(desk.frame().contains("public.pgbench_history"));
    assert!(desk.frame().contains("sales.tellers"));
}

#[test]
fn the_key_of_a_row_is_whole_before_its_table_is() {
    let mut story = of_one_schema();
    let counts = DriftCounts {
        changed: 1,
        ..DriftCounts::default()
    };
    story.check(CUSTOMERS, 0, 2, &[(1, counts)]);
    let mut desk = Desk::of(story);
    desk.press("3");
    let asked = desk.asked();
    let (id, _) = asked
        .iter()
        .find(|(_, q)| matches!(q, Query::Drifted { .. }))
        .unwrap();
    let row = Drifted {
        chunk: ChunkId {
            table: CUSTOMERS,
            no: 1,
        },
        key: Key::normal([Value::Integer(250_017_348_221)], &[Collation::Binary]),
        class: DriftClass::Changed,
        age: Span::seconds(24),
    };
    desk.tell(Msg::Answer(*id, Answer::Drifted(vec![row])));
    for (width, height) in [(80, 24), (120, 36), (60, 20)] {
        desk.tell(Msg::Resize(Size::new(width, height)));
        let frame = desk.frame();
        let listed: String = frame
            .lines()
            .filter(|l| l.contains("◆ differs"))
            .map(|l| l.chars().take(40).collect::<String>())
            .collect();
        assert!(listed.contains("250017348221"), "{frame}");
        assert!(listed.contains("ts "), "the name's end is shown: {frame}");
    }
}
