//! SQL as tokens: the name of a table replaced where the plan has another, and two texts of one thing recognised as the same.
//!
//! Only text that the server or we have written is read here.

use super::names::{quote, split};
use crate::domain::plan::Plan;

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A bare word or a number.
    Word(&'a str),
    /// A name in double quotes, with them.
    Quoted(&'a str),
    /// A literal, with its quotes.
    Literal(&'a str),
    /// Anything else: one character, or `::`.
    Sign(&'a str),
}

#[derive(Clone, Copy)]
enum Lexeme {
    Word,
    Quoted,
    Literal,
    Sign,
}

impl Token<'_> {
    /// The text as it stands.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Literal(text) | Self::Sign(text) => text,
        }
    }

    /// The name, where it is one.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(text) => Some(text.to_lowercase()),
            Self::Quoted(text) => Some(split(text).1),
            Self::Literal(_) | Self::Sign(_) => None,
        }
    }

    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }
}

/// The tokens of a text, each with the white space before it.
pub(super) fn tokens(sql: &str) -> Vec<(&str, Token<'_>)> {
    let mut out = Vec::new();
    let mut rest = sql;
    loop {
        let trimmed = rest.trim_start();
        let space = &rest[..rest.len() - trimmed.len()];
        let Some(first) = trimmed.chars().next() else {
            return out;
        };
        let (length, kind) = match first {
            '"' => (closed(trimmed, 1, '"', false), Lexeme::Quoted),
            '\'' => (closed(trimmed, 1, '\'', false), Lexeme::Literal),
            'E' | 'e' if trimmed[1..].starts_with('\'') => {
                (closed(trimmed, 2, '\'', true), Lexeme::Literal)
            }
            '$' => match dollar(trimmed) {
                Some(length) => (length, Lexeme::Literal),
                None => (1, Lexeme::Sign),
            },
            c if c.is_alphanumeric() || c == '_' => {
                let end = trimmed.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
                (end.unwrap_or(trimmed.len()), Lexeme::Word)
            }
            _ if trimmed.starts_with("::") => (2, Lexeme::Sign),
            c => (c.len_utf8(), Lexeme::Sign),
        };
        let (token, after) = trimmed.split_at(length);
        let token = match kind {
            Lexeme::Word => Token::Word(token),
            Lexeme::Quoted => Token::Quoted(token),
            Lexeme::Literal => Token::Literal(token),
            Lexeme::Sign => Token::Sign(token),
        };
        out.push((space, token));
        rest = after;
    }
}

/// Where what began with a quote ends; a doubled quote does not end it.
fn closed(text: &str, from: usize, quote: char, escapes: bool) -> usize {
    let mut chars = text
        .char_indices()
        .skip_while(|(at, _)| *at < from)
        .peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// The length of a `$tag$ … $tag$`.
fn dollar(text: &str) -> Option<usize> {
    let end = text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))? + 1;
    let tag = text[end..].starts_with('$').then(|| &text[..=end])?;
    let body = text[tag.len()..].find(tag)?;
    Some(tag.len() * 2 + body)
}

/// What may follow a table in FROM when it has no alias.
const AFTER_TABLE: [&str; 20] = [
    "where",
    "join",
    "left",
    "right",
    "full",
    "inner",
    "cross",
    "natural",
    "on",
    "using",
    "group",
    "order",
    "having",
    "union",
    "intersect",
    "except",
    "limit",
    "offset",
    "for",
    "tablesample",
];

/// The statement with the target's names of the plan's tables.
pub(super) fn renamed(plan: &Plan, kind: &str, sql: &str) -> String {
    let moved: Vec<_> = plan
        .tables
        .iter()
        .filter(|table| table.source != table.target)
        .map(|table| (split(&table.source), split(&table.target)))
        .collect();
    if moved.is_empty() {
        return sql.to_owned();
    }
    let tokens = tokens(sql);
    let mut out = String::with_capacity(sql.len());
    let mut at = 0;
    while let Some((space, token)) = tokens.get(at) {
        out.push_str(space);
        let after_dot = at > 0 && tokens[at - 1].1 == Token::Sign(".");
        let found = match (token.name(), tokens.get(at + 1), tokens.get(at + 2)) {
            (Some(schema), Some((_, Token::Sign("."))), Some((_, name))) if !after_dot => {
                let name = name.name();
                moved
                    .iter()
                    .find(|(from, _)| from.0 == schema && Some(&from.1) == name.as_ref())
            }
            _ => None,
        };
        match found {
            Some((from, to)) => {
                out.push_str(&format!("{}.{}", quote(&to.0), quote(&to.1)));
                at += 3;
                // The columns of a view are written with the table's own name.
                let aliased = match tokens.get(at) {
                    Some((_, Token::Word(word))) => !AFTER_TABLE
                        .iter()
                        .any(|after| word.eq_ignore_ascii_case(after)),
                    Some((_, Token::Quoted(_))) => true,
                    _ => false,
                };
                if kind == "view" && !aliased && from.1 != to.1 {
                    out.push_str(&format!(" {}", quote(&from.1)));
                }
            }
            None => {
                match token {
                    Token::Literal(text) if kind == "sequence" => {
                        out.push_str(&renamed_literal(&moved, text));
                    }
                    token => out.push_str(token.text()),
                }
                at += 1;
            }
        }
    }
    out
}

type Name = (String, String);

fn renamed_literal(moved: &[(Name, Name)], literal: &str) -> String {
    let name = split(&literal.trim_matches('\'').replace("''", "'"));
    match moved.iter().find(|(from, _)| *from == name) {
        Some((_, to)) => super::names::literal(&format!("{}.{}", quote(&to.0), quote(&to.1))),
        None => literal.to_owned(),
    }
}

/// The name that follows a word, without its schema.
pub(super) fn name_after(sql: &str, words: &[&str]) -> Option<String> {
    let tokens = tokens(sql);
    let at = tokens
        .iter()
        .position(|(_, token)| words.iter().any(|word| token.is(word)))?;
    let qualified = matches!(tokens.get(at + 2), Some((_, Token::Sign("."))));
    tokens.get(at + if qualified { 3 } else { 1 })?.1.name()
}

/// The first, or the last, name with a schema.
pub(super) fn qualified_name(sql: &str, last: bool) -> Option<Name> {
    let tokens = tokens(sql);
    let mut found = tokens.windows(3).filter_map(|three| match three {
        [(_, schema), (_, Token::Sign(".")), (_, name)] => Some((schema.name()?, name.name()?)),
        _ => None,
    });
    if last {
        found.next_back()
    } else {
        found.next()
    }
}

/// Whether two texts say the same. The server writes an expression with other casts and parentheses when it reads its own
/// words again (`x IN ('a')` over varchar), so casts, and parentheses around a single thing, don't count.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || form(a) == form(b)
}

/// The same without regard to any parentheses: the server puts its own around each part of a condition.
pub(super) fn same_loosely(a: &str, b: &str) -> bool {
    fn flat(nodes: Vec<Node>, out: &mut Vec<String>) {
        for node in nodes {
            match node {
                Node::Leaf(text) => out.push(text),
                Node::Round(inner) | Node::Square(inner) => flat(inner, out),
            }
        }
    }
    let flat_form = |sql: &str| {
        let mut out = Vec::new();
        flat(form(sql), &mut out);
        out
    };
    flat_form(a) == flat_form(b)
}

fn form(sql: &str) -> Vec<Node> {
    let mut tokens: Vec<String> = tokens(sql)
        .into_iter()
        .map(|(_, token)| match token {
            Token::Word(text) => text.to_lowercase(),
            Token::Quoted(text) => {
                let name = split(text).1;
                // What needs no quotes is the same without.
                let plain = super::names::shown("", &name).ends_with('"');
                if plain { text.to_owned() } else { name }
            }
            Token::Literal(text) | Token::Sign(text) => text.to_owned(),
        })
        .collect();
    tokens.reverse();
    let mut nodes = nodes(&mut tokens, true);
    nodes.retain(|node| *node != Node::Leaf(";".into()));
    nodes
}

#[derive(Debug, PartialEq, Eq)]
enum Node {
    Leaf(String),
    Round(Vec<Node>),
    Square(Vec<Node>),
}

/// Reads up to the closing bracket. The tokens lie with the next one last.
fn nodes(tokens: &mut Vec<String>, outermost: bool) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::new();
    while let Some(token) = tokens.pop() {
        match token.as_str() {
            "(" => {
                let mut inner = nodes(tokens, false);
                // One thing in parentheses is that thing, unless they are a call's.
                let call = matches!(out.last(), Some(Node::Leaf(word)) if word.chars().all(|c| c.is_alphanumeric() || c == '_'));
                match inner.pop() {
                    Some(Node::Round(only)) if inner.is_empty() => out.push(Node::Round(only)),
                    Some(only) if inner.is_empty() && !call => out.push(only),
                    last => {
                        inner.extend(last);
                        out.push(Node::Round(inner));
                    }
                }
            }
            "[" => out.push(Node::Square(nodes(tokens, false))),
            ")" | "]" if !outermost => return out,
            "::" => skip_type(tokens),
            _ => out.push(Node::Leaf(token)),
        }
    }
    out
}

/// Drops a type after `::`.
fn skip_type(tokens: &mut Vec<String>) {
    let next = |tokens: &[String], word: &str| tokens.last().is_some_and(|token| token == word);
    let first = tokens.pop().unwrap_or_default();
    if next(tokens, ".") {
        tokens.pop();
        tokens.pop();
    }
    if matches!(first.as_str(), "character" | "bit") && next(tokens, "varying")
        || first == "double" && next(tokens, "precision")
    {
        tokens.pop();
    }
    while next(tokens, "(") || next(tokens, "[") {
        while let Some(token) = tokens.pop() {
            if token == ")" || token == "]" {
                break;
            }
        }
    }
    if matches!(first.as_str(), "timestamp" | "time")
        && (next(tokens, "with") || next(tokens, "without"))
    {
        tokens.truncate(tokens.len().saturating_sub(3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_writes_again_is_the_same() {
        let first = "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))";
        let again = "CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))";
        assert!(same(first, again));
        assert!(!same(first, &again.replace("'b'", "'c'")));
        assert!(!same("CHECK ((a + b) * c > 0)", "CHECK (a + (b * c) > 0)"));
        assert!(same(
            "CREATE TABLE \"a\".b (c int)",
            "create table a.\"b\"(c int);"
        ));
        assert!(!same("x::timestamp with time zone > y", "x::date > z"));
        assert!(same("x::timestamp(3) without time zone > y", "x > y"));
        assert!(!same("f(a)", "f(b)"));
        assert!(!same("DEFAULT ''", "DEFAULT ' '"));
    }

    #[test]
    fn tokens_are_the_text() {
        let sql = "SELECT E'a\\'b', $x$ \"no' $x$, \"A\"\"b\".c::int[], 'it''s' -- ü";
        let all: String = tokens(sql)
            .iter()
            .flat_map(|(space, token)| [*space, token.text()])
            .collect();
        assert_eq!(all, sql);
        assert_eq!(tokens(sql).len(), 17);
    }
}
