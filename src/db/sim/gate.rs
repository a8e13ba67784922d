//! The application's door.

use super::endpoint::Sim;
use crate::db::{Gate, GateState};
use crate::domain::fault::{Fault, Kind, Outcome, Result};
use crate::domain::position::Position;
use crate::domain::unit::Span;
use async_trait::async_trait;
use std::sync::Arc;

pub(super) struct SimGate {
    sim: Arc<Sim>,
}

impl SimGate {
    pub fn new(sim: Arc<Sim>) -> Self {
        Self { sim }
    }

    fn turn(&self, open: bool, epoch: u64) -> Outcome<Position> {
        self.sim.with(|base| {
            let head = base.head();
            match &mut base.gate {
                None => {
                    Outcome::NotDone(Fault::new(Kind::Blocked, "there is no gate").code("NO-GATE"))
                }
                Some(gate) if epoch < gate.epoch || epoch == gate.epoch && open != gate.open => {
                    Outcome::NotDone(
                        Fault::new(Kind::Refused, "the gate has moved on since").code("EPOCH-BACK"),
                    )
                }
                Some(gate) => {
                    (gate.open, gate.epoch) = (open, epoch);
                    if !open {
                        gate.unguarded.clear();
                    }
                    Outcome::Done(head)
                }
            }
        })
    }
}

#[async_trait]
impl Gate for SimGate {
    async fn read(&self) -> Result<Option<GateState>> {
        Ok(self.sim.lock().gate.clone())
    }

    /// A barrier at once: commits here are atomic, so none is under way.
    async fn close(&self, epoch: u64, _budget: Span) -> Outcome<Position> {
        self.turn(false, epoch)
    }

    async fn open(&self, epoch: u64) -> Outcome<()> {
        match self.turn(true, epoch) {
            Outcome::Done(_) => Outcome::Done(()),
            Outcome::NotDone(fault) => Outcome::NotDone(fault),
            Outcome::Unknown(evidence) => Outcome::Unknown(evidence),
        }
    }
}
