//! What gets lost: answers, engines, and what the target had committed when it loses power.

use super::{Act, Sent, Unguarded, World};
use std::collections::{BTreeMap, BTreeSet};
use tidegate::db::sim::{Base, Disk};
use tidegate::domain::position::Position;
use tidegate::domain::value::Row;

/// The target's disk, and what is true of it.
pub(super) struct OnDisk {
    target: Disk,
    truth: Vec<BTreeMap<i64, Row>>,
    truth_at: Position,
    drifted: BTreeSet<(u16, i64)>,
}

impl OnDisk {
    pub(super) fn of(empty: &Base) -> Self {
        Self {
            target: empty.synced(),
            truth: Vec::new(),
            truth_at: Position::START,
            drifted: BTreeSet::new(),
        }
    }
}

impl World {
    /// A request or its answer is lost: nobody knows whether it was executed, so the ledger is read.
    pub(super) fn lose(&mut self) {
        let mine: Vec<usize> = (0..self.sent.len())
            .filter(|at| self.sent[*at].0 == self.token)
            .collect();
        let Some(&at) = self.rng.choice(&mine) else {
            return;
        };
        self.tally.lost_replies += 1;
        let (_, act, _) = self.sent.swap_remove(at);
        match act {
            Act::Apply(batch, _) if self.target.applied() >= batch.upto => self.core.applied(),
            Act::Apply(..) => self.core.not_applied(),
            Act::Land(ticket, landing) => match &landing.mark {
                Some(mark) if self.target.marks().any(|m| m == mark) => {
                    self.landed(ticket, &landing);
                }
                _ if self.rng.bool() => self.core.not_landed(ticket),
                _ => {
                    self.core.cancel(ticket);
                    self.free(ticket, false);
                }
            },
        }
        self.ask_durable();
    }

    /// The engine dies. What it sent may still arrive, but its lease is gone by then.
    pub(super) fn crash(&mut self) {
        if self.rng.bool() {
            return;
        }
        self.tally.crashes += 1;
        self.reopen();
    }

    /// From where the ledger stands, under a new lease.
    pub(super) fn reopen(&mut self) {
        self.sent
            .retain(|(_, _, state)| matches!(state, Sent::OnTheWay));
        self.token = self.target.take_lease();
        self.sync();
        self.open(self.target.applied());
    }

    /// The engine asks what would survive losing power.
    pub(super) fn ask_durable(&mut self) {
        self.core.checkpoint();
        self.sync();
        let applied = self.target.applied();
        if applied < self.core.ledger_position() {
            self.reopen();
        } else {
            self.core.durable(applied);
        }
    }

    /// Everything that the target has committed is on its disk: it was asked for, or a landing or a lease waited for that.
    pub(super) fn sync(&mut self) {
        self.disk = OnDisk {
            target: self.target.synced(),
            truth: self.truth.clone(),
            truth_at: self.truth_at,
            drifted: self.drifted.clone(),
        };
    }

    /// The target has what was on its disk. Nobody is told.
    pub(super) fn lose_power(&mut self) {
        if self.rng.bool() {
            return;
        }
        let before = self.target.applied();
        self.target.lose_power(&self.disk.target);
        self.tally.gone_back += u64::from(self.target.applied() < before);
        self.truth.clone_from(&self.disk.truth);
        self.truth_at = self.disk.truth_at;
        // What was mended since is as it was.
        self.drifted.extend(&self.disk.drifted);
    }

    /// What a careless engine sends: it does not say what the target must hold.
    pub(super) fn unguard(&mut self, at: usize) {
        match (&mut self.sent[at].1, self.setting.unguarded) {
            (Act::Apply(batch, _), Some(Unguarded::Batches)) => batch.after = Position::START,
            (Act::Land(_, landing), Some(Unguarded::Landings)) => landing.after = Position::START,
            _ => {}
        }
    }
}
