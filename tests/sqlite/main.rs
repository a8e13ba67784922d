//! What only SQLite can be asked: its file modes, its locks, its schema, its oddities.

mod bed;
mod flow;
