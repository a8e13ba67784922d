//! tidegate: watch, steer and undo a live database migration.
//!
//! The map, lowest layer first; a lower layer never imports a higher one (`tests/tidy.rs` reads the source to hold that).

#![warn(missing_docs)]

pub mod domain; // L0: the language; plain data

pub mod state; // L1: the fold of events, and pure questions about it

pub mod db; // L2: the five database traits and their adapters

pub mod journal; // L2: the durable record of facts: one writer, group commit, hash chain

pub mod signal; // L2: figures from outside of both databases: commands, HTTP, Prometheus

pub mod engine; // L3: decides, records, publishes, acts

pub mod tap; // L4: what a console hangs on, live or recorded

pub mod attach; // L4: a console's end of the control socket (and L5: the engine's end)

pub mod replay; // L4: any moment of a recorded journal, and a tap on one

pub mod faces; // L4: state and events as text: no screen, no keys

pub mod cli; // L5: the command line, one file a subcommand

pub mod config; // L5: the config as written and as meant
pub mod wiring; // L5: the one place that names concrete adapters

pub mod tui; // L4: the console

pub mod demo; // what is not tidegate in `tidegate demo`: imports nothing above
