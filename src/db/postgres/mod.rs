//! PostgreSQL as a side of a migration, 14 and newer.
//!
//! How a server is reached and its errors are told (`place`, `connect`); what our own objects are called (`names`); cells
//! in PostgreSQL's text form (`cell`) and statements for a table (`sql`). The endpoint on top of it: what the database
//! holds (`catalog`, `survey`, `ddl`, `beside`, `findings`), one snapshot (`view`), the slot as a stream (`feed`), rows under a lease
//! (`writer`, `land`, `apply`, `pieces`), our objects (`parts`), the application's door (`gate`). [`open`] is the way in.
//!
//! Every cell is the text that the server writes and reads, under settings that lose nothing (ISO dates, shortest exact
//! floats, UTC): what a column can hold, its text can say. Rows go from one server to the other as COPY's lines, untouched.

mod apply;
mod array;
mod assemble;
mod beside;
mod catalog;
mod cell;
mod connect;
mod ddl;
mod digest;
mod endpoint;
mod feed;
mod fence;
mod findings;
mod form;
mod gate;
mod land;
mod later;
mod ledger;
mod names;
mod objects;
mod outline;
mod params;
mod parts;
mod pieces;
mod place;
mod pull;
mod pulse;
mod relations;
mod render;
mod replication;
mod reread;
mod rows;
mod service;
mod shape;
mod slot;
mod sql;
mod survey;
mod transact;
mod tuple;
mod view;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use endpoint::{identity, open, open_with};
