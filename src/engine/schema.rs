//! Making what is needed on both sides, and building what comes after the copy. Everything here may be done again.

use super::clock::Watch;
use super::lane::LaneHandle;
use super::report::Report;
use super::site::{Site, stopped};
use crate::db::{Ddl, Made, Part, Sizes, Survey, Writer, across};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{MigrationName, TableId};
use crate::domain::plan::Side;
use crate::domain::unit::Span;
use crate::state::conditions::{CAPTURE_MADE, FINISH_MADE, LOOKED, THERE_BEFORE};
use std::collections::BTreeSet;

/// How long closing the target's gate may take: nobody writes there yet.
const CLOSE_BUDGET: Span = Span::seconds(5);

/// Target: ledger, what tables are made of, tables with their key, the gate closed over them. Source: change capture. Then the stream begins.
///
/// Capture comes last, so that it costs the application nothing before all else is known to work.
///
/// What was on the target before is recorded first, and nothing is made in the same run: this is started again once that record
/// is durable. An engine that was killed between making a table and recording what had been there would take the table for
/// somebody else's, and never drop it.
pub async fn make(site: &Site, made: &[(Side, String)]) -> Result<()> {
    let Some(there) = there_before(made) else {
        return look(site).await;
    };
    let ledger = site.retry(|| async {
        site.target
            .install(Part::Ledger, &site.plan)
            .await
            .settled()
    });
    // Both come to their end: what is being made is never left half way because a read failed.
    let (survey, ledger) = tokio::join!(wanted(site, Sizes::Told), ledger);
    let survey = survey?;
    ledger?;
    let writer = site.retry(|| site.target.writer(&site.plan)).await?;
    if let Some((table, no, _)) = writer.ledger().await?.last.first() {
        return Err(ahead(&site.plan.name, *table, *no));
    }
    for ddl in &survey.before {
        if site.stop.is_cancelled() {
            return Err(stopped());
        }
        let watch = Watch::start();
        writer.build(ddl).await.settled()?;
        let what = named(ddl);
        if !there.contains(&what) {
            site.tell(Report::Made(Side::Target, what, watch.took()))
                .await;
        }
    }
    for (id, table) in site.plan.ids().filter(|(_, t)| t.key().is_some()) {
        if site.stop.is_cancelled() {
            return Err(stopped());
        }
        let surveyed = surveyed(&survey, &table.source)?;
        if !site.plan.adopt.contains(&id) {
            let watch = Watch::start();
            if there.contains(&table.target) {
                writer.build(&surveyed.whole()).await.settled()?;
            } else {
                writer.build(&surveyed.create).await.settled()?;
                if let Some(key) = &surveyed.key {
                    writer.put_off_key(id, key).await.settled()?;
                }
                let what = format!("table {}", table.target);
                site.tell(Report::Made(Side::Target, what, watch.took()))
                    .await;
            }
        }
        site.tell(Report::Sized(id, surveyed.rows, surveyed.exact))
            .await;
    }
    let watch = Watch::start();
    let gate = site.target.gate(&site.plan).await?;
    let closed = gate
        .read()
        .await?
        .is_some_and(|g| !g.open && g.unguarded.is_empty());
    if !closed {
        site.retry(|| async { site.target.install(Part::Gate, &site.plan).await.settled() })
            .await?;
        site.retry(|| async { gate.close(1, CLOSE_BUDGET).await.settled() })
            .await?;
    }
    site.tell(Report::Made(
        Side::Target,
        "gate, closed to all but us".into(),
        watch.took(),
    ))
    .await;
    let watch = Watch::start();
    site.retry(|| async {
        site.source
            .install(Part::Capture, &site.plan)
            .await
            .settled()
    })
    .await?;
    let ledger = writer.ledger().await?;
    if ledger.applied == crate::domain::position::Position::START && ledger.last.is_empty() {
        let head = site.retry(|| site.source.pulse(&site.plan)).await?.head;
        writer.begin_at(head).await.settled()?;
    }
    site.tell(Report::Made(
        Side::Source,
        CAPTURE_MADE.into(),
        watch.took(),
    ))
    .await;
    Ok(())
}

/// Makes the key of a table where that was put off until its rows were there.
pub async fn make_key(site: &Site, writer: &dyn Writer, table: TableId) -> Result<()> {
    let watch = Watch::start();
    if writer.make_key(table).await? {
        let name = site.plan.table(table).map(|table| table.target.as_str());
        let what = format!("key of {}", name.unwrap_or_default());
        site.tell(Report::Made(Side::Target, what, watch.took()))
            .await;
    }
    Ok(())
}

/// Indexes, then views and triggers of the application, while the stream goes on.
pub async fn finish(site: &Site, lane: &LaneHandle, made: &[(Side, String)]) -> Result<()> {
    let there = there_before(made).unwrap_or_default();
    // Of a table whose last rows landed just before an engine ended.
    for table in lane.keyless() {
        lane.make_key(site, table).await?;
    }
    let survey = wanted(site, Sizes::Untold).await?;
    let moved = site.plan.tables.iter().filter(|t| t.key().is_some());
    let mut after: Vec<Ddl> = Vec::new();
    for table in moved {
        after.extend(surveyed(&survey, &table.source)?.after.iter().cloned());
    }
    after.sort_by_key(|ddl| turn(&ddl.kind));
    after.extend(survey.rest.iter().cloned());
    let whole = Watch::start();
    for ddl in after {
        if site.stop.is_cancelled() {
            return Err(stopped());
        }
        let watch = Watch::start();
        let what = named(&ddl);
        // What the rows rest on must be there; what only looks at them need not.
        let needed = matches!(ddl.kind.as_str(), "index" | "table");
        match lane.build(ddl).await {
            // It stands as it was found.
            Ok(()) if there.contains(&what) => {}
            Ok(()) => {
                site.tell(Report::Made(Side::Target, what, watch.took()))
                    .await
            }
            // A view of the application may name a table that is left out: it is told, and the rest goes on.
            Err(fault) if fault.kind == Kind::Blocked && !needed => {
                site.tell(Report::Failed(fault)).await;
            }
            Err(fault) => return Err(fault),
        }
    }
    site.tell(Report::Made(Side::Target, FINISH_MADE.into(), whole.took()))
        .await;
    Ok(())
}

/// What the source holds, in the words that make it on the target.
async fn wanted(site: &Site, sizes: Sizes) -> Result<Survey> {
    let survey = site.retry(|| site.source.survey(sizes)).await?;
    Ok(across::carried(survey, &site.plan))
}

/// How a thing is called in the record.
fn named(ddl: &Ddl) -> String {
    format!("{} {}", ddl.kind, ddl.name)
}

/// Across all tables: a foreign key needs the unique index of another table, and its check is planned by statistics.
fn turn(kind: &str) -> u8 {
    match kind {
        "analyze" => 1,
        "constraint" => 2,
        "comment" => 3,
        _ => 0,
    }
}

/// What was made on the target and goes with it, in the order of making. What stands on a table goes with the table.
pub fn made_here(made: &[(Side, String)]) -> Vec<Made> {
    const KINDS: [&str; 9] = [
        "schema",
        "extension",
        "type",
        "collation",
        "sequence",
        "function",
        "table",
        "view",
        "trigger",
    ];
    let there = there_before(made).unwrap_or_default();
    let mut here: Vec<Made> = Vec::new();
    for (side, what) in made {
        let Some((kind, name)) = what.split_once(' ') else {
            continue;
        };
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let thing = Made { kind, name };
        if *side == Side::Target
            && KINDS.contains(&thing.kind.as_str())
            && !what.ends_with(THERE_BEFORE)
            && !there.contains(what)
            && !here.contains(&thing)
        {
            here.push(thing);
        }
    }
    here
}

/// Tables of the plan, and what they are made of, that were on the target before anything was made there: they are never
/// dropped. None: nobody has looked yet.
fn there_before(made: &[(Side, String)]) -> Option<BTreeSet<String>> {
    let recorded = |what: &String| what.strip_suffix(THERE_BEFORE).map(str::to_string);
    made.iter()
        .any(|(_, what)| what == LOOKED)
        .then(|| made.iter().filter_map(|(_, what)| recorded(what)).collect())
}

/// Records which tables of the plan, and what they are made of, are on the target already.
async fn look(site: &Site) -> Result<()> {
    let theirs = site.retry(|| site.target.survey(Sizes::Untold));
    let (wanted, survey) = tokio::try_join!(wanted(site, Sizes::Untold), theirs)?;
    let wanted: BTreeSet<String> = wanted
        .before
        .iter()
        .chain(&wanted.rest)
        .map(named)
        .collect();
    let before = survey.before.iter().chain(&survey.rest).map(named);
    let before = before.filter(|name| wanted.contains(name));
    let tables = survey.tables.into_iter().map(|found| found.table.target);
    let tables = tables.filter(|name| site.plan.tables.iter().any(|t| t.target == *name));
    for name in before.chain(tables) {
        let what = format!("{name}{THERE_BEFORE}");
        site.tell(Report::Made(Side::Target, what, Span::ZERO))
            .await;
    }
    site.tell(Report::Made(Side::Target, LOOKED.into(), Span::ZERO))
        .await;
    Ok(())
}

/// The ledger holds chunks before this migration has copied any: they are another run's, whose journal is elsewhere.
fn ahead(name: &MigrationName, table: TableId, no: u32) -> Fault {
    Fault::new(
        Kind::InDoubt,
        "the target holds what another run of this migration has landed",
    )
    .code("LEDGER-AHEAD")
    .cause(format!(
        "the ledger of {name} has {} chunks of table {table}, this journal has none",
        no + 1
    ))
    .hint("go on with the journal of that run, or remove what it left: tidegate clean")
}

fn surveyed<'a>(survey: &'a Survey, name: &str) -> Result<&'a crate::db::Surveyed> {
    survey
        .tables
        .iter()
        .find(|t| t.table.source == name)
        .ok_or_else(|| {
            Fault::new(
                Kind::Blocked,
                format!("the table {name} is no longer on the source"),
            )
            .code("TABLE-GONE")
            .hint("take it out of the plan, or put it back")
        })
}
