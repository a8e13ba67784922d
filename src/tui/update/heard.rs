//! What reaches a console from outside: facts, answers to its commands, the link, the demo.

use super::{Effect, Scene, keep, say};
use crate::domain::command::{Command, Reply};
use crate::domain::event::Severity;
use crate::domain::fault::{Fault, Kind};
use crate::domain::id::{AlertId, CommandId, SessionId};
use crate::domain::unit::{Span, counted};
use crate::tui::model::{Loaded, Notice, Overlay, Popup, Screen, Tone, Ui};
use crate::tui::scope;
use crate::tui::view::words;

/// A faint hint is gone after this; other notices stay for longer, and on the Log screen.
const FAINT: Span = Span::seconds(3);
const STAYS: Span = Span::seconds(10);
/// Acts that can be taken back.
const UNDO: usize = 20;

/// Records were folded, or a measurement came.
pub(super) fn heard(ui: &mut Ui, scene: Scene, effects: &mut Vec<Effect>) {
    ui.heard = Some(ui.now.run);
    let newest = AlertId(scene.live.next_alert.0.saturating_sub(1));
    if newest <= ui.rung {
        return;
    }
    let fresh = scene.live.alerts.range(AlertId(ui.rung.0 + 1)..);
    let worst = fresh
        .map(|(_, open)| open)
        .filter(|open| open.alert.severity >= Severity::Warning)
        .max_by_key(|open| open.alert.severity);
    ui.rung = newest;
    if let Some(open) = worst {
        if ui.unfocused {
            effects.push(Effect::Bell);
        }
        if ui.screen != Screen::Overview {
            let text = format!("{} · 1 shows it, A acknowledges", open.alert.text);
            say(ui, Tone::Bad, text);
        }
    }
}

pub(super) fn attached(ui: &mut Ui, scene: Scene, me: SessionId, observer: bool) {
    let again = ui.lost.take().is_some();
    ui.me = Some(me);
    ui.observer = observer;
    ui.heard = Some(ui.now.run);
    // Alerts that stood before are on the screen; ringing for them would be noise.
    ui.rung = AlertId(scene.live.next_alert.0.saturating_sub(1));
    // Whoever waited for an answer from the old connection would wait for ever.
    ui.asked.clear();
    ui.diff.known = Loaded::Idle;
    ui.diff.rows = Loaded::Idle;
    if again {
        let unknown = ui.sent.iter().filter(|s| s.accepted.is_none()).count();
        ui.sent.retain(|s| s.accepted.is_some());
        let text = if unknown == 0 {
            "attached again".to_string()
        } else {
            format!(
                "attached again; {} had no answer: the Timeline shows what was done",
                counted(unknown as u64, "command")
            )
        };
        say(ui, Tone::Good, text);
    }
}

pub(super) fn lost(ui: &mut Ui, scene: Scene, next: Span) {
    let now = ui.now.run;
    let (since, tries) = ui
        .lost
        .map_or((now, 0), |(since, tries, _)| (since, tries + 1));
    if ui.lost.is_none() {
        if let Some(Popup::Ask(prompt)) = &mut ui.popup
            && prompt.dry == Loaded::Asked
        {
            ui.popup = None;
        }
        let engine = words::without_us(scene.live);
        say(
            ui,
            Tone::Bad,
            format!("link lost: the engine {engine}; this console tries again"),
        );
    }
    ui.asked.clear();
    ui.lost = Some((since, tries, now + next));
}

pub(super) fn reply(ui: &mut Ui, id: CommandId, reply: Reply) {
    let Some(at) = ui.sent.iter().position(|s| s.id == id) else {
        return;
    };
    match reply {
        Reply::Accepted { seq } => {
            let sent = &mut ui.sent[at];
            sent.accepted = Some(seq);
            let undo = sent.undo.take();
            let verb = sent.command.verb();
            if let Some(undo) = undo {
                if ui.undo.len() == UNDO {
                    ui.undo.pop_front();
                }
                ui.undo.push_back(undo);
            }
            say(
                ui,
                Tone::Good,
                format!("{verb}: accepted, record {}", seq.0),
            );
        }
        Reply::Refused(fault) if fault.kind == Kind::InDoubt => {
            let verb = ui.sent[at].command.verb();
            ui.sent.remove(at);
            let hint = fault
                .hint
                .as_ref()
                .map_or(String::new(), |h| format!(" · {h}"));
            say(
                ui,
                Tone::Bad,
                format!("{verb}: it is not known whether it was done: {fault}{hint}"),
            );
        }
        Reply::Refused(fault) => {
            let verb = ui.sent[at].command.verb();
            ui.sent.remove(at);
            let hint = fault
                .hint
                .as_ref()
                .map_or(String::new(), |h| format!(" · {h}"));
            say(ui, Tone::Bad, format!("{verb} refused: {fault}{hint}"));
        }
    }
}

/// A command did not get through: the way that does not need this console is said, and `y` copies it.
pub(super) fn unsent(ui: &mut Ui, scene: Scene, id: CommandId, fault: &Fault) {
    let Some(at) = ui.sent.iter().position(|s| s.id == id) else {
        return;
    };
    let Some(sent) = ui.sent.remove(at) else {
        return;
    };
    let name = scene.live.name();
    let run = match &sent.command {
        Command::Pause | Command::StopAll | Command::Resume => {
            Some(format!("tidegate send {name} {}", sent.command.verb()))
        }
        _ => None,
    };
    let what = sent.command.verb();
    let text = match &run {
        Some(run) => format!("{what} could not be sent; run: {run}"),
        None => format!(
            "{} could not be sent: {fault}",
            scope::command(scene.shown, &sent.command)
        ),
    };
    let notice = Notice {
        text,
        tone: Tone::Bad,
        run: ui.now.run,
        at: ui.now.at,
        copy: run,
    };
    keep(ui, notice);
}

pub(super) fn overlay(ui: &mut Ui, new: Overlay) {
    // A hidden caption stays hidden until the story says something new.
    let hidden = ui
        .overlay
        .as_ref()
        .is_some_and(|old| old.hidden && old.caption == new.caption);
    ui.overlay = Some(Overlay { hidden, ..new });
}

/// Drops what was said long ago, and commands whose answer is on the screen.
pub(super) fn forget(ui: &mut Ui) {
    let now = ui.now.run;
    let over = |notice: &Notice| {
        let stays = if notice.tone == Tone::Faint {
            FAINT
        } else {
            STAYS
        };
        now - notice.run >= stays
    };
    if ui.notice.as_ref().is_some_and(over) {
        ui.notice = None;
    }
    ui.sent
        .retain(|s| s.accepted.is_none() || now - s.run < STAYS);
}
