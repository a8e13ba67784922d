//! Markers that were delivered, for whoever asks later.

use super::queue::Index;
use crate::domain::id::Nonce;
use std::collections::VecDeque;

/// Reads under way are few and short; a marker older than so many others has nobody waiting, or somebody who must begin again.
const REMEMBERED: usize = 4096;

/// The last markers.
#[derive(Debug, Default)]
pub(super) struct Markers {
    last: VecDeque<(Nonce, Index)>,
    forgotten: Option<Index>,
}

impl Markers {
    pub fn push(&mut self, nonce: Nonce, index: Index) {
        if self.last.len() == REMEMBERED {
            self.forgotten = self.last.pop_front().map(|(_, index)| index);
        }
        self.last.push_back((nonce, index));
    }

    /// Where this marker was delivered, if it was.
    pub fn find(&self, nonce: Nonce) -> Option<Index> {
        self.last
            .iter()
            .rev()
            .find(|(n, _)| *n == nonce)
            .map(|(_, index)| *index)
    }

    /// Whether a marker delivered after `since` may have been forgotten.
    pub fn forgot_since(&self, since: Index) -> bool {
        self.forgotten.is_some_and(|index| index > since)
    }
}
