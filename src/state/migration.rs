//! The fold: everything known of a migration, made of its events and nothing else.

use super::people::{People, Present};
use super::phase::{self, Illegal};
use super::table::TableState;
use super::timeline::{self, Line};
use crate::domain::event::{Alert, Body, Event, Fact, PauseReason, Phase, Subject};
use crate::domain::id::{AlertId, ChunkId, RepairId, Seq, TableId, Token, Who};
use crate::domain::plan::{Plan, Side};
use crate::domain::position::Position;
use crate::domain::sample::Sample;
use crate::domain::signal::Figure;
use crate::domain::unit::{At, Rows, RowsPerSecond, Span, Tick};
use crate::domain::verdict::DriftCounts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Lines of the timeline kept in memory; older ones are read from the journal.
pub const TIMELINE_LINES: usize = 2_000;
/// Points of history kept, one a second: what the charts show.
pub const HISTORY_POINTS: usize = 600;

/// The engine that holds the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// Its process.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// Its version.
    pub version: String,
    /// When it started.
    pub since: Tick,
    /// Its lease.
    pub token: Option<Token>,
    /// Whether it has not said goodbye.
    pub running: bool,
}

/// A reason to stand still, with who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// By whom.
    pub by: Who,
    /// Since when.
    pub since: Tick,
}

/// An alert that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAlert {
    /// What about.
    pub alert: Alert,
    /// When it was raised, for people.
    pub at: At,
    /// When it was raised.
    pub since: Tick,
    /// Who has seen it.
    pub seen_by: Option<Who>,
}

/// A repair and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// The table.
    pub table: TableId,
    /// The chunks.
    pub chunks: Vec<ChunkId>,
    /// What differed when it was ordered.
    pub expected: DriftCounts,
    /// Who ordered it.
    pub by: Who,
    /// When.
    pub since: Tick,
    /// How it stands.
    pub state: RepairState,
}

/// How a repair stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairState {
    /// Ordered, under way.
    Ordered,
    /// Done; its before-images are kept.
    Done {
        /// Rows put in.
        inserted: u32,
        /// Rows made as on the source.
        updated: u32,
        /// Rows taken out.
        deleted: u32,
    },
    /// Not done; the text says why.
    Failed(String),
    /// Done and put back.
    Undone,
}

/// The last finished pass over all chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Chunks in the map.
    pub chunks: u32,
    /// Chunks compared.
    pub compared: u32,
    /// Rows counted on the source.
    pub source_rows: Rows,
    /// Rows counted on the target.
    pub target_rows: Rows,
    /// Whether it counts.
    pub valid: bool,
    /// Equal as of this position.
    pub position: Position,
    /// When it finished.
    pub at: Tick,
}

/// One second of the past, for charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub tick: Tick,
    /// Rows copied a second.
    pub copy_rate: RowsPerSecond,
    /// The stream's lag; none when it was not known.
    pub lag: Option<Span>,
    /// Changes the application made a second.
    pub incoming: u64,
    /// Changes applied a second.
    pub applied: u64,
    /// Rows known to differ.
    pub differ: u64,
}

/// Giving up the target was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Whether our tables on the target go too.
    pub drop_target: bool,
    /// Who ordered it.
    pub by: Who,
}

/// Everything known of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The last record folded in.
    pub seq: Seq,
    /// Its wall-clock time.
    pub at: At,
    /// Its time on the migration's clock.
    pub tick: Tick,
    /// What was decided; none before the first record.
    pub plan: Option<Arc<Plan>>,
    /// The plan's hash.
    pub plan_hash: String,
    /// When the migration was created.
    pub created: At,
    /// The phase.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Tick,
    /// The tables, by `TableId`.
    pub tables: Vec<TableState>,
    /// The engine that runs or ran last.
    pub engine: Option<EngineInfo>,
    /// How often an engine started.
    pub engine_starts: u32,
    /// Why nothing moves.
    pub pauses: Vec<Pause>,
    /// Whether what was asked to stand still does: asked is not done.
    pub rested: bool,
    /// Who paused it by `P` last, and when: a slip of `P` is undone within ten seconds.
    pub operator_paused: Option<(Who, Tick)>,
    /// The pace that was set; none is as the signals allow.
    pub pace: Option<RowsPerSecond>,
    /// Limits that were set while it runs, by signal.
    #[serde(default)]
    pub limits: BTreeMap<String, Figure>,
    /// The best speed seen.
    pub best_rate: RowsPerSecond,
    /// The signal that holds the copy back, and since when.
    pub held: Option<(String, Tick)>,
    /// For how long each signal has held the copy back so far, by its first word.
    pub held_for: BTreeMap<String, Span>,
    /// Shadow comparisons a second; zero is off.
    pub shadow_per_second: u32,
    /// Open alerts.
    pub alerts: BTreeMap<AlertId, OpenAlert>,
    /// The number the next alert gets.
    pub next_alert: AlertId,
    /// Repairs.
    pub repairs: BTreeMap<RepairId, Repair>,
    /// The number the next repair gets.
    pub next_repair: RepairId,
    /// The last finished pass.
    pub pass: Option<Pass>,
    /// Who is here.
    pub people: People,
    /// The order to give up the target.
    pub abort: Option<Abort>,
    /// What was made, for the report and the way out.
    pub made: Vec<(Side, String)>,
    /// What is gone, with what is left of it.
    pub removed: Vec<(Side, String, Vec<String>)>,
    /// The last failure, and when.
    pub last_failure: Option<(crate::domain::fault::Fault, Tick)>,
    /// The latest measurement.
    pub sample: Sample,
    /// When it was made.
    pub sample_tick: Tick,
    /// The last ten minutes.
    pub history: VecDeque<Point>,
    /// The last facts worth reading, oldest first.
    pub timeline: VecDeque<Line>,
    /// Records that could not follow (a damaged or foreign journal). Never more than zero in a healthy one.
    pub illegal: u64,
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            seq: Seq(0),
            at: At(0),
            tick: Tick(0),
            plan: None,
            plan_hash: String::new(),
            created: At(0),
            phase: Phase::Plan,
            phase_since: Tick(0),
            tables: Vec::new(),
            engine: None,
            engine_starts: 0,
            pauses: Vec::new(),
            rested: false,
            operator_paused: None,
            pace: None,
            limits: BTreeMap::new(),
            best_rate: RowsPerSecond(0),
            held: None,
            held_for: BTreeMap::new(),
            shadow_per_second: 0,
            alerts: BTreeMap::new(),
            next_alert: AlertId(1),
            repairs: BTreeMap::new(),
            next_repair: RepairId(1),
            pass: None,
            people: People::default(),
            abort: None,
            made: Vec::new(),
            removed: Vec::new(),
            last_failure: None,
            sample: Sample::default(),
            sample_tick: Tick(0),
            history: VecDeque::new(),
            timeline: VecDeque::new(),
            illegal: 0,
        }
    }
}

/// Who owns the application's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The source takes them.
    Source,
    /// The target takes them.
    Target,
    /// Nobody does: both sides are closed.
    Nobody,
}

/// What going back would lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WayBack {
    /// Nothing.
    LosesNothing,
    /// It is not known.
    Unknown,
    /// We are back already, or there is nothing to go back from.
    Done,
}

/// Three numbers, never one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drift {
    /// Rows that differ at one logical position.
    pub confirmed: u64,
    /// Rows the application changed between both reads; looked at again.
    pub in_flight: u64,
    /// Rows no compare covers yet.
    pub uncovered: Rows,
}

impl Migration {
    /// Folds one record in. Total: a record that can't follow is counted, not obeyed. Nothing but the record decides.
    pub fn apply(&mut self, event: &Event) {
        self.seq = event.seq;
        self.at = event.at;
        self.tick = self.tick.max(event.tick);
        match &event.body {
            Body::Sample(sample) => {
                self.measure(sample);
                self.remember();
            }
            Body::Fact(fact) => match self.admit(fact) {
                Ok(phase) => {
                    if let Some(line) = timeline::describe(event, fact, self) {
                        if self.timeline.len() == TIMELINE_LINES {
                            self.timeline.pop_front();
                        }
                        self.timeline.push_back(line);
                    }
                    if phase != self.phase {
                        self.phase = phase;
                        self.phase_since = self.tick;
                    }
                    self.fold(event, fact);
                }
                Err(_) => self.illegal += 1,
            },
        }
    }

    /// Whether a fact may follow now, and the phase after it.
    pub fn admit(&self, fact: &Fact) -> Result<Phase, Illegal> {
        phase::next(self.phase, fact)
    }

    /// Takes a measurement that is not (yet) in the journal: latest wins, nothing else changes.
    pub fn measure(&mut self, sample: &Sample) {
        self.best_rate = self.best_rate.max(sample.copy_rate);
        self.sample = sample.clone();
        self.sample_tick = self.tick;
    }

    fn remember(&mut self) {
        if self.history.len() == HISTORY_POINTS {
            self.history.pop_front();
        }
        self.history.push_back(Point {
            tick: self.tick,
            copy_rate: self.sample.copy_rate,
            lag: self.sample.lag,
            incoming: self.sample.incoming_per_s,
            applied: self.sample.applied_per_s,
            differ: self.drift().confirmed,
        });
    }

    fn fold(&mut self, event: &Event, fact: &Fact) {
        match fact {
            Fact::Created { plan, hash, .. } => {
                self.tables = plan.tables.iter().map(|_| TableState::default()).collect();
                self.plan = Some(Arc::new((**plan).clone()));
                self.plan_hash.clone_from(hash);
                self.created = event.at;
                self.pace = plan.backfill.max_rows_per_second;
            }
            Fact::PlanChanged { plan, hash, .. } => {
                // What the config says anew wins over what was said in between.
                let before = self.plan.take();
                self.limits.retain(|name, _| {
                    let now = plan.limit(name);
                    now.is_some() && now == before.as_ref().and_then(|plan| plan.limit(name))
                });
                self.plan = Some(Arc::new((**plan).clone()));
                self.plan_hash.clone_from(hash);
            }
            Fact::EngineStarted {
                pid,
                host,
                version,
                token,
                applied,
                ..
            } => {
                self.engine = Some(EngineInfo {
                    pid: *pid,
                    host: host.clone(),
                    version: version.clone(),
                    since: self.tick,
                    token: *token,
                    running: true,
                });
                self.engine_starts += 1;
                self.sample.applied = self.sample.applied.max(*applied);
                // What the last engine measured is not known to hold any more.
                self.sample.lag = None;
                self.sample.in_flight = 0;
                // Consoles hang on one engine's sockets: a new engine knows none of the old one's.
                self.people = People::default();
                self.rested = false;
            }
            Fact::EngineParked { .. } => {
                if let Some(engine) = &mut self.engine {
                    engine.running = false;
                }
                self.people = People::default();
            }
            Fact::PhaseEntered { .. } => {}
            Fact::Made { side, what, .. } => self.made.push((*side, what.clone())),
            Fact::Removed { side, what, left } => {
                self.removed.push((*side, what.clone(), left.clone()))
            }
            Fact::TableSized { table, rows, exact } => {
                if let Some(state) = self.table_mut(*table) {
                    state.estimate = *rows;
                    state.exact = *exact;
                }
            }
            Fact::ChunkLanded {
                chunk,
                rows,
                bytes,
                attempt,
                ..
            } => {
                let tick = self.tick;
                if let Some(state) = self.table_mut(chunk.table) {
                    if state.chunks.land(chunk.no, *rows, *attempt) {
                        state.bytes += *bytes;
                        state.again = state.again.saturating_add(u32::from(*attempt > 1));
                        state.began.get_or_insert(tick);
                    } else {
                        self.illegal += 1;
                    }
                }
            }
            Fact::TableCopied { table } => {
                if let Some(state) = self.table_mut(*table) {
                    state.complete = true;
                }
            }
            Fact::ChunkChecked { chunk, verdict } => {
                let tick = self.tick;
                let known = self.table_mut(chunk.table).is_some_and(|state| {
                    state
                        .chunks
                        .check(chunk.no, verdict.source_rows, verdict.differ.total(), tick)
                });
                self.illegal += u64::from(!known);
            }
            Fact::ChunksEqual {
                table, first, rows, ..
            } => {
                let tick = self.tick;
                let mut unknown = 0;
                if let Some(state) = self.table_mut(*table) {
                    for (i, rows) in (0..).zip(rows) {
                        let known = first.checked_add(i).is_some_and(|no| {
                            state.chunks.check(no, Rows(u64::from(*rows)), 0, tick)
                        });
                        unknown += u64::from(!known);
                    }
                }
                self.illegal += unknown;
            }
            Fact::PassFinished {
                chunks,
                compared,
                source_rows,
                target_rows,
                valid,
                position,
            } => {
                self.pass = Some(Pass {
                    chunks: *chunks,
                    compared: *compared,
                    source_rows: *source_rows,
                    target_rows: *target_rows,
                    valid: *valid,
                    position: *position,
                    at: self.tick,
                });
            }
            Fact::RepairOrdered {
                repair,
                table,
                chunks,
                expected,
                by,
            } => {
                self.next_repair = self.next_repair.max(RepairId(repair.0.saturating_add(1)));
                self.repairs.insert(
                    *repair,
                    Repair {
                        table: *table,
                        chunks: chunks.clone(),
                        expected: *expected,
                        by: by.clone(),
                        since: self.tick,
                        state: RepairState::Ordered,
                    },
                );
            }
            Fact::Repaired {
                repair,
                inserted,
                updated,
                deleted,
                chunks,
            } => {
                self.repair_is(
                    *repair,
                    RepairState::Done {
                        inserted: *inserted,
                        updated: *updated,
                        deleted: *deleted,
                    },
                );
                self.touched(chunks);
            }
            Fact::RepairFailed { repair, fault } => {
                self.repair_is(*repair, RepairState::Failed(fault.to_string()))
            }
            Fact::RepairUndone { repair, chunks, .. } => {
                self.repair_is(*repair, RepairState::Undone);
                self.touched(chunks);
            }
            Fact::Accepted { .. } | Fact::Refused { .. } | Fact::Noted { .. } => {}
            Fact::Paused { reason, by } => {
                if !self.pauses.iter().any(|p| p.reason == *reason) {
                    if *reason == PauseReason::Operator {
                        self.operator_paused = Some((by.clone(), self.tick));
                    }
                    // What rests already rests for the new reason too.
                    self.rested &= !self.pauses.is_empty();
                    self.pauses.push(Pause {
                        reason: reason.clone(),
                        by: by.clone(),
                        since: self.tick,
                    });
                }
            }
            Fact::Rested => self.rested = !self.pauses.is_empty(),
            Fact::Resumed { reason, .. } => {
                self.pauses.retain(|p| p.reason != *reason);
                if self.pauses.is_empty() {
                    self.rested = false;
                }
            }
            Fact::PaceSet { limit, .. } => self.pace = *limit,
            Fact::LimitSet { signal, at, .. } => {
                if self.limit(signal).is_some() {
                    self.limits.insert(signal.clone(), *at);
                }
            }
            Fact::ThrottleHeld { signal } => self.held = Some((signal.clone(), self.tick)),
            Fact::ThrottleFreed { signal, held } => {
                self.held = None;
                *self.held_for.entry(signal.clone()).or_default() += *held;
            }
            Fact::ShadowSet { per_second, .. } => self.shadow_per_second = *per_second,
            Fact::AlertRaised { alert } => {
                self.next_alert = self.next_alert.max(AlertId(alert.id.0.saturating_add(1)));
                self.alerts.insert(
                    alert.id,
                    OpenAlert {
                        alert: alert.clone(),
                        at: event.at,
                        since: self.tick,
                        seen_by: None,
                    },
                );
            }
            Fact::AlertChanged { id, text } => {
                if let Some(open) = self.alerts.get_mut(id) {
                    open.alert.text.clone_from(text);
                }
            }
            Fact::AlertCleared { id } => {
                self.alerts.remove(id);
            }
            Fact::AlertAcknowledged { id, by } => {
                if let Some(open) = self.alerts.get_mut(id) {
                    open.seen_by = Some(by.clone());
                }
            }
            Fact::Attached {
                session,
                who,
                role,
                from,
            } => {
                let present = Present {
                    who: who.clone(),
                    role: *role,
                    from: from.clone(),
                    since: self.tick,
                };
                self.people.present.insert(*session, present);
            }
            Fact::Detached { session } => {
                self.people.present.remove(session);
                if self.people.lead == Some(*session) {
                    self.people.lead = None;
                }
            }
            Fact::LeadChanged { session } => self.people.lead = *session,
            Fact::AbortOrdered { drop_target, by } => {
                self.abort = Some(Abort {
                    drop_target: *drop_target,
                    by: by.clone(),
                });
            }
            Fact::Failed { fault } => self.last_failure = Some((fault.clone(), self.tick)),
        }
    }

    fn table_mut(&mut self, id: TableId) -> Option<&mut TableState> {
        let found = self.tables.get_mut(usize::from(id.0));
        if found.is_none() {
            self.illegal += 1;
        }
        found
    }

    fn repair_is(&mut self, id: RepairId, state: RepairState) {
        if let Some(repair) = self.repairs.get_mut(&id) {
            repair.state = state;
        }
    }

    fn touched(&mut self, chunks: &[ChunkId]) {
        for chunk in chunks {
            if let Some(state) = self.table_mut(chunk.table) {
                state.chunks.repaired(chunk.no);
            }
        }
    }

    /// A table's state.
    pub fn table(&self, id: TableId) -> Option<&TableState> {
        self.tables.get(usize::from(id.0))
    }

    /// The tables that are moved, with their plan.
    pub fn live_tables(
        &self,
    ) -> impl Iterator<Item = (TableId, &crate::domain::table::Table, &TableState)> {
        self.plan
            .iter()
            .flat_map(|plan| plan.ids())
            .filter(|(_, table)| table.key().is_some())
            .filter_map(|(id, table)| self.table(id).map(|state| (id, table, state)))
    }

    /// The migration's name; empty before the first record.
    pub fn name(&self) -> &str {
        self.plan.as_ref().map_or("", |plan| plan.name.as_str())
    }

    /// Whether it is asked to stand still.
    pub fn paused(&self) -> bool {
        !self.pauses.is_empty()
    }

    /// Whether changes lie on the source that nobody reads while all stands still: how many wait and how many come is not known.
    pub fn unread(&self) -> bool {
        self.rested && self.sample.applied < self.sample.head
    }

    /// Whether verify and shadow are to stand still too.
    pub fn all_stopped(&self) -> bool {
        self.pauses.iter().any(|p| p.reason == PauseReason::StopAll)
    }

    /// Whether it has ended.
    pub fn over(&self) -> bool {
        matches!(self.phase, Phase::Final | Phase::RolledBack)
    }

    /// Who takes the application's writes.
    pub fn owner(&self) -> Owner {
        match self.phase {
            Phase::Soak | Phase::Final => Owner::Target,
            Phase::InDoubt => Owner::Nobody,
            _ => Owner::Source,
        }
    }

    /// What going back would lose.
    pub fn way_back(&self) -> WayBack {
        match self.phase {
            Phase::RolledBack | Phase::Final => WayBack::Done,
            Phase::InDoubt | Phase::Cutover | Phase::Soak => WayBack::Unknown,
            _ => WayBack::LosesNothing,
        }
    }

    /// The copied part of all rows, 0 to 1; 1 only when every table is complete.
    pub fn copied(&self) -> f64 {
        let (mut rows, mut landed, mut complete, mut any) = (Rows::ZERO, Rows::ZERO, true, false);
        for (_, _, state) in self.live_tables() {
            any = true;
            rows += state.rows();
            landed += state.chunks.tally().landed_rows;
            complete &= state.complete;
        }
        match (any, complete) {
            (true, true) => 1.0,
            (false, _) => 0.0,
            (true, false) if rows == Rows::ZERO => 0.0,
            (true, false) => (landed.0 as f64 / rows.0 as f64).min(0.999),
        }
    }

    /// The part of all rows whose last compare found them equal, 0 to 1; 1 only when nothing is left out of it.
    pub fn equal_part(&self) -> f64 {
        let (mut rows, mut equal, mut whole) = (Rows::ZERO, Rows::ZERO, true);
        for (_, _, state) in self.live_tables() {
            let tally = state.chunks.tally();
            rows += state.rows();
            equal += tally.equal_rows;
            whole &= state.complete && tally.unchecked_chunks == 0 && tally.differing_chunks == 0;
        }
        if rows == Rows::ZERO {
            return if whole && self.copied() >= 1.0 {
                1.0
            } else {
                0.0
            };
        }
        let part = equal.0 as f64 / rows.0 as f64;
        if whole {
            part.min(1.0)
        } else {
            part.min(0.999)
        }
    }

    /// Age of the compare that is longest ago over all tables; none while a landed chunk was never compared.
    pub fn oldest_check(&self, now: Tick) -> Option<Span> {
        let mut oldest = None;
        for (_, _, state) in self
            .live_tables()
            .filter(|(_, _, state)| !state.chunks.is_empty())
        {
            oldest = oldest.max(Some(state.chunks.oldest_check(now)?));
        }
        oldest
    }

    /// Rows that differ: confirmed, in flight, not covered.
    pub fn drift(&self) -> Drift {
        let mut drift = Drift {
            in_flight: self.sample.in_flight,
            ..Drift::default()
        };
        for (_, _, state) in self.live_tables() {
            drift.confirmed += state.chunks.tally().differing_rows;
            drift.uncovered += state.uncovered();
        }
        drift
    }

    /// The open alert about a subject.
    pub fn alert_about(&self, subject: &Subject) -> Option<&OpenAlert> {
        self.alerts
            .values()
            .find(|open| open.alert.subject == *subject)
    }

    /// Whether everything is copied, applied, compared and equal.
    pub fn synced_and_equal(&self) -> bool {
        self.phase == Phase::Synced && self.equal_part() >= 1.0
    }
}
