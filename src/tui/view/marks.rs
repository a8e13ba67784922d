//! Kinds of timeline lines: glyph, word and weight.

use super::scene::Scene;
use crate::state::timeline::Mark;
use crate::tui::theme::Role;

/// The glyph and role of a kind of line.
pub fn mark(s: &Scene, mark: Mark) -> (&'static str, Role) {
    let glyphs = s.theme.glyphs;
    match mark {
        Mark::Phase => (glyphs.active, Role::Info),
        Mark::Pause => (glyphs.paused, Role::Warn),
        Mark::Alert => (glyphs.drift, Role::Bad),
        Mark::Repair => (glyphs.ok, Role::Repaired),
        Mark::Note => (glyphs.minor, Role::Title),
        Mark::Act => (glyphs.to, Role::Lead),
        Mark::Engine => (glyphs.dot, Role::Muted),
        Mark::People => (glyphs.todo, Role::Muted),
    }
}

/// Its word.
pub fn name(mark: Mark) -> &'static str {
    match mark {
        Mark::Phase => "phase",
        Mark::Pause => "pause",
        Mark::Alert => "alert",
        Mark::Repair => "repair",
        Mark::Note => "note",
        Mark::Act => "act",
        Mark::Engine => "engine",
        Mark::People => "people",
    }
}

/// Which of two marks on one cell of the bar stands; those without a weight are not on it.
pub fn weight(mark: Mark) -> Option<u8> {
    match mark {
        Mark::Alert => Some(6),
        Mark::Pause => Some(5),
        Mark::Phase => Some(4),
        Mark::Repair => Some(3),
        Mark::Note => Some(2),
        Mark::Act => Some(1),
        Mark::Engine | Mark::People => None,
    }
}
