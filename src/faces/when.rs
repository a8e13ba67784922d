//! Moments as text: UTC, to the second.

use crate::domain::unit::At;
use jiff::Timestamp;

/// `2026-11-20 13:16:56Z`; a moment that no calendar has is told as its number.
pub fn date_time(at: At) -> String {
    written(at, "%Y-%m-%d %H:%M:%SZ")
}

/// `13:16:56Z`
pub fn time(at: At) -> String {
    written(at, "%H:%M:%SZ")
}

fn written(at: At, form: &str) -> String {
    match Timestamp::from_millisecond(at.0) {
        Ok(moment) => moment.strftime(form).to_string(),
        Err(_) => format!("{} ms", at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_utc() {
        assert_eq!(date_time(At(1_795_180_616_789)), "2026-11-20 13:16:56Z");
        assert_eq!(time(At(0)), "00:00:00Z");
        assert_eq!(time(At(i64::MAX)), format!("{} ms", i64::MAX));
    }
}
