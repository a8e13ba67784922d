//! Facts, ready to be read aloud.

use super::conditions::{LOOKED, THERE_BEFORE};
use super::migration::Migration;
use crate::domain::command::{Command, Pace, Scope};
use crate::domain::event::{Event, Fact, PauseReason, Severity};
use crate::domain::id::{Seq, TableId};
use crate::domain::signal::{Figure, Measure};
use crate::domain::unit::{At, Tick, counted};
use serde::{Deserialize, Serialize};

/// What kind of line it is: decides its glyph and colour, and what `n` jumps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// A phase moved.
    Phase,
    /// Stood still or went on.
    Pause,
    /// Something differs or is wrong.
    Alert,
    /// Something was mended.
    Repair,
    /// A person wrote it.
    Note,
    /// A person asked for it.
    Act,
    /// The engine's own doing.
    Engine,
    /// Who came and went.
    People,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The fact.
    pub seq: Seq,
    /// When, for people.
    pub at: At,
    /// When.
    pub tick: Tick,
    /// Who.
    pub who: String,
    /// What.
    pub text: String,
    /// What kind.
    pub mark: Mark,
}

/// A fact in words; none for those that would drown the rest (each landed and each equal chunk).
pub fn describe(event: &Event, fact: &Fact, state: &Migration) -> Option<Line> {
    let (who, mark, text) = words(fact, state)?;
    Some(Line {
        seq: event.seq,
        at: event.at,
        tick: event.tick,
        who,
        text,
        mark,
    })
}

fn words(fact: &Fact, state: &Migration) -> Option<(String, Mark, String)> {
    let engine = || "engine".to_string();
    let table = |id: &TableId| table_name(*id, state);
    Some(match fact {
        Fact::Created { plan, .. } => (
            engine(),
            Mark::Engine,
            format!(
                "created: {}, {} to {}",
                counted(plan.tables.len() as u64, "table"),
                plan.source.label,
                plan.target.label
            ),
        ),
        Fact::EngineStarted {
            pid,
            host,
            resumed,
            found,
            ..
        } => {
            let how = if *resumed { "resumed" } else { "started" };
            let found = if *found > 0 {
                format!(", {found} landed chunks found on the target")
            } else {
                String::new()
            };
            (
                engine(),
                Mark::Engine,
                format!("engine {how}: pid {pid} on {host}{found}"),
            )
        }
        Fact::EngineParked { by } => (
            by.to_string(),
            Mark::Engine,
            match state.ending() {
                Some(ending) => format!("the migration has ended, {ending}"),
                None => "engine parked; everything is kept for resuming".into(),
            },
        ),
        Fact::PlanChanged { keys, .. } => (
            engine(),
            Mark::Act,
            format!("plan changed: {}", keys.join(", ")),
        ),
        Fact::PhaseEntered { phase } => (engine(), Mark::Phase, format!("phase {}", phase.label())),
        Fact::Made { side, what, took } => (
            engine(),
            Mark::Engine,
            match what.strip_suffix(THERE_BEFORE) {
                Some(there) => format!("on {}: {there} was there before", side.label()),
                None if what == LOOKED => {
                    format!("on {}: noted what was there before", side.label())
                }
                None => format!("made on {}: {what} ({took})", side.label()),
            },
        ),
        Fact::Removed { side, what, left } if left.is_empty() => (
            engine(),
            Mark::Engine,
            format!(
                "removed from {}: {what}; nothing of ours is left",
                side.label()
            ),
        ),
        Fact::Removed { side, what, left } => (
            engine(),
            Mark::Alert,
            format!(
                "removed from {}: {what}; still there: {}",
                side.label(),
                left.join(", ")
            ),
        ),
        Fact::TableSized { .. } | Fact::ChunkLanded { .. } | Fact::ChunksEqual { .. } => {
            return None;
        }
        Fact::TableCopied { table: id } => {
            let rows = state
                .table(*id)
                .map(|t| t.chunks.tally().landed_rows)
                .unwrap_or_default();
            (
                engine(),
                Mark::Engine,
                format!("{} copied, {}", table(id), counted(rows.0, "row")),
            )
        }
        Fact::ChunkChecked { verdict, .. } if verdict.equal() => return None,
        Fact::ChunkChecked { chunk, verdict } => {
            let columns = columns(chunk.table, &verdict.columns, state);
            let d = verdict.differ;
            let mut parts = Vec::new();
            for (n, word) in [
                (d.changed, "differ"),
                (d.missing, "missing on the target"),
                (d.extra, "only on the target"),
            ] {
                if n > 0 {
                    parts.push(format!("{n} {word}"));
                }
            }
            (
                engine(),
                Mark::Alert,
                format!(
                    "{} chunk {}: {}{columns} at {}",
                    table(&chunk.table),
                    chunk.no,
                    parts.join(", "),
                    verdict.position
                ),
            )
        }
        // Passes follow each other for ever: the first one counts, and any that does not.
        Fact::PassFinished { valid: true, .. } if state.pass.as_ref().is_some_and(|p| p.valid) => {
            return None;
        }
        Fact::PassFinished {
            chunks,
            compared,
            source_rows,
            valid,
            ..
        } => {
            let verdict = if *valid { "complete" } else { "INVALID" };
            (
                engine(),
                Mark::Engine,
                format!(
                    "compare pass {verdict}: {compared} of {chunks} chunks, {source_rows} rows"
                ),
            )
        }
        Fact::RepairOrdered {
            repair,
            table: id,
            expected,
            by,
            ..
        } => (
            by.to_string(),
            Mark::Repair,
            format!(
                "repair {repair} of {}: {}",
                table(id),
                counted(expected.total().into(), "row")
            ),
        ),
        Fact::Repaired {
            repair,
            inserted,
            updated,
            deleted,
            ..
        } => (
            engine(),
            Mark::Repair,
            format!(
                "repair {repair} done: {updated} updated, {inserted} inserted, {deleted} deleted"
            ),
        ),
        Fact::RepairFailed { repair, fault } => (
            engine(),
            Mark::Alert,
            format!("repair {repair} failed: {fault}"),
        ),
        Fact::RepairUndone { repair, rows, .. } => (
            engine(),
            Mark::Repair,
            format!(
                "repair {repair} undone: {} put back",
                counted(u64::from(*rows), "row")
            ),
        ),
        Fact::Accepted {
            who,
            command,
            reason,
        } => {
            let reason = reason
                .as_ref()
                .map(|r| format!(" \"{r}\""))
                .unwrap_or_default();
            // What a note, a repair or an abort leads to is told by the fact that follows.
            if matches!(
                command,
                Command::Note { .. }
                    | Command::Repair(_)
                    | Command::Acknowledge(_)
                    | Command::Lead { .. }
            ) {
                return None;
            }
            (
                who.to_string(),
                Mark::Act,
                format!("{}{reason}", command_words(command, state)),
            )
        }
        Fact::Refused { who, verb, why } => {
            (who.to_string(), Mark::Act, format!("{verb} refused: {why}"))
        }
        Fact::Paused { reason, by } => (
            by.to_string(),
            Mark::Pause,
            format!("pausing: {}", pause_words(reason, state)),
        ),
        Fact::Rested => (
            engine(),
            Mark::Pause,
            "paused: everything in flight has come to rest".into(),
        ),
        Fact::Resumed { reason, by } => (
            by.to_string(),
            Mark::Pause,
            format!("no longer: {}", pause_words(reason, state)),
        ),
        Fact::PaceSet {
            limit: Some(limit),
            by,
        } => (
            by.to_string(),
            Mark::Act,
            format!("pace set to {limit} rows/s"),
        ),
        Fact::PaceSet { limit: None, by } => (by.to_string(), Mark::Act, "pace set to auto".into()),
        Fact::LimitSet { signal, at, by } => (
            by.to_string(),
            Mark::Act,
            format!(
                "limit of {signal} set to {}",
                limit_words(signal, *at, state)
            ),
        ),
        Fact::ThrottleHeld { signal } => (engine(), Mark::Pause, format!("held by {signal}")),
        Fact::ThrottleFreed { signal, held } => (
            engine(),
            Mark::Pause,
            format!("no longer held by {signal} (after {held})"),
        ),
        Fact::ShadowSet { per_second: 0, by } => {
            (by.to_string(), Mark::Act, "shadow compare off".into())
        }
        Fact::ShadowSet { per_second, by } => (
            by.to_string(),
            Mark::Act,
            format!("shadow compare {per_second}/s"),
        ),
        Fact::AlertRaised { alert } => {
            let mark = if alert.severity == Severity::Notice {
                Mark::Engine
            } else {
                Mark::Alert
            };
            ("alert".into(), mark, alert.text.clone())
        }
        Fact::AlertChanged { .. } => return None,
        Fact::AlertCleared { id } => {
            let text = state
                .alerts
                .get(id)
                .map_or_else(String::new, |open| open.alert.text.clone());
            ("alert".into(), Mark::Engine, format!("over: {text}"))
        }
        Fact::AlertAcknowledged { id, by } => {
            let text = state
                .alerts
                .get(id)
                .map_or_else(String::new, |open| open.alert.text.clone());
            (by.to_string(), Mark::Act, format!("acknowledged: {text}"))
        }
        Fact::Noted { text, by } => (by.to_string(), Mark::Note, text.clone()),
        Fact::Attached {
            who, role, from, ..
        } => {
            let role = if *role == crate::domain::command::Role::Observer {
                " to look on"
            } else {
                ""
            };
            (
                who.to_string(),
                Mark::People,
                format!("attached{role} from {from}"),
            )
        }
        Fact::Detached { session } => {
            let who = state
                .people
                .present
                .get(session)
                .map_or_else(|| "a console".to_string(), |p| p.who.to_string());
            (who, Mark::People, "detached".into())
        }
        Fact::LeadChanged { session } => {
            let who = session
                .and_then(|id| state.people.present.get(&id))
                .map(|p| p.who.to_string());
            match who {
                Some(who) => (who, Mark::People, "leads".into()),
                None => (engine(), Mark::People, "nobody leads".into()),
            }
        }
        Fact::AbortOrdered { drop_target, by } => {
            let tables = if *drop_target {
                "the tables made there are dropped"
            } else {
                "its rows stay"
            };
            (
                by.to_string(),
                Mark::Act,
                format!("giving up the target; {tables}"),
            )
        }
        Fact::Failed { fault } => (engine(), Mark::Alert, fault.to_string()),
    })
}

/// A table's name as the source has it.
pub fn table_name(id: TableId, state: &Migration) -> String {
    state
        .plan
        .as_ref()
        .and_then(|plan| plan.table(id))
        .map_or_else(|| format!("table {id}"), |t| t.source.clone())
}

/// A table's name for a list: without its schema where that is the same for every table and tells none apart.
pub fn table_label(id: TableId, state: &Migration) -> String {
    let name = table_name(id, state);
    let schema = state.plan.as_ref().and_then(|plan| plan.schema());
    let short = schema.and_then(|schema| name.strip_prefix(schema)?.strip_prefix('.'));
    short.map_or_else(|| name.clone(), str::to_string)
}

fn columns(table: TableId, places: &[u16], state: &Migration) -> String {
    let Some(table) = state.plan.as_ref().and_then(|plan| plan.table(table)) else {
        return String::new();
    };
    let names: Vec<&str> = places
        .iter()
        .filter_map(|i| table.columns.get(usize::from(*i)))
        .map(|c| c.name.as_str())
        .collect();
    match names.len() {
        0 => String::new(),
        1 => format!(", column {}", names[0]),
        _ => format!(", columns {}", names.join(", ")),
    }
}

/// A reason to stand still, in words.
pub fn pause_words(reason: &PauseReason, state: &Migration) -> String {
    match reason {
        PauseReason::Operator => "paused by an operator".into(),
        PauseReason::StopAll => "everything of ours stopped by an operator".into(),
        PauseReason::StaleMetrics(signal) => format!("{signal} could not be read"),
        PauseReason::Database(side, why) => format!("{}: {why}", side.label()),
        PauseReason::SchemaChanged(table) => format!(
            "the definition of {} changed on the source",
            table_name(*table, state)
        ),
        PauseReason::SourceReplaced(why) => format!("the source is not the database it was: {why}"),
        PauseReason::Failed(why) => why.clone(),
        PauseReason::TargetFull => "no room left where the target lies".into(),
        PauseReason::Parked(table, why) => format!(
            "a change to {} could not be applied: {why}",
            table_name(*table, state)
        ),
    }
}

/// A command, in words.
pub fn command_words(command: &Command, state: &Migration) -> String {
    let scope = |scope: &Scope| match scope {
        Scope::All => "everything".to_string(),
        Scope::Table(id) => table_name(*id, state),
        Scope::Chunks(chunks) if chunks.len() == 1 => format!(
            "{} chunk {}",
            table_name(chunks[0].table, state),
            chunks[0].no
        ),
        Scope::Chunks(chunks) => counted(chunks.len() as u64, "chunk"),
        Scope::Rows(table, keys) => format!(
            "{} of {}",
            counted(keys.len() as u64, "row"),
            table_name(*table, state)
        ),
    };
    match command {
        Command::Pause => "pause".into(),
        Command::Resume => "resume".into(),
        Command::StopAll => "stop everything of ours".into(),
        Command::Pace(Pace::Auto) => "pace auto".into(),
        Command::Pace(Pace::Limit(limit)) => format!("pace {limit} rows/s"),
        Command::Limit { signal, at } => {
            format!("limit {signal} {}", limit_words(signal, *at, state))
        }
        Command::Verify(s) => format!("compare {} again", scope(s)),
        Command::Repair(s) => format!("repair {}", scope(s)),
        Command::Undo(id) => format!("undo repair {id}"),
        Command::Shadow { per_second } => format!("shadow compare {per_second}/s"),
        Command::Acknowledge(id) => format!("acknowledge alert {id}"),
        Command::Note { text } => text.clone(),
        Command::Abort { .. } => "give up the target".into(),
        Command::Lead { take: true } => "take the lead".into(),
        Command::Lead { take: false } => "give up the lead".into(),
        Command::Park => "park the engine".into(),
    }
}

/// A limit in the measure of its signal.
pub fn limit_words(signal: &str, at: Figure, state: &Migration) -> String {
    let plan = state.plan.as_ref();
    let measure = plan.and_then(|plan| plan.limit(signal)).map(|l| l.measure);
    measure.unwrap_or(Measure::Number).show(at)
}
