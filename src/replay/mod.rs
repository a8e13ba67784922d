//! Time travel: the state at any moment of a journal, by the same fold that made it.
//!
//! A [`Player`] goes to a record or a moment, in a journal that an engine still writes just as in a copy. A [`Recording`] is a
//! tap on a copy: the console runs over it as over an engine, but nobody answers.
//!
//! Architecture invariant: reads journals, never writes one; decides nothing.

mod keyframes;
mod player;
mod recording;

#[cfg(test)]
mod tests;

pub use player::{Moment, Player, To};
pub use recording::Recording;
