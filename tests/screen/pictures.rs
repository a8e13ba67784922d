//! Snapshots: each screen at each size, and each state that looks like no other. Looked at by a person before they are kept.

use super::camera::{Camera, Film};
use super::story::{ANA, BEN, ORDERS, Story, ana};
use std::sync::LazyLock;
use tidegate::domain::command::{Command, Scope};
use tidegate::domain::fault::{Fault, Kind};
use tidegate::domain::id::{Seq, TableId};
use tidegate::domain::signal::{Figure, Limit, Measure, Signal};
use tidegate::domain::unit::{At, RowsPerSecond, Span, Tick};
use tidegate::state::timeline::Mark;
use tidegate::tui::dialog::{NoteEditor, RateDialog};
use tidegate::tui::model::{ColourBy, Loaded, Notice, Overlay, Popup, Replay, Screen, Tone};
use tidegate::tui::palette::Palette;
use tidegate::tui::prompt::Prompt;
use tidegate::tui::widget::input::Input;

static COPYING: LazyLock<Story> = LazyLock::new(Story::copying);
static SYNCED: LazyLock<Story> = LazyLock::new(Story::synced);

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 36), (200, 60), (40, 12)];

fn keep(name: &str, camera: &Camera, story: &Story) {
    insta::assert_snapshot!(name, camera.print(story));
}

fn screen(screen: Screen, story: &Story, word: &str) {
    for (w, h) in SIZES {
        for film in Film::ALL {
            let camera = Camera::new(w, h).on(screen).knowing(story).film(film);
            let name = format!("{word}_{w}x{h}_{film:?}").to_lowercase();
            keep(&name, &camera, story);
        }
    }
}

#[test]
fn overview() {
    screen(Screen::Overview, &COPYING, "overview");
}

/// Figures with a limit, what holds, and one that nobody could read.
#[test]
fn signals() {
    let mut story = Story::copying();
    let mut sample = story.copying_sample();
    let signal = |name: &str, figure: Option<u32>, measure, trouble: &str| Signal {
        name: name.into(),
        figure: figure.map(Figure::from),
        limit: Limit::most(80u32),
        measure,
        age: Some(Span::seconds(31)),
        holds: figure.is_none_or(|figure| figure > 40),
        trouble: trouble.into(),
    };
    sample.signals = vec![
        signal("stream lag", Some(1), Measure::Seconds, ""),
        signal("active statements", Some(12), Measure::Number, ""),
        signal("cpu", Some(74), Measure::Number, ""),
        signal(
            "free disk",
            None,
            Measure::Bytes,
            "http://db1:9100 answered 503",
        ),
    ];
    sample.held_by = "free disk unknown for 31s: http://db1:9100 answered 503".into();
    story.sample(sample.clone());
    for (w, h) in [(80, 24), (120, 36)] {
        let camera = Camera::new(w, h).on(Screen::Overview).knowing(&story);
        keep(&format!("signals_{w}x{h}"), &camera, &story);
    }
    sample.held_by = "cpu 74 of 80".into();
    story.sample(sample);
    let camera = Camera::new(120, 36).on(Screen::Overview).knowing(&story);
    keep("signals_slowed", &camera, &story);
}

#[test]
fn map() {
    screen(Screen::Map, &COPYING, "map");
}

#[test]
fn diff() {
    screen(Screen::Diff, &COPYING, "diff");
}

#[test]
fn shadow() {
    screen(Screen::Shadow, &SYNCED, "shadow");
}

#[test]
fn timeline() {
    screen(Screen::Timeline, &COPYING, "timeline");
}

#[test]
fn log() {
    screen(Screen::Log, &COPYING, "log");
}

#[test]
fn help() {
    screen(Screen::Help, &COPYING, "help");
}

/// The Overview of every other state a night may bring.
#[test]
fn states() {
    for name in [
        "planned",
        "started",
        "pausing",
        "paused",
        "stopped",
        "catching",
        "synced",
        "corrupted",
        "rolled",
        "demo",
    ] {
        let story = Story::called(name);
        for (w, h) in [(80, 24), (120, 36)] {
            keep(&format!("state_{name}_{w}x{h}"), &Camera::new(w, h), &story);
        }
        keep(&format!("state_{name}_60x15"), &Camera::new(60, 15), &story);
    }
}

/// A picture that is not the present can't be taken for it.
#[test]
fn not_now() {
    let base = Camera::new(80, 24);
    let lost = base
        .clone()
        .with(|ui| ui.lost = Some((Span::seconds(83), 3, Span::seconds(92))));
    keep("link_lost", &lost, &COPYING);
    keep("link_lost_mono", &lost.film(Film::Mono), &COPYING);
    keep(
        "link_lost_tiny",
        &Camera::new(40, 12).with(|ui| ui.lost = Some((Span::seconds(83), 3, Span::seconds(92)))),
        &COPYING,
    );
    let stale = base.clone().with(|ui| ui.heard = Some(Span::seconds(81)));
    keep("stale", &stale, &COPYING);
    keep(
        "frozen",
        &base.clone().with(|ui| ui.frozen = true),
        &COPYING,
    );
    keep(
        "observer",
        &base.clone().with(|ui| ui.me = Some(super::story::CID)),
        &COPYING,
    );
    keep("not_the_lead", &base.with(|ui| ui.me = Some(BEN)), &COPYING);
}

fn replay(story: &Story, live: bool) -> Replay {
    Replay {
        seq: story.state.seq,
        last: Seq(48_640),
        at: story.state.at,
        tick: story.state.tick,
        last_tick: Tick(story.tick.0 + 3_000_000_000),
        playing: live,
        speed: 10,
        from: (Span::ZERO, story.tick),
        live,
        marks: vec![
            (Seq(1), Tick(0), Mark::Phase),
            (Seq(1_763), Tick(5_100_000_000), Mark::Pause),
            (Seq(5_143), Tick(7_200_000_000), Mark::Alert),
            (Seq(31_675), story.tick, Mark::Note),
            (
                Seq(48_000),
                Tick(story.tick.0 + 2_000_000_000),
                Mark::Repair,
            ),
        ],
    }
}

#[test]
fn replaying() {
    let with = |w, h, screen, live| {
        let replay = replay(&COPYING, live);
        Camera::new(w, h)
            .on(screen)
            .with(|ui| ui.replay = Some(replay))
    };
    keep(
        "replay_timeline_80x24",
        &with(80, 24, Screen::Timeline, true),
        &COPYING,
    );
    keep(
        "replay_timeline_120x36",
        &with(120, 36, Screen::Timeline, true),
        &COPYING,
    );
    keep(
        "replay_overview_80x24",
        &with(80, 24, Screen::Overview, true),
        &COPYING,
    );
    keep(
        "replay_recording_80x24",
        &with(80, 24, Screen::Timeline, false),
        &COPYING,
    );
}

#[test]
fn map_modes() {
    let base = |colour| {
        Camera::new(80, 24)
            .on(Screen::Map)
            .knowing(&COPYING)
            .with(|ui| ui.map.colour = colour)
    };
    keep("map_drift", &base(ColourBy::Drift), &COPYING);
    keep("map_age", &base(ColourBy::Age), &COPYING);
    let zoomed = base(ColourBy::State).with(|ui| ui.map.zoom = vec![(1_500, 100)]);
    keep("map_zoomed", &zoomed, &COPYING);
    let one = base(ColourBy::State).with(|ui| ui.map.zoom = vec![(1_500, 100), (1_515, 1)]);
    keep("map_one_chunk", &one, &COPYING);
    let unknown = base(ColourBy::State).with(|ui| {
        ui.map.bounds.clear();
        ui.map.table = Some(TableId(4));
        ui.map.chunk = 10_760;
    });
    keep("map_without_keys", &unknown, &COPYING);
    keep(
        "map_planned",
        &Camera::new(80, 24).on(Screen::Map),
        &Story::planned(),
    );
    let small = Story::called("demo");
    keep(
        "map_of_few_chunks",
        &Camera::new(80, 24).on(Screen::Map),
        &small,
    );
}

#[test]
fn diff_states() {
    let base = || Camera::new(80, 24).on(Screen::Diff).knowing(&COPYING);
    keep(
        "diff_all_columns",
        &base().with(|ui| ui.diff.only_differing = false),
        &COPYING,
    );
    keep(
        "diff_bytes",
        &base().with(|ui| (ui.diff.bytes, ui.pane) = (true, 1)),
        &COPYING,
    );
    keep(
        "diff_asking",
        &base().with(|ui| ui.diff.rows = Loaded::Asked),
        &COPYING,
    );
    keep(
        "diff_not_asked",
        &Camera::new(80, 24).on(Screen::Diff),
        &COPYING,
    );
    let broken = Fault::new(Kind::Blocked, "the target can't be read").cause("disk I/O error");
    keep(
        "diff_failed",
        &base().with(|ui| ui.diff.rows = Loaded::Failed(broken)),
        &COPYING,
    );
    keep(
        "diff_filtered",
        &base().with(|ui| {
            ui.filter.insert(Screen::Diff, "payments".into());
            ui.diff.row = None;
        }),
        &COPYING,
    );
    keep(
        "diff_filtered_away",
        &base().with(|ui| drop(ui.filter.insert(Screen::Diff, "nowhere".into()))),
        &COPYING,
    );
    keep(
        "diff_nothing_differs",
        &Camera::new(80, 24).on(Screen::Diff),
        &SYNCED,
    );
    keep(
        "diff_not_compared",
        &Camera::new(80, 24).on(Screen::Diff),
        &Story::called("started"),
    );
    let missing = base().with(|ui| {
        let known = ui.diff.known.get().unwrap().clone();
        let row = known.iter().find(|d| d.chunk.no == 1_102).unwrap().clone();
        let pair = super::story::order_row(row.key.clone(), row.class);
        ui.diff.rows = Loaded::Have((row.chunk, vec![pair], false));
        ui.diff.row = Some((row.chunk, row.key));
    });
    keep("diff_missing_row", &missing, &COPYING);
}

#[test]
fn shadow_states() {
    let mut none = Story::planned();
    none.without_shadow();
    keep(
        "shadow_not_configured",
        &Camera::new(80, 24).on(Screen::Shadow),
        &none,
    );
    keep(
        "shadow_off",
        &Camera::new(80, 24).on(Screen::Shadow),
        &COPYING,
    );
    let second = Camera::new(80, 24)
        .on(Screen::Shadow)
        .with(|ui| ui.shadow.query = Some("payments today".into()));
    keep("shadow_mismatch", &second, &SYNCED);
}

#[test]
fn popups() {
    let base = || Camera::new(80, 24);
    let seen = COPYING.state.seq;
    let ask = |prompt| Popup::Ask(Box::new(prompt));
    let resume = Prompt::yes("Resume copying?", "resume", "keep", Command::Resume, seen)
        .line("paused 2m12s by ana");
    keep(
        "popup_reversible",
        &base().with(|ui| ui.popup = Some(ask(resume))),
        &Story::called("paused"),
    );
    let mut repair = Prompt::yes(
        "Repair orders chunk 1837?",
        "repair",
        "leave",
        Command::Repair(Scope::Table(ORDERS)),
        seen,
    );
    repair.dry = Loaded::Have(vec![
        "4 rows are landed again from the source: 4 update, 0 insert, 0 delete".into(),
        "what they replace is kept; U puts it back".into(),
    ]);
    keep(
        "popup_disruptive",
        &base().with(|ui| ui.popup = Some(ask(repair))),
        &COPYING,
    );
    let abort = Command::Abort {
        drop_target: false,
        confirm: String::new(),
    };
    let mut abort =
        Prompt::yes("Give up the target", "give up", "not now", abort, seen).name("shop-2026");
    abort.dry = Loaded::Asked;
    keep(
        "popup_typed_name",
        &base().with(|ui| ui.popup = Some(ask(abort))),
        &COPYING,
    );
    let rate = RateDialog::pace(
        Some(RowsPerSecond(150_000)),
        RowsPerSecond(171_000),
        vec!["now 139k rows/s, best seen 171k".into()],
    );
    keep(
        "popup_pace",
        &base().with(|ui| ui.popup = Some(Popup::Rate(rate))),
        &COPYING,
    );
    let note = NoteEditor::new("widen total, ben checked that no index depends on scale");
    keep(
        "popup_note",
        &base().with(|ui| ui.popup = Some(Popup::Note(Box::new(note)))),
        &COPYING,
    );
    keep(
        "popup_palette",
        &base().with(|ui| ui.popup = Some(Popup::Palette(Palette::default()))),
        &COPYING,
    );
    keep(
        "popup_find",
        &base().with(|ui| ui.popup = Some(Popup::Find(Input::new("ord")))),
        &COPYING,
    );
    let lines = vec![
        "orders: 12 rows differ, column total".to_string(),
        "raised 14:01:23Z".into(),
    ];
    keep(
        "popup_text",
        &base().with(|ui| ui.popup = Some(Popup::Text("Alert 2".into(), lines, 0))),
        &COPYING,
    );
    keep(
        "popup_leave",
        &base().with(|ui| ui.popup = Some(Popup::Leave)),
        &Story::called("demo"),
    );
    let tiny = Camera::new(40, 12).with(|ui| ui.popup = Some(Popup::Leave));
    keep("popup_leave_tiny", &tiny, &Story::called("demo"));
}

#[test]
fn what_is_said() {
    let said = |tone, words: &str| Notice {
        text: words.into(),
        tone,
        run: Span::seconds(89),
        at: At(0),
        copy: None,
    };
    let base = |notice: Notice| Camera::new(80, 24).with(|ui| ui.notice = Some(notice));
    keep(
        "said_refused",
        &base(said(
            Tone::Bad,
            "repair: ben leads; you may pause, slow down, compare, note",
        )),
        &COPYING,
    );
    keep(
        "said_done",
        &base(said(Tone::Good, "paused by ana")),
        &COPYING,
    );
    let demo = Story::called("demo");
    let overlay = Overlay {
        caption: vec!["Bars are tables; each is cut into chunks. Press 2 to see them.".into()],
        offer: Some("2".into()),
        witness: "APPLICATION  acknowledged 318 · lost 0 · slowest 3 ms".into(),
        hidden: false,
        demo: true,
    };
    let camera = |w, h| {
        let overlay = overlay.clone();
        Camera::new(w, h).with(|ui| ui.overlay = Some(overlay))
    };
    keep("demo_80x24", &camera(80, 24), &demo);
    keep("demo_60x15", &camera(60, 15), &demo);
    keep("demo_map_80x24", &camera(80, 24).on(Screen::Map), &demo);
    let log = Camera::new(80, 24).on(Screen::Log).with(|ui| {
        let at = At(COPYING.now().0 - 3_000);
        ui.said.push_back(Notice {
            text: "pace: ana leads".into(),
            tone: Tone::Bad,
            run: Span::seconds(87),
            at,
            copy: None,
        });
    });
    keep("log_with_outcomes", &log, &COPYING);
}

/// Names that no terminal should have to show, and values that pretend to be others.
#[test]
fn hostile_names() {
    let story = Story::hostile();
    for (w, h) in [(80, 24), (120, 36)] {
        keep(&format!("hostile_{w}x{h}"), &Camera::new(w, h), &story);
    }
    assert_eq!(story.state.people.lead, Some(ANA));
    assert_ne!(ana().to_string(), "");
}
