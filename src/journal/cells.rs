//! Rows and keys as bytes for the side tables: exact for every value, a third of JSON's size.
//!
//! A value is a tag byte, then 8 bytes little-endian for numbers, or a 4-byte length and the content. Never hashed or
//! compared for order, so any exact form would do.

use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::value::{Row, Value};

pub(super) fn encode(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len() * 9);
    let sized = |out: &mut Vec<u8>, tag: u8, bytes: &[u8]| {
        out.push(tag);
        // A single value of 4 GiB does not get here: SQLite and the memory budget end far below.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        out.extend(len.to_le_bytes());
        out.extend(&bytes[..len as usize]);
    };
    for value in values {
        match value {
            Value::Null => out.push(0),
            Value::Integer(i) => {
                out.push(1);
                out.extend(i.to_le_bytes());
            }
            Value::Real(r) => {
                out.push(2);
                out.extend(r.to_bits().to_le_bytes());
            }
            Value::Text(b) => sized(&mut out, 3, b),
            Value::Blob(b) => sized(&mut out, 4, b),
        }
    }
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Row> {
    let mut rest = bytes;
    let mut row = Vec::new();
    while let Some((tag, after)) = rest.split_first() {
        let (value, left) = one(*tag, after).ok_or_else(|| {
            Fault::new(Kind::Own, "a stored key or row can't be read back")
                .code("JOURNAL-UNREADABLE")
                .hint("the file was damaged; `tidegate audit` says whether the facts are whole")
        })?;
        row.push(value);
        rest = left;
    }
    Ok(row.into())
}

fn one(tag: u8, rest: &[u8]) -> Option<(Value, &[u8])> {
    match tag {
        0 => Some((Value::Null, rest)),
        1 | 2 => {
            let (bytes, rest) = rest.split_first_chunk::<8>()?;
            let value = if tag == 1 {
                Value::Integer(i64::from_le_bytes(*bytes))
            } else {
                Value::Real(f64::from_bits(u64::from_le_bytes(*bytes)))
            };
            Some((value, rest))
        }
        3 | 4 => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            let (content, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            let value = if tag == 3 {
                Value::Text(content.into())
            } else {
                Value::Blob(content.into())
            };
            Some((value, rest))
        }
        _ => None,
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
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|b| Value::Text(b.into())),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|b| Value::Blob(b.into())),
        ]
    }

    proptest! {
        #[test]
        fn comes_back_bit_for_bit_and_a_cut_one_is_refused(row in proptest::collection::vec(value(), 1..6)) {
            let bytes = encode(&row);
            prop_assert_eq!(&*decode(&bytes).unwrap(), &row[..]);
            if !matches!(row.last(), Some(Value::Null)) {
                prop_assert!(decode(&bytes[..bytes.len() - 1]).is_err());
            }
        }
    }
}
