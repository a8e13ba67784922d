//! L4: what is known, as text. Each face is a pure function from state, events or findings to a `String`; writing it
//! somewhere is the caller's.

pub mod check;
pub mod compared;
pub mod headless;
pub mod paint;
pub mod report;
pub mod row;
pub mod status;
pub mod when;
