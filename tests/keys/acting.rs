//! Keys that act: at once, after `Y`, after a dry run, after the typed name; and when they are off.

use crate::desk::Desk;
use crate::story::{ANA, BEN, CID, ORDERS, PAYMENTS, Story, ana};
use tidegate::domain::command::{Command, Pace, Scope};
use tidegate::domain::event::{Fact, PauseReason, Phase};
use tidegate::domain::fault::{Fault, Kind};
use tidegate::domain::id::{AlertId, ChunkId, RepairId};
use tidegate::domain::unit::{RowsPerSecond, Span};
use tidegate::domain::verdict::DriftCounts;
use tidegate::state::pace::{Eta, eta};
use tidegate::tui::model::{Loaded, Popup, Replay, Screen};
use tidegate::tui::prompt::{Arm, Prompt};
use tidegate::tui::update::{Effect, Leave, Msg};

fn prompt(desk: &Desk) -> &Prompt {
    match &desk.ui.popup {
        Some(Popup::Ask(prompt)) => prompt,
        other => panic!("no prompt: {other:?}; said: {}", desk.notice()),
    }
}

#[test]
fn pause_acts_at_once_and_says_so_in_the_same_frame() {
    let mut desk = Desk::of(Story::copying());
    desk.press("P");
    assert_eq!(desk.notice(), "pausing…");
    assert_eq!(desk.sent(), [Command::Pause]);
    desk.accept();
    assert!(
        desk.notice().contains("accepted, record 9"),
        "{}",
        desk.notice()
    );
}

#[test]
fn a_slip_of_pause_is_taken_back_by_the_same_person_without_a_question() {
    let mut desk = Desk::of(Story::pausing());
    desk.wait(Span::seconds(4)).press("P");
    assert_eq!(desk.sent(), [Command::Resume]);
    assert!(desk.ui.popup.is_none());
}

#[test]
fn later_or_by_another_resume_asks_and_takes_only_capital_y() {
    let mut desk = Desk::of(Story::paused());
    desk.wait(Span::seconds(11)).press("P");
    assert!(prompt(&desk).lines.iter().any(|l| l.contains("ana")));
    desk.press("P<Enter>y ");
    assert!(
        desk.sent().is_empty(),
        "neither the starting key nor Enter nor y answers"
    );
    assert!(prompt(&desk).said.contains("Y resume"));
    desk.press("Y");
    assert_eq!(desk.sent(), [Command::Resume]);
    assert!(desk.ui.popup.is_none());
}

#[test]
fn escape_answers_no() {
    let mut desk = Desk::of(Story::paused());
    desk.wait(Span::seconds(11)).press("P<Esc>");
    assert!(desk.ui.popup.is_none());
    assert!(desk.sent().is_empty());
}

#[test]
fn another_operator_may_pause_but_not_resume() {
    let mut desk = Desk::of(Story::copying());
    desk.tell(Msg::Attached(BEN, false));
    desk.press("P");
    assert_eq!(desk.sent(), [Command::Pause]);
    let mut desk = Desk::of(Story::paused());
    desk.tell(Msg::Attached(BEN, false));
    desk.wait(Span::seconds(2)).press("P");
    assert!(desk.sent().is_empty());
    assert!(desk.notice().contains("ana leads"), "{}", desk.notice());
}

#[test]
fn stop_all_acts_at_once() {
    let mut desk = Desk::of(Story::copying());
    desk.press("!");
    assert_eq!(desk.sent(), [Command::StopAll]);
}

#[test]
fn an_observer_acts_on_nothing() {
    let mut desk = Desk::of(Story::corrupted());
    desk.tell(Msg::Attached(CID, true));
    for key in ["P", "!", "T", "V", "A", "M", "L", "B", "U", "S"] {
        desk.press(key);
        assert!(desk.ui.popup.is_none(), "{key}");
        assert!(
            desk.notice().contains("you look on"),
            "{key}: {}",
            desk.notice()
        );
    }
    assert!(desk.sent().is_empty());
}

#[test]
fn stale_figures_turn_acting_off_but_not_the_brake() {
    let mut desk = Desk::of(Story::copying());
    desk.wait(Span::seconds(1))
        .silence(Span::seconds(4))
        .press("V");
    assert!(
        desk.notice().contains("old: acting keys are off"),
        "{}",
        desk.notice()
    );
    assert!(desk.sent().is_empty());
    desk.press("P!");
    assert_eq!(desk.sent(), [Command::Pause, Command::StopAll]);
}

#[test]
fn a_stale_pause_pauses_even_where_it_would_have_resumed() {
    let mut desk = Desk::of(Story::paused());
    desk.wait(Span::seconds(1))
        .silence(Span::seconds(5))
        .press("P");
    assert_eq!(desk.sent(), [Command::Pause]);
}

#[test]
fn on_a_lost_link_the_brake_is_tried_and_the_other_way_is_said() {
    let mut desk = Desk::of(Story::copying());
    desk.tell(Msg::Lost(Span::seconds(2)));
    desk.press("V");
    assert!(desk.sent().is_empty());
    desk.press("P");
    let id = desk.last();
    assert_eq!(desk.sent(), [Command::Pause]);
    desk.tell(Msg::Unsent(id, Fault::new(Kind::Transient, "no link")));
    let said = desk.notice();
    assert_eq!(
        said,
        "pause could not be sent; run: tidegate send shop-2026 pause"
    );
    desk.press("y");
    assert!(
        desk.effects
            .iter()
            .any(|e| matches!(e, Effect::Copy(text, _) if text == "tidegate send shop-2026 pause"))
    );
}

#[test]
fn keys_typed_for_another_window_do_not_act() {
    let mut desk = Desk::of(Story::copying());
    desk.tell(Msg::Focus(false)).tell(Msg::Focus(true));
    desk.press("V");
    assert!(desk.sent().is_empty());
    assert!(desk.notice().contains("press it again"));
    desk.wait(Span::millis(300)).press("V");
    assert_eq!(desk.sent().len(), 1);
}

#[test]
fn pasted_text_is_no_keys() {
    let mut desk = Desk::of(Story::copying());
    desk.tell(Msg::Paste("P!BshopY\n".into()));
    assert!(desk.sent().is_empty());
    assert!(desk.ui.popup.is_none());
    desk.press("M")
        .tell(Msg::Paste("the backup\nbegins".into()))
        .press("<Ctrl-s>");
    let text = "the backup\nbegins".to_string();
    assert_eq!(desk.sent(), [Command::Note { text }]);
}

#[test]
fn verify_takes_what_is_selected() {
    let mut desk = Desk::of(Story::copying());
    desk.press("jjV");
    assert_eq!(desk.sent(), [Command::Verify(Scope::Table(ORDERS))]);
    desk.press("6V");
    assert_eq!(desk.sent(), [Command::Verify(Scope::All)]);
    desk.press("2");
    desk.ui.map.table = Some(ORDERS);
    desk.press("ggV");
    let sent = desk.sent();
    let [Command::Verify(Scope::Chunks(chunks))] = sent.as_slice() else {
        panic!("{sent:?}");
    };
    assert_eq!(
        chunks[0],
        ChunkId {
            table: ORDERS,
            no: 0
        }
    );
}

#[test]
fn repair_waits_for_the_dry_run_and_then_for_y() {
    let mut desk = Desk::of(Story::copying());
    desk.press("R");
    assert!(
        desk.notice().contains("the picture is live"),
        "R elsewhere only says so"
    );
    desk.press("jjEnter").press("2n");
    assert_eq!(desk.ui.screen, Screen::Map);
    desk.press("R");
    assert_eq!(prompt(&desk).dry, Loaded::Asked);
    desk.press("Y");
    assert!(
        desk.sent().is_empty(),
        "not before it is known what would happen"
    );
}

#[test]
fn repair_sends_what_was_asked_about() {
    let mut desk = Desk::of(Story::copying());
    desk.press("2n");
    let chunk = ChunkId {
        table: desk.ui.map.table.unwrap(),
        no: desk.ui.map.chunk,
    };
    desk.press("R")
        .answer_dry_run(&["3 rows: 3 delete", "undo kept"]);
    assert!(matches!(&prompt(&desk).dry, Loaded::Have(lines) if lines.len() == 2));
    assert!(desk.frame().contains("3 rows: 3 delete"));
    desk.press("RY");
    assert_eq!(desk.sent(), [Command::Repair(Scope::Chunks(vec![chunk]))]);
}

#[test]
fn repair_of_what_is_equal_is_refused_with_the_way_on() {
    let mut desk = Desk::of(Story::copying());
    desk.press("2ggR");
    assert!(desk.ui.popup.is_none());
    assert!(
        desk.notice().contains("V compares it again"),
        "{}",
        desk.notice()
    );
}

#[test]
fn giving_up_takes_the_typed_name_and_refuses_a_paste() {
    let mut desk = Desk::of(Story::copying());
    desk.press("B")
        .answer_dry_run(&["7 triggers and 2 tables go"]);
    desk.tell(Msg::Paste("shop-2026".into())).press("<Enter>");
    assert!(desk.sent().is_empty());
    let Arm::Name { typed, .. } = &prompt(&desk).arm else {
        panic!("no name is asked for");
    };
    assert_eq!(typed.text(), "");
    desk.press("Y<Ctrl-u>shop<Enter>");
    assert!(desk.sent().is_empty());
    assert!(prompt(&desk).said.contains("that is not shop-2026"));
    desk.press("-2026<Enter>");
    let (drop_target, confirm) = (false, "shop-2026".to_string());
    assert_eq!(
        desk.sent(),
        [Command::Abort {
            drop_target,
            confirm
        }]
    );
}

#[test]
fn giving_up_says_what_goes_and_what_stays_by_the_choice() {
    let mut desk = Desk::of(Story::copying());
    desk.press("B");
    assert!(
        prompt(&desk)
            .lines
            .iter()
            .any(|l| l.starts_with("loses     nothing"))
    );
    assert!(prompt(&desk).lines.iter().any(|l| l.starts_with("stays")));
    desk.press("<Tab>");
    assert!(prompt(&desk).lines.iter().any(|l| l.starts_with("drops")));
    let dry_runs = desk.asked().len();
    assert_eq!(dry_runs, 2, "the other choice is worked out again");
    desk.press("shop-2026<Enter>");
    assert!(matches!(
        desk.sent().as_slice(),
        [Command::Abort {
            drop_target: true,
            ..
        }]
    ));
}

#[test]
fn slower_acts_at_once_and_faster_asks() {
    let mut desk = Desk::of(Story::copying());
    desk.press("T<Left><Enter>");
    let sent = desk.sent();
    let [Command::Pace(Pace::Limit(limit))] = sent.as_slice() else {
        panic!("{sent:?}");
    };
    assert!(limit.0 < 150_000);
    desk.press("T200k<Enter>");
    assert!(desk.sent().is_empty());
    assert!(prompt(&desk).lines[0].contains("150k rows/s → 200k rows/s"));
    desk.press("<Enter>T");
    assert!(desk.sent().is_empty());
    desk.press("Y");
    assert_eq!(
        desk.sent(),
        [Command::Pace(Pace::Limit(RowsPerSecond(200_000)))]
    );
}

#[test]
fn a_pace_is_taken_as_it_is_typed_or_refused() {
    let mut desk = Desk::of(Story::copying());
    let best = desk.story.state.best_rate;
    desk.press("T60%");
    let comes_to = RowsPerSecond((best.0 as f64 * 0.6).round() as u64);
    let says = format!("60% of the best seen: {comes_to} rows/s");
    assert!(desk.frame().contains(&says), "{}", desk.frame());
    desk.press("<Enter>");
    assert_eq!(desk.sent(), [Command::Pace(Pace::Limit(comes_to))]);
    for (typed, why) in [
        ("6%0", "is no"),
        ("600%", "out of range"),
        ("0", "would stand still"),
        ("k", "is not a pace"),
        ("60x", "x means nothing here"),
    ] {
        desk.press("T");
        desk.press(typed);
        assert!(
            matches!(&desk.ui.popup, Some(Popup::Rate(d)) if d.said.contains(why)),
            "{typed}: {:?}",
            desk.ui.popup
        );
        if typed != "60x" {
            desk.press("<Enter>");
            assert!(desk.sent().is_empty(), "{typed} sets nothing");
        }
        desk.press("<Esc>");
    }
}

#[test]
fn the_time_left_promises_no_more_than_the_pace_permits() {
    let mut desk = Desk::of(Story::copying());
    desk.story.fact(Fact::PaceSet {
        limit: Some(RowsPerSecond(60)),
        by: ana(),
    });
    let Eta::Between { low, left, .. } = eta(&desk.story.state) else {
        panic!("{:?}", eta(&desk.story.state));
    };
    assert_eq!(low.0 / 1_000_000, left.0 / 60);
}

#[test]
fn whoever_does_not_lead_may_slow_down_but_not_speed_up() {
    let mut desk = Desk::of(Story::copying());
    desk.tell(Msg::Attached(BEN, false));
    desk.press("T90k<Enter>");
    assert_eq!(desk.sent().len(), 1);
    desk.press("Ta<Enter>");
    assert!(desk.sent().is_empty());
    assert!(matches!(&desk.ui.popup, Some(Popup::Rate(d)) if d.said.contains("ana leads")));
}

#[test]
fn undo_takes_the_last_act_back_once() {
    let mut desk = Desk::of(Story::copying());
    desk.press("U");
    assert!(desk.notice().contains("nothing that can be taken back"));
    desk.press("T90k<Enter>").accept();
    desk.sent();
    desk.press("U");
    assert!(
        prompt(&desk).lines[0].contains("→ 150k rows/s"),
        "{:?}",
        prompt(&desk).lines
    );
    desk.press("UY");
    assert_eq!(
        desk.sent(),
        [Command::Pace(Pace::Limit(RowsPerSecond(150_000)))]
    );
    desk.accept().press("U");
    assert!(
        desk.ui.popup.is_none(),
        "taking back is not itself taken back"
    );
}

#[test]
fn undo_of_a_repair_names_it() {
    let mut story = Story::copying();
    let chunks = vec![ChunkId {
        table: PAYMENTS,
        no: 212,
    }];
    story.fact(Fact::RepairOrdered {
        repair: RepairId(1),
        table: PAYMENTS,
        chunks: chunks.clone(),
        expected: DriftCounts {
            extra: 3,
            ..DriftCounts::default()
        },
        by: ana(),
    });
    story.fact(Fact::Repaired {
        repair: RepairId(1),
        inserted: 0,
        updated: 0,
        deleted: 3,
        chunks,
    });
    let mut desk = Desk::of(story);
    desk.press("U");
    assert!(prompt(&desk).lines[0].contains("repair 1 of payments"));
    desk.press("Y");
    assert_eq!(desk.sent(), [Command::Undo(RepairId(1))]);
}

#[test]
fn acknowledge_takes_the_worst_that_nobody_has_seen() {
    let mut desk = Desk::of(Story::copying());
    desk.press("A");
    assert_eq!(desk.sent(), [Command::Acknowledge(AlertId(2))]);
    desk.story.fact(Fact::AlertAcknowledged {
        id: AlertId(2),
        by: ana(),
    });
    desk.press("A");
    assert_eq!(desk.sent(), [Command::Acknowledge(AlertId(1))]);
    desk.press("<Tab>jA");
    desk.story.fact(Fact::AlertAcknowledged {
        id: AlertId(1),
        by: ana(),
    });
    desk.sent();
    desk.press("A");
    assert!(desk.sent().is_empty());
    assert!(desk.notice().contains("no alert waits"));
}

#[test]
fn a_note_left_is_kept_as_a_draft() {
    let mut desk = Desk::of(Story::copying());
    desk.press("Mhello<Ctrl-j>P!Y<Esc>");
    assert!(desk.sent().is_empty(), "keys are text in the editor");
    desk.press("M<Ctrl-s>");
    let text = "hello\nP!Y".to_string();
    assert_eq!(desk.sent(), [Command::Note { text }]);
    desk.press("M<Ctrl-s>");
    assert!(desk.sent().is_empty(), "an empty note is not sent");
}

#[test]
fn the_lead_is_given_up_and_taken() {
    let mut desk = Desk::of(Story::copying());
    desk.press("L");
    assert_eq!(desk.sent(), [Command::Lead { take: false }]);
    desk.story.fact(Fact::LeadChanged { session: None });
    desk.press("L");
    assert_eq!(desk.sent(), [Command::Lead { take: true }]);
    desk.story.fact(Fact::LeadChanged { session: Some(BEN) });
    desk.press("L");
    assert!(desk.sent().is_empty());
    assert!(desk.notice().contains("ben leads"));
}

#[test]
fn shadow_rate_asks() {
    let mut desk = Desk::of(Story::copying());
    desk.press("S20<Enter>");
    assert!(desk.sent().is_empty());
    desk.press("Y");
    assert_eq!(desk.sent(), [Command::Shadow { per_second: 20 }]);
    desk.press(":shadow off<Enter>");
    assert!(
        desk.notice().contains("that is the rate already"),
        "{}",
        desk.notice()
    );
}

#[test]
fn refusals_say_why_and_what_to_do() {
    let mut desk = Desk::of(Story::copying());
    desk.press("V");
    let fault = Fault::new(Kind::Refused, "nothing can be compared now").hint("wait for the copy");
    desk.refuse(fault);
    assert_eq!(
        desk.notice(),
        "verify refused: nothing can be compared now · wait for the copy"
    );
    assert!(desk.ui.sent.is_empty());
    assert!(
        desk.ui.said.iter().any(|n| n.text.contains("refused")),
        "the Log keeps it"
    );
}

#[test]
fn while_the_past_is_shown_only_the_brake_acts() {
    let mut desk = Desk::of(Story::copying());
    let state = &desk.story.state;
    let replay = Replay {
        seq: state.seq,
        last: state.seq,
        at: state.at,
        tick: state.tick,
        last_tick: state.tick,
        playing: false,
        speed: 1,
        live: true,
        from: (Span::ZERO, state.tick),
        marks: Vec::new(),
    };
    desk.tell(Msg::Past(Some(replay.clone())));
    desk.press("V");
    assert!(desk.sent().is_empty());
    assert!(desk.notice().contains("the past"), "{}", desk.notice());
    desk.press("P");
    assert_eq!(desk.sent(), [Command::Pause]);
    desk.story.fact(Fact::Paused {
        reason: PauseReason::Operator,
        by: ana(),
    });
    desk.press("P");
    assert!(desk.sent().is_empty(), "there is nothing more to pause");
    assert!(desk.frame().contains("P paused"), "{}", desk.frame());
    assert!(desk.notice().contains("End"), "{}", desk.notice());
    desk.tell(Msg::Past(Some(Replay {
        live: false,
        ..replay
    })));
    desk.press("P!");
    assert!(
        desk.sent().is_empty(),
        "in a recording there is nothing to stop"
    );
}

#[test]
fn when_it_is_over_nothing_acts_but_a_note() {
    let mut desk = Desk::of(Story::rolled_back());
    assert_eq!(desk.story.state.phase, Phase::RolledBack);
    desk.press("PVTB");
    assert!(desk.sent().is_empty());
    assert!(desk.ui.popup.is_none());
    desk.press("Mlearned<Ctrl-s>");
    assert_eq!(desk.sent().len(), 1);
}

#[test]
fn leaving_asks_in_the_demo_and_nowhere_else() {
    let mut desk = Desk::of(Story::copying());
    desk.press("q");
    assert_eq!(desk.effects, [Effect::Quit(Leave::Detach)]);
    desk.effects.clear();
    desk.tell(Msg::Overlay(tidegate::tui::model::Overlay {
        caption: vec!["The shop writes.".into()],
        demo: true,
        ..Default::default()
    }));
    desk.press("qqj");
    assert!(desk.effects.is_empty());
    assert!(desk.frame().contains("Leave the demo?"));
    desk.press("<Esc>q");
    assert!(desk.effects.is_empty());
    desk.press("K");
    assert_eq!(desk.effects, [Effect::Quit(Leave::Demo { keep: true })]);
    desk.effects.clear();
    desk.press("<Ctrl-c><Ctrl-c>");
    assert_eq!(desk.effects, [Effect::Quit(Leave::Demo { keep: false })]);
}

#[test]
fn ctrl_c_and_zz_and_colon_q_detach() {
    for keys in ["<Ctrl-c>", "ZZ", ":q<Enter>", ":wq<Enter>"] {
        let mut desk = Desk::of(Story::copying());
        desk.press(keys);
        assert_eq!(desk.effects, [Effect::Quit(Leave::Detach)], "{keys}");
    }
}

#[test]
fn a_reattached_console_is_told_what_had_no_answer() {
    let mut desk = Desk::of(Story::copying());
    desk.press("V").tell(Msg::Lost(Span::seconds(1)));
    desk.tell(Msg::Attached(ANA, false));
    assert!(
        desk.notice().contains("1 command had no answer"),
        "{}",
        desk.notice()
    );
    assert!(desk.ui.lost.is_none());
}

#[test]
fn paused_by_the_engine_alone_p_adds_the_operators_pause() {
    let mut desk = Desk::of(Story::copying());
    desk.story.fact(Fact::Paused {
        reason: PauseReason::StaleMetrics("stream lag".into()),
        by: tidegate::domain::id::Who::Engine,
    });
    desk.press("P");
    assert_eq!(desk.sent(), [Command::Pause]);
}
