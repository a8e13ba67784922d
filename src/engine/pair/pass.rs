//! The pass over both sides: digests by chunk, and rows where those differ.

use super::{Found, Matched, Passed, Progress, Surroundings, Views};
use crate::db::Endpoint;
use crate::domain::compared::TableCompared;
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::key::{Key, Range};
use crate::domain::position::{Barrier, Position, Seen};
use crate::domain::table::Table;
use crate::domain::unit::Rows;
use crate::domain::verdict::{DriftClass, DriftCounts};
use crate::engine::clock::Watch;
use crate::engine::verify::digests;
use std::collections::HashMap;

/// Rows up to which a table without a key is compared row by row; beyond, only as a whole.
const WHOLE_ROWS: Rows = Rows(200_000);

/// What the pass over all tables gave.
pub(super) struct Pass {
    pub(super) tables: Vec<Passed>,
    /// What the first reads have seen, of the source and of the target.
    pub(super) seen: [Seen; 2],
    /// What the target had applied, where it has a ledger: the earliest read's.
    pub(super) applied: Option<Position>,
    /// Where the stream has passed the last read of the source; asked for only where it can prove something.
    pub(super) passed: Option<Barrier>,
}

/// Both ends with the read transactions that are open on them; short ones where the source asks for that.
struct Reads<'a> {
    source: &'a dyn Endpoint,
    target: &'a dyn Endpoint,
    matched: &'a Matched,
    views: Views,
    since: Watch,
}

impl<'a> Reads<'a> {
    async fn open(
        source: &'a dyn Endpoint,
        target: &'a dyn Endpoint,
        matched: &'a Matched,
    ) -> Result<Self> {
        Ok(Self {
            source,
            target,
            matched,
            views: Views::open(source, target, matched).await?,
            since: Watch::start(),
        })
    }

    /// Before each chunk: a read that has lasted as long as either side can bear ends, and another begins.
    async fn fresh(&mut self) -> Result<()> {
        let longest = [self.source, self.target]
            .iter()
            .filter_map(|end| end.abilities().longest_read)
            .min();
        if longest.is_some_and(|longest| self.since.took() >= longest) {
            self.views = Views::open(self.source, self.target, self.matched).await?;
            self.since = Watch::start();
        }
        Ok(())
    }
}

pub(super) async fn run(
    source: &dyn Endpoint,
    target: &dyn Endpoint,
    matched: &Matched,
    around: &mut Surroundings<'_>,
) -> Result<Pass> {
    let mut reads = Reads::open(source, target, matched).await?;
    let applied = reads.views.target.applied();
    let seen = reads.views.seen();
    let mut tables = Vec::new();
    let mut done = Rows::ZERO;
    for (id, table) in matched
        .plan
        .ids()
        .filter(|(_, table)| table.key().is_some())
    {
        let mut passed = Passed {
            id,
            result: blank(matched, id, table),
            found: Vec::new(),
            beyond: DriftCounts::default(),
        };
        if matched.whole.contains(&id) {
            whole(&mut reads, &mut passed, around).await;
        } else {
            chunks(&mut reads, &mut passed, around, done).await?;
        }
        done += passed.result.source_rows;
        (around.progress)(Progress {
            table: &table.source,
            rows: done,
        });
        tables.push(passed);
    }
    let differs = tables.iter().any(Passed::differs);
    let passed = if matched.migration && applied.is_some() && differs {
        Some(reads.views.source.barrier().await?)
    } else {
        None
    };
    Ok(Pass {
        tables,
        seen,
        applied,
        passed,
    })
}

fn blank(matched: &Matched, id: TableId, table: &Table) -> TableCompared {
    let key = match table.key() {
        Some(spec) if !matched.whole.contains(&id) => spec
            .columns
            .iter()
            .filter_map(|at| table.columns.get(usize::from(*at)))
            .map(|c| c.name.clone())
            .collect(),
        _ => Vec::new(),
    };
    TableCompared {
        source: table.source.clone(),
        target: table.target.clone(),
        missing_columns: matched
            .missing_columns
            .get(&id)
            .cloned()
            .unwrap_or_default(),
        shown: table
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.masked))
            .collect(),
        key,
        ..TableCompared::default()
    }
}

async fn chunks(
    reads: &mut Reads<'_>,
    passed: &mut Passed,
    around: &mut Surroundings<'_>,
    before: Rows,
) -> Result<()> {
    let mut lo = None;
    loop {
        reads.fresh().await?;
        let hi = reads
            .views
            .source
            .bound(passed.id, lo.as_ref(), around.limits.chunk)
            .await?;
        let range = Range {
            lo: lo.take(),
            hi: hi.clone(),
        };
        passed.result.chunks += 1;
        chunk(&mut reads.views, passed, &range, around.limits.remember).await?;
        passed.result.compared += 1;
        (around.progress)(Progress {
            table: &passed.result.source,
            rows: before + passed.result.source_rows,
        });
        match hi {
            Some(bound) => lo = Some(bound),
            None => return Ok(()),
        }
    }
}

async fn chunk(
    views: &mut Views,
    passed: &mut Passed,
    range: &Range,
    remember: usize,
) -> Result<()> {
    let (ours, theirs) = digests(&mut views.source, &mut views.target, passed.id, range).await?;
    passed.result.source_rows += ours.rows;
    passed.result.target_rows += theirs.rows;
    if ours != theirs {
        rows(views, passed, range, remember).await?;
    }
    Ok(())
}

async fn rows(
    views: &mut Views,
    passed: &mut Passed,
    range: &Range,
    remember: usize,
) -> Result<()> {
    let (ours, theirs) = tokio::try_join!(
        views.source.hashes(passed.id, range),
        views.target.hashes(passed.id, range)
    )?;
    for found in unequal(ours, theirs) {
        if passed.found.len() < remember {
            passed.found.push(found);
        } else {
            passed.beyond.add(found.class);
        }
    }
    Ok(())
}

/// Rows that are not the same on both sides, in the source's order, then those that only the target has.
fn unequal(ours: Vec<(Key, u128)>, theirs: Vec<(Key, u128)>) -> Vec<Found> {
    // A key can be there twice where the target has no unique index on it: each row counts.
    let mut rest: HashMap<Key, Vec<u128>> = HashMap::with_capacity(theirs.len());
    for (key, hash) in theirs {
        rest.entry(key).or_default().push(hash);
    }
    let mut found = Vec::new();
    for (key, hash) in ours {
        let candidates = rest.get_mut(&key);
        let same = candidates
            .as_ref()
            .and_then(|hashes| hashes.iter().position(|other| *other == hash));
        let taken = candidates.and_then(|hashes| match same {
            Some(at) => Some(hashes.swap_remove(at)),
            None => hashes.pop(),
        });
        match taken {
            Some(other) if other == hash => {}
            Some(other) => found.push(Found {
                key,
                class: DriftClass::Changed,
                source: Some(hash),
                target: Some(other),
            }),
            None => found.push(Found {
                key,
                class: DriftClass::Missing,
                source: Some(hash),
                target: None,
            }),
        }
    }
    let mut extra: Vec<Found> = rest
        .into_iter()
        .flat_map(|(key, hashes)| hashes.into_iter().map(move |hash| (key.clone(), hash)))
        .map(|(key, hash)| Found {
            key,
            class: DriftClass::Extra,
            source: None,
            target: Some(hash),
        })
        .collect();
    extra.sort_by_cached_key(|found| found.key.to_string());
    found.extend(extra);
    found
}

/// A table without a key: one range. A table that can't be read so is not compared, and says why.
async fn whole(reads: &mut Reads<'_>, passed: &mut Passed, around: &mut Surroundings<'_>) {
    passed.result.chunks = 1;
    let views = &mut reads.views;
    let range = Range::default();
    let digests = tokio::try_join!(
        views.source.digest(passed.id, &range),
        views.target.digest(passed.id, &range)
    );
    let (ours, theirs) = match digests {
        Ok(digests) => digests,
        Err(fault) => {
            passed.result.note = format!("not compared: {fault}");
            return;
        }
    };
    passed.result.source_rows = ours.rows;
    passed.result.target_rows = theirs.rows;
    passed.result.note = "no key: compared as a whole".into();
    passed.result.compared = 1;
    if ours == theirs {
        return;
    }
    if ours.rows.max(theirs.rows) <= WHOLE_ROWS
        && let Ok(()) = rows(views, passed, &range, around.limits.remember).await
    {
        return;
    }
    // Its rows can't be told apart: the difference in number is all that is known, and at least one differs.
    passed.beyond.missing = u32::try_from((ours.rows - theirs.rows).0).unwrap_or(u32::MAX);
    passed.beyond.extra = u32::try_from((theirs.rows - ours.rows).0).unwrap_or(u32::MAX);
    if passed.beyond.total() == 0 {
        passed.beyond.changed = 1;
    }
    passed.result.note = "no key: compared as a whole, too large to tell its rows apart".into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::Value;

    fn key(n: i64) -> Key {
        Key::normal([Value::Integer(n)], &[])
    }

    #[test]
    fn rows_are_told_apart_by_key_and_hash() {
        let found = unequal(
            vec![(key(1), 10), (key(2), 20), (key(3), 30)],
            vec![(key(1), 10), (key(2), 21), (key(4), 40)],
        );
        let told: Vec<_> = found.iter().map(|f| (f.key.to_string(), f.class)).collect();
        assert_eq!(
            told,
            [
                ("2".to_owned(), DriftClass::Changed),
                ("3".to_owned(), DriftClass::Missing),
                ("4".to_owned(), DriftClass::Extra)
            ]
        );
    }

    #[test]
    fn the_same_key_twice_on_the_target_is_one_row_too_many() {
        let found = unequal(vec![(key(1), 10)], vec![(key(1), 11), (key(1), 10)]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].class, found[0].target),
            (DriftClass::Extra, Some(11))
        );
    }
}
