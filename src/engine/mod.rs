//! L3: what moves. Tasks around pure cores; everything that may be decided without a database is decided in `state`.

pub mod lane;
