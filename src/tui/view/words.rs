//! Figures and moments as the screens say them, one way everywhere.

use crate::domain::event::{Phase, Severity};
use crate::domain::unit::{At, Rows, RowsPerSecond, Span, counted, short_count};
use crate::state::migration::{Migration, Owner, WayBack};
use crate::state::pace::Eta;
use crate::tui::theme::{Role, Theme};
use jiff::Timestamp;

/// What stands where something was not measured.
pub const UNKNOWN: &str = "?";

/// A part of a whole in per cent, rounded down: 100 only at one.
pub fn percent(part: f64) -> String {
    format!("{}%", (part.clamp(0.0, 1.0) * 100.0).floor())
}

/// The same with a decimal, without the sign.
pub fn percent_fine(part: f64) -> String {
    format!("{:.1}", (part.clamp(0.0, 1.0) * 1000.0).floor() / 10.0)
}

/// Time of day in UTC: `14:02:51`.
pub fn clock(at: At) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(
        |_| "--:--:--".to_string(),
        |t| t.strftime("%H:%M:%S").to_string(),
    )
}

/// A span, or that it is not known.
pub fn span(span: Option<Span>) -> String {
    span.map_or_else(|| UNKNOWN.to_string(), |s| s.to_string())
}

/// An age: under a second it is none, and the figure would only flicker.
pub fn age(span: Span) -> String {
    if span < Span::seconds(1) {
        "0s".into()
    } else {
        span.to_string()
    }
}

/// How long ago: `just now`, `3m10s ago`.
pub fn ago(span: Span) -> String {
    if span.0 < 100_000 {
        "just now".into()
    } else {
        format!("{span} ago")
    }
}

/// Rows in full up to 99,999, short above: `48,211`, `636M`.
pub fn rows(n: Rows) -> String {
    if n.0 < 100_000 {
        n.to_string()
    } else {
        short_count(n.0)
    }
}

/// What an engine that can't be heard does, as far as is known.
pub fn without_us(state: &Migration) -> &'static str {
    match &state.engine {
        _ if state.over() => "has ended",
        Some(engine) if !engine.running => "was parked",
        _ => "gives no answer",
    }
}

/// One or several of a thing, short above 99,999 like rows are: `1 row`, `3 rows`, `636M rows`.
pub fn count(n: u64, one: &str) -> String {
    match n {
        0..100_000 => counted(n, one),
        _ => format!("{} {one}s", short_count(n)),
    }
}

/// A speed: `9.7k rows/s`.
pub fn speed(rate: RowsPerSecond) -> String {
    format!("{rate} rows/s")
}

/// Who takes writes.
pub fn owner(owner: Owner) -> (&'static str, Role) {
    match owner {
        Owner::Source => ("source", Role::Text),
        Owner::Target => ("target", Role::Target),
        Owner::Nobody => ("nobody", Role::Bad),
    }
}

/// What going back would lose.
pub fn way_back(state: &Migration) -> (&'static str, Role) {
    match state.way_back() {
        WayBack::LosesNothing => ("loses 0", Role::Ok),
        WayBack::Unknown => ("not known", Role::Bad),
        WayBack::Done if state.phase == Phase::Final => ("given up", Role::Muted),
        WayBack::Done => ("done", Role::Muted),
    }
}

/// A phase in capitals, as the header shouts it.
pub fn phase_caps(phase: Phase) -> String {
    match phase {
        Phase::CatchUp => "CATCH-UP".into(),
        other => other.label().replace('-', " ").to_uppercase(),
    }
}

/// The glyph and role of an alert.
pub fn severity(severity: Severity, theme: &Theme) -> (&'static str, Role) {
    match severity {
        Severity::Critical => (theme.glyphs.alarm, Role::Bad),
        Severity::Warning => (theme.glyphs.minor, Role::Warn),
        Severity::Notice => (theme.glyphs.dot, Role::Muted),
    }
}

/// The time left, short: `1h14m–1h48m`.
pub fn eta(eta: &Eta, theme: &Theme) -> String {
    match eta {
        Eta::Done => "0".into(),
        Eta::Measuring => "measuring".into(),
        Eta::Between { .. } => {
            let dash = if theme.glyphs.braille { "–" } else { "-" };
            eta.range(dash).unwrap_or_default()
        }
        Eta::Stopped(_) => UNKNOWN.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundred_is_said_only_of_the_whole() {
        assert_eq!(percent(0.999_9), "99%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(percent_fine(0.999_99), "99.9");
        assert_eq!(percent_fine(1.0), "100.0");
        assert_eq!(percent(1.7), "100%");
    }

    #[test]
    fn moments_are_utc() {
        assert_eq!(clock(At(1_795_183_371_000)), "14:02:51");
        assert_eq!(clock(At(i64::MAX)), "--:--:--");
    }
}
