//! SQLite as a side of a migration.
//!
//! In dependency order: [`ddl`] reads the schema text that no pragma gives, [`catalog`] reads a database's schema,
//! [`identity`] says which columns name a row, [`probe`] builds the lookups for rows that a REPLACE evicts, [`capture`] makes, proves and removes the objects
//! that log changed keys. All of it is synchronous over a [`rusqlite::Connection`].

pub mod capture;
pub mod catalog;
pub mod ddl;
pub mod identity;
pub mod probe;
