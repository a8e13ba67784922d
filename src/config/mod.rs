//! L5: the config, as written (TOML) and as meant. Errors point at file, line, section and key, and say the remedy.
//!
//! `written` mirrors the file; `meant` is what the rest of tidegate works with; `plan` brings it together with both catalogs.

pub mod amount;
pub mod meant;
pub mod plan;
mod signals;
pub mod url;
mod wording;
pub mod written;

use crate::domain::fault::{Fault, Kind, Result};
use std::path::Path;
pub use wording::nearest;

/// Reads a config file and resolves what it says. `env` answers `${NAME}`: none when it is not set.
///
/// # Errors
/// One fault of kind `Usage`, with the line and what to write instead.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<meant::Config> {
    let text = std::fs::read_to_string(path).map_err(|cause| unreadable(path, &cause))?;
    let place = wording::Source::new(path, &text);
    let written = written::parse(&text).map_err(|error| place.explain(&error))?;
    meant::Config::resolve(written, &place, env)
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Fault {
    let shown = path.display();
    let fault = match cause.kind() {
        std::io::ErrorKind::NotFound => Fault::new(Kind::Usage, format!("there is no {shown}"))
            .hint(format!(
                "tidegate init --source URL --target URL -o {shown} writes one"
            )),
        std::io::ErrorKind::InvalidData => Fault::new(
            Kind::Usage,
            format!("{shown} is not text, so it can't be a config"),
        )
        .hint("give the .toml file with -c; a database is named in it, as [source] url"),
        std::io::ErrorKind::IsADirectory => {
            Fault::new(Kind::Usage, format!("{shown} is a folder, not a config"))
                .hint(format!("try -c {shown}/tidegate.toml"))
        }
        _ => Fault::new(Kind::Usage, format!("{shown} can't be read")).cause(cause),
    };
    fault.code("CONFIG")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Environment;
    use crate::domain::unit::{RowsPerSecond, Span};

    const WHOLE: &str = r#"
[migration]
name = "shop-2026"
environment = "dev"
[source]
url = "sqlite:///data/old.db"
leave_out = ["audit_log"]
[target]
url = "${NEW}"
[[table]]
source = "orders"
target = "orders_v2"
mask = ["note"]
existing = "verify"
[backfill]
chunk_time = "250ms"
max_rows_per_second = "20k"
[throttle]
max_lag = "5s"
[console]
ascii = true
"#;

    fn read(text: &str) -> Result<meant::Config> {
        let folder = tempfile::tempdir().map_err(|_| Fault::new(Kind::Own, "no folder"))?;
        let path = folder.path().join("tidegate.toml");
        std::fs::write(&path, text).map_err(|_| Fault::new(Kind::Own, "no file"))?;
        load(&path, &|name| {
            (name == "NEW").then(|| "/data/new.db".to_owned())
        })
    }

    /// What is said, without the folder.
    fn told(text: &str) -> String {
        let fault = read(text).expect_err("this config is wrong");
        assert_eq!(fault.exit_code(), 2);
        match fault.what.find("tidegate.toml") {
            Some(at) => fault.what[at..].to_owned(),
            None => fault.what,
        }
    }

    #[test]
    fn a_config_is_read_whole() {
        let config = read(WHOLE).unwrap();
        assert_eq!(config.name.as_str(), "shop-2026");
        assert_eq!(config.environment, Environment::Dev);
        assert_eq!(config.target.to_string(), "sqlite:///data/new.db");
        assert_eq!(config.backfill.chunk_time, Span::millis(250));
        assert_eq!(
            config.backfill.max_rows_per_second,
            Some(RowsPerSecond(20_000))
        );
        assert_eq!(config.throttle.max_lag, Span::seconds(5));
        assert_eq!(config.verify.max_age, Span::seconds(3_600), "a default");
        assert!(config.console.ascii);
        let orders = &config.tables[0];
        assert_eq!((orders.target.as_str(), orders.adopt), ("orders_v2", true));
        assert!(orders.mask[0].place.ends_with("tidegate.toml:13"));
    }

    #[test]
    fn every_mistake_names_line_section_key_and_remedy() {
        let replaced = |old: &str, new: &str| {
            assert!(WHOLE.contains(old), "{old} is in the whole config");
            WHOLE.replace(old, new)
        };
        let cases = [
            (
                replaced("max_lag =", "max_lags ="),
                "tidegate.toml:19: [throttle] has no \"max_lags\"; did you mean \"max_lag\"?  (keys: max_lag, max_lag_bytes, max_lock_wait, max_active, max_replica_lag, replicas, stale_after)",
            ),
            (
                replaced("mask =", "masks ="),
                "tidegate.toml:13: [[table]] has no \"masks\"; did you mean \"mask\"?  (keys: source, target, mask, existing)",
            ),
            (
                replaced("[throttle]", "[throtle]"),
                "tidegate.toml:18: there is no section [throtle]; did you mean [throttle]?  (sections: [migration] [source] [target] [[table]] [backfill] [throttle] [[signal]] [verify] [[shadow]] [control] [console] [keys])",
            ),
            (
                replaced("\"5s\"", "5"),
                "tidegate.toml:19: [throttle] max_lag: the number 5 is not a length of time in quotes, like \"500ms\"",
            ),
            (
                replaced("\"5s\"", "\"5\""),
                "tidegate.toml:19: [throttle] max_lag: \"5\" needs a unit, like \"5s\" or \"5ms\"",
            ),
            (
                replaced("\"5s\"", "\"5y\""),
                "tidegate.toml:19: [throttle] max_lag: 1826d06h is out of range; it is from 0.1s to 1d00h",
            ),
            (
                replaced("\"20k\"", "0"),
                "tidegate.toml:17: [backfill] max_rows_per_second: a pace of 0 would stand still; to stop, pause",
            ),
            (
                replaced("\"dev\"", "\"production\""),
                "tidegate.toml:4: [migration] environment: \"production\" is not a choice; did you mean \"prod\"?  (choices: prod, staging, dev, demo)",
            ),
            (
                replaced("ascii = true", "ascii = \"yes\""),
                "tidegate.toml:21: [console] ascii: a text in quotes is not true or false",
            ),
            (
                replaced("name = \"shop-2026\"", ""),
                "tidegate.toml:2: [migration] has no \"name\"",
            ),
            (
                replaced("\"shop-2026\"", "\"../etc\""),
                "tidegate.toml:3: [migration] name: \"../etc\" can't name a migration: use 1 to 64 letters, digits, - _ . and start with a letter or digit",
            ),
            (
                replaced("[[table]]", "[table]"),
                "tidegate.toml:10: [table] may be there several times: write it as [[table]]",
            ),
            (
                replaced("${NEW}", "${OLD}"),
                "tidegate.toml:9: [target] url: uses ${OLD}, which is not set",
            ),
            (
                replaced("${NEW}", "mysql://u:pw@h/x"),
                "tidegate.toml:9: [target] url: MySQL is not in this version of tidegate: mysql://u:***@h/x",
            ),
            (
                replaced("${NEW}", "/data/old.db"),
                "tidegate.toml:9: [target] url: source and target are the same database: sqlite:///data/old.db",
            ),
            (
                replaced("[\"audit_log\"]", "5"),
                "tidegate.toml:7: [source] leave_out: the number 5 is not a list, like [\"a\", \"b\"]",
            ),
            (
                replaced("chunk_time = \"250ms\"", "workers = 70000"),
                "tidegate.toml:16: [backfill] workers: the number 70000 is not a whole number",
            ),
            (
                replaced("chunk_time = \"250ms\"", "workers = 0"),
                "tidegate.toml:16: [backfill] workers: is from 1 to 64",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(told(&text), expected);
        }
        assert!(told("").contains("there is no section [migration]"));
        assert!(told("[migration\n").starts_with("tidegate.toml:1: "));
    }

    #[test]
    fn a_missing_file_says_how_to_get_one() {
        let fault = load(Path::new("/nowhere/tidegate.toml"), &|_| None).unwrap_err();
        assert_eq!(fault.what, "there is no /nowhere/tidegate.toml");
        assert!(
            fault
                .hint
                .is_some_and(|hint| hint.contains("tidegate init"))
        );
        let fault = load(Path::new("/tmp"), &|_| None).unwrap_err();
        assert_eq!(fault.what, "/tmp is a folder, not a config");
    }
}
