//! The real program in a real pseudo terminal: what a person would see and press.

mod console;
mod latency;
mod several;
mod terminal;
