//! A full compare, as text and as JSON.

use super::paint::{Paint, Role, Sign};
use crate::domain::compared::{Answer, Compared, TableCompared};
use crate::domain::key::Key;
use crate::domain::unit::{Rows, counted};
use crate::domain::value::Value;
use crate::domain::verdict::{DriftClass, DriftCounts, RowDiff};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// Longest value shown in text; JSON has all of it.
const SHOWN: usize = 60;

/// The exit code that belongs to the answer.
pub fn exit_code(answer: Answer) -> u8 {
    match answer {
        Answer::Equal => 0,
        Answer::Differs => 1,
        Answer::Unproven | Answer::Invalid => 6,
    }
}

/// What a person reads. `rows`: list the rows that differ, with their values.
pub fn text(compared: &Compared, rows: bool, paint: Paint) -> String {
    let mut out = opening(compared);
    let names = compared
        .tables
        .iter()
        .map(|table| name(table).chars().count());
    let missing = compared
        .only_source
        .iter()
        .chain(&compared.only_target)
        .map(|name| name.chars().count());
    let width = names.chain(missing).max().unwrap_or_default();
    let count = |rows: fn(&TableCompared) -> Rows| {
        compared
            .tables
            .iter()
            .map(|table| rows(table).to_string().len())
            .max()
            .unwrap_or_default()
    };
    let (left, right) = (
        count(|table| table.source_rows),
        count(|table| table.target_rows),
    );
    for table in &compared.tables {
        let sign = if table.source_rows == table.target_rows {
            "="
        } else {
            paint.sign(Sign::Unequal)
        };
        let (role, verdict) = verdict(table);
        let _ = writeln!(
            out,
            "  {:width$}  {:>left$} {sign} {:>right$}  {}",
            name(table),
            table.source_rows,
            table.target_rows,
            paint.role(role, &verdict),
        );
        if rows {
            listed(&mut out, table, paint);
        }
    }
    for (names, where_) in [
        (&compared.only_source, "only on the source"),
        (&compared.only_target, "only on the target"),
    ] {
        for name in names {
            let _ = writeln!(out, "  {name:width$}  {}", paint.role(Role::Bad, where_));
        }
    }
    for (name, why) in &compared.left_out {
        let _ = writeln!(
            out,
            "  {name:width$}  {}",
            paint.role(Role::Dim, &format!("left out: {why}"))
        );
    }
    closing(&mut out, compared, rows, paint);
    paint.plain(&out)
}

fn name(table: &TableCompared) -> String {
    if table.source == table.target {
        table.source.clone()
    } else {
        format!("{} → {}", table.source, table.target)
    }
}

fn opening(compared: &Compared) -> String {
    let rows: Rows = compared.tables.iter().map(|table| table.source_rows).sum();
    let versions = if compared.source == compared.target {
        compared.source.clone()
    } else {
        format!("{} and {}", compared.source, compared.target)
    };
    format!(
        "reading only; nothing is created on either side. {}, {rows} rows, {versions}.\n",
        counted(compared.tables.len() as u64, "table")
    )
}

/// One table in a few words.
fn verdict(table: &TableCompared) -> (Role, String) {
    let mut parts = Vec::new();
    if !table.missing_columns.is_empty() {
        parts.push(format!(
            "the target has no column {}",
            table.missing_columns.join(", ")
        ));
    }
    parts.extend(classes(table.differ, &table.columns, ""));
    parts.extend(classes(table.unproven, &table.columns, "not proven: "));
    if table.in_flight > 0 {
        parts.push(format!("{} in flight", Rows(table.in_flight)));
    }
    let clean = parts.is_empty();
    if !table.note.is_empty() {
        parts.insert(0, table.note.clone());
    }
    if clean && table.compared > 0 {
        parts.push("equal".into());
    }
    let mut words = parts.join(", ");
    if let Some(first) = table.rows.first().filter(|_| !table.key.is_empty()) {
        let _ = write!(words, "   first: {}", key(&table.key, &first.key));
    }
    let role = if table.differs() {
        Role::Bad
    } else if table.settled() && table.in_flight == 0 {
        Role::Good
    } else {
        Role::Warn
    };
    (role, words)
}

fn classes(counts: DriftCounts, columns: &[String], before: &str) -> Vec<String> {
    let mut parts = Vec::new();
    if counts.missing > 0 {
        parts.push(format!(
            "{before}{} missing on the target",
            Rows(counts.missing.into())
        ));
    }
    if counts.extra > 0 {
        parts.push(format!(
            "{before}{} only on the target",
            Rows(counts.extra.into())
        ));
    }
    if counts.changed > 0 {
        let s = if counts.changed == 1 { "s" } else { "" };
        let which = if columns.is_empty() {
            String::new()
        } else {
            format!(" ({})", columns.join(", "))
        };
        parts.push(format!(
            "{before}{} differ{s}{which}",
            Rows(counts.changed.into())
        ));
    }
    parts
}

/// `id 91882`, `(customer, no) 7, 3`
fn key(columns: &[String], key: &Key) -> String {
    match columns {
        [one] => format!("{one} {}", shown(&key.to_string())),
        many => format!("({}) {}", many.join(", "), shown(&key.to_string())),
    }
}

fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let cut: String = text.chars().take(SHOWN - 1).collect();
    format!("{cut}…")
}

fn listed(out: &mut String, table: &TableCompared, paint: Paint) {
    for row in &table.rows {
        let name = if table.key.is_empty() {
            String::new()
        } else {
            key(&table.key, &row.key)
        };
        let what = match row.class {
            DriftClass::Missing => "missing on the target".to_owned(),
            DriftClass::Extra => "only on the target".to_owned(),
            DriftClass::Changed => changes(table, row, paint),
        };
        let _ = writeln!(out, "      {name}  {what}");
    }
    let total = u64::from(table.differ.total()) + u64::from(table.unproven.total());
    let more = total.saturating_sub(table.rows.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "      … and {} more", Rows(more));
    }
}

fn changes(table: &TableCompared, row: &RowDiff, paint: Paint) -> String {
    let (Some(ours), Some(theirs)) = (&row.source, &row.target) else {
        return "differs".into();
    };
    let parts: Vec<String> = row
        .columns
        .iter()
        .filter_map(|at| {
            let at = usize::from(*at);
            let (name, masked) = table.shown.get(at)?;
            let value = |cells: &[Value]| {
                if *masked {
                    return paint.masked().to_owned();
                }
                cells.get(at).map(typed).unwrap_or_default()
            };
            Some(format!("{name}: {} → {}", value(ours), value(theirs)))
        })
        .collect();
    if parts.is_empty() {
        "differs".into()
    } else {
        parts.join(" · ")
    }
}

/// A value so that 1, 1.0, '1' and x'31' look different.
fn typed(value: &Value) -> String {
    match value {
        Value::Text(_) => format!("'{}'", shown(&value.to_string())),
        other => shown(&other.to_string()),
    }
}

fn closing(out: &mut String, compared: &Compared, rows: bool, paint: Paint) {
    let off = compared
        .tables
        .iter()
        .filter(|table| table.differs())
        .count();
    let differ: u64 = compared
        .tables
        .iter()
        .map(|table| u64::from(table.differ.total()))
        .sum();
    let open: u64 = compared
        .tables
        .iter()
        .map(|table| u64::from(table.unproven.total()))
        .sum();
    let flying: u64 = compared.tables.iter().map(|table| table.in_flight).sum();
    let chunks: u64 = compared
        .tables
        .iter()
        .map(|table| u64::from(table.compared))
        .sum();
    let all: u64 = compared
        .tables
        .iter()
        .map(|table| u64::from(table.chunks))
        .sum();
    let tables = compared.tables.len();
    let (role, mut words) = match compared.answer {
        Answer::Equal => (
            Role::Good,
            format!(
                "equal: {} of {} compared",
                Rows(chunks),
                counted(all, "chunk")
            ),
        ),
        Answer::Differs => {
            let lone = compared.only_source.len() + compared.only_target.len();
            let mut words = format!(
                "differs: {} in {off} of {}",
                counted(differ, "row"),
                counted(tables as u64, "table")
            );
            if lone > 0 {
                let _ = write!(
                    words,
                    ", {} on one side only",
                    counted(lone as u64, "table")
                );
            }
            (Role::Bad, words)
        }
        Answer::Unproven => {
            let mut words = "not proven:".to_owned();
            if open > 0 {
                let _ = write!(words, " {} seem to differ,", counted(open, "row"));
            }
            if flying > 0 {
                let _ = write!(words, " {} in flight,", counted(flying, "row"));
            }
            let _ = write!(
                words,
                " {} of {} compared",
                Rows(chunks),
                counted(all, "chunk")
            );
            (Role::Warn, words)
        }
        Answer::Invalid => (
            Role::Warn,
            "INVALID: nothing was compared, and that proves nothing".into(),
        ),
    };
    let _ = write!(words, ". {}.", compared.took);
    let _ = writeln!(out, "{}", paint.role(role, &words));
    let knows = match compared.position {
        Some(position) => format!("As of position {position}, which the target has applied: rows changed later are in flight."),
        None if compared.still => "Neither side was written to meanwhile.".into(),
        None => "No position is known for these two and somebody writes, so a row written meanwhile may show up here; \
                 rows that differed were read twice."
            .into(),
    };
    if compared.answer != Answer::Invalid {
        let _ = writeln!(out, "{knows}");
    }
    let more = if rows || differ + open == 0 {
        ""
    } else {
        "details: --rows   "
    };
    let _ = writeln!(
        out,
        "{}",
        paint.role(
            Role::Dim,
            &format!(
                "{more}machine: --json   exit {}",
                exit_code(compared.answer)
            )
        )
    );
}

/// What a program reads. The shape is stable: keys are added, never changed.
pub fn json(compared: &Compared) -> Json {
    json!({
        "answer": compared.answer,
        "exit": exit_code(compared.answer),
        "source": compared.source,
        "target": compared.target,
        "position": compared.position,
        "still": compared.still,
        "seconds": compared.took.as_secs_f64(),
        "tables": compared.tables.iter().map(table_json).collect::<Vec<_>>(),
        "only_source": compared.only_source,
        "only_target": compared.only_target,
        "left_out": compared.left_out.iter().map(|(table, why)| json!({"table": table, "why": why})).collect::<Vec<_>>(),
    })
}

fn table_json(table: &TableCompared) -> Json {
    json!({
        "source": table.source,
        "target": table.target,
        "source_rows": table.source_rows,
        "target_rows": table.target_rows,
        "chunks": table.chunks,
        "compared": table.compared,
        "drift": {
            "confirmed": table.differ,
            "unproven": table.unproven,
            "in_flight": table.in_flight,
        },
        "columns": table.columns,
        "missing_columns": table.missing_columns,
        "key": table.key,
        "note": table.note,
        "rows": table.rows.iter().map(|row| row_json(table, row)).collect::<Vec<_>>(),
    })
}

fn row_json(table: &TableCompared, row: &RowDiff) -> Json {
    let columns: Vec<Json> = row
        .columns
        .iter()
        .filter_map(|at| {
            let at = usize::from(*at);
            let (name, _) = table.shown.get(at)?;
            let value = |cells: &Option<Vec<Value>>| {
                cells.as_ref().and_then(|cells| cells.get(at).cloned())
            };
            Some(json!({"name": name, "source": value(&row.source), "target": value(&row.target)}))
        })
        .collect();
    json!({"key": row.key, "class": row.class, "columns": columns})
}
