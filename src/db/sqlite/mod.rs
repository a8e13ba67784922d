//! SQLite as a side of a migration.
//!
//! The capture, synchronous over a [`rusqlite::Connection`]: [`ddl`] reads the schema text that no pragma gives, [`catalog`]
//! reads a database's schema, [`identity`] says which columns name a row, [`probe`] builds the lookups for rows that a REPLACE
//! evicts, [`capture`] makes, proves and removes the objects that log changed keys.
//!
//! The endpoint on top of it: one thread a connection (`connect`), statements for a table (`sql`), values byte for byte
//! (`cell`), one read transaction (`view`), the log as a stream (`feed`), rows under a lease (`writer`, `land`, `apply`), the
//! application's door (`gate`). [`open`] is the way in.

pub mod capture;
pub mod catalog;
pub mod ddl;
pub mod identity;
pub mod probe;
pub mod stamp;

mod apply;
mod build;
mod cell;
mod connect;
mod dirty;
mod endpoint;
mod feed;
mod findings;
mod gate;
mod land;
mod ledger;
mod log;
mod outline;
mod parts;
mod pieces;
mod place;
mod prune;
mod pulse;
mod reader;
mod shape;
mod sql;
mod statements;
mod survey;
mod transact;
mod unfit;
mod view;
mod writer;

pub use endpoint::{open, open_with};
