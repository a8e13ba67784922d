//! What only SQLite can be asked: its file modes, its locks, its schema, its oddities.

mod bed;
mod build;
mod errors;
mod findings;
mod flow;
mod locks;
mod moved;
mod odd;
