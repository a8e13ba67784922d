//! The small language of a scenario: conditions, actions, and what hands do.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::{Observed, Owner, stepper::Before};
use crate::demo::{app::control::Command, corrupt::Corruption, error::DemoError};

/// What a step waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The very beginning.
    Start,
    /// At once, when its turn has come.
    Always,
    /// This part of the rows has been copied, from 0 to 1.
    Copied(f64),
    /// The target is at most so far behind. An unknown lag is not.
    LagAtMost(Duration),
    /// The target is at least so far behind. An unknown lag is not.
    LagAtLeast(Duration),
    /// Everything is copied and followed.
    Synced,
    /// Everything has been compared, and nothing differs.
    Equal,
    /// A repair has ended, and nothing differs any more.
    Repaired,
    /// Paused by somebody, now or since the step before.
    Paused,
    /// It has been paused and goes on.
    Resumed,
    /// The engine was gone and is there again.
    Back,
    /// At least so many rows are known to differ.
    Differ(u64),
    /// This side takes the writes.
    Owner(Owner),
    /// Somebody pressed this key since the step before.
    Pressed(String),
}

impl Condition {
    /// Whether it holds, given what has been seen at any time before.
    pub(super) fn holds(&self, seen: &Observed, before: Before) -> bool {
        match self {
            Self::Start | Self::Always => true,
            Self::Copied(part) => seen.copied >= *part,
            Self::LagAtMost(limit) => seen.lag.is_some_and(|lag| lag <= *limit),
            Self::LagAtLeast(limit) => seen.lag.is_some_and(|lag| lag >= *limit),
            Self::Synced => seen.synced,
            Self::Equal => seen.equal,
            Self::Repaired => seen.repaired,
            Self::Paused => seen.paused,
            Self::Resumed => before.paused && !seen.paused,
            Self::Back => before.engine_gone && !seen.engine_gone,
            Self::Differ(rows) => seen.differ >= *rows,
            Self::Owner(owner) => seen.owner == *owner,
            Self::Pressed(key) => seen.pressed.contains(key),
        }
    }

    /// Over in a moment, so it must be noticed even while the step before holds the stage.
    pub(super) fn is_fleeting(&self) -> bool {
        matches!(self, Self::Pressed(_) | Self::Paused)
    }
}

impl FromStr for Condition {
    type Err = DemoError;

    fn from_str(text: &str) -> Result<Self, DemoError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = match words[..] {
            ["start"] => Some(Self::Start),
            ["always"] => Some(Self::Always),
            ["synced"] => Some(Self::Synced),
            ["equal"] => Some(Self::Equal),
            ["repaired"] => Some(Self::Repaired),
            ["paused"] => Some(Self::Paused),
            ["resumed"] => Some(Self::Resumed),
            ["engine", "back"] => Some(Self::Back),
            ["copied", ">=", part] => part
                .parse()
                .ok()
                .filter(|p| (0.0..=1.0).contains(p))
                .map(Self::Copied),
            ["lag", "<=", limit] => span(limit).map(Self::LagAtMost),
            ["lag", ">=", limit] => span(limit).map(Self::LagAtLeast),
            ["differ", ">=", rows] => rows.parse().ok().map(Self::Differ),
            ["owner", "==", "source"] => Some(Self::Owner(Owner::Source)),
            ["owner", "==", "target"] => Some(Self::Owner(Owner::Target)),
            ["pressed", key] => Some(Self::Pressed(key.to_owned())),
            _ => None,
        };
        found.ok_or_else(|| DemoError::new(format!("'{text}' is no condition")))
    }
}

/// What happens to the demo in a step, apart from what people press.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Something the application is told: another rate, errors, a transaction held open.
    App(Command),
    /// The engine is killed with SIGKILL.
    KillEngine,
    /// Somebody drops the guard of a table on the target.
    GuardOff {
        /// Which table.
        table: String,
    },
    /// Somebody damages a table of the target.
    Corrupt {
        /// Which table.
        table: String,
        /// In which way.
        how: Corruption,
    },
}

impl FromStr for Action {
    type Err = DemoError;

    fn from_str(text: &str) -> Result<Self, DemoError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = match words[..] {
            ["app.rate", rate] => rate.parse().ok().map(|rate| Self::App(Command::Rate(rate))),
            ["app.errors", percent, "for", lasts] => {
                let percent = percent
                    .strip_suffix('%')
                    .and_then(|p| p.parse().ok())
                    .filter(|p| (0.0..=100.0).contains(p));
                percent
                    .zip(span(lasts))
                    .map(|(percent, lasts)| Self::App(Command::Errors { percent, lasts }))
            }
            ["app.open_transaction", name, lasts] => span(lasts).map(|lasts| {
                Self::App(Command::OpenTransaction {
                    name: name.to_owned(),
                    lasts,
                })
            }),
            ["engine.kill9"] => Some(Self::KillEngine),
            ["target.guard", "off", table] => Some(Self::GuardOff {
                table: table.to_owned(),
            }),
            ["target.corrupt", table, ref how @ ..] => corruption(how).map(|how| Self::Corrupt {
                table: table.to_owned(),
                how,
            }),
            _ => None,
        };
        found.ok_or_else(|| DemoError::new(format!("'{}' is no action", text.trim())))
    }
}

/// `missing=1 changed=2 swapped=1pair extra=1`, in any order, each at most once, not nothing.
fn corruption(words: &[&str]) -> Option<Corruption> {
    let mut how = Corruption::default();
    for word in words {
        let (name, number) = word.split_once('=')?;
        let (place, number) = match name {
            "missing" => (&mut how.missing, number),
            "changed" => (&mut how.changed, number),
            "extra" => (&mut how.extra, number),
            "swapped" => (
                &mut how.swapped_pairs,
                number.trim_end_matches('s').trim_end_matches("pair"),
            ),
            _ => return None,
        };
        if *place != 0 {
            return None;
        }
        *place = number.parse().ok()?;
    }
    (how.rows() > 0).then_some(how)
}

/// What a person would do, for a demo without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auto {
    /// Pause the migration.
    Pause,
    /// Let it go on.
    Resume,
    /// Repair what differs, confirmed.
    Repair,
    /// Compare everything again.
    Verify,
    /// Press a key that only moves on the screen; without a screen, nothing.
    Press(String),
}

impl FromStr for Auto {
    type Err = DemoError;

    fn from_str(text: &str) -> Result<Self, DemoError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["pause"] => Ok(Self::Pause),
            ["resume"] => Ok(Self::Resume),
            ["repair"] => Ok(Self::Repair),
            ["verify"] => Ok(Self::Verify),
            ["press", key] => Ok(Self::Press(key.to_owned())),
            _ => Err(DemoError::new(format!(
                "'{text}' is nothing that hands can do"
            ))),
        }
    }
}

fn span(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

fn parsed<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: FromStr,
    T::Err: fmt::Display,
    D: Deserializer<'de>,
{
    String::deserialize(from)?
        .parse()
        .map_err(de::Error::custom)
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from)
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from)
    }
}
