//! The pieces of work that run for as long as the state wants them: the only place where the engine spawns.

use super::copy::{Copier, Progress, Start};
use super::decide::{self, Job};
use super::lane::{Lane, LaneHandle};
use super::recover::{not_behind, starts, unbroken};
use super::repair::Repairer;
use super::report::Report;
use super::sampler::Sampler;
use super::schema;
use super::signals::Reading;
use super::site::Site;
use super::throttle::{Governor, Weighed};
use super::verify::{DueRequest, Verifier};
use super::{removal, repair, shadow, signals};
use crate::db::Writer;
use crate::domain::event::{Fact, PauseReason};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{RepairId, TableId};
use crate::domain::plan::Side;
use crate::domain::sample::{Sample, ShadowLine};
use crate::domain::unit::{Bytes, Span};
use crate::journal::Journal;
use crate::journal::Reader;
use crate::journal::undo::UndoFile;
use crate::signal::Probe;
use crate::state::migration::Migration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a job that failed waits before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Room on the target below which a full one is not taken for mended.
const ROOM: Bytes = Bytes(64 << 20);
/// How long stopping waits for tasks to come to rest; a landing that takes longer is found in the ledger next time.
const REST: Duration = Duration::from_secs(10);

/// What the tasks tell the supervisor of themselves.
pub enum News {
    /// The stream is open: what stands on it may start.
    Opened(LaneHandle),
    /// A task ended.
    Ended(Ended),
}

/// A job's end.
pub struct Ended {
    job: Job,
    life: u64,
    /// How it ended.
    pub result: Result<()>,
}

struct Running {
    life: u64,
    stop: CancellationToken,
}

/// The channels between tasks, and the tasks.
pub struct Jobs {
    running: BTreeMap<Job, Running>,
    again: BTreeMap<Job, Instant>,
    lives: u64,
    tracker: TaskTracker,
    lane: Option<LaneHandle>,
    /// The way to write that recovery opened; the lane takes it.
    writer: Option<Box<dyn Writer>>,
    news: mpsc::Sender<News>,
    due: mpsc::Sender<DueRequest>,
    weighed: watch::Sender<Weighed>,
    probes: Arc<[Probe]>,
    readings: watch::Sender<Vec<Reading>>,
    progress: watch::Sender<Progress>,
    verified: watch::Sender<u64>,
    shadow: watch::Sender<Vec<ShadowLine>>,
    in_flight: watch::Receiver<u64>,
    samples: watch::Sender<Arc<Sample>>,
    undo: PathBuf,
    governor: Arc<Governor>,
    probing: Option<JoinHandle<()>>,
    /// Whether the source was seen to be another file: only then can it be seen to be back.
    replaced: Arc<AtomicBool>,
}

/// The ends of channels that jobs are given.
pub struct Lines {
    /// Where tasks tell of themselves.
    pub news: mpsc::Sender<News>,
    /// Where the verifier asks what is due.
    pub due: mpsc::Sender<DueRequest>,
    /// Rows in flight.
    pub in_flight: watch::Receiver<u64>,
    /// Where measurements go.
    pub samples: watch::Sender<Arc<Sample>>,
    /// Where what repairs replace is kept.
    pub undo: PathBuf,
    /// How the operator's signals are read.
    pub probes: Vec<Probe>,
}

impl Jobs {
    /// No job yet.
    pub fn new(site: &Site, writer: Option<Box<dyn Writer>>, lines: Lines) -> Self {
        let weighed = watch::Sender::new(Weighed::default());
        let governor = Governor::new(
            site.plan.throttle.stale_after,
            site.controls.clone(),
            weighed.subscribe(),
        );
        Self {
            running: BTreeMap::new(),
            again: BTreeMap::new(),
            lives: 0,
            tracker: TaskTracker::new(),
            lane: None,
            writer,
            news: lines.news,
            due: lines.due,
            governor: Arc::new(governor),
            weighed,
            probes: lines.probes.into(),
            readings: watch::Sender::new(Vec::new()),
            progress: watch::Sender::new(Progress::default()),
            verified: watch::Sender::new(0),
            shadow: watch::Sender::new(Vec::new()),
            in_flight: lines.in_flight,
            samples: lines.samples,
            undo: lines.undo,
            probing: None,
            replaced: Arc::default(),
        }
    }

    /// The stream is open.
    pub fn opened(&mut self, lane: LaneHandle) {
        self.lane = Some(lane);
    }

    /// The stream's handle, while it runs.
    pub fn lane(&self) -> Option<LaneHandle> {
        self.lane.clone()
    }

    /// Whether measurements are made.
    pub fn streaming(&self) -> bool {
        self.running.contains_key(&Job::Stream)
    }

    /// Starts what the state wants and does not run, stops what runs and is not wanted.
    pub async fn reconcile(
        &mut self,
        state: &Migration,
        site: &Site,
        journal: &Journal,
    ) -> Result<()> {
        if self.tracker.is_closed() {
            return Ok(());
        }
        let wanted = decide::wanted(state);
        for (job, running) in &self.running {
            if !wanted.contains(job) {
                running.stop.cancel();
            }
        }
        for job in wanted {
            // Nothing may still write while everything of ours is taken away.
            if job == Job::Remove && self.running.keys().any(|running| *running != Job::Remove) {
                continue;
            }
            // What stood on the last stream would meet the next one's lease.
            if job == Job::Stream
                && self
                    .running
                    .keys()
                    .any(|running| stands_on_stream(*running))
            {
                continue;
            }
            let waits = self
                .again
                .get(&job)
                .is_some_and(|at| at.elapsed() < AGAIN_AFTER);
            if !self.running.contains_key(&job) && !waits {
                self.start(job, state, site, journal).await?;
            }
        }
        self.probe(state, site);
        Ok(())
    }

    async fn start(
        &mut self,
        job: Job,
        state: &Migration,
        site: &Site,
        journal: &Journal,
    ) -> Result<()> {
        let mut site = site.clone();
        site.stop = site.stop.child_token();
        let stop = site.stop.clone();
        match job {
            Job::Schema => {
                let made = state.made.clone();
                self.spawn(job, stop, async move { schema::make(&site, &made).await });
            }
            Job::Stream => {
                let writer = self.writer.take();
                let (weighed, samples, news) = (
                    self.weighed.clone(),
                    self.samples.clone(),
                    self.news.clone(),
                );
                let (probes, readings) = (Arc::clone(&self.probes), self.readings.clone());
                let (progress, verified) = (self.progress.subscribe(), self.verified.subscribe());
                let (in_flight, shadow) = (self.in_flight.clone(), self.shadow.subscribe());
                let governor = Arc::clone(&self.governor);
                let known: Vec<(TableId, u32)> = state
                    .live_tables()
                    .map(|(id, _, table)| (id, table.chunks.len()))
                    .collect();
                self.spawn(job, stop.clone(), async move {
                    // A stream that failed took its lease along: a new one is taken, so that nothing of the old still writes.
                    let again = writer.is_none();
                    let writer = match writer {
                        Some(writer) => writer,
                        None => site.retry(|| site.target.writer(&site.plan)).await?,
                    };
                    let (lane, handle) = Lane::open(site.clone(), writer).await?;
                    // Recovery has looked before the first one.
                    if again {
                        all_there(&site, &handle, &known).await?;
                    }
                    let lane_site = site.clone();
                    let opening = open(handle.clone(), news, stop.clone());
                    let reading = signals::run(site.clone(), probes, readings.clone());
                    let sampler = Sampler {
                        site: lane_site,
                        lane: handle,
                        progress,
                        verified,
                        in_flight,
                        shadow,
                        governor,
                        readings: readings.subscribe(),
                        weighed,
                        samples,
                    };
                    let all = tokio::try_join!(lane.run(), sampler.run(), reading, opening);
                    stop.cancel();
                    all.map(|_| ())
                });
            }
            Job::Copy | Job::Verify | Job::Shadow | Job::Finish | Job::Repair(_) => {
                let Some(lane) = self.lane.clone() else {
                    return Ok(());
                };
                self.start_on_lane(job, state, site, lane, journal).await?;
            }
            Job::Remove => {
                let drop_target = state.abort.as_ref().is_some_and(|a| a.drop_target);
                let made = state.made.clone();
                self.spawn(job, stop, async move {
                    removal::remove(&site, drop_target, &made).await
                });
            }
        }
        Ok(())
    }

    async fn start_on_lane(
        &mut self,
        job: Job,
        state: &Migration,
        site: Site,
        lane: LaneHandle,
        journal: &Journal,
    ) -> Result<()> {
        let stop = site.stop.clone();
        match job {
            Job::Copy => {
                let left: Vec<(TableId, u32)> = state
                    .live_tables()
                    .filter(|(_, _, t)| !t.complete)
                    .map(|(id, _, t)| (id, t.chunks.len()))
                    .collect();
                self.progress.send_modify(|p| p.copying.clear());
                let (governor, progress) = (Arc::clone(&self.governor), self.progress.clone());
                self.spawn(job, stop, async move {
                    let starts = learn(&site, &lane, &left).await?;
                    Copier {
                        site,
                        lane,
                        governor,
                        progress,
                    }
                    .run(starts)
                    .await
                });
            }
            Job::Verify => {
                let bounds = journal.reader().await?;
                let verifier = Verifier {
                    site,
                    lane,
                    bounds,
                    due: self.due.clone(),
                    rows: self.verified.clone(),
                };
                self.spawn(job, stop, verifier.run());
            }
            Job::Shadow => self.spawn(job, stop, shadow::run(site, lane, self.shadow.clone())),
            Job::Finish => {
                let made = state.made.clone();
                self.spawn(job, stop, async move {
                    schema::finish(&site, &lane, &made).await
                });
            }
            Job::Repair(id) => {
                let Some((table, chunks)) =
                    state.repairs.get(&id).map(|r| (r.table, r.chunks.clone()))
                else {
                    return Ok(());
                };
                let (journal, undo) = (journal.path().to_path_buf(), self.undo.clone());
                self.spawn(job, stop, async move {
                    let report = async {
                        let repairer = Repairer {
                            site: site.clone(),
                            lane,
                            journal: Reader::open(&journal).await?,
                            undo: UndoFile::open(&undo).await?,
                        };
                        repairer.run(id, table, &chunks).await
                    };
                    let report = match report.await {
                        Ok(report) => report,
                        Err(fault) if fault.kind == Kind::Interrupted => return Ok(()),
                        Err(fault) => Report::RepairEnded(Fact::RepairFailed { repair: id, fault }),
                    };
                    site.tell(report).await;
                    Ok(())
                });
            }
            Job::Schema | Job::Stream | Job::Remove => {}
        }
        Ok(())
    }

    /// Puts back what a repair replaced.
    pub fn undo(&self, id: RepairId, state: &Migration, site: &Site) {
        let Some(repair) = state.repairs.get(&id) else {
            return;
        };
        let (site, table, chunks, store) = (
            site.clone(),
            repair.table,
            repair.chunks.clone(),
            self.undo.clone(),
        );
        let lane = self.lane.clone().ok_or_else(|| {
            let what = format!("repair {id} was not undone: there is no way to the target now");
            Fault::new(Kind::Transient, what).hint("undo it again once the stream runs")
        });
        self.aside(async move {
            let undone = match lane {
                Ok(lane) => repair::undo(&lane, &store, id, table, &chunks).await,
                Err(fault) => Err(fault),
            };
            let report = match undone {
                Ok(report) => report,
                Err(fault) => Report::Failed(fault),
            };
            site.tell(report).await;
        });
    }

    /// Something short that nobody waits for.
    pub fn aside(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    fn spawn(
        &mut self,
        job: Job,
        stop: CancellationToken,
        task: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        self.lives += 1;
        let life = self.lives;
        self.running.insert(job, Running { life, stop });
        let news = self.news.clone();
        self.tracker.spawn(async move {
            let result = task.await;
            let _ = news.send(News::Ended(Ended { job, life, result })).await;
        });
    }

    /// Takes a job's end in.
    pub fn forget(&mut self, ended: &Ended) -> Job {
        if self
            .running
            .get(&ended.job)
            .is_some_and(|r| r.life == ended.life)
        {
            self.running.remove(&ended.job);
            if ended.job == Job::Stream {
                self.lane = None;
                // What stands on the stream can't go on without it.
                for (job, running) in &self.running {
                    if !matches!(job, Job::Schema | Job::Remove) {
                        running.stop.cancel();
                    }
                }
            }
            if ended.result.is_err() {
                self.again.insert(ended.job, Instant::now());
            }
        }
        ended.job
    }

    /// Looks whether what made it stand still is mended.
    fn probe(&mut self, state: &Migration, site: &Site) {
        let reasons: Vec<PauseReason> = state
            .pauses
            .iter()
            .map(|p| p.reason.clone())
            .filter(heals)
            .collect();
        let under_way = self.probing.as_ref().is_some_and(|p| !p.is_finished());
        if reasons.is_empty() || under_way {
            return;
        }
        let (site, replaced) = (site.clone(), Arc::clone(&self.replaced));
        self.probing = Some(self.tracker.spawn(async move {
            let source = site.source.pulse(&site.plan).await;
            let target = site.target.pulse(&site.plan).await;
            for reason in reasons {
                let mended = match &reason {
                    PauseReason::Database(Side::Source, _) | PauseReason::StaleMetrics(_) => {
                        source.is_ok()
                    }
                    PauseReason::Database(Side::Target, _) => target.is_ok(),
                    PauseReason::TargetFull => target
                        .as_ref()
                        .is_ok_and(|p| p.free.is_none_or(|free| free > ROOM)),
                    PauseReason::SourceReplaced(_) if source.is_err() => {
                        replaced.store(true, Ordering::Relaxed);
                        false
                    }
                    PauseReason::SourceReplaced(_) => replaced.swap(false, Ordering::Relaxed),
                    PauseReason::SchemaChanged(table) => {
                        let planned = site.plan.table(*table).map(|t| &t.shape);
                        source.as_ref().is_ok_and(|p| {
                            p.shapes
                                .iter()
                                .any(|(id, shape)| id == table && Some(shape) == planned)
                        })
                    }
                    _ => false,
                };
                if mended {
                    site.tell(Report::Mended(reason)).await;
                }
            }
        }));
    }

    /// Ends every task and waits until they have come to rest.
    pub async fn stop(&mut self) {
        for running in self.running.values() {
            running.stop.cancel();
        }
        self.tracker.close();
        if tokio::time::timeout(REST, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "a task did not come to rest within {REST:?}; what it was doing is found in the ledger next time"
            );
        }
    }
}

/// Whether a reason to stand still goes away by itself once its cause does.
fn heals(reason: &PauseReason) -> bool {
    matches!(
        reason,
        PauseReason::Database(..)
            | PauseReason::StaleMetrics(_)
            | PauseReason::TargetFull
            | PauseReason::SchemaChanged(_)
            | PauseReason::SourceReplaced(_)
    )
}

fn stands_on_stream(job: Job) -> bool {
    match job {
        Job::Copy | Job::Verify | Job::Shadow | Job::Finish | Job::Repair(_) => true,
        Job::Schema | Job::Stream | Job::Remove => false,
    }
}

/// Tells that the stream is open once it is: a file that is not the source any more must not be read from before that shows.
async fn open(lane: LaneHandle, news: mpsc::Sender<News>, stop: CancellationToken) -> Result<()> {
    tokio::select! {
        () = stop.cancelled() => {}
        () = lane.opened() => {
            let _ = news.send(News::Opened(lane.clone())).await;
        }
    }
    Ok(())
}

/// Chunks that have landed must be there still: another server in the target's place may lack some.
async fn all_there(site: &Site, lane: &LaneHandle, known: &[(TableId, u32)]) -> Result<()> {
    let ledger = site.retry(|| lane.ledger()).await?;
    for (table, known) in known {
        let name = site.plan.table(*table).map(|table| table.source.as_str());
        not_behind(&ledger, *table, name.unwrap_or_default(), *known)?;
    }
    Ok(())
}

/// Where the copy goes on, after telling what the ledger holds and nobody has told: a stream that broke off while it landed a
/// chunk did not live to see it land.
async fn learn(site: &Site, lane: &LaneHandle, left: &[(TableId, u32)]) -> Result<Vec<Start>> {
    let ledger = lane.ledger().await?;
    let mut open = Vec::new();
    for (table, known) in left {
        let marks = lane.landed(*table, known.saturating_sub(1)).await?;
        for mark in unbroken(marks, *known) {
            site.tell(Report::Landed {
                chunk: mark.chunk,
                range: mark.range,
                rows: mark.rows,
                bytes: Bytes::ZERO,
                took: Span::ZERO,
                position: ledger.applied,
            })
            .await;
        }
        let last = ledger.last.iter().find(|(id, _, _)| id == table);
        match last {
            Some((_, _, None)) => site.tell(Report::Copied(*table)).await,
            _ => open.push(*table),
        }
    }
    Ok(starts(&open, &ledger))
}

/// What a job's failure means for the migration.
pub async fn trouble(site: &Site, fault: Fault) -> Report {
    match fault.code.as_str() {
        "TARGET-FULL" => Report::Trouble(PauseReason::TargetFull),
        "SOURCE-REPLACED" => Report::Trouble(PauseReason::SourceReplaced(fault.what)),
        // A busy or unreachable database mends itself; anything else needs a person to look.
        _ if !matches!(fault.kind, Kind::Transient) => {
            Report::Trouble(PauseReason::Failed(fault.to_string()))
        }
        _ => {
            // The fault says what, not where: the end that answers is not the one.
            let side = if site.source.pulse(&site.plan).await.is_err() {
                Side::Source
            } else {
                Side::Target
            };
            Report::Trouble(PauseReason::Database(side, fault.to_string()))
        }
    }
}
