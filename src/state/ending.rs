//! How a migration has ended, and what it leaves behind.

use super::migration::Migration;
use crate::domain::event::Phase;
use crate::domain::plan::Side;
use crate::domain::unit::Rows;

impl Migration {
    /// Whether the engine that runs keeps the target in step: no longer once what it needs for that is being removed.
    pub fn keeps_in_step(&self) -> bool {
        !self.over() && self.phase != Phase::RollingBack
    }

    /// Objects of ours that were still there when their side's catalog was read back last.
    pub fn left_behind(&self, side: Side) -> Vec<&str> {
        let mut left = Vec::new();
        for (i, (at, what, there)) in self.removed.iter().enumerate() {
            // What could not be removed is tried again: the newest reading counts.
            let again =
                |(later, same, _): &(Side, String, Vec<String>)| later == at && same == what;
            if *at == side && !self.removed[i + 1..].iter().any(again) {
                left.extend(there.iter().map(String::as_str));
            }
        }
        left
    }

    /// How it has ended and what is left of it, in words; none while it has not.
    pub fn ending(&self) -> Option<String> {
        let ours = [Side::Source, Side::Target].map(|side| self.left_behind(side));
        let ours = match ours.concat().join(", ") {
            left if left.is_empty() => "nothing of tidegate's is left on either side".to_string(),
            left => format!("still there: {left}"),
        };
        match self.phase {
            Phase::Final => Some(format!("done: the target owns the data; {ours}")),
            Phase::RolledBack => Some(format!("given up: {ours}; {}", self.target_rows())),
            _ => None,
        }
    }

    fn target_rows(&self) -> &'static str {
        let landed: Rows = self
            .live_tables()
            .map(|(_, _, table)| table.chunks.tally().landed_rows)
            .fold(Rows::ZERO, |sum, rows| sum + rows);
        match &self.abort {
            Some(abort) if abort.drop_target => "the tables made on the target are dropped",
            _ if landed == Rows::ZERO => "no row had been copied",
            _ => "the rows that were copied stay on the target, no longer kept in step",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_at_the_second_try_is_not_left() {
        let removed = |left: &[&str]| {
            let left = left.iter().map(|name| (*name).to_string()).collect();
            (Side::Source, "change capture".to_string(), left)
        };
        let mut state = Migration {
            phase: Phase::RolledBack,
            removed: vec![removed(&["table tidegate_log"])],
            ..Migration::default()
        };
        assert_eq!(state.left_behind(Side::Source), ["table tidegate_log"]);
        assert_eq!(state.left_behind(Side::Target), [""; 0]);
        assert!(
            state
                .ending()
                .is_some_and(|words| words.contains("still there: table tidegate_log"))
        );
        state.removed.push(removed(&[]));
        assert_eq!(state.left_behind(Side::Source), [""; 0]);
        assert!(!state.keeps_in_step());
        state.phase = Phase::Synced;
        assert!(state.keeps_in_step() && state.ending().is_none());
    }
}
