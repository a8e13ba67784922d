//! One row on both sides, as text and as JSON. Masked columns give nothing away.

use super::paint::{Paint, Role, Sign};
use crate::domain::key::Key;
use crate::domain::position::Position;
use crate::domain::table::Table;
use crate::domain::value::{Row, Value};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// What was found of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its table.
    pub table: Table,
    /// Its key.
    pub key: Key,
    /// The target's applied position; none where there is no ledger.
    pub applied: Option<Position>,
    /// The row on the source.
    pub source: Option<Row>,
    /// The row on the target.
    pub target: Option<Row>,
    /// Whether the stream has a change of it that the target has not applied.
    pub late: bool,
    /// What the journal says of it.
    pub history: Vec<String>,
}

/// The one word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Equal on both sides.
    Same,
    /// Different at one logical position.
    Differs,
    /// Different, and a change of it is still to be applied.
    OnItsWay,
    /// Different, and no position is known.
    Unproven,
    /// On neither side.
    Nowhere,
}

/// What both images say together.
pub fn verdict(told: &Told) -> Verdict {
    match (&told.source, &told.target) {
        (None, None) => Verdict::Nowhere,
        (ours, theirs) if ours == theirs => Verdict::Same,
        _ if told.late => Verdict::OnItsWay,
        _ if told.applied.is_none() => Verdict::Unproven,
        _ => Verdict::Differs,
    }
}

/// What a person reads.
pub fn text(told: &Told, paint: Paint) -> String {
    let (role, words) = match verdict(told) {
        Verdict::Same => (Role::Good, "the same on both sides".to_owned()),
        Verdict::Differs => (Role::Bad, "differs".to_owned()),
        Verdict::OnItsWay => (
            Role::Warn,
            "differs, and a change of it is on its way to the target".to_owned(),
        ),
        Verdict::Unproven => (
            Role::Warn,
            "differs; no position is known, so it may only be late".to_owned(),
        ),
        Verdict::Nowhere => (Role::Warn, "on neither side".to_owned()),
    };
    let mut out = format!(
        "{} {}   {}\n",
        told.table.source,
        key(told, paint),
        paint.role(role, &words)
    );
    let columns: Vec<Line> = lines(told, paint);
    let name = columns
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or_default();
    let left = columns
        .iter()
        .map(|line| line.source.chars().count())
        .max()
        .unwrap_or_default()
        .max(6);
    let _ = writeln!(out, "    {:name$}  {:left$}    target", "", "source");
    for line in &columns {
        let sign = if line.same {
            " ".to_owned()
        } else {
            paint.role(Role::Bad, paint.sign(Sign::Unequal))
        };
        let _ = writeln!(
            out,
            "    {:name$}  {:left$}  {sign} {}",
            line.name, line.source, line.target
        );
    }
    for line in &told.history {
        let _ = writeln!(out, "  {line}");
    }
    if let Some(applied) = told.applied {
        let _ = writeln!(out, "  the target has applied the stream up to {applied}");
    }
    paint.plain(&out)
}

struct Line {
    name: String,
    source: String,
    target: String,
    same: bool,
}

fn lines(told: &Told, paint: Paint) -> Vec<Line> {
    let cell =
        |row: &Option<Row>, at: usize, masked: bool| match row.as_ref().map(|row| row.get(at)) {
            None => "(no row)".to_owned(),
            Some(None) => String::new(),
            Some(Some(_)) if masked => paint.masked().to_owned(),
            Some(Some(Value::Text(text))) => format!("'{}'", Value::Text(text.clone())),
            Some(Some(value)) => value.to_string(),
        };
    told.table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| Line {
            name: column.name.clone(),
            source: cell(&told.source, at, column.masked),
            target: cell(&told.target, at, column.masked),
            same: same(told, at),
        })
        .collect()
}

fn same(told: &Told, at: usize) -> bool {
    let cell = |row: &Option<Row>| row.as_ref().and_then(|row| row.get(at).cloned());
    cell(&told.source) == cell(&told.target)
}

fn key(told: &Told, paint: Paint) -> String {
    let Some(spec) = told.table.key() else {
        return String::new();
    };
    let parts = told
        .key
        .parts()
        .iter()
        .zip(&spec.columns)
        .map(|(part, at)| {
            let masked = told
                .table
                .columns
                .get(usize::from(*at))
                .is_some_and(|column| column.masked);
            if masked {
                paint.masked().to_owned()
            } else {
                part.to_string()
            }
        });
    parts.collect::<Vec<_>>().join(", ")
}

/// What a program reads. The shape is stable: keys are added, never changed.
pub fn json(told: &Told) -> Json {
    let word = match verdict(told) {
        Verdict::Same => "same",
        Verdict::Differs => "differs",
        Verdict::OnItsWay => "on-its-way",
        Verdict::Unproven => "unproven",
        Verdict::Nowhere => "nowhere",
    };
    let image = |row: &Option<Row>| {
        row.as_ref().map(|row| {
            let cells = row.iter().zip(&told.table.columns).map(|(value, column)| {
                let value = if column.masked {
                    Value::text("••••")
                } else {
                    value.clone()
                };
                (column.name.clone(), json!(value))
            });
            cells.collect::<Json>()
        })
    };
    json!({
        "table": told.table.source,
        "key": key(told, Paint::default()),
        "verdict": word,
        "source": image(&told.source),
        "target": image(&told.target),
        "differing": told.table.columns.iter().enumerate()
            .filter(|(at, _)| !same(told, *at)).map(|(_, column)| &column.name).collect::<Vec<_>>(),
        "on_its_way": told.late,
        "applied": told.applied,
        "history": told.history,
    })
}
