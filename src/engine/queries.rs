//! Answers to what is not in the fold: bounds, differing rows, dry runs. For one session, never journaled.

use super::decide::differing;
use super::lane::LaneHandle;
use super::site::Site;
use super::verify::open_pair;
use crate::db::View;
use crate::domain::command::{Answer, Command, Drifted, Query, Scope};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::key::Key;
use crate::domain::unit::counted;
use crate::domain::value::Value;
use crate::journal::Reader;
use crate::state::migration::{Migration, RepairState};
use crate::state::timeline::table_name;
use std::sync::Arc;

/// Most rows or bounds in one answer.
const MOST: u32 = 2_000;

/// Answers one query from the state as it is now.
pub async fn answer(
    query: Query,
    state: Arc<Migration>,
    journal: std::path::PathBuf,
    live: Option<(Site, LaneHandle)>,
) -> Answer {
    match find(query, &state, &journal, live).await {
        Ok(answer) => answer,
        Err(fault) => Answer::Failed(fault),
    }
}

async fn find(
    query: Query,
    state: &Migration,
    journal: &std::path::Path,
    live: Option<(Site, LaneHandle)>,
) -> Result<Answer> {
    let mut reader = Reader::open(journal).await?;
    match query {
        Query::Differences { chunk, limit } => {
            let (site, lane) = live.ok_or_else(|| {
                Fault::new(Kind::Refused, "rows can be looked at once the copy runs")
            })?;
            let range = reader
                .bounds(chunk)
                .await?
                .ok_or_else(|| Fault::new(Kind::Usage, "that chunk has not landed"))?;
            let mut pair = open_pair(&site, &lane).await?;
            let (rows, more) = pair
                .differences(&site, &lane, chunk.table, &range, limit.min(MOST) as usize)
                .await?;
            Ok(Answer::Differences {
                rows: mask(rows, &site, chunk.table),
                more,
            })
        }
        Query::Drifted { table, limit } => {
            let known = reader.drifted(table, limit.min(MOST)).await?;
            let drifted = known.into_iter().map(|d| Drifted {
                chunk: d.chunk,
                key: d.key,
                class: d.class,
                age: state.tick.since(d.since),
            });
            Ok(Answer::Drifted(drifted.collect()))
        }
        Query::Bounds {
            table,
            first,
            count,
        } => {
            let ranges = reader.bounds_from(table, first, count.min(MOST)).await?;
            Ok(Answer::Bounds(
                ranges
                    .into_iter()
                    .map(|(_, r)| r.lo.map(|b| b.to_string()).unwrap_or_default())
                    .collect(),
            ))
        }
        Query::Locate { table, key } => {
            let (site, _) = live.ok_or_else(|| {
                Fault::new(Kind::Refused, "a key can be found once the copy runs")
            })?;
            Ok(Answer::Located(
                locate(&site, &mut reader, state, table, &key).await?,
            ))
        }
        Query::DryRun(command) => Ok(Answer::DryRun(dry_run(&command, state, &mut reader).await?)),
        Query::Best => Ok(Answer::Best(state.best_rate)),
    }
}

/// Values of masked columns never leave the engine.
fn mask(
    mut rows: Vec<crate::domain::verdict::RowDiff>,
    site: &Site,
    table: TableId,
) -> Vec<crate::domain::verdict::RowDiff> {
    let Some(plan) = site.plan.table(table) else {
        return rows;
    };
    for (i, _) in plan.columns.iter().enumerate().filter(|(_, c)| c.masked) {
        for row in &mut rows {
            for image in [&mut row.source, &mut row.target].into_iter().flatten() {
                if let Some(cell) = image.get_mut(i).filter(|cell| **cell != Value::Null) {
                    *cell = Value::text("••••");
                }
            }
        }
    }
    rows
}

/// A key as typed: parts separated by commas, whole numbers as such, everything else as text.
pub fn typed_key(text: &str, parts: usize) -> Result<Vec<Value>> {
    let pieces: Vec<&str> = if parts == 1 {
        vec![text]
    } else {
        text.split(',').collect()
    };
    if pieces.len() != parts {
        return Err(Fault::new(
            Kind::Usage,
            format!(
                "that key has {parts} parts, \"{text}\" has {}",
                pieces.len()
            ),
        )
        .hint("separate them by commas"));
    }
    Ok(pieces
        .into_iter()
        .map(|p| p.trim())
        .map(|p| p.parse().map_or_else(|_| Value::text(p), Value::Integer))
        .collect())
}

async fn locate(
    site: &Site,
    reader: &mut Reader,
    state: &Migration,
    table: TableId,
    text: &str,
) -> Result<Option<ChunkId>> {
    let spec = site
        .plan
        .table(table)
        .and_then(|t| t.key())
        .ok_or_else(|| Fault::new(Kind::Usage, "that table has no key"))?;
    let key = Key::normal(typed_key(text, spec.columns.len())?, &spec.collations);
    let chunks = state.table(table).map_or(0, |t| t.chunks.len());
    let mut view = site.source.view(&site.plan).await?;
    let (mut low, mut high) = (0, chunks);
    // Only the database knows its order: ask it whether the key lies in the lower half, and halve again.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let range = reader
            .bounds(ChunkId { table, no: middle })
            .await?
            .unwrap_or_default();
        let below = crate::domain::key::Range {
            lo: None,
            hi: range.lo,
        };
        if inside(view.as_mut(), table, &below, &key).await? {
            high = middle
        } else {
            low = middle
        }
    }
    if chunks == 0 {
        return Ok(None);
    }
    let found = ChunkId { table, no: low };
    // The last copied chunk ends somewhere, and the key may lie beyond.
    let up_to = crate::domain::key::Range {
        lo: None,
        hi: reader.bounds(found).await?.unwrap_or_default().hi,
    };
    let copied = up_to.hi.is_none() || inside(view.as_mut(), table, &up_to, &key).await?;
    Ok(copied.then_some(found))
}

async fn inside(
    view: &mut dyn View,
    table: TableId,
    range: &crate::domain::key::Range,
    key: &Key,
) -> Result<bool> {
    Ok(view
        .inside(table, range, std::slice::from_ref(key))
        .await?
        .first()
        .copied()
        .unwrap_or(false))
}

/// What a command would do, in lines to read before `Y`.
async fn dry_run(command: &Command, state: &Migration, reader: &mut Reader) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    match command {
        Command::Repair(scope) => {
            for (table, chunks) in differing(state, scope) {
                let mut counts = crate::domain::verdict::DriftCounts::default();
                for chunk in &chunks {
                    for d in reader.drifted_in(*chunk, MOST).await? {
                        counts.add(d.class);
                    }
                }
                lines.push(format!(
                    "{}: {}: {}, {}, {}",
                    table_name(table, state),
                    counted(counts.total().into(), "row"),
                    counted(counts.changed.into(), "update"),
                    counted(counts.missing.into(), "insert"),
                    counted(counts.extra.into(), "delete")
                ));
            }
            if lines.is_empty() {
                lines.push("nothing there is known to differ".into());
            } else {
                lines.push(
                    "From the source as it is then; what is replaced is kept, U puts it back."
                        .into(),
                );
            }
        }
        Command::Undo(id) => match state.repairs.get(id).map(|r| (&r.state, r.table)) {
            Some((
                RepairState::Done {
                    inserted,
                    updated,
                    deleted,
                },
                table,
            )) => {
                lines.push(format!(
                    "{}: puts back what repair {id} replaced",
                    table_name(table, state)
                ));
                lines.push(format!(
                    "{} as before, {inserted} taken out again, {deleted} put in again",
                    counted(u64::from(*updated), "row")
                ));
                lines.push("They will differ from the source again.".into());
            }
            _ => lines.push("there is nothing to put back".into()),
        },
        Command::Resume => lines.extend(state.pauses.iter().map(|p| {
            format!(
                "{} ({} ago, by {})",
                crate::state::timeline::pause_words(&p.reason, state),
                state.tick.since(p.since),
                p.by
            )
        })),
        Command::Abort { drop_target, .. } => lines.extend(way_back(state, *drop_target)),
        Command::Verify(Scope::All) => lines.push(format!(
            "{} on each side",
            counted(state.live_tables().map(|(_, _, t)| t.rows().0).sum(), "row")
        )),
        _ => lines.push(crate::state::timeline::command_words(command, state)),
    }
    Ok(lines)
}

/// What giving up the target takes away and what it leaves.
pub fn way_back(state: &Migration, drop_target: bool) -> Vec<String> {
    let ours = state
        .made
        .iter()
        .filter(|(_, what)| what.starts_with("table "))
        .count();
    let tables = if drop_target {
        format!("goes: the {ours} tables that tidegate made on the target, with all rows in them")
    } else {
        format!(
            "stays: the {ours} tables on the target with their rows, as of now; nothing keeps them in step any more"
        )
    };
    vec![
        "loses nothing: the source has all writes and has had them all the time".into(),
        "goes: change capture on the source, ledger and guards on the target, read back as gone"
            .into(),
        tables,
        "stays: every table that was on the target before, the journal, the report".into(),
    ]
}
