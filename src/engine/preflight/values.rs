//! Whether every value of the source can be held by a target of another kind, as it is. Reads each table that may hold another
//! once, a chunk at a time.

use super::finding;
use crate::db::Endpoint;
use crate::db::across::{Holds, Misfit, kinds, whole};
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Stage};
use crate::domain::id::TableId;
use crate::domain::key::{Bound, Range};
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::table::{Column, Table};
use crate::domain::unit::{Bytes, Rows};
use futures_util::stream::{self, TryStreamExt as _};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of one range.
const ROWS: Rows = Rows(20_000);
/// Ranges that are read at once.
const BESIDE: usize = 2;
/// Bytes of them that are looked at in one read.
const BYTES: Bytes = Bytes(8 << 20);

/// What doesn't fit, by column and reason: how many, and the first key.
type Found = BTreeMap<(usize, Misfit), (u64, String)>;

/// # Errors
/// A source that can't be read.
pub(super) async fn findings(source: &dyn Endpoint, plan: &Arc<Plan>) -> Result<Vec<Finding>> {
    let Some((_, to)) = kinds(plan) else {
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    let live = plan.ids().filter(|(_, table)| table.key().is_some());
    for (id, table) in live.filter(|(_, table)| !whole(plan, table)) {
        let found = look(source, plan, id, table, to).await?;
        findings.extend(told(table, to, &found));
    }
    Ok(findings)
}

/// Reads some ranges beside each other.
async fn look(
    source: &dyn Endpoint,
    plan: &Arc<Plan>,
    id: TableId,
    table: &Table,
    to: Engine,
) -> Result<Found> {
    let holds = Holds::all(to, table);
    let ends = stream::try_unfold(Some(None), async |from: Option<Option<Bound>>| {
        let Some(lo) = from else {
            return Ok(None);
        };
        let mut view = source.view(plan).await?;
        let hi = view.bound(id, lo.as_ref(), ROWS).await?;
        let range = Range { lo, hi: hi.clone() };
        Ok(Some((range, hi.map(Some))))
    });
    let looked = ends
        .map_ok(|range| look_at(source, plan, id, table, &holds, range))
        .try_buffered(BESIDE);
    let all = Found::new();
    looked
        .try_fold(all, async |mut all, some| {
            for (what, (count, first)) in some {
                all.entry(what).or_insert((0, first)).0 += count;
            }
            Ok(all)
        })
        .await
}

/// Looks at all of a range, in reads of their own: the source's log must not wait for us.
async fn look_at(
    source: &dyn Endpoint,
    plan: &Arc<Plan>,
    id: TableId,
    table: &Table,
    holds: &[Holds],
    mut range: Range,
) -> Result<Found> {
    let mut found = Found::new();
    loop {
        let mut view = source.view(plan).await?;
        let read = view.unfit(id, &range, holds, BYTES).await?;
        drop(view);
        for row in read.rows.iter() {
            for (n, (holds, value)) in holds.iter().zip(&row).enumerate() {
                if let Some(misfit) = holds.misfit(value.into()) {
                    let first = || (0, table.key_of(&row).to_string());
                    found.entry((n, misfit)).or_insert_with(first).0 += 1;
                }
            }
        }
        match read.cut {
            Some(cut) => range.lo = Some(cut),
            None => return Ok(found),
        }
    }
}

fn told(table: &Table, to: Engine, found: &Found) -> Option<Finding> {
    if found.is_empty() {
        return None;
    }
    let masked = table.key().is_some_and(|key| {
        let mut columns = key
            .columns
            .iter()
            .filter_map(|at| table.columns.get(usize::from(*at)));
        columns.any(|column| column.masked)
    });
    let mut evidence = Vec::new();
    let mut sql = Vec::new();
    for ((at, misfit), (count, first)) in found {
        let Some(column) = table.columns.get(*at) else {
            continue;
        };
        let declared = match column.declared.as_str() {
            "" => "no type",
            declared => declared,
        };
        let key = if masked { "••••" } else { first };
        evidence.push(format!(
            "{} ({declared} → {}): {count} × {}, first at key {key}",
            column.name,
            column.becomes,
            misfit.what()
        ));
        sql.extend(select(table, column, to, *misfit));
    }
    Some(Finding {
        side: Some(Side::Source),
        table: Some(table.source.clone()),
        evidence: evidence.join("; "),
        remedy: "correct them on the source, or leave the table out".into(),
        sql,
        ..finding(
            "ACROSS-VALUES",
            Stage::BlocksCopy,
            format!(
                "{} holds values that {} can't hold as they are",
                table.source,
                to.label()
            ),
        )
    })
}

/// What finds them on the source.
fn select(table: &Table, column: &Column, to: Engine, misfit: Misfit) -> Option<String> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let name = quoted(&column.name);
    let from = match to {
        Engine::Postgres => quoted(&table.source),
        _ => table.source.clone(),
    };
    let which = match misfit {
        Misfit::Class(class) => format!("typeof({name}) = '{class}'"),
        Misfit::NoBoolean => format!("typeof({name}) = 'integer' AND {name} NOT IN (0, 1)"),
        Misfit::Nul => format!("instr(CAST({name} AS BLOB), x'00') > 0"),
        Misfit::Ambiguous => format!("typeof({name}) = 'real'"),
        Misfit::Nan => format!("{name} = 'NaN'"),
        Misfit::MinusZero => format!("{name} = 0 AND {name}::text = '-0'"),
        Misfit::Unsorted => format!("{name} NOT BETWEEN '0001-01-01' AND '9999-12-31'"),
        Misfit::NotUtf8 => return None,
    };
    Some(format!("SELECT * FROM {from} WHERE {which}"))
}
