//! The checks. Each takes files and says what is wrong, a line each.

use crate::source::{File, declared, places};
use std::collections::BTreeSet;

/// What may be found in some places only.
pub struct Only {
    /// What it is, for people.
    pub what: &'static str,
    /// What gives it away.
    pub patterns: &'static [&'static str],
    /// Files, or folders with a `/` at the end, that may, with the reason.
    pub may: &'static [(&'static str, &'static str)],
}

fn covers(place: &str, path: &str) -> bool {
    path == place || (place.ends_with('/') && path.starts_with(place))
}

/// Patterns outside the places that may have them, and places that have none any more.
pub fn only(rule: &Only, files: &[File]) -> Vec<String> {
    let mut out = Vec::new();
    let mut used = BTreeSet::new();
    for file in files {
        for pattern in rule.patterns {
            for at in file.found(pattern) {
                match rule.may.iter().find(|(place, _)| covers(place, &file.path)) {
                    Some((place, _)) => {
                        used.insert(*place);
                    }
                    None => out.push(format!("{}: {} ({pattern})", file.at(at), rule.what)),
                }
            }
        }
    }
    for (place, why) in rule.may {
        if !used.contains(place) {
            out.push(format!(
                "tests/tidy.rs: `{place}` is excused from \"{}\" ({why}), but has none: take the line out",
                rule.what
            ));
        }
    }
    out
}

/// Calls that end the program, without a comment `// proven: why it can't happen` on the same line or right above.
pub fn unproven(file: &File) -> Vec<String> {
    const ENDS: [&str; 8] = [
        ".unwrap()",
        ".expect(",
        ".unwrap_err()",
        ".expect_err(",
        "panic!",
        "todo!",
        "unimplemented!",
        "unreachable!",
    ];
    let lines: Vec<&str> = file.text.lines().collect();
    let proven = |line: usize| {
        let says = |n: usize| {
            lines
                .get(n)
                .and_then(|l| l.split_once("// proven: "))
                .is_some_and(|(_, why)| why.len() > 10)
        };
        let mut above = line;
        while above > 0 && lines[above - 1].trim_start().starts_with("//") {
            above -= 1;
            if says(above) {
                return true;
            }
        }
        says(line)
    };
    let mut out = Vec::new();
    for pattern in ENDS {
        for at in file.found(pattern) {
            let line = file.text[..at].matches('\n').count();
            if !proven(line) {
                out.push(format!(
                    "{}: {pattern} without `// proven: reason` on this line or above it",
                    file.at(at)
                ));
            }
        }
    }
    out
}

/// Longer than anybody reads.
pub fn too_long(file: &File, limit: usize) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > limit).then(|| format!("{}: {lines} lines, the limit is {limit}", file.path))
}

/// Names that say nothing.
pub fn says_nothing(path: &str) -> Option<String> {
    const NOTHING: [&str; 9] = [
        "util", "utils", "common", "helper", "helpers", "manager", "misc", "stuff", "types",
    ];
    let part = path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .find(|part| {
            part.split('_')
                .any(|word| NOTHING.contains(&word.to_lowercase().as_str()))
        })?;
    Some(format!(
        "{path}: `{part}` says nothing: name it after what it holds"
    ))
}

/// Files that no `mod` leads to. The roots are `lib.rs`, `main.rs`, and what lies right in `tests/` and `benches/`.
pub fn orphans(files: &[File]) -> Vec<String> {
    let reached: BTreeSet<String> = files.iter().flat_map(|f| declared(f, &f.code)).collect();
    files
        .iter()
        .map(|f| f.path.as_str())
        .filter(|path| {
            let root = matches!(*path, "src/lib.rs" | "src/main.rs")
                || (path.matches('/').count() == 1 && !path.starts_with("src/"))
                || (path.starts_with("tests/") && path.ends_with("/main.rs"));
            !root && !reached.contains(*path)
        })
        .map(|path| format!("{path}: no `mod` leads to it"))
        .collect()
}

/// A file that does not begin by saying what it is.
pub fn unsaid(file: &File) -> Option<String> {
    let first = file
        .text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with("#!["))
        .unwrap_or_default();
    (!first.starts_with("//! ")).then(|| format!("{}: begins without `//! what it is`", file.path))
}

const NEEDS_POSTGRES: &str = "ignore = \"needs a PostgreSQL server: tests/run starts one\"";

/// Ignored tests are run by another test, which they name, or by `tests/run` with a server, or are no tests but a way to
/// look at something: nothing is left out in silence.
pub fn left_out(files: &[File]) -> Vec<String> {
    let mut out = Vec::new();
    for file in files {
        for at in places(&file.code, "ignore") {
            if !file.code[..at].trim_end().ends_with("#[") {
                continue;
            }
            let line = file.text[at..].lines().next().unwrap_or_default();
            if line.starts_with("ignore = \"for looking at ") {
                continue;
            }
            // `tests/run` runs every ignored test with this word in its path, and those of the binary of this name.
            let before = &file.text[at.saturating_sub(200)..at];
            let called = file.path.contains("postgres") || before.contains("on_postgres");
            if called && line.starts_with(NEEDS_POSTGRES) {
                continue;
            }
            let named = line
                .strip_prefix("ignore = \"run by ")
                .and_then(|rest| rest.split('"').next());
            let there = named.is_some_and(|name| {
                files
                    .iter()
                    .any(|f| f.code.contains(&format!("fn {name}(")))
            });
            if !there {
                out.push(format!(
                    "{}: an ignored test names the test that runs it: #[ignore = \"run by other_test\"]",
                    file.at(at)
                ));
            }
        }
    }
    out
}

/// What a map in Markdown says between backticks against what is there: paths, tests by name, and every folder with source.
pub fn mapped(map: &str, files: &[File], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut named = Vec::new();
    for piece in map.split('`').skip(1).step_by(2) {
        let path = piece.trim_end_matches('/');
        let is_path = ["src/", "tests/", "benches/", "demo/", "assets/"]
            .iter()
            .any(|folder| piece.starts_with(folder));
        if is_path && !piece.contains(' ') {
            named.push(path.to_owned());
            if !exists(path) {
                out.push(format!("the map names `{piece}`, which is not there"));
            }
        }
        let is_test = piece.matches('_').count() >= 3
            && piece
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if is_test {
            let made = format!("fn {piece}(");
            if !files.iter().any(|f| f.code.contains(&made)) {
                out.push(format!(
                    "the map names the test `{piece}`, which is not there"
                ));
            }
        }
    }
    let folders: BTreeSet<&str> = files
        .iter()
        .filter(|f| !f.test_only)
        .filter_map(|f| f.path.rsplit_once('/').map(|(folder, _)| folder))
        .filter(|folder| *folder != "src")
        .collect();
    for folder in folders {
        let shown = named
            .iter()
            .any(|n| folder == n || folder.starts_with(&format!("{n}/")));
        if !shown {
            out.push(format!("the map does not show {folder}/"));
        }
    }
    out
}

/// Paths that mean something on one machine only.
pub fn telling(texts: &[(String, String)]) -> Vec<String> {
    // Put together here, or this file would tell as well.
    let signs = ["work/", "farm/", "tmp/studio", "shared/reference"].map(|sign| format!("/{sign}"));
    let mut out = Vec::new();
    for (path, text) in texts {
        for (no, line) in text.lines().enumerate() {
            let telling = signs.iter().any(|sign| {
                line.match_indices(sign.as_str()).any(|(at, _)| {
                    // A path from the root, not the middle of a longer one.
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
                })
            });
            if telling {
                out.push(format!("{path}:{}: {}", no + 1, line.trim()));
            }
        }
    }
    out
}

/// Crates that one part of the program alone may know.
pub fn foreign(file: &File, allowed: &[(&str, &[&str])], crates: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for name in crates {
        let Some((_, places)) = allowed.iter().find(|(c, _)| c == name) else {
            continue;
        };
        for at in file.found(&format!("{name}::")) {
            if !places.iter().any(|place| covers(place, &file.path)) {
                out.push(format!(
                    "{}: {name} belongs in {} only",
                    file.at(at),
                    places.join(", ")
                ));
            }
        }
    }
    out
}

/// Parts that compute and nothing else: no crate but these few, no clock, files, threads, environment.
pub fn impure(file: &File, pure: &[(&str, &[&str])], crates: &[String]) -> Vec<String> {
    const WORLD: [&str; 9] = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "std::io",
        "Instant",
        "SystemTime",
        "std::sync::atomic",
    ];
    let Some((_, may)) = pure.iter().find(|(place, _)| covers(place, &file.path)) else {
        return Vec::new();
    };
    let known = crates
        .iter()
        .filter(|name| !may.contains(&name.as_str()))
        .map(|name| format!("{name}::"));
    known
        .chain(WORLD.map(str::to_owned))
        .flat_map(|pattern| {
            let found = file.found(&pattern);
            found
                .into_iter()
                .map(move |at| format!("{}: this part is pure: no {pattern}", file.at(at)))
        })
        .collect()
}

/// Names of the dependencies in a `Cargo.toml`, as code writes them.
pub fn dependencies(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.trim()))
        .filter(|name| !name.starts_with('#'))
        .map(|name| name.replace('-', "_"))
        .collect()
}
