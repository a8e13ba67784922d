//! Applying a transaction that has outgrown memory, for every adapter: what it comes to, a bounded number of changes at a time.
//!
//! In the order of the log first, each piece collapsed by itself: a source that checks its constraints row by row never
//! meets one on the way. Where the target does (the rows of one piece take values that rows of a later one give up), the whole
//! transaction is collapsed: its changes are parted by their keys, so that each part has all changes of its keys, and comes to
//! their net effect. All of it is one transaction of the target's, with the ledger's position.

use super::Applied;
use super::spill::{Spill, Writing};
use crate::domain::change::{Change, Overflow, Txn};
use crate::domain::fault::Result;
use crate::state::stream::net;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Updates that found no row, remembered of one transaction: more would outgrow memory as the transaction did.
const MISSED: usize = 10_000;

/// What each piece comes to, in the order of the log.
///
/// # Errors
/// What [`Overflow::pieces`] says.
pub fn in_order(txn: &Txn) -> impl Iterator<Item = Result<Vec<Change>>> + Send {
    txn.pieces().map(|piece| Ok(net(&*piece?)))
}

/// What the whole transaction comes to, every key once, parted by keys.
///
/// # Errors
/// `SPILL-FULL`, `SPILL-FAILED`.
pub fn parted(
    spill: &Spill,
    txn: &Txn,
) -> Result<impl Iterator<Item = Result<Vec<Change>>> + Send + use<>> {
    let length = txn.overflow.as_ref().map_or(0, |more| more.length());
    let mut parts: Vec<Writing> = (0..spill.parts(length))
        .map(|_| spill.begin())
        .collect::<Result<_>>()?;
    for piece in txn.pieces() {
        for change in piece?.iter() {
            let part = place(change, parts.len());
            parts[part].push(change)?;
        }
    }
    let parts = parts.into_iter().map(Writing::finish);
    let parts: Vec<Arc<_>> = parts.collect::<Result<_>>()?;
    Ok(parts.into_iter().map(|part| gathered(&*part)))
}

fn place(change: &Change, parts: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (change.table, &change.key).hash(&mut hasher);
    // Fewer than 129 of them.
    (hasher.finish() % parts as u64) as usize
}

/// What a part comes to. It is collapsed whenever it has doubled: a key that was changed over and over takes no more room than
/// any other.
fn gathered(part: &dyn Overflow) -> Result<Vec<Change>> {
    let mut all: Vec<Change> = Vec::new();
    let mut after = 0;
    for piece in part.pieces() {
        let piece = piece?;
        let more = piece.len();
        all.extend(piece);
        if all.len() > 2 * after + more {
            all = net(&all);
            after = all.len();
        }
    }
    Ok(net(&all))
}

impl Applied {
    /// Adds what a further piece of the same transaction did.
    pub fn add(&mut self, more: Self) {
        self.changed += more.changed;
        let room = MISSED.saturating_sub(self.missed.len());
        self.missed.extend(more.missed.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::Image;
    use crate::domain::id::TableId;
    use crate::domain::key::Key;
    use crate::domain::position::{Head, Position};
    use crate::domain::value::Value;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn change((table, id, n, gone): (u16, i64, i64, bool)) -> Change {
        let image = match gone {
            true => Image::Gone,
            false => Image::Present([Value::Integer(id), Value::Integer(n)].into()),
        };
        Change {
            table: TableId(table),
            key: Key::normal([Value::Integer(id)], &[]),
            image,
        }
    }

    proptest! {
        #[test]
        fn parts_come_to_what_the_whole_comes_to(
            log in proptest::collection::vec((0..2_u16, 0..20_i64, 0..9_i64, any::<bool>()), 0..200),
            piece in 1..3_000_u64,
        ) {
            let spill = Spill::default().sized(0, piece);
            let mut kept = super::super::spill::Gathered::new(&spill);
            let log: Vec<Change> = log.into_iter().map(change).collect();
            log.iter().for_each(|change| kept.push(change.clone()).unwrap());
            let head = Head { position: Position(1), xid: None, own: false };
            let txn = kept.txn(head).unwrap();
            let mut got = HashMap::new();
            for part in parted(&spill, &txn).unwrap() {
                for change in part.unwrap() {
                    let again = got.insert((change.table, change.key), change.image);
                    prop_assert_eq!(again, None, "every key once");
                }
            }
            let wanted = net(&log).into_iter().map(|c| ((c.table, c.key), c.image));
            prop_assert_eq!(got, wanted.collect());
        }
    }
}
