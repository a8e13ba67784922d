//! What went wrong, in a form that people and programs can both use.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Decides the exit code and what the engine does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The call or the configuration is wrong. Exit 2.
    Usage,
    /// Preflight refuses, or a database can't be reached. Exit 3.
    Blocked,
    /// An outcome is not known; a person must look. Exit 4.
    InDoubt,
    /// A condition, a role or a veto refuses. Exit 5.
    Refused,
    /// Nothing wrong was found, but equality was not shown either. Exit 6.
    NotProven,
    /// A failure of tidegate's own surroundings: its disk, its journal. Exit 7.
    Own,
    /// Passing: the same may work when tried again (a lock, a broken connection).
    Transient,
    /// A person stopped it. Exit 130.
    Interrupted,
}

/// An error as it is told: what (one sentence), why, and what to try. Never holds a password or a row's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Decides the exit code.
    pub kind: Kind,
    /// A stable code for `tidegate explain`, such as `TARGET-NOT-EMPTY`; empty where there is nothing more to explain.
    pub code: String,
    /// One plain sentence.
    pub what: String,
    /// The cause, as the thing below said it.
    pub cause: Option<String>,
    /// What to try.
    pub hint: Option<String>,
}

/// The result of everything that can fail.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    /// A fault with its sentence.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            code: String::new(),
            what: what.into(),
            cause: None,
            hint: None,
        }
    }
    /// With a code that `tidegate explain` knows.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }
    /// With what lies behind it.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
    /// With what to try.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Blocked | Kind::Transient => 3,
            Kind::InDoubt => 4,
            Kind::Refused => 5,
            Kind::NotProven => 6,
            Kind::Own => 7,
            Kind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// What came of an act on a database.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It is done, and that was read back or acknowledged.
    Done(T),
    /// It is certainly not done.
    NotDone(Fault),
    /// Nobody knows: the text says what was sent and what was (not) heard. Never retried blind.
    Unknown(String),
}

impl<T> Outcome<T> {
    /// For acts that may be asked for again: an unknown outcome is a fault in doubt.
    pub fn settled(self) -> Result<T> {
        match self {
            Self::Done(value) => Ok(value),
            Self::NotDone(fault) => Err(fault),
            Self::Unknown(evidence) => Err(Fault::new(
                Kind::InDoubt,
                "it is not known whether the last act was done",
            )
            .cause(evidence)),
        }
    }
}
