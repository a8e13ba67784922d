//! Losing power: what was committed and is not on the disk yet is gone.

use super::base::{Base, Tables};
use crate::db::ChunkMark;
use crate::domain::id::ChunkId;
use crate::domain::position::Position;
use std::collections::BTreeMap;

/// What a database has on its disk. The lease is not part of it: it is always there.
#[derive(Debug)]
pub struct Disk {
    committed: Tables,
    visible: Tables,
    logged: usize,
    applied: Position,
    marks: BTreeMap<ChunkId, ChunkMark>,
}

impl Base {
    /// Puts everything on the disk.
    pub fn synced(&self) -> Disk {
        Disk {
            committed: self.committed.clone(),
            visible: self.visible.clone(),
            logged: self.log.len(),
            applied: self.applied,
            marks: self.marks.clone(),
        }
    }

    /// Starts again from what is on the disk.
    pub fn lose_power(&mut self, disk: &Disk) {
        self.committed.clone_from(&disk.committed);
        self.visible.clone_from(&disk.visible);
        self.log.truncate(disk.logged);
        self.hidden.retain(|at| *at < disk.logged);
        self.applied = disk.applied;
        self.marks.clone_from(&disk.marks);
    }
}
