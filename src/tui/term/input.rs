//! Keys as they are pressed, awaited without a thread.
//!
//! crossterm's own reader is not used: it loses a key that is pressed in the moment of a resize until the next one is
//! (its events are edge triggered and only the first of two is looked at), and it wakes only the first task that ever waited.

use super::parse::Parser;
use crossterm::event::Event;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// After this an Esc is a key and not the beginning of one. Over ssh a sequence comes in one piece all the same.
const ESC: Duration = Duration::from_millis(25);

/// The keyboard of the terminal.
pub struct Input {
    file: AsyncFd<File>,
    parser: Parser,
}

impl Input {
    /// Opens the terminal of the standard input anew: not waiting for bytes is set for an opening, and the shell shares ours.
    pub fn open() -> io::Result<Self> {
        let path = nix::unistd::ttyname(io::stdin()).unwrap_or_else(|_| "/dev/tty".into());
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(path)?;
        #[allow(
            deprecated,
            reason = "its successor is `unsafe` for types that may lie about their descriptor; a file owns its own"
        )]
        let file = AsyncFd::new(file)?;
        Ok(Self {
            file,
            parser: Parser::default(),
        })
    }

    /// The next event; an error when the terminal is gone. Cancel-safe: what was read stays.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.parser.next(false) {
                return Ok(event);
            }
            if self.parser.waits() {
                match tokio::time::timeout(ESC, self.fill()).await {
                    Ok(filled) => filled?,
                    Err(_) => {
                        if let Some(event) = self.parser.next(true) {
                            return Ok(event);
                        }
                    }
                }
            } else {
                self.fill().await?;
            }
        }
    }

    /// What is there already, without waiting.
    pub fn ready(&mut self) -> Option<Event> {
        self.parser.next(false)
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 4_096];
        loop {
            let mut readable = self.file.readable().await?;
            match readable.try_io(|file| file.get_ref().read(&mut piece)) {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(n)) => {
                    self.parser.feed(&piece[..n]);
                    return Ok(());
                }
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(e)) => return Err(e),
                Err(_) => {}
            }
        }
    }
}
