//! Whether every value of the source can be held by a target of another kind, as it is. Reads each table that may hold another
//! once, a chunk at a time.

use super::finding;
use crate::db::Endpoint;
use crate::db::across::{Misfit, kinds, misfit, whole};
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Stage};
use crate::domain::id::TableId;
use crate::domain::key::Bound;
use crate::domain::packed::Packed;
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::table::{Column, Table};
use crate::domain::unit::{Bytes, Rows};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows looked at in one read transaction.
const ROWS: Rows = Rows(20_000);
/// Bytes of them.
const BYTES: Bytes = Bytes(8 << 20);
/// Rows looked at before the read beside it gets its turn.
const TURN: usize = 256;

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

/// Reads the next rows while the last ones are looked at.
async fn look(
    source: &dyn Endpoint,
    plan: &Arc<Plan>,
    id: TableId,
    table: &Table,
    to: Engine,
) -> Result<Found> {
    let read = async |after: Option<&Bound>| {
        // A read of its own for each: the source's log must not wait for us.
        let mut view = source.view(plan).await?;
        view.chunk(id, after, ROWS, BYTES, false).await
    };
    let keyed = (0..table.columns.len()).map(|at| {
        let key = table.key();
        key.is_some_and(|key| key.columns.contains(&(at as u16)))
    });
    let keyed: Vec<bool> = keyed.collect();
    let mut found = Found::new();
    let mut now = read(None).await?;
    loop {
        let rows = now.rows.packed()?;
        let looked = look_at(table, to, &keyed, &rows, &mut found);
        let Some(after) = now.cut else {
            looked.await;
            return Ok(found);
        };
        let (next, ()) = tokio::join!(read(Some(&after)), looked);
        drop(rows);
        now = next?;
    }
}

async fn look_at(table: &Table, to: Engine, keyed: &[bool], rows: &Packed, found: &mut Found) {
    for at in 0..rows.len() {
        if at % TURN == 0 {
            tokio::task::yield_now().await;
        }
        let columns = table.columns.iter().zip(keyed);
        for (n, ((column, keyed), cell)) in columns.zip(rows.cells(at)).enumerate() {
            if let Some(misfit) = misfit(to, column, *keyed, cell) {
                let (count, _) = found
                    .entry((n, misfit))
                    .or_insert_with(|| (0, table.key_of(&rows.row(at)).to_string()));
                *count += 1;
            }
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
