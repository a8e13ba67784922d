//! What a target of another kind can't hold as it is.

use super::{kinds, mapping};
use crate::domain::bulk::Bulk;
use crate::domain::change::{Change, Image};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::TableId;
use crate::domain::packed::Cell;
use crate::domain::plan::{Engine, Plan};
use crate::domain::table::{Column, Table};
use std::collections::BTreeMap;

/// Why a value does not fit its column on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Misfit {
    /// A value of this storage class, where the column holds another.
    Class(&'static str),
    /// A whole number that is neither 0 nor 1.
    NoBoolean,
    /// Text with a NUL character.
    Nul,
    /// Text that is not UTF-8.
    NotUtf8,
    /// Not a number.
    Nan,
    /// Minus zero.
    MinusZero,
    /// A number that would read back as another class.
    Ambiguous,
    /// A date or time whose text sorts elsewhere than it does, in a key.
    Unsorted,
}

impl Misfit {
    /// What the value is, in words that follow "holds".
    pub fn what(self) -> String {
        match self {
            Self::Class(class) => format!("{class} values"),
            Self::NoBoolean => "whole numbers other than 0 and 1".to_owned(),
            Self::Nul => "text with a NUL character in it".to_owned(),
            Self::NotUtf8 => "text that is not UTF-8".to_owned(),
            Self::Nan => "NaN".to_owned(),
            Self::MinusZero => "-0.0".to_owned(),
            Self::Ambiguous => "binary64 numbers that are whole".to_owned(),
            Self::Unsorted => "dates before the year 1 or after 9999".to_owned(),
        }
    }
}

/// The largest whole number that a binary64 can be taken for: 2^63.
const WHOLE: f64 = 9_223_372_036_854_775_808.0;

/// What a column of the target holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Whatever the source's does.
    Anything,
    /// Whole numbers.
    Whole,
    /// Whole numbers, and numbers that don't read back as one.
    Numbers,
    /// 0 and 1.
    Truth,
    /// Numbers in binary64.
    Binary,
    /// The same, but no NaN, and no minus zero.
    PlainBinary,
    /// Text in UTF-8 without NUL.
    Utf8,
    /// Text.
    Text,
    /// Dates and times of a key, whose text sorts as they do.
    Dates,
    /// Bytes.
    Blobs,
    /// Nothing that is known here.
    Nothing,
}

impl Holds {
    /// `key`: whether the column is of the key.
    pub fn of(to: Engine, column: &Column, key: bool) -> Self {
        match (to, column.becomes.as_str()) {
            (_, "") => Self::Anything,
            (Engine::Postgres, "bigint") | (Engine::Sqlite, "INTEGER") => Self::Whole,
            (Engine::Postgres, "numeric") => Self::Numbers,
            (Engine::Postgres, "boolean") => Self::Truth,
            (Engine::Postgres, "double precision") => Self::Binary,
            (Engine::Postgres, "text") => Self::Utf8,
            (Engine::Sqlite, "REAL") => Self::PlainBinary,
            (Engine::Sqlite, "TEXT") if key && dated(&column.declared) => Self::Dates,
            (Engine::Sqlite, "TEXT") => Self::Text,
            (Engine::Postgres, "bytea") | (Engine::Sqlite, "BLOB") => Self::Blobs,
            _ => Self::Nothing,
        }
    }

    /// The same for each column of a table.
    pub fn all(to: Engine, table: &Table) -> Vec<Self> {
        let keyed = keyed(table);
        let columns = table.columns.iter().enumerate();
        columns
            .map(|(at, column)| Self::of(to, column, keyed(at)))
            .collect()
    }

    /// Why the target would not hold this value as it is; none when it would.
    pub fn misfit(self, cell: Cell<'_>) -> Option<Misfit> {
        match (self, cell) {
            (Self::Anything, _)
            | (_, Cell::Null)
            | (Self::Whole | Self::Numbers, Cell::Integer(_))
            | (Self::Binary, Cell::Real(_))
            | (Self::Text, Cell::Text(_))
            | (Self::Blobs, Cell::Blob(_)) => None,
            // Both SQLite and we read a whole numeric as a whole number.
            (Self::Numbers, Cell::Real(r)) => {
                (r.fract() == 0.0 && (-WHOLE..WHOLE).contains(&r)).then_some(Misfit::Ambiguous)
            }
            (Self::Truth, Cell::Integer(i)) => (!matches!(i, 0 | 1)).then_some(Misfit::NoBoolean),
            (Self::Utf8, Cell::Text(text)) if std::str::from_utf8(text).is_err() => {
                Some(Misfit::NotUtf8)
            }
            (Self::Utf8, Cell::Text(text)) => text.contains(&0).then_some(Misfit::Nul),
            (Self::PlainBinary, Cell::Real(r)) if r.is_nan() => Some(Misfit::Nan),
            (Self::PlainBinary, Cell::Real(r)) => {
                (r == 0.0 && r.is_sign_negative()).then_some(Misfit::MinusZero)
            }
            (Self::Dates, Cell::Text(text)) => (!sorts(text)).then_some(Misfit::Unsorted),
            (_, Cell::Integer(_)) => Some(Misfit::Class("integer")),
            (_, Cell::Real(_)) => Some(Misfit::Class("real")),
            (_, Cell::Text(_)) => Some(Misfit::Class("text")),
            (_, Cell::Blob(_)) => Some(Misfit::Class("blob")),
        }
    }
}

/// Whether one of a row's cells, or of some that follow each other in it, does not fit its column.
pub fn unfit<'a>(holds: &[Holds], cells: impl IntoIterator<Item = Cell<'a>>) -> bool {
    let mut cells = holds.iter().zip(cells);
    cells.any(|(holds, cell)| holds.misfit(cell).is_some())
}

fn dated(declared: &str) -> bool {
    declared == "date" || declared.starts_with("timestamp") && mapping::is_time(declared)
}

/// `2024-…`: four digits and a dash, not before Christ. Infinity sorts after all digits, and minus infinity before them.
fn sorts(text: &[u8]) -> bool {
    let year = text.iter().take_while(|b| b.is_ascii_digit()).count();
    text.ends_with(b"infinity") || year == 4 && !text.ends_with(b" BC")
}

/// Whether any value of a table of the plan may not fit: then its rows are worth reading before anything is made.
pub fn whole(plan: &Plan, table: &Table) -> bool {
    let Some((_, to)) = kinds(plan) else {
        return true;
    };
    let in_key = |at: usize| {
        table
            .key()
            .is_some_and(|key| key.columns.contains(&(at as u16)))
    };
    // A column of PostgreSQL has one type: few hold what SQLite does not. One of SQLite may hold anything.
    to == Engine::Sqlite
        && table.columns.iter().enumerate().all(|(at, column)| {
            column.becomes != "REAL" && !(in_key(at) && dated(&column.declared))
        })
}

/// Sees that rows and changes fit the plan's target; without cost where both ends are of one kind.
///
/// # Errors
/// `Blocked` with `PARKED`: a value that the target would store as another one, named by table, key and column.
pub fn fits<'a>(
    plan: &Plan,
    rows: Option<(&Table, &Bulk)>,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<()> {
    let Some((_, to)) = kinds(plan) else {
        return Ok(());
    };
    if let Some((table, rows)) = rows {
        let holds = Holds::all(to, table);
        let cells = rows.packed()?;
        for at in 0..rows.len() {
            for (n, (holds, cell)) in holds.iter().zip(cells.cells(at)).enumerate() {
                if let Some(misfit) = holds.misfit(cell)
                    && let Some(column) = table.columns.get(n)
                {
                    let key = table.key_of(&cells.row(at)).to_string();
                    return Err(parked(to, table, column, &key, misfit));
                }
            }
        }
    }
    let mut known: BTreeMap<TableId, Vec<Holds>> = BTreeMap::new();
    for change in changes {
        let Some(table) = plan.table(change.table) else {
            continue;
        };
        let holds = known
            .entry(change.table)
            .or_insert_with(|| Holds::all(to, table));
        let one = |at: usize, cell: Cell<'_>| {
            let misfit = holds.get(at)?.misfit(cell)?;
            let column = table.columns.get(at)?;
            Some(parked(to, table, column, &change.key.to_string(), misfit))
        };
        let found = match &change.image {
            Image::Gone => None,
            Image::Inserted(row) | Image::Present(row) | Image::Updated(row) => row
                .iter()
                .enumerate()
                .find_map(|(at, value)| one(at, value.into())),
            Image::Partial(cells) => cells
                .iter()
                .enumerate()
                .find_map(|(at, value)| one(at, value.as_ref()?.into())),
        };
        if let Some(fault) = found {
            return Err(fault);
        }
    }
    Ok(())
}

fn keyed(table: &Table) -> impl Fn(usize) -> bool {
    let places = table
        .key()
        .map(|key| key.columns.clone())
        .unwrap_or_default();
    move |at| places.contains(&(at as u16))
}

fn parked(to: Engine, table: &Table, column: &Column, key: &str, misfit: Misfit) -> Fault {
    let masked = table.key().is_some_and(|key| {
        let mut columns = key.columns.iter();
        columns.any(|at| {
            table
                .columns
                .get(usize::from(*at))
                .is_some_and(|c| c.masked)
        })
    });
    let key = if masked { "••••" } else { key };
    Fault::new(
        Kind::Blocked,
        format!(
            "{} holds a value in {} that {} {} can't hold: key {key}, {}",
            table.target,
            column.name,
            to.label(),
            column.becomes,
            misfit.what()
        ),
    )
    .code("PARKED")
    .hint("correct the value on the source, then resume; the stream is read anew from there")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(declared: &str, becomes: &str) -> Column {
        Column {
            name: "c".into(),
            declared: declared.into(),
            masked: false,
            becomes: becomes.into(),
        }
    }

    #[test]
    fn what_reads_back_as_it_was_fits_and_nothing_else() {
        let pg = |becomes: &str, cell: Cell<'_>| {
            Holds::of(Engine::Postgres, &column("", becomes), false).misfit(cell)
        };
        let lite = |declared: &str, becomes: &str, cell: Cell<'_>| {
            Holds::of(Engine::Sqlite, &column(declared, becomes), true).misfit(cell)
        };
        assert_eq!(pg("bigint", Cell::Integer(i64::MIN)), None);
        assert_eq!(pg("bigint", Cell::Text(b"1")), Some(Misfit::Class("text")));
        assert_eq!(pg("bigint", Cell::Null), None);
        assert_eq!(pg("double precision", Cell::Real(f64::INFINITY)), None);
        assert_eq!(
            pg("double precision", Cell::Integer(1)),
            Some(Misfit::Class("integer"))
        );
        assert_eq!(pg("numeric", Cell::Real(1.5)), None);
        assert_eq!(pg("numeric", Cell::Real(1e300)), None);
        assert_eq!(pg("numeric", Cell::Real(2.0)), Some(Misfit::Ambiguous));
        assert_eq!(pg("boolean", Cell::Integer(1)), None);
        assert_eq!(pg("boolean", Cell::Integer(2)), Some(Misfit::NoBoolean));
        assert_eq!(pg("text", Cell::Text("ü".as_bytes())), None);
        assert_eq!(pg("text", Cell::Text(b"a\0")), Some(Misfit::Nul));
        assert_eq!(pg("text", Cell::Text(&[0xc3, 0x28])), Some(Misfit::NotUtf8));
        assert_eq!(pg("text", Cell::Blob(b"a")), Some(Misfit::Class("blob")));
        assert_eq!(
            lite("real", "REAL", Cell::Real(f64::NAN)),
            Some(Misfit::Nan)
        );
        assert_eq!(
            lite("real", "REAL", Cell::Real(-0.0)),
            Some(Misfit::MinusZero)
        );
        assert_eq!(lite("real", "REAL", Cell::Real(f64::NEG_INFINITY)), None);
        assert_eq!(lite("date", "TEXT", Cell::Text(b"2024-02-29")), None);
        assert_eq!(lite("date", "TEXT", Cell::Text(b"-infinity")), None);
        for odd in ["0044-03-15 BC", "10000-01-01"] {
            let found = lite("date", "TEXT", Cell::Text(odd.as_bytes()));
            assert_eq!(found, Some(Misfit::Unsorted));
        }
    }
}
