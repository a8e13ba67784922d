//! Which module of ours a file names, and whether its layer may.

use crate::source::{File, closing, places};

/// A part of the crate with what it may import beside itself.
pub struct Unit {
    pub path: &'static str,
    pub may: &'static [&'static str],
}

/// The part that a module path belongs to: the longest one that contains it.
pub fn unit_of<'a>(units: &'a [Unit], path: &[String]) -> Option<&'a Unit> {
    units
        .iter()
        .filter(|unit| within(path, unit.path))
        .max_by_key(|unit| unit.path.split("::").count())
}

fn within(path: &[String], prefix: &str) -> bool {
    let prefix: Vec<&str> = prefix.split("::").collect();
    path.len() >= prefix.len() && prefix.iter().zip(path).all(|(a, b)| a == b)
}

/// Every import of this file against the table.
pub fn check(units: &[Unit], file: &File) -> Vec<String> {
    if file.test_only {
        return Vec::new();
    }
    let module = match file.path.as_str() {
        "src/lib.rs" => return Vec::new(), // declares modules, imports none
        "src/main.rs" => vec!["main".to_owned()],
        _ => file.module(),
    };
    let Some(own) = unit_of(units, &module) else {
        return vec![format!(
            "{}: no layer: say in tests/tidy.rs what `{}` may import",
            file.path,
            module.join("::")
        )];
    };
    let mut out = Vec::new();
    for (at, path) in named(file, &module) {
        let Some(theirs) = unit_of(units, &path) else {
            continue; // an item at the crate's root
        };
        let allowed = theirs.path == own.path
            || own
                .may
                .iter()
                .any(|may| *may == theirs.path || (may.contains("::") && within(&path, may)));
        if !allowed {
            out.push(format!(
                "{}: `{}` may not import `{}` (named: {})",
                file.at(at),
                own.path,
                theirs.path,
                path.join("::")
            ));
        }
    }
    out
}

/// Every path into our own crate that the file's code names, from the crate's root.
pub fn named(file: &File, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut out = Vec::new();
    let code = &file.real;
    for start in ["crate::", "tidegate::"] {
        for at in places(code, start) {
            for path in tree(code, at + start.len()) {
                out.push((at, path));
            }
        }
    }
    let mut past = 0;
    for at in places(code, "super::") {
        if at < past {
            continue;
        }
        let mut end = at;
        let mut base = module.to_vec();
        while code[end..].starts_with("super::") {
            end += "super::".len();
            base.pop();
        }
        past = end;
        for path in tree(code, end) {
            out.push((at, base.iter().cloned().chain(path).collect()));
        }
    }
    out
}

/// The paths that begin at `at`: one, or all of a group `{a, b::{c, d}}`.
fn tree(code: &str, at: usize) -> Vec<Vec<String>> {
    let mut segments = Vec::new();
    let mut i = at;
    loop {
        i += code[i..].len() - code[i..].trim_start().len();
        if code[i..].starts_with('{') {
            let end = closing(code, i).saturating_sub(1).max(i + 1);
            return split(&code[i + 1..end])
                .into_iter()
                .flat_map(|part| tree(part, 0))
                .filter(|path| !path.is_empty())
                .map(|path| segments.iter().cloned().chain(path).collect())
                .collect();
        }
        let name: String = code[i..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if name.is_empty() {
            return vec![segments];
        }
        i += name.len();
        if name != "self" {
            segments.push(name);
        }
        let rest = code[i..].trim_start();
        if !rest.starts_with("::") {
            return vec![segments];
        }
        i = code.len() - rest.len() + 2;
    }
}

/// The parts of a group, at the commas that no inner group holds.
fn split(group: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut depth, mut from) = (0usize, 0);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(&group[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    out.push(&group[from..]);
    out
}
