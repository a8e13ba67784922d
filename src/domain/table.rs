//! A table as the plan knows it, the same on every engine.

use super::bulk::Bulk;
use super::key::{Bound, Collation, Key};
use super::plan::Side;
use super::value::Value;
use serde::{Deserialize, Serialize};

/// A column that is copied. Generated columns are not: the target makes them itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its declared type, as the source writes it; empty where it has none.
    pub declared: String,
    /// Whether its values are never to be shown (`mask` in the config).
    pub masked: bool,
    /// Its type on the target, where that is another kind of database; empty where source and target write it alike.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub becomes: String,
}

impl Column {
    /// Its type as a side writes it.
    pub fn declared_on(&self, side: Side) -> &str {
        match side {
            Side::Target if !self.becomes.is_empty() => &self.becomes,
            Side::Source | Side::Target => &self.declared,
        }
    }
}

/// What identifies a row: the table's replica identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpec {
    /// Places of the key's columns in `Table::columns`, in key order.
    pub columns: Vec<u16>,
    /// How each compares for identity.
    pub collations: Vec<Collation>,
}

/// How a table is moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Chunk by chunk along its key, changes applied meanwhile.
    Live(KeySpec),
    /// No usable key: never copied live. Shown as left out, with the reason.
    LeftOut(String),
}

/// A table of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name on the source.
    pub source: String,
    /// Its name on the target.
    pub target: String,
    /// The columns that are copied, in the source's order.
    pub columns: Vec<Column>,
    /// How it is moved.
    pub mode: Mode,
    /// A fingerprint of its definition on the source: when it changes, the table stops.
    pub shape: String,
}

impl Table {
    /// The key, where the table is moved live.
    pub fn key(&self) -> Option<&KeySpec> {
        match &self.mode {
            Mode::Live(key) => Some(key),
            Mode::LeftOut(_) => None,
        }
    }

    /// The name it has on a side.
    pub fn name_on(&self, side: Side) -> &str {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// The normalised key of a row of this table. A table that is left out has an empty one.
    pub fn key_of(&self, row: &[Value]) -> Key {
        match self.key() {
            Some(spec) => Key::normal(self.key_cells(spec, row), &spec.collations),
            None => Key::normal([], &[]),
        }
    }

    /// The normalised key of one of many rows of this table; none where it can't be told, which only a sealed row can be.
    pub fn key_in(&self, rows: &Bulk, at: usize) -> Option<Key> {
        let Some(spec) = self.key() else {
            return Some(Key::normal([], &[]));
        };
        Some(match rows {
            Bulk::Packed(rows) => {
                let cells = spec.columns.iter().map(|column| {
                    let cell = rows.cells(at).nth(usize::from(*column));
                    cell.map_or(Value::Null, Value::from)
                });
                Key::normal(cells, &spec.collations)
            }
            Bulk::Lines(_) => Key::normal(self.key_cells(spec, &rows.row(at)), &spec.collations),
            Bulk::Sealed(rows) => Key::normal(rows.key(at)?, &spec.collations),
        })
    }

    /// A row's key as the database holds it, to bound a range with.
    pub fn bound_of(&self, row: &[Value]) -> Bound {
        match self.key() {
            Some(spec) => Bound(self.key_cells(spec, row).collect()),
            None => Bound(Box::default()),
        }
    }

    fn key_cells<'a>(
        &self,
        spec: &'a KeySpec,
        row: &'a [Value],
    ) -> impl Iterator<Item = Value> + 'a {
        spec.columns
            .iter()
            .map(|i| row.get(usize::from(*i)).cloned().unwrap_or(Value::Null))
    }
}
