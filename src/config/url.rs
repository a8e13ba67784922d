//! Where a database is. A URL shows no password, whoever prints it and however.

use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::percent::decoded;
use crate::domain::plan::{EndPlan, Engine};
pub use crate::domain::redact::{HIDDEN, redact};
use std::fmt;
use std::path::{Path, PathBuf};

/// A database that this version can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// A SQLite file, by its absolute path.
    Sqlite(PathBuf),
    /// A PostgreSQL database, by a URL as libpq takes it.
    Postgres(Secret),
}

/// Text that may hold a password: printed, it has none.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text with its password. For the adapter alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Url {
    /// Reads `sqlite:///path`, `sqlite:path` or a plain path (a relative one starts from `base`), or `postgres://user@host/database`.
    ///
    /// # Errors
    /// A fault without the secret parts of the text: a scheme that this version doesn't know, or no path.
    pub fn parse(text: &str, base: &Path) -> Result<Self> {
        let wrong = |what: String| Fault::new(Kind::Usage, what).code("URL");
        let text = text.trim();
        let shown = redact(text);
        let path = match scheme(text) {
            Some(("sqlite" | "sqlite3", rest)) => {
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                if rest.contains('?') {
                    return Err(wrong(format!(
                        "{shown} has parameters after \"?\", which tidegate doesn't take"
                    ))
                    .hint("give the path alone: sqlite:///path/to/file.db"));
                }
                decoded(rest)
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| wrong(format!("{shown} has a \"%\" that encodes nothing")))?
            }
            Some(("postgres" | "postgresql", rest)) => {
                if !rest.starts_with("//") || text.contains(char::is_whitespace) {
                    return Err(wrong(format!("{shown} is no URL"))
                        .hint("for example postgres://user@host/database"));
                }
                return Ok(Self::Postgres(Secret(text.to_owned())));
            }
            Some((other, _)) if known_later(other).is_some() => {
                let name = known_later(other).unwrap_or(other);
                return Err(wrong(format!(
                    "{name} is not in this version of tidegate: {shown}"
                ))
                .hint("this version moves sqlite:///path/to/file.db and postgres://user@host/database"));
            }
            Some((other, _)) => {
                return Err(wrong(format!(
                    "tidegate doesn't know databases called \"{other}:\": {shown}"
                ))
                .hint("this version moves sqlite:///path/to/file.db and postgres://user@host/database"));
            }
            None => text.to_owned(),
        };
        if path.is_empty() {
            return Err(wrong("an empty URL names no database".into())
                .hint("for example sqlite:///path/to/file.db or postgres://user@host/database"));
        }
        if path == ":memory:" {
            return Err(
                wrong("a database in memory can't be shared with tidegate".into())
                    .hint("put it in a file: sqlite:///path/to/file.db"),
            );
        }
        Ok(Self::Sqlite(base.join(path)))
    }

    /// The kind of database.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// As a plan holds it.
    pub fn end(&self) -> EndPlan {
        let label = match self {
            Self::Sqlite(path) => path.file_stem().map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            Self::Postgres(url) => host_and_database(&url.0),
        };
        EndPlan {
            engine: self.engine(),
            url: self.to_string(),
            label,
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => {
                f.write_str("sqlite://")?;
                for c in redact(&path.to_string_lossy()).chars() {
                    match c {
                        '%' => f.write_str("%25")?,
                        '?' => f.write_str("%3F")?,
                        c => write!(f, "{c}")?,
                    }
                }
                Ok(())
            }
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

/// `postgres://user:secret@db1:5432/shop?sslmode=require` → `db1/shop`; a part that isn't there is left out. What only a service
/// tells is called by the service's name.
fn host_and_database(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    let told = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    let parts = [host, database].into_iter().filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.collect();
    if !parts.is_empty() {
        return parts.join("/");
    }
    let name = told("service").or_else(|| told("dbname"));
    name.unwrap_or("postgres").to_owned()
}

/// `scheme:rest`, where there is a scheme of two letters or more before the first slash (one letter would be a drive).
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let fits = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    // `shop.db:old` is a file; a name with a dot before the colon is never a scheme that people mean.
    (fits && !scheme.contains('.')).then_some((scheme, rest))
}

fn known_later(scheme: &str) -> Option<&'static str> {
    match scheme {
        "mysql" => Some("MySQL"),
        "mariadb" => Some("MariaDB"),
        _ => None,
    }
}

/// Replaces `${NAME}` by the environment's value, and `${file:PATH}` by the first line of a file (for passwords).
///
/// # Errors
/// A sentence that names the variable or file that isn't there, never a value.
pub fn expand(
    text: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let end = inner
            .find('}')
            .ok_or_else(|| "has a \"${\" that is never closed with \"}\"".to_owned())?;
        let name = &inner[..end];
        match name.strip_prefix("file:") {
            Some(path) => {
                let content = std::fs::read_to_string(base.join(path)).map_err(|cause| {
                    format!("wants the file {path}, which can't be read: {cause}")
                })?;
                out.push_str(content.lines().next().unwrap_or_default());
            }
            None => out
                .push_str(&env(name).ok_or_else(|| format!("uses ${{{name}}}, which is not set"))?),
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match Url::parse(text, Path::new("/base")) {
            Ok(Url::Sqlite(path)) => path.display().to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn three_ways_to_write_a_file() {
        assert_eq!(parsed("sqlite:///data/shop.db"), "/data/shop.db");
        assert_eq!(parsed("sqlite:shop.db"), "/base/shop.db");
        assert_eq!(parsed("sqlite://shop.db"), "/base/shop.db");
        assert_eq!(parsed("shop.db"), "/base/shop.db");
        assert_eq!(parsed("/data/a:b.db"), "/data/a:b.db");
        assert_eq!(parsed("sqlite:///data/my%20shop.db"), "/data/my shop.db");
        assert_eq!(parsed("/data/100%.db"), "/data/100%.db");
    }

    #[test]
    fn a_url_prints_as_it_can_be_read_again() {
        for path in ["/data/shop.db", "/data/100%?.db", "/data/my shop.db"] {
            let url = Url::Sqlite(path.into());
            assert_eq!(
                Url::parse(&url.to_string(), Path::new("/base")).as_ref(),
                Ok(&url)
            );
        }
    }

    #[test]
    fn nothing_that_is_said_of_a_url_holds_its_password() {
        for (url, name) in [
            (
                "postgres://app:s3cret@db1/shop",
                "postgres://app:***@db1/shop",
            ),
            ("postgresql://db1/shop?password=s3cret", "password=***"),
            ("postgres:app:s3cret@db1/shop", "is no URL"),
            ("mysql://app:s3c@ret@db1/shop", "MySQL"),
            ("service=shop password=s3cret", ""),
        ] {
            let fault = Url::parse(url, Path::new("/base"));
            let told = match &fault {
                Ok(url) => url.to_string(),
                Err(fault) => format!("{fault} {:?}", fault.hint),
            };
            assert!(told.contains(name), "{told}");
            assert!(!told.contains("s3c"), "{told}");
            assert!(!told.contains("ret@"), "{told}");
        }
    }

    #[test]
    fn a_server_is_called_by_host_and_database() {
        for (url, label) in [
            (
                "postgres://app:s3c/r@t@db1:5432/shop?sslmode=require",
                "db1/shop",
            ),
            ("postgres:///shop?host=/run/postgresql", "shop"),
            ("postgresql://db1", "db1"),
            ("postgres://?service=shop_old", "shop_old"),
            ("postgres://", "postgres"),
        ] {
            let url = Url::parse(url, Path::new("/base")).unwrap();
            assert_eq!(url.end().label, label);
            assert_eq!(url.engine(), Engine::Postgres);
        }
    }

    #[test]
    fn redaction_keeps_what_is_no_secret() {
        assert_eq!(
            redact("can't reach postgres://app:pw@db1:5432/shop now"),
            "can't reach postgres://app:***@db1:5432/shop now"
        );
        assert_eq!(redact("app:pw@tcp(db1)/shop"), "app:***@tcp(db1)/shop");
        assert_eq!(
            redact("postgres://db1/shop?password=pw&user=app"),
            "postgres://db1/shop?password=***&user=app"
        );
        assert_eq!(
            redact("/data/ana@home/shop.db and 02:41:07"),
            "/data/ana@home/shop.db and 02:41:07"
        );
        assert_eq!(
            redact("tidegate.toml:14: [throttle] has no \"max_lags\""),
            "tidegate.toml:14: [throttle] has no \"max_lags\""
        );
    }

    #[test]
    fn variables_and_password_files_are_filled_in() {
        let env = |name: &str| (name == "SHOP").then(|| "/data/shop".to_owned());
        let base = tempfile::tempdir().unwrap();
        std::fs::write(base.path().join("pw"), "hunter2\nsecond line\n").unwrap();
        assert_eq!(
            expand("${SHOP}/a.db", base.path(), &env).unwrap(),
            "/data/shop/a.db"
        );
        assert_eq!(
            expand("x:${file:pw}@h", base.path(), &env).unwrap(),
            "x:hunter2@h"
        );
        assert!(
            expand("${SHOPS}", base.path(), &env)
                .unwrap_err()
                .contains("${SHOPS}")
        );
        assert!(
            expand("${SHOP", base.path(), &env)
                .unwrap_err()
                .contains("never closed")
        );
        assert!(
            expand("${file:none}", base.path(), &env)
                .unwrap_err()
                .contains("none")
        );
    }
}
