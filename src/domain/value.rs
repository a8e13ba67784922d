//! One cell, one row.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A value as a database holds it. Text is bytes: SQLite keeps what is not UTF-8 in TEXT, and so do we.
///
/// Equality is exact: bits for reals (`-0.0` is not `0.0`, a NaN equals itself), storage class first (`1` is not `'1'`).
#[derive(Clone, Serialize, Deserialize)]
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

/// The cells of a row, in the order of the table's columns (generated columns left out).
pub type Row = Box<[Value]>;

/// Bytes a row weighs in a buffer.
pub fn row_weight(row: &[Value]) -> u64 {
    row.iter().map(Value::weight).sum()
}
