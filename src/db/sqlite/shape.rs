//! The fingerprint of a table's definition: what a row is, and what names and evicts rows.
//!
//! Plain indexes, CHECKs, foreign keys and the application's triggers may change while a table is copied; columns, the key and
//! unique indexes may not. Row ids, pages and `schema_version` are no part of it, so VACUUM changes nothing.

use super::catalog::{ColumnKind, IndexedOn, Table};
use std::fmt::Write as _;

/// Of a table as the catalog has it.
pub(super) fn fingerprint(table: &Table) -> String {
    let mut text = format!(
        "{} {} {}\n",
        table.without_rowid, table.strict, table.autoincrement
    );
    // Writing to a String can't fail.
    for column in &table.columns {
        let kind = match &column.kind {
            ColumnKind::Ordinary => "ordinary".to_owned(),
            ColumnKind::Hidden => "hidden".to_owned(),
            ColumnKind::Virtual(expr) => format!("virtual {:?}", expr.as_ref().map(|e| &e.sql)),
            ColumnKind::Stored(expr) => format!("stored {:?}", expr.as_ref().map(|e| &e.sql)),
        };
        let _ = writeln!(
            text,
            "column {:?} {:?} {} {:?} {:?} {:?} {kind}",
            column.name,
            column.declared,
            column.not_null,
            column.default,
            column.primary_key,
            column.collation
        );
    }
    let mut unique: Vec<String> = table
        .indexes
        .iter()
        .filter(|index| index.unique)
        .map(|index| {
            let mut line = String::from("unique");
            for part in &index.parts {
                let on = match &part.on {
                    IndexedOn::Column(name) => format!("{name:?}"),
                    IndexedOn::Expr(expr) => format!("expr {:?}", expr.as_ref().map(|e| &e.sql)),
                };
                let _ = write!(line, " {on} {} {}", part.collation, part.desc);
            }
            let _ = write!(
                line,
                " where {:?}",
                index.condition.as_ref().map(|e| &e.sql)
            );
            line
        })
        .collect();
    unique.sort();
    text.push_str(&unique.join("\n"));
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}
