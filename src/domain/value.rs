//! One cell, one row.

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A value as a database holds it. Text is bytes: SQLite keeps what is not UTF-8 in TEXT, and so do we.
///
/// Equality is exact: bits for reals (`-0.0` is not `0.0`, a NaN equals itself), storage class first (`1` is not `'1'`).
#[derive(Clone)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A binary64 number.
    Real(f64),
    /// Characters, in the database's encoding made UTF-8 where it can be.
    Text(Box<[u8]>),
    /// Bytes.
    Blob(Box<[u8]>),
}

impl Value {
    /// Text from a string.
    pub fn text(s: &str) -> Self {
        Self::Text(s.as_bytes().into())
    }

    /// Bytes it weighs in a buffer: its content and its slot.
    pub fn weight(&self) -> u64 {
        let content = match self {
            Self::Null | Self::Integer(_) | Self::Real(_) => 0,
            Self::Text(b) | Self::Blob(b) => b.len() as u64,
        };
        content + size_of::<Self>() as u64
    }

    /// The name of its storage class, as SQLite's `typeof` says it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "integer",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
            Self::Blob(_) => "blob",
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Real(a), Self::Real(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) | (Self::Blob(a), Self::Blob(b)) => a == b,
            _ => false,
        }
    }
}
impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Integer(i) => i.hash(state),
            Self::Real(r) => r.to_bits().hash(state),
            Self::Text(b) | Self::Blob(b) => b.hash(state),
        }
    }
}

/// For people: text as it is (lossy, control characters escaped), blobs as hex, NULL as `NULL`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(i) => write!(f, "{i}"),
            Self::Real(r) => write!(f, "{r:?}"),
            Self::Text(b) => {
                for c in String::from_utf8_lossy(b).chars() {
                    if c.is_control() {
                        write!(f, "{}", c.escape_default())?
                    } else {
                        write!(f, "{c}")?
                    }
                }
                Ok(())
            }
            Self::Blob(b) => {
                f.write_str("x'")?;
                for byte in b.iter() {
                    write!(f, "{byte:02x}")?;
                }
                f.write_str("'")
            }
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => write!(f, "'{self}'"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

/// In JSON as one would write it, and exact: `null`, `42`, `"text"`, `{"real":"0.1"}` (JSON has no infinities, and readers
/// round), `{"blob":"00ff"}`, and `{"text":"c328"}` in hex for text that is not UTF-8.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (tag, text) = match self {
            Self::Null => return serializer.serialize_unit(),
            Self::Integer(i) => return serializer.serialize_i64(*i),
            Self::Real(r) if r.is_nan() => ("real", format!("nan:{:x}", r.to_bits())),
            Self::Real(r) => ("real", format!("{r:?}")),
            Self::Text(b) => match std::str::from_utf8(b) {
                Ok(text) => return serializer.serialize_str(text),
                Err(_) => ("text", hex(b)),
            },
            Self::Blob(b) => ("blob", hex(b)),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(tag, &text)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadValue)
    }
}

struct ReadValue;

impl<'de> Visitor<'de> for ReadValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a whole number, a string, or an object with real, text or blob")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_i64<E: de::Error>(self, i: i64) -> Result<Value, E> {
        Ok(Value::Integer(i))
    }
    fn visit_u64<E: de::Error>(self, i: u64) -> Result<Value, E> {
        i64::try_from(i).map(Value::Integer).map_err(E::custom)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some((tag, text)) = map.next_entry::<String, String>()? else {
            return Err(de::Error::custom("an empty object is no value"));
        };
        let value = match (tag.as_str(), text.strip_prefix("nan:")) {
            ("real", Some(bits)) => u64::from_str_radix(bits, 16)
                .ok()
                .map(|bits| Value::Real(f64::from_bits(bits))),
            ("real", None) => text.parse().ok().map(Value::Real),
            ("text", _) => unhex(&text).map(Value::Text),
            ("blob", _) => unhex(&text).map(Value::Blob),
            _ => None,
        };
        value.ok_or_else(|| de::Error::custom(format!("{{\"{tag}\":\"{text}\"}} is no value")))
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn unhex(text: &str) -> Option<Box<[u8]>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// The cells of a row, in the order of the table's columns (generated columns left out).
pub type Row = Box<[Value]>;

/// Bytes a row weighs in a buffer.
pub fn row_weight(row: &[Value]) -> u64 {
    row.iter().map(Value::weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_readable_and_keeps_every_bit() {
        let cases = [
            (Value::Null, "null"),
            (Value::Integer(i64::MIN), "-9223372036854775808"),
            (Value::text("Zoë \"x\""), r#""Zoë \"x\"""#),
            (Value::Real(0.1), r#"{"real":"0.1"}"#),
            (Value::Real(-0.0), r#"{"real":"-0.0"}"#),
            (Value::Real(f64::INFINITY), r#"{"real":"inf"}"#),
            (
                Value::Real(f64::from_bits(0x7ff8_0000_0000_0001)),
                r#"{"real":"nan:7ff8000000000001"}"#,
            ),
            (Value::Text([0xc3, 0x28].into()), r#"{"text":"c328"}"#),
            (Value::Blob([0, 255].into()), r#"{"blob":"00ff"}"#),
        ];
        for (value, json) in cases {
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
        }
        for bad in [
            "{}",
            r#"{"blob":"0"}"#,
            r#"{"blob":"+1"}"#,
            "1.5",
            "true",
            "18446744073709551615",
        ] {
            assert!(serde_json::from_str::<Value>(bad).is_err(), "{bad}");
        }
    }
}
