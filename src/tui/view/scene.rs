//! What a frame needs more than once and is worth finding out once.

use crate::domain::id::TableId;
use crate::domain::sample::Sample;
use crate::domain::unit::Span;
use crate::tui::model::Picture;
use std::ops::Deref;
use std::sync::LazyLock;

/// The picture with what was found out about it.
pub struct Scene<'a> {
    picture: &'a Picture<'a>,
    /// For each table of the plan: age of the oldest compare among its compared chunks.
    oldest: Vec<Option<Span>>,
}

impl<'a> Scene<'a> {
    /// Looks through the picture: once a frame, because a million chunks take a moment.
    pub fn new(picture: &'a Picture<'a>) -> Self {
        let now = picture.now;
        let tables = picture.state.tables.iter();
        Self {
            picture,
            oldest: tables.map(|t| t.chunks.oldest_compare(now)).collect(),
        }
    }

    /// How long ago the longest unchecked of a table's compared chunks was compared; none when none ever was.
    pub fn oldest_of(&self, table: TableId) -> Option<Span> {
        self.oldest.get(usize::from(table.0)).copied().flatten()
    }

    /// The same over all tables.
    pub fn oldest(&self) -> Option<Span> {
        self.oldest.iter().flatten().copied().max()
    }

    /// Whether anything was measured yet: before that, a zero in the sample says nothing.
    pub fn measured(&self) -> bool {
        self.state.sample_tick.0 > 0
    }

    /// Whether what was measured last still holds: nobody measures what has ended or is parked.
    pub fn measures(&self) -> bool {
        self.measured() && self.engine_runs() && !self.state.over()
    }

    /// What is measured now; where nobody measures, nothing is known.
    pub fn figures(&self) -> &Sample {
        static UNKNOWN: LazyLock<Sample> = LazyLock::new(Sample::default);
        match self.measures() {
            true => &self.picture.state.sample,
            false => &UNKNOWN,
        }
    }

    /// Whether an engine runs it.
    pub fn engine_runs(&self) -> bool {
        self.state.engine.as_ref().is_some_and(|e| e.running)
    }
}

impl<'a> Deref for Scene<'a> {
    type Target = Picture<'a>;
    fn deref(&self) -> &Picture<'a> {
        self.picture
    }
}
