//! Who waits for the stream to be applied up to a barrier.

use super::markers::Markers;
use super::queue::{Index, Queue};
use crate::domain::id::Nonce;
use crate::domain::position::{Barrier, Position};

/// One wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(u64);

#[derive(Debug)]
enum For {
    At(Position),
    /// Not delivered yet.
    Marker(Nonce),
    Delivered(Index),
}

/// All waits: a few.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waits: Vec<(WaitId, For)>,
    next: u64,
}

impl Waits {
    pub fn push(&mut self, barrier: Barrier, markers: &Markers) -> WaitId {
        self.next += 1;
        let what = match barrier {
            Barrier::At(position) => For::At(position),
            Barrier::Marker(nonce) => markers
                .find(nonce)
                .map_or(For::Marker(nonce), For::Delivered),
        };
        self.waits.push((WaitId(self.next), what));
        WaitId(self.next)
    }

    pub fn remove(&mut self, wait: WaitId) {
        self.waits.retain(|(id, _)| *id != wait);
    }

    pub fn marked(&mut self, nonce: Nonce, index: Index) {
        for (_, what) in &mut self.waits {
            if matches!(what, For::Marker(n) if *n == nonce) {
                *what = For::Delivered(index);
            }
        }
    }

    /// One that has come to its end.
    pub fn next(&mut self, queue: &Queue) -> Option<WaitId> {
        let reached = |what: &For| match what {
            For::At(position) => queue.applied_position() >= *position,
            For::Marker(_) => false,
            For::Delivered(index) => queue.applied_through(*index),
        };
        let at = self.waits.iter().position(|(_, what)| reached(what))?;
        Some(self.waits.swap_remove(at).0)
    }
}
