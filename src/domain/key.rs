//! The identity of a row, and ranges of it. Order is never decided here: ranges are compared by the database only.

use super::value::Value;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a key column compares for *identity*. Used to normalise, so that equal keys are equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collation {
    /// Bytes as they are.
    Binary,
    /// ASCII letters without case (SQLite's NOCASE).
    Nocase,
    /// Without trailing spaces (SQLite's RTRIM).
    Rtrim,
}

/// The key of one row: one value for each column of the table's identity, normalised so that two keys the database takes
/// for the same are equal. Made by [`Key::normal`] only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(Box<[Value]>);

impl Key {
    /// Normalises raw key values: letters folded under `Nocase`, trailing spaces dropped under `Rtrim`, and a real that is
    /// a whole number made an integer, because `1.0` and `1` are one key.
    pub fn normal(values: impl IntoIterator<Item = Value>, collations: &[Collation]) -> Self {
        let parts = values
            .into_iter()
            .enumerate()
            .map(|(i, value)| match value {
                Value::Text(text) => Value::Text(match collations.get(i) {
                    Some(Collation::Nocase) => text.to_ascii_lowercase().into(),
                    Some(Collation::Rtrim) => {
                        let kept = text
                            .iter()
                            .rposition(|b| *b != b' ')
                            .map_or(0, |last| last + 1);
                        text[..kept].into()
                    }
                    Some(Collation::Binary) | None => text,
                }),
                Value::Real(r) if r.fract() == 0.0 && r.abs() < 9.0e15 => Value::Integer(r as i64),
                other => other,
            })
            .collect();
        Self(parts)
    }

    /// Its parts, in the order of the key's columns.
    pub fn parts(&self) -> &[Value] {
        &self.0
    }

    /// Bytes it weighs in a buffer.
    pub fn weight(&self) -> u64 {
        super::value::row_weight(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

/// An end of a range: raw key values as the database gave them (not normalised: it must find its place again).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bound(pub Box<[Value]>);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

/// A half-open range `[lo, hi)` of a table's key; `None` is open-ended. The first and the last chunk of a table are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Range {
    /// First key in the range.
    pub lo: Option<Bound>,
    /// First key after the range.
    pub hi: Option<Bound>,
}

/// Which rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pick {
    /// Those in a range.
    Range(Range),
    /// These, present or gone.
    Keys(Vec<Key>),
}
