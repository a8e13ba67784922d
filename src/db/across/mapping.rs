//! The mapping of types.
//!
//! SQLite keeps a class with each value, and a declared type says only what it converts. So a column becomes what its declared
//! type says where that type is strict in practice (INTEGER, REAL, TEXT, BLOB), and what a sample of its values says where it is
//! not (BOOLEAN, dates, DECIMAL, no type at all). The sample only chooses; whether every value fits is looked at one by one.
//!
//! The other way each type of PostgreSQL has one answer: a whole number, a binary64 number, bytes, or the text that the server
//! writes, which reads back as the same value.

use crate::domain::plan::Engine;

/// What a declared type becomes on a target of another kind. `seen`: what a sample of the column holds, where that counts.
pub fn becomes(to: Engine, declared: &str, seen: &[String]) -> &'static str {
    match to {
        Engine::Postgres => in_postgres(declared, seen),
        Engine::Sqlite | Engine::Sim => in_sqlite(declared),
    }
}

fn in_sqlite(declared: &str) -> &'static str {
    match declared {
        "smallint" | "integer" | "bigint" | "oid" | "boolean" => "INTEGER",
        "real" | "double precision" => "REAL",
        "bytea" => "BLOB",
        _ => "TEXT",
    }
}

/// What SQLite makes of a declared type (<https://sqlite.org/datatype3.html#type_affinity>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Blob,
    Real,
    /// Any class, or none declared: only the values tell. With the type to take where there are none.
    Told(&'static str),
}

fn kind(declared: &str) -> Kind {
    let upper = declared.to_ascii_uppercase();
    let has = |part: &str| upper.contains(part);
    if upper.is_empty() || upper == "ANY" {
        Kind::Told("text")
    } else if has("INT") {
        Kind::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Kind::Text
    } else if has("BLOB") {
        Kind::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Kind::Real
    } else if has("BOOL") {
        Kind::Told("boolean")
    } else if ["DEC", "NUM", "MONEY", "CURRENCY"]
        .iter()
        .any(|part| has(part))
    {
        Kind::Told("numeric")
    } else {
        // Dates, JSON, UUID and whatever people make up: numbers become numbers, and the rest stays the text it is.
        Kind::Told("text")
    }
}

/// Whether only the values tell what a column of this declared type becomes.
pub fn ambiguous(declared: &str) -> bool {
    matches!(kind(declared), Kind::Told(_))
}

fn in_postgres(declared: &str, seen: &[String]) -> &'static str {
    let empty = match kind(declared) {
        Kind::Integer => return "bigint",
        Kind::Text => return "text",
        Kind::Blob => return "bytea",
        Kind::Real => return "double precision",
        Kind::Told(empty) => empty,
    };
    let only = |classes: &[&str]| seen.iter().all(|class| classes.contains(&class.as_str()));
    let decimal = empty == "numeric";
    let untyped = declared.is_empty() || declared.eq_ignore_ascii_case("any");
    if seen.is_empty() {
        empty
    } else if empty == "boolean" && only(&["bit"]) {
        "boolean"
    } else if only(&["bit", "integer"]) && !decimal {
        "bigint"
    } else if only(&["real"]) && untyped {
        "double precision"
    } else if only(&["bit", "integer", "real"]) && !untyped {
        // Such a column makes a whole number of 1.0 and leaves 1.5: both are kept as they are.
        "numeric"
    } else if only(&["blob"]) {
        "bytea"
    } else {
        "text"
    }
}

/// Whether the order of a column of PostgreSQL is another than that of its values' bytes in SQLite. Numbers, bytes, booleans,
/// UUIDs, dates and times have one order everywhere; text has the column's collation, and a few types an order of their own.
pub fn sorts_as_bytes(declared: &str) -> bool {
    const SAME: [&str; 10] = [
        "smallint",
        "integer",
        "bigint",
        "oid",
        "real",
        "double precision",
        "boolean",
        "bytea",
        "uuid",
        "date",
    ];
    !SAME.contains(&declared) && !is_time(declared)
}

/// Times whose text sorts as they do: years of four digits, all in one time zone.
pub fn is_time(declared: &str) -> bool {
    let array = declared.ends_with(']');
    let day = declared.starts_with("time") && declared.ends_with("without time zone");
    !array && (declared.starts_with("timestamp") || day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(classes: &[&str]) -> Vec<String> {
        classes.iter().map(|class| (*class).to_owned()).collect()
    }

    #[test]
    fn each_declared_type_of_sqlite_becomes_one_of_postgresql() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("INTEGER", &[], "bigint"),
            ("UNSIGNED BIG INT", &["text"], "bigint"),
            ("VARCHAR(20)", &[], "text"),
            ("BLOB", &[], "bytea"),
            ("DOUBLE", &[], "double precision"),
            ("BOOLEAN", &[], "boolean"),
            ("BOOLEAN", &["bit"], "boolean"),
            ("BOOLEAN", &["bit", "integer"], "bigint"),
            ("BOOLEAN", &["bit", "text"], "text"),
            ("DECIMAL(10,2)", &[], "numeric"),
            ("DECIMAL(10,2)", &["bit", "integer"], "numeric"),
            ("NUMERIC", &["integer", "real"], "numeric"),
            ("NUMERIC", &["text"], "text"),
            ("DATETIME", &[], "text"),
            ("DATETIME", &["text"], "text"),
            ("DATETIME", &["integer"], "bigint"),
            ("TIMESTAMP", &["integer", "real"], "numeric"),
            ("JSON", &["text"], "text"),
            ("UUID", &["blob"], "bytea"),
            ("", &[], "text"),
            ("", &["real"], "double precision"),
            ("", &["integer"], "bigint"),
            ("", &["integer", "real"], "text"),
            ("ANY", &["blob"], "bytea"),
        ];
        for (declared, classes, expected) in cases {
            let found = becomes(Engine::Postgres, declared, &seen(classes));
            assert_eq!(found, *expected, "{declared} {classes:?}");
        }
    }

    #[test]
    fn each_type_of_postgresql_becomes_one_of_sqlite() {
        for (declared, expected) in [
            ("smallint", "INTEGER"),
            ("bigint", "INTEGER"),
            ("boolean", "INTEGER"),
            ("real", "REAL"),
            ("double precision", "REAL"),
            ("bytea", "BLOB"),
            ("numeric(10,2)", "TEXT"),
            ("timestamp with time zone", "TEXT"),
            ("integer[]", "TEXT"),
            ("jsonb", "TEXT"),
            ("public.mood", "TEXT"),
            ("character varying(20)", "TEXT"),
        ] {
            assert_eq!(
                becomes(Engine::Sqlite, declared, &[]),
                expected,
                "{declared}"
            );
        }
    }

    #[test]
    fn only_some_types_have_one_order_everywhere() {
        for declared in [
            "bigint",
            "uuid",
            "date",
            "timestamp(3) with time zone",
            "time without time zone",
        ] {
            assert!(!sorts_as_bytes(declared), "{declared}");
        }
        for declared in [
            "text",
            "numeric(10,0)",
            "time with time zone",
            "uuid[]",
            "timestamp with time zone[]",
            "interval",
            "inet",
        ] {
            assert!(sorts_as_bytes(declared), "{declared}");
        }
    }
}
