//! Lines typed into the palette: our words, and those that hands bring along from other tools.

use super::{Effect, Form, Scene, act, go, look, run, say};
use crate::domain::command::{Command, Pace};
use crate::domain::id::TableId;
use crate::tui::clip;
use crate::tui::commands::{ANSWERS, Act, Entry, TABLE};
use crate::tui::dialog::rate;
use crate::tui::model::{Popup, Screen, Tone, Ui};
use crate::tui::palette::matching;
use crate::tui::theme::{Depth, Theme};

/// Runs a line: a word and what belongs to it, with a space or `=` between them.
pub(super) fn run_line(ui: &mut Ui, scene: Scene, line: &str, effects: &mut Vec<Effect>) {
    let (word, rest) = match line.split_once([' ', '=']) {
        Some((word, rest)) => (word, rest.trim()),
        None => (line.trim(), ""),
    };
    if word.is_empty() {
        return;
    }
    let Some(entry) = TABLE.iter().find(|e| e.words.contains(&word)) else {
        return foreign(ui, scene, word, rest);
    };
    // Commands with something behind them are checked like their keys, then done with it.
    if (rest.is_empty() || entry.class.is_some())
        && let Err(why) = entry.enabled(&scene.picture(ui))
    {
        return say(ui, Tone::Bad, format!("{}: {why}", entry.label));
    }
    with_rest(ui, scene, entry, (word, rest), effects);
}

fn with_rest(
    ui: &mut Ui,
    scene: Scene,
    entry: &'static Entry,
    (word, rest): (&str, &str),
    effects: &mut Vec<Effect>,
) {
    match (entry.act, rest) {
        (Act::Pace, "") if word == "throttle" => say(
            ui,
            Tone::Plain,
            "throttle: give a pace (84k, 60%, auto). To stop: pause",
        ),
        (Act::Pace, "?") => {
            let pace = scene
                .live
                .pace
                .map_or("auto".into(), |r| act::per_second(r.0));
            say(ui, Tone::Plain, format!("pace {pace}"));
        }
        (Act::Pace, text) if !text.is_empty() => {
            let done = Pace::read(text, scene.live.best_rate)
                .and_then(|pace| act::set_pace(ui, scene, pace, effects));
            if let Err(why) = done {
                say(ui, Tone::Bad, format!("pace: {why}"));
            }
        }
        (Act::Limit, text) if !text.is_empty() => {
            if let Err(why) = act::set_limit(ui, scene, text, effects) {
                say(ui, Tone::Bad, format!("limit: {why}"));
            }
        }
        (Act::Shadow, text) if !text.is_empty() => match (text, rate(text)) {
            ("off", _) => act::set_shadow(ui, scene, 0),
            (_, Some(n)) if n <= 1_000 => act::set_shadow(ui, scene, n as u32),
            _ => say(
                ui,
                Tone::Bad,
                "shadow: a number a second, at most 1000, or off",
            ),
        },
        (Act::Note, text) if !text.is_empty() => {
            let text = text.to_string();
            act::send(ui, scene, Command::Note { text }, None, effects);
        }
        (Act::Verify, text) if !text.is_empty() => match find_table(scene, text) {
            Ok(table) => act::verify_table(ui, scene, table, effects),
            Err(why) => say(ui, Tone::Bad, format!("verify: {why}")),
        },
        (Act::Goto, text) if !text.is_empty() => goto(ui, scene, text),
        (Act::SetTheme, text) if !text.is_empty() => theme(ui, text),
        (Act::Export, "text" | "txt") => effects.push(Effect::Export(Form::Text)),
        (Act::Export, "" | "svg") => effects.push(Effect::Export(Form::Svg)),
        (Act::Export, other) => say(ui, Tone::Bad, format!("export: svg or text, not {other}")),
        (Act::Copy, _) if word != "copy" => {
            let lines = clip::status(&scene.picture(ui));
            ui.popup = Some(Popup::Text("Status".into(), lines, 0));
        }
        _ => run(ui, scene, entry, effects),
    }
}

fn foreign(ui: &mut Ui, scene: Scene, word: &str, rest: &str) {
    if let Some((_, answer)) = ANSWERS.iter().find(|(w, _)| *w == word) {
        let plan = scene.live.plan.as_ref();
        let now = plan.filter(|_| rest == "?").and_then(|plan| match word {
            "chunk-size" => Some(format!("chunk_time {}", plan.backfill.chunk_time)),
            "max-lag-millis" => scene.live.max_lag().map(|max| format!("max_lag {max}")),
            _ => None,
        });
        let text = now.map_or_else(|| (*answer).to_string(), |now| format!("{now}: {answer}"));
        return say(ui, Tone::Plain, text);
    }
    let near = matching(word).first().and_then(|e| e.words.first());
    let near = near.map_or(String::new(), |w| format!("; did you mean {w}?"));
    say(ui, Tone::Bad, format!("{word} is no command{near}"));
}

/// Finds a table by its name, or by an unambiguous part of it.
fn find_table(scene: Scene, name: &str) -> Result<TableId, String> {
    let Some(plan) = &scene.shown.plan else {
        return Err("no tables yet".into());
    };
    if let Some(id) = plan.find(name) {
        return Ok(id);
    }
    let near: Vec<_> = plan
        .ids()
        .filter(|(_, t)| t.source.contains(name))
        .collect();
    match near.as_slice() {
        [(id, _)] => Ok(*id),
        [] => Err(format!("there is no table {name}")),
        many => {
            let names: Vec<&str> = many
                .iter()
                .take(5)
                .map(|(_, t)| t.source.as_str())
                .collect();
            Err(format!("{name} could be {}", names.join(", ")))
        }
    }
}

fn goto(ui: &mut Ui, scene: Scene, text: &str) {
    let (name, chunk) = match text.rsplit_once('/') {
        Some((name, chunk)) => (name, chunk.replace([',', '_'], "").parse::<u32>().ok()),
        None => (text, Some(0)),
    };
    match (find_table(scene, name), chunk) {
        (Ok(table), Some(chunk)) => {
            let last = scene
                .shown
                .table(table)
                .map_or(0, |t| t.expected_chunks().saturating_sub(1));
            look::show(ui, scene, Screen::Map);
            go::show_table(ui, table, chunk.min(last));
            if chunk > last {
                say(ui, Tone::Plain, format!("the last chunk is {last}"));
            }
        }
        (Ok(_), None) => say(ui, Tone::Bad, "goto: the chunk is a number: orders/17"),
        (Err(why), _) => say(ui, Tone::Bad, format!("goto: {why}")),
    }
}

fn theme(ui: &mut Ui, text: &str) {
    let mut depth = ui.theme.depth;
    let mut light = ui.theme.light;
    let mut ascii = std::ptr::eq(ui.theme.glyphs, &crate::tui::theme::ASCII);
    for word in text.split_whitespace() {
        match word {
            "dark" => light = false,
            "light" => light = true,
            "true" | "truecolor" => depth = Depth::True,
            "256" => depth = Depth::Indexed,
            "16" => depth = Depth::Ansi,
            "mono" => depth = Depth::Mono,
            "ascii" => ascii = true,
            "unicode" => ascii = false,
            other => {
                return say(
                    ui,
                    Tone::Bad,
                    format!(
                        "theme: {other} is none of dark, light, true, 256, 16, mono, ascii, unicode"
                    ),
                );
            }
        }
    }
    ui.theme = Theme::new(depth, light, ascii);
    say(ui, Tone::Good, format!("theme {text}"));
}
