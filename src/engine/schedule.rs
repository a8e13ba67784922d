//! Which chunks are compared next: what somebody asked for, what was never compared or was repaired, then all of them
//! again and again in the order of the map, so that the one longest ago is always next.

use crate::domain::command::Scope;
use crate::domain::event::{Fact, Phase};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::position::Position;
use crate::domain::unit::Rows;
use crate::domain::verdict::ChunkVerdict;
use crate::state::chunks::ChunkState;
use crate::state::migration::Migration;
use std::collections::{BTreeMap, BTreeSet};

/// Chunks in one batch: compared in one pair of views.
pub const BATCH: usize = 32;

/// The verifier's plan. Lost with the process: a new engine starts a new pass.
#[derive(Debug, Default)]
pub struct Schedule {
    urgent: BTreeSet<ChunkId>,
    asked: Vec<Scope>,
    in_flight: BTreeMap<ChunkId, (u32, u8)>,
    fresh_from: BTreeMap<TableId, u32>,
    cursor: Option<ChunkId>,
    /// Chunks of the pass that were given out and not reported yet.
    out: BTreeSet<ChunkId>,
    pass: Tally,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    compared: u32,
    source_rows: Rows,
    target_rows: Rows,
    position: Option<Position>,
}

/// What to compare, and how pressing it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The chunks, in order.
    pub chunks: Vec<ChunkId>,
    /// Whether somebody waits for it, or it was never compared: not to be slowed down.
    pub pressing: bool,
}

/// How often a chunk whose rows were in flight is looked at again at once; then its turn in the pass has to do.
const TRIES: u8 = 20;

impl Schedule {
    /// Somebody wants these compared now.
    pub fn ask(&mut self, scope: Scope) {
        if !self.asked.contains(&scope) {
            self.asked.push(scope);
        }
    }

    /// These were repaired: what differs there must be looked at again.
    pub fn repaired(&mut self, chunks: &[ChunkId]) {
        self.urgent.extend(chunks);
    }

    /// Rows that were in flight at their last compare.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
            .values()
            .map(|(rows, _)| u64::from(*rows))
            .sum()
    }

    /// The next batch; empty when there is nothing to compare. While copying, only what somebody asked for or what landed.
    pub fn next(&mut self, state: &Migration) -> Due {
        for scope in std::mem::take(&mut self.asked) {
            self.urgent.extend(chunks_of(state, &scope));
        }
        if !self.urgent.is_empty() {
            let chunks: Vec<ChunkId> = self.urgent.iter().take(BATCH).copied().collect();
            for chunk in &chunks {
                self.urgent.remove(chunk);
            }
            return Due {
                chunks,
                pressing: true,
            };
        }
        let retry: Vec<ChunkId> = self
            .in_flight
            .iter()
            .filter(|(_, (_, tries))| *tries < TRIES)
            .map(|(c, _)| *c)
            .take(BATCH)
            .collect();
        let fresh = self.unchecked(state, BATCH.saturating_sub(retry.len()));
        if !retry.is_empty() || !fresh.is_empty() {
            let pressing = state.phase != Phase::Copy;
            return Due {
                chunks: retry.into_iter().chain(fresh).collect(),
                pressing,
            };
        }
        if state.phase == Phase::Copy {
            return Due::default();
        }
        Due {
            chunks: self.pass_on(state),
            pressing: false,
        }
    }

    fn unchecked(&mut self, state: &Migration, most: usize) -> Vec<ChunkId> {
        let mut found = Vec::new();
        for (id, _, table) in state.live_tables() {
            if table.chunks.tally().unchecked_chunks == 0 || found.len() >= most {
                continue;
            }
            // Chunks before this were compared once; those that were repaired since come as urgent.
            let from = self.fresh_from.entry(id).or_default();
            let cells = table.chunks.cells();
            let waits = |no: &u32| {
                matches!(
                    cells[*no as usize].state(),
                    ChunkState::Landed | ChunkState::Repaired
                )
            };
            let waiting: Vec<u32> = (*from..table.chunks.len())
                .filter(waits)
                .take(most - found.len())
                .collect();
            match waiting.first() {
                Some(first) => *from = *first,
                // Something before the mark waits (a repair of an earlier run): look from the start the next time.
                None => *from = 0,
            }
            found.extend(waiting.into_iter().map(|no| ChunkId { table: id, no }));
        }
        found
    }

    fn pass_on(&mut self, state: &Migration) -> Vec<ChunkId> {
        let mut chunks = Vec::with_capacity(BATCH);
        for (id, _, table) in state.live_tables() {
            let from = match self.cursor {
                Some(cursor) if cursor.table > id => continue,
                Some(cursor) if cursor.table == id => cursor.no + 1,
                _ => 0,
            };
            for no in (from..table.chunks.len()).take(BATCH - chunks.len()) {
                chunks.push(ChunkId { table: id, no });
            }
            if chunks.len() == BATCH {
                break;
            }
        }
        self.out = chunks.iter().copied().collect();
        chunks
    }

    /// Takes a verdict in.
    pub fn compared(&mut self, chunk: ChunkId, verdict: &ChunkVerdict) {
        if verdict.in_flight == 0 {
            self.in_flight.remove(&chunk);
        } else {
            let entry = self.in_flight.entry(chunk).or_default();
            *entry = (verdict.in_flight, entry.1.saturating_add(1));
        }
        // What somebody asked for in between is no part of the pass: it would hide chunks that were left out.
        if self.out.remove(&chunk) {
            self.cursor = self.cursor.max(Some(chunk));
            self.pass.compared += 1;
            self.pass.source_rows += verdict.source_rows;
            self.pass.target_rows += verdict.target_rows;
            let oldest = self
                .pass
                .position
                .map_or(verdict.position, |p| p.min(verdict.position));
            self.pass.position = Some(oldest);
        }
    }

    /// The fact that ends a pass, when the cursor has come to the end of the map; the next pass begins then.
    pub fn pass_finished(&mut self, state: &Migration) -> Option<Fact> {
        if state.phase == Phase::Copy || !state.live_tables().all(|(_, _, t)| t.complete) {
            // Chunks of an unfinished map are no pass.
            self.cursor = None;
            self.out.clear();
            self.pass = Tally::default();
            return None;
        }
        let last = state
            .live_tables()
            .filter(|(_, _, t)| !t.chunks.is_empty())
            .last()
            .map(|(id, _, t)| ChunkId {
                table: id,
                no: t.chunks.len() - 1,
            });
        if last.is_none() || self.cursor != last {
            return None;
        }
        let chunks = state.live_tables().map(|(_, _, t)| t.chunks.len()).sum();
        let pass = std::mem::take(&mut self.pass);
        self.cursor = None;
        for (_, tries) in self.in_flight.values_mut() {
            *tries = 0;
        }
        Some(Fact::PassFinished {
            chunks,
            compared: pass.compared,
            source_rows: pass.source_rows,
            target_rows: pass.target_rows,
            valid: pass.compared == chunks && chunks > 0,
            position: pass.position.unwrap_or_default(),
        })
    }
}

fn chunks_of(state: &Migration, scope: &Scope) -> Vec<ChunkId> {
    let of_table = |id: TableId, len: u32| (0..len).map(move |no| ChunkId { table: id, no });
    match scope {
        Scope::All => state
            .live_tables()
            .flat_map(|(id, _, t)| of_table(id, t.chunks.len()))
            .collect(),
        Scope::Table(id) | Scope::Rows(id, _) => {
            of_table(*id, state.table(*id).map_or(0, |t| t.chunks.len())).collect()
        }
        Scope::Chunks(chunks) => chunks
            .iter()
            .filter(|c| state.table(c.table).is_some_and(|t| c.no < t.chunks.len()))
            .copied()
            .collect(),
    }
}
