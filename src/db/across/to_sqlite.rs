//! A table of another kind, as SQLite makes it.

use super::names::quote;
use super::outline::{Foreign, Index, Moment, Outline, Part, Preset};
use super::{Made, ddl, key_columns, parent};
use crate::domain::plan::Plan;
use crate::domain::table::{Column, Table};
use crate::domain::value::Value;

pub(super) fn made(plan: &Plan, table: &Table, outline: &Outline) -> Made {
    let mut made = Made {
        left: outline.beside.clone(),
        ..Made::default()
    };
    let key = key_columns(table);
    let numbered = numbered(table);
    let mut body = Vec::new();
    for column in &table.columns {
        let part = outline.part(&column.name);
        let alias = numbered.is_some_and(|key| key.name == column.name);
        let counter = part.and_then(|part| part.counter);
        body.push(self::column(column, part, alias, &key, &mut made.left));
        if let (Some(last), true) = (counter.and_then(|counter| counter.last), alias) {
            made.counters.push(ddl(
                "sequence",
                table.target.clone(),
                self::counter(&table.target, last),
            ));
        }
    }
    for part in outline.parts.iter().filter(|part| part.computed) {
        made.left.push(format!("the computed column {}", part.name));
    }
    if numbered.is_none() {
        body.push(format!("PRIMARY KEY ({})", list(&key)));
    }
    for foreign in &outline.foreign {
        match self::foreign(plan, foreign) {
            Some(sql) => body.push(sql),
            None => made.left.push(format!(
                "the foreign key to {}, which is not moved",
                foreign.parent
            )),
        }
    }
    made.create = format!(
        "CREATE TABLE {} (\n  {}\n)",
        quote(&table.target),
        body.join(",\n  ")
    );
    for index in &outline.indexes {
        match self::index(table, index) {
            Some((name, sql)) => made.after.push(ddl("index", name, sql)),
            None => made.left.push(format!("index: {}", index.written)),
        }
    }
    made
}

/// The key, where it is one whole number: SQLite's own row number then.
fn numbered(table: &Table) -> Option<&Column> {
    let [place] = table.key()?.columns.as_slice() else {
        return None;
    };
    let column = table.columns.get(usize::from(*place))?;
    matches!(column.declared.as_str(), "smallint" | "integer" | "bigint").then_some(column)
}

fn column(
    column: &Column,
    part: Option<&Part>,
    alias: bool,
    key: &[&str],
    left: &mut Vec<String>,
) -> String {
    let mut sql = format!("{} {}", quote(&column.name), column.becomes);
    if alias {
        // Nobody gets a number that was given out before, as from a sequence.
        let counted = part.is_some_and(|part| part.counter.is_some());
        sql.push_str(if counted {
            " PRIMARY KEY AUTOINCREMENT"
        } else {
            " PRIMARY KEY"
        });
        return sql;
    }
    let Some(part) = part else {
        return sql;
    };
    if part.not_null || key.contains(&column.name.as_str()) {
        sql.push_str(" NOT NULL");
    }
    if part.counter.is_some() {
        left.push(format!("the numbering of {}", column.name));
    } else if let Some(preset) = &part.preset {
        match default(&column.becomes, &column.declared, preset) {
            Some(default) => sql.push_str(&format!(" DEFAULT {default}")),
            None => left.push(format!("the default of {}: {}", column.name, told(preset))),
        }
    }
    sql
}

fn default(becomes: &str, declared: &str, preset: &Preset) -> Option<String> {
    Some(match (becomes, preset) {
        (_, Preset::Value(Value::Null)) => "NULL".to_owned(),
        ("INTEGER", Preset::Value(Value::Integer(i))) => i.to_string(),
        ("INTEGER", Preset::Value(Value::Text(text))) => {
            let whole: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            whole.to_string()
        }
        ("REAL", Preset::Value(Value::Text(text))) => {
            let real: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            real.is_finite().then(|| format!("{real:?}"))?
        }
        ("BLOB", Preset::Value(Value::Text(text))) => {
            let hex = std::str::from_utf8(text).ok()?.strip_prefix("\\x")?;
            format!("x'{hex}'")
        }
        ("TEXT", Preset::Value(Value::Text(text))) => {
            format!("'{}'", std::str::from_utf8(text).ok()?.replace('\'', "''"))
        }
        ("TEXT", Preset::Now(Moment::Date)) if declared == "date" => "CURRENT_DATE".to_owned(),
        // As PostgreSQL writes it in UTC.
        ("TEXT", Preset::Now(Moment::Both)) if declared == "timestamp with time zone" => {
            "(strftime('%Y-%m-%d %H:%M:%f+00', 'now'))".to_owned()
        }
        _ => return None,
    })
}

fn told(preset: &Preset) -> String {
    match preset {
        Preset::Value(value) => value.to_string(),
        Preset::Now(_) => "the time of the INSERT".to_owned(),
        Preset::Own(sql) => sql.clone(),
    }
}

/// Names of indexes are the whole database's in SQLite, as they are a schema's in PostgreSQL.
fn index(table: &Table, index: &Index) -> Option<(String, String)> {
    let parts = index.parts.as_ref()?;
    if index.condition.is_some() {
        return None;
    }
    let known = |name: &str| table.columns.iter().any(|column| column.name == name);
    let mut terms = Vec::with_capacity(parts.len());
    for part in parts {
        if !known(&part.column) || part.folds.is_some() {
            return None;
        }
        let down = if part.desc { " DESC" } else { "" };
        terms.push(format!("{}{down}", quote(&part.column)));
    }
    let name = index.name.clone()?;
    let sql = format!(
        "CREATE {}INDEX {} ON {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote(&name),
        quote(&table.target),
        terms.join(", ")
    );
    Some((name, sql))
}

fn foreign(plan: &Plan, foreign: &Foreign) -> Option<String> {
    let parent = parent(plan, &foreign.parent)?;
    let of = |names: &[String]| {
        let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
        quoted.join(", ")
    };
    Some(format!(
        "FOREIGN KEY ({}) REFERENCES {} ({}){}",
        of(&foreign.columns),
        quote(&parent.target),
        of(&foreign.refers),
        foreign.actions()
    ))
}

fn list(columns: &[&str]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    quoted.join(", ")
}

/// Raises a table's AUTOINCREMENT counter to at least `value`: an id that was given once is never given again, even when its
/// row is gone. The value stands at the end, where it is read again.
pub fn counter(table: &str, value: i64) -> String {
    let name = format!("'{}'", table.replace('\'', "''"));
    format!(
        "INSERT INTO sqlite_sequence(name, seq) SELECT {name}, 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = {name}); \
         UPDATE sqlite_sequence SET seq = {value} WHERE name = {name} AND seq < {value}"
    )
}
