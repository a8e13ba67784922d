//! Choosing rows and values, and damaging them.

use rusqlite::{Transaction, params_from_iter, types::Value};

use super::Deed;
use crate::demo::{
    error::{DemoError, Result},
    shape::{Table, comma, quoted},
};

/// Words in a column's name that make a difference hurt; such columns are damaged first.
const MONEY: [&str; 4] = ["price", "amount", "total", "cents"];
const TRIES: usize = 30;

/// One table under the outsider's hand: which rows it has touched, which columns it may.
pub(super) struct Hand<'t> {
    tx: &'t Transaction<'t>,
    table: &'t Table,
    /// What tells rows apart: the key, or the rowid.
    key: Vec<String>,
    /// Columns whose values may be damaged: no key, not unique, no reference, not generated.
    open: Vec<String>,
    /// Columns under a unique index, in or outside the key.
    unique: Vec<String>,
    touched: Vec<Vec<Value>>,
    rng: fastrand::Rng,
    added: i64,
}

impl<'t> Hand<'t> {
    pub(super) fn new(tx: &'t Transaction<'t>, table: &'t Table, seed: u64) -> Result<Self> {
        let key: Vec<String> = match table.key() {
            columns if columns.is_empty() => vec!["rowid".to_owned()],
            columns => columns.iter().map(|c| c.name.clone()).collect(),
        };
        let names = |sql: &str| -> Result<Vec<String>> {
            let mut list = tx.prepare(sql)?;
            let names = list
                .query_map([&table.name], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(names)
        };
        let unique = names(
            "SELECT DISTINCT i.name FROM pragma_index_list(?1) l, pragma_index_info(l.name) i WHERE l.\"unique\" AND i.name IS NOT NULL",
        )?;
        let references = names("SELECT \"from\" FROM pragma_foreign_key_list(?1)")?;
        let mut open: Vec<String> = table
            .columns
            .iter()
            .filter(|c| {
                c.key == 0
                    && !c.generated
                    && !unique.contains(&c.name)
                    && !references.contains(&c.name)
            })
            .map(|c| c.name.clone())
            .collect();
        open.sort_by_key(|name| !MONEY.iter().any(|word| name.contains(word)));
        Ok(Self {
            tx,
            table,
            key,
            open,
            unique,
            touched: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            added: 0,
        })
    }

    /// A row nobody has touched yet.
    fn pick(&mut self) -> Result<Vec<Value>> {
        let table = quoted(&self.table.name);
        let key = comma(self.key.iter().map(|k| quoted(k)));
        let rows: u64 = self
            .tx
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })?;
        for _ in 0..TRIES {
            if rows == 0 {
                break;
            }
            let sql = format!(
                "SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {}",
                self.rng.u64(..rows)
            );
            let found = self.row(&sql, &[])?.unwrap_or_default();
            if !found.is_empty() && !self.touched.contains(&found) {
                return Ok(found);
            }
        }
        Err(DemoError::new(format!(
            "{} has too few rows to damage so many",
            self.table.name
        )))
    }

    pub(super) fn delete(&mut self) -> Result<Deed> {
        let key = self.pick()?;
        self.run(
            &format!(
                "DELETE FROM {} WHERE {}",
                quoted(&self.table.name),
                self.is_key(1)
            ),
            &key,
        )?;
        self.touched.push(key.clone());
        Ok(Deed::Deleted { key })
    }

    pub(super) fn change(&mut self) -> Result<Deed> {
        for _ in 0..TRIES {
            let key = self.pick()?;
            let mut columns = self.open.clone();
            self.rng.shuffle(&mut columns);
            for column in columns {
                let before = self.value(&column, &key)?;
                // NULL to something shows less than a wrong value does, and most rows have one.
                if before == Value::Null {
                    continue;
                }
                // A CHECK may refuse; then another column is tried.
                if self.set(&column, &key, other(&before)).is_ok() {
                    let after = self.value(&column, &key)?;
                    if after != before {
                        self.touched.push(key.clone());
                        return Ok(Deed::Changed {
                            key,
                            column,
                            before,
                            after,
                        });
                    }
                }
            }
        }
        Err(DemoError::new(format!(
            "{} has no value that can be changed",
            self.table.name
        )))
    }

    pub(super) fn swap(&mut self) -> Result<Deed> {
        for strict in [true, false] {
            for column in self.open.clone() {
                for _ in 0..TRIES / 5 {
                    let one = self.pick()?;
                    let Some(two) = self.partner(&column, &one, strict)? else {
                        continue;
                    };
                    let values = [self.value(&column, &one)?, self.value(&column, &two)?];
                    self.set(&column, &one, values[1].clone())?;
                    self.set(&column, &two, values[0].clone())?;
                    self.touched.extend([one.clone(), two.clone()]);
                    return Ok(Deed::Swapped {
                        keys: [one, two],
                        column,
                        values,
                    });
                }
            }
        }
        Err(DemoError::new(format!(
            "{} has no two values of equal length to swap",
            self.table.name
        )))
    }

    /// Another row with another value of the same class and length; with `strict`, what follows is of the same length too.
    fn partner(&mut self, column: &str, one: &[Value], strict: bool) -> Result<Option<Vec<Value>>> {
        let base: Vec<&String> = self
            .table
            .columns
            .iter()
            .filter(|c| !c.generated)
            .map(|c| &c.name)
            .collect();
        let at = base.iter().position(|c| *c == column).unwrap_or(0);
        let length = |c: &str| format!("length(CAST({} AS BLOB))", quoted(c));
        let same: Vec<String> = base
            .iter()
            .skip(at)
            .take(if strict { usize::MAX } else { 1 })
            .map(|c| length(c))
            .collect();
        let table = quoted(&self.table.name);
        let measure = format!(
            "SELECT {c}, typeof({c}), {} FROM {table} WHERE {}",
            comma(same.clone()),
            self.is_key(1),
            c = quoted(column)
        );
        let Some(mut binds) = self.row(&measure, one)? else {
            return Ok(None);
        };
        if binds[0] == Value::Null {
            return Ok(None);
        }
        let mut sql = format!(
            "SELECT {} FROM {table} WHERE {c} IS NOT ?1 AND typeof({c}) = ?2",
            comma(self.key.iter().map(|k| quoted(k))),
            c = quoted(column)
        );
        for (i, length) in same.iter().enumerate() {
            sql += &format!(" AND {length} IS ?{}", i + 3);
        }
        for touched in self.touched.iter().map(Vec::as_slice).chain([one]) {
            sql += &format!(" AND NOT ({})", self.is_key(binds.len() + 1));
            binds.extend_from_slice(touched);
        }
        self.row(&(sql + " LIMIT 1"), &binds)
    }

    /// A copy of a row under another key; whatever must be unique is made so.
    pub(super) fn add(&mut self) -> Result<Deed> {
        let model = self.pick()?;
        self.added += 1;
        let base: Vec<&String> = self
            .table
            .columns
            .iter()
            .filter(|c| !c.generated)
            .map(|c| &c.name)
            .collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            comma(base.iter().map(|c| quoted(c))),
            quoted(&self.table.name),
            self.is_key(1)
        );
        let mut row = self
            .row(&sql, &model)?
            .ok_or_else(|| DemoError::new("a row vanished while it was copied"))?;
        for (name, value) in base.iter().zip(&mut row) {
            if self.key.contains(name) || self.unique.contains(name) {
                // Below zero: no automatic number ever gets there, so the application never meets this row by accident.
                *value = match &*value {
                    Value::Integer(i) => Value::Integer(-i.abs() - self.added),
                    Value::Text(t) => Value::Text(format!("{t}~{}", self.added)),
                    other => other.clone(),
                };
            }
        }
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(&self.table.name),
            comma(base.iter().map(|c| quoted(c))),
            comma((1..=row.len()).map(|i| format!("?{i}")))
        );
        self.run(&sql, &row)?;
        let key = match self
            .key
            .iter()
            .map(|k| base.iter().position(|c| *c == k).map(|i| row[i].clone()))
            .collect()
        {
            Some(key) => key,
            None => vec![Value::Integer(self.tx.last_insert_rowid())],
        };
        self.touched.push(key.clone());
        Ok(Deed::Added { key })
    }

    fn is_key(&self, first: usize) -> String {
        let parts: Vec<String> = self
            .key
            .iter()
            .enumerate()
            .map(|(i, k)| format!("{} IS ?{}", quoted(k), first + i))
            .collect();
        parts.join(" AND ")
    }

    fn row(&self, sql: &str, binds: &[Value]) -> Result<Option<Vec<Value>>> {
        let mut statement = self.tx.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(binds))?;
        let row = rows
            .next()?
            .map(|row| {
                (0..columns)
                    .map(|i| row.get(i))
                    .collect::<rusqlite::Result<_>>()
            })
            .transpose()?;
        Ok(row)
    }

    fn value(&self, column: &str, key: &[Value]) -> Result<Value> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            quoted(column),
            quoted(&self.table.name),
            self.is_key(1)
        );
        let row = self.row(&sql, key)?.unwrap_or_default();
        row.into_iter()
            .next()
            .ok_or_else(|| DemoError::new("a row vanished while it was damaged"))
    }

    fn set(&self, column: &str, key: &[Value], value: Value) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET {} = ?1 WHERE {}",
            quoted(&self.table.name),
            quoted(column),
            self.is_key(2)
        );
        self.run(&sql, &[&[value], key].concat())
    }

    fn run(&self, sql: &str, binds: &[Value]) -> Result<()> {
        match self.tx.execute(sql, params_from_iter(binds))? {
            1 => Ok(()),
            rows => Err(DemoError::new(format!(
                "{rows} rows were hit where one was meant"
            ))),
        }
    }
}

/// A value close to this one, of the same class where possible.
fn other(value: &Value) -> Value {
    match value {
        Value::Null => Value::Text(String::new()),
        Value::Integer(0) => Value::Integer(1),
        Value::Integer(1) => Value::Integer(0),
        Value::Integer(i) => Value::Integer(if *i > 0 { i - 1 } else { i + 1 }),
        Value::Real(r) => Value::Real(r * 1.01 + 0.01),
        Value::Text(t) => match t.char_indices().next_back() {
            None => Value::Text(" ".to_owned()),
            Some((at, last)) => Value::Text(format!(
                "{}{}",
                &t[..at],
                if last == 'e' { 'a' } else { 'e' }
            )),
        },
        Value::Blob(b) => Value::Blob(match b.split_first() {
            None => vec![0],
            Some((first, rest)) => [&[first ^ 1], rest].concat(),
        }),
    }
}
