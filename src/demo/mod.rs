//! What in `tidegate demo` is *not* tidegate: a shop to migrate, an application that writes into it all the time and counts
//! for itself, somebody who corrupts rows from outside, a compare that shares no code with any digest, and the script of
//! the story. Nothing here imports the engine, so nothing here can be fooled by it.

pub mod app;
pub mod compare;
pub mod corrupt;
pub mod error;
pub mod scenario;
mod shape;
pub mod shop;
pub mod witness;

pub use error::{DemoError, Result};
