//! One full compare of two databases that no engine runs between: any two, or a migration whose engine is down.
//!
//! Both sides are read in one transaction each, table by table along the source's key, chunk by chunk: count and hash sum
//! first, single rows only where those differ. What differs is judged by what is known of time: by the stream, if the
//! target has a ledger; else, if nobody wrote meanwhile; else by reading it once more, which proves nothing but clears up
//! what was only late.

mod judge;
mod matching;
mod pass;

pub use matching::{Matched, matched, of_plan};

use crate::db::{Endpoint, View};
use crate::domain::compared::{Compared, TableCompared};
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::position::Seen;
use crate::domain::unit::{Bytes, Rows, Span};
use crate::domain::verdict::DriftClass;
use crate::engine::clock::Watch;
use std::time::Duration;

/// How much is looked at and kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows in a chunk.
    pub chunk: Rows,
    /// Rows a table of which the values are listed.
    pub list: usize,
    /// Differing rows a table that are remembered, to judge them one by one. Those beyond are only counted.
    pub remember: usize,
    /// How long to wait before what differed is read again.
    pub again_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk: Rows(50_000),
            list: 20,
            remember: 10_000,
            again_after: Duration::from_secs(1),
        }
    }
}

/// How a compare goes along.
pub struct Progress<'a> {
    /// The table.
    pub table: &'a str,
    /// Rows of all tables compared so far, on the source.
    pub rows: Rows,
}

/// What a compare needs beside both ends.
pub struct Surroundings<'a> {
    /// What changes whenever somebody commits to the source, and to the target; none where only its reads can tell.
    pub stamps: &'a (dyn Fn() -> [Option<String>; 2] + Send + Sync),
    /// Told after each chunk.
    pub progress: &'a mut (dyn FnMut(Progress<'_>) + Send),
    /// How much is looked at and kept.
    pub limits: Limits,
}

/// A row that differed in the pass.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    key: Key,
    class: DriftClass,
    source: Option<u128>,
    target: Option<u128>,
}

/// One table's result, and what in it is still to be judged.
struct Passed {
    id: TableId,
    result: TableCompared,
    found: Vec<Found>,
    /// Differing rows that were only counted.
    beyond: crate::domain::verdict::DriftCounts,
}

impl Passed {
    fn differs(&self) -> bool {
        !self.found.is_empty() || self.beyond.total() > 0
    }
}

/// One read transaction a side.
struct Views {
    source: Box<dyn View>,
    target: Box<dyn View>,
}

impl Views {
    /// The target first: what it has applied is then certainly in the source's read.
    async fn open(source: &dyn Endpoint, target: &dyn Endpoint, matched: &Matched) -> Result<Self> {
        let target = target.view(&matched.plan).await?;
        let source = source.view(&matched.plan).await?;
        Ok(Self { source, target })
    }

    fn seen(&self) -> [Seen; 2] {
        [self.source.seen().clone(), self.target.seen().clone()]
    }
}

/// Whether nobody wrote to either side between two moments: of each a stamp of both sides, and what reads of both have seen.
fn still(stamps: [[Option<String>; 2]; 2], seen: [&[Seen; 2]; 2]) -> bool {
    (0..2).all(|side| match (&seen[0][side], &seen[1][side]) {
        // One snapshot: no transaction that had written has ended meanwhile.
        (before @ Seen::Pg { .. }, after) => before == after,
        _ => stamps[0][side].is_some() && stamps[0][side] == stamps[1][side],
    })
}

/// Most bytes of rows read at once while rows are listed.
const BUDGET: Bytes = Bytes(16_000_000);

/// Compares everything that `matched` names. Reads only.
///
/// # Errors
/// Those of the adapters: a side that can't be read, or a stream that no longer holds what would prove a difference.
pub async fn compare(
    source: &dyn Endpoint,
    target: &dyn Endpoint,
    matched: &Matched,
    mut around: Surroundings<'_>,
) -> Result<Compared> {
    let watch = Watch::start();
    let before = (around.stamps)();
    let pass = pass::run(source, target, matched, &mut around).await?;
    // Opened before the stream is: a read that begins after a stream may have to wait for others' transactions.
    let views = Views::open(source, target, matched).await?;
    let mut compared = Compared {
        answer: crate::domain::compared::Answer::Invalid,
        source: matched.source_version.clone(),
        target: matched.target_version.clone(),
        position: pass.applied.filter(|_| matched.migration),
        still: still([before, (around.stamps)()], [&pass.seen, &views.seen()]),
        tables: Vec::new(),
        only_source: matched.only_source.clone(),
        only_target: matched.only_target.clone(),
        left_out: matched.left_out.clone(),
        took: Span::ZERO,
    };
    let mut tables = pass.tables;
    match (compared.position, pass.passed) {
        (Some(applied), Some(upto)) => {
            judge::by_stream(source, matched, applied, upto, &mut tables).await?;
            judge::list_rows(views, matched, around.limits, &mut tables).await?;
        }
        _ => {
            let mut views = views;
            if compared.still {
                judge::as_confirmed(&mut tables);
            } else {
                judge::by_reading_again(source, target, matched, around.limits, &mut tables)
                    .await?;
                views = Views::open(source, target, matched).await?;
            }
            judge::list_rows(views, matched, around.limits, &mut tables).await?;
        }
    }
    compared.tables = tables.into_iter().map(|passed| passed.result).collect();
    compared.answer = compared.conclude();
    compared.took = watch.took();
    Ok(compared)
}
