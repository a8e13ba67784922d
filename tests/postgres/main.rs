//! PostgreSQL to PostgreSQL with the real program: under load, killed and cut off, for every type, and without a trace left.
//!
//! What is equal is said by `psql` here, with SQL of its own: nothing of the program's is used to judge it.

mod carried;
mod edges;
mod gap;
mod keys;
mod kinds;
mod large;
mod later;
mod lies;
mod load;
mod outage;
mod proxy;
mod server;
mod signals;
mod stand;
mod trace;
