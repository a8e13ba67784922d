//! Finding out where things stand: the journal says what was decided, the target's ledger what has landed.

use super::copy::Start;
use super::report::Report;
use crate::db::{Endpoint, Ledger, Writer};
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
        let landed = last.map_or(0, |(_, no, _)| no + 1);
        if landed < known.chunks.len() {
            return Err(behind(&planned.source, known.chunks.len(), landed));
        }
        for mark in writer.landed(table, known.chunks.len()).await? {
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
