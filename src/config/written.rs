//! `tidegate.toml` exactly as it is written. Every key is here; a key that isn't is an error with a suggestion.

use super::amount::{WrittenBytes, WrittenFigure, WrittenRate, WrittenSpan};
use crate::domain::plan::{Environment, Prune, Side};
use serde::Deserialize;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// `[migration]`
    pub migration: Migration,
    /// `[source]`
    pub source: Source,
    /// `[target]`
    pub target: Target,
    /// `[[table]]`: none means every table of the source.
    #[serde(default)]
    pub table: Vec<Table>,
    /// `[backfill]`
    #[serde(default)]
    pub backfill: Backfill,
    /// `[throttle]`
    #[serde(default)]
    pub throttle: Throttle,
    /// `[[signal]]`
    #[serde(default)]
    pub signal: Vec<Signal>,
    /// `[verify]`
    #[serde(default)]
    pub verify: Verify,
    /// `[[shadow]]`
    #[serde(default)]
    pub shadow: Vec<Shadow>,
    /// `[control]`
    #[serde(default)]
    pub control: Control,
    /// `[console]`
    #[serde(default)]
    pub console: Console,
    /// `[keys]`: the console owns its meaning.
    #[serde(default)]
    pub keys: toml::Table,
}

/// `[migration]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Typed by hand to arm what can't be undone.
    pub name: Spanned<String>,
    /// `prod`, `staging`, `dev`: prod, the safest, when nothing is said.
    pub environment: Option<Environment>,
}

/// `[source]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where it is.
    pub url: Spanned<String>,
    /// When tidegate's log in it is pruned.
    pub prune: Option<Spanned<Prune>>,
    /// How much WAL it may keep for us, where the server sets no limit itself.
    pub wal_space: Option<Spanned<WrittenBytes>>,
    /// Tables that stay behind.
    #[serde(default)]
    pub leave_out: Vec<Spanned<String>>,
}

/// `[target]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where it is.
    pub url: Spanned<String>,
}

/// `[[table]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name on the source.
    pub source: Spanned<String>,
    /// Its name on the target: the same when nothing is said.
    pub target: Option<Spanned<String>>,
    /// Columns whose values are never shown.
    #[serde(default)]
    pub mask: Vec<Spanned<String>>,
    /// What to do with rows that are on the target already.
    pub existing: Option<Spanned<Existing>>,
}

/// `existing = …`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Compare them with the source, then repair; copy none of them blindly.
    Verify,
}

/// `[backfill]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backfill {
    /// How long reading one chunk should take.
    pub chunk_time: Option<Spanned<WrittenSpan>>,
    /// Parallel readers, where the source can use them.
    pub workers: Option<Spanned<u16>>,
    /// The pace at the start.
    pub max_rows_per_second: Option<WrittenRate>,
}

/// `[throttle]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// The copy stands still beyond this lag.
    pub max_lag: Option<Spanned<WrittenSpan>>,
    /// The same in bytes of the stream.
    pub max_lag_bytes: Option<Spanned<WrittenBytes>>,
    /// The longest a write of the application may wait for us.
    pub max_lock_wait: Option<Spanned<WrittenSpan>>,
    /// Statements of others that run on the source at once.
    pub max_active: Option<Spanned<u32>>,
    /// How far the source's standbys may be behind.
    pub max_replica_lag: Option<Spanned<WrittenSpan>>,
    /// The standbys that must be there.
    #[serde(default)]
    pub replicas: Vec<Spanned<String>>,
    /// A signal older than this pauses the copy.
    pub stale_after: Option<Spanned<WrittenSpan>>,
}

/// `[[signal]]`: exactly one of `sql`, `command`, `http`, `prometheus`, and exactly one of `limit`, `min`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Its name on the screen.
    pub name: Spanned<String>,
    /// A read that gives one figure.
    pub sql: Option<Spanned<String>>,
    /// On which database.
    pub on: Option<Spanned<Side>>,
    /// A program with its arguments that prints one figure.
    pub command: Option<Spanned<Vec<String>>>,
    /// A URL that answers with one figure.
    pub http: Option<Spanned<String>>,
    /// Where in its JSON the figure is.
    pub pick: Option<Spanned<String>>,
    /// A Prometheus server.
    pub prometheus: Option<Spanned<String>>,
    /// What it is asked.
    pub query: Option<Spanned<String>>,
    /// A token that is sent along, to the URL or to the Prometheus server.
    pub bearer: Option<Spanned<String>>,
    /// The copy slows as the figure nears this, and stands still beyond it.
    pub limit: Option<Spanned<WrittenFigure>>,
    /// The same for a figure that should stay above.
    pub min: Option<Spanned<WrittenFigure>>,
    /// How often it is read.
    pub every: Option<Spanned<WrittenSpan>>,
    /// How long reading it may take.
    pub timeout: Option<Spanned<WrittenSpan>>,
}

/// `[verify]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// No chunk's last check may be older once in step.
    pub max_age: Option<Spanned<WrittenSpan>>,
    /// Most rows compared a second.
    pub max_rows_per_second: Option<WrittenRate>,
}

/// `[[shadow]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Its name on the screen.
    pub name: Spanned<String>,
    /// The read, with `?1`, `?2` … for parameters.
    pub sql: Spanned<String>,
    /// A read on the source that gives the parameters.
    pub params: Option<String>,
    /// Whether the order of the result counts.
    #[serde(default)]
    pub ordered: bool,
}

/// `[control]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// A group of this machine whose members may attach.
    pub group: Option<String>,
    /// Where journal, log and socket lie.
    pub state_dir: Option<Spanned<String>>,
}

/// `[console]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Draw with plain ASCII.
    #[serde(default)]
    pub ascii: bool,
    /// Colours, or none.
    #[serde(default)]
    pub color: Color,
    /// Times in UTC, or local ones.
    #[serde(default)]
    pub time: Zone,
}

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How times are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zone {
    /// Coordinated universal time.
    #[default]
    Utc,
    /// The time of this machine.
    Local,
}

/// Reads the text.
///
/// # Errors
/// TOML's own error, with a span.
pub fn parse(text: &str) -> Result<Written, toml::de::Error> {
    toml::from_str(text)
}
