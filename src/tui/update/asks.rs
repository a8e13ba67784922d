//! Questions to the engine: what the picture needs and the fold does not hold. They follow from the state, so a key never
//! has to remember to ask.

use super::{Effect, Scene, go, say};
use crate::domain::command::{Answer, Command, Query};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::unit::Span;
use crate::tui::lists;
use crate::tui::model::{AskId, Loaded, Popup, Purpose, Screen, Tone, Ui};
use crate::tui::scope;

/// Questions on their way at a time for labels of the axis.
const MOST: usize = 16;
/// First keys of chunks that are remembered; they never change once a chunk has landed.
const BOUNDS: usize = 4_096;
/// Differing rows listed.
const KNOWN: u32 = 500;
/// Rows of a chunk fetched with their values.
const ROWS: u32 = 100;
/// The list of differing rows is asked for again at most this often.
const EVERY: Span = Span::seconds(1);

/// Asks for what is missing.
pub(super) fn wanted(ui: &mut Ui, scene: Scene, effects: &mut Vec<Effect>) {
    // The past can't be asked about; the present must not be shown in its place.
    if ui.replay.is_some() || ui.lost.is_some() || ui.me.is_none() {
        return;
    }
    match ui.screen {
        Screen::Diff => {
            known(ui, scene, effects);
            pin(ui, scene);
            rows(ui, scene, effects);
        }
        Screen::Map => {
            known(ui, scene, effects);
            bounds(ui, scene, effects);
        }
        _ => {}
    }
}

fn ask(ui: &mut Ui, purpose: Purpose, query: Query, effects: &mut Vec<Effect>) -> bool {
    let waits = ui.asked.iter().any(|(_, p)| *p == purpose);
    // The axis asks for many; it must not keep a prompt's question waiting.
    let axis = matches!(purpose, Purpose::Bounds(_));
    if waits || axis && ui.asked.len() >= MOST {
        return false;
    }
    let id = ui.next_ask;
    ui.next_ask = AskId(id.0 + 1);
    ui.asked.push_back((id, purpose));
    effects.push(Effect::Ask { id, query });
    true
}

fn known(ui: &mut Ui, scene: Scene, effects: &mut Vec<Effect>) {
    let first = matches!(ui.diff.known, Loaded::Idle);
    if !first && ui.now.run - ui.known_looked_at < EVERY {
        return;
    }
    ui.known_looked_at = ui.now.run;
    let verdicts = lists::verdicts(scene.live);
    if !first && ui.verdicts_asked == verdicts {
        return;
    }
    let query = Query::Drifted {
        table: None,
        limit: KNOWN,
    };
    if ask(ui, Purpose::Known, query, effects) {
        ui.verdicts_asked = verdicts;
        if first {
            ui.diff.known = Loaded::Asked;
        }
    }
}

/// The row selected by being the first is chosen from now on: when it goes, no other one silently takes its place.
fn pin(ui: &mut Ui, scene: Scene) {
    if ui.diff.row.is_none() {
        ui.diff.row = go::selected_row(ui, scene);
    }
}

fn rows(ui: &mut Ui, scene: Scene, effects: &mut Vec<Effect>) {
    let Some((chunk, _)) = go::selected_row(ui, scene) else {
        return;
    };
    let have = match &ui.diff.rows {
        Loaded::Have((c, _, _)) => *c == chunk,
        Loaded::Asked => ui.diff.rows_of == Some(chunk),
        Loaded::Failed(_) => ui.diff.rows_of == Some(chunk),
        Loaded::Idle => false,
    };
    let query = Query::Differences { chunk, limit: ROWS };
    if !have && ask(ui, Purpose::Rows(chunk), query, effects) {
        ui.diff.rows = Loaded::Asked;
        ui.diff.rows_of = Some(chunk);
    }
}

fn bounds(ui: &mut Ui, scene: Scene, effects: &mut Vec<Effect>) {
    let p = scene.picture(ui);
    let (Some(table), Some(grid)) = (lists::map_table(&p), scope::map_grid(&p)) else {
        return;
    };
    let landed = scene.live.table(table).map_or(0, |t| t.chunks.len());
    let mut needed: Vec<u32> = (0..grid.lines)
        .filter_map(|line| grid.chunks(0, line).map(|(first, _)| first))
        .collect();
    if let Some((_, first, count)) = scope::cell(&p) {
        needed.extend([first, first.saturating_add(count)]);
    }
    if ui.map.bounds.len() > BOUNDS {
        ui.map.bounds.clear();
    }
    for no in needed {
        let chunk = ChunkId { table, no };
        if no < landed && !ui.map.bounds.contains_key(&chunk) {
            let query = Query::Bounds {
                table,
                first: no,
                count: 1,
            };
            ask(ui, Purpose::Bounds(chunk), query, effects);
        }
    }
}

/// Asks what the open prompt's command would do.
pub(super) fn dry_run(ui: &mut Ui, effects: &mut Vec<Effect>) {
    let Some(Popup::Ask(prompt)) = &mut ui.popup else {
        return;
    };
    prompt.dry = Loaded::Asked;
    let query = Query::DryRun(Box::new(prompt.command.clone()));
    // An answer to an earlier prompt must not be taken for this one's.
    ui.asked.retain(|(_, p)| *p != Purpose::DryRun);
    ask(ui, Purpose::DryRun, query, effects);
}

/// Asks where a typed key lies.
pub(super) fn locate(ui: &mut Ui, table: TableId, key: String, effects: &mut Vec<Effect>) {
    ui.asked.retain(|(_, p)| !matches!(p, Purpose::Locate(_)));
    ask(
        ui,
        Purpose::Locate(table),
        Query::Locate { table, key },
        effects,
    );
}

/// Takes an answer in. One that nobody waits for any more is dropped.
pub(super) fn answered(ui: &mut Ui, id: AskId, answer: Answer) {
    let Some(at) = ui.asked.iter().position(|(asked, _)| *asked == id) else {
        return;
    };
    let Some((_, purpose)) = ui.asked.remove(at) else {
        return;
    };
    match (purpose, answer) {
        (Purpose::Known, Answer::Drifted(known)) => {
            // What is known may have changed in its values too.
            ui.diff.rows = Loaded::Idle;
            ui.diff.known_tick = Some(ui.now.tick);
            let wanted = ui.diff.wanted;
            if let Some(row) = known.iter().find(|d| Some(d.chunk) == wanted) {
                ui.diff.row = Some((row.chunk, row.key.clone()));
                ui.diff.wanted = None;
            }
            ui.diff.known = Loaded::Have(known);
        }
        (Purpose::Known, Answer::Failed(fault)) => {
            if ui.diff.known.get().is_none() {
                ui.diff.known = Loaded::Failed(fault);
            }
        }
        (Purpose::Rows(chunk), Answer::Differences { rows, more }) => {
            if ui.diff.rows_of == Some(chunk) {
                ui.diff.rows = Loaded::Have((chunk, rows, more));
            }
        }
        (Purpose::Rows(chunk), Answer::Failed(fault)) => {
            if ui.diff.rows_of == Some(chunk) {
                ui.diff.rows = Loaded::Failed(fault);
            }
        }
        (Purpose::Bounds(chunk), Answer::Bounds(bounds)) => {
            let text = bounds.into_iter().next().unwrap_or_default();
            ui.map.bounds.insert(chunk, text);
        }
        (Purpose::Bounds(chunk), Answer::Failed(_)) => {
            // Not asked for again: the axis stays without it.
            ui.map.bounds.insert(chunk, String::new());
        }
        (Purpose::Locate(table), Answer::Located(Some(chunk))) => {
            go::show_table(ui, table, chunk.no);
            say(
                ui,
                Tone::Plain,
                format!("that key is in chunk {}", chunk.no),
            );
        }
        (Purpose::Locate(_), Answer::Located(None)) => {
            say(
                ui,
                Tone::Plain,
                "that key is not copied yet: it lies beyond the last copied chunk",
            );
        }
        (Purpose::Locate(_), Answer::Failed(fault)) => fault_said(ui, &fault),
        (Purpose::DryRun, Answer::DryRun(lines)) => {
            if let Some(Popup::Ask(prompt)) = &mut ui.popup {
                if matches!(prompt.command, Command::Abort { .. }) {
                    // The engine knows better what goes and what stays than what was said meanwhile.
                    prompt.lines.retain(|line| line.starts_with("choice"));
                }
                prompt.dry = Loaded::Have(lines);
            }
        }
        (Purpose::DryRun, Answer::Failed(fault)) => {
            if let Some(Popup::Ask(prompt)) = &mut ui.popup {
                prompt.dry = Loaded::Failed(fault);
            }
        }
        (_, other) => {
            let text = format!("the engine answered something else: {other:?}");
            say(ui, Tone::Bad, text.chars().take(200).collect::<String>());
        }
    }
}

fn fault_said(ui: &mut Ui, fault: &crate::domain::fault::Fault) {
    let hint = fault
        .hint
        .as_ref()
        .map_or(String::new(), |h| format!(" · {h}"));
    say(ui, Tone::Bad, format!("{fault}{hint}"));
}
