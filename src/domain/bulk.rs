//! Rows on their way from one database to another, in the form in which they travel cheapest.
//!
//! Between two databases of one kind a row need not be taken apart: what the one writes, the other reads. Such rows are
//! [`Lines`], passed on as they came; only those that somebody asks for (because a change touched their chunk) are decoded.
//! All others are [`Packed`] cells. Cheaper still is a form of which nothing but the key can be told: [`Sealed`] rows are passed
//! on as long as nobody has to look into them, and read again in another form otherwise.

use super::fault::{Fault, Kind, Result};
use super::packed::{Packed, Pieces};
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
    lines: Pieces,
    form: Arc<dyn LineForm>,
}

impl Lines {
    /// None yet.
    pub fn new(form: Arc<dyn LineForm>) -> Self {
        Self {
            lines: Pieces::default(),
            form,
        }
    }

    /// None yet, with room for a whole chunk ([`Packed::for_chunk`] says why so much).
    pub fn for_chunk(form: Arc<dyn LineForm>) -> Self {
        Self {
            lines: Pieces::for_chunk(),
            form,
        }
    }

    /// Adds a line, with whatever ends it.
    pub fn push(&mut self, line: &[u8]) {
        self.lines.push(line);
    }

    /// All lines, for a database of the kind that wrote them.
    pub fn as_bytes(&self) -> &[u8] {
        self.lines.as_bytes()
    }

    fn row(&self, at: usize) -> Row {
        let mut one = Packed::default();
        if at < self.lines.len() {
            self.form.read(self.lines.get(at), &mut one);
        }
        one.row(0)
    }

    /// Takes the last row away again.
    pub fn pop(&mut self) -> Option<Row> {
        let row = self.row(self.lines.len().checked_sub(1)?);
        self.lines.pop();
        Some(row)
    }

    fn with<'a>(&self, changed: impl IntoIterator<Item = (usize, Option<&'a Row>)>) -> Self {
        let mut new = Self::for_chunk(Arc::clone(&self.form));
        let mut from = 0;
        for (at, row) in changed {
            new.append(self, from..at);
            from = at + 1;
            if let Some(row) = row {
                new.form.write(row, new.lines.open());
                new.lines.end();
            }
        }
        new.append(self, from..self.lines.len());
        new
    }

    fn append(&mut self, other: &Self, rows: Range<usize>) {
        for at in rows.start..rows.end.min(other.lines.len()) {
            self.lines.push(other.lines.get(at));
        }
    }
}

/// What can be told of a sealed row.
pub trait Seal: Send + Sync {
    /// The cells of its key, in the key's order; none where they can't be read.
    fn key(&self, row: &[u8]) -> Option<Vec<Value>>;
    /// The columns' types, which must be the same where the rows land.
    fn types(&self) -> &[String];
}

/// Rows as a database gives them to one of its kind, with nothing known of them but their keys.
#[derive(Clone)]
pub struct Sealed {
    rows: Pieces,
    seal: Arc<dyn Seal>,
}

impl Sealed {
    /// None yet, with room for a whole chunk.
    pub fn for_chunk(seal: Arc<dyn Seal>) -> Self {
        Self {
            rows: Pieces::for_chunk(),
            seal,
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: &[u8]) {
        self.rows.push(row);
    }

    /// All rows, one after the other.
    pub fn as_bytes(&self) -> &[u8] {
        self.rows.as_bytes()
    }

    /// The columns' types.
    pub fn types(&self) -> &[String] {
        self.seal.types()
    }

    /// The cells of a row's key; none where they can't be read.
    pub fn key(&self, at: usize) -> Option<Vec<Value>> {
        self.seal.key(self.rows.get(at))
    }
}

/// Rows in any form.
#[derive(Clone)]
pub enum Bulk {
    /// Cell by cell.
    Packed(Packed),
    /// As they came.
    Lines(Lines),
    /// As they came, and not to be looked into.
    Sealed(Sealed),
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
            Self::Lines(lines) => lines.lines.len(),
            Self::Sealed(sealed) => sealed.rows.len(),
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
            Self::Lines(lines) => lines.lines.weight(),
            Self::Sealed(sealed) => sealed.rows.weight(),
        }
    }

    /// Whether nothing but the keys can be told.
    pub fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// One row; of a row that isn't there, or is sealed, empty.
    pub fn row(&self, at: usize) -> Row {
        match self {
            Self::Packed(rows) => rows.row(at),
            Self::Lines(lines) => lines.row(at),
            Self::Sealed(_) => Row::default(),
        }
    }

    /// All rows, one by one.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.len()).map(|at| self.row(at))
    }

    /// All of them cell by cell.
    ///
    /// # Errors
    /// `Own` when they are sealed: nobody may land such rows by taking them apart.
    pub fn packed(&self) -> Result<Cow<'_, Packed>> {
        Ok(match self {
            Self::Sealed(_) => {
                let what = "sealed rows can't be taken apart";
                return Err(Fault::new(Kind::Own, what));
            }
            Self::Packed(rows) => Cow::Borrowed(rows),
            Self::Lines(lines) => {
                let mut rows = Packed::default();
                for at in 0..lines.lines.len() {
                    lines.form.read(lines.lines.get(at), &mut rows);
                }
                Cow::Owned(rows)
            }
        })
    }

    /// The same rows with some of them replaced or left out, and others added at the end, as `changed` has it: places in
    /// this order, none for a row that is not there any more. Sealed rows stay as they are: whoever lays changes over rows gives
    /// up sealed ones at the first that touches them.
    pub fn with<'a>(&self, changed: impl IntoIterator<Item = (usize, Option<&'a Row>)>) -> Self {
        match self {
            Self::Packed(rows) => Self::Packed(rows.with(changed)),
            Self::Lines(lines) => Self::Lines(lines.with(changed)),
            Self::Sealed(rows) => Self::Sealed(rows.clone()),
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
        match (self, other) {
            (Self::Sealed(a), Self::Sealed(b)) => a.rows == b.rows,
            (a, b) => matches!((a.packed(), b.packed()), (Ok(a), Ok(b)) if a == b),
        }
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
            let (mut lines, packed) = both(&rows);
            prop_assert_eq!(&lines, &packed);
            prop_assert_eq!(lines.iter().collect::<Vec<_>>(), packed.iter().collect::<Vec<_>>());
            prop_assert_eq!(lines.row(rows.len()), Row::default());
            let changes = || changed.iter().map(|(at, row)| (*at, row.as_ref()));
            prop_assert_eq!(lines.with(changes()), packed.with(changes()));
            let last = rows.len().checked_sub(1);
            let Bulk::Lines(one) = &mut lines else { unreachable!() };
            prop_assert_eq!(one.pop(), last.map(|last| packed.row(last)));
            let fewer: Bulk = packed.iter().take(last.unwrap_or_default()).collect();
            prop_assert_eq!(lines, fewer);
        }
    }
}
