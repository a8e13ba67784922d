//! Applying a transaction that has outgrown memory, piece by piece in one transaction of ours (`db::pieces` says how).

use super::apply::{DOING, Made, as_set, made, set_wise, taken_out};
use super::connect::Session;
use super::sql::Tables;
use super::transact::{Broke, savepoint, settled};
use crate::db::Applied;
use crate::db::across::fits;
use crate::db::pieces::{in_order, parted};
use crate::db::spill::Spill;
use crate::domain::change::{Change, Image, Overflow as _, Txn};
use crate::domain::fault::Result;
use crate::domain::plan::Plan;

/// Applies inside the caller's transaction.
pub(super) async fn apply(
    session: &mut Session,
    tables: &Tables,
    txn: &Txn,
    spill: &Spill,
) -> Result<Applied> {
    let made = made(session, tables, txn.tables()).await?;
    let done = match piece_by_piece(session, &made, txn, &tables.plan).await {
        Err(broke) if broke.in_the_way() => exchanged(session, &made, txn, spill).await,
        other => other,
    };
    done.map_err(|broke| broke.fault(session, DOING))
}

/// In the order of the log.
async fn piece_by_piece(
    session: &mut Session,
    made: &Made,
    txn: &Txn,
    plan: &Plan,
) -> Result<Applied, Broke> {
    savepoint(session).await?;
    let done = async {
        let mut applied = Applied::default();
        for net in in_order(txn) {
            let net = net?;
            fits(plan, None, &net)?;
            let net: Vec<&Change> = net.iter().collect();
            applied.add(as_set(session, made, &net).await?);
        }
        Ok(applied)
    };
    let done = done.await;
    settled(session, done).await
}

/// Takes every row of the transaction out, then puts those that are to be there.
async fn exchanged(
    session: &mut Session,
    made: &Made,
    txn: &Txn,
    spill: &Spill,
) -> Result<Applied, Broke> {
    let mut applied = Applied::default();
    let mut put = spill.begin()?;
    for net in parted(spill, txn)? {
        let net = net?;
        let net: Vec<&Change> = net.iter().collect();
        let mut one = Applied::default();
        for (table, rows) in taken_out(session, made, &net, &mut one).await? {
            let Some(sql) = made.get(&table) else {
                continue;
            };
            for row in rows {
                put.push(&Change {
                    table,
                    key: sql.table().key_of(&row),
                    image: Image::Present(row),
                })?;
            }
        }
        applied.add(one);
    }
    for rows in put.finish()?.pieces() {
        let rows = rows?;
        let rows: Vec<&Change> = rows.iter().collect();
        applied.add(set_wise(session, made, &rows).await?);
    }
    Ok(applied)
}
