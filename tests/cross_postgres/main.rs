//! From a file to a server and back: live, with an application that writes, judged by a compare that shares nothing with the engine.

mod bed;
mod from_postgres;
#[path = "../support/mod.rs"]
mod support;
mod to_postgres;
