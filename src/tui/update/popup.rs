//! Keys and pasted text while a popup is open.

use super::{Effect, Leave, Scene, act, asks, look, say, words};
use crate::domain::command::Command;
use crate::tui::keymap::Chord;
use crate::tui::lists;
use crate::tui::model::{Popup, Screen, Tone, Ui};
use crate::tui::palette::remember;
use crate::tui::prompt::Reaction;
use crossterm::event::KeyCode;

pub(super) fn key(ui: &mut Ui, scene: Scene, key: Chord, effects: &mut Vec<Effect>) {
    let Some(popup) = ui.popup.take() else {
        return;
    };
    // Ctrl-c closes whatever is open; a second one leaves. Leaving the demo it means yes.
    if key == Chord::ctrl('c') {
        match popup {
            Popup::Leave => effects.push(Effect::Quit(Leave::Demo { keep: false })),
            Popup::Note(note) => ui.draft = note.text(),
            Popup::Find(_) => look::filter(ui, ""),
            _ => {}
        }
        return;
    }
    match popup {
        Popup::Ask(mut prompt) => match prompt.key(key) {
            Reaction::Close => say(ui, Tone::Faint, "not done"),
            Reaction::Accept => act::confirmed(ui, scene, *prompt, effects),
            Reaction::Stay => ui.popup = Some(Popup::Ask(prompt)),
            Reaction::Changed => {
                ui.popup = Some(Popup::Ask(prompt));
                act::abort_lines(ui, scene);
                asks::dry_run(ui, effects);
            }
        },
        Popup::Rate(mut dialog) => match dialog.key(key, scene.live.best_rate.0) {
            Reaction::Close => {}
            Reaction::Accept => act::rate_chosen(ui, scene, dialog, effects),
            Reaction::Stay | Reaction::Changed => ui.popup = Some(Popup::Rate(dialog)),
        },
        Popup::Note(mut note) => match note.key(key) {
            Reaction::Close => {
                ui.draft = note.text();
                if !ui.draft.trim().is_empty() {
                    say(ui, Tone::Faint, "the draft is kept: M goes on with it");
                }
            }
            Reaction::Accept => {
                ui.draft.clear();
                let text = note.text();
                act::send(ui, scene, Command::Note { text }, None, effects);
            }
            Reaction::Stay | Reaction::Changed => ui.popup = Some(Popup::Note(note)),
        },
        Popup::Palette(mut palette) => match palette.key(key, &ui.history) {
            Reaction::Close => {}
            Reaction::Accept => {
                let line = palette.line();
                remember(&mut ui.history, &line);
                words::run_line(ui, scene, &line, effects);
            }
            Reaction::Stay | Reaction::Changed => ui.popup = Some(Popup::Palette(palette)),
        },
        Popup::Find(mut input) => match key.code {
            KeyCode::Esc => look::filter(ui, ""),
            KeyCode::Enter if ui.screen == Screen::Map => {
                let text = input.text().trim().to_string();
                match lists::map_table(&scene.picture(ui)) {
                    Some(table) if !text.is_empty() => asks::locate(ui, table, text, effects),
                    _ => {}
                }
            }
            KeyCode::Enter => {}
            _ => {
                input.key(key);
                look::filter(ui, input.text());
                ui.popup = Some(Popup::Find(input));
            }
        },
        Popup::Text(title, lines, first) => text(ui, (title, lines, first), key),
        Popup::Leave => match key.code {
            KeyCode::Char('Y') => effects.push(Effect::Quit(Leave::Demo { keep: false })),
            KeyCode::Char('K' | 'k') => effects.push(Effect::Quit(Leave::Demo { keep: true })),
            KeyCode::Esc | KeyCode::Char('n' | 'N') => {}
            _ => ui.popup = Some(Popup::Leave),
        },
    }
}

fn text(ui: &mut Ui, page: (String, Vec<String>, usize), key: Chord) {
    let (title, lines, first) = page;
    let last = lines.len().saturating_sub(1);
    let first = match key.code {
        KeyCode::Up | KeyCode::Char('k') => first.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => (first + 1).min(last),
        KeyCode::PageUp => first.saturating_sub(10),
        KeyCode::PageDown | KeyCode::Char(' ') => (first + 10).min(last),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => return,
    };
    ui.popup = Some(Popup::Text(title, lines, first));
}

/// Pasted text is text where text is written, and nothing anywhere else.
pub(super) fn paste(ui: &mut Ui, text: &str) {
    match &mut ui.popup {
        Some(Popup::Note(note)) => note.paste(text),
        Some(Popup::Palette(palette)) => palette.input.insert(text),
        Some(Popup::Ask(prompt)) => prompt.paste(),
        Some(Popup::Find(input)) => {
            input.insert(text);
            let text = input.text().to_string();
            look::filter(ui, &text);
        }
        Some(Popup::Rate(_) | Popup::Text(..) | Popup::Leave) | None => {
            say(
                ui,
                Tone::Faint,
                "pasted text is ignored here: only M and : take text",
            );
        }
    }
}
