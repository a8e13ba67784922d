//! What the copy heeds: figures with a limit each, measured by tidegate or by what the operator configured.

use super::unit::{Bytes, Rows, Span};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A figure that is held against a limit. Always a number: what is none is not known, and says so.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Figure(f64);

// There is no figure that differs from itself: `new` takes none, and JSON has none.
impl Eq for Figure {}

impl Figure {
    /// None for what is no number, or has no end.
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl From<u32> for Figure {
    fn from(count: u32) -> Self {
        Self(count.into())
    }
}

impl From<Span> for Figure {
    /// Seconds.
    fn from(span: Span) -> Self {
        Self(span.as_secs_f64())
    }
}

impl From<Bytes> for Figure {
    fn from(bytes: Bytes) -> Self {
        Self(bytes.0 as f64)
    }
}

/// With three figures that say something: `0.012`, `71.4`, `1,204`.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        let sign = if self.0 < 0.0 { "-" } else { "" };
        if size >= 999.5 {
            return f.pad(&format!("{sign}{}", Rows(size.round() as u64)));
        }
        let digits = match size {
            s if s >= 99.95 || s == 0.0 => 0,
            s if s >= 9.995 => 1,
            s if s >= 0.995 => 2,
            _ => 4,
        };
        let text = format!("{:.digits$}", self.0);
        let text = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        };
        // Too small to be seen, and yet not nothing.
        if matches!(text, "0" | "-0") && size > 0.0 {
            return f.pad(&format!("{:e}", self.0));
        }
        f.pad(text)
    }
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Whatever its name says.
    #[default]
    Number,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Measure {
    /// The figure in its unit.
    pub fn show(self, figure: Figure) -> String {
        let whole = |by: f64| (figure.get().max(0.0) * by) as u64;
        match self {
            Self::Number => figure.to_string(),
            Self::Seconds => Span(whole(1e6)).to_string(),
            Self::Bytes => Bytes(whole(1.0)).to_string(),
        }
    }
}

impl Measure {
    /// Reads a figure as people write it in this measure: `80`, `500ms`, `2m`, `10GB`. None: it is none.
    pub fn read(self, text: &str) -> Option<Figure> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let factor = match (self, unit) {
            (Self::Number, "") => 1.0,
            (Self::Seconds, "ms") => 0.001,
            (Self::Seconds, "s") => 1.0,
            (Self::Seconds, "m" | "min") => 60.0,
            (Self::Seconds, "h") => 3_600.0,
            (Self::Bytes, "B") => 1.0,
            (Self::Bytes, "kB") => 1e3,
            (Self::Bytes, "MB") => 1e6,
            (Self::Bytes, "GB") => 1e9,
            (Self::Bytes, "TB") => 1e12,
            _ => return None,
        };
        Figure::new(number.parse::<f64>().ok()? * factor)
    }

    /// How one is written, beside the one there is now.
    pub fn example(self, now: &str) -> String {
        let like = match self {
            Self::Number => "a number",
            Self::Seconds => "a time, like 500ms or 5s",
            Self::Bytes => "a size, like 500MB or 10GB",
        };
        format!("{like} (now {now})")
    }
}

/// On which side of the limit all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The figure should stay below: load, lag, errors.
    #[default]
    Most,
    /// The figure should stay above: room, credits.
    Least,
}

/// A limit: always above zero, so that there is a half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// On which side all is well.
    pub bound: Bound,
    /// The limit itself.
    pub at: Figure,
}

impl Limit {
    /// At most so much.
    pub fn most(at: impl Into<Figure>) -> Self {
        Self {
            bound: Bound::Most,
            at: at.into(),
        }
    }

    /// How much of the limit is used up: 1 is at the limit, beyond it is more, whichever side is the good one.
    pub fn used(self, figure: Figure) -> f64 {
        let (figure, at) = (figure.get(), self.at.get().max(f64::MIN_POSITIVE));
        match self.bound {
            Bound::Most => figure / at,
            Bound::Least if figure <= 0.0 => f64::INFINITY,
            Bound::Least => at / figure,
        }
    }

    /// The figure at which so much of the limit is used up.
    pub fn figure_at(self, used: f64) -> Figure {
        let used = used.max(f64::MIN_POSITIVE);
        let at = match self.bound {
            Bound::Most => self.at.get() * used,
            Bound::Least => self.at.get() / used,
        };
        Figure::new(at).unwrap_or(self.at)
    }
}

/// One signal as it was measured last, with what it means for the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Its name: `stream lag`, `replica db1-r2`, or the one in the config.
    pub name: String,
    /// The figure; none: not known, or too old to be heeded.
    pub figure: Option<Figure>,
    /// Its limit.
    pub limit: Limit,
    /// What it counts.
    #[serde(default)]
    pub measure: Measure,
    /// How old the figure is.
    #[serde(default)]
    pub age: Option<Span>,
    /// Whether it holds the copy back now.
    #[serde(default)]
    pub holds: bool,
    /// Why it could not be read the last time, and what to do about it; empty when it could.
    #[serde(default)]
    pub trouble: String,
}

impl Signal {
    /// Its figure and limit in words: `71 of 80`, `9.2 GB, at least 10 GB`, `unknown of 80`.
    pub fn figures(&self) -> String {
        let figure = match self.figure {
            Some(figure) => self.measure.show(figure),
            None => "unknown".into(),
        };
        let at = self.measure.show(self.limit.at);
        match self.limit.bound {
            Bound::Most => format!("{figure} of {at}"),
            Bound::Least => format!("{figure}, at least {at}"),
        }
    }

    /// Why its figure is not known, and what to do about it.
    pub fn unknown(&self) -> String {
        match (self.age, self.trouble.as_str()) {
            (None, "") => "not read yet".into(),
            (None, trouble) => format!("unknown: {trouble}"),
            (Some(age), "") => format!("unknown for {age}"),
            (Some(age), trouble) => format!("unknown for {age}: {trouble}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_reads_short_and_is_never_shown_as_nothing_when_it_is_not() {
        for (value, text) in [
            (0.0, "0"),
            (71.4, "71.4"),
            (71.0, "71"),
            (0.0123, "0.0123"),
            (0.5, "0.5"),
            (120.4, "120"),
            (1_204.6, "1,205"),
            (-3.5, "-3.5"),
            (0.000_001, "1e-6"),
        ] {
            assert_eq!(Figure::new(value).unwrap().to_string(), text);
        }
        assert_eq!(Figure::new(f64::NAN), None);
        assert_eq!(Figure::new(f64::INFINITY), None);
    }

    #[test]
    fn a_limit_is_written_in_its_own_measure() {
        for (measure, text, value) in [
            (Measure::Number, "80", 80.0),
            (Measure::Number, " 0.01", 0.01),
            (Measure::Seconds, "500ms", 0.5),
            (Measure::Seconds, "2m", 120.0),
            (Measure::Bytes, "1.5GB", 1.5e9),
        ] {
            assert_eq!(measure.read(text), Figure::new(value), "{text}");
        }
        for (measure, text) in [
            (Measure::Number, "80%"),
            (Measure::Number, ""),
            (Measure::Number, "-1"),
            (Measure::Seconds, "5"),
            (Measure::Bytes, "5s"),
        ] {
            assert_eq!(measure.read(text), None, "{text}");
        }
    }

    #[test]
    fn a_limit_is_used_up_from_either_side() {
        let least = |at: u32| Limit {
            bound: Bound::Least,
            at: at.into(),
        };
        assert_eq!(Limit::most(80).used(40.into()), 0.5);
        assert_eq!(least(10).used(20.into()), 0.5);
        assert_eq!(least(10).used(0.into()), f64::INFINITY);
        assert_eq!(Limit::most(80).figure_at(0.5), 40.into());
        assert_eq!(least(8).figure_at(0.8), 10.into());
    }
}
