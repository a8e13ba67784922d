//! Cells between PostgreSQL's text form and values.
//!
//! Whole numbers, binary64 and binary32 numbers, booleans (as 1 and 0) and bytes become values that every engine has; everything
//! else stays the text the server writes, which it reads back as the same value. Two texts of one type are the same only if
//! the values are: `1.0` and `1.00`, `1 mon` and `30 days` stay apart.

use crate::domain::value::Value;
use std::fmt::Write as _;

/// How a column's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Integer,
    Real,
    Boolean,
    Bytes,
    Text,
}

impl Form {
    /// By the type's name as `format_type` writes it; domains and everything else stay text.
    pub(super) fn of(declared: &str) -> Self {
        match declared {
            "smallint" | "integer" | "bigint" | "oid" => Self::Integer,
            "real" | "double precision" => Self::Real,
            "boolean" => Self::Boolean,
            "bytea" => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// The value of a text that the server wrote. What does not read as the column's form stays text, so that nothing is lost.
    pub(super) fn value(self, text: &[u8]) -> Value {
        let read = match self {
            Self::Integer => number(text).map(Value::Integer),
            Self::Real => number(text).map(Value::Real),
            Self::Boolean => match text {
                b"t" => Some(Value::Integer(1)),
                b"f" => Some(Value::Integer(0)),
                _ => None,
            },
            Self::Bytes => unhex(text).map(|bytes| Value::Blob(bytes.into())),
            Self::Text => None,
        };
        read.unwrap_or_else(|| Value::Text(text.into()))
    }
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).map(|d| d as u8);
    let digits = text.strip_prefix(b"\\x")?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

/// The text that the server reads as this value; none for NULL. Text must be UTF-8, as a database with that encoding holds it.
pub(super) fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Integer(i) => i.to_string(),
        Value::Real(r) => format!("{r:?}"),
        Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Blob(bytes) => {
            let mut hex = String::with_capacity(2 + bytes.len() * 2);
            hex.push_str("\\x");
            for byte in bytes {
                // Writing to a String can't fail.
                let _ = write!(hex, "{byte:02x}");
            }
            hex
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_as_it_was_written() {
        let cases = [
            (Form::Integer, "-9223372036854775808", Value::Integer(i64::MIN)),
            (Form::Real, "-0", Value::Real(-0.0)),
            (Form::Real, "1e+300", Value::Real(1e300)),
            (Form::Real, "-Infinity", Value::Real(f64::NEG_INFINITY)),
            (Form::Boolean, "t", Value::Integer(1)),
            (Form::Bytes, "\\x00ff", Value::Blob([0, 255].into())),
            (Form::Bytes, "\\x", Value::Blob([].into())),
            (Form::Text, "1.00", Value::text("1.00")),
            (Form::Integer, "none", Value::text("none")),
        ];
        for (form, written, value) in cases {
            assert_eq!(form.value(written.as_bytes()), value, "{written}");
            let again = text(&value).unwrap();
            let as_number = if form == Form::Boolean { Form::Integer } else { form };
            assert_eq!(as_number.value(again.as_bytes()), value, "{again}");
        }
    }
}
