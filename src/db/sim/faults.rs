//! What goes wrong, on demand.

use crate::domain::fault::{Fault, Kind};

/// Where something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Opening a read.
    View,
    /// Opening the stream.
    Feed,
    /// The stream's next item.
    Next,
    /// Telling the source what it may forget.
    Release,
    /// Reading the ledger, or the landed chunks.
    Ledger,
    /// Landing rows.
    Land,
    /// Applying changes.
    Apply,
}

/// How.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It fails, is not done, and may work the next time.
    Passing,
    /// It fails with this and is not done.
    Fails(Fault),
    /// The request never arrives and nobody knows.
    LostRequest,
    /// It is done, and nobody knows.
    LostReply,
}

impl Trouble {
    /// The fault that it is reported as, by an act that has no unknown outcome.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Fails(fault) => fault.clone(),
            Self::Passing | Self::LostRequest | Self::LostReply => {
                Fault::new(Kind::Transient, "the connection was lost").code("CONNECTION-ENDED")
            }
        }
    }
}

/// What is to go wrong, in order.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<(Op, Trouble)>);

impl Script {
    pub fn add(&mut self, op: Op, trouble: Trouble) {
        self.0.push((op, trouble));
    }

    /// What goes wrong with this act, if anything.
    pub fn take(&mut self, op: Op) -> Option<Trouble> {
        let at = self.0.iter().position(|(o, _)| *o == op)?;
        Some(self.0.remove(at).1)
    }
}
