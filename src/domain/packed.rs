//! Many rows as one piece of memory.
//!
//! A chunk is read, waits, and lands as a whole, on other threads than the one that read it. As a `Vec<Row>` each of its rows would
//! be an allocation or several, made here and freed there; packed it is two buffers, however many rows there are. Each cell
//! is a tag and its bytes.

use super::unit::Bytes;
use super::value::{Row, Value};
use std::fmt;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;
/// More than what glibc's allocator would ever take from a pool (its `DEFAULT_MMAP_THRESHOLD_MAX` is 32 MB).
const MAPPED: usize = 33 << 20;

/// A cell of a packed row, borrowed: the same cases as [`Value`].
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A binary64 number.
    Real(f64),
    /// Characters.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Cell<'_> {
    /// Adds the cell as a tag and its bytes; [`Cells`] reads it back.
    pub fn write(self, out: &mut Vec<u8>) {
        let (tag, fixed, varying): (u8, [u8; 8], &[u8]) = match self {
            Self::Null => return out.push(NULL),
            Self::Integer(i) => (INTEGER, i.to_le_bytes(), &[]),
            Self::Real(r) => (REAL, r.to_bits().to_le_bytes(), &[]),
            Self::Text(b) => (TEXT, (b.len() as u64).to_le_bytes(), b),
            Self::Blob(b) => (BLOB, (b.len() as u64).to_le_bytes(), b),
        };
        // The head in one piece, as it is written for every cell of a table.
        let mut head = [tag; 9];
        head[1..].copy_from_slice(&fixed);
        out.extend_from_slice(&head);
        if !varying.is_empty() {
            out.extend_from_slice(varying);
        }
    }
}

impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(i) => Self::Integer(i),
            Cell::Real(r) => Self::Real(r),
            Cell::Text(b) => Self::Text(b.into()),
            Cell::Blob(b) => Self::Blob(b.into()),
        }
    }
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(i) => Self::Integer(*i),
            Value::Real(r) => Self::Real(*r),
            Value::Text(b) => Self::Text(b),
            Value::Blob(b) => Self::Blob(b),
        }
    }
}

/// Pieces of bytes, one behind the other in one piece of memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
    /// Where each piece ends in `bytes`.
    ends: Vec<usize>,
}

impl Pieces {
    /// None yet, with room for a whole chunk.
    pub(super) fn for_chunk() -> Self {
        Self {
            bytes: Vec::with_capacity(MAPPED),
            ends: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// What they take.
    pub(super) fn weight(&self) -> Bytes {
        Bytes((self.bytes.len() + self.ends.len() * size_of::<usize>()) as u64)
    }

    /// All of them.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// To write the next piece to, which [`end`](Self::end) ends.
    pub(super) fn open(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        self.end();
    }

    /// One of them; of one that isn't there, nothing.
    pub(super) fn get(&self, at: usize) -> &[u8] {
        let end = self.ends.get(at).copied().unwrap_or_default();
        self.bytes.get(self.start(at)..end).unwrap_or_default()
    }

    /// Takes the last away again.
    pub(super) fn pop(&mut self) {
        if let Some(last) = self.len().checked_sub(1) {
            self.bytes.truncate(self.start(last));
            self.ends.pop();
        }
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or_default()
    }
}

/// Rows, packed.
#[derive(Clone, Default)]
pub struct Packed(Pieces);

impl Packed {
    /// None yet, with room for a whole chunk: a buffer that grows is copied, and takes its room twice meanwhile.
    ///
    /// What is set aside and not touched costs no memory. So much is set aside that allocators map it from the system and give
    /// it back at once: chunks are read on one thread and freed on another, and smaller buffers would stay in the pools of all
    /// these threads.
    pub fn for_chunk() -> Self {
        Self(Pieces::for_chunk())
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> Bytes {
        self.0.weight()
    }

    /// Adds a row.
    pub fn push(&mut self, row: &[Value]) {
        for value in row {
            self.cell(value.into());
        }
        self.end_row();
    }

    /// Adds a cell to the row that [`end_row`](Self::end_row) will end.
    pub fn cell(&mut self, cell: Cell<'_>) {
        cell.write(self.0.open());
    }

    /// Makes the cells since the last end a row.
    pub fn end_row(&mut self) {
        self.0.end();
    }

    /// Takes the last row away again.
    pub fn pop(&mut self) -> Option<Row> {
        let last = self.len().checked_sub(1)?;
        let row = self.row(last);
        self.0.pop();
        Some(row)
    }

    /// The cells of one row; of a row that isn't there, none.
    pub fn cells(&self, at: usize) -> Cells<'_> {
        Cells(self.0.get(at))
    }

    /// One row, unpacked; of a row that isn't there, empty.
    pub fn row(&self, at: usize) -> Row {
        self.cells(at).map(Value::from).collect()
    }

    /// All rows, unpacked one by one.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.len()).map(|at| self.row(at))
    }

    /// The same rows with some of them replaced or left out, and others added at the end, as `changed` has it: places in
    /// this order, none for a row that is not there any more.
    pub fn with<'a>(&self, changed: impl IntoIterator<Item = (usize, Option<&'a Row>)>) -> Self {
        let mut new = Self::default();
        let mut from = 0;
        for (at, row) in changed {
            new.append(self, from..at);
            from = at + 1;
            if let Some(row) = row {
                new.push(row);
            }
        }
        new.append(self, from..self.len());
        new
    }

    fn append(&mut self, other: &Self, rows: std::ops::Range<usize>) {
        for at in rows.start..rows.end.min(other.len()) {
            self.0.push(other.0.get(at));
        }
    }
}

/// The cells of one packed row, in the order of the table's columns.
#[derive(Debug, Clone)]
pub struct Cells<'a>(&'a [u8]);

impl<'a> Cells<'a> {
    /// The cells that [`Cell::write`] wrote there.
    pub fn written(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    /// Reads what [`Cell::write`] wrote.
    fn next(&mut self) -> Option<Cell<'a>> {
        let (tag, rest) = self.0.split_first()?;
        if *tag == NULL {
            self.0 = rest;
            return Some(Cell::Null);
        }
        let (fixed, rest) = rest.split_first_chunk::<8>()?;
        let fixed = u64::from_le_bytes(*fixed);
        let (cell, rest) = match *tag {
            INTEGER => (Cell::Integer(fixed.cast_signed()), rest),
            REAL => (Cell::Real(f64::from_bits(fixed)), rest),
            tag => {
                let (content, rest) = rest.split_at_checked(usize::try_from(fixed).ok()?)?;
                let cell = if tag == TEXT {
                    Cell::Text(content)
                } else {
                    Cell::Blob(content)
                };
                (cell, rest)
            }
        };
        self.0 = rest;
        Some(cell)
    }
}

impl<R: AsRef<[Value]>> FromIterator<R> for Packed {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        let mut packed = Self::default();
        rows.into_iter().for_each(|row| packed.push(row.as_ref()));
        packed
    }
}

/// Cell by cell as [`Value`]s compare: bits for reals, storage class first.
impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Packed {}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<u64>().prop_map(|bits| Value::Real(f64::from_bits(bits))),
            any::<Vec<u8>>().prop_map(|b| Value::Text(b.into())),
            any::<Vec<u8>>().prop_map(|b| Value::Blob(b.into())),
        ]
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = proptest::collection::vec(value(), 0..5).prop_map(Row::from);
        proptest::collection::vec(row, 0..8)
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(rows in rows()) {
            let mut packed: Packed = rows.iter().collect();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), rows.clone());
            let last = packed.pop();
            prop_assert_eq!(last.as_ref(), rows.last());
            let kept = &rows[..rows.len().saturating_sub(1)];
            prop_assert_eq!(packed, kept.iter().collect());
        }

        #[test]
        fn changed_rows_take_their_places(
            rows in rows(),
            changed in proptest::collection::btree_map(0..10_usize, proptest::option::of(Just(Row::from([Value::Integer(7)]))), 0..4),
        ) {
            let mut expected: Vec<Option<Row>> = rows.iter().cloned().map(Some).collect();
            for (at, row) in &changed {
                match expected.get_mut(*at) {
                    Some(place) => place.clone_from(row),
                    None => expected.push(row.clone()),
                }
            }
            let packed: Packed = rows.iter().collect();
            let new = packed.with(changed.iter().map(|(at, row)| (*at, row.as_ref())));
            prop_assert_eq!(new, expected.into_iter().flatten().collect());
        }
    }
}
