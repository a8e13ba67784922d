//! Preflight: what both ends say about a plan, what only shows when they are laid side by side, and how long and large it
//! will be. Reads; makes nothing.

mod across;
mod cross;
mod estimate;
mod profile;
mod values;

use crate::db::across::{carried, kinds};
use crate::db::{Ddl, Endpoint, IDENTITY, Part, Survey};
use crate::domain::fault::Result;
use crate::domain::finding::{Finding, Object};
use crate::domain::plan::{EndPlan, Plan};
use crate::domain::preflight::{Build, EndFound, Preflight};
use crate::engine::signals;
use crate::signal::Probe;
use std::sync::Arc;

/// One end with what was found there.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// The way to it.
    pub endpoint: &'a dyn Endpoint,
    /// What it holds.
    pub survey: &'a Survey,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask {
    /// The migration has begun already: what stands of ours is no leftover, and rows on the target are its own.
    pub begun: bool,
    /// Look at the data as well: reads every table once.
    pub profile: bool,
    /// Measure how fast the source is read, to tell how long a copy takes.
    pub speed: bool,
}

/// Everything `check` has to say. The engine asks for the same before it starts.
///
/// # Errors
/// An end that can't be read.
pub async fn run(
    source: End<'_>,
    target: End<'_>,
    plan: &Arc<Plan>,
    probes: &[Probe],
    ask: Ask,
) -> Result<Preflight> {
    let theirs = async {
        let found = target.endpoint.findings(plan).await?;
        let there = match kinds(plan) {
            None => target.endpoint.beside().await?,
            Some(_) => None,
        };
        Ok((found, there))
    };
    // Whoever resumes waits for this: both ends are asked at the same time.
    let (mut findings, (found_there, there)) =
        tokio::try_join!(source.endpoint.findings(plan), theirs)?;
    findings.extend(found_there);
    findings.extend(source.endpoint.not_carried(plan, there.as_ref()).await?);
    findings.extend(cross::findings(
        source.survey,
        target.survey,
        plan,
        ask.begun,
    ));
    findings.extend(across::findings(source.survey, target.survey, plan));
    if !ask.begun {
        findings.extend(values::findings(source.endpoint, plan).await?);
        findings.extend(cross::leftovers(source.endpoint, target.endpoint, &plan.name).await?);
    }
    findings.extend(cross::shadow(source.endpoint, plan).await);
    findings.extend(signals::findings(source.endpoint, target.endpoint, plan, probes).await);
    let estimate = estimate::estimate(source, target, plan, ask, &mut findings).await;
    findings.sort_by(|a, b| {
        (a.stage, a.side, &a.code, &a.table).cmp(&(b.stage, b.side, &b.code, &b.table))
    });
    findings.dedup();
    let profile = if ask.profile {
        profile::profile(source.endpoint, plan).await?
    } else {
        Vec::new()
    };
    let mut preflight = Preflight {
        name: plan.name.to_string(),
        environment: plan.environment,
        source: found(&plan.source, source.survey),
        target: found(&plan.target, target.survey),
        possible: vec!["compare".into()],
        findings,
        estimate,
        creates: creates(source.endpoint, target.endpoint, plan).await?,
        mapping: across::mapping(plan),
        builds: builds(source.survey, target.survey, plan),
        profile,
    };
    if preflight.may_copy() {
        preflight.possible.push("live copy".into());
    }
    Ok(preflight)
}

fn found(end: &EndPlan, survey: &Survey) -> EndFound {
    let (rows, exact) = survey.rows();
    EndFound {
        end: end.clone(),
        version: survey.version.clone(),
        tables: survey.tables.len() as u32,
        rows,
        exact,
        bytes: survey.bytes,
        properties: survey
            .properties
            .iter()
            .filter(|(name, _)| name != IDENTITY)
            .cloned()
            .collect(),
    }
}

/// Everything of ours, on the side it is made on.
async fn creates(
    source: &dyn Endpoint,
    target: &dyn Endpoint,
    plan: &Arc<Plan>,
) -> Result<Vec<Object>> {
    let mut objects = source.objects(Part::Capture, plan).await?;
    for part in [Part::Ledger, Part::Gate] {
        // Parts may rest on the same thing, such as a schema: it is made once.
        for object in target.objects(part, plan).await? {
            if !objects.contains(&object) {
                objects.push(object);
            }
        }
    }
    Ok(objects)
}

/// What the application needs on the target and is not there yet.
fn builds(source: &Survey, target: &Survey, plan: &Plan) -> Vec<Build> {
    let source = &carried(source.clone(), plan);
    let alike = kinds(plan).is_none();
    let there = |kind: &str, name: &str| {
        let after = target
            .tables
            .iter()
            .flat_map(|table| &table.after)
            .chain(&target.before)
            .chain(&target.rest);
        after
            .into_iter()
            .any(|ddl| ddl.kind == kind && ddl.name.eq_ignore_ascii_case(name))
    };
    let build = |ddl: &Ddl, named: Option<&str>, after_copy: bool| Build {
        kind: ddl.kind.clone(),
        name: named.unwrap_or(&ddl.name).to_owned(),
        // The adapter puts the target's name in its place while it builds.
        sql: match named {
            Some(name) => format!("-- its table is called {name} there\n{}", ddl.sql),
            None => ddl.sql.clone(),
        },
        after_copy,
    };
    let before = source.before.iter();
    let mut builds: Vec<Build> = before
        .filter(|ddl| !there(&ddl.kind, &ddl.name))
        .map(|ddl| build(ddl, None, false))
        .collect();
    for found in &source.tables {
        let Some(table) = plan
            .tables
            .iter()
            .find(|t| t.source == found.table.source && t.key().is_some())
        else {
            continue;
        };
        let named = (alike && table.target != table.source).then_some(table.target.as_str());
        let fresh = !target
            .tables
            .iter()
            .any(|there| there.table.target.eq_ignore_ascii_case(&table.target));
        if fresh {
            builds.push(build(&found.create, named, false));
        }
        let missing = found
            .key
            .iter()
            .filter(|_| fresh)
            .chain(&found.after)
            .filter(|ddl| !there(&ddl.kind, &ddl.name));
        builds.extend(missing.map(|ddl| Build {
            name: ddl.name.clone(),
            ..build(ddl, named, true)
        }));
    }
    let missing = source
        .rest
        .iter()
        .filter(|ddl| !there(&ddl.kind, &ddl.name));
    builds.extend(missing.map(|ddl| build(ddl, None, true)));
    builds
}

/// A finding with its fixed parts.
fn finding(code: &str, stage: crate::domain::finding::Stage, what: impl Into<String>) -> Finding {
    Finding {
        code: code.into(),
        stage,
        side: None,
        table: None,
        what: what.into(),
        evidence: String::new(),
        remedy: String::new(),
        sql: Vec::new(),
    }
}
