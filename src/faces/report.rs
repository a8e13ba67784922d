//! What happened, with its evidence: Markdown, HTML or JSON. No row's values are in it, because none are in the journal;
//! shadow compare's example of a mismatch, which is only in the measurements, is left out.

use super::status::{Engine, owner, phase, way_back};
use super::when::date_time;
use crate::domain::event::{Body, Event, Fact};
use crate::domain::table::Mode;
use crate::domain::unit::{At, Rows, Span, Tick};
use crate::state::conditions::{LOOKED, THERE_BEFORE};
use crate::state::migration::{Migration, RepairState};
use crate::state::timeline::{pause_words, table_name};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Everything that is told, gathered while a journal is folded once.
#[derive(Debug, Default)]
pub struct Story {
    state: Migration,
    began: Option<At>,
    phases: Vec<(crate::domain::event::Phase, At, Tick)>,
    lines: Vec<[String; 3]>,
    stood: BTreeMap<String, Span>,
    standing: Vec<(crate::domain::event::PauseReason, Tick)>,
    refused: u64,
    differences: u64,
    passes: (u64, u64),
    versions: Vec<String>,
}

impl Story {
    /// Takes in the next record.
    pub fn heed(&mut self, event: &Event) {
        self.began.get_or_insert(event.at);
        if let Body::Fact(fact) = &event.body {
            self.before(event, fact);
        }
        self.state.apply(event);
        if let Some(line) = self
            .state
            .timeline
            .back()
            .filter(|line| line.seq == event.seq)
        {
            self.lines
                .push([date_time(line.at), line.who.clone(), line.text.clone()]);
        }
    }

    fn before(&mut self, event: &Event, fact: &Fact) {
        match fact {
            Fact::PhaseEntered { phase } => self.phases.push((*phase, event.at, event.tick)),
            Fact::EngineStarted { version, .. } if !self.versions.contains(version) => {
                self.versions.push(version.clone());
            }
            Fact::Paused { reason, .. } => self.standing.push((reason.clone(), event.tick)),
            Fact::Resumed { reason, .. } => self.resumed(reason, event.tick),
            Fact::Refused { .. } => self.refused += 1,
            Fact::ChunkChecked { verdict, .. } => self.differences += u64::from(!verdict.equal()),
            Fact::PassFinished { valid, .. } => {
                self.passes.0 += u64::from(*valid);
                self.passes.1 += u64::from(!*valid);
            }
            _ => {}
        }
    }

    fn resumed(&mut self, reason: &crate::domain::event::PauseReason, now: Tick) {
        if let Some(at) = self
            .standing
            .iter()
            .position(|(standing, _)| standing == reason)
        {
            let (reason, since) = self.standing.remove(at);
            *self
                .stood
                .entry(pause_words(&reason, &self.state))
                .or_default() += now.since(since);
        }
    }

    /// What is known at its end.
    pub fn state(&self) -> &Migration {
        &self.state
    }

    /// As a document. `integrity`: what an audit of the journal said, with the anchor.
    fn document(&self, engine: Engine, integrity: &str) -> Document {
        let state = &self.state;
        let mut document = Document {
            title: format!("{}: what happened", state.name()),
            sections: Vec::new(),
        };
        document.pairs("In short", self.short(engine));
        document.pairs("Evidence of equality", self.evidence());
        document.table(
            "Tables",
            &[
                "table",
                "rows",
                "copied",
                "chunks",
                "differ",
                "not compared",
            ],
            self.tables(),
        );
        document.table("Phases", &["phase", "entered", "lasted"], self.spans());
        document.table("Stood still", &["because", "for"], self.stood_still());
        document.table(
            "Repairs",
            &["no", "table", "by", "known to differ", "outcome"],
            self.repairs(),
        );
        document.table(
            "Made and removed",
            &["side", "what", "outcome"],
            self.objects(),
        );
        document.table(
            "Open alerts",
            &["no", "severity", "what", "since", "seen by"],
            state
                .alerts
                .values()
                .map(|open| {
                    vec![
                        open.alert.id.to_string(),
                        format!("{:?}", open.alert.severity).to_lowercase(),
                        open.alert.text.clone(),
                        date_time(open.at),
                        open.seen_by
                            .as_ref()
                            .map(ToString::to_string)
                            .unwrap_or_default(),
                    ]
                })
                .collect(),
        );
        document.table(
            "Shadow compare",
            &[
                "query",
                "compared",
                "equal",
                "different",
                "not proven",
                "errors",
                "p95 source",
                "p95 target",
            ],
            self.shadow(),
        );
        document.table(
            "Timeline",
            &["when (UTC)", "who", "what"],
            self.lines.iter().map(|line| line.to_vec()).collect(),
        );
        document.pairs("The record", vec![("journal".into(), integrity.to_owned())]);
        document
    }

    fn short(&self, engine: Engine) -> Vec<(String, String)> {
        let state = &self.state;
        let mut pairs = Vec::new();
        let mut add = |name: &str, value: String| pairs.push((name.to_owned(), value));
        if let Some(plan) = &state.plan {
            add(
                "from",
                format!("{} ({})", plan.source.url, plan.source.engine.label()),
            );
            add(
                "to",
                format!("{} ({})", plan.target.url, plan.target.engine.label()),
            );
            add("environment", plan.environment.label().to_owned());
        }
        add(
            "now",
            format!("{}, engine {}", phase(state), engine.label()),
        );
        add(
            "writes",
            format!("on {}; going back {}", owner(state), way_back(state)),
        );
        add("began", self.began.map(date_time).unwrap_or_default());
        add(
            "told up to",
            format!("{}, record {}", date_time(state.at), state.seq),
        );
        add(
            "rows",
            format!("{} in copied chunks, as last counted", self.landed()),
        );
        add("best speed", format!("{} rows/s", state.best_rate));
        add(
            "engine starts",
            format!(
                "{} (tidegate {})",
                state.engine_starts,
                self.versions.join(", ")
            ),
        );
        add("commands refused", self.refused.to_string());
        add("plan", state.plan_hash.clone());
        pairs
    }

    fn landed(&self) -> Rows {
        self.state
            .live_tables()
            .map(|(_, _, at)| at.chunks.tally().landed_rows)
            .sum()
    }

    fn evidence(&self) -> Vec<(String, String)> {
        let state = &self.state;
        let drift = state.drift();
        let pass = match &state.pass {
            None => "none was finished".to_owned(),
            Some(pass) => format!(
                "{}{} of {} chunks, {} rows on the source, {} on the target, at position {}",
                if pass.valid { "" } else { "INVALID: " },
                pass.compared,
                pass.chunks,
                pass.source_rows,
                pass.target_rows,
                pass.position
            ),
        };
        vec![
            ("last pass over everything".into(), pass),
            (
                "passes".into(),
                format!("{} complete, {} not", self.passes.0, self.passes.1),
            ),
            (
                "rows now".into(),
                format!(
                    "{} differ, {} in flight, {} not compared",
                    Rows(drift.confirmed),
                    Rows(drift.in_flight),
                    drift.uncovered
                ),
            ),
            (
                "compares that found a difference".into(),
                Rows(self.differences).to_string(),
            ),
        ]
    }

    fn tables(&self) -> Vec<Vec<String>> {
        let state = &self.state;
        let moved = state.live_tables().map(|(_, table, at)| {
            let tally = at.chunks.tally();
            vec![
                table.source.clone(),
                at.rows().to_string(),
                if at.complete {
                    "all".into()
                } else {
                    format!("{:.1} %", at.copied() * 100.0)
                },
                at.chunks.len().to_string(),
                Rows(tally.differing_rows).to_string(),
                at.uncovered().to_string(),
            ]
        });
        let left = state
            .plan
            .iter()
            .flat_map(|plan| &plan.tables)
            .filter_map(|table| match &table.mode {
                Mode::LeftOut(why) => {
                    Some(vec![table.source.clone(), "left out".into(), why.clone()])
                }
                Mode::Live(_) => None,
            });
        moved.chain(left).collect()
    }

    fn spans(&self) -> Vec<Vec<String>> {
        let ends = self
            .phases
            .iter()
            .skip(1)
            .map(|(_, _, tick)| *tick)
            .chain([self.state.tick]);
        let entered = self.phases.iter().zip(ends);
        entered
            .map(|((phase, at, tick), end)| {
                vec![
                    phase.label().to_owned(),
                    date_time(*at),
                    end.since(*tick).to_string(),
                ]
            })
            .collect()
    }

    fn stood_still(&self) -> Vec<Vec<String>> {
        let open = self.standing.iter().map(|(reason, since)| {
            let words = format!("{} (still)", pause_words(reason, &self.state));
            vec![words, self.state.tick.since(*since).to_string()]
        });
        let ended = self
            .stood
            .iter()
            .map(|(words, span)| vec![words.clone(), span.to_string()]);
        let held = self
            .state
            .held_for
            .iter()
            .map(|(signal, span)| vec![format!("slowed by {signal}"), span.to_string()]);
        open.chain(ended).chain(held).collect()
    }

    fn repairs(&self) -> Vec<Vec<String>> {
        let state = &self.state;
        let row = |(id, repair): (
            &crate::domain::id::RepairId,
            &crate::state::migration::Repair,
        )| {
            let outcome = match &repair.state {
                RepairState::Ordered => "under way".to_owned(),
                RepairState::Done {
                    inserted,
                    updated,
                    deleted,
                } => {
                    format!(
                        "{inserted} put in, {updated} made as on the source, {deleted} taken out"
                    )
                }
                RepairState::Failed(why) => format!("failed: {why}"),
                RepairState::Undone => "done and put back".to_owned(),
            };
            vec![
                id.to_string(),
                table_name(repair.table, state),
                repair.by.to_string(),
                repair.expected.total().to_string(),
                outcome,
            ]
        };
        state.repairs.iter().map(row).collect()
    }

    fn objects(&self) -> Vec<Vec<String>> {
        let made = self
            .state
            .made
            .iter()
            .filter(|(_, what)| what != LOOKED)
            .map(|(side, what)| {
                let (what, outcome) = match what.strip_suffix(THERE_BEFORE) {
                    Some(there) => (there, "was there before"),
                    None => (what.as_str(), "made"),
                };
                vec![side.label().to_owned(), what.to_owned(), outcome.to_owned()]
            });
        let removed = self.state.removed.iter().map(|(side, what, left)| {
            let outcome = if left.is_empty() {
                "removed; read back: nothing is left".to_owned()
            } else {
                format!("removed; still there: {}", left.join(", "))
            };
            vec![side.label().to_owned(), what.clone(), outcome]
        });
        made.chain(removed).collect()
    }

    fn shadow(&self) -> Vec<Vec<String>> {
        let lines = self.state.sample.shadow.iter().map(|line| {
            vec![
                line.name.clone(),
                Rows(line.compared).to_string(),
                Rows(line.matched).to_string(),
                Rows(line.mismatched).to_string(),
                Rows(line.unproven).to_string(),
                Rows(line.source_errors + line.target_errors).to_string(),
                line.source_p95.to_string(),
                line.target_p95.to_string(),
            ]
        });
        lines.collect()
    }

    /// For a page in a wiki or a ticket.
    pub fn markdown(&self, engine: Engine, integrity: &str) -> String {
        self.document(engine, integrity).markdown()
    }

    /// For a browser: one file, nothing to load.
    pub fn html(&self, engine: Engine, integrity: &str) -> String {
        self.document(engine, integrity).html()
    }

    /// For programs: the sections with their rows, beside the state as `status --json` gives it.
    pub fn json(&self, engine: Engine, integrity: &str) -> Json {
        let sections: Vec<Json> = self
            .document(engine, integrity)
            .sections
            .into_iter()
            .map(|section| json!({"title": section.title, "columns": section.columns, "rows": section.rows}))
            .collect();
        json!({"status": super::status::json(&self.state, engine), "sections": sections})
    }
}

struct Document {
    title: String,
    sections: Vec<Section>,
}

struct Section {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Document {
    /// A section of names and values.
    fn pairs(&mut self, title: &str, pairs: Vec<(String, String)>) {
        self.sections.push(Section {
            title: title.to_owned(),
            columns: Vec::new(),
            rows: pairs
                .into_iter()
                .map(|(name, value)| vec![name, value])
                .collect(),
        });
    }

    /// A section with a heading for each column; left out when there is nothing in it.
    fn table(&mut self, title: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.sections.push(Section {
                title: title.to_owned(),
                columns: columns.iter().map(|column| (*column).to_owned()).collect(),
                rows,
            });
        }
    }

    fn markdown(&self) -> String {
        let mut out = format!("# {}\n", self.title);
        for section in &self.sections {
            let _ = writeln!(out, "\n## {}\n", section.title);
            if section.columns.is_empty() {
                for row in &section.rows {
                    let _ = writeln!(out, "- {}: {}", row[0], row[1].replace('\n', " "));
                }
                continue;
            }
            let _ = writeln!(out, "| {} |", section.columns.join(" | "));
            let _ = writeln!(out, "|{}", "---|".repeat(section.columns.len()));
            for row in &section.rows {
                let cells: Vec<String> = row
                    .iter()
                    .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
                    .collect();
                let empty = " |".repeat(section.columns.len().saturating_sub(cells.len()));
                let _ = writeln!(out, "| {} |{empty}", cells.join(" | "));
            }
        }
        out
    }

    fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\n\
             body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }}\n\
             table {{ border-collapse: collapse; }} th, td {{ text-align: left; padding: .2em .8em .2em 0; vertical-align: top; border-bottom: 1px solid #8884; }}\n\
             th {{ font-weight: 600; }} @media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd; }} }}\n\
             </style></head><body>\n<h1>{title}</h1>\n"
        );
        for section in &self.sections {
            let _ = writeln!(out, "<h2>{}</h2>\n<table>", escaped(&section.title));
            if !section.columns.is_empty() {
                let cells: String = section
                    .columns
                    .iter()
                    .map(|column| format!("<th>{}</th>", escaped(column)))
                    .collect();
                let _ = writeln!(out, "<tr>{cells}</tr>");
            }
            for row in &section.rows {
                let cells: String = row
                    .iter()
                    .map(|cell| format!("<td>{}</td>", escaped(cell)))
                    .collect();
                let _ = writeln!(out, "<tr>{cells}</tr>");
            }
            out.push_str("</table>\n");
        }
        out.push_str("</body></html>\n");
        out
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_can_not_break_out_of_their_table() {
        let mut document = Document {
            title: "<b>".into(),
            sections: Vec::new(),
        };
        document.table(
            "t",
            &["a", "b"],
            vec![
                vec!["x | y\nz".into(), "<script>".into()],
                vec!["short".into()],
            ],
        );
        let markdown = document.markdown();
        assert!(markdown.contains("| x \\| y z | <script> |"), "{markdown}");
        assert!(markdown.contains("| short | |"), "{markdown}");
        let html = document.html();
        assert!(html.contains("<td>&lt;script&gt;</td>"), "{html}");
        assert!(!html.contains("<script>"));
    }

    #[test]
    fn an_empty_table_is_left_out() {
        let mut document = Document {
            title: String::new(),
            sections: Vec::new(),
        };
        document.table("nothing", &["a"], Vec::new());
        assert!(!document.markdown().contains("nothing"));
    }
}
