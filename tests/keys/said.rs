//! What the console says is true of what it shows: frozen, parked, ended, with nothing to read or to hold.

use crate::desk::Desk;
use crate::story::{self, Story, ana};
use ratatui::layout::Size;
use tidegate::domain::command::Command;
use tidegate::domain::event::{Fact, PauseReason};
use tidegate::domain::plan::Environment;
use tidegate::domain::unit::Span;
use tidegate::tui::model::Screen;
use tidegate::tui::update::Msg;

fn foot(desk: &Desk) -> String {
    let frame = desk.frame();
    frame.lines().last().unwrap_or_default().to_string()
}

#[test]
fn a_frozen_picture_says_so_and_how_to_leave_it() {
    for (width, height) in [(60, 20), (80, 24), (120, 36), (40, 12)] {
        let mut desk = Desk::of(Story::copying());
        desk.tell(Msg::Resize(Size::new(width, height)));
        desk.press("f");
        for screen in Screen::ALL {
            desk.ui.screen = screen;
            let foot = foot(&desk);
            assert!(foot.contains("f unfreeze"), "{screen:?} {width}: {foot}");
        }
        desk.ui.screen = Screen::Overview;
        desk.press("R");
        assert!(desk.notice().contains("stands still"), "{}", desk.notice());
        desk.press("r");
        assert!(
            desk.notice().contains("f lets it move"),
            "{}",
            desk.notice()
        );
        desk.press("P");
        assert_eq!(desk.sent(), [Command::Pause], "steering works");
        desk.press("fR");
        assert!(desk.notice().contains("is live"), "{}", desk.notice());
    }
}

#[test]
fn shadow_without_a_query_offers_only_what_works() {
    let mut plan = story::plan("shop", Environment::Dev);
    plan.shadow.clear();
    let mut desk = Desk::of(Story::planned_with(plan).started());
    desk.tell(Msg::Resize(Size::new(80, 24)));
    desk.press("4");
    let frame = desk.frame();
    assert!(!foot(&desk).contains("Enter"), "{frame}");
    assert!(!foot(&desk).contains("full text"), "{frame}");
    assert!(
        frame.contains("order by id\""),
        "the example is whole: {frame}"
    );
    assert!(!frame.contains('…'), "nothing is cut: {frame}");
    desk.press("w");
    assert!(
        desk.notice().contains("no read to compare"),
        "{}",
        desk.notice()
    );
    desk.press("4");
    desk.press("1");
    assert_eq!(desk.notice(), "", "what was said there stays there");
}

#[test]
fn a_limit_is_set_by_the_name_the_config_gives_it() {
    let mut desk = Desk::of(Story::copying());
    desk.press(":limit max_lag 2s<Enter>");
    let at = Span::seconds(2).into();
    let signal = "stream lag".to_owned();
    assert_eq!(desk.sent(), [Command::Limit { signal, at }]);
    desk.press(":limit max_lock_wait 100ms<Enter>");
    assert!(matches!(&desk.sent()[..], [Command::Limit { signal, .. }] if signal.contains("lock")));
}

#[test]
fn nothing_holds_a_copy_that_does_not_run() {
    let mut desk = Desk::of(Story::copying());
    desk.press("T");
    assert!(
        desk.frame().contains("held by stream lag"),
        "{}",
        desk.frame()
    );
    let mut desk = Desk::of(Story::synced());
    let mut sample = desk.story.copying_sample();
    sample.copying.clear();
    desk.story.sample(sample);
    desk.press("T");
    let frame = desk.frame();
    assert!(!frame.contains("held by"), "{frame}");
    assert!(frame.contains("it holds for the next copy"), "{frame}");
    desk.press("<Esc>");
    desk.story.fact(Fact::Paused {
        reason: PauseReason::Operator,
        by: ana(),
    });
    desk.press("T");
    assert!(desk.frame().contains("it holds for the next copy"));
    desk.press("<Esc>:sup<Enter>");
    assert!(!desk.frame().contains("held by"), "{}", desk.frame());
}

#[test]
fn what_is_parked_or_ended_shows_no_live_figures() {
    for (width, height) in [(80, 24), (120, 36), (200, 60)] {
        let mut story = Story::synced();
        let sample = story.copying_sample();
        story.sample(sample);
        story.fact(Fact::EngineParked { by: ana() });
        let mut desk = Desk::of(story);
        desk.tell(Msg::Resize(Size::new(width, height)));
        let frame = desk.frame();
        assert!(!frame.contains("31 rows"), "{frame}");
        assert!(!frame.contains("▶ synced"), "{frame}");
        assert!(
            frame.contains("lag not measured") || frame.contains("lag ?"),
            "{frame}"
        );
        assert!(!frame.contains("comparing 210k"), "{frame}");
    }
    let mut story = Story::called("rolled");
    let sample = story.copying_sample();
    story.sample(sample);
    let desk = Desk::of(story);
    assert!(!desk.frame().contains("31 rows"), "{}", desk.frame());
}

#[test]
fn enter_keeps_a_note_and_ctrl_j_begins_a_line() {
    let mut desk = Desk::of(Story::copying());
    desk.press("Mone<Ctrl-j>two<Alt-Enter>three<Enter>");
    let text = "one\ntwo\nthree".to_string();
    assert_eq!(desk.sent(), [Command::Note { text }]);
}
