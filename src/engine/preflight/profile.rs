//! What the data looks like: storage classes, lengths, room left in keys. Counts only; no value leaves the database but the
//! largest key of a table, and not even that where the key is masked.

use crate::db::{Endpoint, View};
use crate::domain::fault::Result;
use crate::domain::plan::{Engine, Plan};
use crate::domain::preflight::{ColumnProfile, TableProfile};
use crate::domain::table::{Column, Table};
use crate::domain::unit::{Bytes, Rows};
use crate::domain::value::Value;
use std::sync::Arc;

/// A key that has used this part of its range is told.
const NEARLY: f64 = 0.5;
/// The largest 32-bit number: where applications that read keys as int overflow.
const INT32: f64 = i32::MAX as f64;

/// Profiles every table that is moved, in one read transaction. Reads each table once.
pub(super) async fn profile(source: &dyn Endpoint, plan: &Arc<Plan>) -> Result<Vec<TableProfile>> {
    let mut profiles = Vec::new();
    let mut view = source.view(plan).await?;
    for table in plan.tables.iter().filter(|table| table.key().is_some()) {
        profiles.push(of_table(view.as_mut(), source.engine(), table).await?);
    }
    Ok(profiles)
}

async fn of_table(view: &mut dyn View, engine: Engine, table: &Table) -> Result<TableProfile> {
    let mut rows = Rows::ZERO;
    let mut columns = Vec::with_capacity(table.columns.len());
    for some in table.columns.chunks(AT_ONCE) {
        let found = view
            .query(&census(engine, &table.source, some), &[], 1)
            .await?;
        let mut cells = found
            .rows
            .into_iter()
            .next()
            .map(Vec::from)
            .unwrap_or_default()
            .into_iter();
        rows = count(cells.next());
        columns.extend(
            some.iter()
                .map(|column| of_column(engine, column, rows, &mut cells)),
        );
    }
    Ok(TableProfile {
        table: table.source.clone(),
        rows,
        headroom: headroom(view, engine, table).await?,
        columns,
    })
}

/// Columns in one statement: engines bound what a SELECT may return.
const AT_ONCE: usize = 100;
const CLASSES: [&str; 5] = ["null", "integer", "real", "text", "blob"];

/// One statement, one pass over the table: its rows, then for each column the five classes and the greatest length.
fn census(engine: Engine, table: &str, columns: &[Column]) -> String {
    let mut parts = vec!["count(*)".to_owned()];
    for column in columns {
        let name = quoted(&column.name);
        match engine {
            Engine::Sqlite | Engine::Sim => {
                parts.extend(
                    CLASSES
                        .iter()
                        .map(|class| format!("coalesce(sum(typeof({name}) = '{class}'), 0)")),
                );
                parts.push(format!(
                    "max(case when typeof({name}) in ('text', 'blob') then length(cast({name} as blob)) end)"
                ));
            }
            // A column has one type: what is not NULL counts as the text that the server writes.
            Engine::Postgres => {
                parts.extend(CLASSES.iter().map(|class| match *class {
                    "null" => format!("count(*) - count({name})"),
                    "text" => format!("count({name})"),
                    _ => "0".to_owned(),
                }));
                parts.push(format!("max(octet_length({name}::text))"));
            }
        }
    }
    format!("select {} from {}", parts.join(", "), from(engine, table))
}

/// A PostgreSQL table's name is written as a statement has it.
fn from(engine: Engine, table: &str) -> String {
    match engine {
        Engine::Postgres => table.to_owned(),
        Engine::Sqlite | Engine::Sim => quoted(table),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn count(value: Option<Value>) -> Rows {
    match value {
        Some(Value::Integer(n)) => Rows(u64::try_from(n).unwrap_or_default()),
        _ => Rows::ZERO,
    }
}

/// What a class is called: where a column has one type, what is not NULL is a value of it.
fn told(engine: Engine, class: &'static str) -> &'static str {
    match (engine, class) {
        (Engine::Postgres, "text") => "set",
        (_, class) => class,
    }
}

fn of_column(
    engine: Engine,
    column: &Column,
    rows: Rows,
    cells: &mut impl Iterator<Item = Value>,
) -> ColumnProfile {
    let mut classes: Vec<(String, Rows)> = CLASSES
        .iter()
        .map(|class| (told(engine, class).to_owned(), count(cells.next())))
        .collect();
    let longest = match cells.next() {
        Some(Value::Integer(n)) => Some(Bytes(u64::try_from(n).unwrap_or_default())),
        _ => None,
    };
    classes.retain(|(_, rows)| *rows > Rows::ZERO);
    classes.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    ColumnProfile {
        name: column.name.clone(),
        declared: column.declared.clone(),
        odd: odd(&classes, rows),
        classes,
        longest,
    }
}

/// A column that mixes classes (NULL apart) surprises whoever reads it with a typed program.
fn odd(classes: &[(String, Rows)], rows: Rows) -> String {
    let real: Vec<_> = classes
        .iter()
        .filter(|(class, _)| class != "null")
        .collect();
    match real.as_slice() {
        [] if rows > Rows::ZERO => "always NULL".into(),
        [_, rest @ ..] if !rest.is_empty() => {
            let parts: Vec<String> = rest
                .iter()
                .map(|(class, rows)| format!("{rows} {class}"))
                .collect();
            format!(
                "mixed: {} among {}",
                parts.join(", "),
                real.first().map_or("", |(class, _)| class.as_str())
            )
        }
        _ => String::new(),
    }
}

async fn headroom(view: &mut dyn View, engine: Engine, table: &Table) -> Result<String> {
    let Some([place]) = table.key().map(|spec| spec.columns.as_slice()) else {
        return Ok(String::new());
    };
    let Some(column) = table.columns.get(usize::from(*place)) else {
        return Ok(String::new());
    };
    let sql = format!(
        "select max({}) from {}",
        quoted(&column.name),
        from(engine, &table.source)
    );
    let found = view.query(&sql, &[], 1).await?;
    let Some(Value::Integer(max)) = found.rows.first().and_then(|row| row.first()) else {
        return Ok(String::new());
    };
    let used = *max as f64;
    let shown = if column.masked {
        "the key".to_owned()
    } else {
        format!("the key, at {max},")
    };
    Ok(if used / i64::MAX as f64 > NEARLY {
        format!(
            "{shown} has used {:.0} % of 64 bits",
            used / i64::MAX as f64 * 100.0
        )
    } else if used > INT32 {
        format!("{shown} is beyond 32 bits")
    } else if used / INT32 > NEARLY {
        format!(
            "{shown} has used {:.0} % of 32 bits, should the application read it so",
            used / INT32 * 100.0
        )
    } else {
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_mixed_classes_is_odd_and_null_is_not() {
        let told = |classes: &[(&str, u64)]| {
            let classes: Vec<_> = classes
                .iter()
                .map(|(class, rows)| ((*class).to_owned(), Rows(*rows)))
                .collect();
            odd(&classes, classes.iter().map(|(_, rows)| *rows).sum())
        };
        assert_eq!(
            told(&[("integer", 990), ("text", 10)]),
            "mixed: 10 text among integer"
        );
        assert_eq!(told(&[("integer", 990), ("null", 10)]), "");
        assert_eq!(told(&[("null", 10)]), "always NULL");
        assert_eq!(told(&[]), "");
    }
}
