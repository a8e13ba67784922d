//! What follows from an input, as pure functions of the state: all the ifs live here, and none of the acts.

use crate::domain::command::{Command, Pace, Request, Role, Scope};
use crate::domain::event::{Alert, Fact, PauseReason, Phase, Severity, Subject};
use crate::domain::fault::{Fault, Kind};
use crate::domain::id::{AlertId, ChunkId, CommandId, RepairId, SessionId, TableId, Who};
use crate::domain::signal::Figure;
use crate::domain::unit::{Span, counted};
use crate::domain::verdict::DriftCounts;
use crate::state::chunks::ChunkState;
use crate::state::conditions;
use crate::state::migration::{Migration, RepairState};
use crate::state::timeline::{pause_words, table_name};
use std::collections::BTreeMap;

/// Within this time of a `P`, the same person takes it back with another `P`: a slip, not a resume.
pub const SLIP: Span = Span::seconds(10);
/// Most chunks in one repair; more are repaired in a second one.
const REPAIR_CHUNKS: usize = 1_000;
/// Most repairs under way at once, the oldest first: each holds sessions on both sides.
const REPAIRS: usize = 4;
/// Most shadow comparisons a second.
const SHADOW_MOST: u32 = 1_000;

/// Something only the engine's tasks can do. All else follows from the state itself (see `wanted`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Compare these first.
    Verify(Scope),
    /// Put back what a repair replaced.
    Undo(RepairId),
    /// What was put back need not be kept any more.
    Forget(RepairId),
    /// Come to rest, say goodbye in the journal, end the process.
    Park(Who),
}

/// What was decided: facts to record, and what to do once they are durable.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// In this order.
    pub facts: Vec<Fact>,
    /// After the facts are durable.
    pub effects: Vec<Effect>,
    /// The command they follow from.
    pub cause: Option<(SessionId, CommandId)>,
    /// Why the command was refused.
    pub refused: Option<Fault>,
}

/// Differing rows of the chunks a repair is about, as the journal knows them.
pub type Known = Vec<(ChunkId, DriftCounts)>;

/// Decides on a person's request. `known` is read from the journal for repairs.
pub fn on_request(state: &Migration, request: &Request, known: &Known) -> Decision {
    let cause = Some((request.session, request.id));
    let mut facts = vec![Fact::Accepted {
        who: request.who.clone(),
        command: request.command.clone(),
        reason: request.reason.clone(),
    }];
    let mut effects = Vec::new();
    let verdict = may(state, request).and_then(|takes_lead| {
        if takes_lead {
            facts.push(Fact::LeadChanged {
                session: Some(request.session),
            });
        }
        carry_out(state, request, known, &mut facts, &mut effects)
    });
    match verdict {
        Ok(()) => Decision {
            facts,
            effects,
            cause,
            refused: None,
        },
        Err(fault) => {
            let refusal = Fact::Refused {
                who: request.who.clone(),
                verb: request.command.verb().into(),
                why: fault.what.clone(),
            };
            Decision {
                facts: vec![refusal],
                effects: Vec::new(),
                cause,
                refused: Some(fault),
            }
        }
    }
}

fn refuse(what: impl Into<String>) -> Fault {
    Fault::new(Kind::Refused, what)
}

/// Whether this person may do this now, and whether doing it takes the lead that nobody holds.
fn may(state: &Migration, request: &Request) -> Result<bool, Fault> {
    let leader = state.people.leader();
    let leads = leader.map_or_else(
        || "nobody leads; L takes it".to_string(),
        |l| format!("{} leads", l.who),
    );
    if request.role == Role::Observer {
        return Err(refuse(format!("you look on; {leads}")).hint("attach without --observe to act"));
    }
    let slip = slip(state, request);
    let always = matches!(
        request.command,
        Command::Pause
            | Command::StopAll
            | Command::Verify(_)
            | Command::Acknowledge(_)
            | Command::Note { .. }
            | Command::Lead { .. }
    );
    let slows = match &request.command {
        Command::Pace(pace) => slower(state, pace),
        Command::Limit { signal, at } => state.limit(signal).is_some_and(|l| l.stricter(*at)),
        _ => false,
    };
    if always || slows || slip {
        return Ok(false);
    }
    let Some(leader) = leader else {
        return Ok(!is_send(state, request.session));
    };
    let own = state.people.lead == Some(request.session);
    // `send` is a person's other hand: it may do what the same person's leading console may.
    let own_hand = is_send(state, request.session) && leader.who == request.who;
    if own || own_hand {
        Ok(false)
    } else {
        Err(refuse(format!(
            "{leads}; you may pause, slow down, compare, note and acknowledge"
        ))
        .hint("L takes the lead when it is free"))
    }
}

fn is_send(state: &Migration, session: SessionId) -> bool {
    state
        .people
        .present
        .get(&session)
        .is_none_or(|p| p.from == SEND)
}

/// What a `tidegate send` says for its terminal.
pub const SEND: &str = "send";

/// Whether a `P` is taken back by somebody who may not resume: then nothing but that `P` goes.
fn slip_only(state: &Migration, request: &Request) -> bool {
    let leads = state.people.leader().is_none_or(|l| l.who == request.who);
    !leads && slip(state, request)
}

fn slip(state: &Migration, request: &Request) -> bool {
    let paused = state
        .pauses
        .iter()
        .any(|p| p.reason == PauseReason::Operator);
    paused
        && matches!(request.command, Command::Resume)
        && state
            .operator_paused
            .as_ref()
            .is_some_and(|(who, at)| *who == request.who && state.tick.since(*at) <= SLIP)
}

/// Whether a pace is slower than what is allowed now.
pub fn slower(state: &Migration, pace: &Pace) -> bool {
    match (pace, state.pace) {
        (Pace::Auto, now) => now.is_none(),
        (Pace::Limit(_), None) => true,
        (Pace::Limit(limit), Some(now)) => *limit <= now,
    }
}

fn limit(
    state: &Migration,
    signal: &str,
    at: Figure,
    by: Who,
    facts: &mut Vec<Fact>,
) -> Result<(), Fault> {
    if state.limit(signal).is_none() {
        let plan = state.plan.as_ref();
        let names = plan.map_or_else(Vec::new, |plan| plan.limits());
        let names: Vec<String> = names.into_iter().map(|limited| limited.name).collect();
        return Err(refuse(format!("no signal called \"{signal}\" has a limit"))
            .hint(format!("signals with a limit: {}", names.join(", "))));
    }
    if at.get() <= 0.0 {
        return Err(refuse("a limit of 0 would stand still for ever").hint("to stop: pause"));
    }
    let signal = signal.to_owned();
    facts.push(Fact::LimitSet { signal, at, by });
    Ok(())
}

fn carry_out(
    state: &Migration,
    request: &Request,
    known: &Known,
    facts: &mut Vec<Fact>,
    effects: &mut Vec<Effect>,
) -> Result<(), Fault> {
    let by = || request.who.clone();
    let ended = || {
        state.over().then(|| {
            refuse(format!(
                "{} has ended ({})",
                state.name(),
                state.phase.label()
            ))
        })
    };
    match &request.command {
        Command::Note { text } => {
            if text.trim().is_empty() {
                return Err(refuse("a note needs some text"));
            }
            facts.push(Fact::Noted {
                text: text.trim().to_string(),
                by: by(),
            });
            return Ok(());
        }
        Command::Acknowledge(id) => return acknowledge(state, *id, by(), facts),
        Command::Lead { take } => return lead(state, request, *take, facts),
        Command::Park => {
            effects.push(Effect::Park(by()));
            return Ok(());
        }
        _ => {}
    }
    if let Some(fault) = ended() {
        return Err(fault);
    }
    match &request.command {
        Command::Pause => pause(state, PauseReason::Operator, by(), facts),
        Command::StopAll => pause(state, PauseReason::StopAll, by(), facts),
        Command::Resume if slip_only(state, request) => {
            let reason = PauseReason::Operator;
            facts.push(Fact::Resumed { reason, by: by() });
        }
        Command::Resume => resume(state, by(), facts)?,
        Command::Pace(pace) => {
            let limit = match pace {
                Pace::Auto => None,
                Pace::Limit(limit) if limit.0 == 0 => {
                    return Err(refuse("a pace of 0 rows/s would stand still for ever")
                        .hint("to stop: pause"));
                }
                Pace::Limit(limit) => Some(*limit),
            };
            facts.push(Fact::PaceSet { limit, by: by() });
        }
        Command::Limit { signal, at } => limit(state, signal, *at, by(), facts)?,
        Command::Shadow { per_second } => shadow(state, *per_second, by(), facts)?,
        Command::Verify(scope) => {
            if !matches!(
                state.phase,
                Phase::Copy | Phase::CatchUp | Phase::Synced | Phase::Reads
            ) {
                return Err(refuse(format!(
                    "nothing can be compared in phase {}",
                    state.phase.label()
                )));
            }
            effects.push(Effect::Verify(scope.clone()));
        }
        Command::Repair(scope) => repair(state, scope, known, by(), facts)?,
        Command::Undo(id) => match state.repairs.get(id).map(|r| &r.state) {
            Some(RepairState::Done { .. }) => effects.push(Effect::Undo(*id)),
            Some(RepairState::Ordered) => {
                return Err(refuse(format!("repair {id} is still under way")));
            }
            Some(RepairState::Failed(_)) => {
                return Err(refuse(format!("repair {id} changed nothing")));
            }
            Some(RepairState::Undone) => {
                return Err(refuse(format!("repair {id} was undone already")));
            }
            None => return Err(refuse(format!("there is no repair {id}"))),
        },
        Command::Abort {
            drop_target,
            confirm,
        } => abort(state, *drop_target, confirm, by(), facts)?,
        Command::Note { .. } | Command::Acknowledge(_) | Command::Lead { .. } | Command::Park => {}
    }
    Ok(())
}

fn acknowledge(
    state: &Migration,
    id: AlertId,
    by: Who,
    facts: &mut Vec<Fact>,
) -> Result<(), Fault> {
    match state.alerts.get(&id) {
        None => Err(refuse(format!("there is no open alert {id}"))),
        Some(open) if open.seen_by.is_some() => Err(refuse("that alert was acknowledged already")),
        Some(_) => {
            facts.push(Fact::AlertAcknowledged { id, by });
            Ok(())
        }
    }
}

fn lead(
    state: &Migration,
    request: &Request,
    take: bool,
    facts: &mut Vec<Fact>,
) -> Result<(), Fault> {
    let holds = state.people.lead == Some(request.session);
    match (take, state.people.leader()) {
        (true, _) if holds => Err(refuse("you lead already")),
        (true, Some(leader)) if leader.who != request.who => {
            Err(refuse(format!("{} leads", leader.who))
                .hint("ask them to give it up with L; it is free when their console is gone"))
        }
        (true, _) => {
            facts.push(Fact::LeadChanged {
                session: Some(request.session),
            });
            Ok(())
        }
        (false, _) if holds => {
            facts.push(Fact::LeadChanged { session: None });
            Ok(())
        }
        (false, _) => Err(refuse("you do not lead")),
    }
}

fn pause(state: &Migration, reason: PauseReason, by: Who, facts: &mut Vec<Fact>) {
    if !state.pauses.iter().any(|p| p.reason == reason) {
        facts.push(Fact::Paused { reason, by });
    }
}

fn resume(state: &Migration, by: Who, facts: &mut Vec<Fact>) -> Result<(), Fault> {
    let before = facts.len();
    for pause in &state.pauses {
        // What waits for a person is answered by resuming: what is still wrong pauses it again. A database that can't be
        // reached resumes by itself when it can.
        let mends_itself = matches!(
            pause.reason,
            PauseReason::Database(..) | PauseReason::StaleMetrics(_)
        );
        if !mends_itself {
            facts.push(Fact::Resumed {
                reason: pause.reason.clone(),
                by: by.clone(),
            });
        }
    }
    if facts.len() > before {
        return Ok(());
    }
    match state.pauses.first() {
        None => Err(refuse("nothing is paused")),
        Some(pause) => Err(refuse(format!(
            "it waits for something else: {}",
            pause_words(&pause.reason, state)
        ))
        .hint("it goes on by itself when that is mended")),
    }
}

fn shadow(state: &Migration, per_second: u32, by: Who, facts: &mut Vec<Fact>) -> Result<(), Fault> {
    if state
        .plan
        .as_ref()
        .is_none_or(|plan| plan.shadow.is_empty())
    {
        return Err(refuse("no read to compare is configured")
            .hint("write a [[shadow]] section with name and sql in tidegate.toml"));
    }
    if per_second > SHADOW_MOST {
        return Err(refuse(format!(
            "at most {SHADOW_MOST} comparisons a second"
        )));
    }
    facts.push(Fact::ShadowSet { per_second, by });
    Ok(())
}

/// The differing chunks of a scope, by table.
pub fn differing(state: &Migration, scope: &Scope) -> Vec<(TableId, Vec<ChunkId>)> {
    let inside = |chunk: ChunkId| match scope {
        Scope::All => true,
        Scope::Table(table) | Scope::Rows(table, _) => chunk.table == *table,
        Scope::Chunks(chunks) => chunks.contains(&chunk),
    };
    state
        .live_tables()
        .filter(|(_, _, table)| table.chunks.tally().differing_chunks > 0)
        .map(|(id, _, table)| {
            let chunks = table.chunks.cells().iter().enumerate();
            let chunks = chunks.filter(|(_, cell)| cell.state() == ChunkState::Differs);
            let chunks = chunks
                .map(|(no, _)| ChunkId {
                    table: id,
                    no: no as u32,
                })
                .filter(|c| inside(*c))
                .take(REPAIR_CHUNKS);
            (id, chunks.collect::<Vec<_>>())
        })
        .filter(|(_, chunks)| !chunks.is_empty())
        .collect()
}

fn repair(
    state: &Migration,
    scope: &Scope,
    known: &Known,
    by: Who,
    facts: &mut Vec<Fact>,
) -> Result<(), Fault> {
    if !matches!(
        state.phase,
        Phase::Copy | Phase::CatchUp | Phase::Synced | Phase::Reads
    ) {
        return Err(refuse(format!(
            "nothing can be repaired in phase {}",
            state.phase.label()
        )));
    }
    let tables = differing(state, scope);
    if tables.is_empty() {
        return Err(refuse("nothing there is known to differ").hint("V compares it again"));
    }
    let mut next = state.next_repair;
    for (table, chunks) in tables {
        if state
            .repairs
            .values()
            .any(|r| r.table == table && r.state == RepairState::Ordered)
        {
            return Err(refuse(format!(
                "a repair of {} is under way already",
                table_name(table, state)
            )));
        }
        let mut expected = DriftCounts::default();
        for (_, counts) in known.iter().filter(|(chunk, _)| chunks.contains(chunk)) {
            expected.missing += counts.missing;
            expected.extra += counts.extra;
            expected.changed += counts.changed;
        }
        facts.push(Fact::RepairOrdered {
            repair: next,
            table,
            chunks,
            expected,
            by: by.clone(),
        });
        next = RepairId(next.0 + 1);
    }
    Ok(())
}

fn abort(
    state: &Migration,
    drop_target: bool,
    confirm: &str,
    by: Who,
    facts: &mut Vec<Fact>,
) -> Result<(), Fault> {
    if confirm != state.name() {
        return Err(
            refuse(format!("that is not this migration's name: \"{confirm}\""))
                .hint(format!("type {}", state.name())),
        );
    }
    if !crate::state::phase::may_move(state.phase, Phase::RollingBack) {
        return Err(refuse(format!(
            "there is nothing to give up in phase {}",
            state.phase.label()
        )));
    }
    facts.push(Fact::AbortOrdered { drop_target, by });
    facts.push(Fact::PhaseEntered {
        phase: Phase::RollingBack,
    });
    Ok(())
}

/// What follows by itself from where things stand: phases whose conditions hold, alerts to raise, change or clear. Asked
/// again after each answer until it has nothing more to say.
pub fn follow(state: &Migration) -> Vec<Fact> {
    let mut facts = Vec::new();
    if state.plan.is_none() || state.engine.as_ref().is_none_or(|e| !e.running) {
        return facts;
    }
    if let Some((phase, conditions)) = conditions::next_phase(state)
        && conditions.iter().all(|c| c.holds)
    {
        facts.push(Fact::PhaseEntered { phase });
        return facts;
    }
    alerts(state, &mut facts);
    facts
}

fn alerts(state: &Migration, facts: &mut Vec<Fact>) {
    let wanted = wanted_alerts(state);
    let mut id = state.next_alert;
    for (severity, subject, text) in &wanted {
        match state.alert_about(subject) {
            None => {
                let alert = Alert {
                    id,
                    severity: *severity,
                    subject: subject.clone(),
                    text: text.clone(),
                };
                facts.push(Fact::AlertRaised { alert });
                id = AlertId(id.0 + 1);
            }
            Some(open) if open.alert.text != *text => facts.push(Fact::AlertChanged {
                id: open.alert.id,
                text: text.clone(),
            }),
            Some(_) => {}
        }
    }
    for open in state.alerts.values() {
        if !wanted
            .iter()
            .any(|(_, subject, _)| *subject == open.alert.subject)
        {
            facts.push(Fact::AlertCleared { id: open.alert.id });
        }
    }
}

fn wanted_alerts(state: &Migration) -> Vec<(Severity, Subject, String)> {
    let mut wanted = Vec::new();
    let Some(plan) = &state.plan else {
        return wanted;
    };
    if state.over() || state.phase == Phase::RollingBack {
        return wanted;
    }
    for (id, table) in plan.ids() {
        if let crate::domain::table::Mode::LeftOut(why) = &table.mode {
            let text = format!("{} is left out: {why}", table.source);
            wanted.push((
                Severity::Notice,
                Subject::Other(format!("left-out {id}")),
                text,
            ));
        }
        if let Some(t) = state
            .table(id)
            .map(|t| t.chunks.tally())
            .filter(|t| t.differing_rows > 0)
        {
            let text = format!(
                "{}: {} {} in {}",
                table.source,
                counted(t.differing_rows, "row"),
                if t.differing_rows == 1 {
                    "differs"
                } else {
                    "differ"
                },
                counted(t.differing_chunks.into(), "chunk")
            );
            wanted.push((Severity::Critical, Subject::Drift(id), text));
        }
        if state.sample.guards_missing.contains(&table.source) {
            let text = format!(
                "guard is OFF on {}: somebody else can write to the target",
                table.source
            );
            wanted.push((Severity::Critical, Subject::Guard(id), text));
        }
    }
    for pause in &state.pauses {
        if !matches!(pause.reason, PauseReason::Operator | PauseReason::StopAll) {
            wanted.push((
                Severity::Critical,
                Subject::Pause(pause.reason.clone()),
                pause_words(&pause.reason, state),
            ));
        }
    }
    for line in state
        .sample
        .shadow
        .iter()
        .filter(|line| line.mismatched > 0)
    {
        let text = format!(
            "shadow {}: {} of {} reads differ",
            line.name, line.mismatched, line.compared
        );
        wanted.push((Severity::Warning, Subject::Shadow(line.name.clone()), text));
    }
    let open = state.alert_about(&Subject::Lag).is_some();
    let limit = state.max_lag().unwrap_or(plan.throttle.max_lag);
    let over = if open { Span(limit.0 / 2) } else { limit };
    if state.sample.lag.is_some_and(|lag| lag > over) && !state.paused() {
        // The figure is left to the header: an alert that changes every second can't be read.
        let text = format!("the stream lags more than {limit}");
        wanted.push((Severity::Warning, Subject::Lag, text));
    }
    wanted
}

/// What the tasks must heed, as a function of the state: one watch channel carries it to all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Controls {
    /// Copy and stream stand still.
    pub still: bool,
    /// Verify and shadow stand still too.
    pub stop_all: bool,
    /// Most rows copied a second.
    pub pace: Option<crate::domain::unit::RowsPerSecond>,
    /// Shadow comparisons a second.
    pub shadow_per_second: u32,
    /// Limits that were set while it runs, by signal.
    pub limits: BTreeMap<String, Figure>,
}

/// The controls as the state has them.
pub fn controls(state: &Migration) -> Controls {
    Controls {
        still: state.paused(),
        stop_all: state.all_stopped(),
        pace: state.pace,
        shadow_per_second: state.shadow_per_second,
        limits: state.limits.clone(),
    }
}

/// A piece of work that runs for as long as the state wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Make what is needed on both sides.
    Schema,
    /// Follow the source's changes.
    Stream,
    /// Copy chunks.
    Copy,
    /// Build what comes after the copy.
    Finish,
    /// Compare.
    Verify,
    /// Compare reads.
    Shadow,
    /// Land differing rows again.
    Repair(RepairId),
    /// Remove everything of ours.
    Remove,
}

/// The work that the state wants. A resumed engine needs nothing else to know where to go on.
pub fn wanted(state: &Migration) -> Vec<Job> {
    if state.engine.as_ref().is_none_or(|e| !e.running) {
        return Vec::new();
    }
    match state.phase {
        Phase::Schema => vec![Job::Schema],
        Phase::Copy | Phase::CatchUp | Phase::Synced | Phase::Reads => {
            let mut jobs = vec![Job::Stream, Job::Verify];
            if state.phase == Phase::Copy {
                jobs.push(Job::Copy);
            }
            if state.phase == Phase::CatchUp
                && !state
                    .made
                    .iter()
                    .any(|(_, what)| what == conditions::FINISH_MADE)
            {
                jobs.push(Job::Finish);
            }
            if state.shadow_per_second > 0 {
                jobs.push(Job::Shadow);
            }
            let ordered = state
                .repairs
                .iter()
                .filter(|(_, r)| r.state == RepairState::Ordered);
            jobs.extend(ordered.take(REPAIRS).map(|(id, _)| Job::Repair(*id)));
            jobs
        }
        Phase::RollingBack => vec![Job::Remove],
        _ => Vec::new(),
    }
}
