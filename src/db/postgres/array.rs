//! Many cells as one parameter: an array in the protocol's binary form, written where it is sent from.
//!
//! Numbers, booleans and bytes go as what their column holds, so that the server has nothing to read and to cast; everything else
//! goes as text, which is cast where it lands. (`array_recv` in PostgreSQL's `arrayfuncs.c`.)

use super::cell::{self, Binary};
use crate::domain::packed::Cell;
use crate::domain::value::Value;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Postgres, Type};

/// Dimensions, whether there are NULLs, the type, how many there are, the number of the first.
const HEAD: usize = 20;

/// What an array is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    /// What the column holds, as it is.
    Plain(Binary),
    /// Its text.
    Text,
}

impl Element {
    /// Its number, which is the same on every server (`pg_type.dat`); the name and the type of an array of it.
    fn told(self) -> (i32, &'static str, PgTypeInfo) {
        fn array<T>() -> PgTypeInfo
        where
            [T]: Type<Postgres>,
        {
            <[T] as Type<Postgres>>::type_info()
        }
        match self {
            Self::Plain(Binary::Small) => (21, "smallint[]", array::<i16>()),
            Self::Plain(Binary::Whole) => (23, "integer[]", array::<i32>()),
            Self::Plain(Binary::Big) => (20, "bigint[]", array::<i64>()),
            Self::Plain(Binary::Double) => (701, "double precision[]", array::<f64>()),
            Self::Plain(Binary::Boolean) => (16, "boolean[]", array::<bool>()),
            Self::Plain(Binary::Bytes) => (17, "bytea[]", array::<Vec<u8>>()),
            Self::Plain(Binary::Text) | Self::Text => (25, "text[]", array::<String>()),
        }
    }
}

/// Cells of a column.
pub(super) struct Array {
    element: Element,
    wire: Vec<u8>,
    count: i32,
    nulls: bool,
}

impl Array {
    /// Of these cells; none is NULL. `cast`: the type of their column.
    pub(super) fn of<'a>(
        cast: &str,
        cells: impl Iterator<Item = Option<&'a Value>> + Clone,
    ) -> Self {
        let cells = cells.map(|cell| cell.map_or(Cell::Null, Cell::from));
        let plain = Binary::of(cast).filter(|binary| *binary != Binary::Text);
        let mut array = Self::empty(plain.map_or(Element::Text, Element::Plain));
        if !array.fill(cells.clone()) {
            array = Self::empty(Element::Text);
            array.fill(cells);
        }
        let head = [
            1,
            array.nulls.into(),
            array.element.told().0,
            array.count,
            1,
        ];
        for (place, figure) in array.wire.chunks_exact_mut(4).zip(head) {
            place.copy_from_slice(&i32::to_be_bytes(figure));
        }
        array
    }

    /// Its type, as a statement names it.
    pub(super) fn declared(&self) -> &'static str {
        self.element.told().1
    }

    fn empty(element: Element) -> Self {
        Self {
            element,
            wire: vec![0; HEAD],
            count: 0,
            nulls: false,
        }
    }

    /// False where one of the cells is no such element. Each is text.
    fn fill<'a>(&mut self, mut cells: impl Iterator<Item = Cell<'a>>) -> bool {
        cells.all(|cell| {
            self.count += 1;
            self.nulls |= matches!(cell, Cell::Null);
            match self.element {
                Element::Plain(binary) => {
                    let taken = binary.takes(cell);
                    if taken {
                        binary.write(cell, &mut self.wire);
                    }
                    taken
                }
                Element::Text => {
                    self.text(cell);
                    true
                }
            }
        })
    }

    fn text(&mut self, cell: Cell<'_>) {
        let length = self.wire.len();
        self.wire.extend_from_slice(&[0; 4]);
        let wrote = match cell::write(cell, &mut self.wire) {
            // A message of a gigabyte is refused before it comes to this.
            true => i32::try_from(self.wire.len() - length - 4).unwrap_or(i32::MAX),
            false => -1,
        };
        self.wire[length..length + 4].copy_from_slice(&wrote.to_be_bytes());
    }
}

impl Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        <[String] as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Array {
    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.element.told().2)
    }

    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.wire);
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        self.wire.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(cast: &str, cells: &[Value]) -> (&'static str, Vec<u8>) {
        let array = Array::of(cast, cells.iter().map(Some));
        (array.declared(), array.wire)
    }

    fn wire(nulls: i32, of: i32, cells: &[Option<&[u8]>]) -> Vec<u8> {
        let count = cells.len() as i32;
        let mut wire: Vec<u8> = [1, nulls, of, count, 1]
            .into_iter()
            .flat_map(i32::to_be_bytes)
            .collect();
        for cell in cells {
            let length = cell.map_or(-1, |cell| cell.len() as i32);
            wire.extend(length.to_be_bytes());
            wire.extend(cell.unwrap_or_default());
        }
        wire
    }

    #[test]
    fn numbers_go_as_they_are() {
        let cells = [Value::Integer(-2), Value::Null];
        let told = wire(1, 23, &[Some(&[255, 255, 255, 254]), None]);
        assert_eq!(array("integer", &cells), ("integer[]", told));
        let told = wire(0, 16, &[Some(&[1])]);
        let cells = [Value::Integer(1)];
        assert_eq!(array("boolean", &cells), ("boolean[]", told));
        let told = wire(0, 17, &[Some(b"\0x")]);
        let cells = [Value::Blob(b"\0x".as_slice().into())];
        assert_eq!(array("bytea", &cells), ("bytea[]", told));
    }

    #[test]
    fn what_the_column_s_type_can_t_hold_goes_as_text_and_all_of_the_others_with_it() {
        let cells = [Value::Integer(7), Value::Integer(1 << 40)];
        let told = wire(0, 25, &[Some(b"7"), Some(b"1099511627776")]);
        assert_eq!(array("integer", &cells), ("text[]", told));
        let cells = [Value::text("2 days"), Value::Null];
        let told = wire(1, 25, &[Some(b"2 days"), None]);
        assert_eq!(array("interval", &cells), ("text[]", told));
        // The server looks at what a domain allows when it casts.
        let told = wire(0, 25, &[Some(b"7")]);
        assert_eq!(array("positive", &[Value::Integer(7)]), ("text[]", told));
    }

    #[test]
    fn no_cell_is_null() {
        let array = Array::of("bigint", [None, None].into_iter());
        assert_eq!(array.declared(), "bigint[]");
        assert_eq!(array.wire, wire(1, 20, &[None, None]));
    }
}
