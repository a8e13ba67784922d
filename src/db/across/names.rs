//! Names of tables: how PostgreSQL writes them with their schema, and what a name becomes on a database of another kind.

use crate::domain::plan::Engine;

/// A name in double quotes.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text as a literal: the server's standard_conforming_strings is on since 9.1.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Schema and name of a table as a plan has it: `public.orders`, `"Shop".orders`; without a schema, in `public`.
pub fn split(name: &str) -> (String, String) {
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
pub fn qualified(name: &str) -> String {
    let (schema, table) = split(name);
    format!("{}.{}", quote(&schema), quote(&table))
}

/// A table's name as people write it, and as a plan has it: quoted only where it must be.
pub fn shown(schema: &str, table: &str) -> String {
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

/// The name a table gets by itself on a target of another kind: `orders` and `public.orders` are each other's, a table of another
/// schema takes the schema's name along.
pub fn across(from: Engine, to: Engine, name: &str) -> String {
    match (from, to) {
        (Engine::Sqlite, Engine::Postgres) => shown("public", name),
        (Engine::Postgres, Engine::Sqlite) => {
            let (schema, table) = split(name);
            if schema == "public" {
                table
            } else {
                format!("{schema}_{table}")
            }
        }
        _ => name.to_owned(),
    }
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
    fn a_name_finds_its_counterpart() {
        let (pg, lite) = (Engine::Postgres, Engine::Sqlite);
        assert_eq!(across(lite, pg, "orders"), "public.orders");
        assert_eq!(across(lite, pg, "Order Items"), "public.\"Order Items\"");
        assert_eq!(across(pg, lite, "public.\"Order Items\""), "Order Items");
        assert_eq!(across(pg, lite, "sales.orders"), "sales_orders");
        assert_eq!(across(pg, pg, "sales.orders"), "sales.orders");
    }
}
