//! Keys that look: they change this console and send nothing.

use crate::desk::Desk;
use crate::story::{CUSTOMERS, EVENTS, ORDERS, PAYMENTS, Story};
use ratatui::layout::Size;
use tidegate::domain::command::{Answer, Drifted, Query};
use tidegate::domain::id::ChunkId;
use tidegate::domain::key::Key;
use tidegate::domain::unit::Span;
use tidegate::domain::value::Value;
use tidegate::domain::verdict::{DriftClass, RowDiff};
use tidegate::tui::model::{ColourBy, Loaded, Overlay, Popup, Replay, Screen, TableOrder};
use tidegate::tui::theme::{Depth, Role};
use tidegate::tui::update::{Effect, Form, Msg, Scene, To};

#[test]
fn digits_and_go_to_keys_show_the_screens() {
    let mut desk = Desk::of(Story::copying());
    for (keys, screen) in [
        ("2", Screen::Map),
        ("3", Screen::Diff),
        ("4", Screen::Shadow),
        ("6", Screen::Timeline),
        ("8", Screen::Log),
        ("?", Screen::Help),
        ("1", Screen::Overview),
        ("gm", Screen::Map),
        ("gd", Screen::Diff),
        ("gs", Screen::Shadow),
        ("gt", Screen::Timeline),
        ("gl", Screen::Log),
        ("go", Screen::Overview),
    ] {
        desk.press(keys);
        assert_eq!(desk.ui.screen, screen, "{keys}");
    }
    assert!(desk.sent().is_empty());
}

#[test]
fn five_and_seven_answer_and_show_nothing() {
    let mut desk = Desk::of(Story::copying());
    desk.press("5");
    assert!(desk.notice().contains("not in it yet"), "{}", desk.notice());
    assert_eq!(desk.ui.screen, Screen::Overview);
    desk.press("gr");
    assert!(desk.notice().contains("Runbook"), "{}", desk.notice());
    assert_eq!(desk.ui.screen, Screen::Overview);
}

#[test]
fn escape_goes_back_the_way_it_came() {
    let mut desk = Desk::of(Story::copying());
    desk.press("236");
    desk.press("<Esc>");
    assert_eq!(desk.ui.screen, Screen::Diff);
    desk.press("<Bksp>");
    assert_eq!(desk.ui.screen, Screen::Map);
    desk.press("-");
    assert_eq!(desk.ui.screen, Screen::Overview);
    desk.press("-");
    assert_eq!(desk.ui.screen, Screen::Map);
}

#[test]
fn the_selection_stays_on_its_table_when_the_order_changes() {
    let mut desk = Desk::of(Story::copying());
    desk.press("jj");
    assert_eq!(desk.ui.overview.table, Some(ORDERS));
    desk.press("o");
    assert_eq!(desk.ui.overview.order, TableOrder::Left);
    let scene = Scene::now(&desk.story.state);
    let p = scene.picture(&desk.ui);
    assert_eq!(tidegate::tui::lists::selected_table(&p), Some(ORDERS));
    assert_eq!(
        tidegate::tui::lists::tables(&p).0[0],
        EVENTS,
        "the longest to go is first"
    );
    desk.press("gg");
    assert_eq!(desk.ui.overview.table, Some(EVENTS));
    desk.press("Gkkkkkkkkkkk");
    assert_eq!(
        desk.ui.overview.table,
        Some(EVENTS),
        "up from the first stays there"
    );
}

#[test]
fn finished_tables_fold_but_never_one_that_differs() {
    let mut desk = Desk::of(Story::copying());
    desk.press("z");
    let scene = Scene::now(&desk.story.state);
    let (shown, folded) = tidegate::tui::lists::tables(&scene.picture(&desk.ui));
    assert!(folded > 0);
    assert!(!shown.contains(&CUSTOMERS));
    assert!(shown.contains(&PAYMENTS) && shown.contains(&ORDERS));
}

#[test]
fn a_filter_filters_while_it_is_typed_and_escape_clears_it() {
    let mut desk = Desk::of(Story::copying());
    desk.press("/ord");
    let count = |desk: &Desk| {
        let scene = Scene::now(&desk.story.state);
        tidegate::tui::lists::tables(&scene.picture(&desk.ui))
            .0
            .len()
    };
    assert_eq!(count(&desk), 2);
    desk.press("<Enter>");
    assert_eq!(count(&desk), 2);
    desk.press("<Esc>");
    assert_eq!(count(&desk), 6);
    desk.press("/zzz<Esc>");
    assert_eq!(count(&desk), 6);
}

#[test]
fn enter_opens_the_map_of_the_table_and_zooms_to_one_chunk_a_cell() {
    let mut desk = Desk::of(Story::copying());
    desk.press("jjj<Enter>");
    assert_eq!(
        (desk.ui.screen, desk.ui.map.table),
        (Screen::Map, Some(tidegate::domain::id::TableId(3)))
    );
    let per_cell = |desk: &Desk| {
        let scene = Scene::now(&desk.story.state);
        tidegate::tui::scope::map_grid(&scene.picture(&desk.ui))
            .unwrap()
            .per_cell
    };
    assert!(per_cell(&desk) > 1);
    desk.press("jj<Enter>");
    assert_eq!(per_cell(&desk), 1, "{:?}", desk.ui.map);
    assert_eq!(desk.ui.map.zoom.len(), 1);
    desk.press("<Esc>");
    assert!(desk.ui.map.zoom.is_empty());
    assert_eq!(desk.ui.screen, Screen::Map);
}

#[test]
fn arrows_walk_the_map_by_cell_and_line() {
    let mut desk = Desk::of(Story::copying());
    desk.press("jj<Enter>");
    let grid = {
        let scene = Scene::now(&desk.story.state);
        tidegate::tui::scope::map_grid(&scene.picture(&desk.ui)).unwrap()
    };
    desk.press("l");
    assert_eq!(desk.ui.map.chunk, grid.per_cell);
    desk.press("j");
    assert_eq!(desk.ui.map.chunk, grid.per_cell * (grid.columns + 1));
    desk.press("kk");
    assert_eq!(
        desk.ui.map.chunk, grid.per_cell,
        "up from the first line stays"
    );
    desk.press("G");
    assert_eq!(
        grid.place(desk.ui.map.chunk).map(|(_, l)| l),
        Some(grid.lines - 1)
    );
    desk.press("<PgDn>");
    assert_ne!(
        desk.ui.map.table,
        Some(ORDERS),
        "a page of the map is a table"
    );
    desk.press("c");
    assert_eq!(desk.ui.map.colour, ColourBy::Drift);
}

#[test]
fn n_walks_what_differs_over_all_tables_and_round_the_end() {
    let mut desk = Desk::of(Story::copying());
    desk.press("2");
    let mut seen = Vec::new();
    for _ in 0..8 {
        desk.press("n");
        seen.push((desk.ui.map.table.unwrap(), desk.ui.map.chunk));
    }
    assert_eq!(seen[0], (PAYMENTS, 212));
    assert_eq!(seen[1], (ORDERS, 491));
    assert_eq!(seen[7], seen[0]);
    desk.press("N");
    assert_eq!(
        (desk.ui.map.table, desk.ui.map.chunk),
        (Some(ORDERS), 1_837)
    );
}

#[test]
fn the_axis_is_asked_for_once() {
    let mut desk = Desk::of(Story::copying());
    desk.press("jj<Enter>");
    let asked = desk.asked();
    let firsts: Vec<u32> = asked
        .iter()
        .filter_map(|(_, q)| match q {
            Query::Bounds {
                table,
                first,
                count: 1,
            } if *table == ORDERS => Some(*first),
            _ => None,
        })
        .collect();
    assert!(firsts.contains(&0) && firsts.len() > 3, "{firsts:?}");
    for (id, query) in asked {
        if matches!(query, Query::Bounds { .. }) {
            desk.tell(Msg::Answer(id, Answer::Bounds(vec!["k".into()])));
        }
    }
    for _ in 0..20 {
        let asked = desk.asked();
        desk.effects.clear();
        for (id, query) in asked {
            if matches!(query, Query::Bounds { .. }) {
                desk.tell(Msg::Answer(id, Answer::Bounds(vec!["k".into()])));
            }
        }
    }
    desk.tell(Msg::Heard);
    assert!(desk.asked().is_empty(), "everything on the axis is known");
}

fn drifted(table: tidegate::domain::id::TableId, no: u32, key: i64) -> Drifted {
    Drifted {
        chunk: ChunkId { table, no },
        key: Key::normal([Value::Integer(key)], &[]),
        class: DriftClass::Changed,
        age: Span::seconds(31),
    }
}

#[test]
fn the_diff_asks_for_rows_and_keeps_its_row_when_the_list_changes() {
    let mut desk = Desk::of(Story::copying());
    desk.press("3");
    let (id, _) = desk
        .asked()
        .into_iter()
        .find(|(_, q)| matches!(q, Query::Drifted { table: None, .. }))
        .unwrap();
    desk.effects.clear();
    let known = vec![
        drifted(PAYMENTS, 212, 7),
        drifted(ORDERS, 1_837, 91),
        drifted(ORDERS, 1_837, 92),
    ];
    desk.tell(Msg::Answer(id, Answer::Drifted(known)));
    let of_first = desk.asked();
    assert!(
        matches!(&of_first[..], [(_, Query::Differences { chunk, .. })] if chunk.no == 212),
        "{of_first:?}"
    );
    desk.press("j");
    assert_eq!(desk.ui.diff.row.as_ref().map(|(c, _)| c.no), Some(1_837));
    let asked = desk.asked();
    let (id, _) = asked.last().unwrap();
    let row = RowDiff {
        key: Key::normal([Value::Integer(91)], &[]),
        class: DriftClass::Changed,
        source: Some(vec![Value::Integer(91); 9]),
        target: Some(vec![Value::Integer(92); 9]),
        columns: vec![3, 5],
    };
    desk.tell(Msg::Answer(
        *id,
        Answer::Differences {
            rows: vec![row],
            more: false,
        },
    ));
    assert!(matches!(desk.ui.diff.rows, Loaded::Have(_)));
    desk.press("<Tab>jjj");
    assert_eq!(desk.ui.diff.column, 3);
    desk.press("dj");
    assert_eq!(desk.ui.diff.column, 5, "only the differing ones are walked");
    // The list comes again without its first row: the selection stays on its key.
    desk.effects.clear();
    desk.story.fact(tidegate::domain::event::Fact::Repaired {
        repair: tidegate::domain::id::RepairId(1),
        inserted: 0,
        updated: 0,
        deleted: 3,
        chunks: vec![ChunkId {
            table: PAYMENTS,
            no: 212,
        }],
    });
    desk.wait(Span::seconds(2));
    let (id, _) = desk
        .asked()
        .into_iter()
        .find(|(_, q)| matches!(q, Query::Drifted { .. }))
        .expect("asked again when the figures change");
    desk.tell(Msg::Answer(
        id,
        Answer::Drifted(vec![drifted(ORDERS, 1_837, 91), drifted(ORDERS, 1_837, 92)]),
    ));
    assert_eq!(
        desk.ui.diff.row,
        Some((
            ChunkId {
                table: ORDERS,
                no: 1_837
            },
            Key::normal([Value::Integer(91)], &[])
        ))
    );
}

#[test]
fn late_answers_to_old_questions_change_nothing() {
    let mut desk = Desk::of(Story::copying());
    desk.press("3");
    let (id, _) = desk.asked()[0];
    desk.tell(Msg::Lost(Span::seconds(1)));
    let before = desk.ui.diff.clone();
    desk.tell(Msg::Answer(
        id,
        Answer::Drifted(vec![drifted(ORDERS, 1, 1)]),
    ));
    assert_eq!(desk.ui.diff, before);
}

#[test]
fn an_alert_opens_what_it_is_about() {
    let mut desk = Desk::of(Story::copying());
    desk.press("<Tab><Enter>");
    assert_eq!(
        (desk.ui.screen, desk.ui.diff.table),
        (Screen::Diff, Some(ORDERS))
    );
    desk.press("<Esc>");
    assert_eq!(desk.ui.diff.table, None);
    desk.press("<Esc>");
    assert_eq!(desk.ui.screen, Screen::Overview);
}

#[test]
fn alerts_ring_only_when_nobody_looks() {
    use tidegate::domain::event::{Severity, Subject};
    let mut desk = Desk::of(Story::copying());
    desk.story
        .alert(3, Severity::Critical, Subject::Lag, "the stream lags");
    desk.tell(Msg::Heard);
    assert!(!desk.effects.contains(&Effect::Bell));
    desk.tell(Msg::Focus(false));
    desk.story
        .alert(4, Severity::Notice, Subject::Other("x".into()), "a notice");
    desk.tell(Msg::Heard);
    assert!(
        !desk.effects.contains(&Effect::Bell),
        "a notice does not ring"
    );
    desk.story
        .alert(5, Severity::Critical, Subject::Other("y".into()), "worse");
    desk.tell(Msg::Heard);
    assert!(desk.effects.contains(&Effect::Bell));
    desk.effects.clear();
    desk.tell(Msg::Heard);
    assert!(!desk.effects.contains(&Effect::Bell), "once");
}

#[test]
fn the_timeline_follows_the_newest_until_it_is_moved() {
    let mut desk = Desk::of(Story::copying());
    desk.press("6");
    assert_eq!(desk.ui.timeline.seq, None);
    desk.press("kk");
    let chosen = desk.ui.timeline.seq.unwrap();
    desk.story.fact(tidegate::domain::event::Fact::Noted {
        text: "later".into(),
        by: crate::story::ana(),
    });
    desk.tell(Msg::Heard);
    assert_eq!(desk.ui.timeline.seq, Some(chosen));
    desk.press("G");
    assert_eq!(desk.ui.timeline.seq, None);
    desk.press("NN<Enter>");
    let to = desk.ui.timeline.seq.unwrap();
    assert_eq!(desk.effects, [Effect::Seek(To::Record(to))]);
}

#[test]
fn replay_steps_plays_and_returns() {
    let mut desk = Desk::of(Story::copying());
    desk.press("6<Left>");
    let Effect::Seek(To::Record(seq)) = desk.effects[0] else {
        panic!("{:?}", desk.effects);
    };
    let state = &desk.story.state;
    assert!(state.timeline.iter().any(|l| l.seq == seq));
    let line = &state.timeline[state.timeline.len() / 2];
    let seq = line.seq;
    let replay = Replay {
        seq,
        last: state.seq,
        at: line.at,
        tick: line.tick,
        last_tick: state.tick,
        playing: false,
        speed: 1,
        live: true,
        from: (Span::ZERO, line.tick),
        marks: Vec::new(),
    };
    let began = replay.tick;
    desk.tell(Msg::Past(Some(replay.clone())));
    assert!(!desk.ui.replay.as_ref().unwrap().marks.is_empty());
    desk.effects.clear();
    desk.press("<Left>");
    assert!(matches!(desk.effects[..], [Effect::Seek(To::Record(s))] if s < seq));
    // It plays on from what is shown by then.
    desk.tell(Msg::Past(Some(replay)));
    desk.effects.clear();
    desk.press("s ");
    assert_eq!(desk.ui.replay.as_ref().unwrap().speed, 10);
    desk.silence(Span::millis(500));
    assert_eq!(
        desk.effects,
        [Effect::Seek(To::Moment(began.plus(Span::seconds(5))))]
    );
    desk.effects.clear();
    desk.press("<End>");
    assert_eq!(desk.effects, [Effect::Seek(To::Now)]);
    desk.tell(Msg::Past(None));
    assert!(desk.ui.replay.is_none());
    desk.press("<End>");
    assert_eq!(desk.ui.timeline.seq, None, "End is the last line again");
}

/// A recording plays from the moment it is opened: whoever looks for a record in the list must find the cursor where it was put.
#[test]
fn a_cursor_moved_while_it_plays_stays_and_opens_what_it_is_on() {
    let mut desk = Desk::of(Story::copying());
    let state = desk.story.state.clone();
    let lines = &state.timeline;
    let at = |n: usize| {
        let line = &lines[n];
        Msg::Past(Some(Replay {
            seq: line.seq,
            last: state.seq,
            tick: line.tick,
            last_tick: state.tick,
            speed: 1,
            ..Replay::default()
        }))
    };
    desk.press("6");
    desk.tell(at(2));
    desk.press(" ");
    assert!(desk.ui.replay.as_ref().unwrap().playing);
    desk.tell(at(3));
    assert_eq!(desk.ui.timeline.seq, Some(lines[3].seq), "it goes along");
    desk.press("gg");
    desk.tell(at(5));
    assert_eq!(desk.ui.timeline.seq, Some(lines[0].seq), "it stays");
    desk.press("  ");
    assert_eq!(desk.ui.timeline.seq, Some(lines[5].seq), "played on");
    desk.press("gg ");
    assert_eq!(desk.ui.timeline.seq, Some(lines[0].seq), "stopped");
    desk.press(" gg");
    desk.effects.clear();
    desk.press("<Enter>");
    assert_eq!(desk.effects, [Effect::Seek(To::Record(lines[0].seq))]);
    assert!(!desk.ui.replay.as_ref().unwrap().playing);
    // What was under way arrives first.
    desk.tell(at(6));
    assert_eq!(desk.ui.timeline.seq, Some(lines[0].seq));
    desk.tell(at(0));
    assert_eq!(desk.ui.timeline.seq, Some(lines[0].seq));
    // A step takes the cursor along again, wherever it was.
    desk.tell(at(4));
    desk.press("<Right>");
    desk.tell(at(5));
    assert_eq!(desk.ui.timeline.seq, Some(lines[5].seq));
}

/// Keys may be faster than the journal is folded: each step counts from the one before it, not from what is shown.
#[test]
fn as_many_steps_are_gone_as_keys_were_pressed() {
    let mut desk = Desk::of(Story::copying());
    let state = desk.story.state.clone();
    let seqs: Vec<_> = state.timeline.iter().map(|l| l.seq).collect();
    let to = |n: usize| Effect::Seek(To::Record(seqs[n]));
    desk.press("6<Left><Left><Left>");
    let last = seqs.iter().filter(|seq| **seq < state.seq).count() - 1;
    assert_eq!(desk.effects, [to(last), to(last - 1), to(last - 2)]);

    desk.effects.clear();
    let at = seqs.len() / 2;
    let line = &state.timeline[at];
    let replay = Replay {
        seq: line.seq,
        last: state.seq,
        tick: line.tick,
        last_tick: state.tick,
        speed: 1,
        live: true,
        ..Replay::default()
    };
    desk.tell(Msg::Past(Some(replay.clone())));
    desk.press("<Right><Right><Right><Left>");
    assert_eq!(
        desk.effects,
        [to(at + 1), to(at + 2), to(at + 3), to(at + 2)]
    );

    // Once it is shown, steps count from there.
    desk.effects.clear();
    desk.tell(Msg::Past(Some(replay)));
    desk.press("<Left>");
    assert_eq!(desk.effects, [to(at - 1)]);
}

#[test]
fn words_of_other_tools_are_answered() {
    let mut desk = Desk::of(Story::copying());
    desk.press(":throttle<Enter>");
    assert_eq!(
        desk.notice(),
        "throttle: give a pace (84k, 60%, auto). To stop: pause"
    );
    desk.press(":max-lag-millis=?<Enter>");
    assert!(
        desk.notice().starts_with("max_lag 3.0s"),
        "{}",
        desk.notice()
    );
    desk.press(":switchtraffic<Enter>");
    assert!(desk.notice().contains("not in it yet"), "{}", desk.notice());
    desk.press(":frobnicate<Enter>");
    assert!(desk.notice().contains("is no command"), "{}", desk.notice());
    desk.press(":sup<Enter>");
    assert!(matches!(&desk.ui.popup, Some(Popup::Text(_, lines, _)) if lines.len() == 4));
    assert!(desk.sent().is_empty());
}

#[test]
fn the_palette_sends_what_its_words_say() {
    use tidegate::domain::command::{Command, Pace, Scope};
    use tidegate::domain::unit::RowsPerSecond;
    let mut desk = Desk::of(Story::copying());
    desk.press(":pace 84k<Enter>");
    assert_eq!(
        desk.sent(),
        [Command::Pace(Pace::Limit(RowsPerSecond(84_000)))]
    );
    desk.press(":pace 50%<Enter>");
    let half = desk.story.state.best_rate.0.div_ceil(2);
    assert!(matches!(desk.sent()[..], [Command::Pace(Pace::Limit(r))] if r.0.abs_diff(half) <= 1));
    desk.press(":limit stream lag 2s<Enter>");
    let at = Span::seconds(2).into();
    let signal = "stream lag".to_owned();
    assert_eq!(desk.sent(), [Command::Limit { signal, at }]);
    desk.press(":limit stream lag 9s<Enter>");
    assert!(desk.sent().is_empty(), "looser asks");
    desk.press("Y");
    assert!(matches!(desk.sent()[..], [Command::Limit { .. }]));
    desk.press(":limit cpu 9<Enter>");
    assert!(
        desk.notice().contains("there are: stream lag 3.0s"),
        "{}",
        desk.notice()
    );
    desk.press(":verify orders<Enter>");
    assert_eq!(desk.sent(), [Command::Verify(Scope::Table(ORDERS))]);
    desk.press(":note window starts<Enter>");
    assert_eq!(
        desk.sent(),
        [Command::Note {
            text: "window starts".into()
        }]
    );
    desk.press(":pause<Enter>");
    assert_eq!(desk.sent(), [Command::Pause]);
    desk.press(":park<Enter>");
    assert!(desk.sent().is_empty());
    desk.press("Y");
    assert_eq!(desk.sent(), [Command::Park]);
    desk.press(":<Up><Up><Enter>");
    assert_eq!(desk.sent(), [Command::Pause], "history goes back");
}

#[test]
fn goto_finds_a_table_and_a_chunk() {
    let mut desk = Desk::of(Story::copying());
    desk.press(":goto orders/1,837<Enter>");
    assert_eq!(
        (desk.ui.screen, desk.ui.map.table, desk.ui.map.chunk),
        (Screen::Map, Some(ORDERS), 1_837)
    );
    desk.press(":goto paym<Enter>");
    assert_eq!(desk.ui.map.table, Some(PAYMENTS));
    desk.press(":goto nope<Enter>");
    assert!(desk.notice().contains("there is no table nope"));
}

#[test]
fn a_key_is_looked_up_on_the_map() {
    let mut desk = Desk::of(Story::copying());
    desk.press("jj<Enter>");
    desk.effects.clear();
    desk.press("/91882014<Enter>");
    let asked = desk.asked();
    let (id, query) = asked.last().unwrap();
    assert_eq!(
        *query,
        Query::Locate {
            table: ORDERS,
            key: "91882014".into()
        }
    );
    let chunk = ChunkId {
        table: ORDERS,
        no: 1_837,
    };
    desk.tell(Msg::Answer(*id, Answer::Located(Some(chunk))));
    assert_eq!(desk.ui.map.chunk, 1_837);
}

#[test]
fn freeze_is_not_pause() {
    let mut desk = Desk::of(Story::copying());
    desk.press("f");
    assert_eq!(desk.effects, [Effect::Freeze(true)]);
    assert!(desk.notice().contains("the migration runs on"));
    desk.press("f");
    assert_eq!(desk.effects[1], Effect::Freeze(false));
    assert!(desk.sent().is_empty());
}

#[test]
fn export_and_copy_are_effects() {
    let mut desk = Desk::of(Story::copying());
    desk.press("e:export text<Enter>y");
    assert_eq!(
        desk.effects[..2],
        [Effect::Export(Form::Svg), Effect::Export(Form::Text)]
    );
    let Effect::Copy(text, _) = &desk.effects[2] else {
        panic!("{:?}", desk.effects);
    };
    assert!(
        text.contains("shop-2026") && text.lines().count() == 4,
        "{text}"
    );
}

#[test]
fn masked_values_stay_masked_when_copied() {
    let mut desk = Desk::of(Story::copying());
    desk.press("3");
    let (id, _) = desk.asked()[0];
    desk.tell(Msg::Answer(
        id,
        Answer::Drifted(vec![drifted(ORDERS, 1_837, 91)]),
    ));
    let asked = desk.asked();
    let secret = Value::Text(b"Klaus 0151"[..].into());
    let row = RowDiff {
        key: Key::normal([Value::Integer(91)], &[]),
        class: DriftClass::Changed,
        source: Some(vec![secret; 9]),
        target: Some(vec![Value::Integer(4); 9]),
        columns: vec![6],
    };
    let rows = vec![row];
    desk.tell(Msg::Answer(
        asked.last().unwrap().0,
        Answer::Differences { rows, more: false },
    ));
    desk.effects.clear();
    desk.press("y");
    let Effect::Copy(text, _) = &desk.effects[0] else {
        panic!("{:?}", desk.effects);
    };
    let note = text.lines().find(|l| l.contains("note:")).unwrap();
    assert!(!note.contains("Klaus"), "{note}");
    assert!(text.contains("Klaus"), "the unmasked columns are there");
}

#[test]
fn unknown_keys_leave_a_faint_hint_and_do_nothing() {
    let mut desk = Desk::of(Story::copying());
    let before = desk.ui.overview.clone();
    desk.press("i");
    assert!(desk.notice().contains("i means nothing here"));
    desk.press("gx");
    assert!(desk.notice().contains("gx means nothing"));
    desk.press("u");
    assert!(desk.notice().contains("U takes"));
    assert_eq!(desk.ui.overview, before);
    assert!(desk.effects.is_empty());
    desk.silence(Span::seconds(4));
    assert_eq!(desk.notice(), "", "and it is gone after a moment");
}

#[test]
fn escape_hides_the_caption_until_the_story_goes_on() {
    let mut desk = Desk::of(Story::copying());
    let says = |text: &str| Overlay {
        caption: vec![text.to_string()],
        witness: "acknowledged 318 · lost 0".into(),
        ..Overlay::default()
    };
    desk.tell(Msg::Overlay(says("one")));
    assert_eq!(desk.ui.overlay_lines(), 2);
    desk.press("<Esc>");
    assert_eq!(desk.ui.overlay_lines(), 1, "the witness stays");
    desk.tell(Msg::Overlay(says("one")));
    assert_eq!(desk.ui.overlay_lines(), 1);
    desk.tell(Msg::Overlay(says("two")));
    assert_eq!(desk.ui.overlay_lines(), 2);
}

#[test]
fn themes_change_and_mono_never_sets_a_colour() {
    let mut desk = Desk::of(Story::copying());
    desk.press(":theme mono ascii<Enter>");
    assert_eq!(desk.ui.theme.depth, Depth::Mono);
    assert_eq!(desk.ui.theme.glyphs.cursor, ">");
    let selected = desk.ui.theme.style(Role::Selection);
    assert!(
        selected
            .add_modifier
            .contains(ratatui::style::Modifier::REVERSED)
    );
    desk.press(":theme purple<Enter>");
    assert!(desk.notice().contains("purple is none of"));
    assert_eq!(desk.ui.theme.depth, Depth::Mono);
    let area = ratatui::layout::Rect::new(0, 0, 120, 36);
    for popup in ["", "T", "<Esc>:", "<Esc>B", "<Esc>M", "<Esc>w"] {
        desk.press(popup);
        let mut buf = ratatui::buffer::Buffer::empty(area);
        let scene = Scene::now(&desk.story.state);
        tidegate::tui::draw(&scene.picture(&desk.ui), area, &mut buf);
        for cell in buf.content() {
            assert_eq!(
                (cell.fg, cell.bg),
                Default::default(),
                "{popup}: {:?}",
                cell.symbol()
            );
            assert!(
                cell.symbol().is_ascii(),
                "{popup}: {:?} is not ASCII",
                cell.symbol()
            );
        }
    }
}

#[test]
fn every_popup_draws_at_every_size() {
    for keys in [
        "",
        "T",
        ":",
        ":thr",
        "B",
        "M",
        "w",
        "/x",
        "?",
        "2",
        "2/",
        "3",
        "6",
        ":sup<Enter>",
        "S",
    ] {
        let mut desk = Desk::of(Story::copying());
        desk.press(keys);
        for width in (0..130).step_by(7) {
            for height in (0..40).step_by(3) {
                desk.tell(Msg::Resize(Size::new(width, height)));
                desk.frame();
            }
        }
    }
}

#[test]
fn a_long_record_of_steps_is_bounded() {
    let mut desk = Desk::of(Story::copying());
    for _ in 0..200 {
        desk.press("12V");
    }
    assert!(desk.ui.back.len() <= 21);
    assert!(desk.ui.sent.len() <= 64);
    assert!(desk.ui.said.len() <= 500);
}
