//! Text without the passwords in it.

/// What stands where a password stood.
pub const HIDDEN: &str = "***";

/// The text with every `user:password@` and `password=…` in it blanked to `***`. Rather too much than too little.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(breaks_word).unwrap_or(rest.len());
        out.push_str(&parameters(&userinfo(&rest[..end])));
        rest = &rest[end..];
        let gap = rest.find(|c| !breaks_word(c)).unwrap_or(rest.len());
        out.push_str(&rest[..gap]);
        rest = &rest[gap..];
    }
    out
}

fn breaks_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// `scheme://user:secret@host` → `scheme://user:***@host`; everything up to the last `@` counts as the secret, since
/// people don't encode the signs in it.
fn userinfo(word: &str) -> String {
    let start = word.find("://").map_or(0, |at| at + 3);
    let (head, body) = word.split_at(start);
    match (body.find(':'), body.rfind('@')) {
        (Some(colon), Some(at)) if colon < at => {
            format!("{head}{}:{HIDDEN}{}", &body[..colon], &body[at..])
        }
        _ => word.to_owned(),
    }
}

fn parameters(word: &str) -> String {
    const SECRET: [&str; 7] = [
        "password=",
        "passwd=",
        "pwd=",
        "secret=",
        "token=",
        "passphrase=",
        "apikey=",
    ];
    let lower = word.to_ascii_lowercase();
    let mut out = String::with_capacity(word.len());
    let mut at = 0;
    while let Some((from, name)) = SECRET
        .iter()
        .filter_map(|name| lower[at..].find(name).map(|found| (at + found, *name)))
        .min()
    {
        let value = from + name.len();
        let end = word[value..]
            .find(['&', ';', ','])
            .map_or(word.len(), |len| value + len);
        out.push_str(&word[at..value]);
        out.push_str(HIDDEN);
        at = end;
    }
    out.push_str(&word[at..]);
    out
}
