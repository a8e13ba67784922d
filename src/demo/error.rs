//! The one error of the demo's own parts: a sentence, and what the layer below said.

use std::fmt;

/// Something in the demo (not in the migration) did not work.
#[derive(Debug)]
pub struct DemoError {
    /// What could not be done, in one sentence without a full stop.
    pub sentence: String,
    /// What the file system, SQLite or the parser said, if anything.
    pub cause: Option<String>,
}

/// The result of everything in this module tree.
pub type Result<T> = std::result::Result<T, DemoError>;

impl DemoError {
    /// An error that has no cause below it.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            cause: None,
        }
    }

    /// An error with what the layer below said.
    pub fn because(sentence: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self {
            sentence: sentence.into(),
            cause: Some(cause.to_string()),
        }
    }
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{}: {cause}", self.sentence),
            None => f.write_str(&self.sentence),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<rusqlite::Error> for DemoError {
    fn from(error: rusqlite::Error) -> Self {
        Self::because("SQLite refused", error)
    }
}

/// Says what was being done when a call failed.
pub trait Doing<T> {
    /// Turns the error into a [`DemoError`] that begins with `sentence`.
    fn doing(self, sentence: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, sentence: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| DemoError::because(sentence(), cause))
    }
}
