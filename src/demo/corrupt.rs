//! Somebody opens the target with another program and damages it, the way it happens in life: a row deleted, a value
//! changed, two values swapped, a row too many. tidegate's guard is dropped first and not put back.
//!
//! Swapped values are chosen so that a checksum that XORs a CRC of each row does not notice: both values have the same
//! length, and so has everything that follows them in their rows. (CRC is affine: the bits that move between two rows
//! at the same distance from the end cancel out.)

use std::{fmt, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, types::Value};

use super::{
    error::{DemoError, Doing, Result},
    shape::{self, comma, quoted},
};
use hand::Hand;

mod hand;

/// How much damage to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Corruption {
    /// Rows to delete.
    pub missing: u32,
    /// Rows of which one value is changed.
    pub changed: u32,
    /// Pairs of rows that swap one value.
    pub swapped_pairs: u32,
    /// Rows to add.
    pub extra: u32,
}

impl Corruption {
    /// Rows that differ afterwards.
    pub fn rows(&self) -> u64 {
        u64::from(self.missing)
            + u64::from(self.changed)
            + 2 * u64::from(self.swapped_pairs)
            + u64::from(self.extra)
    }
}

/// One thing that was done to the target.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// A guard trigger was dropped.
    GuardDropped {
        /// Its name.
        trigger: String,
    },
    /// The row with this key was deleted.
    Deleted {
        /// Its key.
        key: Vec<Value>,
    },
    /// One value was changed.
    Changed {
        /// The row's key.
        key: Vec<Value>,
        /// The column.
        column: String,
        /// What it held.
        before: Value,
        /// What it holds now.
        after: Value,
    },
    /// Two rows swapped one value; both are of the same class and length.
    Swapped {
        /// The rows' keys.
        keys: [Vec<Value>; 2],
        /// The column.
        column: String,
        /// What the two held before.
        values: [Value; 2],
    },
    /// A row was added under this key.
    Added {
        /// Its key.
        key: Vec<Value>,
    },
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |key: &[Value]| comma(key.iter().map(shown));
        match self {
            Self::GuardDropped { trigger } => write!(f, "trigger {trigger} dropped"),
            Self::Deleted { key: k } => write!(f, "row {} deleted", key(k)),
            Self::Changed {
                key: k,
                column,
                before,
                after,
            } => {
                write!(
                    f,
                    "row {}: {column} {} changed to {}",
                    key(k),
                    shown(before),
                    shown(after)
                )
            }
            Self::Swapped {
                keys: [a, b],
                column,
                values: [x, y],
            } => {
                write!(
                    f,
                    "rows {} and {}: {column} {} and {} swapped",
                    key(a),
                    key(b),
                    shown(x),
                    shown(y)
                )
            }
            Self::Added { key: k } => write!(f, "row {} added", key(k)),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(i) => i.to_string(),
        Value::Real(r) => format!("{r:?}"),
        Value::Text(t) => format!("'{t}'"),
        Value::Blob(b) => format!("{} bytes", b.len()),
    }
}

/// Drops tidegate's guard triggers on `table` and leaves them dropped. Returns their names; none is not an error.
///
/// # Errors
/// When the target cannot be opened or stays locked for five seconds.
pub fn drop_guard(target: &Path, table: &str) -> Result<Vec<String>> {
    let mut db = outsider(target)?;
    let tx = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .doing(|| locked(target))?;
    let dropped =
        drop_guard_in(&tx, table).doing(|| format!("cannot drop the guard of {table}"))?;
    tx.commit().doing(|| locked(target))?;
    Ok(dropped)
}

/// Damages `table` of `target` in one transaction, after dropping its guard. Each row is damaged at most once, so that
/// [`Corruption::rows`] rows differ. The same seed chooses the same rows of the same file.
///
/// # Errors
/// When the table is not there or too small, no value fits, or the target stays locked. Nothing is changed then.
pub fn corrupt(target: &Path, table: &str, how: Corruption, seed: u64) -> Result<Vec<Deed>> {
    let mut db = outsider(target)?;
    let shape = shape::tables(&db)?
        .into_iter()
        .find(|t| t.name == table)
        .ok_or_else(|| DemoError::new(format!("{} has no table {table}", target.display())))?;
    let tx = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .doing(|| locked(target))?;
    let dropped = drop_guard_in(&tx, table)?;
    let mut deeds: Vec<Deed> = dropped
        .into_iter()
        .map(|trigger| Deed::GuardDropped { trigger })
        .collect();
    let mut hand = Hand::new(&tx, &shape, seed)?;
    // The swap first: it is the pickiest.
    for _ in 0..how.swapped_pairs {
        deeds.push(hand.swap()?);
    }
    for _ in 0..how.changed {
        deeds.push(hand.change()?);
    }
    for _ in 0..how.missing {
        deeds.push(hand.delete()?);
    }
    for _ in 0..how.extra {
        deeds.push(hand.add()?);
    }
    drop(hand);
    tx.commit().doing(|| locked(target))?;
    Ok(deeds)
}

fn locked(target: &Path) -> String {
    format!("cannot write to {} from outside", target.display())
}

/// A connection as a passing `sqlite3` would have: no foreign keys, triggers on.
fn outsider(target: &Path) -> Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "foreign_keys", false)?;
        Ok(db)
    };
    open().doing(|| format!("cannot open {}", target.display()))
}

fn drop_guard_in(tx: &Transaction<'_>, table: &str) -> Result<Vec<String>> {
    let mut list = tx.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, 15) = 'tidegate_guard_' AND tbl_name = ?1 ORDER BY name",
    )?;
    let names: Vec<String> = list
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for name in &names {
        tx.execute_batch(&format!("DROP TRIGGER {}", quoted(name)))?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
