//! The operator's reads: the tables of a snapshot are put into a SQLite database in memory, and that is asked.

use super::base::Snapshot;
use super::table::Rows;
use crate::db::ResultSet;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::key::Range;
use crate::domain::value::Value;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

/// Runs one read; refuses everything else.
pub(super) fn run(
    snapshot: &Snapshot,
    sql: &str,
    params: &[Value],
    limit: u32,
) -> Result<ResultSet> {
    let text = sql.trim().trim_end_matches(';');
    if text.contains(';') {
        return Err(refused("it is more than one statement"));
    }
    let conn = filled(snapshot).map_err(refused)?;
    let mut statement = conn.prepare(text).map_err(refused)?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(refused("it is no read"));
    }
    if statement.parameter_count() != params.len() {
        return Err(refused("it has another number of parameters"));
    }
    let names = statement.column_names();
    let columns: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut result = ResultSet {
        columns,
        ..ResultSet::default()
    };
    let mut rows = statement
        .query(params_from_iter(params.iter().map(Cell)))
        .map_err(refused)?;
    while let Some(row) = rows.next().map_err(refused)? {
        if result.rows.len() == limit {
            result.more = true;
            break;
        }
        let cell = |at| row.get_ref(at).map(value);
        let cells: rusqlite::Result<_> = (0..result.columns.len()).map(cell).collect();
        result.rows.push(cells.map_err(refused)?);
    }
    Ok(result)
}

fn refused(why: impl std::fmt::Display) -> Fault {
    Fault::new(Kind::Refused, "the query can't be run")
        .code("NOT-A-READ")
        .cause(why)
}

fn filled(snapshot: &Snapshot) -> rusqlite::Result<Connection> {
    let conn = Connection::open_in_memory()?;
    let named = |rows: &&std::sync::Arc<Rows>| !rows.definition.table.source.is_empty();
    for rows in snapshot.tables.iter().filter(named) {
        let table = &rows.definition.table;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let columns: Vec<String> = table.columns.iter().map(|c| quoted(&c.name)).collect();
        let name = quoted(&table.source);
        conn.execute_batch(&format!("CREATE TABLE {name} ({})", columns.join(", ")))?;
        let marks = vec!["?"; columns.len()].join(", ");
        let mut insert = conn.prepare(&format!("INSERT INTO {name} VALUES ({marks})"))?;
        for row in rows.range(&Range::default()) {
            insert.execute(params_from_iter(row.iter().map(Cell)))?;
        }
    }
    Ok(conn)
}

struct Cell<'a>(&'a Value);

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(i) => ValueRef::Integer(*i),
            Value::Real(r) => ValueRef::Real(*r),
            Value::Text(b) => ValueRef::Text(b),
            Value::Blob(b) => ValueRef::Blob(b),
        }))
    }
}

fn value(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(b) => Value::Text(b.into()),
        ValueRef::Blob(b) => Value::Blob(b.into()),
    }
}
