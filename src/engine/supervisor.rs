//! The one loop: input → decide → record → publish → perform. It alone owns the state.

use super::clock::Clock;
use super::decide::{self, Controls, Decision, Effect, Known};
use super::jobs::{Ended, Jobs, News};
use super::lane::LaneHandle;
use super::queries;
use super::report::{Report, on_report};
use super::schedule::Schedule;
use super::site::Site;
use super::verify::DueRequest;
use crate::domain::command::{Answer, Command, Query, Reply, Request, Role};
use crate::domain::event::{Body, Event, Fact, Phase};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, CommandId, Seq, SessionId, Who};
use crate::domain::position::Position;
use crate::domain::sample::Sample;
use crate::domain::unit::RowsPerSecond;
use crate::domain::verdict::{ChunkVerdict, DriftCounts};
use crate::journal::undo::UndoFile;
use crate::journal::{Beside, Draft, Durable, Entry, Journal};
use crate::state::chunks::ChunkState;
use crate::state::migration::Migration;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs taken into one record at most: what waits for one sync of the journal.
const TOGETHER: usize = 256;
/// How long consoles have to see the last fact before the engine ends.
const LAST_LOOK: Duration = Duration::from_millis(1_500);

/// What others ask of the engine.
pub enum Ask {
    /// A command, with where its answer goes.
    Request(Request, oneshot::Sender<Reply>),
    /// A question, with where its answer goes.
    Query(Query, oneshot::Sender<Answer>),
    /// The folded state as of now.
    Snapshot(oneshot::Sender<Arc<Migration>>),
    /// A console attached; answered once it is recorded.
    Arrive {
        /// Its connection.
        session: SessionId,
        /// Who.
        who: Who,
        /// As what.
        role: Role,
        /// Its terminal.
        from: String,
        /// Answered once recorded.
        done: oneshot::Sender<()>,
    },
    /// A console went away.
    Leave(SessionId),
}

/// How an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Parked: resumable.
    Parked,
    /// The phase it was to run to was reached, then parked.
    Reached,
    /// The migration has ended.
    Over,
}

/// Everything the loop owns.
pub(super) struct Supervisor {
    pub state: Migration,
    pub clock: Clock,
    pub journal: Journal,
    pub undo: UndoFile,
    pub host: String,
    pub site: Site,
    pub jobs: Jobs,
    pub schedule: Schedule,
    pub controls: watch::Sender<Controls>,
    pub samples: watch::Receiver<Arc<Sample>>,
    pub in_flight: watch::Sender<u64>,
    pub until: Option<Phase>,
    /// Where the source stood when this engine measured it first.
    pub met: Option<Position>,
}

/// Where inputs come from.
pub(super) struct Inbox {
    pub asks: mpsc::Receiver<Ask>,
    pub reports: mpsc::Receiver<Report>,
    pub due: mpsc::Receiver<DueRequest>,
    pub news: mpsc::Receiver<News>,
}

/// One decision with whoever waits for it.
struct Pending {
    decision: Decision,
    reply: Option<oneshot::Sender<Reply>>,
    arrived: Option<oneshot::Sender<()>>,
    accepted: Seq,
}

#[derive(Default)]
struct Group {
    entry: Entry,
    pending: Vec<Pending>,
}

enum Input {
    Ask(Ask),
    Report(Report),
    Second,
}

impl Supervisor {
    /// Runs until parked, over, or failed.
    pub async fn run(mut self, mut inbox: Inbox, first: Report) -> Result<Exit> {
        match self.work(&mut inbox, first).await {
            Ok((exit, by)) => self.end(exit, by, &mut inbox).await,
            Err(fault) => Err(self.fail(fault, &mut inbox).await),
        }
    }

    async fn work(&mut self, inbox: &mut Inbox, first: Report) -> Result<(Exit, Who)> {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.site.stop.clone();
        self.step(vec![Input::Report(first)]).await?;
        loop {
            if let Some(exit) = self.ending() {
                return Ok((exit, Who::Engine));
            }
            let mut inputs = Vec::new();
            tokio::select! {
                biased;
                Some(ask) = inbox.asks.recv() => inputs.push(Input::Ask(ask)),
                Some(news) = inbox.news.recv() => match news {
                    News::Opened(lane) => {
                        self.jobs.opened(lane);
                        self.jobs.reconcile(&self.state, &self.site, &self.journal).await?;
                        continue;
                    }
                    News::Ended(ended) => {
                        // What a task reported before it ended decides whether it is wanted again.
                        while let Ok(report) = inbox.reports.try_recv() {
                            inputs.push(Input::Report(report));
                        }
                        inputs.extend(self.ended(ended).await?.map(Input::Report));
                        if inputs.is_empty() {
                            self.jobs.reconcile(&self.state, &self.site, &self.journal).await?;
                            continue;
                        }
                    }
                },
                Some(report) = inbox.reports.recv() => inputs.push(Input::Report(report)),
                Some(request) = inbox.due.recv() => {
                    self.answer_due(request);
                    continue;
                }
                _ = second.tick() => inputs.push(Input::Second),
                () = stop.cancelled() => return Ok((Exit::Parked, Who::Engine)),
            }
            while inputs.len() < TOGETHER {
                if let Ok(ask) = inbox.asks.try_recv() {
                    inputs.push(Input::Ask(ask));
                } else if let Ok(report) = inbox.reports.try_recv() {
                    inputs.push(Input::Report(report));
                } else {
                    break;
                }
            }
            if let Some(by) = self.step(inputs).await? {
                return Ok((Exit::Parked, by));
            }
        }
    }

    fn ending(&mut self) -> Option<Exit> {
        if self.state.over() {
            return Some(Exit::Over);
        }
        let sample = &self.state.sample;
        if self.met.is_none() && sample.lag.is_some() {
            self.met = Some(sample.head);
        }
        // In step once is not in step now: what came in while no engine ran has to be applied first.
        let caught_up = self.met.is_some_and(|met| sample.applied >= met);
        let place = |phase: Phase| Phase::ALL.iter().position(|p| *p == phase);
        match self.until {
            Some(until)
                if self.state.phase != Phase::RollingBack
                    && place(self.state.phase) >= place(until)
                    && (until != Phase::Synced || caught_up) =>
            {
                Some(Exit::Reached)
            }
            _ => None,
        }
    }

    /// Decides on these inputs, records what follows in one piece, publishes it, and does what it says. Gives who asked to
    /// park, if somebody did.
    async fn step(&mut self, inputs: Vec<Input>) -> Result<Option<Who>> {
        let mut group = Group::default();
        for input in inputs {
            self.take(input, &mut group).await?;
        }
        loop {
            let facts = decide::follow(&self.state);
            if facts.is_empty() {
                break;
            }
            self.stage(
                Decision {
                    facts,
                    ..Decision::default()
                },
                &mut group,
            );
        }
        if group.entry.drafts.is_empty() && group.pending.is_empty() {
            return Ok(None);
        }
        let predicted = self.state.seq;
        let recorded = self.journal.record(group.entry, group.pending).await;
        let (events, durable) = match recorded {
            Ok(recorded) => recorded,
            Err(fault) => return Err(self.lost(fault)),
        };
        debug_assert!(events.last().is_none_or(|e| e.seq == predicted));
        self.perform(durable).await
    }

    async fn take(&mut self, input: Input, group: &mut Group) -> Result<()> {
        match input {
            Input::Ask(Ask::Request(request, reply)) => {
                let known = self.known(&request.command).await?;
                let decision = decide::on_request(&self.state, &request, &known);
                let accepted = Seq(self.state.seq.0 + 1);
                self.stage(decision, group);
                if let Some(pending) = group.pending.last_mut() {
                    pending.reply = Some(reply);
                    pending.accepted = accepted;
                }
            }
            Input::Ask(Ask::Query(query, reply)) => self.query(query, reply),
            Input::Ask(Ask::Snapshot(reply)) => {
                // The state may hold facts of this group that are not durable yet: the answer waits for them.
                let snapshot = Arc::new(self.state.clone());
                if let Err(fault) = self.journal.append(std::mem::take(&mut group.entry)).await {
                    return Err(self.lost(fault));
                }
                let _ = reply.send(snapshot);
            }
            Input::Ask(Ask::Arrive {
                session,
                who,
                role,
                from,
                done,
            }) => {
                let leads = role == Role::Operator
                    && self.state.people.lead.is_none()
                    && from != decide::SEND;
                let mut facts = vec![Fact::Attached {
                    session,
                    who,
                    role,
                    from,
                }];
                if leads {
                    facts.push(Fact::LeadChanged {
                        session: Some(session),
                    });
                }
                self.stage(
                    Decision {
                        facts,
                        ..Decision::default()
                    },
                    group,
                );
                if let Some(pending) = group.pending.last_mut() {
                    pending.arrived = Some(done);
                }
            }
            Input::Ask(Ask::Leave(session)) => {
                if self.state.people.present.contains_key(&session) {
                    self.stage(
                        Decision {
                            facts: vec![Fact::Detached { session }],
                            ..Decision::default()
                        },
                        group,
                    );
                }
            }
            Input::Report(report) => {
                for report in self.that_count(report) {
                    self.report(&report, group);
                }
            }
            Input::Second => {
                let sample = self.samples.borrow().clone();
                // Without either nothing was measured yet.
                if self.jobs.streaming() && (sample.lag.is_some() || sample.silent) {
                    let draft = self.draft(None, Body::Sample(Box::new((*sample).clone())));
                    self.fold(&draft);
                    group.entry.drafts.push(draft);
                }
                self.jobs
                    .reconcile(&self.state, &self.site, &self.journal)
                    .await?;
            }
        }
        Ok(())
    }

    fn report(&mut self, report: &Report, group: &mut Group) {
        self.heed(report);
        let decision = on_report(&self.state, report, &self.host);
        self.beside(report, &mut group.entry);
        self.stage(decision, group);
        if let Some(fact) = self.schedule.pass_finished(&self.state) {
            let facts = vec![fact];
            self.stage(
                Decision {
                    facts,
                    ..Decision::default()
                },
                group,
            );
        }
        self.in_flight.send_replace(self.schedule.in_flight());
    }

    /// A verdict is about the rows as they were read: one that a repair of its chunk has overtaken says nothing any more.
    fn that_count(&self, report: Report) -> Vec<Report> {
        let counts = |table, no| self.schedule.counts(ChunkId { table, no });
        match report {
            Report::Checked { chunk, .. } if !self.schedule.counts(chunk) => Vec::new(),
            Report::Equal {
                table,
                first,
                rows,
                position,
                cause,
            } => {
                let numbered: Vec<(u32, u32)> = (first..).zip(rows).collect();
                numbered
                    .chunk_by(|a, b| counts(table, a.0) == counts(table, b.0))
                    .filter(|run| counts(table, run[0].0))
                    .map(|run| Report::Equal {
                        table,
                        first: run[0].0,
                        rows: run.iter().map(|(_, rows)| *rows).collect(),
                        position,
                        cause,
                    })
                    .collect()
            }
            other => vec![other],
        }
    }

    /// Folds a decision in and puts its facts into the group. A fact that can't follow is a mistake of ours: it is left out
    /// and said in the log, never written.
    fn stage(&mut self, decision: Decision, group: &mut Group) {
        for fact in &decision.facts {
            if let Err(illegal) = self.state.admit(fact) {
                tracing::error!(%illegal, ?fact, "left out");
                continue;
            }
            let draft = self.draft(decision.cause, Body::Fact(fact.clone()));
            self.fold(&draft);
            group.entry.drafts.push(draft);
        }
        group.pending.push(Pending {
            decision,
            reply: None,
            arrived: None,
            accepted: self.state.seq,
        });
    }

    fn draft(&self, cause: Option<(SessionId, CommandId)>, body: Body) -> Draft {
        Draft {
            at: self.clock.at(),
            tick: self.clock.tick(),
            cause,
            body,
        }
    }

    fn fold(&mut self, draft: &Draft) {
        let seq = Seq(self.state.seq.0 + 1);
        let event = Event {
            seq,
            at: draft.at,
            tick: draft.tick,
            cause: draft.cause,
            body: draft.body.clone(),
        };
        self.state.apply(&event);
    }

    /// What a report means to the schedule, before it becomes a fact.
    fn heed(&mut self, report: &Report) {
        match report {
            Report::Checked { chunk, verdict, .. } => self.schedule.compared(*chunk, verdict),
            Report::Equal {
                table,
                first,
                rows,
                position,
                ..
            } => {
                for (no, rows) in (*first..).zip(rows) {
                    let rows = crate::domain::unit::Rows(u64::from(*rows));
                    let verdict = ChunkVerdict {
                        position: *position,
                        source_rows: rows,
                        target_rows: rows,
                        in_flight: 0,
                        differ: DriftCounts::default(),
                        columns: Vec::new(),
                    };
                    self.schedule
                        .compared(ChunkId { table: *table, no }, &verdict);
                }
            }
            Report::Repaired(Fact::Repaired { chunks, .. })
            | Report::RepairEnded(Fact::RepairUndone { chunks, .. }) => {
                self.schedule.repaired(chunks);
            }
            _ => {}
        }
    }

    /// What goes beside the chain with a report's facts.
    fn beside(&self, report: &Report, entry: &mut Entry) {
        let tick = self.clock.tick();
        match report {
            Report::Recovered { found, .. } => {
                entry
                    .beside
                    .extend(found.iter().map(|(chunk, range, _)| Beside::Bounds {
                        chunk: *chunk,
                        range: range.clone(),
                    }));
            }
            Report::Landed { chunk, range, .. } => entry.beside.push(Beside::Bounds {
                chunk: *chunk,
                range: range.clone(),
            }),
            Report::Checked { chunk, keys, .. } => entry.beside.push(Beside::Drift {
                chunk: *chunk,
                keys: keys.clone(),
                tick,
            }),
            Report::Equal {
                table, first, rows, ..
            } => {
                let Some(state) = self.state.table(*table) else {
                    return;
                };
                for no in *first..first.saturating_add(rows.len() as u32) {
                    // Only a chunk that was not equal before can have known differences to forget.
                    let differed = state.chunks.get(no).is_some_and(|c| {
                        matches!(c.state(), ChunkState::Differs | ChunkState::Repaired)
                    });
                    if differed {
                        let chunk = ChunkId { table: *table, no };
                        entry.beside.push(Beside::Drift {
                            chunk,
                            keys: Vec::new(),
                            tick,
                        });
                    }
                }
            }
            _ => {}
        }
    }

    /// Differing rows by class of the chunks that a repair would be about.
    async fn known(&mut self, command: &Command) -> Result<Known> {
        let Command::Repair(scope) = command else {
            return Ok(Known::new());
        };
        let mut reader = self.journal.reader().await?;
        let mut known = Known::new();
        for (_, chunks) in decide::differing(&self.state, scope) {
            for chunk in chunks {
                let mut counts = DriftCounts::default();
                for drifter in reader.drifted_in(chunk, 1_000).await? {
                    counts.add(drifter.class);
                }
                known.push((chunk, counts));
            }
        }
        Ok(known)
    }

    fn query(&self, query: Query, reply: oneshot::Sender<Answer>) {
        let state = Arc::new(self.state.clone());
        let live: Option<(Site, LaneHandle)> =
            self.jobs.lane().map(|lane| (self.site.clone(), lane));
        let journal: PathBuf = self.journal.path().to_path_buf();
        self.jobs.aside(async move {
            let _ = reply.send(queries::answer(query, state, journal, live).await);
        });
    }

    fn answer_due(&mut self, request: DueRequest) {
        let due = self
            .schedule
            .next(&self.state, request.pressing_only, &request.keyless);
        let _ = request.reply.send((due, self.verify_pace()));
    }

    /// The speed at which every row is compared once within four fifths of the age that is allowed, or faster where that is no
    /// burden; few rows no more often than once a second, because each pass is recorded. None while copying.
    fn verify_pace(&self) -> Option<RowsPerSecond> {
        if self.state.phase == Phase::Copy {
            return None;
        }
        let verify = &self.site.plan.verify;
        let rows: u64 = self.state.live_tables().map(|(_, _, t)| t.rows().0).sum();
        let pace = (rows as f64 / (verify.max_age.as_secs_f64() * 0.8).max(0.1)) as u64;
        let pace = pace.max(rows.min(10_000));
        Some(
            RowsPerSecond(pace).min(
                verify
                    .max_rows_per_second
                    .unwrap_or(RowsPerSecond(u64::MAX)),
            ),
        )
    }

    /// Does what was decided. Only the journal makes a `Durable`: nothing here can run before its facts are on disk.
    async fn perform(&mut self, durable: Durable<Vec<Pending>>) -> Result<Option<Who>> {
        let mut parked = None;
        let controls = decide::controls(&self.state);
        self.controls
            .send_if_modified(|now| std::mem::replace(now, controls.clone()) != controls);
        for pending in durable.into_inner() {
            if let Some(arrived) = pending.arrived {
                let _ = arrived.send(());
            }
            if let Some(reply) = pending.reply {
                let answer = match pending.decision.refused {
                    Some(fault) => Reply::Refused(fault),
                    None => Reply::Accepted {
                        seq: pending.accepted,
                    },
                };
                let _ = reply.send(answer);
            }
            for effect in pending.decision.effects {
                match effect {
                    Effect::Verify(scope) => self.schedule.ask(scope, pending.decision.cause),
                    Effect::Undo(repair) => self.jobs.undo(repair, &self.state, &self.site),
                    Effect::Forget(repair) => {
                        if let Err(fault) = self.undo.forget(repair).await {
                            tracing::warn!(error = %fault, "what was put back is kept a second time");
                        }
                    }
                    Effect::Park(by) => parked = Some(by),
                }
            }
        }
        self.jobs
            .reconcile(&self.state, &self.site, &self.journal)
            .await?;
        Ok(parked)
    }

    /// What a job's end means: nothing, a report, or the engine's own end.
    async fn ended(&mut self, ended: Ended) -> Result<Option<Report>> {
        let job = self.jobs.forget(&ended);
        let Err(fault) = ended.result else {
            return Ok(None);
        };
        tracing::warn!(error = %fault, ?job, code = %fault.code, "a task ended");
        match fault.kind {
            Kind::Interrupted => Ok(None),
            // A full target is waited for, whichever task met it first.
            Kind::Own | Kind::InDoubt if fault.code != "TARGET-FULL" => Err(fault),
            _ if fault.code == "LEASE-LOST" => Err(fault),
            // Something that was being given up ran into its own removal.
            _ if !decide::wanted(&self.state).contains(&job) => Ok(None),
            _ => {
                let site = self.site.clone();
                self.jobs.aside(async move {
                    let report = super::jobs::trouble(&site, fault).await;
                    site.tell(report).await;
                });
                Ok(None)
            }
        }
    }

    /// The journal can't be written: nothing that is not recorded may be done, so everything stops here.
    fn lost(&self, fault: Fault) -> Fault {
        self.site.stop.cancel();
        fault
    }

    async fn end(mut self, exit: Exit, by: Who, inbox: &mut Inbox) -> Result<Exit> {
        if exit == Exit::Over {
            tokio::time::sleep(LAST_LOOK).await;
        }
        // What tasks finished while they were stopped is recorded; a landing that is not is found in the ledger next time.
        let told = self.rest(inbox).await;
        let last = match self.step(told).await {
            Ok(_) => {
                let mut group = Group::default();
                let facts = vec![Fact::EngineParked { by }];
                let decision = Decision {
                    facts,
                    ..Decision::default()
                };
                self.stage(decision, &mut group);
                self.journal.append(group.entry).await.map(drop)
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = last {
            return Err(self.fail(fault, inbox).await);
        }
        self.journal.clone().close().await?;
        Ok(exit)
    }

    /// Ends every task and waits until they rest, hearing what they still have to say: a task that waits for room to report
    /// would never end.
    async fn rest(&mut self, inbox: &mut Inbox) -> Vec<Input> {
        self.site.stop.cancel();
        let mut told = Vec::new();
        {
            let stopped = self.jobs.stop();
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    () = &mut stopped => break,
                    Some(report) = inbox.reports.recv() => told.push(Input::Report(report)),
                    // Dropped unanswered: whoever asks what is due hears that nothing is any more.
                    Some(_) = inbox.due.recv() => {}
                    Some(_) = inbox.news.recv() => {}
                }
            }
        }
        while let Ok(report) = inbox.reports.try_recv() {
            told.push(Input::Report(report));
        }
        told
    }

    /// The engine's own end: nothing of it writes any more once this returns, and the journal says why, into the room that was
    /// kept for last words if its disk is full.
    async fn fail(&mut self, fault: Fault, inbox: &mut Inbox) -> Fault {
        self.rest(inbox).await;
        let facts = [
            Fact::Failed {
                fault: fault.clone(),
            },
            Fact::EngineParked { by: Who::Engine },
        ];
        let last: Vec<Draft> = facts
            .into_iter()
            .map(|fact| self.draft(None, Body::Fact(fact)))
            .collect();
        if let Err(second) = self.journal.append_last(last).await {
            tracing::error!(error = %second, "the last words could not be recorded");
        }
        // Whatever closing runs into, the first fault is the one to tell.
        let _ = self.journal.clone().close().await;
        fault
    }
}
