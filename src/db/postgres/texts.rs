//! Many cells as one parameter: an array of text in the protocol's binary form, written where it is sent from.
//!
//! (`array_recv` in PostgreSQL's `arrayfuncs.c`.)

use super::cell;
use crate::domain::value::Value;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Postgres, Type};

/// The type `text`.
const TEXT: i32 = 25;
/// Dimensions, whether there are NULLs, the type, how many there are, the number of the first.
const HEAD: usize = 20;

/// The texts of cells, each cast where it lands.
pub(super) struct Texts {
    wire: Vec<u8>,
    count: i32,
    nulls: bool,
}

impl Texts {
    /// Of these cells; none is NULL.
    pub(super) fn of<'a>(cells: impl Iterator<Item = Option<&'a Value>>) -> Self {
        let mut texts = Self {
            wire: vec![0; HEAD],
            count: 0,
            nulls: false,
        };
        cells.for_each(|cell| texts.push(cell));
        let head = [1, texts.nulls.into(), TEXT, texts.count, 1];
        for (place, figure) in texts.wire.chunks_exact_mut(4).zip(head) {
            place.copy_from_slice(&i32::to_be_bytes(figure));
        }
        texts
    }

    fn push(&mut self, cell: Option<&Value>) {
        self.count += 1;
        let length = self.wire.len();
        self.wire.extend_from_slice(&[0; 4]);
        let text = cell.is_some_and(|cell| cell::write(cell.into(), &mut self.wire));
        self.nulls |= !text;
        let wrote = match text {
            // A message of a gigabyte is refused before it comes to this.
            true => i32::try_from(self.wire.len() - length - 4).unwrap_or(i32::MAX),
            false => -1,
        };
        self.wire[length..length + 4].copy_from_slice(&wrote.to_be_bytes());
    }
}

impl Type<Postgres> for Texts {
    fn type_info() -> PgTypeInfo {
        <[String] as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Texts {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.wire);
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        self.wire.len()
    }
}
