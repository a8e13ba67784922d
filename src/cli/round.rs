//! One round of compares by a running engine: each chunk of a scope looked at once more, told as one compare.

use super::talk::Accepted;
use crate::domain::command::{Command, Scope};
use crate::domain::compared::{Answer, Compared, TableCompared};
use crate::domain::event::{Body, Event, Fact};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::position::Position;
use crate::domain::table::{KeySpec, Mode};
use crate::domain::unit::{Rows, Tick};
use crate::domain::verdict::{ChunkVerdict, DriftCounts, RowDiff};
use crate::engine::schedule::Cause;
use crate::state::migration::Migration;
use std::collections::{BTreeMap, BTreeSet};

/// A chunk whose rows were in flight is waited for so often; the engine looks at it again by itself.
const VISITS: u8 = 5;

/// What has come of the round so far.
pub struct Round {
    waiting: BTreeMap<ChunkId, u8>,
    causes: Vec<Cause>,
    tables: BTreeMap<TableId, Tally>,
    position: Option<Position>,
    began: Tick,
    source: String,
    target: String,
    left_out: Vec<(String, String)>,
}

#[derive(Default)]
struct Tally {
    table: TableCompared,
    columns: BTreeSet<u16>,
    differing: Vec<ChunkId>,
}

impl Round {
    /// Over the landed chunks of whole tables.
    pub fn new(state: &Migration, scopes: &[Scope]) -> Self {
        let mut round = Self {
            waiting: BTreeMap::new(),
            causes: Vec::new(),
            tables: BTreeMap::new(),
            position: None,
            began: state.tick,
            source: String::new(),
            target: String::new(),
            left_out: Vec::new(),
        };
        let Some(plan) = &state.plan else {
            return round;
        };
        round.source = plan.source.engine.label().to_owned();
        round.target = plan.target.engine.label().to_owned();
        for (id, table) in plan.ids() {
            let asked = scopes.iter().any(|scope| match scope {
                Scope::All => true,
                Scope::Table(wanted) => *wanted == id,
                Scope::Chunks(_) | Scope::Rows(..) => false,
            });
            match &table.mode {
                Mode::LeftOut(why) => round.left_out.push((table.source.clone(), why.clone())),
                Mode::Live(key) if asked => round.add(state, id, key),
                Mode::Live(_) => {}
            }
        }
        round
    }

    fn add(&mut self, state: &Migration, id: TableId, key: &KeySpec) {
        let (Some(plan), Some(at)) = (&state.plan, state.table(id)) else {
            return;
        };
        let Some(table) = plan.table(id) else { return };
        let name = |place: &u16| {
            table
                .columns
                .get(usize::from(*place))
                .map(|column| column.name.clone())
        };
        let chunks = at.chunks.len();
        self.waiting
            .extend((0..chunks).map(|no| (ChunkId { table: id, no }, 0)));
        // A table that is still being copied has more chunks than have landed: it is not covered.
        let expected = if at.complete {
            chunks
        } else {
            at.expected_chunks().max(chunks + 1)
        };
        let result = TableCompared {
            source: table.source.clone(),
            target: table.target.clone(),
            chunks: expected,
            key: key.columns.iter().filter_map(name).collect(),
            shown: table
                .columns
                .iter()
                .map(|column| (column.name.clone(), column.masked))
                .collect(),
            note: if at.complete {
                String::new()
            } else {
                "still being copied".into()
            },
            ..TableCompared::default()
        };
        self.tables.insert(
            id,
            Tally {
                table: result,
                ..Tally::default()
            },
        );
    }

    /// This command asks for the compares of the round; those of one that was taken later serve as well.
    pub fn asked(&mut self, accepted: &Accepted) {
        self.causes.push(accepted.cause());
    }

    /// Takes in what the engine says. A compare counts if it began after the command: its first verdict follows from it.
    pub fn heed(&mut self, event: &Event) {
        match &event.body {
            Body::Fact(Fact::Accepted {
                command: Command::Verify(_),
                ..
            }) => {
                self.causes.extend(event.cause);
            }
            Body::Fact(Fact::ChunkChecked { chunk, verdict }) => {
                self.checked(*chunk, verdict, event.cause)
            }
            Body::Fact(Fact::ChunksEqual {
                table,
                first,
                rows,
                position,
            }) => {
                for (no, rows) in (*first..).zip(rows) {
                    let rows = Rows(u64::from(*rows));
                    let verdict = ChunkVerdict {
                        position: *position,
                        source_rows: rows,
                        target_rows: rows,
                        in_flight: 0,
                        differ: DriftCounts::default(),
                        columns: Vec::new(),
                    };
                    self.checked(ChunkId { table: *table, no }, &verdict, event.cause);
                }
            }
            _ => {}
        }
    }

    fn checked(&mut self, chunk: ChunkId, verdict: &ChunkVerdict, cause: Option<Cause>) {
        let Some(visits) = self.waiting.get_mut(&chunk) else {
            return;
        };
        // The verifier compares one batch after the other: what comes after a verdict of ours has begun after it.
        let begun_since = *visits > 0 || cause.is_some_and(|cause| self.causes.contains(&cause));
        if !begun_since {
            return;
        }
        *visits += 1;
        if verdict.in_flight > 0 && verdict.equal() && *visits < VISITS {
            return;
        }
        self.waiting.remove(&chunk);
        self.position = Some(
            self.position
                .map_or(verdict.position, |oldest| oldest.min(verdict.position)),
        );
        let Some(tally) = self.tables.get_mut(&chunk.table) else {
            return;
        };
        let table = &mut tally.table;
        table.compared += 1;
        table.source_rows += verdict.source_rows;
        table.target_rows += verdict.target_rows;
        table.in_flight += u64::from(verdict.in_flight);
        table.differ.missing += verdict.differ.missing;
        table.differ.extra += verdict.differ.extra;
        table.differ.changed += verdict.differ.changed;
        tally.columns.extend(&verdict.columns);
        if !verdict.equal() {
            tally.differing.push(chunk);
        }
    }

    /// Whether every chunk was looked at.
    pub fn over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Chunks in which rows differ.
    pub fn differing(&self) -> Vec<ChunkId> {
        self.tables
            .values()
            .flat_map(|tally| tally.differing.iter().copied())
            .collect()
    }

    /// The round as one compare, with `rows` that differ listed by table.
    pub fn told(self, state: &Migration, mut rows: BTreeMap<TableId, Vec<RowDiff>>) -> Compared {
        let tables = self.tables.into_iter().map(|(id, mut tally)| {
            let names = tally
                .columns
                .iter()
                .filter_map(|at| tally.table.shown.get(usize::from(*at)));
            tally.table.columns = names.map(|(name, _)| name.clone()).collect();
            tally.table.rows = rows.remove(&id).unwrap_or_default();
            tally.table
        });
        let mut compared = Compared {
            answer: Answer::Invalid,
            source: self.source,
            target: self.target,
            position: self.position,
            still: false,
            tables: tables.collect(),
            only_source: Vec::new(),
            only_target: Vec::new(),
            left_out: self.left_out,
            took: state.tick.since(self.began),
        };
        compared.answer = compared.conclude();
        compared
    }
}
