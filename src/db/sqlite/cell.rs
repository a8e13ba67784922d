//! Values into and out of SQLite, byte for byte.
//!
//! TEXT is bound and read as bytes: SQLite keeps what is not UTF-8 and what holds NUL, and so does this. What a column's
//! affinity would convert was converted when the source stored it; the target's column has the same declared type, and
//! conversion is idempotent (<https://sqlite.org/datatype3.html>: a text that looked like a number left an INTEGER column
//! as a number, one that did not stays text), so a value binds to what it was. The exception is a value that was stored under
//! another declared type (`PRAGMA writable_schema`): it changes class on the way, and the verifier shows it.

use crate::db::canon::RowHasher;
use crate::domain::packed::{Cell, Packed};
use crate::domain::value::{Row, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Result, Statement, ToSql};

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Cell::Null => ValueRef::Null,
            Cell::Integer(i) => ValueRef::Integer(i),
            Cell::Real(r) => ValueRef::Real(r),
            Cell::Text(bytes) => ValueRef::Text(bytes),
            Cell::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A value where it lies.
pub(super) fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(i) => Cell::Integer(i),
        ValueRef::Real(r) => Cell::Real(r),
        ValueRef::Text(bytes) => Cell::Text(bytes),
        ValueRef::Blob(bytes) => Cell::Blob(bytes),
    }
}

/// A value out of a statement.
pub(super) fn value(value: ValueRef<'_>) -> Value {
    cell(value).into()
}

/// Cells `from..from + count` of a row.
pub(super) fn cells(row: &rusqlite::Row<'_>, from: usize, count: usize) -> Result<Row> {
    // Collecting results would not know how many there are, and grow.
    let mut cells = Vec::with_capacity(count);
    for i in from..from + count {
        cells.push(value(row.get_ref(i)?));
    }
    Ok(cells.into_boxed_slice())
}

/// Adds the first `count` cells of a row to packed ones.
pub(super) fn pack(rows: &mut Packed, row: &rusqlite::Row<'_>, count: usize) -> Result<()> {
    for i in 0..count {
        rows.cell(cell(row.get_ref(i)?));
    }
    rows.end_row();
    Ok(())
}

/// Binds values to `?first`, `?first+1` …
pub(super) fn bind<'a>(
    statement: &mut Statement<'_>,
    first: usize,
    values: impl IntoIterator<Item = impl Into<Cell<'a>>>,
) -> Result<()> {
    for (i, value) in values.into_iter().enumerate() {
        statement.raw_bind_parameter(first + i, value.into())?;
    }
    Ok(())
}

/// Adds the first `count` cells of a row to its hash, in place.
pub(super) fn hash(hasher: &mut RowHasher, row: &rusqlite::Row<'_>, count: usize) -> Result<()> {
    for i in 0..count {
        match row.get_ref(i)? {
            ValueRef::Null => hasher.null(),
            ValueRef::Integer(i) => hasher.integer(i),
            ValueRef::Real(r) => hasher.real(r),
            ValueRef::Text(bytes) => hasher.text(bytes),
            ValueRef::Blob(bytes) => hasher.blob(bytes),
        }
    }
    Ok(())
}
