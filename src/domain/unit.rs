//! Quantities with their unit in the type. No bare number of rows, bytes or time crosses a module.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);
        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0);
        }
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }
        /// Saturates at zero: a difference of quantities is never negative here.
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::ZERO, Add::add)
            }
        }
    };
}

quantity! {
    /// A number of rows.
    Rows
}
quantity! {
    /// A number of bytes.
    Bytes
}
quantity! {
    /// A length of time in microseconds.
    Span
}

/// Rows with thousands separated: `1,600,214`.
impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut out = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, c) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(c);
        }
        f.pad(&out)
    }
}

/// Bytes in the unit that leaves three figures: `812 B`, `4.1 kB`, `64 MB`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1000.0;
            unit += 1;
        }
        let text = if unit == 0 || value >= 99.5 {
            format!("{value:.0} {}", UNITS[unit])
        } else {
            format!("{value:.1} {}", UNITS[unit])
        };
        f.pad(&text)
    }
}

impl Span {
    /// From whole milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }
    /// From whole seconds.
    pub const fn seconds(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }
    /// In seconds, for rates and display.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
    /// Whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }
    /// As the standard library's type, for timers.
    pub const fn to_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl From<Duration> for Span {
    fn from(d: Duration) -> Self {
        Self(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
    }
}

/// As one reads it aloud: `0.4s`, `9s`, `3m10s`, `1h14m`, `6d02h`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0 / 1_000_000;
        let text = match s {
            0 if self.0 == 0 => "0s".to_string(),
            0 if self.0 < 1_000 => format!("{}µs", self.0),
            0 if self.0 < 100_000 => format!("{}ms", self.0 / 1_000),
            0..=9 => format!("{}.{}s", s, self.0 % 1_000_000 / 100_000),
            10..=59 => format!("{s}s"),
            60..=3_599 => format!("{}m{:02}s", s / 60, s % 60),
            3_600..=86_399 => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
            _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3_600),
        };
        f.pad(&text)
    }
}

/// A speed in rows a second.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RowsPerSecond(pub u64);

impl RowsPerSecond {
    /// Reads a speed in rows a second: `840`, `20k`, `1.2M/s`, `20_000`.
    ///
    /// # Errors
    /// A sentence that says how to write one. Zero is refused: standing still is a pause.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not a pace; write rows a second, like \"840\", \"20k\" or \"1.2M\""
            )
        };
        let bare = text.trim();
        let bare = ["rows/s", "/s"]
            .iter()
            .find_map(|suffix| bare.strip_suffix(suffix))
            .unwrap_or(bare);
        let (number, unit) = split(bare);
        let factor = match unit.as_str() {
            "" => 1.0,
            "k" | "K" => 1e3,
            "m" | "M" => 1e6,
            "g" | "G" => 1e9,
            _ => return Err(wrong()),
        };
        match whole(&number, factor).ok_or_else(wrong)? {
            0 => Err("a pace of 0 would stand still; to stop, pause".into()),
            rate => Ok(Self(rate)),
        }
    }
}

/// A number and its unit as people write them, without spaces and separators: `9,700 k` is `9700` and `k`.
pub fn split(text: &str) -> (String, String) {
    let text: String = text
        .chars()
        .filter(|c| !matches!(c, '_' | ',') && !c.is_whitespace())
        .collect();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (text[..end].to_owned(), text[end..].to_owned())
}

/// So many times a factor, in whole ones; none for what is no number, or more than can be meant.
pub fn whole(number: &str, factor: f64) -> Option<u64> {
    let value = number.parse::<f64>().ok()? * factor;
    (value.is_finite() && (0.0..9.0e15).contains(&value)).then(|| value.round() as u64)
}

/// In the unit that leaves three figures: `840`, `9.7k`, `139k`, `1.2M`.
impl fmt::Display for RowsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&short_count(self.0))
    }
}

/// A count with what is counted: `1 chunk`, `1,204 chunks`.
pub fn counted(n: u64, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {noun}{s}", Rows(n))
}

/// A number of rows, which may be an estimate: `about 1,204 rows`.
pub fn roughly(rows: Rows, exact: bool) -> String {
    let about = if exact { "" } else { "about " };
    format!("{about}{}", counted(rows.0, "row"))
}

/// A count in at most five characters: `840`, `9.7k`, `139k`, `1.2M`, `980M`.
pub fn short_count(n: u64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "B", "T"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.5 {
        format!("{value:.0}{}", UNITS[unit])
    } else {
        format!("{value:.1}{}", UNITS[unit])
    }
}

/// A moment on the wall clock: milliseconds since 1970-01-01 UTC. For people only; nothing is decided by it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct At(pub i64);

/// Time on the migration's own clock: the journaled sum of the monotonic time its engines have run, plus the time between
/// runs as the wall clock tells it (never negative). Ages, soaks and expiries are differences of these.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// How long since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Tick) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
    /// This moment, later by `span`.
    pub fn plus(self, span: Span) -> Tick {
        Tick(self.0.saturating_add(span.0))
    }
}
