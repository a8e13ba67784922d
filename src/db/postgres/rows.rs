//! Rows into a table and out of it, many in one statement: arrays of text, cast where they land.

use super::cell::{self, Binary, Form};
use super::connect::Session;
use super::sql::{Column, TableSql};
use super::texts::Texts;
use super::transact::Broke;
use crate::domain::bulk::Bulk;
use crate::domain::key::Key;
use crate::domain::packed::Packed;
use crate::domain::value::{Row, Value};
use futures_util::StreamExt as _;
use sqlx::Executor as _;
use std::collections::HashMap;

/// Bytes of COPY's text that are sent in one piece.
const PIECE: usize = 1 << 16;
/// Keys in one statement.
const KEYS: usize = 2_000;

/// `unnest($1::text[], $2::text[]) WITH ORDINALITY AS s(c0, c1, n)`.
fn unnest(width: usize) -> String {
    let arrays: Vec<_> = (1..=width).map(|n| format!("${n}::text[]")).collect();
    let names: Vec<_> = (0..width).map(|n| format!("c{n}")).collect();
    format!(
        "unnest({}) WITH ORDINALITY AS s({}, n)",
        arrays.join(", "),
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

fn key_texts<'a>(sql: &TableSql, keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Texts> {
    (0..sql.key.len())
        .map(|part| Texts::of(keys.clone().map(|key| key.parts().get(part))))
        .collect()
}

/// The bound arrays of a statement, run; gives the numbers of the rows that it touched, from 1.
async fn run(session: &mut Session, sql: &str, arrays: Vec<Texts>) -> Result<Vec<i64>, Broke> {
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
    let statement = format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT ({}) DO {put} RETURNING 1::bigint",
        sql.from,
        sql.column_list(),
        casts.join(", "),
        unnest(sql.columns.len()),
        sql.key_list(),
    );
    let arrays = (0..sql.columns.len())
        .map(|at| Texts::of(rows.clone().map(|row| row.get(at))))
        .collect();
    Ok(run(session, &statement, arrays).await?.len() as u64)
}

/// Sets the cells of some columns in rows that are there; says which of them, by their place from 0.
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
    let from = unnest(columns.len() + sql.key.len());
    let same = same_key(sql, columns.len());
    let statement = if set.is_empty() {
        format!("SELECT s.n FROM {} AS t JOIN {from} ON {same}", sql.from)
    } else {
        format!(
            "UPDATE {} AS t SET {} FROM {from} WHERE {same} RETURNING s.n",
            sql.from,
            set.join(", ")
        )
    };
    let mut arrays: Vec<Texts> = columns
        .iter()
        .map(|(at, _)| Texts::of((0..keys.len()).map(|row| cells(row, *at))))
        .collect();
    arrays.extend(key_texts(sql, keys.iter().copied()));
    let touched = run(session, &statement, arrays).await?;
    Ok(touched
        .into_iter()
        .filter_map(|n| usize::try_from(n - 1).ok())
        .collect())
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
    let statement = format!(
        "DELETE FROM {} AS t USING {} WHERE {} RETURNING s.n",
        sql.from,
        unnest(sql.key.len()),
        same_key(sql, 0)
    );
    let arrays = key_texts(sql, keys.iter().copied());
    Ok(run(session, &statement, arrays).await?.len() as u64)
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
