//! Rust source as the checks see it: comments and texts blanked out, tests taken away, line by line as in the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One `.rs` file.
pub struct File {
    /// Its path from the repository's root, with `/`.
    pub path: String,
    /// As written.
    pub text: String,
    /// Comments, texts and characters blanked out; every line and column where it was.
    pub code: String,
    /// `code` without what is compiled for tests only.
    pub real: String,
    /// Whether the whole file is compiled for tests only.
    pub test_only: bool,
}

impl File {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code = blank(&text);
        let real = without_tests(&code);
        let test_only = !path.starts_with("src/");
        Self {
            path,
            text,
            code,
            real,
            test_only,
        }
    }

    /// The folders and the file's name as a module path below the crate: `src/db/sqlite/mod.rs` is `db sqlite`.
    pub fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let mut parts: Vec<String> = inner
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if matches!(
            parts.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            parts.pop();
        }
        parts
    }

    /// Where a place in the text lies, for people: `src/x.rs:12`.
    pub fn at(&self, offset: usize) -> String {
        let line = self.text[..offset.min(self.text.len())]
            .matches('\n')
            .count();
        format!("{}:{}", self.path, line + 1)
    }

    /// Places of a pattern in what is compiled outside tests, whole words only.
    pub fn found(&self, pattern: &str) -> Vec<usize> {
        if self.test_only {
            return Vec::new();
        }
        places(&self.real, pattern)
    }
}

/// Places of `pattern` in `code` that no letter, digit or underscore touches where the pattern itself begins or ends with one.
pub fn places(code: &str, pattern: &str) -> Vec<usize> {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(pattern)
        .map(|(at, _)| at)
        .filter(|at| {
            let before = word(pattern.chars().next()) && word(code[..*at].chars().next_back());
            let end = at + pattern.len();
            let after = word(pattern.chars().next_back()) && word(code[end..].chars().next());
            !before && !after
        })
        .collect()
}

/// All `.rs` files below `folders`, in order; files that `#[cfg(test)] mod name;` leads to are marked as tests.
pub fn read(root: &Path, folders: &[&str]) -> Vec<File> {
    let mut paths = Vec::new();
    for folder in folders {
        walk(&root.join(folder), &mut paths);
    }
    paths.sort();
    let mut files: Vec<File> = paths
        .iter()
        .map(|path| {
            let inner = path.strip_prefix(root).unwrap();
            let name = inner.to_string_lossy().replace('\\', "/");
            File::new(name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    mark_tests(&mut files);
    files
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Every text of the repository with its path: what a build made and what git keeps is left out.
pub fn texts(root: &Path, out: &mut Vec<(String, String)>) {
    fn inside(root: &Path, folder: &Path, out: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if name == "target" || name == ".git" {
                continue;
            }
            if path.is_dir() {
                inside(root, &path, out);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let inner = path.strip_prefix(root).unwrap();
                out.push((inner.to_string_lossy().into_owned(), text));
            }
        }
    }
    inside(root, root, out);
}

/// A file is a test when the module that names it says `#[cfg(test)]`, or is one itself.
pub fn mark_tests(files: &mut [File]) {
    let mut tests = BTreeSet::new();
    for file in files.iter() {
        let all = declared(file, &file.code);
        let real: BTreeSet<_> = declared(file, &file.real).into_iter().collect();
        tests.extend(all.into_iter().filter(|path| !real.contains(path)));
    }
    loop {
        let more: Vec<String> = files
            .iter()
            .filter(|f| tests.contains(&f.path))
            .flat_map(|f| declared(f, &f.code))
            .filter(|path| !tests.contains(path))
            .collect();
        if more.is_empty() {
            break;
        }
        tests.extend(more);
    }
    for file in files {
        file.test_only |= tests.contains(&file.path);
    }
}

/// Paths of the files that `mod name;` in this one leads to: both places where each may lie.
pub fn declared(file: &File, code: &str) -> Vec<String> {
    let folder = match file.path.rsplit_once('/') {
        Some((folder, _)) => folder,
        None => "",
    };
    let stem = file
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".rs");
    // The root of a crate and `mod.rs` have their modules beside them, every other file in a folder of its own name.
    let crate_root = ["tests", "benches"].contains(&folder);
    let base = if matches!(stem, "mod" | "lib" | "main") || crate_root {
        folder.to_owned()
    } else {
        format!("{folder}/{stem}")
    };
    let mut out = Vec::new();
    for at in places(code, "mod") {
        let rest = code[at + 3..].trim_start();
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if name.is_empty() || !rest[name.len()..].trim_start().starts_with(';') {
            continue;
        }
        match path_attribute(file, at) {
            Some(path) => out.push(resolved(folder, &path)),
            None => {
                out.push(format!("{base}/{name}.rs"));
                out.push(format!("{base}/{name}/mod.rs"));
            }
        }
    }
    out
}

/// `folder/path`, with each `..` taken back.
fn resolved(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The text of `#[path = "…"]` among the attributes right before the item at `at`.
fn path_attribute(file: &File, at: usize) -> Option<String> {
    let before = file.text[..at].trim_end();
    let before = before
        .strip_suffix("pub")
        .or_else(|| before.strip_suffix("pub(crate)"))
        .unwrap_or(before)
        .trim_end();
    let attributes = before.lines().rev().map(str::trim);
    attributes
        .take_while(|line| line.starts_with("#["))
        .find_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"))
        .map(str::to_owned)
}

/// Comments, texts and characters blanked out. Line breaks stay, and so does the length in bytes.
pub fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    let wipe = |out: &mut Vec<u8>, from: usize, to: usize| {
        for byte in &mut out[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    while i < bytes.len() {
        let start = i;
        match bytes[i] {
            b'/' if bytes.get(i + 1) == Some(&b'/') => {
                i = bytes[i..]
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(bytes.len(), |n| i + n);
                wipe(&mut out, start, i);
            }
            b'/' if bytes.get(i + 1) == Some(&b'*') => {
                let mut depth = 0;
                while i < bytes.len() {
                    if bytes[i..].starts_with(b"/*") {
                        depth += 1;
                        i += 2;
                    } else if bytes[i..].starts_with(b"*/") {
                        depth -= 1;
                        i += 2;
                        if depth == 0 {
                            break;
                        }
                    } else {
                        i += 1;
                    }
                }
                wipe(&mut out, start, i.min(bytes.len()));
            }
            b'"' => {
                i = end_of_text(bytes, i);
                wipe(&mut out, start + 1, i.saturating_sub(1).max(start + 1));
            }
            b'r' if !touches_word(bytes, i) && raw_hashes(bytes, i).is_some() => {
                let hashes = raw_hashes(bytes, i).unwrap_or(0);
                let open = i + 1 + hashes + 1;
                let mut close = vec![b'"'];
                close.resize(hashes + 1, b'#');
                i = bytes[open..]
                    .windows(close.len())
                    .position(|w| w == close)
                    .map_or(bytes.len(), |n| open + n + close.len());
                wipe(&mut out, open, i.saturating_sub(close.len()).max(open));
            }
            b'\'' => match end_of_char(text, i) {
                Some(end) => {
                    wipe(&mut out, start + 1, end - 1);
                    i = end;
                }
                None => i += 1,
            },
            _ => i += 1,
        }
    }
    String::from_utf8(out).unwrap()
}

fn touches_word(bytes: &[u8], i: usize) -> bool {
    let before = i.checked_sub(1).map(|n| bytes[n]);
    // `br"…"` and `cr"…"` are texts too.
    let prefix = matches!(before, Some(b'b' | b'c'))
        && !i
            .checked_sub(2)
            .map(|n| bytes[n])
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    !prefix && before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn raw_hashes(bytes: &[u8], i: usize) -> Option<usize> {
    let hashes = bytes[i + 1..].iter().take_while(|b| **b == b'#').count();
    (bytes.get(i + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn end_of_text(bytes: &[u8], open: usize) -> usize {
    let mut i = open + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// The end of a character's text that begins at `open`; none for a lifetime.
fn end_of_char(text: &str, open: usize) -> Option<usize> {
    let rest = &text[open + 1..];
    let first = rest.chars().next()?;
    if first == '\\' {
        let close = rest[2..].find('\'')?;
        return Some(open + 1 + 2 + close + 1);
    }
    let after = first.len_utf8();
    rest[after..]
        .starts_with('\'')
        .then_some(open + 1 + after + 1)
}

/// Blanks out every item under an attribute that asks for `test`.
fn without_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[") {
        let start = from + found;
        let attribute = closing(code, start + 1);
        let inside = &code[start + 2..attribute.saturating_sub(1)];
        from = attribute;
        let for_tests = inside.trim_start().starts_with("cfg(")
            && !places(inside, "test").is_empty()
            && places(inside, "not").is_empty();
        if !for_tests {
            continue;
        }
        let end = end_of_item(code, attribute);
        for byte in &mut out[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        from = end;
    }
    String::from_utf8(out).unwrap()
}

/// Just after the item that begins at `from`: at its `;`, or at the brace that closes its body.
fn end_of_item(code: &str, from: usize) -> usize {
    let bytes = code.as_bytes();
    let mut i = from;
    while i < bytes.len() {
        match bytes[i] {
            b';' | b',' => return i + 1,
            b'}' => return i,
            b'{' => return closing(code, i),
            b'(' | b'[' => i = closing(code, i),
            _ => i += 1,
        }
    }
    bytes.len()
}

/// Just after the bracket that closes the one at `open`.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}
