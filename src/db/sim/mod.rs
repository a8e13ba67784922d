//! A deterministic database in memory, with the habits of real ones that migrations fall over: a log that runs ahead of
//! what reads see, replies that get lost, markers, leases, constraints.
//!
//! [`Base`] is the database, without a task or a clock: `tests/interleave.rs` drives the lane's core over it, step by step. [`Sim`] shares one between tasks and
//! makes it an end of a migration, with faults on demand.

mod base;
mod endpoint;
mod faults;
mod feed;
mod gate;
mod land;
mod power;
mod query;
mod table;
mod view;
mod writer;

pub use base::{Base, Kind, Refused, Slack, Snapshot, Stmt};
pub use endpoint::Sim;
pub use faults::{Op, Trouble};
pub use power::Disk;
pub use table::{Definition, Violated};
