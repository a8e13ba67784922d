//! Screens.
pub mod words;
