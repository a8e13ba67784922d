//! Preflight, as text, as SQL and as JSON.

use super::paint::{Paint, Role, Sign};
use crate::domain::finding::{Finding, Object, Stage};
use crate::domain::plan::Side;
use crate::domain::preflight::{MappedTable, Preflight, TableProfile};
use crate::domain::unit::{Bytes, counted, roughly};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Width of the left column: the longest stage.
const LEFT: usize = 20;
/// Findings' codes stand right-aligned at this column.
const CODE_AT: usize = 96;
/// Names of objects listed before it is only said how many.
const NAMED: usize = 3;

/// What a person reads. `file`: the config, for the next command.
pub fn text(check: &Preflight, file: &str, paint: Paint) -> String {
    let mut out = String::new();
    for (side, found) in [("source", &check.source), ("target", &check.target)] {
        let telling = found
            .properties
            .iter()
            .filter(|(_, value)| !matches!(value.as_str(), "" | "0"));
        let facts: Vec<String> = telling
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let _ = writeln!(
            out,
            "{side}  {}  {}  {}",
            found.version,
            found.end.url,
            match found.tables {
                0 => "empty".to_owned(),
                tables => format!(
                    "{}  {}  {}  {}",
                    counted(u64::from(tables), "table"),
                    roughly(found.rows, found.exact),
                    found.bytes,
                    paint.role(Role::Dim, &facts.join(", "))
                ),
            },
        );
    }
    let heading = |out: &mut String, name: &str, rest: &str| {
        let _ = writeln!(
            out,
            "{}{rest}",
            paint.role(Role::Heading, &format!("{name:LEFT$}"))
        );
    };
    heading(&mut out, "NOW POSSIBLE", &check.possible.join(", "));
    for (stage, name, sign, role, aside) in [
        (
            Stage::BlocksCopy,
            "BLOCKS A LIVE COPY",
            Sign::Cross,
            Role::Bad,
            "",
        ),
        (
            Stage::BlocksCutover,
            "BLOCKS CUTOVER",
            Sign::Cross,
            Role::Bad,
            "   (not needed today)",
        ),
        (Stage::KnowBefore, "KNOW BEFORE", Sign::Bang, Role::Warn, ""),
    ] {
        let number = check.of(stage).count();
        if number > 0 {
            heading(&mut out, name, &format!("{number}{aside}"));
            for finding in check.of(stage) {
                listed(
                    &mut out,
                    finding,
                    paint.role(role, paint.sign(sign)).as_str(),
                );
            }
        }
    }
    if !check.mapping.is_empty() {
        heading(&mut out, "TYPES", "what each column becomes on the target");
        check
            .mapping
            .iter()
            .for_each(|table| mapped(&mut out, table));
    }
    heading(&mut out, "ESTIMATE", &estimate(check));
    creates(&mut out, check, paint);
    if !check.profile.is_empty() {
        heading(&mut out, "PROFILE", "counts and lengths; no value is shown");
        check
            .profile
            .iter()
            .for_each(|table| profile(&mut out, table));
    }
    closing(&mut out, check, file, paint);
    paint.plain(&out)
}

fn listed(out: &mut String, finding: &Finding, sign: &str) {
    let pad = CODE_AT
        .saturating_sub(finding.what.chars().count() + 4)
        .max(2);
    let _ = writeln!(out, "  {sign} {}{:>pad$}{}", finding.what, "", finding.code);
    if !finding.evidence.is_empty() {
        let _ = writeln!(out, "      seen: {}", finding.evidence);
    }
    if !finding.remedy.is_empty() {
        let _ = writeln!(out, "      {}", finding.remedy);
    }
    for line in finding.sql.iter().flat_map(|sql| sql.lines()) {
        let _ = writeln!(out, "        {line}");
    }
}

fn estimate(check: &Preflight) -> String {
    let estimate = &check.estimate;
    let mut parts = Vec::new();
    match (estimate.copy, estimate.rate) {
        (Some((low, high)), Some((slow, fast))) => parts.push(format!(
            "copy {low}–{high} for {} at {slow}–{fast} rows/s ({})",
            roughly(estimate.rows, estimate.exact),
            estimate.basis
        )),
        _ => parts.push(format!(
            "copy of {}: {}",
            roughly(estimate.rows, estimate.exact),
            estimate.basis
        )),
    }
    let (source, target) = (&check.source.end.engine, &check.target.end.engine);
    let free = |free: Option<Bytes>, unknown: &str| {
        free.map_or(unknown.to_owned(), |free| format!("{free} free"))
    };
    parts.push(format!(
        "target needs about {} ({})",
        estimate.target_needs,
        free(estimate.target_free, target.words().free)
    ));
    let room = free(estimate.source_free, source.words().free);
    parts.push(match estimate.log_per_change {
        Some(bytes) => {
            format!("log on the source about {bytes} for each change until it is applied ({room})")
        }
        None => format!("{} ({room})", source.words().kept),
    });
    parts.join(&format!("\n{:LEFT$}", ""))
}

fn creates(out: &mut String, check: &Preflight, paint: Paint) {
    let mut lines = Vec::new();
    for (side, end) in [
        (Side::Source, &check.source.end),
        (Side::Target, &check.target.end),
    ] {
        let ours: Vec<&Object> = check
            .creates
            .iter()
            .filter(|object| object.side == side)
            .collect();
        let objects = kinds(
            ours.iter()
                .map(|object| (object.kind.as_str(), object.name.as_str())),
        );
        if !objects.is_empty() {
            lines.push(format!(
                "on {} ({}): {objects}. Removed at the end, proven.",
                side.label(),
                end.label
            ));
        }
    }
    let before = kinds(
        check
            .builds
            .iter()
            .filter(|b| !b.after_copy)
            .map(|b| (b.kind.as_str(), b.name.as_str())),
    );
    let after = kinds(
        check
            .builds
            .iter()
            .filter(|b| b.after_copy)
            .map(|b| (b.kind.as_str(), b.name.as_str())),
    );
    if !before.is_empty() {
        lines.push(format!("for the application, before the copy: {before}"));
    }
    if !after.is_empty() {
        lines.push(format!("for the application, after the copy: {after}"));
    }
    let _ = write!(
        out,
        "{}",
        paint.role(Role::Heading, &format!("{:LEFT$}", "WILL CREATE"))
    );
    let _ = writeln!(out, "{}", lines.join(&format!("\n{:LEFT$}", "")));
}

/// `9 tables, 27 triggers (a, b, c …), index i`
fn kinds<'a>(objects: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut by_kind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (kind, name) in objects {
        by_kind.entry(kind).or_default().push(name);
    }
    let part = |(kind, names): (&str, Vec<&str>)| match names.len() {
        1 => format!("{kind} {}", names[0]),
        n if n <= NAMED => format!("{n} {} ({})", plural(kind), names.join(", ")),
        n => format!("{n} {} ({}, …)", plural(kind), names[..2].join(", ")),
    };
    by_kind.into_iter().map(part).collect::<Vec<_>>().join(", ")
}

fn plural(kind: &str) -> String {
    match kind {
        "index" => "indexes".into(),
        "analyze" => "tables to analyze".into(),
        other => format!("{other}s"),
    }
}

fn profile(out: &mut String, table: &TableProfile) {
    let headroom = if table.headroom.is_empty() {
        String::new()
    } else {
        format!("   {}", table.headroom)
    };
    let _ = writeln!(
        out,
        "  {}  {}{headroom}",
        table.table,
        counted(table.rows.0, "row")
    );
    let width = table
        .columns
        .iter()
        .map(|column| column.name.chars().count())
        .max()
        .unwrap_or_default();
    let declared = table
        .columns
        .iter()
        .map(|column| column.declared.chars().count())
        .max()
        .unwrap_or_default();
    for column in &table.columns {
        let classes: Vec<String> = column
            .classes
            .iter()
            .map(|(class, rows)| format!("{rows} {class}"))
            .collect();
        let longest = column
            .longest
            .map_or(String::new(), |bytes| format!("  longest {bytes}"));
        let odd = if column.odd.is_empty() {
            String::new()
        } else {
            format!("  ! {}", column.odd)
        };
        let _ = writeln!(
            out,
            "    {:width$}  {:declared$}  {}{longest}{odd}",
            column.name,
            column.declared,
            classes.join(", ")
        );
    }
}

fn mapped(out: &mut String, table: &MappedTable) {
    let _ = writeln!(out, "  {} → {}", table.source, table.target);
    let widest = |of: fn(&(String, String, String)) -> &str| {
        let widths = table
            .columns
            .iter()
            .map(|column| of(column).chars().count());
        widths.max().unwrap_or_default()
    };
    let (name, declared) = (widest(|c| &c.0), widest(|c| &c.1));
    for (column, from, to) in &table.columns {
        let _ = writeln!(out, "    {column:name$}  {from:declared$} → {to}");
    }
}

fn closing(out: &mut String, check: &Preflight, file: &str, paint: Paint) {
    let blocking = check.of(Stage::BlocksCopy).count();
    if blocking > 0 {
        let words = format!("exit 3: a live copy is blocked by {blocking}.");
        let code = check
            .of(Stage::BlocksCopy)
            .next()
            .map_or("CODE", |finding| finding.code.as_str());
        let _ = writeln!(
            out,
            "{}       explain one: tidegate explain {code}",
            paint.role(Role::Bad, &words)
        );
    } else {
        let _ = writeln!(
            out,
            "{}       next: tidegate run -c {file}",
            paint.role(
                Role::Good,
                "Nothing blocks a live copy; nothing was changed."
            )
        );
    }
}

/// Every statement tidegate would run on either side, to be read before it is run.
pub fn sql(check: &Preflight) -> String {
    let mut out = format!(
        "-- What tidegate will run for {}. Nothing of it has been run.\n",
        check.name
    );
    let mut section = |title: String, statements: Vec<&str>| {
        if statements.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n-- {title}");
        for sql in statements {
            let sql = sql.trim_end();
            let commented = sql
                .lines()
                .next_back()
                .is_some_and(|line| line.contains("--"));
            let end = match sql.ends_with(';') {
                _ if commented => "\n;",
                true => "",
                false => ";",
            };
            let _ = writeln!(out, "{sql}{end}");
        }
    };
    let ours = |side: Side| {
        check
            .creates
            .iter()
            .filter(|o| o.side == side)
            .map(|o| o.sql.as_str())
            .collect()
    };
    let builds = |after: bool| {
        check
            .builds
            .iter()
            .filter(|b| b.after_copy == after)
            .map(|b| b.sql.as_str())
            .collect()
    };
    let (source, target) = (&check.source.end.url, &check.target.end.url);
    section(
        format!("TARGET {target}: the application's tables, before the copy; they stay"),
        builds(false),
    );
    section(
        format!("TARGET {target}: tidegate's own, removed at the end"),
        ours(Side::Target),
    );
    section(
        format!("SOURCE {source}: tidegate's own, removed at the end"),
        ours(Side::Source),
    );
    section(
        format!("TARGET {target}: the application's own, after the copy; they stay"),
        builds(true),
    );
    let remedies = check
        .findings
        .iter()
        .filter(|finding| !finding.sql.is_empty());
    for finding in remedies {
        let side = finding.side.map_or("EITHER SIDE", |side| match side {
            Side::Source => "SOURCE",
            Side::Target => "TARGET",
        });
        let title = format!(
            "{side}: not run by tidegate; the remedy for {}: {}",
            finding.code, finding.what
        );
        section(title, finding.sql.iter().map(String::as_str).collect());
    }
    out
}

/// What a program reads. The shape is stable: keys are added, never changed.
pub fn json(check: &Preflight) -> Json {
    let stage = |stage: Stage| check.of(stage).collect::<Vec<_>>();
    json!({
        "name": check.name,
        "environment": check.environment,
        "may_copy": check.may_copy(),
        "exit": if check.may_copy() { 0 } else { 3 },
        "source": check.source,
        "target": check.target,
        "now_possible": check.possible,
        "blocks_copy": stage(Stage::BlocksCopy),
        "blocks_cutover": stage(Stage::BlocksCutover),
        "know_before": stage(Stage::KnowBefore),
        "estimate": {
            "rows": check.estimate.rows,
            "exact": check.estimate.exact,
            "tables": check.estimate.tables,
            "copy_seconds": check.estimate.copy.map(|(low, high)| [low.as_secs_f64(), high.as_secs_f64()]),
            "rows_per_second": check.estimate.rate.map(|(slow, fast)| [slow.0, fast.0]),
            "basis": check.estimate.basis,
            "target_needs_bytes": check.estimate.target_needs,
            "target_free_bytes": check.estimate.target_free,
            "log_bytes_per_change": check.estimate.log_per_change,
            "source_free_bytes": check.estimate.source_free,
        },
        "will_create": check.creates,
        "will_build": check.builds,
        "types": check.mapping,
        "profile": check.profile,
    })
}
