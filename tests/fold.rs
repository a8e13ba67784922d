//! The fold under arbitrary records: it is total, a snapshot and the tail are the whole, sums are what the cells say, and
//! nothing is done before it is done. Which fact may happen in which phase is written down once more in `fold/legal.rs`.

#[path = "fold/arbitrary.rs"]
mod arbitrary;
#[path = "fold/legal.rs"]
mod legal;
#[path = "fold/million.rs"]
mod million;

use arbitrary::{Step, events, steps};
use proptest::prelude::*;
use tidegate::domain::event::Event;
use tidegate::domain::unit::{Rows, Tick};
use tidegate::state::chunks::{ChunkState, Chunks, Tally};
use tidegate::state::conditions::{blockers, next_phase};
use tidegate::state::migration::Migration;
use tidegate::state::pace::{Eta, eta};

fn folded(events: &[Event]) -> Migration {
    let mut state = Migration::default();
    for event in events {
        state.apply(event);
    }
    state
}

/// What the tally must be, from the cells alone.
fn counted(chunks: &Chunks) -> Tally {
    let mut tally = Tally::default();
    for cell in chunks.cells() {
        tally.landed_rows += cell.rows();
        tally.differing_rows += u64::from(cell.differ());
        match cell.state() {
            ChunkState::Equal => {
                tally.equal_chunks += 1;
                tally.equal_rows += cell.rows();
            }
            ChunkState::Landed | ChunkState::Repaired => {
                tally.unchecked_chunks += 1;
                tally.unchecked_rows += cell.rows();
            }
            ChunkState::Differs => tally.differing_chunks += 1,
        }
    }
    tally
}

fn cases() -> ProptestConfig {
    let full = std::env::var_os("TIDEGATE_FULL").is_some();
    ProptestConfig {
        cases: if full { 3_000 } else { 200 },
        // A failure prints its records; they belong in a test of their own, not in a file beside this one.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Everything that must hold of any state, however it came to be.
fn holds(state: &Migration) -> Result<(), TestCaseError> {
    for table in &state.tables {
        prop_assert_eq!(*table.chunks.tally(), counted(&table.chunks));
        prop_assert!((0.0..=1.0).contains(&table.copied()));
        prop_assert!(table.copied() < 1.0 || table.complete);
        prop_assert!(table.rows() >= table.chunks.tally().landed_rows);
        prop_assert!(table.expected_chunks() >= table.chunks.len());
    }
    let live = || state.live_tables().map(|(_, _, table)| table);
    let all_complete = live().all(|table| table.complete);
    let all_equal = live().all(|table| {
        table
            .chunks
            .cells()
            .iter()
            .all(|c| c.state() == ChunkState::Equal)
    });
    let copied = state.copied();
    prop_assert!((0.0..=1.0).contains(&copied), "copied {copied}");
    prop_assert!(copied < 1.0 || all_complete);
    let equal = state.equal_part();
    prop_assert!((0.0..=1.0).contains(&equal), "equal {equal}");
    prop_assert!(equal < 1.0 || (all_complete && all_equal));
    // Never green by absence.
    if state.synced_and_equal() {
        prop_assert!(all_complete && all_equal && live().next().is_some());
        prop_assert_eq!(state.drift().confirmed, 0);
    }
    if let Eta::Between { low, high, .. } = eta(state) {
        prop_assert!(low <= high);
    }
    // A phase that follows by itself follows by the table of moves.
    if let Some((next, _)) = next_phase(state) {
        prop_assert!(tidegate::state::phase::may_move(state.phase, next));
        prop_assert!(blockers(state).iter().all(|condition| !condition.holds));
    }
    prop_assert!(!state.rested || state.paused(), "at rest without a reason");
    prop_assert!(
        state.timeline.len() <= tidegate::state::migration::TIMELINE_LINES
            && state.history.len() <= tidegate::state::migration::HISTORY_POINTS
    );
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_records_are_folded_and_the_sums_hold(steps in steps(120)) {
        let mut state = Migration::default();
        for event in events(&steps) {
            state.apply(&event);
            holds(&state)?;
        }
    }

    #[test]
    fn a_snapshot_and_the_tail_are_the_whole(steps in steps(120), cut in 0usize..120) {
        let events = events(&steps);
        let cut = cut.min(events.len());
        let text = serde_json::to_string(&folded(&events[..cut])).unwrap();
        let mut state: Migration = serde_json::from_str(&text).unwrap();
        for event in &events[cut..] {
            state.apply(event);
        }
        prop_assert_eq!(state, folded(&events));
    }

    #[test]
    fn a_record_survives_being_written_and_read(steps in steps(40)) {
        for event in events(&steps) {
            let text = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }

    /// Nothing but the record decides: the clock of the machine, chance and what was folded elsewhere do not.
    #[test]
    fn the_same_records_give_the_same_state(steps in steps(80)) {
        let events = events(&steps);
        prop_assert_eq!(folded(&events), folded(&events));
    }

    /// What can't follow is counted and changes nothing but that count, the place in the journal, and the time.
    #[test]
    fn what_cannot_follow_is_counted_and_not_obeyed(steps in steps(80)) {
        let mut state = Migration::default();
        for event in events(&steps) {
            let mut before = state.clone();
            state.apply(&event);
            let refused = match &event.body {
                tidegate::domain::event::Body::Fact(fact) => before.admit(fact).is_err(),
                tidegate::domain::event::Body::Sample(_) => false,
            };
            if refused {
                prop_assert_eq!(state.illegal, before.illegal + 1);
                before.illegal += 1;
                (before.seq, before.at) = (event.seq, event.at);
                before.tick = before.tick.max(event.tick);
                prop_assert_eq!(&state, &before);
            }
        }
    }
}

/// The generator reaches what the properties speak about; a property over states that never come up proves nothing.
#[test]
fn the_records_lead_somewhere() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut synced, mut equal, mut differs, mut copied, mut illegal, mut paused) =
        (0, 0, 0, 0, 0, 0);
    for _ in 0..400 {
        let steps: Vec<Step> = steps(120).new_tree(&mut runner).unwrap().current();
        let mut seen = [false; 6];
        let mut state = Migration::default();
        for event in events(&steps) {
            state.apply(&event);
            let now = [
                state.phase == tidegate::domain::event::Phase::Synced,
                state.equal_part() >= 1.0,
                state.drift().confirmed > 0,
                state.copied() >= 1.0,
                state.illegal > 0,
                state.paused() && state.rested,
            ];
            for (seen, now) in seen.iter_mut().zip(now) {
                *seen |= now;
            }
        }
        for (count, seen) in [
            &mut synced,
            &mut equal,
            &mut differs,
            &mut copied,
            &mut illegal,
            &mut paused,
        ]
        .into_iter()
        .zip(seen)
        {
            *count += u32::from(seen);
        }
    }
    let counts = [synced, equal, differs, copied, illegal, paused];
    assert!(counts.iter().all(|n| *n >= 20), "{counts:?}");
}

/// Time goes forward only, whatever the records say.
#[test]
fn the_tick_never_goes_back() {
    let mut all = events(&[]);
    all.truncate(1);
    let mut late = all[0].clone();
    late.tick = Tick(9_000_000);
    let mut early = all[0].clone();
    early.tick = Tick(1);
    assert_eq!(folded(&[late, early]).tick, Tick(9_000_000));
}

/// A table without rows is done when its last chunk says so, not before: absence of rows is no proof.
#[test]
fn an_empty_table_is_not_done_by_having_no_rows() {
    let events = events(&[]);
    let state = folded(&events);
    assert_eq!(state.copied(), 0.0);
    assert!(state.equal_part() < 1.0);
    assert_eq!(state.drift().uncovered, Rows::ZERO);
    assert!(!state.synced_and_equal());
}
