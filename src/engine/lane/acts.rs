//! What the lane does to the target, and what comes of it. An unknown outcome is read back from the ledger before anything
//! else is done about it.

use super::handle::LandedAt;
use super::landed::LandedRanges;
use super::reads::Ticket;
use super::retry::Work;
use super::task::Lane;
use crate::db::{Applied, Batch, ChunkMark, Landed, Landing, Ledger, WENT_BACK, spill, went_back};
use crate::domain::event::PauseReason;
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::position::{Position, Seen};
use crate::engine::report::Report;
use crate::engine::schema;
use std::sync::Arc;
use std::time::Duration;

/// Views only opened to prove what they see are at least so far apart.
const PROOFS_APART: Duration = Duration::from_millis(100);

/// A batch that was sent.
#[derive(Debug, Clone)]
pub(super) struct SentBatch {
    pub upto: Position,
    tables: Vec<TableId>,
    /// What had landed when it was sent.
    landed: LandedRanges,
}

/// Something under way has ended.
pub(super) enum Done {
    Applied(SentBatch, Outcome<Applied>),
    /// The ledger was read to learn what became of a batch.
    BatchSettled(SentBatch, Result<Ledger>),
    Landed(Ticket, Landing, Outcome<Landed>),
    /// Whether a landing's mark is in the ledger; none where it has no mark.
    LandingSettled(Ticket, Landing, Result<Option<bool>>),
    /// What was asked about updates that found no row.
    Searched(Option<Report>),
    /// What is durable, and what was applied when that was asked.
    Durable(Result<Position>, Position),
    Proven(Option<Seen>),
    /// The pause after a fault is over.
    Again(Work),
}

impl Lane {
    pub(super) fn apply(&mut self, batch: Batch) {
        let writer = Arc::clone(&self.writer);
        let sent = SentBatch {
            upto: batch.upto,
            tables: batch.tables().into_iter().collect(),
            landed: self.landed.clone(),
        };
        let site = self.site.clone();
        self.flying += 1;
        self.works.push(Box::pin(async move {
            // The writer would make them too; from here it is told how long that took.
            let keyless = writer.keyless();
            for table in sent.tables.iter().filter(|table| keyless.contains(table)) {
                if let Err(fault) = schema::make_key(&site, &*writer, *table).await {
                    return Done::Applied(sent, Outcome::NotDone(fault));
                }
            }
            let outcome = writer.apply(batch).await;
            Done::Applied(sent, outcome)
        }));
    }

    pub(super) fn land(&mut self, ticket: Ticket, landing: Landing) {
        let writer = Arc::clone(&self.writer);
        self.flying += 1;
        self.works.push(Box::pin(async move {
            let outcome = writer.land(landing.clone()).await;
            Done::Landed(ticket, landing, outcome)
        }));
    }

    /// Asks (once more) about everything whose outcome is not known.
    pub(super) fn settle(&mut self) {
        if self.retries.free(Work::Apply)
            && let Some(sent) = self.unsettled_batch.take()
        {
            let writer = Arc::clone(&self.writer);
            self.flying += 1;
            self.works.push(Box::pin(async move {
                let read = writer.ledger().await;
                Done::BatchSettled(sent, read)
            }));
        }
        if self.retries.free(Work::Land) {
            for (ticket, landing) in std::mem::take(&mut self.unsettled_landings) {
                self.settle_landing(ticket, landing);
            }
        }
    }

    fn settle_landing(&mut self, ticket: Ticket, landing: Landing) {
        let (writer, token) = (Arc::clone(&self.writer), self.token);
        self.flying += 1;
        self.works.push(Box::pin(async move {
            let settled = async {
                // Waits for the write itself to end, one way or the other.
                if writer.ledger().await?.token != token {
                    return Err(lease_lost());
                }
                let Some(mark) = &landing.mark else {
                    return Ok(None);
                };
                let landed = writer.landed(mark.chunk.table, mark.chunk.no).await?;
                // The number alone could be that of another range, from before the engine was started anew.
                let it = |m: &ChunkMark| m.chunk == mark.chunk && m.range == mark.range;
                Ok(Some(landed.iter().any(it)))
            };
            let settled = settled.await;
            Done::LandingSettled(ticket, landing, settled)
        }));
    }

    /// Opens a view for nothing but what it sees.
    pub(super) fn prove(&mut self) {
        self.proving = true;
        let site = self.site.clone();
        self.works.push(Box::pin(async move {
            // A source that can't be read is reported by the sampler.
            let seen = site.source.view(&site.plan).await;
            let seen = seen.map(|view| view.seen().clone()).ok();
            tokio::time::sleep(PROOFS_APART).await;
            Done::Proven(seen)
        }));
    }

    pub(super) fn ask_durable(&mut self) {
        self.asking_durable = true;
        let writer = Arc::clone(&self.writer);
        let applied = self.core.ledger_position();
        self.works.push(Box::pin(async move {
            let read = writer.durable().await;
            Done::Durable(read, applied)
        }));
    }

    /// Updates that found no row: normal where nothing has landed, drift where it had when they were sent.
    fn search(&mut self, missed: Vec<(TableId, Key)>, landed: &LandedRanges) {
        let suspects = landed.suspects(missed);
        if suspects.is_empty() {
            return;
        }
        let site = self.site.clone();
        self.works.push(Box::pin(async move {
            let search = async {
                let mut view = site.target.view(&site.plan).await?;
                let mut found = Vec::new();
                for (table, range, keys) in suspects {
                    let inside = view.inside(table, &range, &keys).await?;
                    let count = inside.into_iter().filter(|inside| *inside).count();
                    if count > 0 {
                        let name = site.plan.table(table).map(|t| t.target.as_str());
                        found.push(format!("{count} in {}", name.unwrap_or_default()));
                    }
                }
                Ok::<_, Fault>(found)
            };
            Done::Searched(match search.await {
                Ok(found) if found.is_empty() => None,
                Ok(found) => Some(Report::Failed(row_missing(&found))),
                Err(fault) => {
                    tracing::warn!(error = %fault, "updates found no row; where could not be told");
                    None
                }
            })
        }));
    }

    pub(super) fn done(&mut self, done: Done) {
        if let Done::Applied(..)
        | Done::BatchSettled(..)
        | Done::Landed(..)
        | Done::LandingSettled(..) = &done
        {
            self.flying -= 1;
        }
        match done {
            Done::Applied(sent, outcome) => self.batch_ended(sent, outcome),
            Done::BatchSettled(sent, read) => self.batch_settled(sent, read),
            Done::Landed(ticket, landing, outcome) => self.landing_ended(ticket, landing, outcome),
            Done::LandingSettled(ticket, landing, read) => {
                self.landing_settled(ticket, landing, read);
            }
            Done::Searched(report) => self.pending.extend(report),
            Done::Durable(read, applied) => {
                self.asking_durable = false;
                match read {
                    Ok(position) if position < applied => {
                        let lost = went_back("the target", position, applied);
                        self.fatal.get_or_insert(lost);
                    }
                    Ok(position) => self.core.durable(position),
                    // It is asked for again at the next tick.
                    Err(_) => {}
                }
            }
            Done::Proven(seen) => {
                self.proving = false;
                if let Some(seen) = seen {
                    self.core.prove(&seen);
                }
            }
            Done::Again(work) => {
                self.retries.again(work);
                self.settle();
            }
        }
    }

    fn batch_ended(&mut self, sent: SentBatch, outcome: Outcome<Applied>) {
        match outcome {
            Outcome::Done(applied) => self.batch_applied(&sent, applied),
            Outcome::NotDone(fault) => {
                self.core.not_applied();
                self.failed(Work::Apply, fault, &sent.tables);
            }
            Outcome::Unknown(evidence) => {
                tracing::warn!(evidence, "a batch's outcome is read back from the ledger");
                self.unsettled_batch = Some(sent);
                self.settle();
            }
        }
    }

    fn batch_applied(&mut self, sent: &SentBatch, applied: Applied) {
        if !applied.missed.is_empty() {
            self.search(applied.missed, &sent.landed);
        }
        self.core.applied();
        self.retries.worked(Work::Apply);
    }

    fn batch_settled(&mut self, sent: SentBatch, read: Result<Ledger>) {
        let read = read.and_then(|ledger| match ledger.token == self.token {
            true => Ok(ledger),
            false => Err(lease_lost()),
        });
        match read {
            // What it missed is not known any more; comparing will find it.
            Ok(ledger) if ledger.applied >= sent.upto => {
                self.batch_applied(&sent, Applied::default());
            }
            Ok(_) => self.core.not_applied(),
            Err(fault) => {
                self.failed(Work::Apply, fault, &sent.tables);
                self.unsettled_batch = Some(sent);
            }
        }
    }

    fn landing_ended(&mut self, ticket: Ticket, landing: Landing, outcome: Outcome<Landed>) {
        match outcome {
            Outcome::Done(landed) => self.has_landed(ticket, &landing, landed),
            Outcome::NotDone(fault) => {
                self.core.not_landed(ticket);
                self.failed(Work::Land, fault, &[landing.table]);
            }
            Outcome::Unknown(evidence) => {
                tracing::warn!(evidence, "a landing's outcome is read back from the ledger");
                self.unsettled_landings.insert(ticket, landing);
                self.settle();
            }
        }
    }

    fn landing_settled(&mut self, ticket: Ticket, landing: Landing, read: Result<Option<bool>>) {
        match read {
            Ok(Some(true)) => self.has_landed(ticket, &landing, Landed::default()),
            Ok(None) if landing.keep_before => {
                self.core.cancel(ticket);
                let doubt = Fault::new(
                    Kind::InDoubt,
                    "the reply to a repair was lost: the rows may have been repaired, and what was there before is not known",
                );
                self.end_read(ticket, Err(doubt.code("REPAIR-IN-DOUBT")));
            }
            // Landing the same rows once more comes to the same: the hold has kept the stream off their keys.
            Ok(_) => self.core.not_landed(ticket),
            Err(fault) => {
                self.failed(Work::Land, fault, &[landing.table]);
                self.unsettled_landings.insert(ticket, landing);
            }
        }
    }

    fn has_landed(&mut self, ticket: Ticket, landing: &Landing, landed: Landed) {
        self.core.landed(ticket);
        if let Some(mark) = &landing.mark {
            self.landed.add(mark);
        }
        let position = self.core.applied_position();
        self.end_read(ticket, Ok(LandedAt { position, landed }));
        self.retries.worked(Work::Land);
    }

    /// Something was certainly not done. What may pass, or what a person mends, is tried again; all else ends the lane.
    pub(super) fn failed(&mut self, work: Work, fault: Fault, tables: &[TableId]) {
        let reason = match fault.code.as_str() {
            "TARGET-FULL" => Some(PauseReason::TargetFull),
            "PARKED" => {
                let table = self.culprit(&fault, tables);
                self.parked = true;
                Some(PauseReason::Parked(table, fault.to_string()))
            }
            _ => None,
        };
        // What was put aside, or applied and lost, can't be had again but from the source: the stream is opened anew where the
        // ledger stands.
        let gone = fault.code == WENT_BACK || fault.code == spill::FAILED && work == Work::Apply;
        if gone || reason.is_none() && fault.kind != Kind::Transient {
            self.fatal.get_or_insert(fault);
            return;
        }
        tracing::warn!(error = %fault, ?work, "not done; it comes again");
        self.pending.extend(reason.map(Report::Trouble));
        if let Some(pause) = self.retries.failed(work) {
            self.works.push(Box::pin(async move {
                tokio::time::sleep(pause).await;
                Done::Again(work)
            }));
        }
    }

    /// The table that a constraint's message names, or the first one that was written.
    fn culprit(&self, fault: &Fault, tables: &[TableId]) -> TableId {
        let text = fault.to_string();
        let named = |id: &&TableId| {
            let table = self.site.plan.table(**id);
            table.is_some_and(|t| text.contains(&t.target))
        };
        let culprit = tables.iter().find(named).or(tables.first());
        culprit.copied().unwrap_or_default()
    }
}

fn row_missing(found: &[String]) -> Fault {
    Fault::new(
        Kind::NotProven,
        format!("updates found no row on the target: {}", found.join(", ")),
    )
    .code("ROW-MISSING")
    .hint("somebody else removed rows there; comparing finds them, R repairs")
}

fn lease_lost() -> Fault {
    Fault::new(
        Kind::Refused,
        "another engine has taken the lease on the target",
    )
    .code("LEASE-LOST")
}
