//! The landing rule under random schedules: the real core of the lane between two databases in memory whose log runs ahead
//! of their reads. After every write to the target, every landed range is the source's log replayed to the applied
//! position; each sentence of the rule is left out once, and must be missed.
//!
//! The sound rule is run through 10,000 schedules, 100,000 with `TIDEGATE_FULL` (as `tests/run` does), or as many as
//! `TIDEGATE_SEEDS` says. A failure names its seed.

#[path = "interleave/sealed.rs"]
mod sealed;
#[path = "interleave/world.rs"]
mod world;

use tidegate::db::sim::{Kind, Slack};
use tidegate::engine::lane::Weaken;
use world::{Setting, Tally, Unguarded, World, plan};

const KINDS: [Kind; 3] = [Kind::Snapshots, Kind::Prefix, Kind::DirtyKeys];

fn seeds() -> u64 {
    let set = std::env::var("TIDEGATE_SEEDS").ok();
    let full = std::env::var_os("TIDEGATE_FULL").is_some();
    let usual = if full { 100_000 } else { 10_000 };
    set.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs every kind of source over part `part` of `parts` of all seeds.
fn sound(part: u64, parts: u64) {
    let plan = plan();
    let mut sum = Tally::default();
    for seed in (0..seeds()).filter(|seed| seed % parts == part) {
        let kind = KINDS[(seed / parts % 3) as usize];
        let mut world = World::new(seed, Setting::sound(kind), &plan);
        if let Err(broken) = world.run() {
            panic!("seed {seed} ({kind:?}): {broken}");
        }
        sum.add(&world.tally);
    }
    // A schedule in which nothing happens proves nothing.
    let each = seeds() / parts;
    assert!(sum.commits > each * 10 && sum.landed > each * 4, "{sum:?}");
    assert!(sum.held > each / 10 && sum.crashes > each / 10, "{sum:?}");
    assert!(sum.lost_replies > each / 10, "{sum:?}");
    assert!(sum.gone_back > each / 20, "{sum:?}");
    assert!(
        sum.compared > each / 10 && sum.between > each / 40,
        "{sum:?}"
    );
}

#[test]
fn the_rule_holds_first_half() {
    sound(0, 2);
}

#[test]
fn the_rule_holds_second_half() {
    sound(1, 2);
}

/// The same with transactions that have outgrown memory: all of them, or those of more than a change or two.
#[test]
fn the_rule_holds_for_what_is_kept_aside() {
    let plan = plan();
    let mut sum = Tally::default();
    let some = seeds() / 5;
    for seed in 0..some {
        let setting = Setting {
            aside: Some([0, 400][(seed % 2) as usize]),
            ..Setting::sound(KINDS[(seed / 2 % 3) as usize])
        };
        let mut world = World::new(seed, setting, &plan);
        if let Err(broken) = world.run() {
            panic!("seed {seed} ({setting:?}): {broken}");
        }
        sum.add(&world.tally);
    }
    assert!(sum.large > some * 5 && sum.landed > some * 4, "{sum:?}");
    assert!(sum.held > some / 10 && sum.crashes > some / 10, "{sum:?}");
    assert!(sum.lost_replies > some / 10, "{sum:?}");
}

/// How many seeds it takes until the weakened rule is caught.
fn caught_after(setting: Setting) -> Option<u64> {
    let plan = plan();
    (0..20_000).find(|seed| World::new(*seed, setting, &plan).run().is_err())
}

fn must_fail(weaken: Weaken, kinds: &[Kind]) {
    for &kind in kinds {
        let setting = Setting {
            weaken,
            ..Setting::sound(kind)
        };
        let caught = caught_after(setting);
        assert!(caught.is_some(), "{weaken:?} over {kind:?} goes unnoticed");
    }
}

/// A target that lost power has less than the engine has heard of; nothing may be built on what is gone.
#[test]
fn without_a_look_at_what_the_target_holds_it_fails() {
    for unguarded in [Unguarded::Batches, Unguarded::Landings] {
        for kind in KINDS {
            let setting = Setting {
                unguarded: Some(unguarded),
                ..Setting::sound(kind)
            };
            let caught = caught_after(setting);
            assert!(caught.is_some(), "{unguarded:?} over {kind:?} go unnoticed");
        }
    }
}

#[test]
fn without_the_hold_it_fails() {
    must_fail(Weaken::NoHold, &KINDS);
}

#[test]
fn with_sealed_rows_that_were_touched_it_fails() {
    must_fail(Weaken::Spoilt, &KINDS);
}

#[test]
fn without_the_fold_it_fails() {
    must_fail(Weaken::NoFold, &KINDS);
}

#[test]
fn landing_early_fails() {
    must_fail(Weaken::LandEarly, &KINDS);
}

#[test]
fn folding_to_the_marker_while_the_stream_went_on_fails() {
    must_fail(Weaken::PastMarker, &[Kind::Snapshots]);
}

#[test]
fn forgetting_what_no_view_was_shown_to_see_fails() {
    must_fail(Weaken::ForgetUnproven, &[Kind::Snapshots, Kind::Prefix]);
}

#[test]
fn forgetting_on_proof_while_an_older_view_is_read_fails() {
    must_fail(Weaken::ForgetOnProof, &KINDS);
}

#[test]
fn not_folding_what_is_kept_aside_fails() {
    for kind in KINDS {
        let setting = Setting {
            weaken: Weaken::NoOverflowFold,
            aside: Some(0),
            ..Setting::sound(kind)
        };
        assert!(caught_after(setting).is_some(), "{kind:?}");
    }
}

#[test]
fn committing_a_large_transaction_piece_by_piece_fails() {
    for kind in KINDS {
        let setting = Setting {
            aside: Some(0),
            piecemeal: true,
            ..Setting::sound(kind)
        };
        assert!(caught_after(setting).is_some(), "{kind:?}");
    }
}

#[test]
fn a_view_that_misses_what_the_feed_skips_fails() {
    for kind in [Kind::Snapshots, Kind::Prefix] {
        let setting = Setting {
            views_too_early: true,
            ..Setting::sound(kind)
        };
        assert!(caught_after(setting).is_some(), "{kind:?}");
    }
}

#[test]
fn a_careless_target_fails() {
    for slack in [Slack::DeleteRangeFirst, Slack::PlainInsert] {
        let setting = Setting {
            slack,
            ..Setting::sound(Kind::Snapshots)
        };
        assert!(caught_after(setting).is_some(), "{slack:?}");
    }
}
