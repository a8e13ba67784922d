//! Commands that look: they change this console and nothing else.

use super::{Effect, Form, Leave, Scene, To, go, past, say};
use crate::domain::event::Subject;
use crate::domain::id::ChunkId;
use crate::domain::unit::Span;
use crate::state::timeline::{Mark, table_name};
use crate::tui::clip;
use crate::tui::commands::{Act, Go};
use crate::tui::lists;
use crate::tui::model::{Link, Loaded, Picture, Popup, Screen, Tone, Ui};
use crate::tui::palette::Palette;
use crate::tui::scope;
use crate::tui::widget::input::Input;

/// Screens remembered for going back.
const BACK: usize = 20;

pub(super) fn perform(ui: &mut Ui, scene: Scene, act: Act, effects: &mut Vec<Effect>) {
    match act {
        Act::Move(way @ (Go::Left | Go::Right)) if ui.screen == Screen::Timeline => {
            past::step(ui, scene, way == Go::Right, effects);
        }
        Act::Move(way) => go::go(ui, scene, way),
        Act::NextPane => ui.pane = (ui.pane + 1) % ui.screen.panes(),
        Act::PrevPane => ui.pane = (ui.pane + ui.screen.panes() - 1) % ui.screen.panes(),
        Act::Open => open(ui, scene, effects),
        Act::Back => back(ui),
        Act::Show(screen) => show(ui, scene, screen),
        Act::SoonCutover => say(
            ui,
            Tone::Plain,
            "5 Cutover: this version copies, follows, compares and repairs; moving reads and writes is not in it yet. The way back is B",
        ),
        Act::SoonRunbook => say(
            ui,
            Tone::Plain,
            "7 Runbook: steps for people are not in this version yet. M writes a note into the timeline",
        ),
        Act::LastScreen => match ui.back.pop() {
            Some(screen) => {
                let from = ui.screen;
                switch(ui, screen);
                ui.back.push(from);
            }
            None => say(ui, Tone::Faint, "no screen before this one"),
        },
        Act::Find => {
            ui.popup = Some(Popup::Find(Input::new(match ui.screen {
                Screen::Map => "",
                _ => ui.filter(),
            })));
        }
        Act::NextMatch => next(ui, scene, true),
        Act::PrevMatch => next(ui, scene, false),
        Act::Palette => ui.popup = Some(Popup::Palette(Palette::default())),
        Act::Order => {
            ui.overview.order = ui.overview.order.next();
            let text = format!("tables {}", ui.overview.order.label());
            say(ui, Tone::Faint, text);
        }
        Act::Copy => {
            if let Some(text) = fresh_copy(ui) {
                effects.push(Effect::Copy(text.clone(), text));
                return;
            }
            let (text, what) = clip::selection(&scene.picture(ui));
            effects.push(Effect::Copy(text, what));
        }
        Act::Export => effects.push(Effect::Export(Form::Svg)),
        Act::Freeze => {
            ui.frozen = !ui.frozen;
            effects.push(Effect::Freeze(ui.frozen));
            let text = if ui.frozen {
                "the picture stands still; the migration runs on. f lets it move again"
            } else {
                "the picture moves again"
            };
            say(ui, Tone::Plain, text);
        }
        Act::Fold if ui.screen == Screen::Timeline => {
            ui.timeline.only = next_kind(ui.timeline.only);
            ui.timeline.seq = None;
            let text = match ui.timeline.only {
                None => "all kinds of lines".to_string(),
                Some(mark) => format!("only lines about {}", kind(mark)),
            };
            say(ui, Tone::Faint, text);
        }
        Act::Fold => ui.overview.fold = !ui.overview.fold,
        Act::Full => {
            let (title, lines) = clip::full(&scene.picture(ui));
            if lines.is_empty() {
                say(ui, Tone::Faint, "nothing is selected");
            } else {
                ui.popup = Some(Popup::Text(title, lines, 0));
            }
        }
        Act::OnlyDiffering => ui.diff.only_differing = !ui.diff.only_differing,
        Act::Colour => {
            ui.map.colour = ui.map.colour.next();
            let text = format!("colours tell {}", ui.map.colour.label());
            say(ui, Tone::Faint, text);
        }
        Act::Bytes => ui.diff.bytes = !ui.diff.bytes,
        Act::NextSibling => sibling(ui, scene, 1),
        Act::PrevSibling => sibling(ui, scene, -1),
        Act::Mouse => {
            ui.mouse = !ui.mouse;
            effects.push(Effect::Mouse(ui.mouse));
            let text = if ui.mouse {
                "the wheel scrolls here; m gives the mouse back to the terminal"
            } else {
                "the mouse is the terminal's again: it selects text"
            };
            say(ui, Tone::Plain, text);
        }
        Act::Redraw => effects.push(Effect::Redraw),
        Act::Refresh => {
            let text = freshness(&scene.picture(ui));
            say(
                ui,
                Tone::Plain,
                format!("{text}. On Map and Diff, R repairs the selection"),
            );
        }
        Act::Suspend => effects.push(Effect::Suspend),
        Act::Quit => quit(ui, effects),
        Act::Play | Act::Speed | Act::Live | Act::MinuteBack | Act::MinuteOn => {
            past::control(ui, scene, act, effects);
        }
        Act::ShowKeys => {
            let lines = crate::tui::help::keys_report(ui);
            ui.popup = Some(Popup::Text("Keys".into(), lines, 0));
        }
        Act::SetTheme => say(
            ui,
            Tone::Plain,
            "theme: dark or light, true 256 16 or mono, ascii or unicode",
        ),
        Act::Goto => say(
            ui,
            Tone::Plain,
            "goto: a table, or a table and a chunk: orders/17",
        ),
        // Acting commands go to `act`.
        _ => {}
    }
}

/// Why there is nothing to refresh, or how to.
pub(super) fn freshness(p: &Picture) -> String {
    let freeze = p.ui.keymap.key_of(Act::Freeze);
    match p.link {
        Link::Replay { .. } => "this is the past; it stands still".into(),
        Link::Lost { .. } => "the link is lost; this console tries again by itself".into(),
        Link::Live { .. } if p.ui.frozen => {
            format!("the picture stands still; {freeze} lets it move again")
        }
        Link::Live { age } if p.stale() => format!("nothing was heard for {age}"),
        Link::Live { .. } => "the picture is live; Ctrl-l redraws".into(),
    }
}

/// The text of a fresh notice that offers one: a path, a command to run.
fn fresh_copy(ui: &Ui) -> Option<String> {
    let notice = ui.notice.as_ref()?;
    let fresh = ui.now.run - notice.run < Span::seconds(15);
    notice.copy.clone().filter(|_| fresh)
}

pub(super) fn quit(ui: &mut Ui, effects: &mut Vec<Effect>) {
    if ui.overlay.as_ref().is_some_and(|o| o.demo) {
        ui.popup = Some(Popup::Leave);
    } else {
        effects.push(Effect::Quit(Leave::Detach));
    }
}

/// Shows a screen, remembering the one left.
pub(super) fn show(ui: &mut Ui, scene: Scene, screen: Screen) {
    if ui.screen == screen {
        return;
    }
    let from = ui.screen;
    if ui.back.len() == BACK {
        ui.back.remove(0);
    }
    ui.back.push(from);
    if screen == Screen::Map && from == Screen::Overview {
        let selected = lists::selected_table(&scene.picture(ui));
        let moved = selected.filter(|id| scene.shown.live_tables().any(|(t, _, _)| t == *id));
        if let Some(table) = moved {
            let chunk = if ui.map.table == Some(table) {
                ui.map.chunk
            } else {
                0
            };
            go::show_table(ui, table, chunk);
        }
    }
    switch(ui, screen);
    if screen == Screen::Diff && go::selected_row(ui, scene).is_none() && ui.diff.wanted.is_none() {
        // Chosen the last time, and gone since.
        ui.diff.row = None;
    }
}

fn switch(ui: &mut Ui, screen: Screen) {
    // An answer to a key there says nothing about this screen; what the engine answered stays for its time.
    if ui.notice_here {
        ui.notice = None;
    }
    ui.screen = screen;
    ui.pane = 0;
    ui.help = 0;
}

fn back(ui: &mut Ui) {
    if ui.screen == Screen::Map && ui.map.zoom.pop().is_some() {
        return;
    }
    if ui.pane > 0 {
        ui.pane = 0;
        return;
    }
    if ui.filter.remove(&ui.screen).is_some_and(|f| !f.is_empty()) {
        return;
    }
    if ui.screen == Screen::Diff && ui.diff.table.take().is_some() {
        return;
    }
    // Help is closed before the story is hidden: it lies over it.
    let caption = ui.screen != Screen::Help;
    if let Some(overlay) = ui
        .overlay
        .as_mut()
        .filter(|o| caption && !o.hidden && !o.caption.is_empty())
    {
        overlay.hidden = true;
        return;
    }
    match ui.back.pop() {
        Some(screen) => switch(ui, screen),
        None if ui.screen != Screen::Overview => switch(ui, Screen::Overview),
        None => say(ui, Tone::Faint, "q detaches; the migration runs on"),
    }
}

fn open(ui: &mut Ui, scene: Scene, effects: &mut Vec<Effect>) {
    match ui.screen {
        Screen::Overview if ui.pane == 1 => open_alert(ui, scene),
        Screen::Overview => {
            let Some(table) = lists::selected_table(&scene.picture(ui)) else {
                return say(ui, Tone::Faint, "no table is listed");
            };
            if scene.shown.live_tables().any(|(id, _, _)| id == table) {
                show(ui, scene, Screen::Map);
            } else {
                let name = table_name(table, scene.shown);
                say(
                    ui,
                    Tone::Plain,
                    format!("{name} is left out: it has no chunks; w says why"),
                );
            }
        }
        Screen::Map => open_cell(ui, scene),
        Screen::Diff if ui.pane == 0 => ui.pane = 1,
        Screen::Diff => {
            let (title, lines) = clip::full(&scene.picture(ui));
            ui.popup = Some(Popup::Text(title, lines, 0));
        }
        Screen::Timeline => {
            let listed = lists::timeline_of(scene.shown, ui);
            let at = lists::selected_line(&listed, ui.timeline.seq);
            match at.map(|i| listed[i].seq) {
                Some(seq) => past::open(ui, To::Record(seq), effects),
                None => say(ui, Tone::Faint, "nothing has happened yet"),
            }
        }
        Screen::Shadow | Screen::Log | Screen::Help => {
            let (title, lines) = clip::full(&scene.picture(ui));
            if !lines.is_empty() {
                ui.popup = Some(Popup::Text(title, lines, 0));
            }
        }
    }
}

fn open_alert(ui: &mut Ui, scene: Scene) {
    let Some(id) = lists::selected_alert(&scene.picture(ui)) else {
        return say(ui, Tone::Faint, "no alert is open");
    };
    let Some(open) = scene.shown.alerts.get(&id) else {
        return;
    };
    match &open.alert.subject {
        Subject::Drift(table) => {
            ui.diff.table = Some(*table);
            ui.diff.row = None;
            ui.diff.wanted = None;
            show(ui, scene, Screen::Diff);
        }
        Subject::Shadow(name) => {
            ui.shadow.query = Some(name.clone());
            show(ui, scene, Screen::Shadow);
        }
        Subject::Guard(_) | Subject::Lag | Subject::Pause(_) | Subject::Other(_) => {
            let (title, lines) = clip::full(&scene.picture(ui));
            ui.popup = Some(Popup::Text(title, lines, 0));
        }
    }
}

fn open_cell(ui: &mut Ui, scene: Scene) {
    let p = scene.picture(ui);
    let (Some(grid), Some((table, first, count))) = (scope::map_grid(&p), scope::cell(&p)) else {
        return say(ui, Tone::Faint, "nothing is on the map yet");
    };
    let chunk = ChunkId { table, no: first };
    let differ = scope::differing(
        scene.shown,
        &crate::domain::command::Scope::Chunks(vec![chunk]),
    );
    if go::zoom_in(ui, grid) {
        return;
    }
    let name = table_name(table, scene.shown);
    if differ == 0 || count != 1 {
        let landed = scene
            .shown
            .table(table)
            .is_some_and(|t| first < t.chunks.len());
        let text = if landed {
            format!("{name} chunk {first}: no rows are known to differ")
        } else {
            format!("{name} chunk {first} is not copied yet")
        };
        return say(ui, Tone::Faint, text);
    }
    ui.diff.table = Some(table);
    let known = ui.diff.known.get();
    let row = known.and_then(|all| all.iter().find(|d| d.chunk == chunk));
    ui.diff.row = row.map(|d| (d.chunk, d.key.clone()));
    ui.diff.wanted = ui.diff.row.is_none().then_some(chunk);
    show(ui, scene, Screen::Diff);
}

fn next(ui: &mut Ui, scene: Scene, forward: bool) {
    match ui.screen {
        Screen::Map => {
            if !go::next_differing(ui, scene, forward) {
                say(ui, Tone::Faint, "no chunk is known to differ");
            }
        }
        Screen::Timeline => {
            if !go::next_mark(ui, scene, forward) {
                say(ui, Tone::Faint, "no further mark");
            }
        }
        Screen::Overview => {
            // To the next that differs, wherever it is.
            if go::next_differing(ui, scene, forward) {
                show_map_at_cursor(ui);
            } else {
                say(ui, Tone::Faint, "no chunk is known to differ");
            }
        }
        Screen::Diff => go::row(ui, scene, if forward { 1 } else { -1 }),
        _ => go::go(ui, scene, if forward { Go::Down } else { Go::Up }),
    }
}

fn show_map_at_cursor(ui: &mut Ui) {
    ui.back.push(ui.screen);
    switch(ui, Screen::Map);
}

fn sibling(ui: &mut Ui, scene: Scene, by: i64) {
    if ui.screen == Screen::Diff {
        go::row(ui, scene, by);
        return;
    }
    let Some(table) = lists::map_table_of(scene.shown, ui) else {
        return;
    };
    let last = scene
        .shown
        .table(table)
        .map_or(0, |t| t.expected_chunks().saturating_sub(1));
    let to = (i64::from(ui.map.chunk) + by).clamp(0, i64::from(last));
    go::show_table(ui, table, to as u32);
}

/// Takes what was typed after `/`: a filter while it is typed, a key to go to on the Map once it is entered.
pub(super) fn filter(ui: &mut Ui, text: &str) {
    if ui.screen == Screen::Map {
        return;
    }
    if text.is_empty() {
        ui.filter.remove(&ui.screen);
    } else {
        ui.filter.insert(ui.screen, text.to_string());
    }
    ui.help = 0;
    if ui.screen == Screen::Diff {
        // The first of what is found is selected.
        ui.diff.row = None;
        ui.diff.wanted = None;
        if !matches!(ui.diff.rows, Loaded::Asked) {
            go::reset_rows(&mut ui.diff);
        }
    }
}

fn next_kind(only: Option<Mark>) -> Option<Mark> {
    match only {
        None => Some(Mark::Alert),
        Some(Mark::Alert) => Some(Mark::Act),
        Some(Mark::Act) => Some(Mark::Note),
        Some(Mark::Note) => Some(Mark::Phase),
        Some(_) => None,
    }
}

fn kind(mark: Mark) -> &'static str {
    match mark {
        Mark::Alert => "what differs or is wrong",
        Mark::Act => "what people asked for",
        Mark::Note => "what people wrote",
        Mark::Phase => "phases",
        Mark::Pause => "pauses",
        Mark::Repair => "repairs",
        Mark::Engine => "the engine",
        Mark::People => "who came and went",
    }
}
