//! A program that prints a figure. No shell stands between: what is written is what is run.

use super::pick::short;
use super::unknown;
use crate::domain::fault::Result;
use crate::domain::redact::redact;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// Most bytes of its output that are read.
const MOST: u64 = 64 << 10;

/// A program with its arguments.
#[derive(Clone)]
pub struct Program {
    /// What is run: a name found on the path, or a file.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where it is run.
    pub folder: PathBuf,
}

/// The program's name; its arguments may hold secrets.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.program))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ends the program with everything that it started, unless it has ended.
struct Ends(Option<Pid>);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already is as good.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Program {
    /// Runs it and gives what it printed. Dropped, the program ends, and whatever it started.
    ///
    /// # Errors
    /// It can't be run, or it failed.
    pub async fn run(&self) -> Result<Vec<u8>> {
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| unknown(format!("{self} can't be run")).cause(cause))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let mut ends = Ends(pid.map(Pid::from_raw));
        let (printed, complaint) = (child.stdout.take(), child.stderr.take());
        let (printed, complaint) = tokio::join!(beginning(printed), beginning(complaint));
        let status = child
            .wait()
            .await
            .map_err(|cause| unknown(format!("{self} was lost")).cause(cause))?;
        ends.0 = None;
        if status.success() {
            return Ok(printed);
        }
        let fault = unknown(match status.code() {
            Some(code) => format!("{self} failed with exit code {code}"),
            None => format!("{self} was ended by a signal"),
        });
        let said = short(&String::from_utf8_lossy(&complaint));
        Err(match said.is_empty() {
            true => fault,
            false => fault.cause(said),
        })
    }
}

/// What comes out of a pipe, up to a bound; a program that writes on finds it closed.
async fn beginning(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error is what there is.
        let _ = pipe.take(MOST).read_to_end(&mut out).await;
    }
    out
}
