//! Rows into a table and out of it, many in one statement: an array for each column.

use super::array::Array;
use super::cell::{self, Binary, Form};
use super::connect::Session;
use super::sql::{Column, TableSql};
use super::transact::Broke;
use crate::domain::bulk::Bulk;
use crate::domain::key::Key;
use crate::domain::packed::Packed;
use crate::domain::value::{Row, Value};
use futures_util::StreamExt as _;
use sqlx::Executor as _;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Bytes of COPY's text that are sent in one piece.
const PIECE: usize = 1 << 16;
/// Keys in one statement.
const KEYS: usize = 2_000;

/// `unnest($1::text[], $2::integer[]) AS s(c0, c1)`; with the rows' numbers, from 1, as `n` where they are asked for.
fn unnest(arrays: &[Array], numbered: bool) -> String {
    let declared = |(at, array): (usize, &Array)| format!("${}::{}", at + 1, array.declared());
    let given: Vec<_> = arrays.iter().enumerate().map(declared).collect();
    let mut names: Vec<_> = (0..arrays.len()).map(|at| format!("c{at}")).collect();
    let ordinality = if numbered { " WITH ORDINALITY" } else { "" };
    names.extend(numbered.then(|| "n".to_owned()));
    format!(
        "unnest({}){ordinality} AS s({})",
        given.join(", "),
        names.join(", ")
    )
}

/// `t."id" = s.c0::integer AND …` for the key in the arrays from `first` on.
fn same_key(sql: &TableSql, first: usize) -> String {
    let terms: Vec<_> = sql
        .key_columns()
        .enumerate()
        .map(|(i, column)| format!("t.{} = s.c{}::{}", column.name, first + i, column.cast))
        .collect();
    terms.join(" AND ")
}

fn key_arrays<'a>(sql: &TableSql, keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Array> {
    let columns = sql.key_columns().enumerate();
    columns
        .map(|(part, column)| {
            let cells = keys.clone().map(move |key| key.parts().get(part));
            Array::of(&column.cast, cells)
        })
        .collect()
}

/// Runs a statement with its arrays; how many rows it touched.
async fn run(session: &mut Session, sql: &str, arrays: Vec<Array>) -> Result<u64, Broke> {
    let mut query = sqlx::query(sql);
    for array in arrays {
        query = query.bind(array);
    }
    Ok(query.execute(session.conn()?).await?.rows_affected())
}

/// The same of one that gives the numbers of the rows that it touched.
async fn numbers(session: &mut Session, sql: &str, arrays: Vec<Array>) -> Result<Vec<i64>, Broke> {
    let mut query = sqlx::query_scalar(sql);
    for array in arrays {
        query = query.bind(array);
    }
    Ok(query.fetch_all(session.conn()?).await?)
}

/// Puts rows into a table with the columns of `sql` by COPY: quick, and refused as a whole where one of them is there.
pub(super) async fn copy_in(
    session: &mut Session,
    table: &str,
    sql: &TableSql,
    rows: &Bulk,
) -> Result<(), Broke> {
    let binaries = match rows {
        Bulk::Packed(rows) => binaries(sql, rows),
        Bulk::Lines(_) | Bulk::Sealed(_) => None,
    };
    let binary = rows.is_sealed() || binaries.is_some();
    let mut copy = session
        .conn()?
        .copy_in_raw(&format!(
            "COPY {table} ({}) FROM STDIN{}",
            sql.column_list(),
            if binary { " (FORMAT binary)" } else { "" }
        ))
        .await?;
    if binary {
        copy.send(cell::BINARY_HEAD).await?;
    }
    match rows {
        // As the source wrote them.
        Bulk::Lines(lines) => {
            for piece in lines.as_bytes().chunks(PIECE) {
                copy.send(piece).await?;
            }
        }
        Bulk::Sealed(rows) => {
            for piece in rows.as_bytes().chunks(PIECE) {
                copy.send(piece).await?;
            }
        }
        Bulk::Packed(rows) => {
            let (mut piece, mut scratch) = (Vec::with_capacity(PIECE + 4096), Vec::new());
            for at in 0..rows.len() {
                match &binaries {
                    Some(binaries) => cell::copy_row(rows.cells(at), binaries, &mut piece),
                    None => cell::copy_line(rows.cells(at), &mut piece, &mut scratch),
                }
                if piece.len() >= PIECE || at + 1 == rows.len() {
                    copy.send(piece.as_slice()).await?;
                    piece.clear();
                }
            }
        }
    }
    if binary {
        copy.send(cell::BINARY_END).await?;
    }
    copy.finish().await?;
    Ok(())
}

/// How these rows are written in binary; none where one of their cells can't be.
fn binaries(sql: &TableSql, rows: &Packed) -> Option<Vec<Binary>> {
    let binaries = sql.columns.iter().map(|column| Binary::of(&column.cast));
    let binaries: Vec<Binary> = binaries.collect::<Option<_>>()?;
    if sql.seen_to_fit() {
        return Some(binaries);
    }
    let taken = |at| {
        let mut cells = rows.cells(at).zip(&binaries);
        cells.all(|(cell, form)| form.takes(cell))
    };
    (0..rows.len()).all(taken).then_some(binaries)
}

/// Puts rows there, or makes those with their keys the same. Never evicts another row.
pub(super) async fn upsert<'a>(
    session: &mut Session,
    sql: &TableSql,
    rows: impl Iterator<Item = &'a Row> + Clone,
) -> Result<u64, Broke> {
    let casts: Vec<_> = sql
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| format!("s.c{i}::{}", column.cast))
        .collect();
    let set: Vec<_> = sql
        .settable()
        .map(|(_, column)| format!("{0} = excluded.{0}", column.name))
        .collect();
    let put = if set.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", set.join(", "))
    };
    let arrays: Vec<Array> = sql
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.clone().map(move |row| row.get(at));
            Array::of(&column.cast, cells)
        })
        .collect();
    let statement = format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT ({}) DO {put}",
        sql.from,
        sql.column_list(),
        casts.join(", "),
        unnest(&arrays, false),
        sql.key_list(),
    );
    run(session, &statement, arrays).await
}

/// Sets the cells of some columns in rows that are there; gives the places of keys that no row has, from 0.
///
/// That a row is not there is rare once a table is copied, and to be told of each that it was found costs both ends more than it
/// seems. So they are told only where the last statement of the table did not find all of them; where this one does not, they
/// are looked for.
pub(super) async fn update<'a>(
    session: &mut Session,
    sql: &TableSql,
    columns: &[(usize, &Column)],
    keys: &[&Key],
    cells: impl Fn(usize, usize) -> Option<&'a Value>,
) -> Result<Vec<usize>, Broke> {
    let set: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(i, (_, column))| format!("{} = s.c{i}::{}", column.name, column.cast))
        .collect();
    let arrays = || {
        let mut arrays: Vec<Array> = columns
            .iter()
            .map(|(at, column)| {
                let cells = (0..keys.len()).map(|row| cells(row, *at));
                Array::of(&column.cast, cells)
            })
            .collect();
        arrays.extend(key_arrays(sql, keys.iter().copied()));
        arrays
    };
    let same = same_key(sql, columns.len());
    let mut given = arrays();
    let mut look = set.is_empty();
    if !look && !sql.lacks_rows.load(Ordering::Relaxed) {
        let statement = format!(
            "UPDATE {} AS t SET {} FROM {} WHERE {same}",
            sql.from,
            set.join(", "),
            unnest(&given, false)
        );
        if run(session, &statement, given).await? == keys.len() as u64 {
            return Ok(Vec::new());
        }
        given = arrays();
        look = true;
    }
    let from = unnest(&given, true);
    let statement = if look {
        format!("SELECT s.n FROM {} AS t JOIN {from} ON {same}", sql.from)
    } else {
        format!(
            "UPDATE {} AS t SET {} FROM {from} WHERE {same} RETURNING s.n",
            sql.from,
            set.join(", ")
        )
    };
    let mut missed = vec![true; keys.len()];
    for n in numbers(session, &statement, given).await? {
        let there = usize::try_from(n - 1).ok();
        if let Some(missed) = there.and_then(|at| missed.get_mut(at)) {
            *missed = false;
        }
    }
    let missed: Vec<usize> = (0..keys.len()).filter(|at| missed[*at]).collect();
    sql.lacks_rows.store(!missed.is_empty(), Ordering::Relaxed);
    Ok(missed)
}

/// Removes the rows of these keys; how many there were.
pub(super) async fn delete(
    session: &mut Session,
    sql: &TableSql,
    keys: &[&Key],
) -> Result<u64, Broke> {
    if keys.is_empty() {
        return Ok(0);
    }
    let arrays = key_arrays(sql, keys.iter().copied());
    let statement = format!(
        "DELETE FROM {} AS t USING {} WHERE {}",
        sql.from,
        unnest(&arrays, false),
        same_key(sql, 0)
    );
    run(session, &statement, arrays).await
}

/// The rows of these keys that are there.
pub(super) async fn read(
    session: &mut Session,
    sql: &TableSql,
    keys: &[Key],
) -> Result<HashMap<Key, Row>, Broke> {
    let forms: Vec<Form> = sql.forms();
    let mut packed = Packed::default();
    let mut scratch = Vec::new();
    for keys in keys.chunks(KEYS) {
        let mut lines = session.conn()?.copy_out_raw(&sql.copy_keys(keys)).await?;
        let mut line: Vec<u8> = Vec::new();
        let mut broke = None;
        while let Some(piece) = lines.next().await {
            match piece {
                Ok(piece) => line.extend_from_slice(&piece),
                Err(error) => {
                    broke = Some(error);
                    break;
                }
            }
            if line.ends_with(b"\n") {
                cell::pack(&mut packed, &line, &forms, &mut scratch);
                line.clear();
            }
        }
        if let Some(error) = broke {
            return Err(error.into());
        }
    }
    let table = sql.table();
    Ok(packed.iter().map(|row| (table.key_of(&row), row)).collect())
}

/// Runs a statement that gives nothing back.
pub(super) async fn execute(session: &mut Session, sql: &str) -> Result<u64, Broke> {
    let done = session.conn()?.execute(sqlx::raw_sql(sql)).await?;
    Ok(done.rows_affected())
}
