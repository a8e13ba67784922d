//! States kept along the way, so that going back need not begin at the first record.

use crate::domain::id::Seq;
use crate::state::migration::Migration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All keyframes together weigh no more than this.
const BUDGET: usize = 64 << 20;

/// What a state weighs beside its chunks: two thousand lines of timeline, ten minutes of points.
const BASE: usize = 512 << 10;

/// What a chunk weighs.
const CHUNK: usize = 12;

/// Records between two keyframes at first.
const SPACING: u64 = 256;

/// States at every so many records; when they weigh too much, every second one goes.
#[derive(Debug)]
pub(super) struct Keyframes {
    frames: BTreeMap<Seq, (usize, Arc<Migration>)>,
    weight: usize,
    spacing: u64,
    budget: usize,
}

impl Keyframes {
    pub(super) fn new() -> Self {
        Self::within(BUDGET)
    }

    pub(super) fn within(budget: usize) -> Self {
        Self {
            frames: BTreeMap::new(),
            weight: 0,
            spacing: SPACING,
            budget,
        }
    }

    /// The next record after `seq` whose state is to be offered.
    pub(super) fn next_after(&self, seq: Seq) -> Seq {
        Seq((seq.0 / self.spacing + 1) * self.spacing)
    }

    /// Takes a state, if it is one that is kept.
    pub(super) fn offer(&mut self, state: &Arc<Migration>) {
        if !state.seq.0.is_multiple_of(self.spacing) || self.frames.contains_key(&state.seq) {
            return;
        }
        let weight = weight(state);
        self.frames.insert(state.seq, (weight, Arc::clone(state)));
        self.weight += weight;
        while self.weight > self.budget && !self.frames.is_empty() {
            self.spacing = self.spacing.saturating_mul(2);
            let spacing = self.spacing;
            self.frames.retain(|seq, _| seq.0.is_multiple_of(spacing));
            self.weight = self.frames.values().map(|(weight, _)| weight).sum();
        }
    }

    /// The latest state at or before a record.
    pub(super) fn before(&self, seq: Seq) -> Option<&Arc<Migration>> {
        let (_, (_, state)) = self.frames.range(..=seq).next_back()?;
        Some(state)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.frames.len(), self.weight)
    }
}

fn weight(state: &Migration) -> usize {
    let chunks: usize = state.tables.iter().map(|t| t.chunks.len() as usize).sum();
    BASE + chunks * CHUNK
}
