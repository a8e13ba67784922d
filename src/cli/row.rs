//! `tidegate row`: one row on both sides, and what is known of it.

use super::world::{Exit, World};
use super::{known, planned, verbs};
use crate::db::{Endpoint, View};
use crate::domain::change::{Change, Item};
use crate::domain::event::{Body, Fact};
use crate::domain::fault::Result;
use crate::domain::id::{ChunkId, Seq, TableId};
use crate::domain::key::{Key, Pick};
use crate::domain::plan::Plan;
use crate::domain::position::{Position, Seen};
use crate::domain::unit::{Bytes, counted};
use crate::domain::value::Row;
use crate::engine::queries::typed_key;
use crate::faces::row::{self, Told};
use crate::faces::when::date_time;
use crate::journal::Reader;
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `tidegate row`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the same on both sides · 1 differs · 6 differs, and a change of it is on its way, or no position is known"
)]
pub struct Options {
    /// The table, by its name on the source
    table: String,
    /// The key; parts separated by commas
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// The config
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Enough for any one row.
const BUDGET: Bytes = Bytes(1_000_000_000);
/// How often both sides are read again because a running engine was faster.
const TRIES: u32 = 10;
/// Records read at once.
const PIECE: u32 = 4_096;

/// Reads both sides and the journal.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let planned = planned::load(&options.config, world).await?;
    // A migration that has begun runs by the plan in its journal: its table numbers are the log's.
    let journal = planned.state.journal();
    let begun = if planned.begun() {
        known::folded(&journal).await?.plan
    } else {
        None
    };
    let plan = begun.unwrap_or_else(|| Arc::clone(&planned.plan));
    let id = verbs::table_of(&options.table, &plan)?;
    let Some((table, spec)) = plan.table(id).and_then(|table| Some((table, table.key()?))) else {
        return Ok(Exit::NotProven);
    };
    let key = Key::normal(
        typed_key(&options.key, spec.columns.len())?,
        &spec.collations,
    );
    let (source, target) = (planned.ends.source.as_ref(), planned.ends.target.as_ref());
    let mut told = Told {
        table: table.clone(),
        key: key.clone(),
        applied: None,
        source: None,
        target: None,
        late: false,
        history: Vec::new(),
    };
    let made = planned
        .ends
        .theirs
        .tables
        .iter()
        .any(|there| there.table.target.eq_ignore_ascii_case(&table.target));
    let mut tries = 0;
    let mut view = loop {
        if made {
            let mut view = target.view(&plan).await?;
            told.applied = view.applied();
            told.target = one(view.as_mut(), id, &key).await?;
        }
        let mut view = source.view(&plan).await?;
        told.source = one(view.as_mut(), id, &key).await?;
        let (Some(applied), Seen::UpTo(head)) = (told.applied, view.seen().clone()) else {
            break view;
        };
        match on_its_way(source, &plan, (id, &key), applied, head).await {
            Ok(late) => {
                told.late = late;
                break view;
            }
            // A running engine has applied and pruned what came after our look at the target: look again.
            Err(fault) if fault.code == "CAPTURE-LOST" && tries < TRIES => tries += 1,
            Err(fault) => return Err(fault),
        }
    };
    if planned.begun() {
        told.history = history(&journal, view.as_mut(), id, &key).await?;
    }
    if options.json {
        world.say(&format!("{:#}\n", row::json(&told)))?;
    } else {
        world.say(&row::text(&told, world.paint()))?;
    }
    Ok(match row::verdict(&told) {
        row::Verdict::Same => Exit::Done,
        row::Verdict::Differs => Exit::Differs,
        row::Verdict::OnItsWay | row::Verdict::Unproven | row::Verdict::Nowhere => Exit::NotProven,
    })
}

async fn one(view: &mut dyn View, id: TableId, key: &Key) -> Result<Option<Row>> {
    let read = view
        .rows(id, &Pick::Keys(vec![key.clone()]), BUDGET)
        .await?;
    Ok(read.rows.iter().next())
}

/// Whether the stream has a change of the row that the target has not applied. Nothing is released.
async fn on_its_way(
    source: &dyn Endpoint,
    plan: &Arc<Plan>,
    row: (TableId, &Key),
    applied: Position,
    head: Position,
) -> Result<bool> {
    if head <= applied {
        return Ok(false);
    }
    let mut feed = source.feed(plan, applied).await?;
    loop {
        match feed.next().await? {
            Item::Txn(txn) => {
                for piece in txn.pieces() {
                    let ours = |change: &Change| (change.table, &change.key) == row;
                    if piece?.iter().any(ours) {
                        return Ok(true);
                    }
                }
                if txn.head.position >= head {
                    return Ok(false);
                }
            }
            Item::Idle(position) if position >= head => return Ok(false),
            _ => {}
        }
    }
}

/// What the journal says of the chunk the row lies in: landed, compared, repaired.
async fn history(
    journal: &Path,
    view: &mut dyn View,
    id: TableId,
    key: &Key,
) -> Result<Vec<String>> {
    let mut reader = Reader::open(journal).await?;
    let Some(chunk) = chunk_of(&mut reader, view, id, key).await? else {
        return Ok(vec!["no chunk with it has landed yet".into()]);
    };
    let mut landed = None;
    let mut compared = None;
    let mut repaired = None;
    let mut next = Seq(1);
    loop {
        let events = reader.events(next, PIECE).await?;
        let Some(last) = events.last() else { break };
        next = Seq(last.seq.0 + 1);
        for event in &events {
            let at = date_time(event.at);
            match &event.body {
                Body::Fact(Fact::ChunkLanded {
                    chunk: landed_chunk,
                    attempt,
                    position,
                    ..
                }) if *landed_chunk == chunk => {
                    let times = if *attempt > 1 {
                        format!(" (time {attempt})")
                    } else {
                        String::new()
                    };
                    landed = Some(format!("landed {at}{times}, with the stream at {position}"));
                }
                Body::Fact(Fact::ChunkChecked {
                    chunk: checked,
                    verdict,
                }) if *checked == chunk => {
                    let words = if verdict.equal() {
                        "equal".to_owned()
                    } else {
                        format!(
                            "{} of it differing",
                            counted(verdict.differ.total().into(), "row")
                        )
                    };
                    compared = Some(format!(
                        "last compared {at} at {}: {words}",
                        verdict.position
                    ));
                }
                Body::Fact(Fact::ChunksEqual {
                    table,
                    first,
                    rows,
                    position,
                }) if *table == id && (*first..).zip(rows).any(|(no, _)| no == chunk.no) => {
                    compared = Some(format!("last compared {at} at {position}: equal"));
                }
                Body::Fact(Fact::Repaired { repair, chunks, .. }) if chunks.contains(&chunk) => {
                    repaired = Some(format!("repair {repair} {at}"));
                }
                _ => {}
            }
        }
    }
    let here = format!("chunk {} of its table", chunk.no);
    let never = || "never compared".to_owned();
    Ok([
        Some(here),
        landed,
        Some(compared.unwrap_or_else(never)),
        repaired,
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// The landed chunk whose range holds the key, by the source's own order. Chunks lie in key order without gaps, so it is
/// found by halving.
async fn chunk_of(
    reader: &mut Reader,
    view: &mut dyn View,
    id: TableId,
    key: &Key,
) -> Result<Option<ChunkId>> {
    let Some((last, _)) = reader.bounds_last(id).await? else {
        return Ok(None);
    };
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low + (high - low) / 2;
        if within(
            reader,
            view,
            ChunkId {
                table: id,
                no: middle,
            },
            key,
            true,
        )
        .await?
        {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let chunk = ChunkId { table: id, no: low };
    Ok(within(reader, view, chunk, key, false)
        .await?
        .then_some(chunk))
}

/// Whether a key lies in a chunk, or, with `below`, anywhere before its end.
async fn within(
    reader: &mut Reader,
    view: &mut dyn View,
    chunk: ChunkId,
    key: &Key,
    below: bool,
) -> Result<bool> {
    let Some(mut range) = reader.bounds(chunk).await? else {
        return Ok(false);
    };
    if below {
        range.lo = None;
    }
    let found = view
        .inside(chunk.table, &range, std::slice::from_ref(key))
        .await?;
    Ok(found.first() == Some(&true))
}
