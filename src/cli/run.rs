//! `tidegate run`: starts the engine in the background, or finds it, and attaches the console.

use super::world::{Exit, World, own};
use super::{attach, engine, planned};
use crate::domain::fault::{Fault, Kind, Result};
use crate::journal::paths::StateDir;
use crate::state::migration::Migration;
use clap::Args;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// The config
    #[arg(short, long, value_name = "FILE", default_value = "tidegate.toml")]
    pub config: PathBuf,
    /// Start the engine, but do not attach a console
    #[arg(long)]
    pub no_console: bool,
}

/// How long an engine may take to let consoles in: a large target's ledger is read first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts or finds the engine, then attaches.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let planned = planned::load(&options.config, world).await?;
    let dir = planned.state.clone();
    // An engine lets consoles look for a moment after the end: whether one listens is asked before the journal is read.
    let listening = listens(&dir);
    if let Some(state) = engine::journaled(&dir).await?.filter(Migration::over) {
        return Err(ended(&state));
    }
    if listening {
        world.aside(&format!(
            "{} runs already: attaching to it",
            planned.config.name
        ));
    } else {
        dir.create()?;
        let pid = start(
            &options.config,
            &dir,
            world,
            planned.config.state_dir.as_deref(),
        )
        .await?;
        world.aside(&format!(
            "engine started: pid {pid} on {}, log {}, survives logout: {}",
            host(),
            dir.log().display(),
            survives()
        ));
    }
    if options.no_console {
        return Ok(Exit::Done);
    }
    attach::console(
        &dir,
        world,
        attach::Wish {
            console: planned.config.console.clone(),
            keys: planned.config.keys.clone(),
            ..attach::Wish::default()
        },
    )
    .await
}

/// Why nothing can be run or attached to any more.
pub fn ended(state: &Migration) -> Fault {
    let name = state.name();
    Fault::new(
        Kind::Usage,
        format!("{name} has ended ({})", state.phase.label()),
    )
    .hint(format!(
        "tidegate report {name} tells what happened; a new migration needs a name of its own, or this one's record moved away"
    ))
}

/// Whether an engine lets consoles in there.
pub fn listens(dir: &StateDir) -> bool {
    UnixStream::connect(dir.socket()).is_ok()
}

/// Starts an engine that outlives this process, and waits until it lets consoles in.
async fn start(
    config: &Path,
    dir: &StateDir,
    world: &World,
    configured: Option<&Path>,
) -> Result<u32> {
    let failed = |cause: std::io::Error| own("the engine can't be started", cause);
    let mut log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(dir.log())
        .map_err(failed)?;
    let from = log.seek(SeekFrom::End(0)).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .arg("engine")
        .arg("--detached")
        .arg("--config")
        .arg(config)
        .arg("--state-dir")
        .arg(world.state_root(configured)?)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let began = Instant::now();
    loop {
        if listens(dir) {
            return Ok(child.id());
        }
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Err(said(&mut log, from, status.code(), dir));
        }
        if began.elapsed() > PATIENCE {
            return Err(gave_up(&mut child, dir));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What an engine that ended at once had to say, in its own words.
fn said(log: &mut std::fs::File, from: u64, code: Option<i32>, dir: &StateDir) -> Fault {
    let mut text = String::new();
    let read = log
        .seek(SeekFrom::Start(from))
        .and_then(|_| log.read_to_string(&mut text));
    let kind = match code {
        Some(2) => Kind::Usage,
        Some(4) => Kind::InDoubt,
        Some(5) => Kind::Refused,
        Some(7) => Kind::Own,
        _ => Kind::Blocked,
    };
    let mut what = "the engine ended at once".to_string();
    let mut hint = format!("its log: {}", dir.log().display());
    if read.is_ok() {
        for line in text.lines() {
            if let Some(sentence) = line.strip_prefix("tidegate: ") {
                what = sentence.to_string();
            } else if let Some(remedy) = line.trim_start().strip_prefix("hint: ") {
                hint = remedy.to_string();
            }
        }
    }
    Fault::new(kind, what).hint(hint)
}

fn gave_up(child: &mut Child, dir: &StateDir) -> Fault {
    let pid = child.id();
    Fault::new(
        Kind::Own,
        format!(
            "the engine (pid {pid}) has not let anybody in for {} s",
            PATIENCE.as_secs()
        ),
    )
    .hint(format!(
        "it may still be reading; its log: {}",
        dir.log().display()
    ))
}

fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "this host".into())
}

/// Whether the engine goes on when its starter logs out: systemd may end what a login has started.
fn survives() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map(|u| u.name)
        .unwrap_or_default();
    let login = std::env::var_os("XDG_SESSION_ID").is_some();
    if !login || Path::new("/var/lib/systemd/linger").join(&user).exists() {
        "yes".into()
    } else {
        format!("yes, unless systemd ends your processes then (loginctl enable-linger {user})")
    }
}
