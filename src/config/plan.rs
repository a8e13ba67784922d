//! Config and both catalogs brought together: the plan, its hash, and what may change in a running migration.

use super::meant::{Config, Placed, TableWish};
use super::wording::nearest;
use crate::db::{Survey, Surveyed, across};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::plan::Plan;
use crate::domain::table::{Mode, Table};

/// Decides what the migration moves. Tables of the source that the config leaves out are in the plan, as left out, so
/// that they are shown.
///
/// # Errors
/// `Usage`, with file and line: a table or column that the source doesn't have.
pub fn resolve(config: &Config, source: &Survey, target: &Survey) -> Result<Plan> {
    let named: Vec<&str> = source
        .tables
        .iter()
        .map(|found| found.table.source.as_str())
        .collect();
    for wish in &config.tables {
        known(&wish.source, &named, "[[table]]", "the source has no table")?;
    }
    for name in &config.leave_out {
        known(
            name,
            &named,
            "[source]",
            "leave_out: the source has no table",
        )?;
    }
    let mut plan = Plan {
        name: config.name.clone(),
        environment: config.environment,
        source: config.source.end(),
        target: config.target.end(),
        tables: Vec::with_capacity(source.tables.len()),
        backfill: config.backfill.clone(),
        throttle: config.throttle.clone(),
        verify: config.verify.clone(),
        shadow: config.shadow.clone(),
        prune: config.prune,
        adopt: Vec::new(),
        signals: config.signals.clone(),
        wal_space: config.wal_space,
    };
    for found in &source.tables {
        let wish = config
            .tables
            .iter()
            .find(|wish| wish.source.name == found.table.source);
        if wish.is_some_and(|wish| wish.adopt) {
            plan.adopt.push(TableId(plan.tables.len() as u16));
        }
        let mut table = planned(config, found, wish)?;
        if let Some(kinds) = across::kinds(&plan) {
            let wished = wish.map(|wish| wish.target.as_str());
            across::settle(kinds, &mut table, &found.outline, wished);
        }
        plan.tables.push(table);
    }
    apart(&plan)?;
    if !plan.tables.iter().any(|table| table.key().is_some()) {
        let why = match source.tables.len() {
            0 => "the source has no tables".to_owned(),
            n => format!("none of the source's {n} tables is to be moved live"),
        };
        return Err(
            Fault::new(Kind::Usage, format!("there is nothing to move: {why}"))
                .code("NOTHING-TO-MOVE")
                .hint(format!(
                    "is {} the right database? are its tables left out in {}?",
                    plan.source.url,
                    config.path.display()
                )),
        );
    }
    // A table of another name on the target may differ only in letters' case; SQLite takes them for the same.
    for table in &mut plan.tables {
        if let Some(there) = target
            .tables
            .iter()
            .find(|t| t.table.target.eq_ignore_ascii_case(&table.target))
        {
            table.target.clone_from(&there.table.target);
        }
    }
    Ok(plan)
}

/// Tables of two schemas may get one name on a database that has no schemas.
fn apart(plan: &Plan) -> Result<()> {
    let mut names = std::collections::HashMap::new();
    let live = plan.tables.iter().filter(|table| table.key().is_some());
    for table in live.filter(|_| across::kinds(plan).is_some()) {
        if let Some(other) = names.insert(table.target.to_ascii_lowercase(), &table.source) {
            let what = format!(
                "{other} and {} would both be called {} on the target",
                table.source, table.target
            );
            return Err(Fault::new(Kind::Usage, what)
                .code("CONFIG")
                .hint("give one of them another name: target = \"…\" in its [[table]]"));
        }
    }
    Ok(())
}

fn planned(config: &Config, found: &Surveyed, wish: Option<&TableWish>) -> Result<Table> {
    let mut table = found.table.clone();
    table.target.clone_from(&table.source);
    // A table that can't be moved says so, whatever the config wants.
    let keyed = table.key().is_some();
    let unwanted = config
        .leave_out
        .iter()
        .any(|name| name.name == table.source);
    if keyed && unwanted {
        table.mode = Mode::LeftOut("left out in the config".into());
    }
    match wish {
        Some(wish) => {
            table.target.clone_from(&wish.target);
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect();
            for mask in &wish.mask {
                let column = table
                    .columns
                    .iter_mut()
                    .find(|column| column.name == mask.name)
                    .ok_or_else(|| {
                        let near = nearest(&mask.name, &columns);
                        Fault::new(
                            Kind::Usage,
                            format!(
                                "{}: [[table]] mask: {} has no column \"{}\"{}",
                                mask.place,
                                wish.source.name,
                                mask.name,
                                meant(near)
                            ),
                        )
                        .code("CONFIG")
                    })?;
                column.masked = true;
            }
        }
        None if keyed && !config.tables.is_empty() => {
            table.mode = Mode::LeftOut("not listed in the config".into());
        }
        None => {}
    }
    Ok(table)
}

fn known(name: &Placed, names: &[&str], section: &str, what: &str) -> Result<()> {
    if names.contains(&name.name.as_str()) {
        return Ok(());
    }
    let near = meant(nearest(&name.name, names.iter().copied()));
    Err(Fault::new(
        Kind::Usage,
        format!("{}: {section} {what} \"{}\"{near}", name.place, name.name),
    )
    .code("CONFIG"))
}

fn meant(near: Option<&str>) -> String {
    near.map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"))
}

/// The plan's hash: BLAKE3 over its JSON, whose fields have one order, in hex.
///
/// # Errors
/// `Own`: a plan that can't be written as JSON, which would be a mistake in tidegate.
pub fn hash(plan: &Plan) -> Result<String> {
    let json = serde_json::to_vec(plan)
        .map_err(|cause| Fault::new(Kind::Own, "the plan can't be written as JSON").cause(cause))?;
    Ok(blake3::hash(&json).to_hex().to_string())
}

/// How the plan of today differs from the one a migration runs by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Keys that may change while it runs.
    pub live: Vec<String>,
    /// Keys that may not.
    pub refused: Vec<String>,
    /// Tables the source got since; they are not part of this migration.
    pub added: Vec<String>,
    /// The plan to go on by: the old one with the live keys of the new one.
    pub merged: Plan,
}

/// Compares the plan in the journal with the plan of today. A table's definition is not compared here: the engine watches
/// it, and stops that table when it changes.
pub fn diff(old: &Plan, new: &Plan) -> Diff {
    let mut diff = Diff {
        live: Vec::new(),
        refused: Vec::new(),
        added: Vec::new(),
        merged: old.clone(),
    };
    let refusals = [
        ("migration.name", old.name != new.name),
        ("migration.environment", old.environment != new.environment),
        ("source.url", old.source != new.source),
        ("target.url", old.target != new.target),
    ];
    diff.refused.extend(
        refusals
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key.to_owned()),
    );

    let merged = &mut diff.merged;
    let live = &mut diff.live;
    adopt(
        live,
        "backfill.chunk_time",
        &mut merged.backfill.chunk_time,
        &new.backfill.chunk_time,
    );
    adopt(
        live,
        "backfill.workers",
        &mut merged.backfill.workers,
        &new.backfill.workers,
    );
    adopt(
        live,
        "backfill.max_rows_per_second",
        &mut merged.backfill.max_rows_per_second,
        &new.backfill.max_rows_per_second,
    );
    adopt(
        live,
        "throttle.max_lag",
        &mut merged.throttle.max_lag,
        &new.throttle.max_lag,
    );
    adopt(
        live,
        "throttle.max_lag_bytes",
        &mut merged.throttle.max_lag_bytes,
        &new.throttle.max_lag_bytes,
    );
    adopt(
        live,
        "throttle.max_active",
        &mut merged.throttle.max_active,
        &new.throttle.max_active,
    );
    adopt(
        live,
        "throttle.max_replica_lag",
        &mut merged.throttle.max_replica_lag,
        &new.throttle.max_replica_lag,
    );
    adopt(
        live,
        "throttle.replicas",
        &mut merged.throttle.replicas,
        &new.throttle.replicas,
    );
    adopt(
        live,
        "throttle.max_lock_wait",
        &mut merged.throttle.max_lock_wait,
        &new.throttle.max_lock_wait,
    );
    adopt(
        live,
        "throttle.stale_after",
        &mut merged.throttle.stale_after,
        &new.throttle.stale_after,
    );
    adopt(
        live,
        "verify.max_age",
        &mut merged.verify.max_age,
        &new.verify.max_age,
    );
    adopt(
        live,
        "verify.max_rows_per_second",
        &mut merged.verify.max_rows_per_second,
        &new.verify.max_rows_per_second,
    );
    adopt(live, "shadow", &mut merged.shadow, &new.shadow);
    adopt(live, "signal", &mut merged.signals, &new.signals);
    adopt(
        live,
        "source.wal_space",
        &mut merged.wal_space,
        &new.wal_space,
    );
    adopt(live, "source.prune", &mut merged.prune, &new.prune);
    tables(old, new, &mut diff);
    diff
}

fn adopt<T: PartialEq + Clone>(live: &mut Vec<String>, key: &str, old: &mut T, new: &T) {
    if old != new {
        live.push(key.to_owned());
        old.clone_from(new);
    }
}

fn tables(old: &Plan, new: &Plan, diff: &mut Diff) {
    for (id, table) in old.ids() {
        let name = &table.source;
        let Some(now) = new.find(name) else {
            if table.key().is_some() {
                diff.refused.push(format!("table.{name}"));
            }
            continue;
        };
        let Some(today) = new.table(now) else {
            continue;
        };
        if table.key().is_some() != today.key().is_some() {
            diff.refused.push(format!("table.{name}"));
        }
        if table.target != today.target {
            diff.refused.push(format!("table.{name}.target"));
        }
        if old.adopt.contains(&id) != new.adopt.contains(&now) {
            diff.refused.push(format!("table.{name}.existing"));
        }
        mask(diff, id, today);
    }
    for table in &new.tables {
        if old.find(&table.source).is_none() {
            diff.added.push(table.source.clone());
        }
    }
}

/// Masking changes only what is shown, so it may change at any time.
fn mask(diff: &mut Diff, id: TableId, today: &Table) {
    let Some(table) = diff.merged.tables.get_mut(usize::from(id.0)) else {
        return;
    };
    let mut changed = false;
    for column in &mut table.columns {
        let masked = today
            .columns
            .iter()
            .find(|now| now.name == column.name)
            .map(|now| now.masked);
        if let Some(masked) = masked.filter(|masked| *masked != column.masked) {
            column.masked = masked;
            changed = true;
        }
    }
    if changed {
        diff.live.push(format!("table.{}.mask", table.source));
    }
}
