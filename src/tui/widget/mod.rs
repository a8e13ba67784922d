//! Things drawn in more than one place: pure functions from values to text and styles.

pub mod ascii;
pub mod bar;
pub mod chart;
pub mod chunk_map;
pub mod input;
pub mod page;
pub mod row;
pub mod scrubber;
pub mod spark;
pub mod strip;
pub mod text;
