//! Transactions, put together from the protocol's messages.
//!
//! A transaction is delivered whole, at the place where its commit ends. What cannot stand beside rows comes before it: a table
//! that was emptied in it, and one whose definition changed. Emptying first is the same as emptying at its place, once the
//! earlier changes of that table are dropped.
//!
//! A transaction is kept until it ends: in memory, and what is more than a little of it in a file (`db::spill`).

use super::connect::Server;
use super::names;
use super::relations::{Known, Relations};
use super::reread::{self, Found};
use super::tuple::{Cells, Shape, Updated, whole};
use crate::db::spill::{Gathered, Spill};
use crate::domain::change::{Change, Image, Item};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{Nonce, TableId};
use crate::domain::key::Key;
use crate::domain::position::{Head, Position};
use bytes::Bytes;
use pg_walstream::protocol::{
    LogicalReplicationMessage as Message, LogicalReplicationParser, RelationInfo,
};
use std::collections::HashSet;
use std::sync::Arc;

/// The version of the protocol that has no transactions in pieces.
pub(super) const PROTOCOL: u32 = 1;
/// Set in a message that somebody wrote into the log as a part of a transaction.
const TRANSACTIONAL: u8 = 1;

/// Takes messages, gives items.
pub(super) struct Assembler {
    server: Server,
    parser: LogicalReplicationParser,
    relations: Relations,
    /// The newest transaction id, whole: those of the stream are near it.
    newest: u64,
    open: Option<Open>,
    /// Keys whose row could not be read any more when it got them: it will be removed again further on.
    doomed: HashSet<(TableId, Key)>,
    spill: Spill,
}

/// The transaction that is being put together.
struct Open {
    xid: u64,
    /// Whether its first write was the ledger's row; none before the first.
    own: Option<bool>,
    changes: Gathered,
    emptied: Vec<TableId>,
    changed: Vec<TableId>,
    markers: Vec<Nonce>,
    read_before: Option<u64>,
}

impl Assembler {
    /// `xid`: any transaction id of about now. `spill`: where large transactions go.
    pub(super) fn new(server: Server, relations: Relations, xid: u64, spill: Spill) -> Self {
        Self {
            server,
            parser: LogicalReplicationParser::with_protocol_version(PROTOCOL),
            relations,
            newest: xid,
            open: None,
            doomed: HashSet::new(),
            spill,
        }
    }

    /// Whether a transaction is being put together.
    pub(super) fn within(&self) -> bool {
        self.open.is_some()
    }

    fn begin(&mut self, xid: u32) {
        let xid = widen(self.newest, xid);
        self.newest = self.newest.max(xid);
        self.open = Some(Open {
            xid,
            own: None,
            changes: Gathered::new(&self.spill),
            emptied: Vec::new(),
            changed: Vec::new(),
            markers: Vec::new(),
            read_before: None,
        });
    }

    /// A message that somebody wrote into the log.
    fn message(&mut self, transactional: bool, prefix: &str, content: &[u8]) {
        if !transactional || prefix != names::MARKER {
            return;
        }
        let nonce = std::str::from_utf8(content)
            .ok()
            .and_then(|text| text.parse().ok());
        match (&mut self.open, nonce) {
            (Some(open), Some(nonce)) => open.markers.push(Nonce(nonce)),
            _ => tracing::warn!("a marker in the stream can't be read"),
        }
    }

    /// The transaction is over. Nothing comes of one that has nothing for us.
    ///
    /// # Errors
    /// A large transaction whose last changes can't be kept.
    fn commit(&mut self, end: u64) -> Result<Vec<Item>> {
        let Some(open) = self.open.take() else {
            return Ok(Vec::new());
        };
        let mut items = Vec::new();
        items.extend(open.changed.into_iter().map(Item::Schema));
        items.extend(open.emptied.into_iter().map(Item::Truncate));
        if !open.changes.is_empty() {
            let head = Head {
                position: Position(end.into()),
                xid: Some(open.xid),
                own: open.own == Some(true),
            };
            let mut txn = open.changes.txn(head)?;
            txn.read_before = open.read_before;
            items.push(Item::Txn(txn));
        }
        items.extend(open.markers.into_iter().map(Item::Marker));
        Ok(items)
    }

    /// Takes a message. Gives what a transaction comes to that ends with it, and the place of that end.
    ///
    /// # Errors
    /// A message that can't be read, a large transaction that can't be kept, a source that can't be asked about a table.
    pub(super) async fn data(&mut self, data: Bytes) -> Result<Option<(u64, Vec<Item>)>> {
        let message = self
            .parser
            .parse_wal_message_bytes(data)
            .map_err(|error| self.unreadable(error))?
            .message;
        match message {
            Message::Begin { xid, .. } => self.begin(xid),
            Message::Commit { end_lsn, .. } => return Ok(Some((end_lsn, self.commit(end_lsn)?))),
            Message::Message {
                flags,
                prefix,
                content,
                ..
            } => self.message(flags & TRANSACTIONAL != 0, &prefix, &content),
            Message::Relation {
                relation_id,
                namespace,
                relation_name,
                replica_identity,
                columns,
            } => {
                let told = RelationInfo {
                    relation_id,
                    namespace,
                    relation_name,
                    replica_identity,
                    columns,
                };
                let changed = self.relations.learn(told).await?;
                if let Some(open) = &mut self.open {
                    open.changed.extend(changed);
                }
            }
            Message::Insert { relation_id, tuple } => {
                if let Some(shape) = self.shape(relation_id) {
                    let change = shape.inserted(&tuple).map_err(|why| self.unreadable(why))?;
                    self.push(change)?;
                }
            }
            Message::Update {
                relation_id,
                old_tuple,
                new_tuple,
                ..
            } => {
                if let Some(shape) = self.shape(relation_id) {
                    let updated = shape
                        .updated(old_tuple.as_ref(), &new_tuple)
                        .map_err(|why| self.unreadable(why))?;
                    match updated {
                        Updated::One(change) => self.push(change)?,
                        Updated::Moved(gone, here) => {
                            self.push(gone)?;
                            self.push(here)?;
                        }
                        Updated::Lacking { old, key, cells } => {
                            self.complete(&shape, old, key, cells).await?;
                        }
                    }
                }
            }
            Message::Delete {
                relation_id,
                old_tuple,
                ..
            } => {
                if let Some(shape) = self.shape(relation_id) {
                    let change = shape
                        .deleted(&old_tuple)
                        .map_err(|why| self.unreadable(why))?;
                    self.push(change)?;
                }
            }
            Message::Truncate { relation_ids, .. } => self.emptied(&relation_ids),
            _ => {}
        }
        Ok(None)
    }

    /// What a row's change is about; none for one that is not of the plan. Notes whose the transaction is.
    fn shape(&mut self, relation: u32) -> Option<Arc<Shape>> {
        let known = self.relations.known(relation);
        if let Some(open) = &mut self.open {
            open.own.get_or_insert(matches!(known, Known::Ledger));
        }
        match known {
            Known::Ours(shape) => Some(Arc::clone(shape)),
            Known::Ledger | Known::Other => None,
        }
    }

    fn push(&mut self, change: Change) -> Result<()> {
        let Some(open) = &mut self.open else {
            return Err(self.unreadable("a change came outside of a transaction"));
        };
        if !self.doomed.is_empty() {
            let row = (change.table, change.key.clone());
            match &change.image {
                // Of a row that we had to leave out: the change that removes it is still to come.
                Image::Updated(_) | Image::Partial(_) if self.doomed.contains(&row) => {
                    return Ok(());
                }
                Image::Updated(_) | Image::Partial(_) => {}
                Image::Inserted(_) | Image::Present(_) | Image::Gone => {
                    self.doomed.remove(&row);
                }
            }
        }
        open.changes.push(change)
    }

    /// A row got another key, and the protocol left cells of it out: they are read from the row as it is now.
    ///
    /// What is read may be newer than this place in the stream. That does no harm: whatever changed such a cell since is further
    /// on in the stream, with the whole cell, and is applied over it. Where no row has that key any more, its removal is further
    /// on too. Until then it is left out with all its updates, for a made-up cell could break a constraint of the target; that it
    /// is not there is told as a change of that key. And it is told what a read of the source must see to be no older than this.
    async fn complete(&mut self, shape: &Shape, old: Key, key: Key, cells: Cells) -> Result<()> {
        let gone = shape.change(old, Image::Gone);
        let (Some(xid), Some(table)) = (
            self.open.as_ref().map(|open| open.xid),
            self.relations.named(shape.table),
        ) else {
            return Err(self.unreadable("a change came outside of a transaction"));
        };
        let plan = self.relations.plan();
        let asked = reread::Asked {
            plan,
            shape,
            table,
            xid,
        };
        let (found, after) = reread::cells(&self.server, asked, &key, cells).await?;
        if let Some(open) = &mut self.open {
            open.read_before = open.read_before.max(after);
        }
        match found {
            Found::Cells(cells) => {
                let row = whole(cells).map_err(|_| self.unreadable("a cell can't be read"))?;
                self.push(gone)?;
                self.push(shape.change(key, Image::Inserted(row)))?;
            }
            Found::Nothing => {
                self.push(gone)?;
                self.push(shape.change(key.clone(), Image::Gone))?;
                self.doomed.insert((shape.table, key));
            }
            // The stream comes to that later, but can't get past this without it.
            Found::Redefined => {
                if let (true, Some(open)) = (self.relations.leave_out(shape.table), &mut self.open)
                {
                    open.changed.push(shape.table);
                }
            }
        }
        Ok(())
    }

    fn emptied(&mut self, relations: &[u32]) {
        for relation in relations {
            let known = self.relations.known(*relation);
            let Some(open) = &mut self.open else { return };
            open.own.get_or_insert(matches!(known, Known::Ledger));
            let Known::Ours(shape) = known else { continue };
            let table = shape.table;
            open.changes.forget(table);
            self.doomed.retain(|(doomed, _)| *doomed != table);
            if !open.emptied.contains(&table) {
                open.emptied.push(table);
            }
        }
    }

    fn unreadable(&self, why: impl std::fmt::Display) -> Fault {
        let place = &self.server.place;
        Fault::new(
            Kind::Own,
            format!("a change in the stream can't be read: {place}"),
        )
        .cause(why)
    }
}

/// A transaction id with all its bits: the one nearest to `near`. No two that are in use are further apart than 2³¹.
fn widen(near: u64, xid: u32) -> u64 {
    let apart = xid.wrapping_sub(near as u32) as i32;
    near.saturating_add_signed(apart.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Side;
    use crate::domain::value::Value;

    #[test]
    fn ids_are_widened_around_the_wrap() {
        let epoch = 3 << 32;
        assert_eq!(widen(epoch + 5, 9), epoch + 9);
        assert_eq!(widen(epoch + 5, u32::MAX), epoch - 1);
        assert_eq!(widen(epoch - 2, 7), epoch + 7);
        assert_eq!(widen(800, 750), 750);
    }

    #[test]
    fn a_large_transaction_is_kept_aside_in_its_order() {
        let server = Server::at("postgres://u@localhost/d", Side::Source).unwrap();
        let plan = crate::db::postgres::feed::tests::plan("x");
        let relations = Relations::new(server.clone(), Arc::new(plan), "x".to_owned());
        let spill = Spill::default().sized(2_000, 1_000);
        let mut assembler = Assembler::new(server, relations, 1000, spill);
        let change = |n: i64| Change {
            table: TableId(0),
            key: Key::normal([Value::Integer(n)], &[]),
            image: Image::Inserted([Value::text(&"x".repeat(500))].into()),
        };
        assembler.begin(1001);
        for n in 0..50 {
            assembler.push(change(n)).unwrap();
        }
        let items = assembler.commit(7).unwrap();
        let [Item::Txn(txn)] = &items[..] else {
            panic!("{items:?}")
        };
        assert!(txn.overflow.is_some() && txn.count() == 50);
        assert!(txn.weight() < 3_000, "{}", txn.weight());
        let pieces: Result<Vec<_>> = txn.pieces().collect();
        let pieces = pieces.unwrap();
        assert!(pieces.len() > 10);
        let all: Vec<Change> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(all, (0..50).map(change).collect::<Vec<_>>());
    }
}
