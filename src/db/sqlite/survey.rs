//! What a SQLite file holds, as far as a plan needs to know.

use super::build::{PRAGMA, SEQUENCE, sequence_sql};
use super::catalog::{Catalog, ColumnKind, Index, IndexOrigin, Table as Found, TableKind};
use super::identity::{Identity, holds_null};
use super::outline::outline;
use super::place::{OrFault, Place};
use super::shape::fingerprint;
use crate::db::across::Outline;
use crate::db::{Ddl, Sizes, Survey, Surveyed};
use crate::domain::fault::Result;
use crate::domain::table::{Column, KeySpec, Mode, Table};
use crate::domain::unit::{Bytes, Rows};
use rusqlite::{Connection, OptionalExtension};

/// Looks at everything in one read transaction. Virtual tables and what belongs to them are listed as left out.
pub(super) fn survey(conn: &Connection, place: &Place, sizes: Sizes) -> Result<Survey> {
    let doing = "look at the database";
    let tx = conn.unchecked_transaction().or_fault(place, doing)?;
    let catalog = Catalog::read(&tx).or_fault(place, doing)?;
    let tables = catalog
        .tables
        .iter()
        .filter(|table| table.kind != TableKind::Shadow)
        .map(|table| surveyed(&tx, table, sizes))
        .collect::<rusqlite::Result<_>>()
        .or_fault(place, doing)?;
    let properties = properties(&tx).or_fault(place, doing)?;
    let rest = rest(&tx, &catalog).or_fault(place, doing)?;
    let bytes = bytes(&tx).or_fault(place, doing)?;
    Ok(Survey {
        version: version(),
        properties,
        before: Vec::new(),
        tables,
        rest,
        extensions: Vec::new(),
        bytes,
    })
}

/// The library's version; it is what reads the file.
pub(super) fn version() -> String {
    format!("SQLite {}", rusqlite::version())
}

fn surveyed(conn: &Connection, found: &Found, sizes: Sizes) -> rusqlite::Result<Surveyed> {
    // What a virtual table holds is its module's business, and the module may not even be in here.
    let virtual_table = found.kind != TableKind::Ordinary;
    let counted = !virtual_table && sizes == Sizes::Told;
    let rows: i64 = if !counted {
        0
    } else {
        conn.query_row(
            &format!(
                "SELECT count(*) FROM main.{}",
                super::ddl::quote_name(&found.name)
            ),
            [],
            |row| row.get(0),
        )?
    };
    let key_index = found.identity.key().and_then(|key| key.index.as_deref());
    let is_key = |index: &&Index| Some(index.name.as_str()) == key_index;
    let created = || {
        found
            .indexes
            .iter()
            .filter(|index| index.origin == IndexOrigin::Created)
    };
    let mut create = found.sql.clone();
    for sql in created()
        .filter(is_key)
        .filter_map(|index| index.sql.as_deref())
    {
        create.push_str(";\n");
        create.push_str(sql);
    }
    let after = created()
        .filter(|index| !is_key(index))
        .filter_map(|index| Some(ddl("index", &index.name, index.sql.as_deref()?)))
        .collect();
    Ok(Surveyed {
        table: table(conn, found)?,
        rows: Rows(rows.cast_unsigned()),
        exact: counted,
        create: ddl("table", &found.name, &create),
        key: None,
        after,
        outline: if virtual_table {
            Outline::default()
        } else {
            outline(conn, found)?
        },
    })
}

fn ddl(kind: &str, name: &str, sql: &str) -> Ddl {
    Ddl {
        kind: kind.to_owned(),
        name: name.to_owned(),
        sql: sql.to_owned(),
    }
}

/// The table as a plan has it: ordinary columns only, the target computes the generated ones itself.
fn table(conn: &Connection, found: &Found) -> rusqlite::Result<Table> {
    let columns: Vec<Column> = found
        .columns
        .iter()
        .filter(|column| column.kind == ColumnKind::Ordinary)
        .map(|column| Column {
            name: column.name.clone(),
            declared: column.declared.clone(),
            masked: false,
            becomes: String::new(),
        })
        .collect();
    let mode = match &found.identity {
        Identity::None(why) => Mode::LeftOut(why.what().to_owned()),
        Identity::Nullable(key) if holds_null(conn, &found.name, key)? => {
            Mode::LeftOut("a row holds NULL in its PRIMARY KEY, which then names no row".to_owned())
        }
        Identity::Key(key) | Identity::Nullable(key) => {
            let place = |name: &str| columns.iter().position(|column| column.name == name);
            Mode::Live(KeySpec {
                // A table has at most 32,767 columns.
                columns: key
                    .columns
                    .iter()
                    .filter_map(|part| place(&part.name))
                    .map(|i| i as u16)
                    .collect(),
                collations: key.columns.iter().map(|part| part.collation).collect(),
            })
        }
    };
    Ok(Table {
        source: found.name.clone(),
        target: found.name.clone(),
        columns,
        mode,
        shape: fingerprint(found),
    })
}

/// Views, triggers, and what an application keeps in the file beside its schema. Counters and pragmas come last: they are
/// read when the survey is made, so a survey behind the fence has their final values.
fn rest(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<Vec<Ddl>> {
    let mut rest: Vec<Ddl> = catalog
        .views
        .iter()
        .map(|view| ddl("view", &view.name, &view.sql))
        .collect();
    rest.extend(
        catalog
            .triggers
            .iter()
            .map(|trigger| ddl("trigger", &trigger.name, &trigger.sql)),
    );
    for table in catalog.tables.iter().filter(|table| table.autoincrement) {
        let value: Option<i64> = conn
            .query_row(
                "SELECT seq FROM main.sqlite_sequence WHERE name = ?1",
                [&table.name],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(value) = value {
            rest.push(ddl(
                SEQUENCE,
                &table.name,
                &sequence_sql(&table.name, value),
            ));
        }
    }
    for pragma in ["user_version", "application_id"] {
        let value: i64 = conn.query_row(&format!("PRAGMA main.{pragma}"), [], |row| row.get(0))?;
        if value != 0 {
            rest.push(ddl(
                PRAGMA,
                pragma,
                &format!("PRAGMA main.{pragma} = {value}"),
            ));
        }
    }
    Ok(rest)
}

/// Facts worth showing.
pub(super) fn properties(conn: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    [
        "journal_mode",
        "encoding",
        "page_size",
        "auto_vacuum",
        "user_version",
        "application_id",
    ]
    .into_iter()
    .map(|pragma| Ok((pragma.to_owned(), self::pragma(conn, pragma)?)))
    .collect()
}

/// A pragma's value as text.
pub(super) fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<String> {
    conn.query_row(&format!("PRAGMA main.{name}"), [], |row| {
        Ok(super::cell::value(row.get_ref(0)?).to_string())
    })
}

/// Bytes of the file, without its WAL.
pub(super) fn bytes(conn: &Connection) -> rusqlite::Result<Bytes> {
    let size = |name: &str| {
        conn.query_row(&format!("PRAGMA main.{name}"), [], |row| {
            row.get::<_, i64>(0)
        })
    };
    Ok(Bytes(
        (size("page_count")? * size("page_size")?).cast_unsigned(),
    ))
}
