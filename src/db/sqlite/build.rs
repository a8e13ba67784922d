//! Making the plan's schema on the target, statement by statement; done again, each says that it is there.
//!
//! Statements come from the source's stored text. Where the plan gives a table another name on the target, the name is
//! replaced in `CREATE TABLE` and after an index's `ON`, as a token, nowhere else.

use super::ddl::{Token, TokenKind, quote_name, tokens};
use super::place::{OrFault, Place};
pub(super) use crate::db::across::counter as sequence_sql;
use crate::db::{Ddl, across};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Plan;
use rusqlite::{Connection, OptionalExtension, params};

/// The kinds of [`Ddl`] that are no objects of the schema.
pub(super) const PRAGMA: &str = "pragma";
/// An AUTOINCREMENT counter: `sql` raises it, and never lowers it.
pub(super) const SEQUENCE: &str = "sequence";

/// Builds inside the caller's transaction.
pub(super) fn build(conn: &Connection, place: &Place, plan: &Plan, ddl: &Ddl) -> Result<()> {
    let doing = format!("make {} {}", ddl.kind, ddl.name);
    match ddl.kind.as_str() {
        PRAGMA | SEQUENCE => conn
            .execute_batch(&renamed_sequence(plan, ddl))
            .or_fault(place, &doing),
        _ => statements(&ddl.sql)
            .into_iter()
            .try_for_each(|sql| object(conn, place, plan, ddl, sql, &doing)),
    }
}

fn object(
    conn: &Connection,
    place: &Place,
    plan: &Plan,
    ddl: &Ddl,
    sql: &str,
    doing: &str,
) -> Result<()> {
    let sql = renamed(plan, sql);
    let Some((kind, name)) = what_it_makes(&sql) else {
        return Err(
            Fault::new(Kind::Own, format!("can't tell what \"{}\" makes", ddl.name))
                .code("DDL-UNREADABLE"),
        );
    };
    let there: Option<String> = conn
        .query_row(
            "SELECT coalesce(sql, '') FROM main.sqlite_schema WHERE type = ?1 AND name = ?2 COLLATE NOCASE",
            params![kind, name],
            |row| row.get(0),
        )
        .optional()
        .or_fault(place, doing)?;
    match there {
        None => conn.execute_batch(&sql).or_fault(place, doing),
        Some(there) if same(&there, &sql) => Ok(()),
        Some(there) => Err(Fault::new(
            Kind::Blocked,
            format!("{kind} {name} is there already and is another: {place}"),
        )
        .code("SCHEMA-DIFFERS")
        .cause(format!("there: {there} | wanted: {sql}"))
        .hint("drop it or change it to the wanted form, then go on")),
    }
}

/// Whether two statements are the same but for white space, comments, and the case of bare words.
pub(super) fn same(a: &str, b: &str) -> bool {
    let form = |sql: &str| {
        tokens(sql).map(|tokens| {
            tokens
                .iter()
                .filter(|token| token.kind != TokenKind::Punct(b';'))
                .map(|token| match token.kind {
                    TokenKind::Text | TokenKind::Literal => sql[token.span.clone()].to_owned(),
                    _ => token.name(sql).map_or_else(
                        || sql[token.span.clone()].to_owned(),
                        |name| name.to_ascii_lowercase(),
                    ),
                })
                .collect::<Vec<_>>()
        })
    };
    matches!((form(a), form(b)), (Some(a), Some(b)) if a == b)
}

/// Cuts text into its statements. Triggers hold semicolons, so only text that begins otherwise is cut.
fn statements(sql: &str) -> Vec<&str> {
    let all = tokens(sql).unwrap_or_default();
    let trigger = all
        .iter()
        .take(4)
        .any(|token| is_word(token, sql, "trigger"));
    if trigger {
        return vec![sql];
    }
    let mut out = Vec::new();
    let mut from = 0;
    for token in all
        .iter()
        .filter(|token| token.kind == TokenKind::Punct(b';'))
    {
        out.push(sql[from..token.span.start].trim());
        from = token.span.end;
    }
    out.push(sql[from..].trim());
    out.retain(|sql| !sql.is_empty());
    out
}

fn is_word(token: &Token, sql: &str, word: &str) -> bool {
    token.kind == TokenKind::Word && sql[token.span.clone()].eq_ignore_ascii_case(word)
}

const KINDS: [&str; 4] = ["table", "index", "view", "trigger"];

/// The place of the created object's name among the tokens, with its kind. The stored text has no schema name.
fn name_at(sql: &str, tokens: &[Token]) -> Option<(&'static str, usize)> {
    let at = tokens
        .iter()
        .take(4)
        .position(|token| KINDS.iter().any(|kind| is_word(token, sql, kind)))?;
    let kind = KINDS
        .into_iter()
        .find(|kind| is_word(&tokens[at], sql, kind))?;
    let mut name = at + 1;
    if tokens
        .get(name)
        .is_some_and(|token| is_word(token, sql, "if"))
    {
        name += 3;
    }
    Some((kind, name))
}

/// What a CREATE statement makes: kind and name.
fn what_it_makes(sql: &str) -> Option<(&'static str, String)> {
    let tokens = tokens(sql)?;
    let (kind, name) = name_at(sql, &tokens)?;
    Some((kind, tokens.get(name)?.name(sql)?))
}

/// The statement with the target's name for the table that it makes or indexes.
fn renamed(plan: &Plan, sql: &str) -> String {
    let Some(all) = tokens(sql).filter(|_| across::kinds(plan).is_none()) else {
        return sql.to_owned();
    };
    let token = match name_at(sql, &all) {
        Some(("table", name)) => all.get(name),
        Some(("index", name)) => all.get(name + 2),
        _ => None,
    };
    let found = token.and_then(|token| {
        let name = token.name(sql)?;
        let table = plan
            .tables
            .iter()
            .find(|table| table.source.eq_ignore_ascii_case(&name))?;
        (table.source != table.target).then_some((token, table))
    });
    match found {
        Some((token, table)) => {
            let (before, after) = (&sql[..token.span.start], &sql[token.span.end..]);
            format!("{before}{}{after}", quote_name(&table.target))
        }
        None => sql.to_owned(),
    }
}

fn renamed_sequence(plan: &Plan, ddl: &Ddl) -> String {
    let renamed = plan
        .tables
        .iter()
        .find(|table| table.source == ddl.name && table.source != table.target);
    match (ddl.kind.as_str(), renamed) {
        (SEQUENCE, Some(table)) => {
            let value = ddl.sql.rsplit("AND seq < ").next().unwrap_or("0");
            sequence_sql(&table.target, value.trim().parse().unwrap_or(0))
        }
        _ => ddl.sql.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_statement_in_another_hand_is_the_same() {
        assert!(same(
            "CREATE TABLE t (a int, \"b\" TEXT) -- x",
            "create table \"T\"(a INT,b text);"
        ));
        assert!(!same(
            "CREATE TABLE t(a DEFAULT 'X')",
            "CREATE TABLE t(a DEFAULT 'x')"
        ));
        assert!(!same("CREATE TABLE t(a)", "CREATE TABLE t(a, b)"));
    }

    #[test]
    fn a_trigger_is_one_statement() {
        let sql = "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END";
        assert_eq!(statements(sql), [sql]);
        assert_eq!(
            statements("CREATE TABLE t(a DEFAULT ';');\nCREATE UNIQUE INDEX i ON t(a)").len(),
            2
        );
    }

    #[test]
    fn what_a_statement_makes_is_read_from_its_tokens() {
        let made = |sql| what_it_makes(sql).unwrap();
        assert_eq!(
            made("CREATE TABLE \"index\"(a)"),
            ("table", "index".to_owned())
        );
        assert_eq!(
            made("CREATE UNIQUE INDEX IF NOT EXISTS [i x] ON t(a)"),
            ("index", "i x".to_owned())
        );
        assert_eq!(
            made("CREATE TEMP VIEW v AS SELECT 1"),
            ("view", "v".to_owned())
        );
    }
}
