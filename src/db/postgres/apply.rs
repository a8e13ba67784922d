//! Applying a batch of changes: its net effect set-wise, and by other ways when a constraint is in the way.
//!
//! The net effect of a consistent source is itself consistent, but its rows may exchange values of a unique constraint among
//! themselves (A takes B's, B takes A's), so that no order of single statements works. Then the rows of the batch's own keys
//! are taken out first and put back as they are to be. If even that meets a constraint, the batch is replayed in the
//! order in which it happened; and if that does too, the target cannot hold what the source holds, and the constraint is named.

use super::connect::Session;
use super::rows;
use super::sql::{Column, TableSql, Tables};
use super::transact::{Broke, savepoint, settled};
use crate::db::{Applied, Batch};
use crate::domain::bulk::Bulk;
use crate::domain::change::{Change, Image, merge};
use crate::domain::fault::Result;
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::value::{Row, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) const DOING: &str = "apply changes";

/// The statements of the batch's tables, and what each of them is to do.
pub(super) type Made = BTreeMap<TableId, Arc<TableSql>>;

/// Applies a batch inside the caller's transaction, with no savepoint: almost always nothing is in the way, and each costs two
/// round trips. None: something is, and the transaction must be begun anew, for [`in_other_ways`].
pub(super) async fn at_once(
    session: &mut Session,
    tables: &Tables,
    batch: &Batch,
) -> Result<Option<Applied>> {
    let touched = batch.changes().map(|change| change.table);
    let made = made(session, tables, touched.collect()).await?;
    let net: Vec<&Change> = batch.changes().collect();
    match set_wise(session, &made, &net).await {
        Ok(applied) => Ok(Some(applied)),
        Err(broke) if broke.in_the_way() => Ok(None),
        Err(broke) => Err(broke.fault(session, DOING)),
    }
}

/// Applies a batch inside the caller's transaction, when its net effect as it is runs into a constraint.
pub(super) async fn in_other_ways(
    session: &mut Session,
    tables: &Tables,
    batch: &Batch,
) -> Result<Applied> {
    let log = || batch.log.iter().flat_map(|txn| &txn.changes);
    let touched = batch.changes().chain(log()).map(|change| change.table);
    let made = made(session, tables, touched.collect()).await?;
    let net: Vec<&Change> = batch.changes().collect();
    let log: Vec<&Change> = log().collect();
    let done = async {
        savepoint(session).await?;
        let done = exchanged(session, &made, &net).await;
        match settled(session, done).await {
            Err(broke) if broke.in_the_way() => in_order(session, &made, &log).await,
            done => done,
        }
    };
    let done = done.await;
    done.map_err(|broke: Broke| broke.fault(session, DOING))
}

/// The statements of these tables.
pub(super) async fn made(
    session: &mut Session,
    tables: &Tables,
    touched: BTreeSet<TableId>,
) -> Result<Made> {
    let mut made = Made::new();
    for table in touched {
        made.insert(table, tables.get(session, table).await?);
    }
    Ok(made)
}

/// The net effect by one of both ways that know no order.
pub(super) async fn as_set(
    session: &mut Session,
    made: &Made,
    net: &[&Change],
) -> Result<Applied, Broke> {
    if net.is_empty() {
        return Ok(Applied::default());
    }
    savepoint(session).await?;
    let done = set_wise(session, made, net).await;
    match settled(session, done).await {
        Err(broke) if broke.in_the_way() => {}
        other => return other,
    }
    savepoint(session).await?;
    let done = exchanged(session, made, net).await;
    settled(session, done).await
}

async fn in_order(session: &mut Session, made: &Made, log: &[&Change]) -> Result<Applied, Broke> {
    let mut applied = Applied::default();
    for change in log {
        let one = set_wise(session, made, &[*change]).await?;
        applied.changed += one.changed;
        applied.missed.extend(one.missed);
    }
    Ok(applied)
}

/// The key of a row, and those of its cells that are given.
type Partial<'a> = (&'a Key, &'a [Option<Value>]);

/// Changes of one table, by what they need.
#[derive(Default)]
struct Sorted<'a> {
    gone: Vec<&'a Key>,
    put: Vec<&'a Row>,
    updated: Vec<(&'a Key, &'a Row)>,
    /// By which cells are given.
    partial: BTreeMap<Vec<usize>, Vec<Partial<'a>>>,
}

fn sorted<'a>(net: &[&'a Change]) -> BTreeMap<TableId, Sorted<'a>> {
    let mut all: BTreeMap<TableId, Sorted<'a>> = BTreeMap::new();
    for change in net {
        let table = all.entry(change.table).or_default();
        match &change.image {
            Image::Gone => table.gone.push(&change.key),
            Image::Inserted(row) | Image::Present(row) => table.put.push(row),
            Image::Updated(row) => table.updated.push((&change.key, row)),
            Image::Partial(cells) => {
                let given = (0..cells.len()).filter(|at| cells[*at].is_some()).collect();
                let of_these = table.partial.entry(given).or_default();
                of_these.push((&change.key, cells));
            }
        }
    }
    all
}

/// Deletions first, so that what they free can be taken.
pub(super) async fn set_wise(
    session: &mut Session,
    made: &Made,
    net: &[&Change],
) -> Result<Applied, Broke> {
    let all = sorted(net);
    let mut applied = Applied::default();
    for (id, sql) in made {
        if let Some(table) = all.get(id) {
            applied.changed += rows::delete(session, sql, &table.gone).await?;
        }
    }
    for (id, sql) in made {
        let Some(table) = all.get(id) else { continue };
        if !table.put.is_empty() {
            applied.changed += put(session, sql, &table.put).await?;
        }
        if !table.updated.is_empty() {
            let columns: Vec<_> = sql.settable().collect();
            let keys: Vec<&Key> = table.updated.iter().map(|(key, _)| *key).collect();
            let cell = |row: usize, at: usize| table.updated[row].1.get(at);
            update(session, *id, sql, &columns, &keys, cell, &mut applied).await?;
        }
        for (given, changes) in &table.partial {
            let columns: Vec<_> = sql
                .settable()
                .filter(|(at, _)| given.contains(at))
                .collect();
            let keys: Vec<&Key> = changes.iter().map(|(key, _)| *key).collect();
            let cell = |row: usize, at: usize| changes[row].1.get(at)?.as_ref();
            update(session, *id, sql, &columns, &keys, cell, &mut applied).await?;
        }
    }
    Ok(applied)
}

/// Many rows are most likely new: COPY is several times quicker, and refused as a whole where one of them is there.
const WORTH_COPY: usize = 500;

async fn put(session: &mut Session, sql: &TableSql, put: &[&Row]) -> Result<u64, Broke> {
    if put.len() >= WORTH_COPY {
        let rows: Bulk = put.iter().copied().collect();
        savepoint(session).await?;
        let copied = rows::copy_in(session, &sql.from, sql, &rows).await;
        match settled(session, copied).await {
            Err(broke) if broke.in_the_way() => {}
            done => return done.map(|()| put.len() as u64),
        }
    }
    rows::upsert(session, sql, put.iter().copied()).await
}

async fn update<'a>(
    session: &mut Session,
    id: TableId,
    sql: &TableSql,
    columns: &[(usize, &Column)],
    keys: &[&Key],
    cell: impl Fn(usize, usize) -> Option<&'a Value>,
    applied: &mut Applied,
) -> Result<(), Broke> {
    let missed = rows::update(session, sql, columns, keys, cell).await?;
    applied.changed += (keys.len() - missed.len()) as u64;
    let missed = missed.into_iter().filter_map(|at| keys.get(at));
    applied
        .missed
        .extend(missed.map(|key| (id, (*key).clone())));
    Ok(())
}

/// Takes every row of the batch out, then puts those that are to be there.
async fn exchanged(session: &mut Session, made: &Made, net: &[&Change]) -> Result<Applied, Broke> {
    let mut applied = Applied::default();
    let put = taken_out(session, made, net, &mut applied).await?;
    for (id, sql) in made {
        if let Some(rows) = put.get(id).filter(|rows| !rows.is_empty()) {
            applied.changed += rows::upsert(session, sql, rows.iter()).await?;
        }
    }
    Ok(applied)
}

/// Takes every row of these keys out; gives those that are to be there instead.
pub(super) async fn taken_out(
    session: &mut Session,
    made: &Made,
    net: &[&Change],
    applied: &mut Applied,
) -> Result<BTreeMap<TableId, Vec<Row>>, Broke> {
    let mut put: BTreeMap<TableId, Vec<Row>> = BTreeMap::new();
    for (id, sql) in made {
        let changes: Vec<&Change> = net
            .iter()
            .copied()
            .filter(|change| change.table == *id)
            .collect();
        let keys: Vec<Key> = changes.iter().map(|change| change.key.clone()).collect();
        let mut before = rows::read(session, sql, &keys).await?;
        rows::delete(session, sql, &keys.iter().collect::<Vec<_>>()).await?;
        let rows = put.entry(*id).or_default();
        for change in changes {
            match (&change.image, before.remove(&change.key)) {
                (Image::Gone, before) => applied.changed += u64::from(before.is_some()),
                (Image::Present(row) | Image::Inserted(row), _)
                | (Image::Updated(row), Some(_)) => {
                    rows.push(row.clone());
                }
                (Image::Partial(cells), Some(mut row)) => {
                    merge(&mut row, cells);
                    rows.push(row);
                }
                (Image::Updated(_) | Image::Partial(_), None) => {
                    applied.missed.push((*id, change.key.clone()));
                }
            }
        }
    }
    Ok(put)
}
