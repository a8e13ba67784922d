//! The shape of a table as SQLite itself reports it: columns, which of them are the key, which are generated.

use rusqlite::Connection;

use super::error::Result;

/// One column, in declaration order.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub name: String,
    /// Place in the primary key, from 1; 0 when it is not part of it.
    pub key: u32,
    pub not_null: bool,
    /// Computed by SQLite from other columns, virtual or stored.
    pub generated: bool,
    /// Declared exactly INTEGER: alone as primary key it is the rowid and never NULL.
    pub integer: bool,
}

/// An ordinary table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub without_rowid: bool,
}

impl Table {
    /// Key columns in key order. Empty when there is no primary key, or when SQLite would allow NULL in it: then two rows may
    /// share one "key" and it identifies nothing.
    pub fn key(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|c| c.key > 0).collect();
        key.sort_by_key(|c| c.key);
        let rowid_alias = key.len() == 1 && key[0].integer;
        if self.without_rowid || rowid_alias || key.iter().all(|c| c.not_null) {
            key
        } else {
            Vec::new()
        }
    }
}

/// Ordinary tables of the main database, by name; SQLite's own are left out.
pub(super) fn tables(db: &Connection) -> Result<Vec<Table>> {
    let mut found = Vec::new();
    let mut list = db.prepare(
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names: Vec<(String, bool)> = list
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut columns = db.prepare(
        "SELECT name, pk, \"notnull\", hidden, type FROM pragma_table_xinfo(?1) ORDER BY cid",
    )?;
    for (name, without_rowid) in names {
        let columns = columns
            .query_map([&name], |row| {
                Ok(Column {
                    name: row.get(0)?,
                    key: row.get(1)?,
                    not_null: row.get(2)?,
                    generated: row.get::<_, u32>(3)? >= 2,
                    integer: row.get::<_, String>(4)?.eq_ignore_ascii_case("INTEGER"),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        found.push(Table {
            name,
            columns,
            without_rowid,
        });
    }
    Ok(found)
}

/// An identifier as SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A list of things as SQL, separated by commas.
pub(super) fn comma<I: IntoIterator<Item = String>>(parts: I) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}
