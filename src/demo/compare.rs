//! The independent compare: two SQLite files, row by row and value by value, storage class and bytes.
//!
//! It computes no hash and shares no code with tidegate's own verification, so the two can only agree by both being right.
//! Both files are read in one read transaction each, streamed in key order and merged; memory does not grow with the tables.

use std::{cmp::Ordering, fmt, path::Path};

use rusqlite::{Connection, OpenFlags, Row, Rows, types::ValueRef};

use super::{
    error::{DemoError, Doing, Result},
    shape::{self, Table, comma, quoted},
};

/// So many differences of a table are kept word for word; all are counted.
pub const KEPT: usize = 100;

/// One stored value, exactly as SQLite holds it.
#[derive(Debug, Clone)]
pub enum Cell {
    /// NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A double.
    Real(f64),
    /// Text as bytes: SQLite does not promise UTF-8, and NUL bytes may be inside.
    Text(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Cell {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(i) => Self::Integer(i),
            ValueRef::Real(r) => Self::Real(r),
            ValueRef::Text(t) => Self::Text(t.to_vec()),
            ValueRef::Blob(b) => Self::Blob(b.to_vec()),
        }
    }

    fn class(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Integer(_) => 1,
            Self::Real(_) => 2,
            Self::Text(_) => 3,
            Self::Blob(_) => 4,
        }
    }

    /// SQLite's own sort order with the BINARY collation; numbers of both classes compare by value.
    fn sorts(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Integer(a), Self::Real(b)) => integer_to_real(*a, *b),
            (Self::Real(a), Self::Integer(b)) => integer_to_real(*b, *a).reverse(),
            (Self::Text(a), Self::Text(b)) | (Self::Blob(a), Self::Blob(b)) => a.cmp(b),
            _ => self.class().cmp(&other.class()),
        }
    }
}

/// Compares without rounding the integer to a double first: above 2^53 that would call neighbours equal.
fn integer_to_real(a: i64, b: f64) -> Ordering {
    if b >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if b < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    // In range now, so the cast only drops the fraction.
    let whole = b as i64;
    a.cmp(&whole).then_with(|| {
        0.0_f64
            .partial_cmp(&(b - whole as f64))
            .unwrap_or(Ordering::Equal)
    })
}

impl PartialEq for Cell {
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

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(i) => write!(f, "{i}"),
            Self::Real(r) => write!(f, "{r:?}"),
            Self::Text(t) => write!(f, "'{}'", String::from_utf8_lossy(t).replace('\0', "\\0")),
            Self::Blob(b) => {
                f.write_str("x'")?;
                b.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("'")
            }
        }
    }
}

/// What is different about one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// In `a`, not in `b`.
    Missing,
    /// In `b`, not in `a`.
    Extra,
    /// In both, and this column holds something else.
    Changed {
        /// The column's name.
        column: String,
        /// What `a` holds.
        a: Cell,
        /// What `b` holds.
        b: Cell,
    },
}

/// One difference; a row with two changed columns gives two.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The row's primary key, or the whole row for a table without a usable one.
    pub key: Vec<Cell>,
    /// What differs.
    pub kind: Kind,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", comma(self.key.iter().map(ToString::to_string)))?;
        match &self.kind {
            Kind::Missing => f.write_str(" missing"),
            Kind::Extra => f.write_str(" extra"),
            Kind::Changed { column, a, b } => write!(f, " {column}: {a} became {b}"),
        }
    }
}

/// One table, compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableComparison {
    /// Its name.
    pub table: String,
    /// Rows in `a`.
    pub rows_a: u64,
    /// Rows in `b`.
    pub rows_b: u64,
    /// Rows of `a` that `b` does not have.
    pub missing: u64,
    /// Rows of `b` that `a` does not have.
    pub extra: u64,
    /// Rows in both that hold different values.
    pub changed: u64,
    /// Columns that only one side has; they cannot be compared.
    pub columns_on_one_side: Vec<String>,
    /// The first differences, at most [`KEPT`] and then to the end of that row.
    pub first: Vec<Difference>,
}

impl TableComparison {
    /// Rows that are not the same on both sides.
    pub fn differ(&self) -> u64 {
        self.missing + self.extra + self.changed
    }

    /// No row differs and both sides have the same columns.
    pub fn equal(&self) -> bool {
        self.differ() == 0 && self.columns_on_one_side.is_empty()
    }
}

/// Two databases, compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Tables that both sides have, by name.
    pub tables: Vec<TableComparison>,
    /// Tables that only `a` has.
    pub only_in_a: Vec<String>,
    /// Tables that only `b` has.
    pub only_in_b: Vec<String>,
}

impl Comparison {
    /// At least one table was compared, both sides have the same tables, and every table is equal.
    pub fn equal(&self) -> bool {
        !self.tables.is_empty()
            && self.only_in_a.is_empty()
            && self.only_in_b.is_empty()
            && self.tables.iter().all(TableComparison::equal)
    }

    /// Rows that differ in the tables both sides have.
    pub fn differ(&self) -> u64 {
        self.tables.iter().map(TableComparison::differ).sum()
    }

    /// Rows of `a` that were looked at.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|t| t.rows_a).sum()
    }

    /// The comparison of one table.
    pub fn table(&self, name: &str) -> Option<&TableComparison> {
        self.tables.iter().find(|t| t.table == name)
    }
}

/// A line for each table that differs with its first differences, and a total: what a failing test should print.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in self.tables.iter().filter(|t| !t.equal()) {
            writeln!(
                f,
                "{}: {} and {} rows, {} missing, {} extra, {} changed",
                table.table, table.rows_a, table.rows_b, table.missing, table.extra, table.changed
            )?;
            for column in &table.columns_on_one_side {
                writeln!(f, "  column {column} on one side only")?;
            }
            for difference in table.first.iter().take(10) {
                writeln!(f, "  {difference}")?;
            }
        }
        for (side, names) in [("first", &self.only_in_a), ("second", &self.only_in_b)] {
            if !names.is_empty() {
                writeln!(f, "only in the {side}: {}", names.join(", "))?;
            }
        }
        write!(
            f,
            "{} rows in {} tables compared, {} differ",
            self.rows(),
            self.tables.len(),
            self.differ()
        )
    }
}

/// Compares every table of `a` with the table of the same name in `b`. `ignore` names tables to leave out; a name that ends
/// in `*` leaves out all that begin so (`tidegate_*`).
///
/// # Errors
/// When a file cannot be read. Differences are not errors.
pub fn compare(a: &Path, b: &Path, ignore: &[&str]) -> Result<Comparison> {
    let (db_a, db_b) = (reading(a)?, reading(b)?);
    let ignored = |name: &str| {
        ignore.iter().any(|i| match i.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *i,
        })
    };
    let tables = |db: &Connection, path: &Path| -> Result<Vec<Table>> {
        let all =
            shape::tables(db).doing(|| format!("cannot read the schema of {}", path.display()))?;
        Ok(all.into_iter().filter(|t| !ignored(&t.name)).collect())
    };
    let (tables_a, tables_b) = (tables(&db_a, a)?, tables(&db_b, b)?);
    let mut comparison = Comparison::default();
    for table in &tables_a {
        match tables_b.iter().find(|t| t.name == table.name) {
            None => comparison.only_in_a.push(table.name.clone()),
            Some(other) => comparison.tables.push(
                compare_table(&db_a, &db_b, table, other)
                    .doing(|| format!("cannot compare the table {}", table.name))?,
            ),
        }
    }
    let only_b = tables_b
        .iter()
        .filter(|t| tables_a.iter().all(|a| a.name != t.name));
    comparison.only_in_b = only_b.map(|t| t.name.clone()).collect();
    Ok(comparison)
}

/// A connection in one read transaction, so that a live database is compared as of one moment.
fn reading(path: &Path) -> Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.execute_batch("BEGIN")?;
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(db)
    };
    open().doing(|| format!("cannot read {}", path.display()))
}

fn compare_table(
    db_a: &Connection,
    db_b: &Connection,
    table: &Table,
    other: &Table,
) -> Result<TableComparison> {
    let on_one_side = |x: &Table, y: &Table| -> Vec<String> {
        let lacks = |name: &str| y.columns.iter().all(|c| c.name != name);
        x.columns
            .iter()
            .filter(|c| lacks(&c.name))
            .map(|c| c.name.clone())
            .collect()
    };
    let mut result = TableComparison {
        table: table.name.clone(),
        ..Default::default()
    };
    result.columns_on_one_side = [on_one_side(table, other), on_one_side(other, table)].concat();
    let shared: Vec<String> = table
        .columns
        .iter()
        .map(|c| c.name.clone())
        .filter(|c| !result.columns_on_one_side.contains(c))
        .collect();
    if shared.is_empty() {
        return Err(DemoError::new("the two sides have no column in common"));
    }
    let key: Vec<String> = table.key().iter().map(|c| c.name.clone()).collect();
    let keyed = !key.is_empty() && key.iter().all(|k| shared.contains(k));
    // Without a key the whole row is its own key; the storage class breaks ties, or 1 and 1.0 could swap places.
    let order = if keyed {
        comma(key.iter().map(|k| format!("{} COLLATE BINARY", quoted(k))))
    } else {
        comma(
            shared
                .iter()
                .map(|c| format!("{0} COLLATE BINARY, typeof({0})", quoted(c))),
        )
    };
    // Key columns in key order; `shared` holds each of them when `keyed`.
    let place: Vec<usize> = if keyed {
        key.iter()
            .filter_map(|k| shared.iter().position(|c| c == k))
            .collect()
    } else {
        (0..shared.len()).collect()
    };
    let sql = format!(
        "SELECT {} FROM {} ORDER BY {order}",
        comma(shared.iter().map(|c| quoted(c))),
        quoted(&table.name)
    );
    let (mut statement_a, mut statement_b) = (db_a.prepare(&sql)?, db_b.prepare(&sql)?);
    let (mut rows_a, mut rows_b) = (statement_a.query([])?, statement_b.query([])?);
    let next = |rows: &mut Rows<'_>, count: &mut u64| -> Result<Option<Vec<Cell>>> {
        let row = rows
            .next()?
            .map(|row| cells(row, shared.len()))
            .transpose()?;
        *count += u64::from(row.is_some());
        Ok(row)
    };
    let mut a = next(&mut rows_a, &mut result.rows_a)?;
    let mut b = next(&mut rows_b, &mut result.rows_b)?;
    loop {
        let order = match (&a, &b) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => place
                .iter()
                .map(|&i| {
                    a[i].sorts(&b[i]).then_with(|| {
                        if keyed {
                            Ordering::Equal
                        } else {
                            a[i].class().cmp(&b[i].class())
                        }
                    })
                })
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal),
        };
        match order {
            Ordering::Less => {
                result.missing += 1;
                keep(&mut result.first, a.as_deref(), &place, || {
                    vec![Kind::Missing]
                });
                a = next(&mut rows_a, &mut result.rows_a)?;
            }
            Ordering::Greater => {
                result.extra += 1;
                keep(&mut result.first, b.as_deref(), &place, || {
                    vec![Kind::Extra]
                });
                b = next(&mut rows_b, &mut result.rows_b)?;
            }
            Ordering::Equal => {
                if let (Some(x), Some(y)) = (&a, &b)
                    && x != y
                {
                    result.changed += 1;
                    keep(&mut result.first, Some(x), &place, || {
                        let unequal = x.iter().zip(y).enumerate().filter(|(_, (x, y))| x != y);
                        unequal
                            .map(|(i, (x, y))| Kind::Changed {
                                column: shared[i].clone(),
                                a: x.clone(),
                                b: y.clone(),
                            })
                            .collect()
                    });
                }
                a = next(&mut rows_a, &mut result.rows_a)?;
                b = next(&mut rows_b, &mut result.rows_b)?;
            }
        }
    }
    Ok(result)
}

fn keep(
    first: &mut Vec<Difference>,
    row: Option<&[Cell]>,
    place: &[usize],
    kinds: impl FnOnce() -> Vec<Kind>,
) {
    if let Some(row) = row
        && first.len() < KEPT
    {
        let key: Vec<Cell> = place.iter().map(|&i| row[i].clone()).collect();
        first.extend(kinds().into_iter().map(|kind| Difference {
            key: key.clone(),
            kind,
        }));
    }
}

fn cells(row: &Row<'_>, columns: usize) -> Result<Vec<Cell>> {
    (0..columns)
        .map(|i| Ok(Cell::of(row.get_ref(i)?)))
        .collect()
}

#[cfg(test)]
mod tests;
