//! A deterministic database in memory, with the habits of real ones that migrations fall over: a log that runs ahead of
//! what reads see, replies that get lost, markers, leases, constraints.
//!
//! [`Base`] is the database, without a task or a clock: `tests/interleave.rs` drives the lane's core over it, step by step.

mod base;
mod land;
mod table;

pub use base::{Base, Kind, Refused, Slack, Snapshot, Stmt};
pub use table::{Definition, Violated};
