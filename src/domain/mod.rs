//! L0: the language of tidegate. Plain data that every layer shares; it knows no database, no clock, no screen.
//!
//! Architecture invariant: `domain` imports nothing of ours, reads no clock, draws no chance, does no I/O.

pub mod bulk;
pub mod change;
pub mod command;
pub mod compared;
pub mod event;
pub mod fault;
pub mod finding;
pub mod id;
pub mod key;
pub mod limits;
pub mod packed;
pub mod percent;
pub mod plan;
pub mod position;
pub mod preflight;
pub mod redact;
pub mod sample;
pub mod signal;
pub mod table;
pub mod unit;
pub mod value;
pub mod verdict;
pub mod words;
