//! What a difference means: for certain, only late, or not to be told.

use super::{BUDGET, Found, Limits, Matched, Passed, Views};
use crate::db::canon::row_hash;
use crate::db::{Endpoint, View};
use crate::domain::change::Item;
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::key::{Key, Pick};
use crate::domain::position::{Barrier, Position};
use crate::domain::table::Table;
use crate::domain::value::{Row, Value};
use crate::domain::verdict::{DriftClass, RowDiff};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Keys asked for in one read.
const AT_ONCE: usize = 500;
/// What stands for a value that is never shown.
const MASKED: &str = "••••";

/// Nobody wrote: both reads are of one state, and every difference is one.
pub(super) fn as_confirmed(tables: &mut [Passed]) {
    for passed in tables {
        passed.result.differ = passed.beyond;
        for found in &passed.found {
            passed.result.differ.add(found.class);
        }
    }
}

/// The stream says which rows the source changed after the target's position: those are only late. All else differs.
pub(super) async fn by_stream(
    source: &dyn Endpoint,
    matched: &Matched,
    applied: Position,
    upto: Barrier,
    tables: &mut [Passed],
) -> Result<()> {
    if !tables.iter().any(Passed::differs) {
        return Ok(());
    }
    let late = match upto {
        Barrier::At(head) if head <= applied => Late::default(),
        upto => changed(source, matched, applied, upto, tables).await?,
    };
    for passed in tables {
        let id = passed.id;
        passed.found.retain(|found| {
            let is_late = late.has(id, &found.key);
            passed.result.in_flight += u64::from(is_late);
            if !is_late {
                passed.result.differ.add(found.class);
            }
            !is_late
        });
        // Those beyond what is remembered can't be looked up in the stream.
        if late.touches(id) {
            passed.result.unproven = passed.beyond;
        } else {
            passed.result.differ.missing += passed.beyond.missing;
            passed.result.differ.extra += passed.beyond.extra;
            passed.result.differ.changed += passed.beyond.changed;
        }
    }
    Ok(())
}

/// What the source changed after the target's position.
#[derive(Default)]
struct Late {
    /// Of the keys that differ those that it changed; a table without any is here too, once it was changed.
    keys: HashMap<TableId, HashSet<Key>>,
    /// Tables that were emptied at once: all that differs in them may be late.
    emptied: HashSet<TableId>,
}

impl Late {
    fn has(&self, table: TableId, key: &Key) -> bool {
        self.emptied.contains(&table)
            || self.keys.get(&table).is_some_and(|keys| keys.contains(key))
    }

    fn touches(&self, table: TableId) -> bool {
        self.emptied.contains(&table) || self.keys.contains_key(&table)
    }
}

/// What changed on the source after `from`, up to a barrier. Nothing is released: the engine still needs it.
async fn changed(
    source: &dyn Endpoint,
    matched: &Matched,
    from: Position,
    upto: Barrier,
    tables: &[Passed],
) -> Result<Late> {
    // The stream may have changed millions of keys; nobody asks about others than these.
    let differ: HashSet<(TableId, &Key)> = tables
        .iter()
        .flat_map(|passed| passed.found.iter().map(|found| (passed.id, &found.key)))
        .collect();
    let mut feed = source.feed(&matched.plan, from).await?;
    let mut late = Late::default();
    let at = |position: Position| matches!(upto, Barrier::At(to) if position >= to);
    loop {
        let reached = match feed.next().await? {
            Item::Txn(txn) => {
                for piece in txn.pieces() {
                    for change in piece?.iter() {
                        let keys = late.keys.entry(change.table).or_default();
                        if differ.contains(&(change.table, &change.key)) {
                            keys.insert(change.key.clone());
                        }
                    }
                }
                at(txn.head.position)
            }
            Item::Idle(position) => at(position),
            Item::Marker(nonce) => upto == Barrier::Marker(nonce),
            Item::Truncate(table) => {
                late.emptied.insert(table);
                false
            }
            Item::Schema(_) => false,
        };
        if reached {
            return Ok(late);
        }
    }
}

/// Somebody writes, and no position is known: what differed is read once more. Equal now: it was only late. Different
/// still: not proven.
pub(super) async fn by_reading_again(
    source: &dyn Endpoint,
    target: &dyn Endpoint,
    matched: &Matched,
    limits: Limits,
    tables: &mut [Passed],
) -> Result<()> {
    if !tables.iter().any(Passed::differs) {
        return Ok(());
    }
    tokio::time::sleep(limits.again_after).await;
    let mut views = Views::open(source, target, matched).await?;
    for passed in tables {
        passed.result.unproven = passed.beyond;
        let still = std::mem::take(&mut passed.found);
        if matched.whole.contains(&passed.id) {
            still
                .iter()
                .for_each(|found| passed.result.unproven.add(found.class));
            passed.found = still;
            continue;
        }
        for batch in still.chunks(AT_ONCE) {
            let keys: Vec<Key> = batch.iter().map(|found| found.key.clone()).collect();
            let (ours, theirs) = images(&mut views, matched, passed.id, &keys).await?;
            for found in batch {
                match class(ours.get(&found.key), theirs.get(&found.key)) {
                    Some(class) => {
                        passed.result.unproven.add(class);
                        passed.found.push(Found {
                            class,
                            ..found.clone()
                        });
                    }
                    None => passed.result.in_flight += 1,
                }
            }
        }
    }
    Ok(())
}

fn class(ours: Option<&Row>, theirs: Option<&Row>) -> Option<DriftClass> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            (row_hash(ours) != row_hash(theirs)).then_some(DriftClass::Changed)
        }
        (Some(_), None) => Some(DriftClass::Missing),
        (None, Some(_)) => Some(DriftClass::Extra),
        (None, None) => None,
    }
}

/// Reads the first differing rows of each table with their values; masked columns give no value away.
pub(super) async fn list_rows(
    mut views: Views,
    matched: &Matched,
    limits: Limits,
    tables: &mut [Passed],
) -> Result<()> {
    for passed in tables {
        let Some(table) = matched.plan.table(passed.id) else {
            continue;
        };
        let mut columns = BTreeSet::new();
        passed.found.truncate(limits.list);
        for batch in passed.found.chunks(AT_ONCE) {
            let keys: Vec<Key> = batch.iter().map(|found| found.key.clone()).collect();
            // A table without a key is not looked up by its rows: its differing rows are their own keys.
            let (ours, theirs) = if matched.whole.contains(&passed.id) {
                (HashMap::new(), HashMap::new())
            } else {
                images(&mut views, matched, passed.id, &keys).await?
            };
            for found in batch {
                let diff = told(table, found, ours.get(&found.key), theirs.get(&found.key));
                columns.extend(diff.columns.iter().copied());
                passed.result.rows.push(diff);
            }
        }
        passed.result.columns = columns
            .into_iter()
            .filter_map(|at| table.columns.get(usize::from(at)))
            .map(|column| column.name.clone())
            .collect();
    }
    Ok(())
}

type Images = HashMap<Key, Row>;

async fn images(
    views: &mut Views,
    matched: &Matched,
    id: TableId,
    keys: &[Key],
) -> Result<(Images, Images)> {
    let Some(table) = matched.plan.table(id) else {
        return Ok(Default::default());
    };
    let ours = rows_of(views.source.as_mut(), id, table, keys).await?;
    let theirs = rows_of(views.target.as_mut(), id, table, keys).await?;
    Ok((ours, theirs))
}

async fn rows_of(view: &mut dyn View, id: TableId, table: &Table, keys: &[Key]) -> Result<Images> {
    let mut images = HashMap::with_capacity(keys.len());
    let mut from = 0;
    while from < keys.len() {
        let read = view
            .rows(id, &Pick::Keys(keys[from..].to_vec()), BUDGET)
            .await?;
        for row in read.rows.iter() {
            images.insert(table.key_of(&row), row);
        }
        let Some(cut) = read.cut else { break };
        // The cut names the first key that was not read; one key at least was.
        let collations = table
            .key()
            .map(|spec| spec.collations.as_slice())
            .unwrap_or_default();
        let next = Key::normal(cut.0, collations);
        let skipped = keys[from..]
            .iter()
            .position(|key| *key == next)
            .unwrap_or(keys.len() - from);
        from += skipped.max(1);
    }
    Ok(images)
}

fn told(table: &Table, found: &Found, ours: Option<&Row>, theirs: Option<&Row>) -> RowDiff {
    let columns = match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            let pairs = ours.iter().zip(theirs.iter()).enumerate();
            pairs
                .filter(|(_, (a, b))| a != b)
                .map(|(at, _)| at as u16)
                .collect()
        }
        _ => Vec::new(),
    };
    let hidden = |row: &Row| {
        let cells = row.iter().zip(&table.columns);
        cells
            .map(|(value, column)| {
                if column.masked {
                    Value::text(MASKED)
                } else {
                    value.clone()
                }
            })
            .collect()
    };
    RowDiff {
        key: hidden_key(table, &found.key),
        class: found.class,
        source: ours.map(hidden),
        target: theirs.map(hidden),
        columns,
    }
}

fn hidden_key(table: &Table, key: &Key) -> Key {
    let Some(spec) = table.key() else {
        return key.clone();
    };
    let masked = |at: usize| {
        let place = spec.columns.get(at).map(|place| usize::from(*place));
        place
            .and_then(|place| table.columns.get(place))
            .is_some_and(|column| column.masked)
    };
    let parts = key.parts().iter().enumerate();
    Key::normal(
        parts.map(|(at, part)| {
            if masked(at) {
                Value::text(MASKED)
            } else {
                part.clone()
            }
        }),
        &[],
    )
}
