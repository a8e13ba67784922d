//! The picture as text: what `y` copies, what `w` shows in full, and the four lines for a chat.

use super::lists;
use super::model::{Picture, Screen};
use super::scope;
use super::view::words;
use crate::domain::event::PauseReason;
use crate::domain::id::{ChunkId, TableId};
use crate::domain::table::Mode;
use crate::domain::unit::{RowsPerSecond, counted};
use crate::domain::value::Value;
use crate::domain::verdict::RowDiff;
use crate::state::migration::{Migration, Owner, WayBack};
use crate::state::pace::{Eta, eta, held_by};
use crate::state::timeline::{pause_words, table_name};

/// How it stands, in lines fit for a chat: what one is asked at night.
pub fn status(p: &Picture) -> Vec<String> {
    let s = p.state;
    let (env, ends) = s.plan.as_ref().map_or(("", String::new()), |plan| {
        (
            plan.environment.label(),
            format!("{} → {}", plan.source.label, plan.target.label),
        )
    });
    let pauses: Vec<String> = s
        .pauses
        .iter()
        .map(|pause| {
            let word = match (&pause.reason, s.rested) {
                (PauseReason::Operator | PauseReason::StopAll, false) => "pausing",
                (PauseReason::Operator | PauseReason::StopAll, true) => "paused",
                _ => "stopped",
            };
            let age = p.now.since(pause.since);
            format!(
                "{word}: {} ({}, {age})",
                pause_words(&pause.reason, s),
                pause.by
            )
        })
        .collect();
    let phase = s.phase.label();
    let copied = words::percent_fine(s.copied());
    let mut first = format!("{} {env} {ends} · {phase} · copied {copied} %", s.name());
    if !pauses.is_empty() {
        first = format!("{first} · {}", pauses.join(" · "));
    }
    let owner = match s.owner() {
        Owner::Source => "source",
        Owner::Target => "target",
        Owner::Nobody => "nobody",
    };
    let back = match s.way_back() {
        WayBack::LosesNothing => "loses 0",
        WayBack::Unknown => "not known",
        WayBack::Done => "gone",
    };
    let lag = words::span(s.sample.lag);
    let limit = s
        .max_lag()
        .map_or(String::new(), |max| format!(" of {max}"));
    let waiting = match s.unread() {
        true => "changes wait, unread while paused".to_string(),
        false => format!("{} waiting", counted(s.sample.waiting, "change")),
    };
    let left = match eta(s) {
        Eta::Stopped(why) => format!("stands still: {why}"),
        Eta::Done => "nothing left to copy".into(),
        Eta::Measuring => "time left: measuring".into(),
        left @ Eta::Between { .. } => {
            format!("time left {}", left.range(" to ").unwrap_or_default())
        }
    };
    let allowed = s
        .pace
        .map_or(String::new(), |r: RowsPerSecond| format!(" of {r} allowed"));
    let held = held_by(s).map_or(String::new(), |held| format!(", held by {held}"));
    let drift = s.drift();
    // Nobody measures what is parked or has ended: what was seen last is no figure of now.
    let (measured, speed, in_flight) =
        match s.engine.as_ref().is_some_and(|e| e.running) && !s.over() {
            true => (
                format!("lag {lag}{limit}, {waiting}"),
                format!("{} rows/s{allowed}{held}", s.sample.copy_rate),
                drift.in_flight.to_string(),
            ),
            false => (
                "lag not measured".to_string(),
                if s.over() { "ended" } else { "no engine runs" }.to_string(),
                words::UNKNOWN.to_string(),
            ),
        };
    vec![
        first,
        format!("writes {owner} · way back {back} · {measured}"),
        format!("{speed} · {left}"),
        format!(
            "differ {} · in flight {in_flight} · not yet compared {} · {} · {}Z",
            drift.confirmed,
            drift.uncovered,
            counted(s.alerts.len() as u64, "alert"),
            words::clock(s.at),
        ),
    ]
}

/// The selection as text, and what it is.
pub fn selection(p: &Picture) -> (String, String) {
    match p.ui.screen {
        Screen::Overview if p.ui.pane == 0 => {
            (status(p).join("\n"), "the status, four lines".into())
        }
        Screen::Overview
        | Screen::Map
        | Screen::Diff
        | Screen::Shadow
        | Screen::Timeline
        | Screen::Log => {
            let (title, lines) = full(p);
            if lines.is_empty() {
                (status(p).join("\n"), "the status, four lines".into())
            } else {
                (lines.join("\n"), title)
            }
        }
        Screen::Help => {
            let lines = super::help::lines(p);
            let text: Vec<String> = lines
                .iter()
                .map(|l| l.iter().map(|(t, _)| t.as_str()).collect())
                .collect();
            (text.join("\n"), "the keys".into())
        }
    }
}

/// The selected thing in full: title and lines; no lines where nothing is selected.
pub fn full(p: &Picture) -> (String, Vec<String>) {
    match p.ui.screen {
        Screen::Overview if p.ui.pane == 1 => alert(p),
        Screen::Overview => lists::selected_table(p).map_or_else(none, |id| table(p, id)),
        Screen::Map => cell(p),
        Screen::Diff => row(p),
        Screen::Shadow => shadow(p),
        Screen::Timeline => {
            let listed = lists::timeline(p);
            match lists::selected_line(&listed, p.ui.timeline.seq).map(|i| listed[i]) {
                Some(line) => (
                    format!("record {}", line.seq),
                    vec![format!(
                        "{}Z {}: {}",
                        words::clock(line.at),
                        line.who,
                        line.text
                    )],
                ),
                None => none(),
            }
        }
        Screen::Log => {
            let at = p.ui.said.len().checked_sub(1 + p.ui.log.back);
            match at.and_then(|i| p.ui.said.get(i)) {
                Some(said) => (
                    "told".into(),
                    vec![format!("{}Z {}", words::clock(said.at), said.text)],
                ),
                None => none(),
            }
        }
        Screen::Help => none(),
    }
}

fn none() -> (String, Vec<String>) {
    (String::new(), Vec::new())
}

fn alert(p: &Picture) -> (String, Vec<String>) {
    let open = lists::selected_alert(p).and_then(|id| p.state.alerts.get(&id));
    let Some(open) = open else { return none() };
    let mut lines = vec![
        format!("{}Z {}", words::clock(open.at), open.alert.text),
        format!("open for {}", p.now.since(open.since)),
    ];
    lines.push(match &open.seen_by {
        Some(who) => format!("acknowledged by {who}"),
        None => "nobody has acknowledged it: A".into(),
    });
    (format!("alert {}", open.alert.id), lines)
}

fn table(p: &Picture, id: TableId) -> (String, Vec<String>) {
    let name = table_name(id, p.state);
    let plan = p.state.plan.as_ref().and_then(|plan| plan.table(id));
    let (Some(plan), Some(t)) = (plan, p.state.table(id)) else {
        return none();
    };
    if let Mode::LeftOut(why) = &plan.mode {
        return (name, vec![format!("left out: {why}")]);
    }
    let tally = t.chunks.tally();
    let lines = vec![
        format!("{} → {}", plan.source, plan.target),
        format!(
            "rows {}{}, copied {} ({} %), {} in {}",
            t.rows(),
            if t.exact || t.complete {
                ""
            } else {
                " (estimated)"
            },
            tally.landed_rows,
            words::percent_fine(t.copied()),
            t.bytes,
            counted(t.chunks.len().into(), "chunk")
        ),
        format!(
            "equal {}, differ {} in {}",
            counted(tally.equal_rows.0, "row"),
            counted(tally.differing_rows, "row"),
            counted(tally.differing_chunks.into(), "chunk")
        ),
        format!("not yet compared {}", counted(t.uncovered().0, "row")),
        match t.chunks.oldest_check(p.now) {
            Some(age) => format!("oldest compare {age} ago"),
            None => "not every copied chunk was compared yet".into(),
        },
        format!("chunks copied again {}", t.again),
    ];
    (name, lines)
}

fn cell(p: &Picture) -> (String, Vec<String>) {
    let Some((table, first, count)) = scope::cell(p) else {
        return none();
    };
    let name = table_name(table, p.state);
    let title = if count == 1 {
        format!("{name} chunk {first}")
    } else {
        format!("{name} chunks {first} to {}", first + count - 1)
    };
    let key = |no: u32| {
        p.ui.map
            .bounds
            .get(&ChunkId { table, no })
            .filter(|k| !k.is_empty())
    };
    let mut lines = vec![title.clone()];
    if let Some(from) = key(first) {
        let to = key(first + count).map_or("the end of what is copied".to_string(), |k| {
            format!("before {k}")
        });
        lines.push(format!("keys from {from} to {to}"));
    }
    let cells = p.state.table(table).map_or(&[][..], |t| t.chunks.cells());
    for no in first..first.saturating_add(count).min(first + 50) {
        let line = match cells.get(no as usize) {
            None => format!("chunk {no}: not copied yet"),
            Some(cell) => {
                let checked = cell
                    .age(p.now)
                    .map_or("never compared".into(), |a| format!("compared {a} ago"));
                format!(
                    "chunk {no}: {}, {} known to differ, {checked}, landed {}",
                    counted(cell.rows().0, "row"),
                    cell.differ(),
                    counted(cell.attempts().into(), "time")
                )
            }
        };
        lines.push(line);
    }
    (title, lines)
}

fn row(p: &Picture) -> (String, Vec<String>) {
    let listed = lists::differing(p);
    let Some(known) = lists::selected_row(p).map(|i| listed[i]) else {
        return none();
    };
    let name = table_name(known.chunk.table, p.state);
    let title = format!("{name} {}", known.key);
    let mut lines = vec![format!(
        "{name}, key {}, chunk {}: {}",
        known.key,
        known.chunk.no,
        known.class.label()
    )];
    let rows = p.ui.diff.rows.get().filter(|(c, _, _)| *c == known.chunk);
    let diff = rows.and_then(|(_, rows, _)| rows.iter().find(|r| r.key == known.key));
    if let Some(diff) = diff {
        lines.extend(columns(p.state, known.chunk.table, diff));
    }
    (title, lines)
}

/// The columns of a differing row, masked ones masked: what leaves the screen obeys the mask too.
fn columns(state: &Migration, table: TableId, diff: &RowDiff) -> Vec<String> {
    let plan = state.plan.as_ref().and_then(|plan| plan.table(table));
    let Some(plan) = plan else { return Vec::new() };
    let value = |row: &Option<Vec<Value>>, i: usize, masked: bool| match row
        .as_ref()
        .and_then(|r| r.get(i))
    {
        None => "—".to_string(),
        Some(_) if masked => "•••".to_string(),
        Some(value) => value.to_string(),
    };
    let lines = plan.columns.iter().enumerate().map(|(i, column)| {
        let differs = diff.columns.contains(&(i as u16));
        let (source, target) = (
            value(&diff.source, i, column.masked),
            value(&diff.target, i, column.masked),
        );
        let mark = if differs { "≠" } else { " " };
        format!("{mark} {}: {source} | {target}", column.name)
    });
    lines.collect()
}

fn shadow(p: &Picture) -> (String, Vec<String>) {
    let Some(name) = lists::selected_query(p) else {
        return none();
    };
    let plan = p.state.plan.as_ref();
    let query = plan.and_then(|plan| plan.shadow.iter().find(|q| q.name == name));
    let mut lines: Vec<String> =
        query.map_or(Vec::new(), |q| q.sql.lines().map(str::to_string).collect());
    if let Some(line) = p.state.sample.shadow.iter().find(|l| l.name == name) {
        lines.push(format!(
            "compared {}, matched {}, differed {}, not proven {}, errors {} source {} target",
            line.compared,
            line.matched,
            line.mismatched,
            line.unproven,
            line.source_errors,
            line.target_errors
        ));
        lines.push(format!(
            "source p50 {} p95 {} · target p50 {} p95 {}",
            line.source_p50, line.source_p95, line.target_p50, line.target_p95
        ));
        lines.extend(
            line.last_mismatch
                .iter()
                .map(|m| format!("last difference: {m}")),
        );
    }
    (format!("shadow {name}"), lines)
}
