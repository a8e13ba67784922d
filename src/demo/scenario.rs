//! The story of a demo as a TOML file: what happens when, and what the caption says. Steps are released by the state of the
//! migration and not by the clock, so the story fits a slow machine as well as a fast one.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::error::{DemoError, Doing, Result};

mod stepper;
mod words;

pub use stepper::{Do, Observed, Owner, Stepper};
pub use words::{Action, Auto, Condition};

/// The scenario of `tidegate demo` without a name.
pub const DEFAULT: &str = "first-look";

const BUILT_IN: [(&str, &str); 2] = [
    (DEFAULT, include_str!("../../demo/first-look.toml")),
    (
        "three-minutes",
        include_str!("../../demo/three-minutes.toml"),
    ),
];

/// A whole story.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called with `--scenario`.
    pub name: String,
    /// Decides every choice in it.
    pub seed: u64,
    /// Rows in the shop at the start.
    pub rows: u64,
    /// Longest wait for a step that names none.
    #[serde(default = "ninety_seconds", deserialize_with = "duration")]
    pub longest_wait: Duration,
    /// The application.
    pub app: AppPart,
    /// The copy.
    #[serde(default)]
    pub copy: CopyPart,
    /// What happens, in this order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// How the application begins.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppPart {
    /// Transactions a second.
    pub writes_per_s: u32,
}

/// How the copy is held back, so that there is something to watch.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyPart {
    /// Rows a second, at most; none: as fast as it goes.
    pub max_rows_per_s: Option<u64>,
}

/// One step. It waits for `when`, then for `after` more; shows its caption and does what it does; and keeps the stage for `hold`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What releases it.
    pub when: Condition,
    /// What happens then: one or more actions separated by semicolons, or a list.
    #[serde(rename = "do", default, deserialize_with = "actions")]
    pub acts: Vec<Action>,
    /// Shortest wait, from when `when` held first.
    #[serde(default, deserialize_with = "duration")]
    pub after: Duration,
    /// How long nothing else happens afterwards.
    #[serde(default, deserialize_with = "duration")]
    pub hold: Duration,
    /// Longest wait for `when`, pauses by the user not counted. When it is over an optional step is passed over; any other happens all the same, without its caption.
    #[serde(default, deserialize_with = "some_duration")]
    pub timeout: Option<Duration>,
    /// The story goes on without it.
    #[serde(default)]
    pub optional: bool,
    /// The line to show; `{lag}`, `{differ}` and `{copied}` are filled in when it is shown. None keeps the one before.
    pub caption: Option<String>,
    /// The one key that is offered with it.
    pub key: Option<String>,
    /// What hands would do once `hold` is over; only `--auto` and `--headless` do it.
    pub auto: Option<Auto>,
    /// A remark for presenters; not shown.
    pub note: Option<String>,
}

impl Scenario {
    /// The scenario of this name, or in this file.
    ///
    /// # Errors
    /// When there is neither, or the file is not a scenario; the sentence says where.
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(text).doing(|| format!("the scenario {name} is broken"));
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            return Err(DemoError::new(format!(
                "there is no scenario {name_or_path}: there is {}, or give a file",
                Self::names().collect::<Vec<_>>().join(", ")
            )));
        }
        let text = std::fs::read_to_string(path).doing(|| format!("cannot read {name_or_path}"))?;
        Self::parse(&text).doing(|| format!("{name_or_path} is not a scenario"))
    }

    /// Names of the scenarios that come along, the default first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A scenario from TOML.
    ///
    /// # Errors
    /// With line and column where the text is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text).doing(|| "cannot be understood".to_owned())?;
        if scenario.steps.is_empty() {
            return Err(DemoError::new("a scenario needs at least one [[step]]"));
        }
        for (number, step) in scenario.steps.iter().enumerate() {
            if let Some(unknown) = step.caption.as_deref().and_then(stepper::unknown_figure) {
                return Err(DemoError::new(format!(
                    "step {}: a caption knows no {{{unknown}}}",
                    number + 1
                )));
            }
        }
        Ok(scenario)
    }
}

fn ninety_seconds() -> Duration {
    Duration::from_secs(90)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Duration, D::Error> {
    humantime::parse_duration(&String::deserialize(from)?).map_err(de::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

fn actions<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<Action>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Line(String),
        List(Vec<String>),
    }
    let lines = match Form::deserialize(from)? {
        Form::Line(line) => line.split(';').map(str::to_owned).collect(),
        Form::List(list) => list,
    };
    lines
        .iter()
        .map(|line| line.parse().map_err(de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests;
