//! What our objects in a database are called, and how names are written in statements.

use crate::domain::id::MigrationName;

/// Our schema: ledger, landed chunks and gate lie in it.
pub(super) const SCHEMA: &str = "tidegate";
/// What slots and publications of ours begin with.
pub(super) const PREFIX: &str = "tidegate_";
/// What a marker in the stream is called.
pub(super) const MARKER: &str = "tidegate";
/// The longest name PostgreSQL keeps.
const LONGEST: usize = 63;

/// The slot's and the publication's name: a slot takes `a-z 0-9 _` only, so a name that has anything else ends with a hash
/// of itself.
pub(super) fn capture(name: &MigrationName) -> String {
    let fit: String = name
        .as_str()
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '_') => c,
            _ => '_',
        })
        .collect();
    let whole = format!("{PREFIX}{fit}");
    if fit == name.as_str() && whole.len() <= LONGEST {
        return whole;
    }
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_str().as_bytes());
    let end = format!("_{:08x}", hash & 0xffff_ffff);
    let kept = whole.len().min(LONGEST - end.len());
    format!("{}{end}", &whole[..kept])
}

/// A name in double quotes.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text as a literal: the server's standard_conforming_strings is on since 9.1.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Schema and name of a table as a plan has it: `public.orders`, `"Shop".orders`; without a schema, in `public`.
pub(super) fn split(name: &str) -> (String, String) {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let part = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut part = String::new();
                let mut chars = quoted.char_indices().peekable();
                let mut end = quoted.len();
                while let Some((at, c)) = chars.next() {
                    if c != '"' {
                        part.push(c);
                    } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                        part.push('"');
                    } else {
                        end = at + 1;
                        break;
                    }
                }
                rest = &quoted[end..];
                part
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let part = rest[..end].to_owned();
                rest = &rest[end..];
                part
            }
        };
        parts.push(part);
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    let table = parts.pop().unwrap_or_default();
    let schema = parts.pop().unwrap_or_else(|| "public".to_owned());
    (schema, table)
}

/// A table's name as a statement has it.
pub(super) fn qualified(name: &str) -> String {
    let (schema, table) = split(name);
    format!("{}.{}", quote(&schema), quote(&table))
}

/// A table's name as people write it, and as a plan has it: quoted only where it must be.
pub(super) fn shown(schema: &str, table: &str) -> String {
    let part = |name: &str| {
        let plain = name
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_lowercase() || c == '_')
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if plain { name.to_owned() } else { quote(name) }
    };
    format!("{}.{}", part(schema), part(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for (schema, table) in [
            ("public", "orders"),
            ("Shop", "order items"),
            ("a.b", "c\"d\".e"),
            ("_x", "1st"),
        ] {
            let name = shown(schema, table);
            assert_eq!(
                split(&name),
                (schema.to_owned(), table.to_owned()),
                "{name}"
            );
        }
        assert_eq!(shown("public", "orders"), "public.orders");
        assert_eq!(qualified("orders"), "\"public\".\"orders\"");
    }

    #[test]
    fn a_capture_has_a_name_of_its_own() {
        let name = |text: &str| capture(&MigrationName::new(text).unwrap());
        assert_eq!(name("shop"), "tidegate_shop");
        let apart = [
            name("shop-2026"),
            name("shop_2026"),
            name("Shop_2026"),
            name(&"x".repeat(64)),
        ];
        for (i, a) in apart.iter().enumerate() {
            assert!(a.len() <= LONGEST && a.starts_with(PREFIX), "{a}");
            assert!(apart[..i].iter().all(|b| a != b), "{a}");
        }
    }
}
