//! Which fact may happen in which phase, and which phase may follow which: written by hand, once more, from what a
//! migration is. A rule that changes is changed in `state/phase.rs` and here.

use crate::arbitrary::fact;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use tidegate::domain::event::{Fact, Phase};
use tidegate::state::phase::{may_move, next};

/// A line a fact: `x` where it may happen, in the order of `Phase::ALL`; then what a refusal says can't happen.
///
/// What people, the engine's life and failures leave behind is always legal: a journal must be able to say it.
#[rustfmt::skip]
const FACTS: [(&str, &str, &str); 37] = [
    //                      plan
    //                      |schema
    //                      ||copy
    //                      |||catch-up
    //                      ||||synced
    //                      |||||reads
    //                      ||||||cutover
    //                      |||||||soak
    //                      ||||||||final
    //                      |||||||||rolling-back
    //                      ||||||||||rolled-back
    //                      |||||||||||in-doubt
    ("created",            "x...........", "creating the migration"),
    ("engine-started",     "xxxxxxxxxxxx", ""),
    ("engine-parked",      "xxxxxxxxxxxx", ""),
    ("plan-changed",       "xxxxxxxx.x.x", "changing the plan"),
    ("made",               ".xxxx....x..", "making an object"),
    ("removed",            ".......xxxx.", "removing an object"),
    ("table-sized",        "xxx.........", "sizing a table"),
    ("chunk-landed",       "..x.........", "landing a chunk"),
    ("table-copied",       "..x.........", "finishing a table"),
    ("chunk-checked",      "..xxxxxx....", "comparing a chunk"),
    ("chunks-equal",       "..xxxxxx....", "comparing a chunk"),
    ("pass-finished",      "...xxxxx....", "finishing a pass"),
    ("repair-ordered",     "..xxxx......", "repairing"),
    ("repaired",           "..xxxx......", "repairing"),
    ("repair-failed",      "..xxxx......", "repairing"),
    ("repair-undone",      "..xxxx......", "repairing"),
    ("accepted",           "xxxxxxxxxxxx", ""),
    ("refused",            "xxxxxxxxxxxx", ""),
    ("paused",             "xxxxxxxx.x.x", "pausing or resuming"),
    ("rested",             "xxxxxxxx.x.x", "pausing or resuming"),
    ("resumed",            "xxxxxxxx.x.x", "pausing or resuming"),
    ("pace-set",           "xxxxxxxx.x.x", "changing the pace"),
    ("limit-set",          "xxxxxxxx.x.x", "changing the pace"),
    ("throttle-held",      "xxxxxxxx.x.x", "changing the pace"),
    ("throttle-freed",     "xxxxxxxx.x.x", "changing the pace"),
    ("shadow-set",         "xxxxxxxx.x.x", "setting shadow compare"),
    ("alert-raised",       "xxxxxxxxxxxx", ""),
    ("alert-changed",      "xxxxxxxxxxxx", ""),
    ("alert-cleared",      "xxxxxxxxxxxx", ""),
    ("alert-acknowledged", "xxxxxxxxxxxx", ""),
    ("noted",              "xxxxxxxxxxxx", ""),
    ("attached",           "xxxxxxxxxxxx", ""),
    ("detached",           "xxxxxxxxxxxx", ""),
    ("lead-changed",       "xxxxxxxxxxxx", ""),
    ("abort-ordered",      "xxxxxx......", "giving up the target"),
    ("failed",             "xxxxxxxxxxxx", ""),
    // `phase-entered` has a table of its own.
    ("phase-entered",      "", "entering that phase"),
];

/// From the phase at the left into the phases of the columns, both in the order of `Phase::ALL`.
#[rustfmt::skip]
const MOVES: [(&str, &str); 12] = [
    ("plan",         ".x.......x.."),
    ("schema",       "..x......x.."),
    ("copy",         "...x.....x.."),
    ("catch-up",     "....x....x.."),
    // Back to catching up when a compare finds that it is not in step; reads may move, or writes at once.
    ("synced",       "...x.xx..x.."),
    // Reads step back alone.
    ("reads",        "....x.x..x.."),
    // A cutover that was not done leaves things where it found them; one that nobody knows about is in doubt.
    ("cutover",      "....xx.x...x"),
    ("soak",         "........xx.."),
    ("final",        "............"),
    ("rolling-back", "..........xx"),
    ("rolled-back",  "............"),
    // A person said which side owns.
    ("in-doubt",     "....x..x.x.."),
];

fn kind(fact: &Fact) -> String {
    match serde_json::to_value(fact).unwrap() {
        serde_json::Value::String(kind) => kind,
        serde_json::Value::Object(map) => map.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

/// Several facts of every kind, by kind.
fn samples() -> BTreeMap<String, Vec<Fact>> {
    let mut runner = TestRunner::deterministic();
    let mut out: BTreeMap<String, Vec<Fact>> = BTreeMap::new();
    for _ in 0..8_000 {
        let fact = fact().new_tree(&mut runner).unwrap().current();
        let of_kind = out.entry(kind(&fact)).or_default();
        if of_kind.len() < 20 {
            of_kind.push(fact);
        }
    }
    out
}

/// The variants of the enum as its source has them, so that a new fact needs its line above.
fn variants() -> usize {
    let source = include_str!("../../src/domain/event.rs");
    let body = source.split("pub enum Fact {").nth(1).unwrap();
    let body = body.split("\n}").next().unwrap();
    body.lines()
        .filter(|line| {
            let inner = line.strip_prefix("    ").unwrap_or_default();
            inner.starts_with(|c: char| c.is_ascii_uppercase())
        })
        .count()
}

#[test]
fn every_fact_is_legal_exactly_where_the_table_says() {
    let samples = samples();
    assert_eq!(variants(), FACTS.len());
    assert_eq!(samples.len(), FACTS.len(), "{:?}", samples.keys());
    for (name, marks, what) in FACTS.iter().filter(|(name, ..)| *name != "phase-entered") {
        assert_eq!(marks.len(), Phase::ALL.len(), "{name}");
        for fact in &samples[*name] {
            for (phase, mark) in Phase::ALL.into_iter().zip(marks.chars()) {
                match next(phase, fact) {
                    Ok(after) => {
                        assert_eq!(mark, 'x', "{name} in {}", phase.label());
                        assert_eq!(after, phase, "{name} moves the phase");
                    }
                    Err(illegal) => {
                        assert_eq!(mark, '.', "{name} in {}", phase.label());
                        assert_eq!((illegal.phase, illegal.what), (phase, *what), "{name}");
                        assert_eq!(
                            illegal.to_string(),
                            format!("{what} can't happen in phase {}", phase.label())
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_move_is_legal_exactly_where_the_table_says() {
    for (from, (name, marks)) in Phase::ALL.into_iter().zip(MOVES) {
        assert_eq!(from.label(), name);
        for (to, mark) in Phase::ALL.into_iter().zip(marks.chars()) {
            let legal = mark == 'x';
            let names = format!("{name} to {}", to.label());
            assert_eq!(may_move(from, to), legal, "{names}");
            let entered = next(from, &Fact::PhaseEntered { phase: to });
            match entered {
                Ok(phase) => assert!(legal && phase == to, "{names}"),
                Err(illegal) => assert!(
                    !legal && illegal.phase == from && illegal.what == "entering that phase",
                    "{names}"
                ),
            }
        }
    }
}

/// Whoever is in a phase can leave it, unless it is over; and the end of the way forward can be reached.
#[test]
fn no_phase_is_a_trap() {
    for phase in Phase::ALL {
        let ways = Phase::ALL.iter().filter(|to| may_move(phase, **to)).count();
        let over = matches!(phase, Phase::Final | Phase::RolledBack);
        assert_eq!(ways == 0, over, "{}", phase.label());
    }
    let mut reached = vec![Phase::Plan];
    while let Some(next) = Phase::ALL
        .into_iter()
        .find(|to| !reached.contains(to) && reached.iter().any(|from| may_move(*from, *to)))
    {
        reached.push(next);
    }
    assert_eq!(reached.len(), Phase::ALL.len());
}
