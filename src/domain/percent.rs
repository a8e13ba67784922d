//! Text as URLs write it.

/// `ana%40home` → `ana@home`; none where a `%` encodes nothing.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_read_and_nothing_is_guessed() {
        assert_eq!(decoded("a%40b%2f%00").unwrap(), b"a@b/\0");
        assert_eq!(decoded("").unwrap(), b"");
        for wrong in ["%", "%4", "%zz", "a%4"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
