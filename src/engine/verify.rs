//! Comparing chunks at a known position while the application writes.
//!
//! Two views: the source's contains its stream up to P; the target's, opened once the stream is applied at least up to P,
//! contains it up to T. Only keys that the stream changed between P and T may differ for that reason, and the lane knows
//! them; whatever else differs is confirmed at once, to row and column. The stream is not trusted for values, only for
//! which keys may differ: a change that it lost excuses nothing.

use super::clock::Watch;
use super::lane::LaneHandle;
use super::report::Report;
use super::schedule::{Cause, Due};
use super::site::Site;
use crate::db::{Read, View};
use crate::domain::bulk::Bulk;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::key::{Key, Pick, Range};
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::unit::{Bytes, Rows, RowsPerSecond};
use crate::domain::value::Row;
use crate::domain::verdict::{ChunkVerdict, Digest, DriftClass, DriftCounts, RowDiff};
use crate::journal::Reader;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Keys of one chunk that are remembered as differing; a chunk that is wholly wrong needs no list.
const KEYS_MOST: usize = 1_000;
/// Rows fetched at once to find the columns that differ.
const DETAIL_ROWS: usize = 200;
/// Bytes of rows fetched for that.
const DETAIL_BYTES: Bytes = Bytes(8 << 20);
/// While the copy runs, comparing takes at most this part of the time: copying is what people wait for.
const SHARE_WHILE_COPYING: f64 = 0.1;
/// How long the verifier waits when nothing is due, or what is due does not press and would be too fast.
const NOTHING_DUE: Duration = Duration::from_millis(100);

/// Asks the supervisor what is due: it holds the state.
pub struct DueRequest {
    /// Only what presses: the pace does not allow anything else yet.
    pub pressing_only: bool,
    /// Tables in which rows are not found by their key yet: left out, unless somebody asked for them.
    pub keyless: BTreeSet<TableId>,
    /// For the answer, with the pace to go by.
    pub reply: oneshot::Sender<(Due, Option<RowsPerSecond>)>,
}

/// What the verifier works with beside the site.
pub struct Verifier {
    /// What every task has.
    pub site: Site,
    /// To know what the stream changed.
    pub lane: LaneHandle,
    /// Chunk bounds.
    pub bounds: Reader,
    /// Where to ask what is due.
    pub due: mpsc::Sender<DueRequest>,
    /// Rows compared, for the sampler.
    pub rows: watch::Sender<u64>,
}

impl Verifier {
    /// Compares what is due until told to end.
    pub async fn run(mut self) -> Result<()> {
        // Until then only what presses is compared.
        let mut paced = (Watch::start(), Duration::ZERO);
        while self.site.comparing().await {
            let (reply, answer) = oneshot::channel();
            let pressing_only = paced.0.took().to_duration() < paced.1;
            let request = DueRequest {
                pressing_only,
                keyless: self.lane.keyless(),
                reply,
            };
            if self.due.send(request).await.is_err() {
                return Ok(());
            }
            let Ok((due, pace)) = answer.await else {
                return Ok(());
            };
            if due.chunks.is_empty() {
                self.rest(NOTHING_DUE).await;
                continue;
            }
            let watch = Watch::start();
            let rows = match self.batch(&due).await {
                Ok(rows) => rows,
                Err(fault) if fault.kind == Kind::Transient || fault.kind == Kind::NotProven => {
                    tracing::debug!(error = %fault, "comparing is tried again");
                    self.rest(NOTHING_DUE).await;
                    continue;
                }
                Err(fault) if fault.kind == Kind::Interrupted => return Ok(()),
                Err(fault) => return Err(fault),
            };
            self.rows.send_modify(|sum| *sum += rows.0);
            let took = watch.took().to_duration();
            if !due.pressing {
                let pause = match pace {
                    Some(pace) => Duration::from_secs_f64(rows.0 as f64 / pace.0.max(1) as f64)
                        .saturating_sub(took),
                    None => took.mul_f64(1.0 / SHARE_WHILE_COPYING - 1.0),
                };
                paced = (Watch::start(), pause);
            }
        }
        Ok(())
    }

    async fn rest(&self, time: Duration) {
        tokio::select! {
            () = self.site.stop.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    /// Compares a batch in one pair of views.
    async fn batch(&mut self, due: &Due) -> Result<Rows> {
        let keyless = self.lane.keyless();
        let tables: BTreeSet<TableId> = due.chunks.iter().map(|chunk| chunk.table).collect();
        for table in tables.intersection(&keyless) {
            self.lane.make_key(&self.site, *table).await?;
        }
        let mut ranges = Vec::with_capacity(due.chunks.len());
        for chunk in &due.chunks {
            let range = bounds(&mut self.bounds, &self.lane, *chunk).await?;
            ranges.push((*chunk, range));
        }
        let mut pair = open_pair(&self.site, &self.lane).await?;
        let mut compared = Rows::ZERO;
        let mut run = Run::default();
        for (chunk, range) in ranges {
            let (verdict, keys) = pair
                .compare(&self.site, &self.lane, chunk.table, &range)
                .await?;
            compared += verdict.source_rows;
            let plain = verdict.equal() && verdict.in_flight == 0;
            if !plain || !run.takes(chunk) {
                self.tell_run(&mut run, pair.applied, due.cause).await;
            }
            if plain {
                run.chunks.push((
                    chunk,
                    u32::try_from(verdict.source_rows.0).unwrap_or(u32::MAX),
                ));
            } else {
                self.site
                    .tell(Report::Checked {
                        chunk,
                        verdict,
                        keys,
                        cause: due.cause,
                    })
                    .await;
            }
        }
        self.tell_run(&mut run, pair.applied, due.cause).await;
        Ok(compared)
    }

    async fn tell_run(&self, run: &mut Run, position: Position, cause: Option<Cause>) {
        let chunks = std::mem::take(&mut run.chunks);
        if let Some((first, _)) = chunks.first() {
            let (table, first) = (first.table, first.no);
            let rows = chunks.into_iter().map(|(_, rows)| rows).collect();
            self.site
                .tell(Report::Equal {
                    table,
                    first,
                    rows,
                    position,
                    cause,
                })
                .await;
        }
    }
}

/// Neighbouring chunks found equal, told in one report.
#[derive(Default)]
struct Run {
    chunks: Vec<(ChunkId, u32)>,
}

impl Run {
    fn takes(&self, chunk: ChunkId) -> bool {
        self.chunks
            .last()
            .is_none_or(|(last, _)| last.table == chunk.table && last.no + 1 == chunk.no)
    }
}

/// The range of a landed chunk: from the journal, where it lies beside the landing's fact, or else from the ledger. A chunk
/// that neither knows is told, not left out.
pub async fn bounds(journal: &mut Reader, lane: &LaneHandle, chunk: ChunkId) -> Result<Range> {
    if let Some(range) = journal.bounds(chunk).await? {
        return Ok(range);
    }
    let landed = lane.landed(chunk.table, chunk.no).await?;
    let mark = landed.into_iter().find(|mark| mark.chunk == chunk);
    mark.map(|mark| mark.range).ok_or_else(|| {
        Fault::new(
            Kind::Blocked,
            format!("nobody knows any more where chunk {chunk} begins and ends"),
        )
        .code("BOUNDS-LOST")
        .hint("it can't be compared; give this migration up and start a new one")
    })
}

/// Two views whose positions are known.
pub struct Pair {
    source: Box<dyn View>,
    target: Box<dyn View>,
    seen: Seen,
    applied: Position,
    keys: super::lane::KeyWatch,
}

/// Opens a pair: source view, wait for the stream to pass it, target view.
///
/// What the stream is behind by now is waited for before, with no view: one that stays open keeps the source from cleaning up, and
/// in a long wait more keys change than are remembered.
pub async fn open_pair(site: &Site, lane: &LaneHandle) -> Result<Pair> {
    let now = site.source.view(&site.plan).await?.barrier().await?;
    passed(site, lane, now).await?;
    let keys = lane.watch_keys().await?;
    let mut source = site.source.view(&site.plan).await?;
    let barrier = source.barrier().await?;
    let seen = source.seen().clone();
    passed(site, lane, barrier).await?;
    let target = site.target.view(&site.plan).await?;
    let applied = target.applied().ok_or_else(|| {
        Fault::new(Kind::Blocked, "the target's ledger is gone").code("LEDGER-GONE")
    })?;
    Ok(Pair {
        source,
        target,
        seen,
        applied,
        keys,
    })
}

async fn passed(site: &Site, lane: &LaneHandle, barrier: Barrier) -> Result<()> {
    tokio::select! {
        () = site.stop.cancelled() => Err(super::site::stopped()),
        passed = lane.wait_applied(barrier) => passed,
    }
}

impl Pair {
    /// Compares one range. The verdict holds as of the target view's position.
    pub async fn compare(
        &mut self,
        site: &Site,
        lane: &LaneHandle,
        table: TableId,
        range: &Range,
    ) -> Result<(ChunkVerdict, Vec<(Key, DriftClass)>)> {
        let (source, target) = digests(&mut self.source, &mut self.target, table, range).await?;
        let mut verdict = ChunkVerdict {
            position: self.applied,
            source_rows: source.rows,
            target_rows: target.rows,
            in_flight: 0,
            differ: DriftCounts::default(),
            columns: Vec::new(),
        };
        if source == target {
            return Ok((verdict, Vec::new()));
        }
        let differing = self.differing(table, range).await?;
        let changed = lane
            .changed(self.keys.to_ref(), table, self.seen.clone(), self.applied)
            .await?;
        let mut keys = Vec::new();
        for (key, class) in differing {
            if changed.contains(&key) {
                verdict.in_flight += 1;
            } else {
                verdict.differ.add(class);
                if keys.len() < KEYS_MOST {
                    keys.push((key, class));
                }
            }
        }
        if verdict.differ.changed > 0 {
            let some: Vec<Key> = keys
                .iter()
                .filter(|(_, c)| *c == DriftClass::Changed)
                .map(|(k, _)| k.clone())
                .take(DETAIL_ROWS)
                .collect();
            let rows = self.rows(site, table, some).await?;
            let columns: BTreeSet<u16> = rows
                .iter()
                .flat_map(|diff| diff.columns.iter().copied())
                .collect();
            verdict.columns = columns.into_iter().collect();
        }
        Ok((verdict, keys))
    }

    async fn differing(&mut self, table: TableId, range: &Range) -> Result<Vec<(Key, DriftClass)>> {
        let mut target: HashMap<Key, u128> = self
            .target
            .hashes(table, range)
            .await?
            .into_iter()
            .collect();
        let mut differing = Vec::new();
        for (key, hash) in self.source.hashes(table, range).await? {
            match target.remove(&key) {
                Some(same) if same == hash => {}
                Some(_) => differing.push((key, DriftClass::Changed)),
                None => differing.push((key, DriftClass::Missing)),
            }
        }
        differing.extend(target.into_keys().map(|key| (key, DriftClass::Extra)));
        Ok(differing)
    }

    /// Both views.
    pub fn both(&mut self) -> (&mut dyn View, &mut dyn View) {
        (self.source.as_mut(), self.target.as_mut())
    }

    /// Whether both views are at one position: then nothing at all may differ.
    pub fn nothing_between(&self) -> bool {
        self.seen == Seen::UpTo(self.applied)
    }

    /// Both images of some rows, and where they differ. Rows that are equal are left out.
    pub async fn rows(
        &mut self,
        site: &Site,
        table: TableId,
        keys: Vec<Key>,
    ) -> Result<Vec<RowDiff>> {
        let plan = site
            .plan
            .table(table)
            .ok_or_else(|| Fault::new(Kind::Usage, "no such table"))?;
        let by_key = |rows: &Bulk| -> HashMap<Key, Row> {
            rows.iter().map(|row| (plan.key_of(&row), row)).collect()
        };
        let pick = Pick::Keys(keys.clone());
        let source = self.source.rows(table, &pick, DETAIL_BYTES).await?;
        let target = self.target.rows(table, &pick, DETAIL_BYTES).await?;
        // A key that one side had no room left for says nothing about the other.
        let both = read_of(&keys, &source).min(read_of(&keys, &target));
        let (mut source, mut target) = (by_key(&source.rows), by_key(&target.rows));
        let mut diffs = Vec::new();
        for key in keys.into_iter().take(both) {
            let (source, target) = (source.remove(&key), target.remove(&key));
            diffs.extend(diff(key, source, target));
        }
        Ok(diffs)
    }

    /// The differing rows of one range with both images, leaving out what is in flight; and whether there are more.
    pub async fn differences(
        &mut self,
        site: &Site,
        lane: &LaneHandle,
        table: TableId,
        range: &Range,
        most: usize,
    ) -> Result<(Vec<RowDiff>, bool)> {
        let (keys, more) = self.differing_keys(lane, table, range, most).await?;
        let asked = keys.len();
        let rows = self.rows(site, table, keys).await?;
        let more = more || rows.len() < asked;
        Ok((rows, more))
    }

    /// The keys of the differing rows of one range, leaving out what is in flight; and whether there are more.
    pub async fn differing_keys(
        &mut self,
        lane: &LaneHandle,
        table: TableId,
        range: &Range,
        most: usize,
    ) -> Result<(Vec<Key>, bool)> {
        let differing = self.differing(table, range).await?;
        let changed = lane
            .changed(self.keys.to_ref(), table, self.seen.clone(), self.applied)
            .await?;
        let mut keys: Vec<Key> = differing
            .into_iter()
            .map(|(key, _)| key)
            .filter(|key| !changed.contains(key))
            .collect();
        let more = keys.len() > most;
        keys.truncate(most);
        Ok((keys, more))
    }
}

/// The digests of a range on both sides, by the servers themselves where both hash alike.
pub async fn digests(
    source: &mut Box<dyn View>,
    target: &mut Box<dyn View>,
    table: TableId,
    range: &Range,
) -> Result<(Digest, Digest)> {
    let hashing = tokio::try_join!(source.hashing(table), target.hashing(table))?;
    if hashing.0.is_some() && hashing.0 == hashing.1 {
        let own = tokio::try_join!(
            source.own_digest(table, range),
            target.own_digest(table, range)
        )?;
        if let (Some(source), Some(target)) = own {
            return Ok((source, target));
        }
    }
    tokio::try_join!(source.digest(table, range), target.digest(table, range))
}

/// How many of the keys asked for were read.
pub fn read_of(keys: &[Key], read: &Read) -> usize {
    let cut = read.cut.as_ref();
    let at = cut.and_then(|cut| keys.iter().position(|key| *key.parts() == *cut.0));
    at.unwrap_or(keys.len())
}

/// How two images of a row differ; none when they do not.
pub fn diff(key: Key, source: Option<Row>, target: Option<Row>) -> Option<RowDiff> {
    let (class, columns) = match (&source, &target) {
        (None, None) => return None,
        (Some(_), None) => (DriftClass::Missing, Vec::new()),
        (None, Some(_)) => (DriftClass::Extra, Vec::new()),
        (Some(s), Some(t)) if s == t => return None,
        (Some(s), Some(t)) => {
            let columns = s
                .iter()
                .zip(t.iter())
                .enumerate()
                .filter(|(_, (a, b))| a != b)
                .map(|(i, _)| i as u16)
                .collect();
            (DriftClass::Changed, columns)
        }
    };
    Some(RowDiff {
        key,
        class,
        source: source.map(Vec::from),
        target: target.map(Vec::from),
        columns,
    })
}
