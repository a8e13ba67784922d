//! What holds of every frame, whatever is shown and however large the terminal is.

use super::camera::{Camera, Film, lines};
use super::chance;
use super::story::{ANA, ORDERS, Story};
use proptest::prelude::*;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Rect, Size};
use ratatui::style::Color;
use std::sync::LazyLock;
use tidegate::demo::scenario::Scenario;
use tidegate::domain::command::Drifted;
use tidegate::domain::id::{ChunkId, Seq, TableId};
use tidegate::domain::key::{Collation, Key};
use tidegate::domain::unit::{At, Span, Tick};
use tidegate::domain::value::Value;
use tidegate::domain::verdict::{DriftClass, RowDiff};
use tidegate::state::migration::Migration;
use tidegate::state::timeline::Mark;
use tidegate::tui;
use tidegate::tui::grid::AXIS;
use tidegate::tui::model::{
    ColourBy, Loaded, Notice, Now, Overlay, Picture, Popup, Replay, Screen, TableOrder, Tone, Ui,
};
use tidegate::tui::palette::Palette;
use tidegate::tui::theme::{Depth, Theme};

static STORIES: LazyLock<Vec<(&str, Story)>> = LazyLock::new(|| {
    [
        "planned",
        "started",
        "copying",
        "pausing",
        "paused",
        "stopped",
        "catching",
        "synced",
        "corrupted",
        "rolled",
        "demo",
        "hostile",
    ]
    .into_iter()
    .map(|name| (name, Story::called(name)))
    .collect()
});

/// Whatever a console may hold, by chance.
fn console(seed: u64, state: &Migration, size: Size) -> Ui {
    let mut rng = fastrand::Rng::with_seed(seed);
    let depth = [Depth::Mono, Depth::Ansi, Depth::Indexed, Depth::True][rng.usize(0..4)];
    let key = |n: i64| Key::normal([Value::Integer(n)], &[Collation::Binary]);
    let mut ui = Ui {
        size,
        theme: Theme::new(depth, rng.bool(), rng.bool()),
        now: Now {
            run: Span(rng.u64(0..1_000_000_000)),
            tick: Tick(rng.u64(..)),
            at: At(rng.i64(..)),
        },
        me: rng.bool().then_some(ANA),
        observer: rng.bool(),
        screen: Screen::ALL[rng.usize(0..Screen::ALL.len())],
        pane: rng.u8(0..3),
        frozen: rng.bool(),
        heard: rng.bool().then_some(Span(rng.u64(..))),
        lost: (rng.u8(0..4) == 0).then(|| (Span(rng.u64(..)), rng.u32(..), Span(rng.u64(..)))),
        help: rng.usize(0..300),
        ..Ui::default()
    };
    ui.overview.order = [
        TableOrder::Plan,
        TableOrder::Left,
        TableOrder::Differ,
        TableOrder::Name,
    ][rng.usize(0..4)];
    ui.overview.fold = rng.bool();
    ui.overview.table = rng.bool().then(|| TableId(rng.u16(0..9)));
    ui.map.table = rng.bool().then(|| TableId(rng.u16(0..9)));
    ui.map.chunk = if rng.bool() {
        rng.u32(0..30)
    } else {
        rng.u32(..)
    };
    ui.map.colour = [ColourBy::State, ColourBy::Drift, ColourBy::Age][rng.usize(0..3)];
    if rng.bool() {
        ui.map.zoom.push((rng.u32(..), rng.u32(..)));
    }
    ui.map.bounds.insert(
        ChunkId {
            table: ORDERS,
            no: 0,
        },
        chance::text(&mut rng),
    );
    let row = RowDiff {
        key: key(1),
        class: [DriftClass::Missing, DriftClass::Extra, DriftClass::Changed][rng.usize(0..3)],
        source: rng.bool().then(|| {
            vec![
                Value::Integer(1),
                Value::Null,
                Value::text(&chance::text(&mut rng)),
            ]
        }),
        target: rng.bool().then(|| {
            vec![
                Value::text("1"),
                Value::Blob([0, 255].into()),
                Value::Real(f64::NAN),
            ]
        }),
        columns: vec![0, 2, 700],
    };
    let chunk = ChunkId {
        table: TableId(rng.u16(0..9)),
        no: 0,
    };
    ui.diff.known = Loaded::Have(
        (0..rng.i64(0..40))
            .map(|n| Drifted {
                chunk,
                key: key(n),
                class: row.class,
                age: Span(rng.u64(..)),
            })
            .collect(),
    );
    ui.diff.rows = if rng.bool() {
        Loaded::Have((chunk, vec![row], rng.bool()))
    } else {
        Loaded::Asked
    };
    ui.diff.row = rng.bool().then(|| (chunk, key(1)));
    ui.diff.column = rng.u16(..);
    (ui.diff.only_differing, ui.diff.bytes, ui.diff.wrap) = (rng.bool(), rng.bool(), rng.bool());
    ui.timeline.seq = rng.bool().then(|| Seq(rng.u64(..)));
    ui.timeline.only = rng.bool().then_some(Mark::Alert);
    ui.log.back = rng.usize(0..5_000);
    if rng.u8(0..3) == 0 {
        ui.filter.insert(ui.screen, chance::text(&mut rng));
    }
    if rng.u8(0..3) == 0 {
        ui.notice = Some(Notice {
            text: chance::text(&mut rng),
            tone: Tone::Bad,
            run: Span(1),
            at: At(rng.i64(..)),
            copy: None,
        });
    }
    if rng.u8(0..3) == 0 {
        ui.overlay = Some(Overlay {
            caption: vec![chance::text(&mut rng); rng.usize(0..4)],
            offer: rng.bool().then(|| chance::text(&mut rng)),
            witness: chance::text(&mut rng),
            hidden: rng.bool(),
            demo: true,
        });
    }
    if rng.u8(0..4) == 0 {
        ui.replay = Some(Replay {
            seq: state.seq,
            last: Seq(rng.u64(..)),
            at: At(rng.i64(..)),
            tick: state.tick,
            last_tick: Tick(rng.u64(..)),
            playing: rng.bool(),
            speed: rng.u32(..),
            from: (Span(0), Tick(0)),
            live: rng.bool(),
            marks: vec![(Seq(1), Tick(rng.u64(..)), Mark::Pause)],
        });
    }
    ui.popup = match rng.u8(0..8) {
        0 => Some(Popup::Leave),
        1 => Some(Popup::Palette(Palette::default())),
        2 => Some(Popup::Text(
            chance::text(&mut rng),
            vec![chance::text(&mut rng); 9],
            rng.usize(0..20),
        )),
        _ => None,
    };
    ui
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("TIDEGATE_FULL").is_some() { 3_000 } else { 250 }))]

    /// No size and no record, however odd, breaks a frame; nothing is drawn outside of its area; no control character
    /// reaches the terminal; no wide symbol hangs over the edge.
    #[test]
    fn a_frame_stays_in_its_area(seed: u64, events in 0usize..160, w in 0u16..300, h in 0u16..120, x in 0u16..5, y in 0u16..5) {
        let state = chance::state(seed, events);
        let ui = console(seed ^ 0xa5, &state, Size { width: w, height: h });
        let mut buf = Buffer::filled(Rect::new(0, 0, w + 9, h + 9), Cell::new("@"));
        let area = Rect::new(x, y, w, h);
        tui::draw(&Picture::of(&state, &ui), area, &mut buf);
        for yy in 0..h + 9 {
            for xx in 0..w + 9 {
                let symbol = buf[(xx, yy)].symbol();
                if !area.contains((xx, yy).into()) {
                    prop_assert_eq!(symbol, "@", "outside at {} {}", xx, yy);
                    continue;
                }
                prop_assert!(!symbol.chars().any(char::is_control), "control at {} {}: {:?}", xx, yy, symbol);
                let turns = symbol.contains('\u{202e}');
                prop_assert!(!turns, "the writing direction is turned");
                let cells = tui::widget::text::width(symbol).max(1) as u16;
                prop_assert!(xx + cells <= area.right(), "{:?} hangs over the edge", symbol);
                if depth_is_mono(&ui) {
                    prop_assert_eq!((buf[(xx, yy)].fg, buf[(xx, yy)].bg), (Color::Reset, Color::Reset));
                }
            }
        }
    }
}

/// Lags so long that no sum of them fits.
#[test]
fn the_longest_lags_have_a_trend() {
    let state = chance::state(13_270_677_220_033_092_040, 64);
    let ui = console(1, &state, Size::new(60, 15));
    let area = Rect::new(0, 0, 60, 15);
    tui::draw(&Picture::of(&state, &ui), area, &mut Buffer::empty(area));
}

fn depth_is_mono(ui: &Ui) -> bool {
    ui.theme.depth == Depth::Mono
}

/// The same picture may be asked for more than once: nothing is remembered from one frame to the next.
#[test]
fn drawing_twice_gives_the_same() {
    for (_, story) in STORIES.iter() {
        let camera = Camera::new(120, 36).knowing(story);
        assert_eq!(camera.shoot(story), camera.shoot(story));
    }
}

/// DESIGN's one line: each of its answers is on every screen, at the smallest complete size.
#[test]
fn the_header_answers_on_every_screen() {
    for (name, story) in STORIES.iter().filter(|(name, _)| *name != "hostile") {
        for screen in Screen::ALL {
            let top = lines(&Camera::new(80, 24).on(screen).shoot(story))[..3].join("\n");
            let word = story.state.phase.label().to_uppercase().replace('-', " ");
            let phase = if *name == "catching" {
                "CATCH-UP".to_string()
            } else {
                word
            };
            let paused = ["PAUSED", "pausing"].iter().any(|w| top.contains(w));
            for answer in [
                story.state.name(),
                "→",
                "WRITES source",
                "WAY BACK ",
                "lag ",
                "equal ",
                "left ",
                "0.2s",
            ] {
                assert!(
                    top.contains(answer),
                    "{name} on {screen:?}: no {answer:?} in\n{top}"
                );
            }
            assert!(
                paused || top.contains(&phase),
                "{name} on {screen:?}: no {phase:?} in\n{top}"
            );
            let environment = if *name == "demo" { "DEMO" } else { "PROD" };
            assert!(top.contains(environment), "{name}: {top}");
            let lead = if *name == "planned" { "nobody" } else { "ana" };
            assert!(
                top.contains(lead),
                "{name} on {screen:?}: no {lead:?} in\n{top}"
            );
        }
    }
}

/// Wherever two states look different in colour, they look different without.
#[test]
fn a_caption_is_read_whole_on_80_columns() {
    let story = Story::called("demo");
    for name in Scenario::names() {
        for step in Scenario::load(name).unwrap().steps {
            let Some(caption) = step.caption else {
                continue;
            };
            let caption = caption
                .replace("{differ}", "99999")
                .replace("{lag}", "99.9 s");
            let overlay = Overlay {
                caption: vec![caption.clone()],
                offer: step.key,
                demo: true,
                ..Overlay::default()
            };
            let camera = Camera::new(80, 24).with(|ui| ui.overlay = Some(overlay));
            let drawn = camera.text(&story);
            assert!(drawn.contains(&caption), "{name}: {caption:?} in\n{drawn}");
        }
    }
}

#[test]
fn colour_is_never_the_only_carrier() {
    let mut compared = 0;
    for screen in Screen::ALL {
        let shoot = |film: Film| -> Vec<Buffer> {
            let camera = Camera::new(120, 36).on(screen).film(film);
            STORIES
                .iter()
                .map(|(_, story)| camera.shoot(story))
                .collect()
        };
        let [colour, mono, ascii] = Film::ALL.map(shoot);
        for i in 0..STORIES.len() {
            for k in i + 1..STORIES.len() {
                for y in (0..36).filter(|y| row(&colour[i], *y) != row(&colour[k], *y)) {
                    compared += 1;
                    for (film, shots) in [("mono", &mono), ("ascii", &ascii)] {
                        let line = usize::from(y);
                        assert!(
                            row(&shots[i], y) != row(&shots[k], y),
                            "{} and {} on {screen:?} are alike in {film}:\n{}\n{}",
                            STORIES[i].0,
                            STORIES[k].0,
                            lines(&colour[i])[line],
                            lines(&colour[k])[line]
                        );
                    }
                }
            }
        }
    }
    assert!(compared > 1_000);
}

fn row(buf: &Buffer, y: u16) -> Vec<Cell> {
    (0..buf.area.width).map(|x| buf[(x, y)].clone()).collect()
}

/// Nothing but ASCII where ASCII was asked for, apart from what the databases hold.
#[test]
fn ascii_means_ascii() {
    for (name, story) in STORIES.iter().filter(|(name, _)| *name != "hostile") {
        for screen in Screen::ALL {
            for (w, h) in [(80, 24), (200, 60), (40, 12)] {
                let shot = Camera::new(w, h).on(screen).film(Film::Ascii).shoot(story);
                for line in lines(&shot) {
                    assert!(line.is_ascii(), "{name} on {screen:?} at {w}x{h}: {line}");
                }
            }
        }
    }
}

/// However many chunks a cell stands for, one that differs shows, where the keys would find it, and nowhere else.
#[test]
fn one_bad_chunk_in_a_cell_shows() {
    let story = &STORIES.iter().find(|(n, _)| *n == "copying").unwrap().1;
    let table = story.state.table(ORDERS).unwrap();
    let differing: Vec<u32> = (0..table.chunks.len())
        .filter(|no| table.chunks.get(*no).is_some_and(|c| c.differ() > 0))
        .collect();
    assert_eq!(differing.len(), 6);
    for (w, h) in [(60, 15), (80, 24), (120, 36), (200, 60), (300, 110)] {
        let camera = Camera::new(w, h).on(Screen::Map).with(|ui| {
            ui.map.table = Some(ORDERS);
            ui.map.chunk = 0;
        });
        let ui = camera.at(story);
        let grid = tidegate::tui::scope::map_grid(&Picture::of(&story.state, &ui)).unwrap();
        let shot = camera.shoot(story);
        let top = (0..h).find(|y| shot[(0, *y)].symbol() == "▸").unwrap();
        let mut places: Vec<(u16, u16)> = differing
            .iter()
            .map(|no| grid.place(*no).unwrap())
            .map(|(column, line)| (AXIS + column as u16 * grid.wide, top + line as u16))
            .collect();
        places.sort_by_key(|(x, y)| (*y, *x));
        places.dedup();
        let right = AXIS + grid.columns as u16 * grid.wide;
        let bottom = top + grid.lines as u16;
        let drawn: Vec<(u16, u16)> = (top..bottom)
            .flat_map(|y| (AXIS..right).step_by(grid.wide.into()).map(move |x| (x, y)))
            .filter(|(x, y)| shot[(*x, *y)].symbol() == "◆")
            .collect();
        assert_eq!(drawn, places, "at {w}x{h}, {} chunks a cell", grid.per_cell);
        // What is not compared is never drawn as equal: the unchecked tail begins where it begins.
        let (column, line) = grid.place(2_400).unwrap();
        let cell = (AXIS + column as u16 * grid.wide, top + line as u16);
        assert_eq!(shot[cell].symbol(), "▓", "at {w}x{h}");
    }
}

/// Stale and lost pictures differ from fresh ones in every line that says something.
#[test]
fn what_is_stale_looks_stale() {
    let story = &STORIES.iter().find(|(n, _)| *n == "copying").unwrap().1;
    for film in [Film::Colour, Film::Mono] {
        let fresh = Camera::new(80, 24).film(film).shoot(story);
        let stale = Camera::new(80, 24)
            .film(film)
            .with(|ui| ui.heard = Some(Span::seconds(80)))
            .shoot(story);
        for y in 3..22 {
            if !lines(&fresh)[usize::from(y)].trim_matches('─').is_empty() {
                assert_ne!(row(&fresh, y), row(&stale, y), "line {y} in {film:?}");
            }
        }
        assert!(lines(&stale)[1].contains("STALE 10s"));
    }
}

/// A per cent of a hundred is said only of the whole, and nothing is above it.
#[test]
fn no_figure_above_the_whole() {
    for seed in 0..200 {
        let state = chance::state(seed, 120);
        let ui = Ui {
            size: Size {
                width: 120,
                height: 36,
            },
            ..Ui::default()
        };
        let mut buf = Buffer::empty(Rect::new(0, 0, 120, 36));
        tui::draw(&Picture::of(&state, &ui), buf.area, &mut buf);
        for line in lines(&buf) {
            for word in line.split(|c: char| !c.is_ascii_digit() && c != '.' && c != '%') {
                if let Some(number) = word.strip_suffix('%').and_then(|n| n.parse::<f64>().ok()) {
                    assert!(number <= 100.0, "{line}");
                }
            }
        }
        let header = lines(&buf)[0].clone() + &lines(&buf)[1];
        if state.copied() < 1.0 {
            assert!(!header.contains("COPY 100%"), "{header}");
        }
        if state.equal_part() < 1.0 {
            assert!(!header.contains("equal 100%"), "{header}");
        }
    }
}
