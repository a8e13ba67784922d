//! Rows in memory, ordered and constrained as a database would.

use crate::domain::id::TableId;
use crate::domain::key::{Bound, Key, Pick, Range};
use crate::domain::table::Table;
use crate::domain::value::{Row, Value};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A table's definition. It is also the text of its DDL, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The table, with its key.
    pub table: Table,
    /// Secondary unique constraints: places of their columns. NULLs are distinct.
    pub unique: Vec<Vec<u16>>,
    /// A column that the log leaves out of an UPDATE that did not change it, as PostgreSQL does with TOAST.
    pub toast: Option<u16>,
}

/// Key values in the database's own order: NULL, numbers, text, blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(pub Box<[Value]>);

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let both = self.0.iter().zip(other.0.iter());
        both.map(|(a, b)| order(a, b))
            .find(|o| o.is_ne())
            .unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

fn order(a: &Value, b: &Value) -> Ordering {
    let class = |v: &Value| match v {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    };
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Real(a), Value::Real(b)) => a.total_cmp(b),
        (Value::Integer(a), Value::Real(b)) => (*a as f64).total_cmp(b),
        (Value::Real(a), Value::Integer(b)) => a.total_cmp(&(*b as f64)),
        (Value::Text(a), Value::Text(b)) | (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        _ => class(a).cmp(&class(b)),
    }
}

/// Why a row could not be put where it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violated {
    /// The name of the constraint.
    pub constraint: String,
    /// Whose row stands in the way.
    pub key: Key,
}

/// A table with its rows.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub definition: Definition,
    rows: BTreeMap<Place, Row>,
    /// Who holds which values of which unique constraint. Inside a transaction two may hold the same.
    holders: BTreeSet<(usize, Place, Place)>,
}

impl Rows {
    pub fn new(definition: Definition) -> Self {
        Self {
            definition,
            rows: BTreeMap::new(),
            holders: BTreeSet::new(),
        }
    }

    pub fn key_of(&self, row: &[Value]) -> Key {
        self.definition.table.key_of(row)
    }

    fn place(key: &Key) -> Place {
        Place(key.parts().into())
    }

    fn bound(&self, bound: &Bound) -> Place {
        let collations = self.definition.table.key().map(|k| &k.collations[..]);
        Self::place(&Key::normal(
            bound.0.iter().cloned(),
            collations.unwrap_or_default(),
        ))
    }

    pub fn get(&self, key: &Key) -> Option<&Row> {
        self.rows.get(&Self::place(key))
    }

    /// The row, besides the one at `but`, that holds one of this row's unique values.
    pub fn in_the_way(&self, row: &[Value], but: &Key) -> Option<Violated> {
        let table = &self.definition.table;
        let but = Self::place(but);
        (0..)
            .zip(&self.definition.unique)
            .find_map(|(no, columns)| {
                let mine = Place(unique_values(row, columns)?.into());
                let from = (no, mine, Place(Box::default()));
                let (_, _, holder) = self
                    .holders
                    .range(from.clone()..)
                    .take_while(|(n, values, _)| *n == no && *values == from.1)
                    .find(|(_, _, holder)| *holder != but)?;
                let named: Vec<&str> = columns
                    .iter()
                    .filter_map(|c| table.columns.get(usize::from(*c)))
                    .map(|c| c.name.as_str())
                    .collect();
                Some(Violated {
                    constraint: format!("unique({})", named.join(", ")),
                    key: Key::normal(holder.0.iter().cloned(), &[]),
                })
            })
    }

    /// Puts a row, or removes it. Gives what was there.
    pub fn set(&mut self, key: &Key, row: Option<Row>) -> Option<Row> {
        let place = Self::place(key);
        for (no, columns) in self.definition.unique.iter().enumerate() {
            let held = |row: &[Value]| unique_values(row, columns).map(|v| Place(v.into()));
            if let Some(values) = self.rows.get(&place).and_then(|row| held(row)) {
                self.holders.remove(&(no, values, place.clone()));
            }
            if let Some(values) = row.as_deref().and_then(held) {
                self.holders.insert((no, values, place.clone()));
            }
        }
        match row {
            Some(row) => self.rows.insert(place, row),
            None => self.rows.remove(&place),
        }
    }

    /// Empties the table and takes its name away.
    pub fn retire(&mut self) {
        self.clear();
        self.definition.table.source.clear();
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn clear(&mut self) {
        self.rows.clear();
        self.holders.clear();
    }

    /// The rows of a range, in key order.
    pub fn range(&self, range: &Range) -> impl Iterator<Item = &Row> {
        let lo = range.lo.as_ref().map(|b| self.bound(b));
        let hi = range.hi.as_ref().map(|b| self.bound(b));
        let from = match lo {
            Some(lo) => std::ops::Bound::Included(lo),
            None => std::ops::Bound::Unbounded,
        };
        self.rows
            .range((from, std::ops::Bound::Unbounded))
            .take_while(move |(place, _)| hi.as_ref().is_none_or(|hi| *place < hi))
            .map(|(_, row)| row)
    }

    pub fn inside(&self, range: &Range, key: &Key) -> bool {
        let place = Self::place(key);
        range.lo.as_ref().is_none_or(|lo| self.bound(lo) <= place)
            && range.hi.as_ref().is_none_or(|hi| place < self.bound(hi))
    }

    pub fn pick(&self, pick: &Pick) -> Vec<&Row> {
        match pick {
            Pick::Range(range) => self.range(range).collect(),
            Pick::Keys(keys) => keys.iter().filter_map(|key| self.get(key)).collect(),
        }
    }
}

/// The values that a unique constraint compares; none where one of them is NULL.
pub(super) fn unique_values(row: &[Value], columns: &[u16]) -> Option<Vec<Value>> {
    let value = |c: &u16| match row.get(usize::from(*c)) {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.clone()),
    };
    columns.iter().map(value).collect()
}

/// A table by its place in the database.
pub(super) fn at(tables: &[std::sync::Arc<Rows>], table: TableId) -> Option<&Rows> {
    tables.get(usize::from(table.0)).map(AsRef::as_ref)
}
