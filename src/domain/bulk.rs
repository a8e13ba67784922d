//! Rows on their way from one database to another, in the form in which they travel cheapest.
//!
//! Between two databases of one kind a row need not be taken apart: what the one writes, the other reads. Such rows are
//! [`Lines`], passed on as they came; only those that somebody asks for (because a change touched their chunk) are decoded.
//! All others are [`Packed`] cells.

use super::packed::Packed;
use super::unit::Bytes;
use super::value::{Row, Value};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// How a database writes a row as a line, and reads it back. Both directions must agree: what `write` made of the row that
/// `read` gave is the same row to the database.
pub trait LineForm: Send + Sync {
    /// Adds the row that the line says.
    fn read(&self, line: &[u8], into: &mut Packed);
    /// Adds the line that says the row.
    fn write(&self, row: &[Value], out: &mut Vec<u8>);
}

/// Rows as a database wrote them, one line after another.
#[derive(Clone)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where each line ends in `bytes`.
    ends: Vec<usize>,
    form: Arc<dyn LineForm>,
}

impl Lines {
    /// None yet.
    pub fn new(form: Arc<dyn LineForm>) -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            form,
        }
    }

    /// None yet, with room for a whole chunk ([`Packed::for_chunk`] says why so much).
    pub fn for_chunk(form: Arc<dyn LineForm>) -> Self {
        Self {
            bytes: Vec::with_capacity(super::packed::MAPPED),
            ends: Vec::new(),
            form,
        }
    }

    /// Adds a line, with whatever ends it.
    pub fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    fn write(&mut self, row: &[Value]) {
        self.form.write(row, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// All lines, for a database of the kind that wrote them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn line(&self, at: usize) -> &[u8] {
        let end = self.ends.get(at).copied().unwrap_or_default();
        self.bytes.get(self.start(at)..end).unwrap_or_default()
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or_default()
    }

    fn row(&self, at: usize) -> Row {
        let mut one = Packed::default();
        if at < self.ends.len() {
            self.form.read(self.line(at), &mut one);
        }
        one.row(0)
    }

    fn pop(&mut self) -> Option<Row> {
        let last = self.ends.len().checked_sub(1)?;
        let row = self.row(last);
        self.bytes.truncate(self.start(last));
        self.ends.pop();
        Some(row)
    }

    fn with<'a>(&self, changed: impl IntoIterator<Item = (usize, Option<&'a Row>)>) -> Self {
        let mut new = Self::for_chunk(Arc::clone(&self.form));
        let mut from = 0;
        for (at, row) in changed {
            new.append(self, from..at);
            from = at + 1;
            if let Some(row) = row {
                new.write(row);
            }
        }
        new.append(self, from..self.ends.len());
        new
    }

    fn append(&mut self, other: &Self, rows: Range<usize>) {
        for at in rows.start..rows.end.min(other.ends.len()) {
            self.push(other.line(at));
        }
    }
}

/// Rows in either form.
#[derive(Clone)]
pub enum Bulk {
    /// Cell by cell.
    Packed(Packed),
    /// As they came.
    Lines(Lines),
}

impl Default for Bulk {
    fn default() -> Self {
        Self::Packed(Packed::default())
    }
}

impl Bulk {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(rows) => rows.len(),
            Self::Lines(lines) => lines.ends.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Packed(rows) => rows.bytes(),
            Self::Lines(lines) => {
                Bytes((lines.bytes.len() + lines.ends.len() * size_of::<usize>()) as u64)
            }
        }
    }

    /// One row; of a row that isn't there, empty.
    pub fn row(&self, at: usize) -> Row {
        match self {
            Self::Packed(rows) => rows.row(at),
            Self::Lines(lines) => lines.row(at),
        }
    }

    /// All rows, one by one.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.len()).map(|at| self.row(at))
    }

    /// All of them cell by cell.
    pub fn packed(&self) -> Cow<'_, Packed> {
        match self {
            Self::Packed(rows) => Cow::Borrowed(rows),
            Self::Lines(lines) => {
                let mut rows = Packed::default();
                for at in 0..lines.ends.len() {
                    lines.form.read(lines.line(at), &mut rows);
                }
                Cow::Owned(rows)
            }
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: &[Value]) {
        match self {
            Self::Packed(rows) => rows.push(row),
            Self::Lines(lines) => lines.write(row),
        }
    }

    /// Takes the last row away again.
    pub fn pop(&mut self) -> Option<Row> {
        match self {
            Self::Packed(rows) => rows.pop(),
            Self::Lines(lines) => lines.pop(),
        }
    }

    /// The same rows with some of them replaced or left out, and others added at the end, as `changed` has it: places in
    /// this order, none for a row that is not there any more.
    pub fn with<'a>(&self, changed: impl IntoIterator<Item = (usize, Option<&'a Row>)>) -> Self {
        match self {
            Self::Packed(rows) => Self::Packed(rows.with(changed)),
            Self::Lines(lines) => Self::Lines(lines.with(changed)),
        }
    }
}

impl From<Packed> for Bulk {
    fn from(rows: Packed) -> Self {
        Self::Packed(rows)
    }
}

impl<R: AsRef<[Value]>> FromIterator<R> for Bulk {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        Self::Packed(rows.into_iter().collect())
    }
}

/// Whatever their form.
impl PartialEq for Bulk {
    fn eq(&self, other: &Self) -> bool {
        self.packed() == other.packed()
    }
}
impl Eq for Bulk {}

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers with commas between them.
    struct Commas;

    impl LineForm for Commas {
        fn read(&self, line: &[u8], into: &mut Packed) {
            let line = std::str::from_utf8(line).unwrap();
            let row: Row = line
                .trim_end()
                .split(',')
                .map(|n| Value::Integer(n.parse().unwrap()))
                .collect();
            into.push(&row);
        }
        fn write(&self, row: &[Value], out: &mut Vec<u8>) {
            let cells: Vec<_> = row.iter().map(Value::to_string).collect();
            out.extend_from_slice(format!("{}\n", cells.join(",")).as_bytes());
        }
    }

    fn both(rows: &[Vec<i64>]) -> (Bulk, Bulk) {
        let rows: Vec<Row> = rows
            .iter()
            .map(|row| row.iter().map(|n| Value::Integer(*n)).collect())
            .collect();
        let mut lines = Lines::for_chunk(Arc::new(Commas));
        for row in &rows {
            let mut line = Vec::new();
            Commas.write(row, &mut line);
            lines.push(&line);
        }
        (Bulk::Lines(lines), rows.iter().collect())
    }

    proptest! {
        #[test]
        fn lines_are_the_rows_that_they_say(
            rows in proptest::collection::vec(proptest::collection::vec(any::<i64>(), 1..4), 0..8),
            changed in proptest::collection::btree_map(0..10_usize, proptest::option::of(Just(Row::from([Value::Integer(7)]))), 0..4),
        ) {
            let (mut lines, mut packed) = both(&rows);
            prop_assert_eq!(&lines, &packed);
            prop_assert_eq!(lines.iter().collect::<Vec<_>>(), packed.iter().collect::<Vec<_>>());
            prop_assert_eq!(lines.row(rows.len()), Row::default());
            let changes = || changed.iter().map(|(at, row)| (*at, row.as_ref()));
            prop_assert_eq!(lines.with(changes()), packed.with(changes()));
            prop_assert_eq!(lines.pop(), packed.pop());
            prop_assert_eq!(lines, packed);
        }
    }
}
