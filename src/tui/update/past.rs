//! Time travel: the same fold, stopped earlier. The runtime folds; this says where to.

use super::go::marks;
use super::{Effect, Scene, To, say};
use crate::domain::id::Seq;
use crate::domain::unit::{Span, Tick};
use crate::state::timeline::Line;
use crate::tui::commands::Act;
use crate::tui::model::{Replay, Screen, Tone, Ui};

const MINUTE: Span = Span::seconds(60);
/// Marks along the bar that are kept; the Timeline holds the rest.
const MARKS: usize = 500;

/// The next line of the Timeline, or the one before: shown as it was then. Counted from where the last step led, shown
/// already or not: as many steps are gone as keys were pressed.
pub(super) fn step(ui: &mut Ui, scene: Scene, forward: bool, effects: &mut Vec<Effect>) {
    let here = match ui.wish {
        Some(wish) => wish,
        None => To::Record(ui.replay.as_ref().map_or(scene.live.seq, |r| r.seq)),
    };
    let after = |l: &&Line| match here {
        To::Record(seq) => l.seq > seq,
        To::Moment(tick) => l.tick > tick,
        To::Now => false,
    };
    let before = |l: &&Line| match here {
        To::Record(seq) => l.seq < seq,
        To::Moment(tick) => l.tick < tick,
        To::Now => true,
    };
    let lines = &scene.live.timeline;
    let to = if forward {
        lines.iter().find(after)
    } else {
        lines.iter().rev().find(before)
    };
    match to.map(|l| l.seq) {
        Some(seq) => seek(ui, To::Record(seq), effects),
        None if forward => match &ui.replay {
            Some(replay) if replay.live => effects.push(Effect::Seek(To::Now)),
            Some(replay) if here != To::Record(replay.last) => {
                let last = replay.last;
                seek(ui, To::Record(last), effects);
            }
            _ => say(ui, Tone::Faint, "this is now"),
        },
        None => say(ui, Tone::Faint, "nothing before this"),
    }
}

fn seek(ui: &mut Ui, to: To, effects: &mut Vec<Effect>) {
    follow(ui);
    open(ui, to, effects);
}

/// What the hand chose is shown, and nothing plays on from it.
pub(super) fn open(ui: &mut Ui, to: To, effects: &mut Vec<Effect>) {
    if let Some(replay) = &mut ui.replay {
        replay.playing = false;
    }
    effects.push(Effect::Seek(to));
}

/// The Timeline's cursor goes with what is shown again.
fn follow(ui: &mut Ui) {
    if let Some(replay) = &ui.replay {
        ui.timeline.seq = Some(replay.seq);
    }
}

pub(super) fn control(ui: &mut Ui, scene: Scene, act: Act, effects: &mut Vec<Effect>) {
    let now = ui.now.run;
    let plays = ui.replay.as_ref().is_some_and(|replay| replay.playing);
    // Whoever stops it to look at a line, or changes its speed, finds the cursor where it was.
    if act != Act::Speed && !(act == Act::Play && plays) {
        follow(ui);
    }
    let Some(replay) = &mut ui.replay else {
        return;
    };
    let here = match ui.wish {
        Some(To::Moment(tick)) => tick,
        Some(To::Record(seq)) => {
            let line = scene.live.timeline.iter().find(|l| l.seq == seq);
            line.map_or(replay.tick, |l| l.tick)
        }
        Some(To::Now) | None => replay.tick,
    };
    match act {
        Act::Play => {
            replay.playing = !replay.playing;
            replay.from = (now, here);
            if replay.playing && replay.seq >= replay.last {
                replay.playing = false;
                say(ui, Tone::Faint, "this is the end of the record");
            }
        }
        Act::Speed => {
            replay.speed = match replay.speed {
                1 => 10,
                10 => 60,
                _ => 1,
            };
            replay.from = (now, here);
        }
        Act::MinuteBack => {
            let to = Tick(here.0.saturating_sub(MINUTE.0));
            replay.from = (now, to);
            effects.push(Effect::Seek(To::Moment(to)));
        }
        Act::MinuteOn => {
            let to = here.plus(MINUTE).min(replay.last_tick);
            replay.from = (now, to);
            effects.push(Effect::Seek(To::Moment(to)));
        }
        Act::Live if replay.live => effects.push(Effect::Seek(To::Now)),
        _ => {}
    }
}

/// Goes on by itself: to where the clock of the replay is by now.
pub(super) fn play(ui: &mut Ui, effects: &mut Vec<Effect>) {
    let now = ui.now.run;
    let Some(replay) = ui.replay.as_mut().filter(|r| r.playing) else {
        return;
    };
    let (began, tick) = replay.from;
    let gone = Span((now - began).0.saturating_mul(u64::from(replay.speed)));
    let to = tick.plus(gone);
    if to >= replay.last_tick {
        replay.playing = false;
        let to = if replay.live {
            To::Now
        } else {
            To::Record(replay.last)
        };
        effects.push(Effect::Seek(to));
    } else {
        effects.push(Effect::Seek(To::Moment(to)));
    }
}

/// Another time is shown now.
pub(super) fn shown(ui: &mut Ui, scene: Scene, replay: Option<Replay>) {
    ui.wish = None;
    let Some(mut replay) = replay else {
        if ui.replay.take().is_some() {
            ui.timeline.seq = None;
            say(ui, Tone::Plain, "this is now again");
        }
        return;
    };
    // While it plays, a cursor that the hand has moved to another line waits there.
    let cursor = ui.timeline.seq;
    let moved = |old: &Replay| cursor.is_some_and(|at| at != old.seq);
    let follows = !ui.replay.as_ref().is_some_and(moved);
    match &ui.replay {
        Some(old) => {
            // Where it came from is the console's own; what is shown is the runtime's.
            replay.playing = old.playing;
            replay.speed = old.speed;
            // A recording begins with an empty place: its clock runs from the first state that arrives.
            replay.from = if old.last == Seq(0) {
                (ui.now.run, replay.tick)
            } else {
                old.from
            };
            replay.marks.clone_from(&old.marks);
        }
        None => {
            replay.speed = replay.speed.max(1);
            replay.from = (ui.now.run, replay.tick);
            ui.frozen = false;
            if ui.screen != Screen::Timeline && replay.live {
                say(ui, Tone::Plain, "this is the past; End returns to now");
            }
        }
    }
    if replay.marks.is_empty() {
        let marked = scene.live.timeline.iter().filter(|l| marks(l.mark));
        let all: Vec<(Seq, Tick, _)> = marked.map(|l| (l.seq, l.tick, l.mark)).collect();
        let skip = all.len().saturating_sub(MARKS);
        replay.marks = all[skip..].to_vec();
    }
    if follows {
        ui.timeline.seq = Some(replay.seq);
    }
    ui.replay = Some(replay);
}
