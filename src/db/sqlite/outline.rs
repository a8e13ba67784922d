//! A table of a file as data, for a target of another kind.

use super::catalog::{self, ColumnKind, IndexedOn, Table};
use super::ddl::{Expr, Token, TokenKind, default_expr, quote_name, tokens};
use super::identity::Rowid;
use crate::db::across::{
    Counter, Fold, Foreign, Index, IndexPart, Moment, Outline, Part, Preset, Word, ambiguous,
};
use crate::domain::value::Value;
use rusqlite::{Connection, OptionalExtension};

/// Rows at either end of a table that are looked at where a declared type does not tell what a column holds.
const SAMPLE: u32 = 2_000;

pub(super) fn outline(conn: &Connection, found: &Table) -> rusqlite::Result<Outline> {
    let mut parts = Vec::with_capacity(found.columns.len());
    for column in &found.columns {
        parts.push(part(conn, found, column)?);
    }
    let key: Vec<&str> = found
        .identity
        .key()
        .map(|key| key.columns.iter().map(|column| column.name.as_str()))
        .into_iter()
        .flatten()
        .collect();
    let indexes = found.indexes.iter().map(|index| self::index(found, index));
    let foreign = found.foreign_keys.iter().map(|foreign| Foreign {
        parent: foreign.parent.clone(),
        columns: foreign
            .columns
            .iter()
            .map(|(child, _)| named(found, child))
            .collect(),
        refers: foreign
            .columns
            .iter()
            .filter_map(|(_, parent)| parent.clone())
            .collect(),
        on_update: foreign.on_update.clone(),
        on_delete: foreign.on_delete.clone(),
    });
    let is_key = |index: &Index| {
        let columns = index
            .parts
            .iter()
            .flatten()
            .map(|part| part.column.as_str());
        index.unique && index.condition.is_none() && columns.eq(key.iter().copied())
    };
    Ok(Outline {
        parts,
        indexes: indexes.filter(|index| !is_key(index)).collect(),
        foreign: foreign.collect(),
        beside: checks(&found.sql),
    })
}

fn part(conn: &Connection, found: &Table, column: &catalog::Column) -> rusqlite::Result<Part> {
    let counted = found.rowid == Rowid::IsKey && column.primary_key.is_some();
    let last = if counted && found.autoincrement {
        let sql = "SELECT seq FROM main.sqlite_sequence WHERE name = ?1";
        conn.query_row(sql, [&found.name], |row| row.get(0))
            .optional()?
    } else {
        None
    };
    let copied = column.kind == ColumnKind::Ordinary;
    let seen = if copied && ambiguous(&column.declared) {
        seen(conn, found, &column.name)?
    } else {
        Vec::new()
    };
    Ok(Part {
        name: column.name.clone(),
        not_null: column.not_null,
        preset: column.default.as_deref().map(preset),
        counter: counted.then_some(Counter { last }),
        computed: !copied,
        folds: fold(column.collation.as_deref().unwrap_or_default()),
        collation: None,
        seen,
    })
}

/// The classes of the values at both ends of a table; `bit` is a whole number that is 0 or 1.
fn seen(conn: &Connection, found: &Table, column: &str) -> rusqlite::Result<Vec<String>> {
    let (name, from) = (quote_name(column), quote_name(&found.name));
    let some = |order: &str| format!("SELECT {name} AS v FROM main.{from}{order} LIMIT {SAMPLE}");
    let mut sql = format!("SELECT v FROM ({})", some(""));
    if !found.without_rowid {
        let end = some(" ORDER BY rowid DESC");
        sql.push_str(&format!(" UNION ALL SELECT v FROM ({end})"));
    }
    catalog::rows(
        conn,
        &format!(
            "SELECT DISTINCT CASE WHEN typeof(v) = 'integer' AND v IN (0, 1) THEN 'bit' ELSE typeof(v) END \
             FROM ({sql}) WHERE v IS NOT NULL"
        ),
        [],
        |row| row.get(0),
    )
}

fn fold(collation: &str) -> Option<Fold> {
    match collation.to_ascii_uppercase().as_str() {
        "" | "BINARY" => None,
        "NOCASE" => Some(Fold::Case),
        "RTRIM" => Some(Fold::Spaces),
        _ => Some(Fold::Own),
    }
}

/// A column's name as the table writes it.
fn named(found: &Table, name: &str) -> String {
    let mut columns = found.columns.iter();
    columns
        .find(|column| column.name.eq_ignore_ascii_case(name))
        .map_or_else(|| name.to_owned(), |column| column.name.clone())
}

fn index(found: &Table, index: &catalog::Index) -> Index {
    let parts = index.parts.iter().map(|part| match &part.on {
        IndexedOn::Column(name) => Some(IndexPart {
            column: named(found, name),
            desc: part.desc,
            folds: fold(&part.collation),
        }),
        IndexedOn::Expr(_) => None,
    });
    let condition = match (&index.condition, index.partial) {
        (Some(expr), _) => Some(words(found, expr)),
        (None, true) => Some(vec![Word::Own]),
        (None, false) => None,
    };
    Index {
        name: index.sql.is_some().then(|| index.name.clone()),
        unique: index.unique,
        parts: parts.collect(),
        condition,
        written: index.sql.clone().unwrap_or_else(|| index.name.clone()),
    }
}

/// A partial index's condition, word by word.
fn words(found: &Table, expr: &Expr) -> Vec<Word> {
    let sql = expr.sql.as_str();
    let Some(tokens) = tokens(sql) else {
        return vec![Word::Own];
    };
    let mut words = Vec::with_capacity(tokens.len());
    let mut past = 0;
    for (at, token) in tokens.iter().enumerate() {
        if at < past {
            continue;
        }
        let text = &sql[token.span.clone()];
        words.push(match token.kind {
            TokenKind::Word => word(found, text),
            TokenKind::Quoted => match token.name(sql) {
                Some(name) => column(found, &name),
                None => Word::Own,
            },
            TokenKind::Text | TokenKind::Literal => {
                literal(sql, token).map_or(Word::Own, Word::Value)
            }
            TokenKind::Punct(_) => {
                let next = tokens.get(at + 1).filter(|next| {
                    matches!(next.kind, TokenKind::Punct(_)) && next.span.start == token.span.end
                });
                let two = next.map_or(text, |next| &sql[token.span.start..next.span.end]);
                let (sign, length) = match (text, two) {
                    (_, "<=" | ">=" | "<>") => (two, 2),
                    (_, "==") => ("=", 2),
                    (_, "!=") => ("<>", 2),
                    ("=" | "<" | ">" | "(" | ")", _) => (text, 1),
                    _ => return vec![Word::Own],
                };
                past = at + length;
                Word::Sign(sign.to_owned())
            }
        });
    }
    words
}

fn word(found: &Table, text: &str) -> Word {
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "AND" | "OR" | "NOT" | "IS" | "NULL" => Word::Sign(upper),
        "TRUE" => Word::Value(Value::Integer(1)),
        "FALSE" => Word::Value(Value::Integer(0)),
        _ => column(found, text),
    }
}

fn column(found: &Table, name: &str) -> Word {
    let mut columns = found.columns.iter();
    columns
        .find(|column| column.name.eq_ignore_ascii_case(name))
        .map_or(Word::Own, |column| Word::Column(column.name.clone()))
}

fn literal(sql: &str, token: &Token) -> Option<Value> {
    let text = &sql[token.span.clone()];
    match token.kind {
        TokenKind::Text => Some(Value::text(&token.name(sql)?)),
        TokenKind::Literal => number(text).or_else(|| blob(text)),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = text.parse().ok().map(Value::Integer);
    whole.or_else(|| text.parse().ok().map(Value::Real))
}

fn blob(text: &str) -> Option<Value> {
    let digits = text.get(1..)?.strip_prefix('\'')?.strip_suffix('\'')?;
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    Some(Value::Blob(bytes?.into()))
}

fn preset(default: &str) -> Preset {
    let own = || Preset::Own(default.to_owned());
    let Some(expr) = default_expr(default) else {
        return own();
    };
    let sql = expr.sql.as_str();
    let tokens = tokens(sql).unwrap_or_default();
    let plain: String = sql.to_ascii_lowercase().split_whitespace().collect();
    match plain.as_str() {
        "null" => return Preset::Value(Value::Null),
        "current_timestamp" | "datetime('now')" => return Preset::Now(Moment::Both),
        "current_date" | "date('now')" => return Preset::Now(Moment::Date),
        "current_time" | "time('now')" => return Preset::Now(Moment::Time),
        _ => {}
    }
    let value = match tokens.as_slice() {
        [one] => literal(sql, one),
        [sign, one] if sign.kind == TokenKind::Punct(b'-') && one.kind == TokenKind::Literal => {
            number(&format!("-{}", &sql[one.span.clone()]))
        }
        _ => None,
    };
    value.map_or_else(own, Preset::Value)
}

/// CHECKs are the source's own words: what they call may be another thing elsewhere.
fn checks(sql: &str) -> Vec<String> {
    let tokens = tokens(sql).unwrap_or_default();
    let count = tokens
        .windows(2)
        .filter(|pair| {
            pair[0].kind == TokenKind::Word
                && sql[pair[0].span.clone()].eq_ignore_ascii_case("check")
                && pair[1].kind == TokenKind::Punct(b'(')
        })
        .count();
    match count {
        0 => Vec::new(),
        1 => vec!["a CHECK".to_owned()],
        n => vec![format!("{n} CHECKs")],
    }
}
