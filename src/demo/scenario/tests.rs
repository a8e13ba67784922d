//! The stepper under hand-made stories: what is due when, and what holds the story up.

use super::*;
use crate::demo::{app::control::Command, corrupt::Corruption};

fn story(steps: &str) -> Scenario {
    Scenario::parse(&format!(
        "name = 'x'\nseed = 1\nrows = 1000\nlongest_wait = '60s'\n[app]\nwrites_per_s = 10\n{steps}"
    ))
    .unwrap()
}

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn caption(text: &str) -> Do {
    Do::Caption {
        text: text.to_owned(),
        key: None,
    }
}

fn rate(rate: u32) -> Do {
    Do::Act(Action::App(Command::Rate(rate)))
}

fn copied(copied: f64) -> Observed {
    Observed {
        copied,
        ..Observed::default()
    }
}

#[test]
fn conditions_and_actions_are_read() {
    let read = |text: &str| text.parse::<Condition>();
    assert_eq!(read("copied >= 0.20").unwrap(), Condition::Copied(0.2));
    assert_eq!(read("lag <= 1s").unwrap(), Condition::LagAtMost(s(1.0)));
    assert_eq!(
        read("lag >= 2500ms").unwrap(),
        Condition::LagAtLeast(s(2.5))
    );
    assert_eq!(read("engine back").unwrap(), Condition::Back);
    assert_eq!(read("differ >= 5").unwrap(), Condition::Differ(5));
    assert_eq!(
        read("pressed Enter").unwrap(),
        Condition::Pressed("Enter".to_owned())
    );
    assert_eq!(
        read("owner == target").unwrap(),
        Condition::Owner(Owner::Target)
    );
    for nonsense in [
        "",
        "copied",
        "copied > 1",
        "copied >= 2",
        "lag <= soon",
        "pressed",
        "synced now",
        "owner == me",
    ] {
        assert!(read(nonsense).is_err(), "{nonsense}");
    }
    let act = |text: &str| text.parse::<Action>();
    assert_eq!(
        act("app.rate 1600").unwrap(),
        Action::App(Command::Rate(1_600))
    );
    assert_eq!(
        act("app.open_transaction report-worker 6s").unwrap(),
        Action::App(Command::OpenTransaction {
            name: "report-worker".to_owned(),
            lasts: s(6.0)
        })
    );
    assert_eq!(
        act("app.errors 6% for 10s").unwrap(),
        Action::App(Command::Errors {
            percent: 6.0,
            lasts: s(10.0)
        })
    );
    assert_eq!(act(" engine.kill9 ").unwrap(), Action::KillEngine);
    assert_eq!(
        act("target.guard off orders").unwrap(),
        Action::GuardOff {
            table: "orders".to_owned()
        }
    );
    let how = Corruption {
        missing: 1,
        changed: 2,
        swapped_pairs: 1,
        extra: 0,
    };
    assert_eq!(
        act("target.corrupt orders missing=1 changed=2 swapped=1pair").unwrap(),
        Action::Corrupt {
            table: "orders".to_owned(),
            how
        }
    );
    for nonsense in [
        "",
        "app.rate",
        "app.errors 6 for 1s",
        "target.corrupt orders",
        "target.corrupt orders missing=x",
        "target.corrupt o missing=1 missing=2",
        "engine.kill",
    ] {
        assert!(act(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn a_step_waits_for_the_state_then_for_its_shortest_wait() {
    let mut stepper = Stepper::new(
        &story(
            "[[step]]\nwhen = 'start'\ncaption = 'go'\n[[step]]\nwhen = 'copied >= 0.5'\nafter = '3s'\ndo = 'app.rate 5; app.rate 6'",
        ),
        false,
    );
    assert_eq!(stepper.advance(&copied(0.0), s(0.0)), [caption("go")]);
    assert_eq!(stepper.advance(&copied(0.49), s(10.0)), []);
    assert_eq!(stepper.advance(&copied(0.5), s(20.0)), []);
    assert_eq!(stepper.advance(&copied(0.6), s(22.9)), []);
    assert!(!stepper.finished());
    assert_eq!(stepper.advance(&copied(0.6), s(23.0)), [rate(5), rate(6)]);
    assert!(stepper.finished());
    assert_eq!(stepper.advance(&copied(1.0), s(99.0)), []);
}

#[test]
fn a_step_holds_the_stage_and_what_is_level_is_looked_at_afterwards() {
    let mut stepper = Stepper::new(
        &story(
            "[[step]]\nwhen = 'start'\ndo = 'app.rate 1600'\nhold = '10s'\n[[step]]\nwhen = 'lag <= 1s'\ndo = 'app.rate 400'\ncaption = 'lag {lag}, {copied}, {differ}'",
        ),
        false,
    );
    let lag = |seconds: f64| Observed {
        lag: Some(s(seconds)),
        copied: 0.999,
        differ: 3,
        ..Observed::default()
    };
    assert_eq!(stepper.advance(&lag(0.1), s(0.0)), [rate(1_600)]);
    assert_eq!(
        stepper.advance(&lag(0.2), s(1.0)),
        [],
        "small only because it has just begun"
    );
    assert_eq!(stepper.advance(&lag(2.9), s(11.0)), []);
    assert_eq!(
        stepper.advance(&Observed::default(), s(12.0)),
        [],
        "unknown is not small"
    );
    assert_eq!(
        stepper.advance(&lag(0.94), s(15.0)),
        [caption("lag 0.9 s, 99 %, 3"), rate(400)]
    );
}

#[test]
fn the_longest_wait_makes_a_step_late_and_an_optional_one_passed_over() {
    let mut stepper = Stepper::new(
        &story(
            "[[step]]\nwhen = 'synced'\ntimeout = '5s'\noptional = true\ncaption = 'never'\n[[step]]\nwhen = 'equal'\ncaption = 'a lie by now'\ndo = 'app.rate 3'\n[[step]]\nwhen = 'synced'\ncaption = 'end'",
        ),
        false,
    );
    assert_eq!(stepper.advance(&copied(0.0), s(4.9)), []);
    assert_eq!(
        stepper.advance(&copied(0.0), s(5.0)),
        [Do::PassedOver { step: 1 }]
    );
    assert_eq!(stepper.place(), (2, 3));
    assert_eq!(stepper.advance(&copied(0.0), s(64.9)), []);
    assert_eq!(
        stepper.advance(&copied(0.0), s(65.0)),
        [Do::Late { step: 2 }, rate(3)]
    );
    let synced = Observed {
        synced: true,
        ..Observed::default()
    };
    assert_eq!(stepper.advance(&synced, s(66.0)), [caption("end")]);
}

#[test]
fn keys_pressed_while_a_caption_is_read_count_and_older_ones_do_not() {
    let text =
        "[[step]]\nwhen = 'always'\nhold = '5s'\n[[step]]\nwhen = 'pressed P'\ncaption = 'pressed'";
    let pressed = |key: &str| Observed {
        pressed: vec![key.to_owned()],
        ..Observed::default()
    };
    let mut stepper = Stepper::new(&story(text), false);
    stepper.advance(&Observed::default(), s(0.0));
    assert_eq!(stepper.advance(&pressed("P"), s(1.0)), []);
    assert_eq!(
        stepper.advance(&Observed::default(), s(5.0)),
        [caption("pressed")]
    );
    let mut stepper = Stepper::new(&story(text), false);
    stepper.advance(&Observed::default(), s(0.0));
    stepper.advance(&pressed("p"), s(1.0));
    assert_eq!(
        stepper.advance(&Observed::default(), s(6.0)),
        [],
        "p is another key"
    );
    assert_eq!(stepper.advance(&pressed("P"), s(7.0)), [caption("pressed")]);
}

#[test]
fn a_pause_is_noticed_and_its_time_is_not_waited() {
    let mut stepper = Stepper::new(
        &story(
            "[[step]]\nwhen = 'always'\nhold = '5s'\n[[step]]\nwhen = 'paused'\ntimeout = '6s'\noptional = true\ncaption = 'paused'\n[[step]]\nwhen = 'resumed'\ntimeout = '10s'\ncaption = 'on'",
        ),
        false,
    );
    let paused = Observed {
        paused: true,
        ..Observed::default()
    };
    assert_eq!(stepper.advance(&Observed::default(), s(0.0)), []);
    assert_eq!(stepper.advance(&paused, s(2.0)), []);
    assert_eq!(stepper.advance(&Observed::default(), s(4.0)), []);
    assert_eq!(stepper.advance(&paused, s(5.0)), [caption("paused")]);
    assert_eq!(
        stepper.advance(&paused, s(3_600.0)),
        [],
        "a pause may last hours"
    );
    assert_eq!(
        stepper.advance(&Observed::default(), s(3_601.0)),
        [caption("on")]
    );
}

#[test]
fn the_engine_is_back_when_it_was_gone() {
    let mut stepper = Stepper::new(
        &story("[[step]]\nwhen = 'engine back'\ncaption = 'back'"),
        false,
    );
    let gone = Observed {
        engine_gone: true,
        ..Observed::default()
    };
    assert_eq!(
        stepper.advance(&Observed::default(), s(0.0)),
        [],
        "it never went"
    );
    assert_eq!(stepper.advance(&gone, s(1.0)), []);
    assert_eq!(
        stepper.advance(&Observed::default(), s(2.0)),
        [caption("back")]
    );
}

#[test]
fn hands_act_when_the_caption_was_read_and_only_where_there_are_none() {
    let text = "[[step]]\nwhen = 'always'\nhold = '5s'\nauto = 'pause'\n[[step]]\nwhen = 'paused'\ncaption = 'p'\nhold = '1s'\nauto = 'press Enter'";
    let mut auto = Stepper::new(&story(text), true);
    let paused = Observed {
        paused: true,
        ..Observed::default()
    };
    assert_eq!(auto.advance(&Observed::default(), s(0.0)), []);
    assert_eq!(auto.advance(&Observed::default(), s(4.9)), []);
    assert_eq!(
        auto.advance(&Observed::default(), s(5.0)),
        [Do::Auto(Auto::Pause)]
    );
    assert_eq!(auto.advance(&Observed::default(), s(5.1)), []);
    assert_eq!(auto.advance(&paused, s(6.0)), [caption("p")]);
    assert!(!auto.finished());
    assert_eq!(
        auto.advance(&paused, s(7.0)),
        [Do::Auto(Auto::Press("Enter".to_owned()))]
    );
    assert!(auto.finished());
    let mut hands = Stepper::new(&story(text), false);
    assert_eq!(hands.advance(&Observed::default(), s(0.0)), []);
    assert_eq!(hands.advance(&Observed::default(), s(5.0)), []);
}

#[test]
fn a_step_can_be_skipped_undone() {
    let mut stepper = Stepper::new(
        &story(
            "[[step]]\nwhen = 'start'\nhold = '50s'\ncaption = 'long'\n[[step]]\nwhen = 'synced'\ndo = 'app.rate 1'\n[[step]]\nwhen = 'always'\ncaption = 'end'",
        ),
        false,
    );
    assert_eq!(stepper.advance(&copied(0.0), s(0.0)), [caption("long")]);
    stepper.skip();
    assert_eq!(stepper.advance(&copied(0.0), s(1.0)), [caption("end")]);
    stepper.skip();
    assert!(stepper.finished());
}

#[test]
fn what_a_scenario_does_not_know_is_an_error() {
    let head = "name = 'x'\nseed = 1\nrows = 1000\n[app]\nwrites_per_s = 10\n";
    for (text, says) in [
        ("[[step]]\nwhen = 'start'\nwait = '1s'", "wait"),
        (
            "[[step]]\nwhen = 'sometimes'",
            "'sometimes' is no condition",
        ),
        (
            "[[step]]\nwhen = 'start'\ndo = 'app.rate 1; dance'",
            "'dance' is no action",
        ),
        ("[[step]]\nwhen = 'start'\nauto = 'dance'", "hands"),
        ("[[step]]\nwhen = 'start'\nhold = 'long'", "hold"),
        (
            "[[step]]\nwhen = 'start'\ncaption = '{weather}'",
            "knows no {weather}",
        ),
        ("step = []", "step"),
    ] {
        let error = Scenario::parse(&format!("{head}{text}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(
        Scenario::load("last-look")
            .unwrap_err()
            .to_string()
            .contains("first-look, three-minutes")
    );
}

/// A migration that goes well, in steps of a tenth of a second: what an engine would show.
fn played(scenario: &Scenario, auto: bool) -> (Vec<Do>, Duration) {
    let mut stepper = Stepper::new(scenario, auto);
    let (mut seen, mut done, mut pause_asked, mut gone_for) = (
        Observed {
            lag: Some(s(0.2)),
            ..Observed::default()
        },
        Vec::new(),
        false,
        0,
    );
    let mut writes = 400;
    for tick in 0..10_000 {
        let now = Duration::from_millis(tick * 100);
        let dos = stepper.advance(&seen, now);
        seen.paused = pause_asked;
        gone_for = u32::saturating_sub(gone_for, 1);
        seen.engine_gone = gone_for > 0;
        if !seen.paused && !seen.engine_gone {
            seen.copied = (seen.copied + 0.002).min(1.0);
        }
        seen.lag = Some(if writes > 400 { s(2.9) } else { s(0.3) });
        // The engine's throttle gets a grip on it after a while.
        if tick % 300 == 0 {
            seen.lag = Some(s(0.9));
        }
        seen.synced = seen.copied >= 1.0;
        seen.equal = seen.synced && seen.differ == 0;
        for d in &dos {
            match d {
                Do::Act(Action::App(Command::Rate(rate))) => writes = *rate,
                Do::Act(Action::Corrupt { how, .. }) => seen.differ = how.rows(),
                Do::Act(Action::KillEngine) => gone_for = 11,
                Do::Auto(Auto::Pause) => pause_asked = true,
                Do::Auto(Auto::Resume) => pause_asked = false,
                Do::Auto(Auto::Repair) => (seen.differ, seen.repaired) = (0, true),
                _ => {}
            }
        }
        done.extend(dos);
        if stepper.finished() {
            return (done, now);
        }
    }
    panic!("the story does not end: {:?} {done:?}", stepper.place());
}

#[test]
fn the_stories_that_come_along_play_to_their_end() {
    for name in Scenario::names() {
        let scenario = Scenario::load(name).unwrap();
        assert_eq!(scenario.name, name);
        let (done, took) = played(&scenario, true);
        let unplayed: Vec<_> = done
            .iter()
            .filter(|d| matches!(d, Do::Late { .. } | Do::PassedOver { .. }))
            .collect();
        assert!(unplayed.is_empty(), "{name}: {unplayed:?}");
        let captions = scenario
            .steps
            .iter()
            .filter(|step| step.caption.is_some())
            .count();
        assert_eq!(
            done.iter()
                .filter(|d| matches!(d, Do::Caption { .. }))
                .count(),
            captions
        );
        assert!(done.contains(&Do::Act(Action::KillEngine)));
        assert_eq!(
            done.iter()
                .filter(|d| matches!(d, Do::Act(Action::Corrupt { how, .. }) if how.rows() == 5))
                .count(),
            1
        );
        assert!(took < s(180.0), "{name} takes {took:?}");
        // Nobody touches the keyboard: what needs hands is passed over, the rest happens.
        let (done, _) = played(&scenario, false);
        assert!(done.iter().any(|d| matches!(d, Do::PassedOver { .. })));
        assert!(
            !done
                .iter()
                .any(|d| matches!(d, Do::Auto(_) | Do::Late { .. })),
            "{name}: {done:?}"
        );
    }
}
