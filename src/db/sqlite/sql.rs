//! The statements for one table of the plan.
//!
//! Columns are always written with the table's alias in reads (`r."c"`): a bare `"c"` that no longer exists is a string to
//! SQLite, not an error. Ranges are row values, which SQLite searches an index with as long as no part has an explicit
//! COLLATE; so one is written only where the column's own collation is another than the key's.

use super::catalog::{Affinity, Catalog};
use super::cell::value;
use super::ddl::quote_name;
use super::identity::collation_name;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::key::{Collation, Key, Range};
use crate::domain::plan::{Plan, Side};
use crate::domain::table::Table;
use crate::domain::value::Value;
use std::fmt::Write as _;
use std::sync::Arc;

/// What statements about one table are made of.
pub(super) struct TableSql {
    plan: Arc<Plan>,
    id: TableId,
    /// `main."orders"`.
    from: String,
    columns: Vec<String>,
    key: Vec<KeyPart>,
}

struct KeyPart {
    column: String,
    collation: &'static str,
    explicit: bool,
    /// Equal keys are the same value: not `Abc` and `aBC`, nor `1` and `1.0` in a column that converts nothing.
    exact: bool,
}

impl KeyPart {
    fn read(&self) -> String {
        format!("r.{}{}", self.column, self.collate())
    }
    fn collate(&self) -> String {
        if self.explicit {
            format!(" COLLATE {}", self.collation)
        } else {
            String::new()
        }
    }
}

impl TableSql {
    /// Of a table that is moved live.
    pub(super) fn new(
        plan: &Arc<Plan>,
        id: TableId,
        side: Side,
        catalog: &Catalog,
    ) -> Result<Self> {
        let (table, spec) = plan
            .table(id)
            .and_then(|table| table.key().map(|key| (table, key)))
            .ok_or_else(|| {
                Fault::new(
                    Kind::Usage,
                    format!("table {id} of the plan is not moved live"),
                )
            })?;
        let name = table.name_on(side);
        let there = catalog.table(name).ok_or_else(|| {
            Fault::new(
                Kind::Blocked,
                format!("there is no table {name} on the {}", side.label()),
            )
            .code("TABLE-MISSING")
        })?;
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|column| quote_name(&column.name))
            .collect();
        let key = spec
            .columns
            .iter()
            .zip(&spec.collations)
            .filter_map(|(place, collation)| {
                let column = table.columns.get(usize::from(*place))?;
                let wanted = collation_name(*collation);
                let found = there
                    .columns
                    .iter()
                    .find(|found| found.name.eq_ignore_ascii_case(&column.name));
                let explicit = match found.and_then(|found| found.collation.as_deref()) {
                    Some(own) => !own.eq_ignore_ascii_case(wanted),
                    None => *collation != Collation::Binary,
                };
                Some(KeyPart {
                    column: quote_name(&column.name),
                    collation: wanted,
                    explicit,
                    exact: *collation == Collation::Binary
                        && found.is_some_and(|found| found.affinity != Affinity::Blob),
                })
            })
            .collect();
        Ok(Self {
            plan: Arc::clone(plan),
            id,
            from: format!("main.{}", quote_name(name)),
            columns,
            key,
        })
    }

    /// The table as the plan has it.
    pub(super) fn table(&self) -> &Table {
        &self.plan.tables[usize::from(self.id.0)]
    }
    /// The normalised key of a row as read by [`rows`](Self::rows).
    pub(super) fn key_of(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Key> {
        let Some(spec) = self.table().key() else {
            return Ok(Key::normal([], &[]));
        };
        let parts: Vec<_> = spec
            .columns
            .iter()
            .map(|place| row.get_ref(usize::from(*place)).map(value))
            .collect::<rusqlite::Result<_>>()?;
        Ok(Key::normal(parts, &spec.collations))
    }
    /// The normalised key of raw key values.
    pub(super) fn normal(&self, raw: &[Value]) -> Key {
        let collations = self
            .table()
            .key()
            .map(|spec| spec.collations.as_slice())
            .unwrap_or_default();
        Key::normal(raw.iter().cloned(), collations)
    }
    /// The key's cells of a row, as they are.
    pub(super) fn key_cells<'a>(&'a self, row: &'a [Value]) -> impl Iterator<Item = &'a Value> {
        let places = self
            .table()
            .key()
            .map(|spec| spec.columns.as_slice())
            .unwrap_or_default();
        places
            .iter()
            .filter_map(|place| row.get(usize::from(*place)))
    }
    /// Columns of a row.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }
    /// Columns of the key.
    pub(super) fn key_width(&self) -> usize {
        self.key.len()
    }

    fn row_columns(&self) -> String {
        self.some_columns(0, self.width())
    }
    fn key_columns(&self) -> String {
        self.key
            .iter()
            .map(KeyPart::read)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// `key <op> (?first, …)`, as the index orders it.
    fn compare(&self, op: &str, first: usize) -> String {
        let marks: Vec<_> = (first..first + self.key.len())
            .map(|n| format!("?{n}"))
            .collect();
        match self.key.as_slice() {
            [part] => format!("{} {op} ?{first}", part.read()),
            parts => {
                let mut sql = String::new();
                // An explicit COLLATE keeps the row value from the index; the first part alone may still use it.
                if parts.iter().any(|part| part.explicit) {
                    let loose = if op.starts_with('>') { ">=" } else { "<=" };
                    let _ = write!(sql, "{} {loose} ?{first} AND ", parts[0].read());
                }
                let _ = write!(sql, "({}) {op} ({})", self.key_columns(), marks.join(", "));
                sql
            }
        }
    }

    /// ` WHERE …` for a range whose bounds are bound from `?1` on: first `lo`'s parts, then `hi`'s.
    fn within(&self, range: &Range) -> String {
        let mut terms = Vec::new();
        let mut next = 1;
        if range.lo.is_some() {
            terms.push(self.compare(">=", next));
            next += self.key.len();
        }
        if range.hi.is_some() {
            terms.push(self.compare("<", next));
        }
        if terms.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", terms.join(" AND "))
        }
    }

    fn order(&self) -> String {
        self.key_columns()
    }

    /// `key = (?first, …)`.
    fn is_key(&self, first: usize) -> String {
        let terms: Vec<_> = self
            .key
            .iter()
            .enumerate()
            .map(|(i, part)| format!("{} = ?{}", part.read(), first + i))
            .collect();
        terms.join(" AND ")
    }

    /// Rows of a range in key order.
    pub(super) fn rows(&self, range: &Range) -> String {
        format!(
            "SELECT {} FROM {} AS r{} ORDER BY {}",
            self.row_columns(),
            self.from,
            self.within(range),
            self.order()
        )
    }
    /// Rows of a range for which `condition` is true, in key order.
    pub(super) fn rows_where(&self, range: &Range, condition: &str) -> String {
        let within = match self.within(range) {
            within if within.is_empty() => " WHERE".to_owned(),
            within => format!("{within} AND"),
        };
        format!(
            "SELECT {} FROM {} AS r{within} ({condition}) ORDER BY {}",
            self.row_columns(),
            self.from,
            self.order()
        )
    }
    /// The row's columns from `first` on, `count` at most.
    pub(super) fn some_columns(&self, first: usize, count: usize) -> String {
        let some = self.columns.iter().skip(first).take(count);
        let some: Vec<_> = some.map(|column| format!("r.{column}")).collect();
        some.join(", ")
    }
    /// Rows of a range in any order.
    pub(super) fn rows_unordered(&self, range: &Range) -> String {
        format!(
            "SELECT {} FROM {} AS r{}",
            self.row_columns(),
            self.from,
            self.within(range)
        )
    }
    /// The row of a key bound from `?1` on.
    pub(super) fn row(&self) -> String {
        format!(
            "SELECT {} FROM {} AS r WHERE {}",
            self.row_columns(),
            self.from,
            self.is_key(1)
        )
    }
    /// The key that lies `?` (the last parameter) rows after the bound, or after the start.
    pub(super) fn bound(&self, after: bool) -> String {
        let (condition, skip) = if after {
            (
                format!(" WHERE {}", self.compare(">=", 1)),
                self.key.len() + 1,
            )
        } else {
            (String::new(), 1)
        };
        format!(
            "SELECT {} FROM {} AS r{condition} ORDER BY {} LIMIT 1 OFFSET ?{skip}",
            self.key_columns(),
            self.from,
            self.order()
        )
    }
    /// Whether a key (bound from `?1` on) lies in a range (bound after it), by the key's collations and no table's rows.
    pub(super) fn inside(&self, range: &Range) -> String {
        let width = self.key.len();
        let tuple = |first: usize, collate: bool| {
            let parts: Vec<_> = self
                .key
                .iter()
                .enumerate()
                .map(|(i, part)| {
                    let collation = if collate {
                        format!(" COLLATE {}", part.collation)
                    } else {
                        String::new()
                    };
                    format!("?{}{collation}", first + i)
                })
                .collect();
            if width == 1 {
                parts.concat()
            } else {
                format!("({})", parts.join(", "))
            }
        };
        let mut terms = vec!["1".to_owned()];
        let mut next = width + 1;
        if range.lo.is_some() {
            terms.push(format!("{} >= {}", tuple(1, true), tuple(next, false)));
            next += width;
        }
        if range.hi.is_some() {
            terms.push(format!("{} < {}", tuple(1, true), tuple(next, false)));
        }
        format!("SELECT {}", terms.join(" AND "))
    }

    /// Puts a row there.
    pub(super) fn insert(&self) -> String {
        self.insert_block(1)
    }
    /// Puts so many new rows there; none of them, where one is in the way.
    pub(super) fn insert_block(&self, rows: usize) -> String {
        let marks = vec!["?"; self.columns.len()].join(", ");
        let row = format!("({marks})");
        format!(
            "INSERT INTO {} ({}) VALUES {}",
            self.from,
            self.columns.join(", "),
            vec![row.as_str(); rows].join(", ")
        )
    }
    /// Puts a row there, or makes the one with its key the same. Never evicts another row.
    pub(super) fn upsert(&self) -> String {
        let target: Vec<_> = self
            .key
            .iter()
            .map(|part| format!("{}{}", part.column, part.collate()))
            .collect();
        let set: Vec<_> = self
            .settable()
            .map(|(_, column)| format!("{column} = excluded.{column}"))
            .collect();
        format!(
            "{} ON CONFLICT ({}) DO UPDATE SET {}",
            self.insert(),
            target.join(", "),
            set.join(", ")
        )
    }
    /// Makes the row with the key bound from `?width + 1` on the row bound from `?1` on.
    pub(super) fn update(&self) -> String {
        let set: Vec<_> = self
            .settable()
            .map(|(place, column)| format!("{column} = ?{}", place + 1))
            .collect();
        self.update_set(&set, self.columns.len() + 1)
    }
    /// Sets the cells at `places`, bound from `?1` on, in the row with the key bound after them.
    pub(super) fn update_cells(&self, places: impl Iterator<Item = usize>) -> String {
        let set: Vec<_> = places
            .filter_map(|place| self.columns.get(place))
            .enumerate()
            .map(|(i, column)| format!("{column} = ?{}", i + 1))
            .collect();
        self.update_set(&set, set.len() + 1)
    }
    fn update_set(&self, set: &[String], key: usize) -> String {
        format!(
            "UPDATE {} AS r SET {} WHERE {}",
            self.from,
            set.join(", "),
            self.is_key(key)
        )
    }
    /// The columns that can differ between two rows of one key: setting a key column makes SQLite move the row. All of
    /// them where nothing else is there to set.
    fn settable(&self) -> impl Iterator<Item = (usize, &String)> {
        let same = |column: &str| {
            self.key
                .iter()
                .any(|part| part.exact && part.column == column)
        };
        let all = self.columns.iter().all(|column| same(column));
        self.columns
            .iter()
            .enumerate()
            .filter(move |(_, column)| all || !same(column))
    }
    /// Removes the row of a key bound from `?1` on.
    pub(super) fn delete(&self) -> String {
        format!("DELETE FROM {} AS r WHERE {}", self.from, self.is_key(1))
    }
}
