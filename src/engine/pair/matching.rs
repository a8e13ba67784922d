//! Which table is compared with which.

use crate::db::{Survey, Surveyed, across};
use crate::domain::id::{MigrationName, TableId};
use crate::domain::key::Collation;
use crate::domain::plan::{Backfill, EndPlan, Environment, Plan, Prune, Throttle, Verify};
use crate::domain::table::{KeySpec, Mode, Table};
use crate::domain::unit::{Bytes, Span};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Two databases, brought together.
#[derive(Debug, Clone)]
pub struct Matched {
    /// The tables to compare, as a plan: adapters read along a plan.
    pub plan: Arc<Plan>,
    /// Whether a migration runs between both, so that the stream can prove what differs.
    pub migration: bool,
    /// The source's version.
    pub source_version: String,
    /// The target's.
    pub target_version: String,
    /// Tables that only the source has.
    pub only_source: Vec<String>,
    /// Tables that only the target has.
    pub only_target: Vec<String>,
    /// Tables that the plan leaves out, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Tables without a key: compared as a whole.
    pub whole: HashSet<TableId>,
    /// Columns of the source that the target lacks.
    pub missing_columns: HashMap<TableId, Vec<String>>,
}

/// Brings two databases together by the names of their tables and columns. `only`: these tables of the source; empty for all.
pub fn matched(
    source: (&EndPlan, &Survey),
    target: (&EndPlan, &Survey),
    only: &[String],
) -> Matched {
    let wanted =
        |name: &str| only.is_empty() || only.iter().any(|asked| asked.eq_ignore_ascii_case(name));
    let mut matched = Matched {
        plan: Arc::new(bare_plan(source.0, target.0)),
        migration: false,
        source_version: source.1.version.clone(),
        target_version: target.1.version.clone(),
        only_source: Vec::new(),
        only_target: Vec::new(),
        left_out: Vec::new(),
        whole: HashSet::new(),
        missing_columns: HashMap::new(),
    };
    let mut plan = bare_plan(source.0, target.0);
    for ours in source
        .1
        .tables
        .iter()
        .filter(|found| wanted(&found.table.source))
    {
        match counterpart(target.1, &there(&plan, &ours.table.source)) {
            Some(theirs) => add(&mut plan, &mut matched, ours, &theirs.table),
            None => matched.only_source.push(ours.table.source.clone()),
        }
    }
    for theirs in target
        .1
        .tables
        .iter()
        .filter(|found| wanted(&found.table.target))
    {
        let ours = source.1.tables.iter();
        let mut named = ours.map(|found| there(&plan, &found.table.source));
        if !named.any(|name| name.eq_ignore_ascii_case(&theirs.table.target)) {
            matched.only_target.push(theirs.table.target.clone());
        }
    }
    matched.plan = Arc::new(plan);
    matched
}

/// Brings two databases together as a plan says. `only`: these of its tables; empty for all.
pub fn of_plan(plan: &Plan, source: &Survey, target: &Survey, only: &[TableId]) -> Matched {
    let mut matched = Matched {
        plan: Arc::new(plan.clone()),
        migration: true,
        source_version: source.version.clone(),
        target_version: target.version.clone(),
        only_source: Vec::new(),
        only_target: Vec::new(),
        left_out: Vec::new(),
        whole: HashSet::new(),
        missing_columns: HashMap::new(),
    };
    // Table ids stay those of the journal's plan, so that the ledger and the log mean the same tables.
    let mut plan = plan.clone();
    for (at, table) in plan.tables.iter_mut().enumerate() {
        let id = TableId(at as u16);
        if let Mode::LeftOut(why) = &table.mode {
            matched.left_out.push((table.source.clone(), why.clone()));
        } else if !only.is_empty() && !only.contains(&id) {
            table.mode = Mode::LeftOut("not asked for".into());
        } else if counterpart(target, &table.target).is_none() {
            matched.only_source.push(table.source.clone());
            table.mode = Mode::LeftOut("not on the target".into());
        }
    }
    matched.plan = Arc::new(plan);
    matched
}

/// What a table of the source is called on the target, if nobody says otherwise.
fn there(plan: &Plan, source: &str) -> String {
    across::names::across(plan.source.engine, plan.target.engine, source)
}

fn counterpart<'a>(survey: &'a Survey, name: &str) -> Option<&'a Surveyed> {
    let exact = survey
        .tables
        .iter()
        .find(|found| found.table.source == name);
    exact.or_else(|| {
        survey
            .tables
            .iter()
            .find(|found| found.table.source.eq_ignore_ascii_case(name))
    })
}

fn add(plan: &mut Plan, matched: &mut Matched, found: &Surveyed, theirs: &Table) {
    let mut ours = found.table.clone();
    if let Some(kinds) = across::kinds(plan) {
        across::settle(kinds, &mut ours, &found.outline, None);
    }
    let id = TableId(plan.tables.len() as u16);
    let shared = |name: &str| {
        theirs
            .columns
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(name))
    };
    let missing: Vec<String> = ours
        .columns
        .iter()
        .filter(|column| !shared(&column.name))
        .map(|column| column.name.clone())
        .collect();
    let columns: Vec<_> = ours
        .columns
        .iter()
        .filter(|column| shared(&column.name))
        .cloned()
        .collect();
    let key = ours.key().and_then(|spec| {
        let places: Option<Vec<u16>> = spec
            .columns
            .iter()
            .map(|place| {
                let name = &ours.columns.get(usize::from(*place))?.name;
                columns
                    .iter()
                    .position(|column| column.name == *name)
                    .map(|at| at as u16)
            })
            .collect();
        Some(KeySpec {
            columns: places?,
            collations: spec.collations.clone(),
        })
    });
    if !missing.is_empty() {
        matched.missing_columns.insert(id, missing);
    }
    let mode = match key {
        Some(key) => Mode::Live(key),
        None => {
            // Every column as key: adapters read only tables that have one, and a whole range needs no order.
            matched.whole.insert(id);
            Mode::Live(KeySpec {
                columns: (0..columns.len() as u16).collect(),
                collations: vec![Collation::Binary; columns.len()],
            })
        }
    };
    plan.tables.push(Table {
        source: ours.source.clone(),
        target: theirs.target.clone(),
        columns,
        mode,
        shape: String::new(),
    });
}

/// A plan with no tables, for two databases that are no migration.
fn bare_plan(source: &EndPlan, target: &EndPlan) -> Plan {
    Plan {
        // A plan has a name; this one is never shown and never stored.
        name: MigrationName::unnamed(),
        environment: Environment::Dev,
        source: source.clone(),
        target: target.clone(),
        tables: Vec::new(),
        backfill: Backfill {
            chunk_time: Span::millis(500),
            chunk_bytes: Bytes(8_000_000),
            workers: 1,
            max_rows_per_second: None,
        },
        throttle: Throttle {
            max_lag: Span::seconds(3),
            max_lock_wait: Span::millis(50),
            stale_after: Span::seconds(10),
            ..Throttle::default()
        },
        verify: Verify {
            max_age: Span::seconds(3_600),
            max_rows_per_second: None,
        },
        shadow: Vec::new(),
        prune: Prune::AtEnd,
        adopt: Vec::new(),
        signals: Vec::new(),
        wal_space: None,
    }
}
