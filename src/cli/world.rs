//! What a subcommand sees of the world: where state lies, how text may look, and the way out.

use super::Global;
use crate::config::url::Url;
use crate::config::written::Color;
use crate::domain::compared::Answer;
use crate::domain::fault::{Fault, Kind, Result};
use crate::faces::paint::Paint;
use crate::journal::paths::StateDir;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a command that did its work ends. Faults have their own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for a compare: equal, and everything covered.
    Done,
    /// Confirmed differences.
    Differs,
    /// Preflight blocks.
    Blocked,
    /// Neither equal nor different is shown.
    NotProven,
}

impl Exit {
    /// What a compare's answer ends with.
    pub fn of(answer: Answer) -> Self {
        match answer {
            Answer::Equal => Self::Done,
            Answer::Differs => Self::Differs,
            Answer::Unproven | Answer::Invalid => Self::NotProven,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Differs => 1,
            Exit::Blocked => 3,
            Exit::NotProven => 6,
        })
    }
}

/// The code of the fault that a closed pipe is told by: not worth a word.
pub const PIPE_CLOSED: &str = "PIPE-CLOSED";

/// The world around a command.
#[derive(Debug, Clone)]
pub struct World {
    state_dir: Option<PathBuf>,
    color: Color,
    ascii: bool,
}

impl World {
    /// From the options every command takes.
    pub fn new(global: &Global) -> Self {
        Self {
            state_dir: global.state_dir.clone(),
            color: global.color,
            ascii: global.ascii,
        }
    }

    /// The colours asked for on the command line, where any were.
    pub fn color(&self) -> Option<Color> {
        (self.color != Color::Auto).then_some(self.color)
    }

    /// Whether plain ASCII was asked for on the command line.
    pub fn ascii(&self) -> bool {
        self.ascii
    }

    /// How text on standard output may look.
    pub fn paint(&self) -> Paint {
        self.paint_for(std::io::stdout().is_terminal())
    }

    /// How text on standard error may look.
    pub fn paint_errors(&self) -> Paint {
        self.paint_for(std::io::stderr().is_terminal())
    }

    fn paint_for(&self, terminal: bool) -> Paint {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint {
            color: match self.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && !quiet && !dumb,
            },
            ascii: self.ascii,
        }
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// When nobody reads it any more, or it can't be written.
    pub fn say(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|cause| match cause.kind() {
                std::io::ErrorKind::BrokenPipe => {
                    Fault::new(Kind::Interrupted, "nobody reads the output").code(PIPE_CLOSED)
                }
                _ => own("standard output can't be written", cause),
            })
    }

    /// Writes a line beside the result, to standard error. A reader that is gone is no failure of ours.
    pub fn aside(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// The folder under which every migration has its own.
    ///
    /// # Errors
    /// `Usage`, when neither an option nor the environment says where.
    pub fn state_root(&self, configured: Option<&Path>) -> Result<PathBuf> {
        match self.state_dir.as_deref().or(configured) {
            Some(dir) => std::path::absolute(dir)
                .map_err(|cause| own("the state folder has no absolute path", cause)),
            None => StateDir::default_root(|name| std::env::var_os(name)),
        }
    }

    /// A database named on the command line; relative paths start where we were called.
    ///
    /// # Errors
    /// `Usage`, without a password.
    pub fn url(&self, text: &str) -> Result<Url> {
        let here =
            std::env::current_dir().map_err(|cause| own("the current folder is gone", cause))?;
        Url::parse(text, &here)
    }
}

/// A failure of our own surroundings.
pub fn own(what: &str, cause: impl std::fmt::Display) -> Fault {
    Fault::new(Kind::Own, what).cause(cause)
}
