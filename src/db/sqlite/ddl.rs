//! Reads the parts of SQLite's stored DDL that no pragma gives: index expressions, partial conditions, generated
//! expressions, column collations, AUTOINCREMENT.
//!
//! Everything here works on tokens (<https://sqlite.org/lang_keywords.html>, `src/tokenize.c`), never on patterns over
//! text, so comments, quoted names and nested parentheses cannot mislead it. What it cannot read it gives as `None`;
//! it never guesses.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A bare word: a keyword, a name or a function.
    Word,
    /// A name in `"…"`, `[…]` or backquotes.
    Quoted,
    /// A string in `'…'`.
    Text,
    /// A number, or a blob `x'…'`.
    Literal,
    /// One character of punctuation; an operator of two characters is two tokens.
    Punct(u8),
}

/// A token and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

impl Token {
    fn is_word(&self, sql: &str, word: &str) -> bool {
        self.kind == TokenKind::Word && sql[self.span.clone()].eq_ignore_ascii_case(word)
    }

    fn is(&self, punct: u8) -> bool {
        self.kind == TokenKind::Punct(punct)
    }

    /// The name this token may stand for: a word as it is, a quoted name or string without its quotes.
    pub fn name(&self, sql: &str) -> Option<String> {
        let text = &sql[self.span.clone()];
        match self.kind {
            TokenKind::Word => Some(text.to_owned()),
            TokenKind::Quoted | TokenKind::Text => {
                let inner = &text[1..text.len() - 1];
                Some(match text.as_bytes()[0] {
                    b'[' => inner.to_owned(),
                    b'"' => inner.replace("\"\"", "\""),
                    b'\'' => inner.replace("''", "'"),
                    _ => inner.replace("``", "`"),
                })
            }
            TokenKind::Literal | TokenKind::Punct(_) => None,
        }
    }
}

/// Quotes a name so that every SQLite reads it as that name.
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text as a string literal.
pub fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Cuts SQL into tokens, leaving out white space and comments. `None` when a quote is never closed.
pub fn tokens(sql: &str) -> Option<Vec<Token>> {
    let bytes = sql.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let next = bytes.get(at + 1).copied();
        let kind = match bytes[at] {
            b if b.is_ascii_whitespace() || b == 0x0b => {
                at += 1;
                continue;
            }
            b'-' if next == Some(b'-') => {
                at = memchr(bytes, b'\n', at).unwrap_or(bytes.len());
                continue;
            }
            b'/' if next == Some(b'*') => {
                at = sql[at + 2..]
                    .find("*/")
                    .map_or(bytes.len(), |found| at + 2 + found + 2);
                continue;
            }
            b'\'' => {
                at = quoted(bytes, at, b'\'')?;
                TokenKind::Text
            }
            quote @ (b'"' | b'`') => {
                at = quoted(bytes, at, quote)?;
                TokenKind::Quoted
            }
            b'[' => {
                at = memchr(bytes, b']', at)? + 1;
                TokenKind::Quoted
            }
            b'x' | b'X' if next == Some(b'\'') => {
                at = quoted(bytes, at + 1, b'\'')?;
                TokenKind::Literal
            }
            b if is_name(b) && !b.is_ascii_digit() => {
                at = run(bytes, at, is_name);
                TokenKind::Word
            }
            b if b.is_ascii_digit() || b == b'.' && next.is_some_and(|n| n.is_ascii_digit()) => {
                at = number(bytes, at);
                TokenKind::Literal
            }
            b => {
                at += 1;
                TokenKind::Punct(b)
            }
        };
        out.push(Token {
            kind,
            span: start..at,
        });
    }
    Some(out)
}

fn memchr(bytes: &[u8], wanted: u8, from: usize) -> Option<usize> {
    bytes[from..]
        .iter()
        .position(|&b| b == wanted)
        .map(|found| from + found)
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80
}

fn run(bytes: &[u8], from: usize, keep: impl Fn(u8) -> bool) -> usize {
    bytes[from..]
        .iter()
        .position(|&b| !keep(b))
        .map_or(bytes.len(), |length| from + length)
}

fn number(bytes: &[u8], from: usize) -> usize {
    let mut at = run(bytes, from, |b| is_name(b) || b == b'.');
    while matches!(bytes.get(at), Some(b'+' | b'-')) && matches!(bytes[at - 1], b'e' | b'E') {
        at = run(bytes, at + 1, |b| b.is_ascii_digit());
    }
    at
}

/// The end of a quoted token that starts at `from`; the quote doubled stands for itself.
fn quoted(bytes: &[u8], from: usize, quote: u8) -> Option<usize> {
    let mut at = from + 1;
    loop {
        at = memchr(bytes, quote, at)? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// An expression as the application wrote it, without comments around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// The text, verbatim.
    pub sql: String,
}

impl Expr {
    fn cut(sql: &str, tokens: &[Token]) -> Option<Self> {
        let (first, last) = (tokens.first()?, tokens.last()?);
        Some(Self {
            sql: sql[first.span.start..last.span.end].to_owned(),
        })
    }

    fn tokens(&self) -> Vec<Token> {
        tokens(&self.sql).unwrap_or_default()
    }

    /// Whether `column` may be named in the expression: in any quoting, since SQLite reads even `'c'` as a name in places.
    pub fn mentions(&self, column: &str) -> bool {
        self.tokens().iter().any(|token| {
            token
                .name(&self.sql)
                .is_some_and(|name| name.eq_ignore_ascii_case(column))
        })
    }

    /// Whether the expression may compare two values, so that the affinity of its columns decides its result.
    pub fn compares(&self) -> bool {
        self.tokens().iter().any(|token| match token.kind {
            TokenKind::Punct(b) => matches!(b, b'=' | b'<' | b'>'),
            TokenKind::Word => ["is", "in", "between", "case"]
                .iter()
                .any(|word| token.is_word(&self.sql, word)),
            _ => false,
        })
    }

    /// Whether the expression may test for NULL.
    pub fn tests_null(&self) -> bool {
        let words = ["null", "notnull", "isnull"];
        self.tokens()
            .iter()
            .any(|token| words.iter().any(|word| token.is_word(&self.sql, word)))
    }

    /// The names of the functions it calls.
    pub fn functions(&self) -> Vec<String> {
        let tokens = self.tokens();
        tokens
            .windows(2)
            .filter(|pair| {
                pair[1].is(b'(') && matches!(pair[0].kind, TokenKind::Word | TokenKind::Quoted)
            })
            .filter_map(|pair| pair[0].name(&self.sql))
            .filter(|name| {
                ![
                    "in", "and", "or", "not", "cast", "when", "then", "else", "case", "is",
                    "between", "like", "glob", "collate",
                ]
                .iter()
                .any(|word| name.eq_ignore_ascii_case(word))
            })
            .collect()
    }
}

/// A DEFAULT as an expression that means the same anywhere, also where columns are in scope.
///
/// SQLite reads a bare or double-quoted word in a DEFAULT as a string; beside a table's columns it would be a column.
/// TRUE and FALSE become 1 and 0, which old SQLite knows.
pub fn default_expr(default: &str) -> Option<Expr> {
    let tokens = tokens(default)?;
    let alone = tokens.len() == 1;
    let mut out = String::new();
    let mut copied = tokens.first()?.span.start;
    for (place, token) in tokens.iter().enumerate() {
        let call = tokens.get(place + 1).is_some_and(|next| next.is(b'('));
        let replacement = match token.kind {
            TokenKind::Quoted if !call => Some(quote_text(&token.name(default)?)),
            TokenKind::Word if token.is_word(default, "true") => Some("1".to_owned()),
            TokenKind::Word if token.is_word(default, "false") => Some("0".to_owned()),
            TokenKind::Word if alone => {
                let known = ["null", "current_time", "current_date", "current_timestamp"];
                let known = known.iter().any(|word| token.is_word(default, word));
                (!known).then(|| quote_text(&default[token.span.clone()]))
            }
            _ => None,
        };
        if let Some(text) = replacement {
            out.push_str(&default[copied..token.span.start]);
            out.push_str(&text);
            copied = token.span.end;
        }
    }
    out.push_str(&default[copied..tokens.last()?.span.end]);
    Some(Expr { sql: out })
}

/// What `CREATE INDEX` says between its parentheses and after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBody {
    /// One expression a key part, without ASC or DESC, in order.
    pub parts: Vec<Expr>,
    /// The partial condition, verbatim.
    pub condition: Option<Expr>,
}

/// Reads a `CREATE INDEX` statement as SQLite stores it.
pub fn index_body(sql: &str) -> Option<IndexBody> {
    let tokens = tokens(sql)?;
    // ON cannot be a bare name in SQLite, so the first bare ON is the keyword.
    let on = tokens.iter().position(|token| token.is_word(sql, "on"))?;
    let open = on + 2;
    tokens.get(open).filter(|token| token.is(b'('))?;
    let (parts, close) = comma_parts(&tokens, open)?;
    let parts = parts
        .into_iter()
        .map(|part| Expr::cut(sql, without_order(sql, &tokens[part])))
        .collect::<Option<Vec<_>>>()?;
    let mut rest = &tokens[close + 1..];
    if let Some((last, before)) = rest.split_last()
        && last.is(b';')
    {
        rest = before;
    }
    let condition = match rest.split_first() {
        None => None,
        Some((word, condition)) if word.is_word(sql, "where") => Some(Expr::cut(sql, condition)?),
        Some(_) => return None,
    };
    Some(IndexBody { parts, condition })
}

/// Takes a trailing ASC or DESC away. Both can also be column names, which they are alone or after an operator.
fn without_order<'a>(sql: &str, part: &'a [Token]) -> &'a [Token] {
    const OPERATORS: [&str; 18] = [
        "and", "or", "not", "is", "like", "glob", "in", "between", "regexp", "match", "case",
        "when", "then", "else", "from", "distinct", "escape", "collate",
    ];
    match part {
        [before @ .., previous, last] if last.is_word(sql, "asc") || last.is_word(sql, "desc") => {
            let operator = match previous.kind {
                TokenKind::Punct(b) => b != b')',
                TokenKind::Word => OPERATORS.iter().any(|word| previous.is_word(sql, word)),
                _ => false,
            };
            if operator {
                part
            } else {
                &part[..before.len() + 1]
            }
        }
        _ => part,
    }
}

/// The comma-separated parts inside the parenthesis at `open`, as ranges of tokens, and where it closes.
fn comma_parts(tokens: &[Token], open: usize) -> Option<(Vec<Range<usize>>, usize)> {
    let mut parts = Vec::new();
    let mut depth = 0usize;
    let mut start = open + 1;
    for (place, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Punct(b'(') => depth += 1,
            TokenKind::Punct(b')') if depth == 1 => {
                parts.push(start..place);
                return Some((parts, place));
            }
            TokenKind::Punct(b')') => depth -= 1,
            TokenKind::Punct(b',') if depth == 1 => {
                parts.push(start..place);
                start = place + 1;
            }
            _ => {}
        }
    }
    None
}

/// What a column's definition says beyond the pragmas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnBody {
    /// Its COLLATE clause.
    pub collation: Option<String>,
    /// The expression of a generated column.
    pub generated: Option<Expr>,
}

/// What `CREATE TABLE` says beyond the pragmas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableBody {
    /// One a column, in the order of `table_xinfo`.
    pub columns: Vec<ColumnBody>,
    /// Whether the key is AUTOINCREMENT.
    pub autoincrement: bool,
}

/// Reads a `CREATE TABLE` statement as SQLite stores it; `names` are its columns, which must be found in that order.
pub fn table_body(sql: &str, names: &[&str]) -> Option<TableBody> {
    let tokens = tokens(sql)?;
    let open = tokens.iter().position(|token| token.is(b'('))?;
    let (parts, _) = comma_parts(&tokens, open)?;
    let columns = names
        .iter()
        .zip(
            parts
                .iter()
                .map(|part| &tokens[part.clone()])
                .map(Some)
                .chain(std::iter::repeat(None)),
        )
        .map(|(name, part)| {
            let (first, rest) = part?.split_first()?;
            let found = first.name(sql)?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| column_body(sql, rest))
                .flatten()
        })
        .collect::<Option<Vec<_>>>()?;
    // AUTOINCREMENT is reserved: bare, it can stand nowhere but after PRIMARY KEY.
    let autoincrement = tokens
        .iter()
        .any(|token| token.is_word(sql, "autoincrement"));
    Some(TableBody {
        columns,
        autoincrement,
    })
}

fn column_body(sql: &str, tokens: &[Token]) -> Option<ColumnBody> {
    let mut body = ColumnBody::default();
    let mut depth = 0usize;
    for (place, token) in tokens.iter().enumerate() {
        let next = tokens.get(place + 1);
        match token.kind {
            TokenKind::Punct(b'(') => depth += 1,
            TokenKind::Punct(b')') => depth = depth.checked_sub(1)?,
            TokenKind::Word if depth == 0 && token.is_word(sql, "collate") => {
                body.collation = Some(next?.name(sql)?);
            }
            TokenKind::Word if depth == 0 && token.is_word(sql, "as") && next?.is(b'(') => {
                let close = matching(tokens, place + 1)?;
                body.generated = Some(Expr::cut(sql, &tokens[place + 2..close])?);
            }
            _ => {}
        }
    }
    Some(body)
}

fn matching(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (place, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Punct(b'(') => depth += 1,
            TokenKind::Punct(b')') if depth == 1 => return Some(place),
            TokenKind::Punct(b')') => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sql: &str) -> (Vec<String>, Option<String>) {
        let body = index_body(sql).unwrap();
        (
            body.parts.into_iter().map(|part| part.sql).collect(),
            body.condition.map(|expr| expr.sql),
        )
    }

    #[test]
    fn index_text_is_read_through_comments_quotes_and_order() {
        assert_eq!(
            parts(
                "CREATE UNIQUE INDEX \"on (x\" ON [t ) y]( -- first, (\n lower(\"a,)\") COLLATE nocase DESC /* ) */, b asc, 'it''s' || c, desc, a + desc, (a) desc) WHERE x = ')' AND y > 1 -- end)"
            ),
            (
                vec![
                    "lower(\"a,)\") COLLATE nocase".into(),
                    "b".into(),
                    "'it''s' || c".into(),
                    "desc".into(),
                    "a + desc".into(),
                    "(a)".into()
                ],
                Some("x = ')' AND y > 1".into())
            )
        );
        assert_eq!(
            parts("CREATE UNIQUE INDEX `i``(` ON \"a\"\"(\"(`b``,`);"),
            (vec!["`b``,`".into()], None)
        );
        assert_eq!(
            parts("CREATE INDEX i on t(CASE WHEN a = 1.5e-3 THEN x'2c29' ELSE b END)")
                .0
                .len(),
            1
        );
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        assert_eq!(index_body("CREATE INDEX i ON t(a"), None);
        assert_eq!(index_body("CREATE INDEX i ON t(a) USING x"), None);
        assert_eq!(index_body("CREATE INDEX i ON t('a)"), None);
        assert_eq!(table_body("CREATE TABLE t(a, b)", &["b", "a"]), None);
        assert_eq!(table_body("CREATE TABLE t(a)", &["a", "b"]), None);
    }

    #[test]
    fn table_text_gives_collations_generated_expressions_and_autoincrement() {
        let sql = "CREATE TABLE \"t(\" (id INTEGER PRIMARY KEY AUTOINCREMENT, -- as (x)\n \"collate\" TEXT DEFAULT ('as (1)') COLLATE NoCase CHECK (\"collate\" COLLATE rtrim <> ''), g INT GENERATED ALWAYS AS (abs(id) + (1)) STORED, [h i] AS ( /*x*/ g ), PRIMARY KEY (id))";
        let body = table_body(sql, &["id", "collate", "g", "h i"]).unwrap();
        assert!(body.autoincrement);
        let generated: Vec<_> = body
            .columns
            .iter()
            .map(|c| c.generated.as_ref().map(|e| e.sql.as_str()))
            .collect();
        assert_eq!(generated, [None, None, Some("abs(id) + (1)"), Some("g")]);
        let collations: Vec<_> = body
            .columns
            .iter()
            .map(|c| c.collation.as_deref())
            .collect();
        assert_eq!(collations, [None, Some("NoCase"), None, None]);
        assert!(
            !table_body(
                "CREATE TABLE t(\"autoincrement\" DEFAULT 'autoincrement')",
                &["autoincrement"]
            )
            .unwrap()
            .autoincrement
        );
    }

    #[test]
    fn a_default_means_the_same_beside_columns() {
        let sql = |text: &str| default_expr(text).unwrap().sql;
        assert_eq!(sql("foo"), "'foo'");
        assert_eq!(sql("\"it's\""), "'it''s'");
        assert_eq!(sql("TRUE"), "1");
        assert_eq!(sql("NULL"), "NULL");
        assert_eq!(sql("CURRENT_TIMESTAMP"), "CURRENT_TIMESTAMP");
        assert_eq!(sql("-5"), "-5");
        assert_eq!(sql("lower(\"A\") || 'b' -- c"), "lower('A') || 'b'");
        assert_eq!(default_expr("'open"), None);
    }

    #[test]
    fn functions_and_names_are_found_in_expressions() {
        let expr = Expr {
            sql: "max (a, random()) + \"b c\" in (1)".into(),
        };
        assert_eq!(expr.functions(), ["max", "random"]);
        assert!(
            expr.mentions("B C") && expr.mentions("a") && !expr.mentions("c") && expr.compares()
        );
        assert!(
            !Expr {
                sql: "lower(a)".into()
            }
            .compares()
        );
    }
}
