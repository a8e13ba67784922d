//! Commands to the running application: one line over a Unix socket in its control directory, one line back.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use crate::demo::error::{DemoError, Doing, Result};

/// What the application can be told. As text: `rate 1600`, `open-transaction report-worker 6`, `errors 6 10`,
/// `switch /tmp/shop-new.db`, `stop`.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Transactions a second from now on.
    Rate(u32),
    /// Hold a read transaction open under this name.
    OpenTransaction {
        /// What it is called in the application's log.
        name: String,
        /// How long it stays open.
        lasts: Duration,
    },
    /// Let so many percent of the transactions fail with an error from the database.
    Errors {
        /// Of all transactions, 0 to 100.
        percent: f64,
        /// For how long.
        lasts: Duration,
    },
    /// Use this database from the next transaction (or the next attempt of this one) on.
    Switch(PathBuf),
    /// Finish the current transaction and end.
    Stop,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "rate {rate}"),
            Self::OpenTransaction { name, lasts } => {
                write!(f, "open-transaction {name} {}", lasts.as_secs_f64())
            }
            Self::Errors { percent, lasts } => {
                write!(f, "errors {percent} {}", lasts.as_secs_f64())
            }
            Self::Switch(path) => write!(f, "switch {}", path.display()),
            Self::Stop => f.write_str("stop"),
        }
    }
}

impl FromStr for Command {
    type Err = DemoError;

    fn from_str(line: &str) -> Result<Self> {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let seconds = |text: &str| {
            text.parse()
                .ok()
                .and_then(|s| Duration::try_from_secs_f64(s).ok())
        };
        let command = match (word, &words[..]) {
            ("rate", [rate]) => rate.parse().ok().map(Self::Rate),
            ("open-transaction", [name, lasts]) => {
                seconds(lasts).map(|lasts| Self::OpenTransaction {
                    name: (*name).to_owned(),
                    lasts,
                })
            }
            ("errors", [percent, lasts]) => match (percent.parse(), seconds(lasts)) {
                (Ok(percent), Some(lasts)) if (0.0..=100.0).contains(&percent) => {
                    Some(Self::Errors { percent, lasts })
                }
                _ => None,
            },
            // The whole rest of the line: a path may hold spaces.
            ("switch", [_, ..]) => Some(Self::Switch(PathBuf::from(rest))),
            ("stop", []) => Some(Self::Stop),
            _ => None,
        };
        command.ok_or_else(|| {
            DemoError::new(format!(
                "the application does not know the command '{}'",
                line.trim()
            ))
        })
    }
}

/// A command on its way to the application, and where the answer goes.
pub(super) struct Order {
    pub command: Command,
    pub answer: Option<SyncSender<std::result::Result<(), String>>>,
}

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the socket of an application with this control directory is.
pub fn socket(control_dir: &Path) -> PathBuf {
    control_dir.join("app.sock")
}

/// Sends one command to the application and waits until it has been obeyed (at most three seconds).
///
/// # Errors
/// When no application listens there, it did not answer, or it refused; the sentence says which.
pub fn send(control_dir: &Path, command: &Command) -> Result<()> {
    let talk = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket(control_dir))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = talk().doing(|| {
        format!(
            "the application in {} does not answer",
            control_dir.display()
        )
    })?;
    match answer.trim_end() {
        "ok" => Ok(()),
        "" => Err(DemoError::new("the application ended before it answered")),
        refusal => Err(DemoError::because("the application refused", refusal)),
    }
}

/// The listening side; dropping it closes the socket.
pub(super) struct Ear {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Already gone when somebody removed the whole directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens on the socket and, when tethered, to the end of stdin, which is a [`Command::Stop`].
pub(super) fn listen(control_dir: &Path, tethered: bool) -> Result<(Ear, Receiver<Order>)> {
    let path = socket(control_dir);
    if UnixStream::connect(&path).is_ok() {
        return Err(DemoError::new(format!(
            "another application uses {}",
            control_dir.display()
        )));
    }
    // A socket without a listener is what a killed application leaves.
    let _ = std::fs::remove_file(&path);
    let listener =
        UnixListener::bind(&path).doing(|| format!("cannot listen on {}", path.display()))?;
    listener
        .set_nonblocking(true)
        .doing(|| format!("cannot listen on {}", path.display()))?;
    let (orders, inbox) = sync_channel(16);
    let closed = Arc::new(AtomicBool::new(false));
    let ear = Ear {
        path,
        closed: closed.clone(),
    };
    if tethered {
        let orders = orders.clone();
        spawn("tether", move || {
            // Ends with the pipe, or with an error that means the same.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = orders.send(Order {
                command: Command::Stop,
                answer: None,
            });
        })?;
    }
    spawn("control", move || {
        while !closed.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    // Whoever asked has gone away; the next may not.
                    let _ = hear(stream, &orders);
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    })?;
    Ok((ear, inbox))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .doing(|| format!("cannot start the thread {name}"))?;
    Ok(())
}

fn hear(mut stream: UnixStream, orders: &SyncSender<Order>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut line = String::new();
    BufReader::new((&stream).take(8_192)).read_line(&mut line)?;
    let (answer, answered) = sync_channel(1);
    let outcome = line
        .parse::<Command>()
        .map_err(|error| error.to_string())
        .and_then(|command| {
            orders
                .send(Order {
                    command,
                    answer: Some(answer),
                })
                .map_err(|_| "the application is ending".to_owned())?;
            answered
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| Err("the application is busy".to_owned()))
        });
    match outcome {
        Ok(()) => writeln!(stream, "ok"),
        Err(refusal) => writeln!(stream, "{}", refusal.replace('\n', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_back_as_they_were_written() {
        for command in [
            Command::Rate(1_600),
            Command::OpenTransaction {
                name: "report-worker".to_owned(),
                lasts: Duration::from_millis(6_500),
            },
            Command::Errors {
                percent: 6.5,
                lasts: Duration::from_secs(10),
            },
            Command::Switch(PathBuf::from("/tmp/a b/shop-new.db")),
            Command::Stop,
        ] {
            assert_eq!(command.to_string().parse::<Command>().unwrap(), command);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "",
            "rate",
            "rate fast",
            "rate -1",
            "errors 101 1",
            "errors NaN 1",
            "open-transaction x -1",
            "open-transaction x inf",
            "switch",
            "stop now",
            "Stop",
        ] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }
}
