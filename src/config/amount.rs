//! Amounts as people write them: `500ms`, `64MB`, `20k/s`.

use crate::domain::signal::{Figure, Measure};
use crate::domain::unit::{Bytes, RowsPerSecond, Span, split, whole};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A length of time: `500ms`, `3s`, `1h 30m`, `7d`.
///
/// # Errors
/// A sentence that says how to write one.
pub fn span(text: &str) -> Result<Span, String> {
    let trimmed = text.trim();
    if trimmed.parse::<f64>().is_ok() {
        return Err(format!(
            "\"{text}\" needs a unit, like \"{trimmed}s\" or \"{trimmed}ms\""
        ));
    }
    humantime::parse_duration(trimmed)
        .map(Span::from)
        .map_err(|_| {
            format!(
                "\"{text}\" is not a length of time; write \"500ms\", \"3s\", \"1h 30m\" or \"7d\""
            )
        })
}

/// A size: `64MB` (thousands), `64MiB` (1,024s), `512 kB`.
///
/// # Errors
/// A sentence that says how to write one.
pub fn bytes(text: &str) -> Result<Bytes, String> {
    let wrong = || format!("\"{text}\" is not a size; write \"512kB\", \"64MB\" or \"2GiB\"");
    let (number, unit) = split(text);
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    whole(&number, factor).map(Bytes).ok_or_else(wrong)
}

macro_rules! written {
    ($(#[$doc:meta])* $name:ident($inner:ty), $parse:path, $expecting:literal, $integer:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl Visitor<'_> for Reader {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map($name).map_err(E::custom)
                    }
                    fn visit_i64<E: Error>(self, number: i64) -> Result<$name, E> {
                        let from: Option<fn(&str) -> Result<$inner, String>> = $integer;
                        match from {
                            Some(parse) => parse(&number.to_string()).map($name).map_err(E::custom),
                            None => Err(E::invalid_type(Unexpected::Signed(number), &self)),
                        }
                    }
                }
                deserializer.deserialize_any(Reader)
            }
        }
    };
}

written! {
    /// A length of time in a config.
    WrittenSpan(Span), span, "a length of time in quotes, like \"500ms\"", None
}
written! {
    /// A pace in a config; a bare number is rows a second.
    WrittenRate(RowsPerSecond), RowsPerSecond::read, "rows a second, like 20000 or \"20k\"", Some(RowsPerSecond::read)
}

written! {
    /// A size in a config.
    WrittenBytes(Bytes), bytes, "a size in quotes, like \"64MB\"", None
}

/// A limit in a config: a number, or a text that says what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenFigure(pub Figure, pub Measure);

/// A limit: `80`, `0.01`, `"10GB"`, `"2s"`.
///
/// # Errors
/// A sentence that says how to write one.
pub fn figure(text: &str) -> Result<WrittenFigure, String> {
    let wrong = || {
        format!(
            "\"{text}\" is not a limit; write a number, a size like \"10GB\" or a time like \"2s\""
        )
    };
    if text.trim().parse::<f64>().is_ok() {
        return Err(format!("write the number {} without quotes", text.trim()));
    }
    // A `m` could be minutes or millions: only sizes that say so are sizes.
    let size = text.trim_end().ends_with(['b', 'B']);
    match (size, bytes(text), span(text)) {
        (true, Ok(bytes), _) => Ok(WrittenFigure(bytes.into(), Measure::Bytes)),
        (false, _, Ok(span)) => Ok(WrittenFigure(span.into(), Measure::Seconds)),
        _ => Err(wrong()),
    }
}

impl<'de> Deserialize<'de> for WrittenFigure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = WrittenFigure;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a limit, like 80, \"10GB\" or \"2s\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenFigure, E> {
                figure(text).map_err(E::custom)
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<WrittenFigure, E> {
                self.visit_f64(number as f64)
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<WrittenFigure, E> {
                Figure::new(number)
                    .map(|figure| WrittenFigure(figure, Measure::Number))
                    .ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(span("500ms"), Ok(Span::millis(500)));
        assert_eq!(span(" 1h 30m "), Ok(Span::seconds(5_400)));
        assert_eq!(span("7d"), Ok(Span::seconds(7 * 86_400)));
        assert_eq!(bytes("64MB"), Ok(Bytes(64_000_000)));
        assert_eq!(bytes("64 MiB"), Ok(Bytes(67_108_864)));
        assert_eq!(bytes("1.5kB"), Ok(Bytes(1_500)));
        let seconds = Figure::from(Span::seconds(120));
        assert_eq!(figure("2m"), Ok(WrittenFigure(seconds, Measure::Seconds)));
        let room = Figure::from(Bytes(10_000_000_000));
        assert_eq!(figure("10GB"), Ok(WrittenFigure(room, Measure::Bytes)));
        assert_eq!(RowsPerSecond::read("84k"), Ok(RowsPerSecond(84_000)));
        assert_eq!(RowsPerSecond::read("1.2M/s"), Ok(RowsPerSecond(1_200_000)));
        assert_eq!(RowsPerSecond::read("20_000"), Ok(RowsPerSecond(20_000)));
        assert_eq!(
            RowsPerSecond::read("9,700 rows/s"),
            Ok(RowsPerSecond(9_700))
        );
    }

    #[test]
    fn what_is_not_an_amount_says_how_to_write_one() {
        assert!(span("5").unwrap_err().contains("\"5s\""));
        assert!(span("soon").unwrap_err().contains("500ms"));
        assert!(bytes("64").unwrap_err().contains("64MB"));
        for text in ["fast", "", "-3", "60%", "1e9", "12.3.4"] {
            assert!(RowsPerSecond::read(text).is_err(), "{text} is not a pace");
        }
        assert!(RowsPerSecond::read("0").unwrap_err().contains("pause"));
        assert!(figure("80").unwrap_err().contains("without quotes"));
        assert!(figure("10m ago").unwrap_err().contains("10GB"));
    }
}
