//! Where a write finds the ledger, and where it leaves it.

use super::refused::{position_back, went_back};
use crate::domain::fault::{Fault, Result};
use crate::domain::position::Position;
use std::fmt::Display;

/// What a write needs of the ledger's position, and makes of it. By default it needs nothing and leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Advance {
    /// What it holds at least.
    pub after: Position,
    /// What it holds afterwards; none: what it held.
    pub upto: Option<Position>,
}

impl Advance {
    /// Refuses a ledger that stands elsewhere.
    pub fn check(self, place: impl Display, there: Position) -> Result<(), Fault> {
        match self.upto {
            _ if there < self.after => Err(went_back(place, there, self.after)),
            Some(upto) if there > upto => Err(position_back(place, there, upto)),
            _ => Ok(()),
        }
    }
}
