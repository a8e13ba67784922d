//! From one kind of database to another: the one place that says what a type becomes, what a table is made of there, and which
//! value it can't hold.
//!
//! A source describes its tables as data ([`Outline`]); what the target is to be made of is written from that, in the
//! target's own words, and takes the place of the source's statements in its survey ([`carried`]). Everything here is pure.
//!
//! Rows travel as values, and both sides read a value in one form, so that the same is equal and nothing else is: a boolean of
//! PostgreSQL is 0 or 1, a `numeric` that came from SQLite is the whole or binary64 number it was, and what SQLite has no type
//! for is the text that PostgreSQL writes. A value that the target would store as another one is never written: [`Holds::misfit`]
//! finds it, before the migration begins and again in front of every write.

mod fit;
mod mapping;
pub mod names;
mod outline;
mod to_postgres;
mod to_sqlite;

pub use fit::{Holds, Misfit, fits, unfit, whole};
pub use mapping::{ambiguous, becomes, sorts_as_bytes};
pub use outline::{Counter, Fold, Foreign, Index, IndexPart, Moment, Outline, Part, Preset, Word};
pub use to_sqlite::counter;

use crate::db::{Ddl, Survey, Surveyed};
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::table::Table;
use std::collections::BTreeSet;

/// Source and target, where they are of different kinds.
pub fn kinds(plan: &Plan) -> Option<(Engine, Engine)> {
    let ends = (plan.source.engine, plan.target.engine);
    matches!(
        ends,
        (Engine::Sqlite, Engine::Postgres) | (Engine::Postgres, Engine::Sqlite)
    )
    .then_some(ends)
}

/// Gives a table its types on the target, and its name there where the config gives none: `wished`, as it stands there.
pub fn settle(kinds: (Engine, Engine), table: &mut Table, outline: &Outline, wished: Option<&str>) {
    let (from, to) = kinds;
    table.target = match wished {
        Some(name) if name != table.source => match to {
            Engine::Postgres => {
                let (schema, name) = names::split(name);
                names::shown(&schema, &name)
            }
            Engine::Sqlite | Engine::Sim => name.to_owned(),
        },
        _ => names::across(from, to, &table.source),
    };
    for column in &mut table.columns {
        let seen = outline
            .part(&column.name)
            .map(|part| part.seen.as_slice())
            .unwrap_or_default();
        column.becomes = becomes(to, &column.declared, seen).to_owned();
    }
}

/// What one table is made of on the target.
#[derive(Debug, Default)]
struct Made {
    create: String,
    /// What gives it its key, where that is a statement of its own.
    key: Option<String>,
    after: Vec<Ddl>,
    /// Counters: raised last.
    counters: Vec<Ddl>,
    /// What is not carried, in words.
    left: Vec<String>,
}

fn ddl(kind: &str, name: impl Into<String>, sql: String) -> Ddl {
    Ddl {
        kind: kind.to_owned(),
        name: name.into(),
        sql,
    }
}

/// The source's survey in the target's words, where the two are of different kinds; the survey itself where they are not.
pub fn carried(survey: Survey, plan: &Plan) -> Survey {
    let Some((_, to)) = kinds(plan) else {
        return survey;
    };
    let mut counters = Vec::new();
    let tables = survey.tables.iter().map(|found| {
        let Some(table) = plan.tables.iter().find(|t| t.source == found.table.source) else {
            return found.clone();
        };
        let made = made(to, plan, table, found);
        counters.extend(made.counters);
        Surveyed {
            create: ddl("table", table.target.clone(), made.create),
            key: made.key.map(|key| ddl("key", table.target.clone(), key)),
            after: made.after,
            ..found.clone()
        }
    });
    let tables = tables.collect();
    Survey {
        before: before(to, plan),
        tables,
        rest: counters,
        extensions: Vec::new(),
        ..survey
    }
}

/// What of the source is not made on the target, by table; what belongs to no table has none.
pub fn left(survey: &Survey, plan: &Plan) -> Vec<(Option<String>, Vec<String>)> {
    let Some((_, to)) = kinds(plan) else {
        return Vec::new();
    };
    let mut left = Vec::new();
    for found in &survey.tables {
        let live = plan
            .tables
            .iter()
            .find(|t| t.source == found.table.source && t.key().is_some());
        if let Some(table) = live {
            let what = made(to, plan, table, found).left;
            if !what.is_empty() {
                left.push((Some(table.source.clone()), what));
            }
        }
    }
    let loose = survey.before.iter().chain(&survey.rest);
    let loose = loose.filter(|ddl| {
        // Every database of PostgreSQL has this one.
        ddl.name != "plpgsql"
            && matches!(
                ddl.kind.as_str(),
                "view" | "trigger" | "function" | "extension" | "pragma"
            )
    });
    let loose: BTreeSet<String> = loose
        .map(|ddl| format!("{} {}", ddl.kind, ddl.name))
        .collect();
    if !loose.is_empty() {
        left.push((None, loose.into_iter().collect()));
    }
    left
}

fn made(to: Engine, plan: &Plan, table: &Table, found: &Surveyed) -> Made {
    match to {
        Engine::Postgres => to_postgres::made(plan, table, &found.outline),
        Engine::Sqlite | Engine::Sim => to_sqlite::made(plan, table, &found.outline),
    }
}

/// Schemas that the plan's tables lie in.
fn before(to: Engine, plan: &Plan) -> Vec<Ddl> {
    if to != Engine::Postgres {
        return Vec::new();
    }
    let schemas: BTreeSet<String> = plan
        .tables
        .iter()
        .filter(|table| table.key().is_some())
        .map(|table| names::split(&table.target).0)
        .filter(|schema| schema != "public")
        .collect();
    schemas
        .into_iter()
        .map(|schema| {
            let sql = format!("CREATE SCHEMA {}", names::quote(&schema));
            ddl("schema", schema, sql)
        })
        .collect()
}

/// The table of the plan that is called so on the source, and is moved.
fn parent<'a>(plan: &'a Plan, name: &str) -> Option<&'a Table> {
    let live = || plan.tables.iter().filter(|table| table.key().is_some());
    live()
        .find(|table| table.source == name)
        .or_else(|| live().find(|table| table.source.eq_ignore_ascii_case(name)))
}

/// The columns of a table's key.
fn key_columns(table: &Table) -> Vec<&str> {
    let places = table.key().map(|spec| spec.columns.as_slice());
    places
        .unwrap_or_default()
        .iter()
        .filter_map(|at| table.columns.get(usize::from(*at)))
        .map(|column| column.name.as_str())
        .collect()
}

/// Whether a range of this table's keys is read in the order of bytes on a side, and not in the order of the column's type.
pub fn in_bytes(plan: &Plan, side: Side, declared: &str) -> bool {
    let engine = match side {
        Side::Source => plan.source.engine,
        Side::Target => plan.target.engine,
    };
    kinds(plan).is_some() && engine == Engine::Postgres && sorts_as_bytes(declared)
}
