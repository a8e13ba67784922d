//! What the engine's tasks tell the supervisor, and the facts that makes.

use super::decide::{Decision, Effect};
use super::schedule::Cause;
use crate::domain::event::{Fact, PauseReason};
use crate::domain::fault::Fault;
use crate::domain::id::{ChunkId, TableId, Token, Who};
use crate::domain::key::{Key, Range};
use crate::domain::plan::Side;
use crate::domain::position::Position;
use crate::domain::unit::{Bytes, Rows, Span};
use crate::domain::verdict::{ChunkVerdict, DriftClass};
use crate::state::migration::Migration;

/// What a task has to say. Each is an outcome that was read back or acknowledged, never a hope.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// The lease is ours, and this is where the target stands.
    Recovered {
        /// Our lease; none before there is a ledger.
        token: Option<Token>,
        /// The target's applied position.
        applied: Position,
        /// Whether a journal was there before.
        resumed: bool,
        /// Chunks landed on the target that the journal does not know: number, range, rows.
        found: Vec<(ChunkId, Range, Rows)>,
        /// Tables whose last chunk is among them.
        complete: Vec<TableId>,
    },
    /// Something of ours stands.
    Made(Side, String, Span),
    /// A table's size.
    Sized(TableId, Rows, bool),
    /// A chunk is durable on the target.
    Landed {
        /// Which.
        chunk: ChunkId,
        /// Its range, for the journal's table of bounds.
        range: Range,
        /// Rows.
        rows: Rows,
        /// Bytes.
        bytes: Bytes,
        /// From the read's start to the commit.
        took: Span,
        /// The stream's position then.
        position: Position,
    },
    /// The last chunk of a table has landed.
    Copied(TableId),
    /// A chunk was compared; with the keys that differ.
    Checked {
        /// Which.
        chunk: ChunkId,
        /// What it gave.
        verdict: ChunkVerdict,
        /// The keys, for the journal's table of known differences; bounded.
        keys: Vec<(Key, DriftClass)>,
        /// The command that the compare follows from.
        cause: Option<Cause>,
    },
    /// Neighbouring chunks were compared and found equal, with nothing in flight.
    Equal {
        /// The table.
        table: TableId,
        /// The first of them.
        first: u32,
        /// Rows of each.
        rows: Vec<u32>,
        /// As of here.
        position: Position,
        /// The command that the compare follows from.
        cause: Option<Cause>,
    },
    /// A repair is durable, and so is what was there before.
    Repaired(Fact),
    /// A repair's end without effect, or an undo.
    RepairEnded(Fact),
    /// Copy and stream have come to rest.
    Rested,
    /// A signal began to hold the copy back; none: nothing does.
    Held(Option<String>),
    /// Something must stand still until it is mended.
    Trouble(PauseReason),
    /// It is mended.
    Mended(PauseReason),
    /// Something of ours is gone, with what is left.
    Removed(Side, String, Vec<String>),
    /// Everything of ours is gone.
    AllRemoved,
    /// Something failed without stopping everything.
    Failed(Fault),
}

/// The facts a report makes.
pub fn on_report(state: &Migration, report: &Report, host: &str) -> Decision {
    let mut facts = Vec::new();
    match report {
        Report::Recovered {
            token,
            applied,
            resumed,
            found,
            complete,
        } => {
            facts.push(Fact::EngineStarted {
                pid: std::process::id(),
                host: host.to_string(),
                version: env!("CARGO_PKG_VERSION").to_string(),
                token: *token,
                applied: *applied,
                found: u32::try_from(found.len()).unwrap_or(u32::MAX),
                resumed: *resumed,
            });
            for (chunk, _, rows) in found {
                facts.push(Fact::ChunkLanded {
                    chunk: *chunk,
                    rows: *rows,
                    bytes: Bytes::ZERO,
                    took: Span::ZERO,
                    position: *applied,
                    attempt: 1,
                });
            }
            let unfinished = |id: &&TableId| state.table(**id).is_some_and(|t| !t.complete);
            facts.extend(
                complete
                    .iter()
                    .filter(unfinished)
                    .map(|id| Fact::TableCopied { table: *id }),
            );
            // What made the last engine stand still is looked at anew by this one; a person's pause stays.
            for pause in &state.pauses {
                if matches!(
                    pause.reason,
                    PauseReason::Database(..)
                        | PauseReason::StaleMetrics(_)
                        | PauseReason::TargetFull
                ) {
                    facts.push(Fact::Resumed {
                        reason: pause.reason.clone(),
                        by: Who::Engine,
                    });
                }
            }
            // Its signals are gone with it; this one's are still to be measured.
            held(state, None, &mut facts);
        }
        Report::Made(side, what, took) => {
            // Making is done again after a crash and changes nothing then; what was put back is told each time.
            let known = state.made.iter().any(|(s, w)| s == side && w == what);
            if !known || what.ends_with(", again") {
                facts.push(Fact::Made {
                    side: *side,
                    what: what.clone(),
                    took: *took,
                });
            }
        }
        Report::Sized(table, rows, exact) => facts.push(Fact::TableSized {
            table: *table,
            rows: *rows,
            exact: *exact,
        }),
        // Found in the ledger and reported by the task that landed it: once is enough.
        Report::Landed { chunk, .. } if landed(state, *chunk) => {}
        Report::Landed {
            chunk,
            rows,
            bytes,
            took,
            position,
            ..
        } => {
            let again = state.sample.copying.contains(chunk)
                && state.engine_starts > 1
                && state.sample_tick < engine_since(state);
            facts.push(Fact::ChunkLanded {
                chunk: *chunk,
                rows: *rows,
                bytes: *bytes,
                took: *took,
                position: *position,
                attempt: if again { 2 } else { 1 },
            });
        }
        Report::Copied(table) => {
            if state.table(*table).is_some_and(|t| !t.complete) {
                facts.push(Fact::TableCopied { table: *table });
            }
        }
        Report::Checked { chunk, verdict, .. } => facts.push(Fact::ChunkChecked {
            chunk: *chunk,
            verdict: verdict.clone(),
        }),
        Report::Equal {
            table,
            first,
            rows,
            position,
            ..
        } => {
            facts.push(Fact::ChunksEqual {
                table: *table,
                first: *first,
                rows: rows.clone(),
                position: *position,
            });
        }
        Report::RepairEnded(fact) => facts.push(fact.clone()),
        Report::Repaired(fact) => facts.push(fact.clone()),
        Report::Rested => {
            if state.paused() && !state.rested {
                facts.push(Fact::Rested);
            }
        }
        Report::Held(signal) => held(state, signal.as_ref(), &mut facts),
        Report::Trouble(reason) => {
            if !state.pauses.iter().any(|p| same_trouble(&p.reason, reason)) {
                facts.push(Fact::Paused {
                    reason: reason.clone(),
                    by: Who::Engine,
                });
            }
        }
        Report::Mended(reason) => {
            if state.pauses.iter().any(|p| p.reason == *reason) {
                facts.push(Fact::Resumed {
                    reason: reason.clone(),
                    by: Who::Engine,
                });
            }
        }
        Report::Removed(side, what, left) => {
            let known = (*side, what.clone(), left.clone());
            if !state.removed.contains(&known) {
                facts.push(Fact::Removed {
                    side: *side,
                    what: what.clone(),
                    left: left.clone(),
                });
            }
        }
        Report::AllRemoved => facts.push(Fact::PhaseEntered {
            phase: crate::domain::event::Phase::RolledBack,
        }),
        Report::Failed(fault) => facts.push(Fact::Failed {
            fault: fault.clone(),
        }),
    }
    // A task may have been overtaken by an abort: what can't follow any more is dropped, not obeyed.
    let mut reached = state.phase;
    facts.retain(|fact| match crate::state::phase::next(reached, fact) {
        Ok(next) => {
            reached = next;
            true
        }
        Err(_) => false,
    });
    let cause = match report {
        Report::Checked { cause, .. } | Report::Equal { cause, .. } => *cause,
        _ => None,
    };
    let undone = facts.iter().filter_map(|fact| match fact {
        Fact::RepairUndone { repair, .. } => Some(Effect::Forget(*repair)),
        _ => None,
    });
    Decision {
        effects: undone.collect(),
        facts,
        cause,
        ..Decision::default()
    }
}

fn landed(state: &Migration, chunk: ChunkId) -> bool {
    state
        .table(chunk.table)
        .is_some_and(|t| chunk.no < t.chunks.len())
}

/// Several tasks that run into one trouble each tell it in their own words.
fn same_trouble(there: &PauseReason, new: &PauseReason) -> bool {
    match (there, new) {
        (PauseReason::Database(a, _), PauseReason::Database(b, _)) => a == b,
        (PauseReason::SourceReplaced(_), PauseReason::SourceReplaced(_)) => true,
        (there, new) => there == new,
    }
}

fn engine_since(state: &Migration) -> crate::domain::unit::Tick {
    state.engine.as_ref().map(|e| e.since).unwrap_or_default()
}

fn held(state: &Migration, signal: Option<&String>, facts: &mut Vec<Fact>) {
    let now = state.held.as_ref().map(|(s, since)| (s.clone(), *since));
    match (signal, now) {
        (Some(new), Some((old, _))) if *new == old => {}
        (new, old) => {
            if let Some((signal, since)) = old {
                facts.push(Fact::ThrottleFreed {
                    signal,
                    held: state.tick.since(since),
                });
            }
            if let Some(signal) = new {
                facts.push(Fact::ThrottleHeld {
                    signal: signal.clone(),
                });
            }
        }
    }
}
