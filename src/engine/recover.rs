//! Finding out where things stand: the journal says what was decided, the target's ledger what has landed.

use super::copy::Start;
use super::report::Report;
use crate::db::{ChunkMark, Endpoint, Ledger, Writer};
use crate::domain::event::Phase;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{ChunkId, TableId};
use crate::domain::plan::Plan;
use crate::domain::position::Position;
use crate::state::migration::Migration;
use std::sync::Arc;

/// What recovery found.
pub struct Recovered {
    /// What the journal must learn.
    pub report: Report,
    /// The way to write, where there is a ledger already.
    pub writer: Option<Box<dyn Writer>>,
}

/// Takes the lease where there is a ledger, and compares it with the journal. The ledger wins on what has landed.
pub async fn recover(
    state: &Migration,
    plan: &Arc<Plan>,
    target: &Arc<dyn Endpoint>,
) -> Result<Recovered> {
    let resumed = state.engine_starts > 0;
    let followed = matches!(
        state.phase,
        Phase::Copy | Phase::CatchUp | Phase::Synced | Phase::Reads
    );
    if !followed {
        let report = Report::Recovered {
            token: None,
            applied: Position::START,
            resumed,
            found: Vec::new(),
            complete: Vec::new(),
        };
        return Ok(Recovered {
            report,
            writer: None,
        });
    }
    let writer = target.writer(plan).await?;
    let ledger = writer.ledger().await?;
    let mut found = Vec::new();
    let mut complete = Vec::new();
    for (table, planned, known) in state.live_tables() {
        let last = ledger.last.iter().find(|(id, _, _)| *id == table);
        let known = known.chunks.len();
        not_behind(&ledger, table, &planned.source, known)?;
        let marks = writer.landed(table, known.saturating_sub(1)).await?;
        for mark in unbroken(marks, known) {
            found.push((
                ChunkId {
                    table,
                    no: mark.chunk.no,
                },
                mark.range,
                mark.rows,
            ));
        }
        if last.is_some_and(|(_, _, hi)| hi.is_none()) {
            complete.push(table);
        }
    }
    let report = Report::Recovered {
        token: Some(ledger.token),
        applied: ledger.applied,
        resumed,
        found,
        complete,
    };
    Ok(Recovered {
        report,
        writer: Some(writer),
    })
}

/// Of the ledger's marks from the last known chunk on those that the journal does not know yet, up to the first gap.
pub fn unbroken(marks: Vec<ChunkMark>, known: u32) -> Vec<ChunkMark> {
    let mut marks = marks.into_iter().peekable();
    let end = marks.next_if(|mark| mark.chunk.no + 1 == known);
    let mut found: Vec<ChunkMark> = Vec::new();
    for mark in marks {
        let follows = match found.last().or(end.as_ref()) {
            Some(before) => {
                before.chunk.no + 1 == mark.chunk.no
                    && before.range.hi.is_some()
                    && before.range.hi == mark.range.lo
            }
            None => mark.chunk.no == 0,
        };
        if !follows {
            break;
        }
        found.push(mark);
    }
    found
}

/// The target must have landed as many chunks of a table as the journal says.
pub fn not_behind(ledger: &Ledger, table: TableId, name: &str, journaled: u32) -> Result<()> {
    let last = ledger.last.iter().find(|(id, _, _)| *id == table);
    let landed = last.map_or(0, |(_, no, _)| no + 1);
    match landed < journaled {
        true => Err(behind(name, journaled, landed)),
        false => Ok(()),
    }
}

fn behind(table: &str, journaled: u32, landed: u32) -> Fault {
    Fault::new(Kind::InDoubt, "the target is not where this migration left it")
        .code("LEDGER-BEHIND")
        .cause(format!("the journal has {journaled} chunks of {table} landed, the target's ledger {landed}"))
        .hint("was the target restored from a backup? give this migration up and start a new one, or bring the target back")
}

/// Where the copy of each of these tables goes on.
pub fn starts(tables: &[TableId], ledger: &Ledger) -> Vec<Start> {
    tables
        .iter()
        .map(
            |table| match ledger.last.iter().find(|(id, _, _)| id == table) {
                Some((_, no, hi)) => Start {
                    table: *table,
                    no: no + 1,
                    lo: hi.clone(),
                },
                None => Start {
                    table: *table,
                    no: 0,
                    lo: None,
                },
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::{Bound, Range};
    use crate::domain::unit::Rows;
    use crate::domain::value::Value;

    fn mark(no: u32, lo: i64, hi: Option<i64>) -> ChunkMark {
        let bound = |at: i64| Bound([Value::Integer(at)].into());
        let table = TableId(0);
        ChunkMark {
            chunk: ChunkId { table, no },
            range: Range {
                lo: (no > 0).then(|| bound(lo)),
                hi: hi.map(bound),
            },
            rows: Rows(1),
        }
    }

    fn numbers(marks: &[ChunkMark], known: u32) -> Vec<u32> {
        let from = known.saturating_sub(1);
        let marks = marks.iter().filter(|mark| mark.chunk.no >= from);
        unbroken(marks.cloned().collect(), known)
            .iter()
            .map(|mark| mark.chunk.no)
            .collect()
    }

    #[test]
    fn a_target_that_lacks_a_chunk_needs_a_person() {
        let ledger = Ledger {
            token: crate::domain::id::Token(1),
            applied: Position::START,
            last: vec![(TableId(0), 2, None)],
        };
        let looked = |table, journaled| not_behind(&ledger, TableId(table), "orders", journaled);
        assert_eq!(looked(0, 3), Ok(()));
        assert_eq!(looked(1, 0), Ok(()));
        for fault in [looked(0, 4), looked(1, 1)].map(Result::unwrap_err) {
            assert_eq!(
                (fault.kind, fault.code.as_str()),
                (Kind::InDoubt, "LEDGER-BEHIND")
            );
        }
    }

    #[test]
    fn what_lies_beyond_a_gap_is_not_known() {
        let (a, b, c) = (mark(0, 0, Some(5)), mark(1, 5, Some(9)), mark(2, 9, None));
        let all = [a.clone(), b.clone(), c.clone()];
        assert_eq!(numbers(&all, 0), [0, 1, 2]);
        assert_eq!(numbers(&all, 2), [2]);
        assert_eq!(numbers(&all, 3), [] as [u32; 0]);
        assert_eq!(numbers(&[a.clone(), c.clone()], 0), [0]);
        assert_eq!(numbers(&[a.clone(), c.clone()], 1), [] as [u32; 0]);
        assert_eq!(numbers(&[b.clone(), c.clone()], 0), [] as [u32; 0]);
        // Of an earlier engine: it begins elsewhere.
        let stale = mark(2, 8, Some(12));
        assert_eq!(numbers(&[a.clone(), b.clone(), stale], 1), [1]);
        // Behind the table's end.
        let end = mark(1, 5, None);
        assert_eq!(numbers(&[a, end, mark(2, 9, Some(12))], 1), [1]);
    }
}
