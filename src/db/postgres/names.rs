//! What our objects in a database are called, and how names are written in statements.

pub(super) use crate::db::across::names::{literal, qualified, quote, shown, split};
use crate::domain::id::MigrationName;

/// Our schema: ledger, landed chunks and gate lie in it.
pub(super) const SCHEMA: &str = "tidegate";
/// What slots and publications of ours begin with.
pub(super) const PREFIX: &str = "tidegate_";
/// What a marker in the stream is called.
pub(super) const MARKER: &str = "tidegate";
/// The longest name PostgreSQL keeps.
const LONGEST: usize = 63;

/// The slot's and the publication's name: a slot takes `a-z 0-9 _` only, so a name that has anything else ends with a hash
/// of itself.
pub(super) fn capture(name: &MigrationName) -> String {
    let fit: String = name
        .as_str()
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '_') => c,
            _ => '_',
        })
        .collect();
    let whole = format!("{PREFIX}{fit}");
    if fit == name.as_str() && whole.len() <= LONGEST {
        return whole;
    }
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_str().as_bytes());
    let end = format!("_{:08x}", hash & 0xffff_ffff);
    let kept = whole.len().min(LONGEST - end.len());
    format!("{}{end}", &whole[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_has_a_name_of_its_own() {
        let name = |text: &str| capture(&MigrationName::new(text).unwrap());
        assert_eq!(name("shop"), "tidegate_shop");
        let apart = [
            name("shop-2026"),
            name("shop_2026"),
            name("Shop_2026"),
            name(&"x".repeat(64)),
        ];
        for (i, a) in apart.iter().enumerate() {
            assert!(a.len() <= LONGEST && a.starts_with(PREFIX), "{a}");
            assert!(apart[..i].iter().all(|b| a != b), "{a}");
        }
    }
}
