//! Whether a command can be done now. The engine decides in the end; this tells a person before they try, in the same words.

use super::{Act, would_resume};
use crate::domain::event::Phase;
use crate::domain::unit::Span;
use crate::state::migration::{Migration, RepairState};
use crate::tui::clip;
use crate::tui::lists;
use crate::tui::model::{Link, Picture, Screen};
use crate::tui::scope;
use crate::tui::view::words;

/// Within this time of a `P`, the same person takes it back with another `P`.
pub const SLIP: Span = Span::seconds(10);

/// Whether anything may act: not while the past is shown, looking on, cut off, or looking at old figures.
pub fn acting(p: &Picture) -> Result<(), String> {
    match p.link {
        Link::Replay { live: true, .. } => {
            return Err("the past: acting keys are off; End returns".into());
        }
        Link::Replay { live: false, .. } => {
            return Err("a recording: there is nothing to act on".into());
        }
        Link::Lost { .. } => {
            let engine = words::without_us(p.live);
            return Err(format!("link lost: the engine {engine}"));
        }
        Link::Live { .. } => {}
    }
    if p.observer {
        return Err("you look on: attach without --observe to act".into());
    }
    if let Link::Live { age } = p.link
        && p.stale()
    {
        return Err(format!("the picture is {age} old: acting keys are off"));
    }
    if p.live.over() {
        return Err(format!("it has ended ({})", p.live.phase.label()));
    }
    Ok(())
}

/// Whether the brake may be tried: for every operator, in every state; an old picture or a lost link is no reason not to.
pub fn brake(p: &Picture) -> Result<(), String> {
    if let Link::Replay { live: false, .. } = p.link {
        return Err("a recording: there is nothing to act on".into());
    }
    if p.observer {
        return Err("you look on: attach without --observe to act".into());
    }
    if p.live.over() {
        return Err(format!("it has ended ({})", p.live.phase.label()));
    }
    Ok(())
}

/// Whether somebody else leads, in words.
pub fn lead_needed(p: &Picture) -> Result<(), String> {
    match p.live.people.leader() {
        Some(leader) if !p.leads() => Err(format!(
            "{} leads; you may pause, slow down, compare, note and acknowledge",
            leader.who
        )),
        _ => Ok(()),
    }
}

/// Whether the same person paused just now: pressing `P` again is a slip undone, not a resume.
pub fn slip(p: &Picture) -> bool {
    let me = p.me.map(|m| &m.who);
    p.live
        .operator_paused
        .as_ref()
        .is_some_and(|(who, at)| Some(who) == me && p.ui.now.tick.since(*at) <= SLIP)
}

fn comparing(state: &Migration, what: &str) -> Result<(), String> {
    let phase = state.phase;
    if matches!(
        phase,
        Phase::Copy | Phase::CatchUp | Phase::Synced | Phase::Reads
    ) {
        Ok(())
    } else {
        Err(format!("nothing can be {what} in phase {}", phase.label()))
    }
}

pub(super) fn allowed(act: Act, p: &Picture) -> Result<(), String> {
    match act {
        Act::Pause if would_resume(p) => resume(p),
        Act::Pause | Act::StopAll => brake(p),
        Act::Resume => {
            if p.live.pauses.is_empty() {
                return Err("nothing is paused".into());
            }
            resume(p)
        }
        Act::Pace | Act::Limit => acting(p),
        Act::Verify => {
            acting(p)?;
            comparing(p.live, "compared")
        }
        Act::Repair => {
            acting(p)?;
            comparing(p.live, "repaired")?;
            let Some(scope) = scope::selected(p) else {
                return Err("nothing is selected".into());
            };
            if scope::differing(p.state, &scope) == 0 {
                let what = scope::words(p.state, &scope);
                return Err(format!(
                    "{what}: nothing is known to differ; V compares it again"
                ));
            }
            lead_needed(p)
        }
        Act::Shadow => {
            acting(p)?;
            if lists::shadow_queries(p.state).is_empty() {
                return Err(
                    "no read to compare is configured: write a [[shadow]] section with name and sql in tidegate.toml"
                        .into(),
                );
            }
            lead_needed(p)
        }
        Act::Abort => {
            acting(p)?;
            if !crate::state::phase::may_move(p.live.phase, Phase::RollingBack) {
                let phase = p.live.phase.label();
                return Err(format!("there is nothing to give up in phase {phase}"));
            }
            lead_needed(p)
        }
        Act::Acknowledge => {
            acting(p)?;
            if p.live.alerts.values().all(|a| a.seen_by.is_some()) {
                return Err("no alert waits to be acknowledged".into());
            }
            Ok(())
        }
        Act::Note => {
            // A note is right after the end as well: what was learned is written down then.
            match acting(p) {
                Err(_) if p.live.over() && p.ui.replay.is_none() && !p.stale() && !p.observer => {
                    Ok(())
                }
                other => other,
            }
        }
        Act::Undo => {
            acting(p)?;
            if p.ui.undo.is_empty() && my_repair(p).is_none() {
                return Err("you did nothing that can be taken back".into());
            }
            lead_needed(p)
        }
        Act::Lead => {
            acting(p)?;
            match p.live.people.leader() {
                Some(leader) if !p.leads() && p.me.map(|m| &m.who) != Some(&leader.who) => {
                    Err(format!(
                        "{} leads: ask them to give it up with L; it is free when their console is gone",
                        leader.who
                    ))
                }
                _ => Ok(()),
            }
        }
        Act::Park => {
            acting(p)?;
            lead_needed(p)
        }
        Act::Play | Act::Speed | Act::MinuteBack | Act::MinuteOn => {
            if p.ui.replay.is_some() {
                Ok(())
            } else {
                Err("nothing is being replayed: Enter on a line of the Timeline goes there".into())
            }
        }
        Act::Live => match &p.ui.replay {
            Some(replay) if !replay.live => Err("a recording has no now to return to".into()),
            _ => Ok(()),
        },
        Act::Open | Act::Full if nothing_to_read(act, p) => match p.ui.screen {
            Screen::Shadow => Err("no read to compare is configured".into()),
            _ => Err("nothing is selected".into()),
        },
        Act::Suspend if !p.ui.caps.suspend => {
            Err("there is no shell to come back from; q detaches".into())
        }
        Act::Freeze if p.ui.replay.is_some() => Err("the past stands still already".into()),
        Act::Fold if !matches!(p.ui.screen, Screen::Overview | Screen::Timeline) => {
            Err("nothing folds here".into())
        }
        _ => Ok(()),
    }
}

/// Whether there is no text that the key could show.
fn nothing_to_read(act: Act, p: &Picture) -> bool {
    let reads =
        act == Act::Full || matches!(p.ui.screen, Screen::Shadow | Screen::Log | Screen::Help);
    reads && clip::full(p).1.is_empty()
}

fn resume(p: &Picture) -> Result<(), String> {
    acting(p)?;
    if slip(p) {
        return Ok(());
    }
    lead_needed(p)
}

/// My last repair that can be taken back.
pub fn my_repair(p: &Picture) -> Option<crate::domain::id::RepairId> {
    let me = &p.me?.who;
    let mut mine = p.live.repairs.iter().rev();
    mine.find(|(_, r)| r.by == *me && matches!(r.state, RepairState::Done { .. }))
        .map(|(id, _)| *id)
}
