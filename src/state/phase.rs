//! The one table of legal moves. Live running, recovery and replay all go through it.

use crate::domain::event::{Fact, Phase};
use std::fmt;

/// Why a fact can't follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illegal {
    /// The phase it met.
    pub phase: Phase,
    /// What was to happen.
    pub what: &'static str,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} can't happen in phase {}",
            self.what,
            self.phase.label()
        )
    }
}

/// Whether one phase may follow another. Reading top to bottom is the way forward; the last lines are the ways back.
pub fn may_move(from: Phase, to: Phase) -> bool {
    use Phase::*;
    matches!(
        (from, to),
        (Plan, Schema)
            | (Schema, Copy)
            | (Copy, CatchUp)
            | (CatchUp, Synced)
            | (Synced, Reads | Cutover)
            | (Reads, Synced | Cutover)
            | (Cutover, Soak | Synced | Reads | InDoubt)
            | (Soak, Final)
            | (InDoubt, Soak | Synced | RollingBack)
            | (Synced, CatchUp)
            | (
                Plan | Schema | Copy | CatchUp | Synced | Reads | Soak,
                RollingBack
            )
            | (RollingBack, RolledBack | InDoubt)
    )
}

/// The phase after a fact, or why the fact can't happen in this one. The only place that says so.
pub fn next(phase: Phase, fact: &Fact) -> Result<Phase, Illegal> {
    use Phase::*;
    let illegal = |what| Err(Illegal { phase, what });
    let stays = |legal: bool, what| if legal { Ok(phase) } else { illegal(what) };
    let over = matches!(phase, Final | RolledBack);
    match fact {
        Fact::PhaseEntered { phase: to } => {
            if may_move(phase, *to) {
                Ok(*to)
            } else {
                illegal("entering that phase")
            }
        }
        Fact::Created { .. } => stays(phase == Plan, "creating the migration"),
        Fact::Made { .. } => stays(
            // What was being made when giving up was ordered must be known to be taken away again.
            matches!(phase, Schema | Copy | CatchUp | Synced | RollingBack),
            "making an object",
        ),
        Fact::Removed { .. } => stays(
            matches!(phase, RollingBack | RolledBack | Soak | Final),
            "removing an object",
        ),
        Fact::TableSized { .. } => stays(matches!(phase, Plan | Schema | Copy), "sizing a table"),
        Fact::ChunkLanded { .. } => stays(phase == Copy, "landing a chunk"),
        Fact::TableCopied { .. } => stays(phase == Copy, "finishing a table"),
        Fact::ChunkChecked { .. } | Fact::ChunksEqual { .. } => stays(
            matches!(phase, Copy | CatchUp | Synced | Reads | Cutover | Soak),
            "comparing a chunk",
        ),
        Fact::PassFinished { .. } => stays(
            matches!(phase, CatchUp | Synced | Reads | Cutover | Soak),
            "finishing a pass",
        ),
        Fact::RepairOrdered { .. }
        | Fact::Repaired { .. }
        | Fact::RepairFailed { .. }
        | Fact::RepairUndone { .. } => stays(
            matches!(phase, Copy | CatchUp | Synced | Reads),
            "repairing",
        ),
        Fact::AbortOrdered { .. } => stays(
            matches!(phase, Plan | Schema | Copy | CatchUp | Synced | Reads),
            "giving up the target",
        ),
        Fact::PlanChanged { .. } => stays(!over, "changing the plan"),
        Fact::Paused { .. } | Fact::Rested | Fact::Resumed { .. } => {
            stays(!over, "pausing or resuming")
        }
        Fact::PaceSet { .. }
        | Fact::LimitSet { .. }
        | Fact::ThrottleHeld { .. }
        | Fact::ThrottleFreed { .. } => stays(!over, "changing the pace"),
        Fact::ShadowSet { .. } => stays(!over, "setting shadow compare"),
        Fact::EngineStarted { .. }
        | Fact::EngineParked { .. }
        | Fact::Accepted { .. }
        | Fact::Refused { .. }
        | Fact::AlertRaised { .. }
        | Fact::AlertChanged { .. }
        | Fact::AlertCleared { .. }
        | Fact::AlertAcknowledged { .. }
        | Fact::Noted { .. }
        | Fact::Attached { .. }
        | Fact::Detached { .. }
        | Fact::LeadChanged { .. }
        | Fact::Failed { .. } => Ok(phase),
    }
}
