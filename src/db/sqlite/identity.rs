//! Which columns name a row, here and on the target.
//!
//! The PRIMARY KEY if SQLite keeps NULL out of it, else the first plain unique index over NOT NULL columns. Else a reason, so
//! that a table can be refused by name with a remedy.

use rusqlite::{Connection, Result};

use super::catalog::{
    Affinity, Column, ColumnKind, Index, IndexOrigin, IndexedOn, Table, TableKind,
};
use super::ddl::quote_name;
use crate::domain::key::Collation;

/// The key that names a row here and on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Every row has its own.
    Key(Key),
    /// The PRIMARY KEY, whose parts SQLite lets be NULL: usable while no row holds one ([`holds_null`]).
    Nullable(Key),
    /// There is none.
    None(NoKey),
}

impl Identity {
    /// The key, also one that is usable only while it holds no NULL.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Key(key) | Self::Nullable(key) => Some(key),
            Self::None(_) => None,
        }
    }
}

/// Why a table has no identity key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// A virtual table: its rows are in its shadow tables or nowhere.
    Virtual,
    /// A shadow table belongs to its virtual table.
    Shadow,
    /// No PRIMARY KEY, and no unique index at all.
    NoUnique,
    /// No PRIMARY KEY, and each unique index is partial, on an expression or generated column, or lets a part be NULL.
    OnlyWeakUnique,
    /// The key is ordered by a collation that the application registers: no other program can compare by it.
    OwnCollation,
}

impl NoKey {
    /// What is the matter, in one clause.
    pub fn what(self) -> &'static str {
        match self {
            Self::Virtual => "it is a virtual table",
            Self::Shadow => "it belongs to a virtual table",
            Self::NoUnique => "it has no PRIMARY KEY and no unique index",
            Self::OnlyWeakUnique => "none of its unique indexes names every row",
            Self::OwnCollation => {
                "its key is compared by a collation that only the application has"
            }
        }
    }

    /// What to do about it, in one sentence.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Virtual | Self::Shadow => {
                "leave it out of the plan and build the virtual table again on the target"
            }
            Self::NoUnique => {
                "create a unique index on columns that are NOT NULL, or leave the table out"
            }
            Self::OwnCollation => {
                "add a unique index over NOT NULL columns with BINARY, NOCASE or RTRIM, or leave the table out"
            }
            Self::OnlyWeakUnique => {
                "make the columns of one unique index NOT NULL and the index a plain one over columns, or leave the table out"
            }
        }
    }
}

/// An identity key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its columns, in the order of the key.
    pub columns: Vec<KeyColumn>,
    /// The index that holds it; none where the key is the rowid (INTEGER PRIMARY KEY).
    pub index: Option<String>,
    /// Whether it is the declared PRIMARY KEY.
    pub primary: bool,
}

/// A column of an identity key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// The column's name.
    pub name: String,
    /// What it converts.
    pub affinity: Affinity,
    /// What decides whether two keys are the same, and their order.
    pub collation: Collation,
}

/// What a table's rowid is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rowid {
    /// WITHOUT ROWID, or not a table with rows of its own.
    Absent,
    /// The INTEGER PRIMARY KEY column.
    IsKey,
    /// Beside the key, under this name; no name when columns took all three, so that no statement can set it either.
    Separate(Option<&'static str>),
}

/// The collation of that name, unless it is the application's own.
pub fn collation(name: &str) -> Option<Collation> {
    match name.to_ascii_uppercase().as_str() {
        "BINARY" => Some(Collation::Binary),
        "NOCASE" => Some(Collation::Nocase),
        "RTRIM" => Some(Collation::Rtrim),
        _ => None,
    }
}

/// A collation's name in SQL.
pub fn collation_name(collation: Collation) -> &'static str {
    match collation {
        Collation::Binary => "BINARY",
        Collation::Nocase => "NOCASE",
        Collation::Rtrim => "RTRIM",
    }
}

/// Whether any row holds NULL in a part of `key`. Reads the key's index, or the table; bounded by the first NULL found.
pub fn holds_null(conn: &Connection, table: &str, key: &Key) -> Result<bool> {
    let parts: Vec<_> = key
        .columns
        .iter()
        .map(|column| format!("{} IS NULL", quote_name(&column.name)))
        .collect();
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM main.{} WHERE {})",
        quote_name(table),
        parts.join(" OR ")
    );
    conn.query_row(&sql, [], |row| row.get(0))
}

pub(super) fn rowid(table: &Table) -> Rowid {
    if table.without_rowid || table.kind != TableKind::Ordinary {
        return Rowid::Absent;
    }
    // Only the INTEGER PRIMARY KEY has no index of its own; `INTEGER PRIMARY KEY DESC` and `INT PRIMARY KEY` have.
    let declared = table
        .columns
        .iter()
        .any(|column| column.primary_key.is_some());
    let indexed = table
        .indexes
        .iter()
        .any(|index| index.origin == IndexOrigin::PrimaryKey);
    if declared && !indexed {
        return Rowid::IsKey;
    }
    let free = |alias: &&str| {
        !table
            .columns
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(alias))
    };
    Rowid::Separate(["rowid", "_rowid_", "oid"].into_iter().find(free))
}

pub(super) fn identity(table: &Table) -> Identity {
    match table.kind {
        TableKind::Virtual { .. } => return Identity::None(NoKey::Virtual),
        TableKind::Shadow => return Identity::None(NoKey::Shadow),
        TableKind::Ordinary => {}
    }
    if table.rowid == Rowid::IsKey {
        let columns = table
            .columns
            .iter()
            .filter(|column| column.primary_key.is_some());
        let columns = columns
            .map(|column| KeyColumn {
                name: column.name.clone(),
                affinity: Affinity::Integer,
                collation: Collation::Binary,
            })
            .collect();
        return Identity::Key(Key {
            columns,
            index: None,
            primary: true,
        });
    }
    let mut nullable = None;
    let mut why = NoKey::NoUnique;
    // Those of PRIMARY KEY first; the sort keeps the others in the order they were made.
    let mut indexes: Vec<_> = table.indexes.iter().filter(|index| index.unique).collect();
    indexes.sort_by_key(|index| index.origin != IndexOrigin::PrimaryKey);
    for index in indexes {
        match plain_key(table, index) {
            Ok((key, true)) => return Identity::Key(key),
            Ok((key, false)) if key.primary => nullable = Some(key),
            Ok((_, false)) => why = NoKey::OnlyWeakUnique,
            Err(reason) => why = reason,
        }
    }
    nullable.map_or(Identity::None(why), Identity::Nullable)
}

/// The key an index makes when it is over whole rows and ordinary columns, and whether NULL is kept out of all of them.
fn plain_key(table: &Table, index: &Index) -> std::result::Result<(Key, bool), NoKey> {
    if index.partial {
        return Err(NoKey::OnlyWeakUnique);
    }
    let primary = index.origin == IndexOrigin::PrimaryKey;
    let mut not_null = true;
    let mut columns = Vec::new();
    for part in &index.parts {
        let column = match &part.on {
            IndexedOn::Column(name) => table.columns.iter().find(|column| column.name == *name),
            IndexedOn::Expr(_) => None,
        };
        let column: &Column = column
            .filter(|column| column.kind == ColumnKind::Ordinary)
            .ok_or(NoKey::OnlyWeakUnique)?;
        not_null &= column.not_null || primary && table.without_rowid;
        columns.push(KeyColumn {
            name: column.name.clone(),
            affinity: column.affinity,
            collation: collation(&part.collation).ok_or(NoKey::OwnCollation)?,
        });
    }
    Ok((
        Key {
            columns,
            index: Some(index.name.clone()),
            primary,
        },
        not_null,
    ))
}
