//! Cells between PostgreSQL's text form and values.
//!
//! Whole numbers, binary64 and binary32 numbers, booleans (as 1 and 0) and bytes become values that every engine has; everything
//! else stays the text the server writes, which it reads back as the same value. Two texts of one type are the same only if
//! the values are: `1.0` and `1.00`, `1 mon` and `30 days` stay apart.

use crate::domain::bulk::{LineForm, Seal};
use crate::domain::packed::{Cell, Packed};
use crate::domain::plan::Side;
use crate::domain::table::Column;
use crate::domain::value::Value;
use std::borrow::Cow;
use std::io::Write as _;

/// How a column's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Integer,
    Real,
    Boolean,
    Bytes,
    Text,
    /// A number as SQLite has it: whole, or else binary64.
    Number,
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

    /// Of a column of a plan: a `numeric` that holds numbers of SQLite's is read as SQLite would read it.
    pub(super) fn planned(column: &Column, side: Side, declared: &str) -> Self {
        match (side, column.becomes.as_str(), declared) {
            (Side::Target, "numeric", "numeric") => Self::Number,
            _ => Self::of(declared),
        }
    }

    /// The value of a text that the server wrote. What does not read as the column's form stays text, so that nothing is lost.
    pub(super) fn value(self, text: &[u8]) -> Value {
        self.cell(text, &mut Vec::new()).into()
    }

    /// The same, borrowed; `scratch` holds what had to be decoded.
    pub(super) fn cell<'a>(self, text: &'a [u8], scratch: &'a mut Vec<u8>) -> Cell<'a> {
        let read = match self {
            Self::Integer => number(text).map(Cell::Integer),
            Self::Real => number(text).map(Cell::Real),
            Self::Boolean => match text {
                b"t" => Some(Cell::Integer(1)),
                b"f" => Some(Cell::Integer(0)),
                _ => None,
            },
            Self::Bytes => {
                scratch.clear();
                unhex(text, scratch).map(|()| Cell::Blob(scratch))
            }
            Self::Number => exact(text),
            Self::Text => None,
        };
        read.unwrap_or(Cell::Text(text))
    }
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A numeric, where it is a whole number or one that binary64 has exactly as it is written, zeros at its end apart.
fn exact(text: &[u8]) -> Option<Cell<'static>> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    };
    if let Ok(whole) = plain.parse() {
        return Some(Cell::Integer(whole));
    }
    let real: f64 = plain.parse().ok()?;
    let infinite = real.is_infinite() && plain.ends_with("Infinity");
    // NaN is no number that SQLite could keep.
    let same = !real.is_nan() && real.to_string() == plain;
    (infinite || same).then_some(Cell::Real(real))
}

fn unhex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digit = |b: &u8| char::from(*b).to_digit(16).map(|d| d as u8);
    for pair in text.strip_prefix(b"\\x")?.chunks(2) {
        let [high, low] = pair else { return None };
        out.push(digit(high)? << 4 | digit(low)?);
    }
    Some(())
}

/// The text that the server reads as this value; none for NULL.
pub(super) fn text(value: &Value) -> Option<String> {
    let mut out = Vec::new();
    // Always UTF-8: `write` replaces what is not.
    write(value.into(), &mut out).then(|| String::from_utf8(out).unwrap_or_default())
}

/// Writes what the server reads as this cell; false for NULL. Text is UTF-8, as the session's encoding is.
pub(super) fn write(cell: Cell<'_>, out: &mut Vec<u8>) -> bool {
    // Writing to a Vec can't fail.
    match cell {
        Cell::Null => return false,
        Cell::Integer(i) => drop(write!(out, "{i}")),
        Cell::Real(r) => drop(write!(out, "{r:?}")),
        Cell::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(_) => out.extend_from_slice(bytes),
            Err(_) => out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()),
        },
        Cell::Blob(bytes) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.reserve(2 + bytes.len() * 2);
            out.extend_from_slice(b"\\x");
            for byte in bytes {
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
    }
    true
}

/// Reads one line of COPY's text form, cell by cell (<https://www.postgresql.org/docs/current/sql-copy.html>).
pub(super) fn copied<'a>(line: &'a [u8]) -> impl Iterator<Item = Option<Cow<'a, [u8]>>> {
    line.strip_suffix(b"\n")
        .unwrap_or(line)
        .split(|b| *b == b'\t')
        .map(|cell| match cell {
            b"\\N" => None,
            plain if !plain.contains(&b'\\') => Some(Cow::Borrowed(plain)),
            escaped => Some(Cow::Owned(unescaped(escaped))),
        })
}

fn unescaped(cell: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cell.len());
    let mut bytes = cell.iter();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, byte == &b'\\') {
            (byte, false) => *byte,
            (_, true) => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
        });
    }
    out
}

/// Packs one line of COPY's text form.
pub(super) fn pack(rows: &mut Packed, line: &[u8], forms: &[Form], scratch: &mut Vec<u8>) {
    for (cell, form) in copied(line).zip(forms) {
        match cell {
            None => rows.cell(Cell::Null),
            Some(text) => rows.cell(form.cell(&text, scratch)),
        }
    }
    rows.end_row();
}

/// COPY's text form, with how each column's text is read.
pub(super) struct CopyText(pub(super) Vec<Form>);

impl LineForm for CopyText {
    fn read(&self, line: &[u8], into: &mut Packed) {
        pack(into, line, &self.0, &mut Vec::new());
    }

    fn write(&self, row: &[Value], out: &mut Vec<u8>) {
        copy_line(row.iter().map(Cell::from), out, &mut Vec::new());
    }
}

/// COPY's binary form (<https://www.postgresql.org/docs/current/sql-copy.html>): what stands before the rows and behind them.
pub(super) const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(super) const BINARY_END: &[u8] = &[0xff, 0xff];

/// Types whose binary form is the same on every server, whatever its version and its catalog: no number of another type in it.
const PORTABLE: [&str; 24] = [
    "smallint",
    "integer",
    "bigint",
    "oid",
    "real",
    "double precision",
    "numeric",
    "boolean",
    "text",
    "character varying",
    "bpchar",
    "bytea",
    "uuid",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
    "time without time zone",
    "time with time zone",
    "interval",
    "json",
    "jsonb",
    "inet",
    "cidr",
    "macaddr",
];

/// Whether the binary form of this type is the same on every server.
pub(super) fn portable(of: &str) -> bool {
    PORTABLE.contains(&of)
}

/// COPY's binary form: which of the cells are the key's, and what of.
pub(super) struct CopyBinary {
    types: Vec<String>,
    key: Vec<usize>,
}

impl CopyBinary {
    /// For these types; none where one of them is not the same everywhere, or a key of them can't be told.
    pub(super) fn of(types: Vec<String>, key: &[usize]) -> Option<Self> {
        let portable = types.iter().all(|of| portable(of));
        let told = key.iter().all(|at| {
            let of = types.get(*at).map(String::as_str);
            of.is_some_and(|of| binary_key(of, &[0; 16]).is_some())
        });
        (portable && told).then(|| Self {
            types,
            key: key.into(),
        })
    }

    /// Whether this is one row with all of its cells, and nothing else.
    pub(super) fn is_row(&self, row: &[u8]) -> bool {
        let mut cells = Cells::of(row);
        cells.left == self.types.len()
            && cells.by_ref().count() == self.types.len()
            && cells.rest.is_empty()
    }
}

impl Seal for CopyBinary {
    fn key(&self, row: &[u8]) -> Option<Vec<Value>> {
        self.key
            .iter()
            .map(|at| binary_key(&self.types[*at], Cells::of(row).nth(*at)??))
            .collect()
    }

    fn types(&self) -> &[String] {
        &self.types
    }
}

/// The cells of a row in COPY's binary form; ends early where there is less than it says.
struct Cells<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Cells<'a> {
    fn of(row: &'a [u8]) -> Self {
        match row.split_first_chunk::<2>() {
            Some((count, rest)) => Self {
                left: usize::try_from(i16::from_be_bytes(*count)).unwrap_or_default(),
                rest,
            },
            None => Self { left: 0, rest: row },
        }
    }
}

impl<'a> Iterator for Cells<'a> {
    /// None: NULL.
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.rest = rest;
            return Some(None);
        };
        let (cell, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Some(cell))
    }
}

/// How the cells of a column are written in COPY's binary form, which a server reads with less work than text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Small,
    Whole,
    Big,
    Double,
    Boolean,
    Bytes,
    Text,
}

impl Binary {
    /// Of a type whose binary form a value has all of; none for any other.
    pub(super) fn of(declared: &str) -> Option<Self> {
        Some(match declared {
            "smallint" => Self::Small,
            "integer" => Self::Whole,
            "bigint" => Self::Big,
            "double precision" => Self::Double,
            "boolean" => Self::Boolean,
            "bytea" => Self::Bytes,
            "text" | "character varying" => Self::Text,
            _ => return None,
        })
    }

    /// Whether a cell of the column can be written so.
    pub(super) fn takes(self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::Small, Cell::Integer(i)) => i16::try_from(i).is_ok(),
            (Self::Whole, Cell::Integer(i)) => i32::try_from(i).is_ok(),
            (Self::Boolean, Cell::Integer(i)) => matches!(i, 0 | 1),
            (Self::Text, Cell::Text(text)) => std::str::from_utf8(text).is_ok(),
            (_, Cell::Null)
            | (Self::Big, Cell::Integer(_))
            | (Self::Double, Cell::Real(_))
            | (Self::Bytes, Cell::Blob(_)) => true,
            _ => false,
        }
    }

    /// Writes a cell that it takes.
    pub(super) fn write(self, cell: Cell<'_>, out: &mut Vec<u8>) {
        let mut put = |bytes: &[u8]| {
            // More than a message holds is refused before it comes to this.
            let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes);
        };
        match (self, cell) {
            (_, Cell::Null) => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            (Self::Small, Cell::Integer(i)) => put(&(i as i16).to_be_bytes()),
            (Self::Whole, Cell::Integer(i)) => put(&(i as i32).to_be_bytes()),
            (Self::Boolean, Cell::Integer(i)) => put(&[i as u8]),
            (_, Cell::Integer(i)) => put(&i.to_be_bytes()),
            (_, Cell::Real(r)) => put(&r.to_be_bytes()),
            (_, Cell::Text(bytes) | Cell::Blob(bytes)) => put(bytes),
        }
    }
}

/// Writes one row, whose cells all are taken, in COPY's binary form.
pub(super) fn copy_row<'a>(
    row: impl Iterator<Item = Cell<'a>>,
    binaries: &[Binary],
    out: &mut Vec<u8>,
) {
    // A table has 1,600 columns at most.
    out.extend_from_slice(&(binaries.len() as i16).to_be_bytes());
    for (cell, wire) in row.zip(binaries) {
        wire.write(cell, out);
    }
}

/// The value that a key's cell has in its text form too.
fn binary_key(of: &str, cell: &[u8]) -> Option<Value> {
    fn whole<const N: usize>(cell: &[u8]) -> Option<[u8; N]> {
        cell.get(..N)?.try_into().ok()
    }
    Some(match of {
        "smallint" => Value::Integer(i16::from_be_bytes(whole(cell)?).into()),
        "integer" => Value::Integer(i32::from_be_bytes(whole(cell)?).into()),
        "oid" => Value::Integer(u32::from_be_bytes(whole(cell)?).into()),
        "bigint" => Value::Integer(i64::from_be_bytes(whole(cell)?)),
        "text" | "character varying" => Value::Text(cell.into()),
        "uuid" => {
            let digits = format!("{:032x}", u128::from_be_bytes(whole(cell)?));
            let parts = [
                &digits[..8],
                &digits[8..12],
                &digits[12..16],
                &digits[16..20],
                &digits[20..],
            ];
            Value::text(&parts.join("-"))
        }
        _ => return None,
    })
}

/// Writes one row as a line of COPY's text form.
pub(super) fn copy_line<'a>(
    row: impl Iterator<Item = Cell<'a>>,
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) {
    for (i, cell) in row.enumerate() {
        if i > 0 {
            out.push(b'\t');
        }
        scratch.clear();
        if !write(cell, scratch) {
            out.extend_from_slice(b"\\N");
            continue;
        }
        for byte in scratch.iter() {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                other => out.push(*other),
            }
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::Row;

    #[test]
    fn a_value_reads_as_it_was_written() {
        let cases = [
            (
                Form::Integer,
                "-9223372036854775808",
                Value::Integer(i64::MIN),
            ),
            (Form::Real, "-0", Value::Real(-0.0)),
            (Form::Real, "1e+300", Value::Real(1e300)),
            (Form::Real, "-Infinity", Value::Real(f64::NEG_INFINITY)),
            (Form::Boolean, "t", Value::Integer(1)),
            (Form::Bytes, "\\x00ff", Value::Blob([0, 255].into())),
            (Form::Bytes, "\\x", Value::Blob([].into())),
            (Form::Text, "1.00", Value::text("1.00")),
            (Form::Integer, "none", Value::text("none")),
            (Form::Number, "10", Value::Integer(10)),
            (Form::Number, "10.00", Value::Integer(10)),
            (Form::Number, "9.990", Value::Real(9.99)),
            (Form::Number, "-0.5", Value::Real(-0.5)),
            (Form::Number, "Infinity", Value::Real(f64::INFINITY)),
            (
                Form::Number,
                "0.12345678901234567890123",
                Value::text("0.12345678901234567890123"),
            ),
            (Form::Number, "NaN", Value::text("NaN")),
        ];
        for (form, written, value) in cases {
            assert_eq!(form.value(written.as_bytes()), value, "{written}");
            let again = text(&value).unwrap();
            let as_number = match form {
                Form::Boolean => Form::Integer,
                form => form,
            };
            assert_eq!(as_number.value(again.as_bytes()), value, "{again}");
        }
    }

    #[test]
    fn a_binary_row_has_its_cells_and_takes_no_others() {
        let types = ["smallint", "integer", "bigint", "text", "boolean", "bytea"];
        let binaries: Vec<Binary> = types.iter().map(|of| Binary::of(of).unwrap()).collect();
        let row: Row = [
            Value::Integer(i16::MIN.into()),
            Value::Integer(i32::MAX.into()),
            Value::Integer(i64::MIN),
            Value::text("Zoë\t\\N"),
            Value::Null,
            Value::Blob([0, 255].into()),
        ]
        .into();
        let packed: Packed = [&row].into_iter().collect();
        let mut out = Vec::new();
        copy_row(packed.cells(0), &binaries, &mut out);
        let cells: Vec<_> = Cells::of(&out).collect();
        for at in 0..4 {
            let read = binary_key(types[at], cells[at].unwrap()).unwrap();
            assert_eq!(read, row[at], "{}", types[at]);
        }
        assert_eq!(cells[4..], [None, Some(&[0, 255][..])]);
        let refused = [
            (Binary::Small, Value::Integer(32_768)),
            (Binary::Whole, Value::Integer(-2_147_483_649)),
            (Binary::Boolean, Value::Integer(2)),
            (Binary::Text, Value::Text([0xc3, 0x28].into())),
            (Binary::Text, Value::Integer(1)),
            (Binary::Big, Value::Real(1.0)),
            (Binary::Double, Value::Integer(1)),
            (Binary::Bytes, Value::text("a")),
        ];
        for (wire, value) in &refused {
            assert!(!wire.takes(value.into()), "{wire:?} {value:?}");
        }
        for other in ["numeric", "real", "date", "bpchar", "mood"] {
            assert_eq!(Binary::of(other), None);
        }
    }

    #[test]
    fn a_line_of_copy_gives_its_row() {
        let row: Row = [
            Value::Null,
            Value::text(""),
            Value::text("\\N"),
            Value::text("a\tb\nc\\d\re\u{b}\u{c}\u{8}"),
            Value::Blob([92, 0].into()),
            Value::Integer(-1),
        ]
        .into();
        let packed: Packed = [&row].into_iter().collect();
        let (mut line, mut scratch) = (Vec::new(), Vec::new());
        copy_line(packed.cells(0), &mut line, &mut scratch);
        assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        let forms = [
            Form::Text,
            Form::Text,
            Form::Text,
            Form::Text,
            Form::Bytes,
            Form::Integer,
        ];
        let mut read = Packed::default();
        pack(&mut read, &line, &forms, &mut scratch);
        assert_eq!(read.row(0), row);
        let (form, mut again) = (CopyText(forms.into()), Vec::new());
        form.write(&row, &mut again);
        assert_eq!(again, line);
    }
}
