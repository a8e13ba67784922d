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
    /// The row of a key has these cells now.
    One(Change),
    /// The row got another key: it is gone under the first, and there under the second.
    Moved(Change, Change),
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
        let row = match self.row(tuple)? {
            Some(row) => row,
            None => whole(self.cells(tuple)?).map_err(|_| "a cell of a new row is missing")?,
        };
        let key = self.key_in(&row)?;
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
        if old.is_none()
            && let Some(row) = self.row(new)?
        {
            let key = self.key_in(&row)?;
            return Ok(Updated::One(self.change(key, Image::Updated(row))));
        }
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
            (None, Ok(row)) => Updated::One(self.change(key, Image::Updated(row))),
            (None, Err(cells)) => Updated::One(self.change(key, Image::Partial(cells))),
            (Some(old), Ok(row)) => Updated::Moved(
                self.change(old, Image::Gone),
                self.change(key, Image::Inserted(row)),
            ),
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

    /// The row of a tuple that has all of its cells in the plan's order, as almost every one has; made in one go.
    fn row(&self, tuple: &TupleData) -> Result<Option<Row>, String> {
        self.fits(tuple)?;
        let mut row = Vec::with_capacity(self.forms.len());
        for (data, place) in tuple.columns.iter().zip(&self.places) {
            if *place != Some(row.len()) {
                return Ok(None);
            }
            let (Some(form), true) = (self.forms.get(row.len()), data.data_type != b'u') else {
                return Ok(None);
            };
            row.extend(value(data, *form)?);
        }
        Ok((row.len() == self.forms.len()).then(|| row.into()))
    }

    fn fits(&self, tuple: &TupleData) -> Result<(), String> {
        if tuple.column_count() == self.places.len() {
            return Ok(());
        }
        Err(format!(
            "a row has {} cells, its table {}",
            tuple.column_count(),
            self.places.len()
        ))
    }

    fn cells(&self, tuple: &TupleData) -> Result<Cells, String> {
        self.fits(tuple)?;
        let mut cells: Cells = vec![None; self.forms.len()].into();
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

    fn key_in(&self, row: &Row) -> Result<Key, String> {
        self.key_of(|column| row.get(column).cloned())
    }

    fn key_of(&self, cell: impl Fn(usize) -> Option<Value>) -> Result<Key, String> {
        let mut parts = Vec::with_capacity(self.key.columns.len());
        for column in &self.key.columns {
            let part = cell(usize::from(*column)).ok_or("a cell of the key is missing")?;
            parts.push(part);
        }
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
