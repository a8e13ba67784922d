//! Which chunks are compared next: what somebody asked for, what was never compared or was repaired, then all of them
//! again and again in the order of the map, so that the one longest ago is always next.

use crate::domain::command::Scope;
use crate::domain::event::{Fact, Phase};
use crate::domain::id::{ChunkId, CommandId, SessionId, TableId};
use crate::domain::position::Position;
use crate::domain::unit::Rows;
use crate::domain::verdict::ChunkVerdict;
use crate::state::chunks::ChunkState;
use crate::state::migration::Migration;
use std::collections::{BTreeMap, BTreeSet};

/// The command that something follows from: session and number.
pub type Cause = (SessionId, CommandId);

/// Chunks in one batch: compared in one pair of views.
pub const BATCH: usize = 32;
/// The same while the copy runs: short, so that the share of the time that comparing may take is kept from the start.
const BATCH_WHILE_COPYING: usize = 2;

/// The verifier's plan. Lost with the process: a new engine starts a new pass.
#[derive(Debug, Default)]
pub struct Schedule {
    /// With the command that each follows from.
    urgent: BTreeMap<ChunkId, Option<Cause>>,
    asked: Vec<(Scope, Option<Cause>)>,
    /// Urgent chunks that were given out: those without a verdict when the next batch is asked for are given out again, for
    /// their batch failed.
    given: BTreeMap<ChunkId, (Option<Cause>, u8)>,
    /// Chunks of the batch that is being compared whose verdicts will count.
    batch: BTreeSet<ChunkId>,
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
    /// The command that all of them follow from: its verdicts are told apart from those of a compare that had begun before.
    pub cause: Option<Cause>,
    /// Whether somebody waits for it, or it was never compared: not to be slowed down.
    pub pressing: bool,
}

/// How often a chunk whose rows were in flight is looked at again at once; then its turn in the pass has to do.
const TRIES: u8 = 20;

impl Schedule {
    /// Somebody wants these compared now.
    pub fn ask(&mut self, scope: Scope, cause: Option<Cause>) {
        if !self
            .asked
            .iter()
            .any(|(asked, of)| *asked == scope && *of == cause)
        {
            self.asked.push((scope, cause));
        }
    }

    /// These were repaired: they must be looked at again. What is being compared now may have been read before that.
    pub fn repaired(&mut self, chunks: &[ChunkId]) {
        for chunk in chunks {
            self.batch.remove(chunk);
        }
        self.urgent
            .extend(chunks.iter().map(|chunk| (*chunk, None)));
    }

    /// Whether a verdict on this chunk is about the rows as they are: false when they were repaired since it was given out.
    pub fn counts(&self, chunk: ChunkId) -> bool {
        self.batch.contains(&chunk)
    }

    /// Rows that were in flight at their last compare.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
            .values()
            .map(|(rows, _)| u64::from(*rows))
            .sum()
    }

    /// The next batch; empty when there is nothing to compare. While copying, only what somebody asked for or what landed.
    /// `pressing_only`: nothing that can wait. `keyless`: of these tables only what somebody asked for.
    pub fn next(
        &mut self,
        state: &Migration,
        pressing_only: bool,
        keyless: &BTreeSet<TableId>,
    ) -> Due {
        let due = self.choose(state, pressing_only, keyless);
        self.batch = due.chunks.iter().copied().collect();
        due
    }

    fn choose(
        &mut self,
        state: &Migration,
        pressing_only: bool,
        keyless: &BTreeSet<TableId>,
    ) -> Due {
        for (scope, cause) in std::mem::take(&mut self.asked) {
            self.urgent.extend(
                chunks_of(state, &scope)
                    .into_iter()
                    .map(|chunk| (chunk, cause)),
            );
        }
        let mut tries = BTreeMap::new();
        for (chunk, (cause, given)) in std::mem::take(&mut self.given) {
            if given < TRIES {
                self.urgent.entry(chunk).or_insert(cause);
                tries.insert(chunk, given);
            }
        }
        if let Some((_, cause)) = self.urgent.first_key_value() {
            let cause = *cause;
            let of_one = self.urgent.iter().filter(|(_, of)| **of == cause);
            let chunks: Vec<ChunkId> = of_one.take(BATCH).map(|(chunk, _)| *chunk).collect();
            for chunk in &chunks {
                self.urgent.remove(chunk);
                let before = tries.get(chunk).copied().unwrap_or_default();
                self.given.insert(*chunk, (cause, before + 1));
            }
            return Due {
                chunks,
                cause,
                pressing: true,
            };
        }
        if pressing_only && state.phase == Phase::Copy {
            return Due::default();
        }
        let most = match state.phase {
            Phase::Copy => BATCH_WHILE_COPYING,
            _ => BATCH,
        };
        let retry: Vec<ChunkId> = self
            .in_flight
            .iter()
            .filter(|(_, (_, tries))| *tries < TRIES)
            .map(|(c, _)| *c)
            .take(most)
            .collect();
        let fresh = self.unchecked(state, most.saturating_sub(retry.len()), keyless);
        if !retry.is_empty() || !fresh.is_empty() {
            let pressing = state.phase != Phase::Copy;
            return Due {
                chunks: retry.into_iter().chain(fresh).collect(),
                cause: None,
                pressing,
            };
        }
        if state.phase == Phase::Copy || pressing_only {
            return Due::default();
        }
        Due {
            chunks: self.pass_on(state),
            cause: None,
            pressing: false,
        }
    }

    fn unchecked(
        &mut self,
        state: &Migration,
        most: usize,
        keyless: &BTreeSet<TableId>,
    ) -> Vec<ChunkId> {
        let mut found = Vec::new();
        let tables = state.live_tables();
        for (id, _, table) in tables.filter(|(id, _, _)| !keyless.contains(id)) {
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
        self.given.remove(&chunk);
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
        // One that was given out may still come: a repair overtook its verdict, and it is compared again.
        if last.is_none() || self.cursor != last || !self.out.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Body, Event};
    use crate::domain::id::{MigrationName, Seq};
    use crate::domain::plan::{
        Backfill, EndPlan, Engine, Environment, Plan, Prune, Throttle, Verify,
    };
    use crate::domain::table::{KeySpec, Mode, Table};
    use crate::domain::unit::{At, Bytes, Span, Tick};
    use crate::domain::verdict::DriftCounts;
    use crate::state::table::TableState;
    use std::sync::Arc;

    const ORDERS: TableId = TableId(0);

    /// One complete table of so many chunks, in step.
    fn synced(chunks: u32) -> Migration {
        let end = EndPlan {
            engine: Engine::Sim,
            url: "sim:".into(),
            label: "sim".into(),
        };
        let table = Table {
            source: "orders".into(),
            target: "orders".into(),
            columns: Vec::new(),
            mode: Mode::Live(KeySpec {
                columns: Vec::new(),
                collations: Vec::new(),
            }),
            shape: String::new(),
        };
        let plan = Plan {
            name: MigrationName::unnamed(),
            environment: Environment::Dev,
            source: end.clone(),
            target: end,
            tables: vec![table],
            backfill: Backfill {
                chunk_time: Span::ZERO,
                chunk_bytes: Bytes::ZERO,
                workers: 1,
                max_rows_per_second: None,
            },
            throttle: Throttle {
                max_lag: Span::ZERO,
                max_lock_wait: Span::ZERO,
                stale_after: Span::ZERO,
                ..Throttle::default()
            },
            verify: Verify {
                max_age: Span::seconds(1),
                max_rows_per_second: None,
            },
            shadow: Vec::new(),
            prune: Prune::Auto,
            adopt: Vec::new(),
            signals: Vec::new(),
            wal_space: None,
        };
        let mut state = Migration {
            plan: Some(Arc::new(plan)),
            tables: vec![TableState::default()],
            phase: Phase::Copy,
            ..Migration::default()
        };
        let mut facts: Vec<Fact> = (0..chunks)
            .map(|no| Fact::ChunkLanded {
                chunk: ChunkId { table: ORDERS, no },
                rows: Rows(10),
                bytes: Bytes(10),
                took: Span::ZERO,
                position: Position(1),
                attempt: 1,
            })
            .collect();
        facts.push(Fact::TableCopied { table: ORDERS });
        facts.push(Fact::ChunksEqual {
            table: ORDERS,
            first: 0,
            rows: vec![10; chunks as usize],
            position: Position(1),
        });
        for (fact, seq) in facts.into_iter().zip(1..) {
            state.apply(&Event {
                seq: Seq(seq),
                at: At(0),
                tick: Tick(1),
                cause: None,
                body: Body::Fact(fact),
            });
        }
        assert_eq!(state.illegal, 0);
        state.phase = Phase::Synced;
        state
    }

    fn equal() -> ChunkVerdict {
        ChunkVerdict {
            position: Position(1),
            source_rows: Rows(10),
            target_rows: Rows(10),
            in_flight: 0,
            differ: DriftCounts::default(),
            columns: Vec::new(),
        }
    }

    fn cause(n: u64) -> Option<Cause> {
        Some((SessionId(n), CommandId(1)))
    }

    #[test]
    fn what_was_asked_for_is_told_apart_from_the_pass_that_had_begun() {
        let state = synced(3);
        let mut schedule = Schedule::default();
        let pass = schedule.next(&state, false, &BTreeSet::new());
        assert_eq!((pass.chunks.len(), pass.cause), (3, None));
        schedule.ask(Scope::Table(ORDERS), cause(7));
        // The pass's verdicts come in after the ask, and answer nothing.
        for chunk in &pass.chunks {
            schedule.compared(*chunk, &equal());
        }
        let asked = schedule.next(&state, false, &BTreeSet::new());
        assert_eq!((asked.chunks.len(), asked.cause), (3, cause(7)));
        assert!(asked.pressing);
        for chunk in &asked.chunks {
            schedule.compared(*chunk, &equal());
        }
        assert_eq!(schedule.next(&state, false, &BTreeSet::new()).cause, None);
    }

    #[test]
    fn two_who_ask_get_batches_of_their_own() {
        let state = synced(2);
        let mut schedule = Schedule::default();
        let chunk = |no| ChunkId { table: ORDERS, no };
        schedule.ask(Scope::Chunks(vec![chunk(0)]), cause(1));
        schedule.ask(Scope::Chunks(vec![chunk(1)]), cause(2));
        let first = schedule.next(&state, false, &BTreeSet::new());
        assert_eq!((first.chunks, first.cause), (vec![chunk(0)], cause(1)));
        schedule.compared(chunk(0), &equal());
        let second = schedule.next(&state, false, &BTreeSet::new());
        assert_eq!((second.chunks, second.cause), (vec![chunk(1)], cause(2)));
    }

    #[test]
    fn what_presses_does_not_wait_for_the_pace() {
        let state = synced(2);
        let mut schedule = Schedule::default();
        assert!(
            schedule
                .next(&state, true, &BTreeSet::new())
                .chunks
                .is_empty(),
            "a pass can wait"
        );
        schedule.ask(Scope::All, cause(1));
        assert_eq!(
            schedule.next(&state, true, &BTreeSet::new()).chunks.len(),
            2
        );
    }

    #[test]
    fn a_batch_that_failed_is_given_out_again_but_not_for_ever() {
        let state = synced(2);
        let mut schedule = Schedule::default();
        schedule.ask(Scope::All, cause(1));
        let mut given = 0;
        while schedule.next(&state, false, &BTreeSet::new()).cause == cause(1) {
            given += 1;
            assert!(given <= 2 * u32::from(TRIES), "it ends");
        }
        assert_eq!(given, u32::from(TRIES));
    }
}
