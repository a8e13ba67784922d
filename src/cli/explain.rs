//! `tidegate explain CODE`: what stands in `assets/explain.md`, the one table of all codes.

use super::world::{Exit, World};
use crate::config::nearest;
use crate::domain::fault::{Fault, Kind, Result};
use crate::faces::paint::{Paint, Role};
use clap::Args;

const TABLE: &str = include_str!("../../assets/explain.md");

/// `tidegate explain`
#[derive(Debug, Args)]
pub struct Options {
    /// The code, as a finding or an error shows it; none: all codes
    code: Option<String>,
}

/// One code: its name and the paragraphs under it.
struct Entry {
    code: &'static str,
    text: &'static str,
}

fn entries() -> impl Iterator<Item = Entry> {
    TABLE.split("\n## ").skip(1).map(|part| {
        let (code, text) = part.split_once('\n').unwrap_or((part, ""));
        Entry {
            code: code.trim(),
            text: text.trim(),
        }
    })
}

/// Whether a code is in the table.
pub fn known(code: &str) -> bool {
    entries().any(|entry| entry.code == code)
}

/// Prints what is known of one code, or the list of all.
pub fn run(options: &Options, world: &World) -> Result<Exit> {
    let Some(asked) = &options.code else {
        world.say(&list())?;
        return Ok(Exit::Done);
    };
    let wanted = asked.trim().to_ascii_uppercase().replace(['_', ' '], "-");
    match entries().find(|entry| entry.code == wanted) {
        Some(entry) => {
            world.say(&shown(&entry, world.paint()))?;
            Ok(Exit::Done)
        }
        None => {
            let codes: Vec<&str> = entries().map(|entry| entry.code).collect();
            let near = nearest(&wanted, codes.iter().copied());
            Err(
                Fault::new(Kind::Usage, format!("there is no code \"{asked}\"")).hint(match near {
                    Some(code) => format!("did you mean {code}?  all codes: tidegate explain"),
                    None => "all codes: tidegate explain".into(),
                }),
            )
        }
    }
}

fn list() -> String {
    let width = entries()
        .map(|entry| entry.code.len())
        .max()
        .unwrap_or_default();
    let mut out = String::new();
    for entry in entries() {
        let first = entry.text.lines().next().unwrap_or_default();
        out.push_str(&format!("{:width$}  {first}\n", entry.code));
    }
    out
}

fn shown(entry: &Entry, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.role(Role::Heading, entry.code));
    for line in entry.text.lines() {
        match line.split_once(": ") {
            Some((label @ ("Why" | "Safe" | "Not safe" | "Do"), rest)) => {
                out.push_str(&format!(
                    "{} {rest}\n",
                    paint.role(Role::Heading, &format!("{label}:"))
                ));
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Texts that look like codes and are none.
    const NO_CODES: [&str; 6] = [
        "SCRAM-SHA-256",
        "UTF-8",
        "UTF-16LE",
        "PIPE-CLOSED",
        "CATCH-UP",
        "YYYY-MM-DD",
    ];

    /// Every `"UPPER-CASE"` text in the source that a finding or a fault carries as its code.
    fn used(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("tests") {
                used(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let real = text.split("#[cfg(test)]").next().unwrap_or_default();
                for (at, _) in real.match_indices('"') {
                    let rest = &real[at + 1..];
                    let Some(end) = rest.find('"') else { continue };
                    let before = real[..at].trim_end();
                    let is_code = before.ends_with("code(") || before.ends_with("finding(");
                    let shape = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
                    let text = &rest[..end];
                    let dashed =
                        text.contains('-') && text.starts_with(|c: char| c.is_ascii_uppercase());
                    if (is_code || dashed)
                        && end > 1
                        && text.chars().all(shape)
                        && !NO_CODES.contains(&text)
                    {
                        found.push((rest[..end].to_owned(), path.display().to_string()));
                    }
                }
            }
        }
    }

    #[test]
    fn every_code_in_the_source_is_explained() {
        let mut found = Vec::new();
        used(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        assert!(
            found.iter().any(|(code, _)| code == "SAME-DATABASE"),
            "the search finds what is there"
        );
        let unexplained: Vec<_> = found.iter().filter(|(code, _)| !known(code)).collect();
        assert!(
            unexplained.is_empty(),
            "add these to assets/explain.md: {unexplained:?}"
        );
    }

    #[test]
    fn every_entry_says_what_to_do_and_is_there_once() {
        let mut seen = std::collections::HashSet::new();
        for entry in entries() {
            assert!(seen.insert(entry.code), "{} is there twice", entry.code);
            let first = entry.text.lines().next().unwrap_or_default();
            assert!(first.ends_with('.'), "{}: one sentence first", entry.code);
            for label in ["\nWhy: ", "\nSafe: ", "\nDo: "] {
                assert!(entry.text.contains(label), "{} has no {label}", entry.code);
            }
        }
    }
}
