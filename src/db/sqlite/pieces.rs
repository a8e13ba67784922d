//! Applying a transaction that has outgrown memory, piece by piece in one transaction of ours (`db::pieces` says how).

use super::apply::{Tables, again, exchanged, set_wise, taken_out};
use super::place::Place;
use super::reader::{self, Reader};
use super::sql::TableSql;
use super::transact::{in_the_way, savepoint};
use crate::db::Applied;
use crate::db::across::fits;
use crate::db::pieces::{in_order, parted};
use crate::domain::change::{Change, Image, Overflow as _, Txn};
use crate::domain::fault::{Fault, Result};
use crate::domain::id::TableId;
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;

/// What a step came to: an error of SQLite's stays one, so that it can be looked at.
enum Broke {
    Sqlite(rusqlite::Error),
    Ours(Fault),
}

impl From<rusqlite::Error> for Broke {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Fault> for Broke {
    fn from(fault: Fault) -> Self {
        Self::Ours(fault)
    }
}

impl Broke {
    fn fault(self, place: &Place) -> Fault {
        match self {
            Self::Sqlite(error) => place.fault("apply changes", &error),
            Self::Ours(fault) => fault,
        }
    }
}

type Made = HashMap<TableId, Arc<TableSql>>;

/// Applies inside the caller's transaction.
pub(super) fn apply(
    conn: &Connection,
    reader: &Reader,
    tables: &reader::Tables,
    txn: &Txn,
) -> Result<Applied> {
    let mut made = Made::new();
    for table in txn.tables() {
        made.insert(table, tables.get(table)?);
    }
    let done = savepoint(conn, |conn| piece_by_piece(conn, reader, &made, txn));
    let done = match done {
        Err(Broke::Sqlite(error)) if in_the_way(&error) => parts(conn, reader, &made, txn),
        other => other,
    };
    done.map_err(|broke| broke.fault(&reader.place))
}

/// In the order of the log.
fn piece_by_piece(
    conn: &Connection,
    reader: &Reader,
    made: &Made,
    txn: &Txn,
) -> Result<Applied, Broke> {
    let mut tables = Tables::new(conn, made);
    let mut applied = Applied::default();
    for net in in_order(txn) {
        let net = net?;
        fits(&reader.plan, None, &net)?;
        let net: Vec<&Change> = net.iter().collect();
        let one = savepoint(conn, |_| set_wise(&mut tables, &net))
            .or_else(|error| again(error, || savepoint(conn, |_| exchanged(&mut tables, &net))))?;
        applied.add(one);
    }
    Ok(applied)
}

/// Takes every row of the transaction out, then puts those that are to be there.
fn parts(conn: &Connection, reader: &Reader, made: &Made, txn: &Txn) -> Result<Applied, Broke> {
    let mut tables = Tables::new(conn, made);
    let mut applied = Applied::default();
    let mut put = reader.spill.begin()?;
    for net in parted(&reader.spill, txn)? {
        let net = net?;
        let net: Vec<&Change> = net.iter().collect();
        let mut one = Applied::default();
        for (change, row) in taken_out(&mut tables, &net, &mut one)? {
            put.push(&Change {
                table: change.table,
                key: change.key.clone(),
                image: Image::Present(row),
            })?;
        }
        applied.add(one);
    }
    for rows in put.finish()?.pieces() {
        let rows = rows?;
        let rows: Vec<&Change> = rows.iter().collect();
        applied.add(set_wise(&mut tables, &rows)?);
    }
    Ok(applied)
}
