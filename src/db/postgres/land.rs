//! Landing rows: COPY first, and exactly what it did.
//!
//! Where a row is in the way (the stream made it already, an adopted table, a repair, a chunk that landed before), the rows go
//! into a staging table and from there to their places, made or replaced by key. Only when that runs into another unique
//! constraint, because rows of the landing exchange a value among themselves, are the rows of its own keys taken out first.
//! A range is never emptied, and no row is evicted.

use super::connect::Session;
use super::ledger;
use super::rows;
use super::sql::{TableSql, Tables};
use super::transact::{Broke, savepoint, settled};
use crate::db::{Landed, Landing};
use crate::domain::bulk::Bulk;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::key::Key;
use crate::domain::value::Row;
use std::collections::HashMap;

/// Where rows wait when some of them are there already; gone with its transaction.
const STAGE: &str = "pg_temp.tidegate_stage";

/// Lands inside the caller's transaction.
pub(super) async fn land(
    session: &mut Session,
    tables: &Tables,
    landing: &Landing,
) -> Result<Landed> {
    let sql = &*tables.get(session, landing.table).await?;
    let doing = format!("land rows of {}", sql.table().source);
    if let Bulk::Sealed(rows) = &*landing.rows
        && rows.types() != sql.types()
    {
        let what = format!(
            "the types of {} are not those of its source any more",
            sql.table().target
        );
        return Err(Fault::new(Kind::Blocked, what).code("SCHEMA-DIFFERS"));
    }
    match whole(session, sql, landing).await {
        Ok(landed) => {
            if let Some(mark) = &landing.mark {
                ledger::mark(session, &tables.plan, mark).await?;
            }
            Ok(landed)
        }
        Err(broke) => Err(broke.fault(session, &doing)),
    }
}

async fn whole(session: &mut Session, sql: &TableSql, landing: &Landing) -> Result<Landed, Broke> {
    let mut landed = Landed::default();
    if landing.keep_before {
        landed.before = before(session, sql, landing).await?;
    }
    let gone: Vec<&Key> = landing.gone.iter().collect();
    landed.deleted = count(rows::delete(session, sql, &gone).await?);
    if landing.rows.is_empty() {
        return Ok(landed);
    }
    savepoint(session).await?;
    let copied = rows::copy_in(session, &sql.from, sql, &landing.rows).await;
    match settled(session, copied).await {
        Ok(()) => {
            landed.inserted = landing.rows.len() as u32;
            return Ok(landed);
        }
        Err(broke) if broke.in_the_way() => {}
        Err(broke) => return Err(broke),
    }
    savepoint(session).await?;
    let put = staged(session, sql, landing, false).await;
    let (inserted, updated) = match settled(session, put).await {
        Err(broke) if broke.in_the_way() => staged(session, sql, landing, true).await?,
        other => other?,
    };
    landed.inserted = inserted;
    landed.updated = updated;
    Ok(landed)
}

/// Rows by way of the staging table; how many were made and how many replaced.
async fn staged(
    session: &mut Session,
    sql: &TableSql,
    landing: &Landing,
    take_out: bool,
) -> Result<(u32, u32), Broke> {
    let columns = sql.column_list();
    let create = format!(
        "CREATE TEMP TABLE tidegate_stage ON COMMIT DROP AS SELECT {columns} FROM {} WITH NO DATA",
        sql.from
    );
    rows::execute(session, &create).await?;
    rows::copy_in(session, STAGE, sql, &landing.rows).await?;
    let same: Vec<_> = sql
        .key_columns()
        .map(|column| format!("t.{0} = s.{0}", column.name))
        .collect();
    let same = same.join(" AND ");
    let insert = format!(
        "INSERT INTO {} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {STAGE} AS s",
        sql.from
    );
    let (inserted, updated) = if take_out {
        let delete = format!(
            "DELETE FROM {} AS t USING {STAGE} AS s WHERE {same}",
            sql.from
        );
        let replaced = rows::execute(session, &delete).await?;
        let put = rows::execute(session, &insert).await?;
        (put - replaced.min(put), replaced)
    } else {
        let set: Vec<_> = sql
            .settable()
            .map(|(_, column)| format!("{0} = s.{0}", column.name))
            .collect();
        // Without anything to set, the rows that are there are what they should be.
        let updated = if set.is_empty() {
            0
        } else {
            let update = format!(
                "UPDATE {} AS t SET {} FROM {STAGE} AS s WHERE {same}",
                sql.from,
                set.join(", ")
            );
            rows::execute(session, &update).await?
        };
        let missing = format!(
            "{insert} WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {same})",
            sql.from
        );
        let inserted = rows::execute(session, &missing).await?;
        let all = landing.rows.len() as u64;
        (inserted, updated.max(all - inserted.min(all)))
    };
    rows::execute(session, &format!("DROP TABLE {STAGE}")).await?;
    Ok((count(inserted), count(updated)))
}

/// The images that are about to be replaced or removed.
async fn before(
    session: &mut Session,
    sql: &TableSql,
    landing: &Landing,
) -> Result<Vec<(Key, Option<Row>)>, Broke> {
    let table = sql.table();
    let put = (0..landing.rows.len()).filter_map(|at| table.key_in(&landing.rows, at));
    let keys: Vec<Key> = landing.gone.iter().cloned().chain(put).collect();
    let mut there: HashMap<Key, Row> = rows::read(session, sql, &keys).await?;
    Ok(keys
        .into_iter()
        .map(|key| {
            let row = there.remove(&key);
            (key, row)
        })
        .collect())
}

fn count(rows: u64) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
