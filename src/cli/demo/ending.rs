//! The end of the demo: the application stops, the stream drains, and others than tidegate count.

use super::stage::Stage;
use super::{Options, Played, told};
use crate::attach::client::Client;
use crate::attach::wire::Greeting;
use crate::cli::world::{Exit, World};
use crate::demo::app::ack;
use crate::demo::compare::{self, Comparison};
use crate::demo::witness::{self, Witnessed};
use crate::domain::command::Role;
use crate::domain::fault::Result;
use crate::domain::unit::Rows;
use crate::journal::chain;
use crate::state::migration::Migration;
use crate::tap::{Tap as _, Tapped};
use std::time::Duration;

/// How long the stream may take to drain once nobody writes any more.
const DRAIN: Duration = Duration::from_secs(30);

/// Stops, counts, tells, and clears away.
pub async fn tell(stage: Stage, played: Played, options: &Options, world: &World) -> Result<Exit> {
    if played.keep {
        stage.let_go();
        let root = stage.folder().join("state");
        world.say(&format!(
            "demo: left running. look: tidegate attach shop-demo --state-dir {root}   end: tidegate stop shop-demo --state-dir {root}\n\
             \x20     the application: kill {pid}   files: {folder}\n",
            root = root.display(),
            pid = witness::status(&stage.control()).map_or_else(|_| "(gone)".into(), |s| s.pid.to_string()),
            folder = stage.folder().display(),
        ))?;
        return Ok(Exit::Done);
    }
    stage.stop_app().await;
    let drained = drained(&stage).await;
    stage.stop_engine().await;
    let verdict = count(&stage, &played, drained, world).await;
    let journal = stage.folder().with_extension("journal");
    let _ = std::fs::copy(stage.dir().journal(), &journal);
    stage.clear().await;
    let (good, asked) = verdict?;
    world.say(&format!(
        "      replay it:  tidegate replay {}\nnext: compare two databases you have, reading only:  tidegate verify A.db B.db\n\
         \x20     plan a real migration:                         tidegate init --source A.db --target B.db\n",
        journal.display()
    ))?;
    let judged = options.headless || options.auto || played.finished;
    Ok(if good || !(judged && asked) {
        Exit::Done
    } else {
        Exit::Differs
    })
}

/// Waits until the target holds everything the application wrote; false when it does not come to that (a copy that was left
/// half way).
async fn drained(stage: &Stage) -> bool {
    let look = async {
        let mut client =
            Client::attach(stage.dir().socket(), Greeting::new(Role::Observer, "demo"))
                .await
                .ok()?;
        let mut state = Migration::default();
        while let Some(tapped) = client.next().await {
            match tapped {
                Tapped::Snapshot(snapshot) => state = (*snapshot).clone(),
                Tapped::Event(event) => state.apply(&event),
                Tapped::Sample(sample) => state.measure(&sample),
                _ => {}
            }
            if state.plan.is_none() {
                continue;
            }
            if state.phase < crate::domain::event::Phase::CatchUp || state.paused() {
                return Some(false);
            }
            // Fresh means measured after the application had stopped: two looks at one head.
            if state.synced_and_equal()
                && state.sample.waiting == 0
                && state.sample.applied == state.sample.head
            {
                return Some(true);
            }
        }
        None
    };
    tokio::time::sleep(Duration::from_millis(600)).await;
    tokio::time::timeout(DRAIN, look)
        .await
        .ok()
        .flatten()
        .unwrap_or(false)
}

/// The count, and whether it is good; the second part: whether equality could be asked for at all.
async fn count(
    stage: &Stage,
    played: &Played,
    drained: bool,
    world: &World,
) -> Result<(bool, bool)> {
    let (acks, source, target) = (ack::path(&stage.control()), stage.source(), stage.target());
    let on_source = witnessed(&acks, &source).await?;
    let mut good = whole(&on_source);
    world.say(&format!("demo: {}\n", words(&on_source, "shop-old")))?;
    if drained {
        let on_target = witnessed(&acks, &target).await?;
        good &= whole(&on_target);
        world.say(&format!("      {}\n", words(&on_target, "shop-new")))?;
        let comparison = compared(source, target).await?;
        good &= comparison.equal();
        let rows = Rows(comparison.rows());
        let verdict = if comparison.equal() {
            "equal".to_string()
        } else {
            format!("NOT EQUAL\n{comparison}")
        };
        world.say(&format!(
            "      shop-old and shop-new, row by row, {rows} rows: {verdict}\n"
        ))?;
    } else {
        world.say("      the copy was not complete, or rows differed: shop-old and shop-new were not compared\n")?;
    }
    let audit = chain::audit(&stage.dir().journal(), None).await?;
    good &= audit.verdict.holds() && played.late.is_empty();
    world.say(&format!(
        "      {} kill -9 survived, {} damaged rows; the record: {} events, hash chain {}\n",
        played.kills,
        played.damaged,
        Rows(audit.records),
        if audit.verdict.holds() {
            "intact"
        } else {
            "BROKEN"
        },
    ))?;
    for step in &played.late {
        world.say(&format!("      never came true in time: {step}\n"))?;
    }
    Ok((good && drained, played.finished))
}

async fn witnessed(acks: &std::path::Path, database: &std::path::Path) -> Result<Witnessed> {
    let (acks, database) = (acks.to_path_buf(), database.to_path_buf());
    let counted = tokio::task::spawn_blocking(move || witness::count(&acks, &database)).await;
    counted
        .map_err(|e| crate::cli::world::own("the witness broke", e))?
        .map_err(told)
}

async fn compared(a: std::path::PathBuf, b: std::path::PathBuf) -> Result<Comparison> {
    let compared =
        tokio::task::spawn_blocking(move || compare::compare(&a, &b, &["tidegate_*"])).await;
    compared
        .map_err(|e| crate::cli::world::own("the compare broke", e))?
        .map_err(told)
}

fn whole(w: &Witnessed) -> bool {
    w.lost == 0 && w.twice == 0 && w.acknowledged > 0
}

fn words(w: &Witnessed, where_: &str) -> String {
    format!(
        "{} writes acknowledged to the application, {} found in {where_}, {} lost, {} twice",
        Rows(w.acknowledged),
        Rows(w.found),
        w.lost,
        w.twice
    )
}
