//! From the protocol's tuples to images of rows.
//!
//! An UPDATE does not carry a cell that lies outside of its row and was not changed (TOAST). Such a cell is absent, never NULL. The
//! old row has it only under REPLICA IDENTITY FULL; what is NULL in an old row says nothing, because a partition's identity may
//! be narrower than that of the root it is published as.

use super::cell::Form;
use crate::domain::change::{Change, Image};
use crate::domain::id::TableId;
use crate::domain::key::Key;
use crate::domain::plan::Side;
use crate::domain::table::{KeySpec, Table};
use crate::domain::value::{Row, Value};
use pg_walstream::protocol::{ColumnData, TupleData};

/// Cells by the plan's columns; absent where the tuple does not say.
pub(super) type Cells = Box<[Option<Value>]>;

/// How the tuples of a relation lie on a table of the plan.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) table: TableId,
    /// For each column of the relation its column in the plan; none for one that is not copied.
    pub(super) places: Vec<Option<usize>>,
    /// By the plan's columns.
    pub(super) forms: Vec<Form>,
    pub(super) key: KeySpec,
}

/// What an UPDATE came to.
pub(super) enum Updated {
    /// These changes, one or two.
    Whole(Vec<Change>),
    /// The key changed from `old`, and cells of the new row are absent.
    Lacking { old: Key, key: Key, cells: Cells },
}

impl Shape {
    /// Of a table that is moved live.
    pub(super) fn new(
        side: Side,
        id: TableId,
        table: &Table,
        places: Vec<Option<usize>>,
    ) -> Option<Self> {
        Some(Self {
            table: id,
            places,
            forms: table
                .columns
                .iter()
                .map(|c| Form::planned(c, side, c.declared_on(side)))
                .collect(),
            key: table.key()?.clone(),
        })
    }

    /// An INSERT.
    ///
    /// # Errors
    /// Words about what does not fit.
    pub(super) fn inserted(&self, tuple: &TupleData) -> Result<Change, String> {
        let row = whole(self.cells(tuple)?).map_err(|_| "a cell of a new row is missing")?;
        let key = self.key_of(|column| row.get(column).cloned())?;
        Ok(self.change(key, Image::Inserted(row)))
    }

    /// A DELETE, with the old row or its key.
    ///
    /// # Errors
    /// Words about what does not fit.
    pub(super) fn deleted(&self, old: &TupleData) -> Result<Change, String> {
        let old = self.cells(old)?;
        let key = self.key_of(|column| old.get(column).cloned().flatten())?;
        Ok(self.change(key, Image::Gone))
    }

    /// An UPDATE, with the old row or its key where the protocol sends it.
    ///
    /// # Errors
    /// Words about what does not fit.
    pub(super) fn updated(
        &self,
        old: Option<&TupleData>,
        new: &TupleData,
    ) -> Result<Updated, String> {
        let mut cells = self.cells(new)?;
        let old = old.map(|old| self.cells(old)).transpose()?;
        if let Some(old) = &old {
            for (cell, old) in cells.iter_mut().zip(old) {
                if cell.is_none() && !matches!(old, Some(Value::Null)) {
                    cell.clone_from(old);
                }
            }
        }
        let key = self.key_of(|column| cells.get(column).cloned().flatten())?;
        let old = old
            .map(|old| self.key_of(|column| old.get(column).cloned().flatten()))
            .transpose()?
            .filter(|old| *old != key);
        Ok(match (old, whole(cells)) {
            (None, Ok(row)) => Updated::Whole(vec![self.change(key, Image::Updated(row))]),
            (None, Err(cells)) => Updated::Whole(vec![self.change(key, Image::Partial(cells))]),
            (Some(old), Ok(row)) => Updated::Whole(vec![
                self.change(old, Image::Gone),
                self.change(key, Image::Inserted(row)),
            ]),
            (Some(old), Err(cells)) => Updated::Lacking { old, key, cells },
        })
    }

    pub(super) fn change(&self, key: Key, image: Image) -> Change {
        Change {
            table: self.table,
            key,
            image,
        }
    }

    fn cells(&self, tuple: &TupleData) -> Result<Cells, String> {
        let mut cells: Cells = vec![None; self.forms.len()].into();
        if tuple.column_count() != self.places.len() {
            return Err(format!(
                "a row has {} cells, its table {}",
                tuple.column_count(),
                self.places.len()
            ));
        }
        for (data, place) in tuple.columns.iter().zip(&self.places) {
            let Some((place, form)) = place.and_then(|at| Some((at, self.forms.get(at)?))) else {
                continue;
            };
            let cell = value(data, *form)?;
            if let Some(slot) = cells.get_mut(place) {
                *slot = cell;
            }
        }
        Ok(cells)
    }

    fn key_of(&self, cell: impl Fn(usize) -> Option<Value>) -> Result<Key, String> {
        let parts: Option<Vec<Value>> = self
            .key
            .columns
            .iter()
            .map(|column| cell(usize::from(*column)))
            .collect();
        let parts = parts.ok_or("a cell of the key is missing")?;
        Ok(Key::normal(parts, &self.key.collations))
    }
}

fn value(data: &ColumnData, form: Form) -> Result<Option<Value>, String> {
    Ok(match data.data_type {
        b'n' => Some(Value::Null),
        b'u' => None,
        b't' => Some(form.value(data.as_bytes())),
        other => return Err(format!("a cell came in the unknown form {other}")),
    })
}

/// The row, where no cell is absent.
pub(super) fn whole(cells: Cells) -> Result<Row, Cells> {
    if cells.iter().all(Option::is_some) {
        Ok(cells.into_iter().flatten().collect())
    } else {
        Err(cells)
    }
}
