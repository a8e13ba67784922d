//! L1: the fold of events, and pure questions about what it holds.
//!
//! The engine, every console, headless output, reports, replay and tests use this one fold: the condition on the screen is
//! the function that permits the act.
//!
//! Architecture invariant: `state` reads no clock (time arrives inside the event), draws no chance, does no I/O, knows no
//! database and no screen.

pub mod chunks;
pub mod conditions;
pub mod ending;
pub mod limits;
pub mod migration;
pub mod pace;
pub mod people;
pub mod phase;
pub mod stream;
pub mod table;
pub mod timeline;
