//! The one canonical form of a row that hashes are made of, the same on every engine.
//!
//! Each value is a tag, its length where it varies, and its bytes, so that neither NULL, `''` and `'0'`, nor a moved
//! column boundary, nor a changed storage class can look alike. The row's hash is XXH3 (128 bits) over that; a range's is
//! the wrapping *sum* of its rows' hashes, so that two equal rows never cancel as they would under an exclusive or.

use crate::domain::packed::Cell;
use crate::domain::value::Value;
use xxhash_rust::xxh3::Xxh3Default;

/// Hashes one row after another without allocating.
#[derive(Default)]
pub struct RowHasher(Xxh3Default);

impl RowHasher {
    /// A hasher at the start of a row.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds NULL.
    pub fn null(&mut self) {
        self.0.update(&[0]);
    }
    /// Adds a whole number.
    pub fn integer(&mut self, value: i64) {
        let mut buffer = [1; 9];
        buffer[1..].copy_from_slice(&value.to_le_bytes());
        self.0.update(&buffer);
    }
    /// Adds a binary64, by its bits.
    pub fn real(&mut self, value: f64) {
        let mut buffer = [2; 9];
        buffer[1..].copy_from_slice(&value.to_bits().to_le_bytes());
        self.0.update(&buffer);
    }
    /// Adds characters.
    pub fn text(&mut self, bytes: &[u8]) {
        self.varying(3, bytes);
    }
    /// Adds bytes.
    pub fn blob(&mut self, bytes: &[u8]) {
        self.varying(4, bytes);
    }
    /// Adds whatever it is.
    pub fn cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Null => self.null(),
            Cell::Integer(i) => self.integer(i),
            Cell::Real(r) => self.real(r),
            Cell::Text(b) => self.text(b),
            Cell::Blob(b) => self.blob(b),
        }
    }
    /// The row's hash; the hasher is at the start of the next row then.
    pub fn finish(&mut self) -> u128 {
        let hash = self.0.digest128();
        self.0.reset();
        hash
    }

    fn varying(&mut self, tag: u8, bytes: &[u8]) {
        let mut buffer = [tag; 9];
        buffer[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.update(&buffer);
        self.0.update(bytes);
    }
}

/// The hash of a whole row.
pub fn row_hash(row: &[Value]) -> u128 {
    let mut hasher = RowHasher::new();
    row.iter().for_each(|value| hasher.cell(value.into()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_hashes_apart() {
        let rows: Vec<Vec<Value>> = vec![
            vec![Value::Null, Value::text("")],
            vec![Value::text(""), Value::Null],
            vec![Value::text("0"), Value::Null],
            vec![Value::Integer(0), Value::Null],
            vec![Value::Real(0.0), Value::Null],
            vec![Value::Real(-0.0), Value::Null],
            vec![Value::Blob(Box::default()), Value::Null],
            vec![Value::text("a"), Value::text("bc")],
            vec![Value::text("ab"), Value::text("c")],
            vec![Value::text("a "), Value::text("bc")],
        ];
        let hashes: std::collections::HashSet<u128> = rows.iter().map(|r| row_hash(r)).collect();
        assert_eq!(hashes.len(), rows.len());
    }
}
