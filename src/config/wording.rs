//! Says what is wrong in a config as its author would want to hear it: file, line, section, key, remedy.

use crate::config::url::redact;
use crate::domain::fault::{Fault, Kind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A config's text, to point into.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `FILE:LINE` of a byte of the text.
    pub fn place(&self, at: usize) -> String {
        let before = self.text.as_bytes().iter().take(at);
        let line = before.filter(|b| **b == b'\n').count() + 1;
        format!("{}:{line}", self.path.display())
    }

    /// A fault at a byte of the text.
    pub fn fault(&self, at: usize, what: impl std::fmt::Display) -> Fault {
        Fault::new(Kind::Usage, format!("{}: {what}", self.place(at))).code("CONFIG")
    }

    /// A fault about a value: names its section and key.
    pub fn about(&self, span: &Range<usize>, what: impl std::fmt::Display) -> Fault {
        match self.whereabouts(span) {
            Some((section, Some(key))) => {
                self.fault(span.start, format!("{section} {key}: {what}"))
            }
            Some((section, None)) => self.fault(span.start, format!("{section} {what}")),
            None => self.fault(span.start, what),
        }
    }

    /// TOML's and serde's message, in our words. Their structure is serde's own and stable; what is not known is passed on.
    pub fn explain(&self, error: &toml::de::Error) -> Fault {
        let message = error.message();
        let span = error.span().unwrap_or(0..0);
        if let Some((name, keys)) = quoted_after(message, "unknown field ") {
            return self.unknown_key(&span, &name, &keys);
        }
        if let Some((name, choices)) = quoted_after(message, "unknown variant ") {
            let what = format!("\"{name}\" is not a choice{}", meant(&name, &choices));
            return self.about(&span, format!("{what}  (choices: {})", choices.join(", ")));
        }
        if let Some((name, _)) = quoted_after(message, "missing field ") {
            return self.missing(&span, &name);
        }
        if message.starts_with("invalid type: map, expected a sequence") {
            let header = self.text.get(span.clone()).unwrap_or_default();
            return self.fault(
                span.start,
                format!("{header} may be there several times: write it as [{header}]"),
            );
        }
        if message == "duplicate key" {
            let name = self.text.get(span.clone()).unwrap_or_default();
            return self.fault(span.start, format!("\"{name}\" is there twice"));
        }
        if let Some((got, expected)) = message
            .strip_prefix("invalid type: ")
            .or_else(|| message.strip_prefix("invalid value: "))
            .and_then(|rest| rest.split_once(", expected "))
        {
            let expected = expected
                .strip_prefix("struct ")
                .map_or(expected, |_| "a section, like [name]");
            return self.about(&span, format!("{} is not {}", plain(got), plain(expected)));
        }
        self.about(&span, redact(message))
    }

    fn unknown_key(&self, span: &Range<usize>, name: &str, keys: &[String]) -> Fault {
        let (section, _) = self.whereabouts(span).unwrap_or_default();
        let at_top = section.is_empty();
        if at_top {
            let sections: Vec<String> = keys.iter().map(|key| header(key)).collect();
            let near = nearest(name, keys).map(|key| format!("; did you mean {}?", header(key)));
            return self.fault(
                span.start,
                format!(
                    "there is no section [{name}]{}  (sections: {})",
                    near.unwrap_or_default(),
                    sections.join(" ")
                ),
            );
        }
        self.fault(
            span.start,
            format!(
                "{section} has no \"{name}\"{}  (keys: {})",
                meant(name, keys),
                keys.join(", ")
            ),
        )
    }

    fn missing(&self, span: &Range<usize>, name: &str) -> Fault {
        if span.start == 0 && span.end == 0 {
            return Fault::new(
                Kind::Usage,
                format!(
                    "{}: there is no section {}",
                    self.path.display(),
                    header(name)
                ),
            )
            .code("CONFIG")
            .hint(example(name));
        }
        let section = self.text.get(span.clone()).unwrap_or_default();
        self.fault(span.start, format!("{section} has no \"{name}\""))
            .hint(example(name))
    }

    /// Section and key in which a span lies.
    fn whereabouts(&self, span: &Range<usize>) -> Option<(String, Option<String>)> {
        let tree = DeTable::parse(&self.text).ok()?;
        for (name, value) in tree.get_ref() {
            let own = name.span();
            if own.contains(&span.start) {
                return Some((String::new(), Some(name.get_ref().to_string())));
            }
            if let Some(key) = inside(value.get_ref(), span) {
                return Some((header(name.get_ref()), Some(key)));
            }
            if value.span().contains(&span.start) {
                return Some((header(name.get_ref()), None));
            }
        }
        None
    }
}

/// The key of this table, or of one in this list, in which a span lies.
fn inside(value: &DeValue<'_>, span: &Range<usize>) -> Option<String> {
    match value {
        DeValue::Table(table) => table
            .iter()
            .find(|(key, value)| {
                key.span().contains(&span.start)
                    || value.span().contains(&span.start)
                    || inside(value.get_ref(), span).is_some()
            })
            .map(|(key, _)| key.get_ref().to_string()),
        DeValue::Array(items) => items.iter().find_map(|item| inside(item.get_ref(), span)),
        _ => None,
    }
}

fn header(section: &str) -> String {
    match section {
        "table" | "shadow" | "signal" => format!("[[{section}]]"),
        _ => format!("[{section}]"),
    }
}

/// What a missing part looks like.
fn example(name: &str) -> String {
    match name {
        "migration" => "[migration]  name = \"shop-2026\"".into(),
        "source" => {
            "[source]  url = \"sqlite:///path/to/old.db\" or \"postgres://user@host/database\"  (in [[table]]: the table's name)".into()
        }
        "target" => "[target]  url = \"sqlite:///path/to/new.db\" or \"postgres://user@host/database\"".into(),
        "name" => "name = \"shop-2026\"".into(),
        "url" => "url = \"sqlite:///path/to/file.db\" or \"postgres://user@host/database\"".into(),
        "sql" => "sql = \"select * from orders where customer = ?1\"".into(),
        _ => "tidegate init writes a commented example".into(),
    }
}

/// `unknown field `x`, expected one of `a`, `b`` → (x, [a, b]).
fn quoted_after(message: &str, prefix: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix(prefix)?;
    let mut names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((names.next()?, names.collect()))
}

/// Serde's words for a value, without back-quotes and without the value of a text (it may be a secret).
fn plain(words: &str) -> String {
    match words.split_once(' ') {
        Some(("string", _)) => "a text in quotes".into(),
        Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
        Some(("floating", number)) => format!(
            "the number {}",
            number.trim_start_matches("point ").trim_matches('`')
        ),
        Some(("boolean", value)) => value.trim_matches('`').to_owned(),
        _ => match words {
            "a string" => "a text in quotes".into(),
            "a boolean" => "true or false".into(),
            "a sequence" => "a list, like [\"a\", \"b\"]".into(),
            "sequence" => "a list".into(),
            "map" => "a section".into(),
            "u16" | "u32" => "a whole number".into(),
            other => redact(other),
        },
    }
}

/// `; did you mean "max_lag"?`, or nothing.
fn meant(name: &str, known: &[String]) -> String {
    nearest(name, known).map_or_else(String::new, |key| format!("; did you mean \"{key}\"?"))
}

/// The known name that a mistyped one was probably meant to be.
pub fn nearest<'a, S>(name: &str, known: impl IntoIterator<Item = &'a S>) -> Option<&'a str>
where
    S: AsRef<str> + ?Sized + 'a,
{
    let lower = name.to_lowercase();
    let begins = |key: &str| {
        (lower.len() >= 3 && key.starts_with(&lower)) || (key.len() >= 3 && lower.starts_with(key))
    };
    known
        .into_iter()
        .map(AsRef::as_ref)
        .map(|key| {
            (
                strsim::damerau_levenshtein(&lower, &key.to_lowercase()),
                key,
            )
        })
        .filter(|(distance, key)| *distance <= 1 + key.chars().count() / 4 || begins(key))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}
