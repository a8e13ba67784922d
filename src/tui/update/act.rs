//! Commands that act: sent at once when a slip does no harm, else after a question.

use super::{Effect, Scene, asks, say};
use crate::domain::command::{Command, Pace, Scope};
use crate::domain::event::Phase;
use crate::domain::id::{AlertId, CommandId, TableId};
use crate::domain::plan::Engine;
use crate::domain::unit::{RowsPerSecond, counted, short_count};
use crate::domain::words::Words;
use crate::state::migration::Migration;
use crate::state::pace;
use crate::state::timeline::pause_words;
use crate::tui::commands::{Act, lead_needed, my_repair, paused_by_hand, slip, would_resume};
use crate::tui::dialog::{NoteEditor, RateDialog, RateOf};
use crate::tui::lists;
use crate::tui::model::{Picture, Popup, Screen, Sent, Tone, Ui, Undo};
use crate::tui::prompt::{Arm, Prompt};
use crate::tui::scope;

/// Commands on their way that are remembered.
const SENT: usize = 64;

pub(super) fn perform(ui: &mut Ui, scene: Scene, act: Act, effects: &mut Vec<Effect>) {
    let p = scene.picture(ui);
    match act {
        Act::Pause if would_resume(&p) => {
            if slip(&p) {
                send(ui, scene, Command::Resume, None, effects);
            } else {
                ask_resume(ui, scene);
            }
        }
        Act::Resume => ask_resume(ui, scene),
        // Only the past is looked at: there `P` never resumes, and has nothing more to pause.
        Act::Pause if paused_by_hand(&p) => {
            say(
                ui,
                Tone::Plain,
                "paused already; End goes back to now, where P resumes",
            );
        }
        Act::Pause => send(ui, scene, Command::Pause, None, effects),
        Act::StopAll => send(ui, scene, Command::StopAll, None, effects),
        Act::Pace => {
            let facts = pace_facts(&p);
            let dialog = RateDialog::pace(scene.live.pace, scene.live.best_rate, facts);
            ui.popup = Some(Popup::Rate(dialog));
        }
        Act::Limit => {
            let plan = scene.live.plan.as_ref();
            let names = plan.and_then(|plan| plan.read_limit("").err());
            say(
                ui,
                Tone::Plain,
                format!("limit: {}", names.unwrap_or_default()),
            );
        }
        Act::Shadow => {
            let queries = lists::shadow_queries(scene.live).len();
            let facts = vec![format!(
                "now {}/s over {}",
                scene.live.shadow_per_second,
                counted(queries as u64, "read")
            )];
            let dialog = RateDialog::shadow(scene.live.shadow_per_second, facts);
            ui.popup = Some(Popup::Rate(dialog));
        }
        Act::Verify => {
            let scope = scope::selected(&p).unwrap_or(Scope::All);
            send(ui, scene, Command::Verify(scope), None, effects);
        }
        Act::Repair => {
            if let Some(scope) = scope::selected(&p) {
                ask_repair(ui, scene, scope, effects);
            }
        }
        Act::Undo => ask_undo(ui, scene),
        Act::Acknowledge => {
            let id = alert_to_acknowledge(&p);
            if let Some(id) = id {
                send(ui, scene, Command::Acknowledge(id), None, effects);
            }
        }
        Act::Note => ui.popup = Some(Popup::Note(Box::new(NoteEditor::new(&ui.draft)))),
        Act::Lead => {
            let take = !p.leads();
            send(ui, scene, Command::Lead { take }, None, effects);
        }
        Act::Abort => ask_abort(ui, scene, effects),
        Act::Park => {
            let prompt = Prompt::yes(
                "Park the engine?",
                "park",
                "keep it running",
                Command::Park,
                scene.shown.seq,
            )
            .line("it stops at the next safe point and keeps everything for resuming")
            .line(about(scene.live).unread)
            .line("consoles lose their link")
            .line(format!("tidegate run goes on with {}", scene.live.name()));
            ui.popup = Some(Popup::Ask(Box::new(prompt)));
        }
        // Looking commands go to `look`.
        _ => {}
    }
}

/// Sends a command. That it was asked for is said at once; that it happened, only a fact tells.
pub(super) fn send(
    ui: &mut Ui,
    scene: Scene,
    command: Command,
    undo: Option<Undo>,
    effects: &mut Vec<Effect>,
) {
    let id = ui.next_command;
    ui.next_command = CommandId(id.0 + 1);
    if ui.sent.len() == SENT {
        ui.sent.pop_front();
    }
    ui.sent.push_back(Sent {
        id,
        command: command.clone(),
        run: ui.now.run,
        accepted: None,
        undo,
    });
    let text = match &command {
        Command::Pause => "pausing…".to_string(),
        Command::StopAll => "stopping everything of ours…".to_string(),
        Command::Resume => "resuming…".to_string(),
        Command::Note { .. } => "note sent".to_string(),
        other => format!("{}: sent", scope::command(scene.shown, other)),
    };
    say(ui, Tone::Plain, text);
    let seen = scene.shown.seq;
    effects.push(Effect::Send { id, command, seen });
}

fn ask_resume(ui: &mut Ui, scene: Scene) {
    let state = scene.live;
    let mut prompt = Prompt::yes(
        "Resume?",
        "resume",
        "keep it paused",
        Command::Resume,
        scene.shown.seq,
    );
    for pause in &state.pauses {
        prompt = prompt.line(format!(
            "{} · {} · {}",
            pause_words(&pause.reason, state),
            pause.by,
            ui.now.tick.since(pause.since)
        ));
    }
    let pace = state
        .pace
        .map_or_else(|| "auto".into(), |r| format!("{r} rows/s"));
    let prompt = prompt.line(format!("pace {pace}"));
    ui.popup = Some(Popup::Ask(Box::new(prompt)));
}

/// Asks before a repair, with what the engine says it would do.
pub(super) fn ask_repair(ui: &mut Ui, scene: Scene, scope: Scope, effects: &mut Vec<Effect>) {
    let state = scene.shown;
    let rows = scope::differing(state, &scope);
    let words = scope::words(state, &scope);
    let command = Command::Repair(scope::only_differing(state, scope));
    let prompt = Prompt::yes(
        format!("Repair {words}?"),
        "repair",
        "leave it",
        command,
        state.seq,
    )
    .line(format!("{} known to differ", counted(rows, "row")))
    .line("they are landed again from the source; what is replaced is kept for U");
    ui.popup = Some(Popup::Ask(Box::new(prompt)));
    asks::dry_run(ui, effects);
}

fn ask_abort(ui: &mut Ui, scene: Scene, effects: &mut Vec<Effect>) {
    let state = scene.live;
    let command = Command::Abort {
        drop_target: false,
        confirm: String::new(),
    };
    let name = state.name().to_string();
    let target = state
        .plan
        .as_ref()
        .map_or("the target", |p| &p.target.label);
    let title = format!("Go back: give up {target}");
    let prompt = Prompt::yes(title, "", "not now", command, scene.shown.seq).name(name);
    ui.popup = Some(Popup::Ask(Box::new(prompt)));
    abort_lines(ui, scene);
    asks::dry_run(ui, effects);
}

/// How the source is spoken of.
fn about(state: &Migration) -> &'static Words {
    let engine = state.plan.as_ref().map(|plan| plan.source.engine);
    engine.unwrap_or(Engine::Sqlite).words()
}

/// What giving up would leave and take, by the choice made in the prompt.
pub(super) fn abort_lines(ui: &mut Ui, scene: Scene) {
    let Some(Popup::Ask(prompt)) = &mut ui.popup else {
        return;
    };
    let Command::Abort { drop_target, .. } = prompt.command else {
        return;
    };
    let plan = scene.live.plan.as_ref();
    let side = |target: bool| {
        plan.map_or(if target { "target" } else { "source" }, |p| {
            if target {
                &p.target.label
            } else {
                &p.source.label
            }
        })
    };
    let stays = if drop_target {
        format!(
            "drops     what tidegate made on {}; nothing that was there before",
            side(true)
        )
    } else {
        format!(
            "stays     the rows copied to {} so far, no longer kept current",
            side(true)
        )
    };
    prompt.lines = vec![
        format!(
            "loses     nothing: {} has taken every write and goes on",
            side(false)
        ),
        format!(
            "goes      everything of ours on both sides: {}, ledger, guards ({})",
            about(scene.live).capture,
            side(false)
        ),
        stays,
        format!(
            "choice    {}",
            if drop_target {
                "drop what tidegate made (Tab: keep the rows)"
            } else {
                "keep the rows (Tab: drop what tidegate made)"
            }
        ),
    ];
}

fn ask_undo(ui: &mut Ui, scene: Scene) {
    let p = scene.picture(ui);
    let state = scene.live;
    let mine = my_repair(&p);
    let last = ui.undo.back().cloned().or(mine.map(|_| Undo::Repair));
    let (title, command, lines) = match (last, mine) {
        (Some(Undo::Pace(before)), _) => {
            let words =
                |pace: Option<RowsPerSecond>| pace.map_or("auto".into(), |r| format!("{r} rows/s"));
            let pace = before.map_or(Pace::Auto, Pace::Limit);
            let line = format!("pace {} → {}", words(state.pace), words(before));
            ("Take the pace back?", Command::Pace(pace), vec![line])
        }
        (Some(Undo::Shadow(before)), _) => {
            let line = format!("shadow compare {}/s → {before}/s", state.shadow_per_second);
            (
                "Take the shadow rate back?",
                Command::Shadow { per_second: before },
                vec![line],
            )
        }
        (Some(Undo::Repair), Some(id)) => {
            let repair = state.repairs.get(&id);
            let table =
                repair.map_or_else(String::new, |r| scope::words(state, &Scope::Table(r.table)));
            let line = format!("repair {id} of {table}: what it replaced is put back");
            (
                "Undo the repair?",
                Command::Undo(id),
                vec![line, "undone rows differ again, and are shown so".into()],
            )
        }
        (Some(Undo::Repair), None) | (None, _) => {
            ui.undo.pop_back();
            return say(
                ui,
                Tone::Plain,
                "that repair is not done yet, or was undone already",
            );
        }
    };
    let mut prompt = Prompt::yes(title, "undo", "leave it", command, scene.shown.seq);
    prompt.lines = lines;
    ui.popup = Some(Popup::Ask(Box::new(prompt)));
}

fn alert_to_acknowledge(p: &Picture) -> Option<AlertId> {
    let waits = |id: &AlertId| p.live.alerts.get(id).is_some_and(|a| a.seen_by.is_none());
    let chosen = (p.ui.screen == Screen::Overview && p.ui.pane == 1)
        .then(|| lists::selected_alert(p))
        .flatten();
    chosen
        .filter(waits)
        .or_else(|| lists::alerts(p.live).into_iter().find(waits))
}

fn pace_facts(p: &Picture) -> Vec<String> {
    let state = p.live;
    let allowed = state.pace.map_or("auto".into(), |r| r.to_string());
    let held = match pace::held_by(state) {
        Some(held) => format!("held by {held}"),
        None if pace::copies(state) => "nothing holds it".to_string(),
        None if state.phase == Phase::Copy && state.paused() => {
            "paused: it holds once the copy goes on".to_string()
        }
        None => "nothing is copied now: it holds for the next copy".to_string(),
    };
    vec![
        format!(
            "now {} rows/s   allowed {allowed}   best seen {}",
            state.sample.copy_rate, state.best_rate
        ),
        held,
    ]
}

/// Whether a pace is no faster than what is allowed now.
fn slower(now: Option<RowsPerSecond>, pace: Pace) -> bool {
    match (pace, now) {
        (Pace::Auto, now) => now.is_none(),
        (Pace::Limit(_), None) => true,
        (Pace::Limit(limit), Some(now)) => limit <= now,
    }
}

/// Sets the pace: slower at once, faster after a question. False, with the reason said, when it can't be.
pub(super) fn set_pace(
    ui: &mut Ui,
    scene: Scene,
    pace: Pace,
    effects: &mut Vec<Effect>,
) -> Result<(), String> {
    let before = scene.live.pace;
    let now = before.map_or(Pace::Auto, Pace::Limit);
    if pace == now {
        return Err("that is the pace already".into());
    }
    ui.popup = None;
    if slower(before, pace) {
        send(
            ui,
            scene,
            Command::Pace(pace),
            Some(Undo::Pace(before)),
            effects,
        );
        return Ok(());
    }
    lead_needed(&scene.picture(ui))?;
    let words = |pace: Pace| match pace {
        Pace::Auto => "auto".to_string(),
        Pace::Limit(limit) => format!("{limit} rows/s"),
    };
    let mut prompt = Prompt::yes(
        "Faster?",
        "set it",
        "leave it",
        Command::Pace(pace),
        scene.shown.seq,
    );
    prompt.lines = vec![format!("pace {} → {}", words(now), words(pace))];
    prompt.lines.extend(pace_facts(&scene.picture(ui)));
    ui.popup = Some(Popup::Ask(Box::new(prompt)));
    Ok(())
}

/// Sets the limit of a signal: stricter at once, looser after a question.
pub(super) fn set_limit(
    ui: &mut Ui,
    scene: Scene,
    text: &str,
    effects: &mut Vec<Effect>,
) -> Result<(), String> {
    let plan = scene.live.plan.as_ref().ok_or("nothing is planned yet")?;
    let (limited, at) = plan.read_limit(text)?;
    let now = scene.live.limit(&limited.name).unwrap_or(limited);
    let signal = now.name.clone();
    if at == now.limit.at {
        return Err("that is the limit already".into());
    }
    let command = Command::Limit {
        signal: signal.clone(),
        at,
    };
    if now.stricter(at) {
        send(ui, scene, command, None, effects);
        return Ok(());
    }
    lead_needed(&scene.picture(ui))?;
    let words = |at| now.measure.show(at);
    let line = format!("{signal} {} → {}", words(now.limit.at), words(at));
    let mut prompt = Prompt::yes("Looser?", "set it", "leave it", command, scene.shown.seq);
    prompt.lines = vec![line, "the copy slows down later".into()];
    ui.popup = Some(Popup::Ask(Box::new(prompt)));
    Ok(())
}

/// Asks before the shadow rate is set.
pub(super) fn set_shadow(ui: &mut Ui, scene: Scene, per_second: u32) {
    let before = scene.live.shadow_per_second;
    if per_second == before {
        ui.popup = None;
        return say(ui, Tone::Faint, "that is the rate already");
    }
    let mut prompt = Prompt::yes(
        "Shadow compare?",
        "set it",
        "leave it",
        Command::Shadow { per_second },
        scene.shown.seq,
    );
    prompt.lines = vec![
        format!(
            "{before}/s → {per_second}/s over {}",
            counted(lists::shadow_queries(scene.live).len() as u64, "read")
        ),
        "each is run on both sides: real reads on the source".into(),
    ];
    ui.popup = Some(Popup::Ask(Box::new(prompt)));
}

/// A dialog's Enter.
pub(super) fn rate_chosen(
    ui: &mut Ui,
    scene: Scene,
    dialog: RateDialog,
    effects: &mut Vec<Effect>,
) {
    match dialog.of {
        RateOf::Copy => {
            if let Err(why) = set_pace(ui, scene, dialog.chosen(), effects) {
                let mut dialog = dialog;
                dialog.said = why;
                ui.popup = Some(Popup::Rate(dialog));
            }
        }
        RateOf::Shadow => {
            let rate = dialog.value.unwrap_or(0).min(u64::from(u32::MAX)) as u32;
            set_shadow(ui, scene, rate);
        }
    }
}

/// A prompt was answered with yes. The command is sent as it was asked about.
pub(super) fn confirmed(ui: &mut Ui, scene: Scene, prompt: Prompt, effects: &mut Vec<Effect>) {
    let undo = match &prompt.command {
        Command::Pace(_) => Some(Undo::Pace(scene.live.pace)),
        Command::Shadow { .. } => Some(Undo::Shadow(scene.live.shadow_per_second)),
        Command::Repair(_) => Some(Undo::Repair),
        _ => None,
    };
    let takes_back = prompt.yes == "undo" && matches!(prompt.arm, Arm::Yes);
    if takes_back {
        ui.undo.pop_back();
    }
    // An act that takes another back is not itself remembered: U, U would go back and forth.
    let undo = undo.filter(|_| !takes_back);
    let seen = prompt.seen;
    send(ui, scene, prompt.command, undo, effects);
    if let Some(Effect::Send { seen: at, .. }) = effects.last_mut() {
        *at = seen;
    }
}

/// Compares a named table.
pub(super) fn verify_table(ui: &mut Ui, scene: Scene, table: TableId, effects: &mut Vec<Effect>) {
    send(
        ui,
        scene,
        Command::Verify(Scope::Table(table)),
        None,
        effects,
    );
}

/// A rate in words, for messages.
pub(super) fn per_second(rate: u64) -> String {
    format!("{} rows/s", short_count(rate))
}
