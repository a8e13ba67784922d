//! Giving up the target: everything of ours goes from both sides, read back as gone. The source never notices.

use super::report::Report;
use super::schema;
use super::site::Site;
use crate::db::{Made, Part};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use crate::domain::unit::counted;

/// Removes what is ours. What tidegate made on the target for the application goes only when asked for, never anything that was
/// there before.
pub async fn remove(site: &Site, drop_target: bool, made: &[(Side, String)]) -> Result<()> {
    let source = site
        .retry(|| async {
            site.source
                .remove(&[Part::Capture, Part::Gate], Some(&site.plan.name))
                .await
                .settled()
        })
        .await?;
    site.tell(Report::Removed(
        Side::Source,
        "change capture".into(),
        names(&source),
    ))
    .await;
    // The guards go before the tables may: dropping a table drops its triggers, keeping it must not keep them.
    let target = site
        .retry(|| async {
            site.target
                .remove(&[Part::Gate, Part::Ledger], Some(&site.plan.name))
                .await
                .settled()
        })
        .await?;
    site.tell(Report::Removed(
        Side::Target,
        "ledger, gate and guards".into(),
        names(&target),
    ))
    .await;
    if drop_target {
        let made = schema::made_here(made);
        let left = site
            .retry(|| async { site.target.discard(&made).await.settled() })
            .await?;
        let tables = made.iter().filter(|made| made.kind == "table").count();
        let what = match made.len() - tables {
            0 => format!("{} made here", counted(tables as u64, "table")),
            more => format!(
                "{} and {} made here",
                counted(tables as u64, "table"),
                counted(more as u64, "more thing")
            ),
        };
        let left = left.iter().map(Made::to_string).collect();
        site.tell(Report::Removed(Side::Target, what, left)).await;
    }
    if source.is_empty() && target.is_empty() {
        site.tell(Report::AllRemoved).await;
        return Ok(());
    }
    let left = [names(&source), names(&target)].concat().join(", ");
    Err(
        Fault::new(Kind::Blocked, "something of ours could not be removed")
            .code("LEFTOVERS")
            .cause(left)
            .hint("remove it by hand, or end what holds it; the removal is tried again"),
    )
}

fn names(objects: &[crate::domain::finding::Object]) -> Vec<String> {
    objects
        .iter()
        .map(|o| format!("{} {}", o.kind, o.name))
        .collect()
}
