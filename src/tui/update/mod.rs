//! What a key, an answer or a second does to this console: pure, from state and message to the next state and effects.
//! Nothing is awaited, read or written here.

mod act;
mod asks;
mod go;
mod heard;
mod look;
mod past;
mod popup;
mod words;

use super::commands::Entry;
use super::keymap::{Chord, Found};
use super::model::{AskId, Notice, Overlay, Picture, Popup, Replay, Tone, Ui};
use crate::domain::command::{Answer, Command, Query, Reply};
use crate::domain::fault::Fault;
use crate::domain::id::{CommandId, Seq, SessionId};
use crate::domain::unit::{Span, Tick};
use crate::state::migration::Migration;
use crossterm::event::{KeyCode, KeyEvent, MouseEvent, MouseEventKind};
use ratatui::layout::Size;

/// Acting keys are ignored for so long after the terminal came back: what was typed for another window is no command.
pub const FOCUS_GUARD: Span = Span::millis(250);
/// Lines of [`Ui::said`] kept.
const SAID: usize = 500;

/// The migration as it is, and as it is shown; they are the same unless the picture is frozen or the past is shown.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// As it is.
    pub live: &'a Migration,
    /// As it is shown.
    pub shown: &'a Migration,
}

impl<'a> Scene<'a> {
    /// Now is shown.
    pub fn now(state: &'a Migration) -> Self {
        Self {
            live: state,
            shown: state,
        }
    }

    /// The picture of it.
    pub fn picture(self, ui: &'a Ui) -> Picture<'a> {
        Picture::between(self.shown, self.live, ui)
    }
}

/// What reaches a console. [`Ui::now`] is set by the runtime before each.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A key.
    Key(KeyEvent),
    /// Pasted text.
    Paste(String),
    /// The terminal's size changed.
    Resize(Size),
    /// The terminal shows us, or no longer does.
    Focus(bool),
    /// The mouse, while it is ours.
    Mouse(MouseEvent),
    /// Time went by: once a second, more often while the past plays.
    Tick,
    /// Records were folded, or a measurement came.
    Heard,
    /// Attached: this console's connection, and whether it only looks.
    Attached(SessionId, bool),
    /// The connection is gone, or was tried again in vain; the next try comes after so long.
    Lost(Span),
    /// The engine's answer to a command.
    Reply(CommandId, Reply),
    /// A command could not be sent.
    Unsent(CommandId, Fault),
    /// The answer to a question.
    Answer(AskId, Answer),
    /// The past as it is shown now; none when now is shown again.
    Past(Option<Replay>),
    /// What the demo lays over the picture.
    Overlay(Overlay),
    /// What became of an effect: a copy, a file.
    Said(Notice),
}

/// How to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Detach; the migration runs on.
    Detach,
    /// End the demo; its files are removed unless kept.
    Demo {
        /// Leave its files.
        keep: bool,
    },
}

/// Where to in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The state after this record.
    Record(Seq),
    /// The state at this time of the migration's clock.
    Moment(Tick),
    /// Now.
    Now,
}

/// How a picture is written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As drawn, for documents.
    Svg,
    /// As text, for mails and chats.
    Text,
}

/// What the runtime is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the engine to do something.
    Send {
        /// Numbered by this console.
        id: CommandId,
        /// What.
        command: Command,
        /// The last fact the person could see.
        seen: Seq,
    },
    /// Ask the engine for something that is not in the fold.
    Ask {
        /// Numbered by this console.
        id: AskId,
        /// What.
        query: Query,
    },
    /// Show another time.
    Seek(To),
    /// Keep showing this state, or stop doing so.
    Freeze(bool),
    /// Put text into the clipboard; the second says what it is.
    Copy(String, String),
    /// Write the picture to a file.
    Export(Form),
    /// Ring.
    Bell,
    /// Take the mouse, or give it back.
    Mouse(bool),
    /// Draw every cell again.
    Redraw,
    /// Stop this console's process.
    Suspend,
    /// Leave.
    Quit(Leave),
}

/// Takes one message in.
pub fn update(ui: &mut Ui, scene: Scene, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    match msg {
        Msg::Key(event) => {
            if let Some(key) = Chord::of(&event) {
                let before = ui.notice.clone();
                press(ui, scene, key, &mut effects);
                ui.notice_here |= ui.notice != before;
            }
        }
        Msg::Paste(text) => popup::paste(ui, &text),
        Msg::Resize(size) => ui.size = size,
        Msg::Focus(gained) => {
            ui.unfocused = !gained;
            if gained {
                ui.focused_at = Some(ui.now.run);
            }
        }
        Msg::Mouse(event) => mouse(ui, scene, event),
        Msg::Tick => {
            heard::forget(ui);
            past::play(ui, &mut effects);
        }
        Msg::Heard => heard::heard(ui, scene, &mut effects),
        Msg::Attached(me, observer) => heard::attached(ui, scene, me, observer),
        Msg::Lost(next) => heard::lost(ui, scene, next),
        Msg::Reply(id, reply) => heard::reply(ui, id, reply),
        Msg::Unsent(id, fault) => heard::unsent(ui, scene, id, &fault),
        Msg::Answer(id, answer) => asks::answered(ui, id, answer),
        Msg::Past(replay) => past::shown(ui, scene, replay),
        Msg::Overlay(overlay) => heard::overlay(ui, overlay),
        Msg::Said(notice) => keep(ui, notice),
    }
    asks::wanted(ui, scene, &mut effects);
    for effect in &effects {
        if let Effect::Seek(to) = effect {
            ui.wish = Some(*to);
        }
    }
    effects
}

fn press(ui: &mut Ui, scene: Scene, key: Chord, effects: &mut Vec<Effect>) {
    if ui.popup.is_some() {
        return popup::key(ui, scene, key, effects);
    }
    if key == Chord::ctrl('c') {
        return look::quit(ui, effects);
    }
    if key.code == KeyCode::Esc && !ui.pending.is_empty() {
        ui.pending.clear();
        return;
    }
    let mut pressed = std::mem::take(&mut ui.pending);
    pressed.push(key);
    match ui.keymap.find(&scene.picture(ui), &pressed) {
        Found::Command(entry) => run(ui, scene, entry, effects),
        Found::Prefix => ui.pending = pressed,
        Found::Nothing => {
            let keys = super::keymap::text(&pressed);
            let text = match keys.as_str() {
                "u" => "U takes your last act back".to_string(),
                "r" => look::freshness(&scene.picture(ui)),
                _ => format!("{keys} means nothing here; ? lists the keys"),
            };
            say(ui, Tone::Faint, text);
        }
    }
}

/// Runs a command of the table: by key or from the palette.
fn run(ui: &mut Ui, scene: Scene, entry: &'static Entry, effects: &mut Vec<Effect>) {
    let acts = entry.class.is_some();
    if acts
        && ui
            .focused_at
            .is_some_and(|at| ui.now.run - at < FOCUS_GUARD)
    {
        let text = format!(
            "the terminal came back just now: {} was not done, press it again",
            entry.label
        );
        return say(ui, Tone::Faint, text);
    }
    if let Err(why) = entry.enabled(&scene.picture(ui)) {
        return say(ui, Tone::Bad, format!("{}: {why}", entry.label));
    }
    if acts {
        act::perform(ui, scene, entry.act, effects);
    } else {
        look::perform(ui, scene, entry.act, effects);
    }
}

fn mouse(ui: &mut Ui, scene: Scene, event: MouseEvent) {
    use super::commands::Go;
    let go = match event.kind {
        MouseEventKind::ScrollUp => Go::Up,
        MouseEventKind::ScrollDown => Go::Down,
        _ => return,
    };
    if let Some(Popup::Text(_, lines, first)) = &mut ui.popup {
        *first = match go {
            Go::Up => first.saturating_sub(3),
            _ => (*first + 3).min(lines.len().saturating_sub(1)),
        };
    } else if ui.popup.is_none() {
        for _ in 0..3 {
            go::go(ui, scene, go);
        }
    }
}

/// Says one line. What is more than a faint hint stays on the Log screen.
fn say(ui: &mut Ui, tone: Tone, text: impl Into<String>) {
    let notice = Notice {
        text: text.into(),
        tone,
        run: ui.now.run,
        at: ui.now.at,
        copy: None,
    };
    keep(ui, notice);
}

fn keep(ui: &mut Ui, notice: Notice) {
    if notice.tone != Tone::Faint {
        if ui.said.len() == SAID {
            ui.said.pop_front();
        }
        ui.said.push_back(notice.clone());
    }
    ui.notice = Some(notice);
    ui.notice_here = false;
}
