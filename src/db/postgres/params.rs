//! Parameters of an operator's query.
//!
//! The same query may run on several engines, so `?1` and `$1` both stand for the first. They are filled in as literals without
//! a type: the server finds it from where they stand, as it would if a person had written them.

use super::cell;
use super::names::literal;
use crate::db::refused;
use crate::domain::fault::Result;
use crate::domain::value::Value;

/// The query with its parameters filled in.
///
/// # Errors
/// When it has another number of them than was given.
pub(super) fn filled(sql: &str, params: &[Value]) -> Result<String> {
    let mut out = String::with_capacity(sql.len());
    let mut highest = 0;
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\'' | '"' => quoted(rest, c),
            '$' if dollar_quoted(rest).is_some() => dollar_quoted(rest).unwrap_or(1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '?' | '$' => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                if let Ok(number) = rest[1..=digits].parse::<usize>() {
                    highest = highest.max(number);
                    let value = number.checked_sub(1).and_then(|at| params.get(at));
                    match value.map(cell::text) {
                        Some(Some(text)) => out.push_str(&literal(&text)),
                        _ => out.push_str("NULL"),
                    }
                    rest = &rest[1 + digits..];
                    continue;
                }
                1
            }
            c => c.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    if highest == params.len() {
        return Ok(out);
    }
    Err(refused::parameters(highest, params.len()))
}

/// Bytes up to and with the closing quote; a doubled one is two of these in a row.
fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |at| at + 2)
}

/// `$tag$ … $tag$`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = text[1..].find('$')? + 2;
    let name = &text[1..tag - 1];
    let fits = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !fits {
        return None;
    }
    let end = text[tag..].find(&text[..tag])?;
    Some(tag + end + tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_filled_in_and_nothing_else() {
        let params = [Value::Integer(7), Value::text("it's"), Value::Null];
        assert_eq!(
            filled(
                "select ?1, $2, ?3, '?1 $2', \"$1\" -- ?1\n/* $1 */",
                &params
            )
            .unwrap(),
            "select '7', 'it\'\'s', NULL, '?1 $2', \"$1\" -- ?1\n/* $1 */"
        );
        assert_eq!(
            filled("select $q$ $1 $q$, j ? 'a'", &[]).unwrap(),
            "select $q$ $1 $q$, j ? 'a'"
        );
        assert!(filled("select ?1", &[]).is_err());
        assert!(filled("select 1", &params).is_err());
    }
}
