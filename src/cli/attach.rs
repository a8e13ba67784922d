//! `tidegate attach`: another console on a running migration.

use super::known;
use super::run::ended;
use super::world::{Exit, World};
use crate::attach::client::Client;
use crate::attach::wire::Greeting;
use crate::config;
use crate::config::written::{Color, Console};
use crate::domain::command::Role;
use crate::domain::fault::{Fault, Kind, Result};
use crate::faces::headless;
use crate::journal::paths::StateDir;
use crate::state::migration::{Migration, Owner, WayBack};
use crate::tui;
use crate::tui::model::Overlay;
use clap::Args;
use std::io::IsTerminal as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// What a console is to be like.
#[derive(Default)]
pub struct Wish {
    /// Only look.
    pub observe: bool,
    /// How it draws.
    pub console: Console,
    /// Remapped keys.
    pub keys: toml::Table,
    /// What the demo lays over it.
    pub overlay: Option<watch::Receiver<Overlay>>,
}

/// How a console was left.
#[derive(Debug, Default)]
pub struct Left {
    /// The demo's files are to stay.
    pub keep: bool,
    /// The engine ended first.
    pub gone: bool,
    /// The migration as it was last seen.
    pub state: Option<Arc<Migration>>,
}

/// Shows the console until it is left.
pub async fn show(dir: &StateDir, world: &World, wish: Wish) -> Result<Left> {
    show_at(&dir.socket(), Some(dir.journal()), world, wish).await
}

async fn show_at(
    socket: &Path,
    journal: Option<PathBuf>,
    world: &World,
    wish: Wish,
) -> Result<Left> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Fault::new(Kind::Usage, "no terminal")
            .hint("over ssh: ssh -t HOST tidegate attach NAME; or as text: tidegate status NAME"));
    }
    let role = if wish.observe {
        Role::Observer
    } else {
        Role::Operator
    };
    let client = Client::attach(socket, Greeting::new(role, terminal())).await?;
    let options = tui::Options {
        wish: tui::term::Wish {
            colour: colour(world, Some(wish.console.color)),
            ascii: world.ascii() || wish.console.ascii,
            light: None,
        },
        keys: wish.keys,
        journal,
        overlay: wish.overlay,
        ..tui::Options::default()
    };
    let exit = tui::run(Box::new(client), options).await?;
    for report in &exit.reports {
        world.aside(report);
    }
    let state = Some(exit.state);
    match exit.how {
        tui::How::DemoOver { keep } => Ok(Left {
            keep,
            state,
            gone: false,
        }),
        tui::How::Detached | tui::How::HungUp => Ok(Left {
            state,
            ..Left::default()
        }),
        tui::How::Ended(fault) => {
            let over = state
                .as_ref()
                .is_some_and(|s| s.over() || s.engine.as_ref().is_some_and(|e| !e.running));
            if over {
                Ok(Left {
                    state,
                    gone: true,
                    keep: false,
                })
            } else {
                Err(fault)
            }
        }
    }
}

/// Options of `attach`.
#[derive(Debug, Args)]
pub struct Options {
    /// The migration, or its control socket; none: the only one there is
    #[arg(value_name = "NAME or SOCKET")]
    name: Option<String>,
    /// Only look: no key of this console acts
    #[arg(long)]
    observe: bool,
    /// A config whose [keys] and [console] this console heeds
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Attaches to a running engine.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    let mut wish = Wish {
        observe: options.observe,
        ..Wish::default()
    };
    if let Some(file) = &options.config {
        let config = config::load(file, &|name| std::env::var(name).ok())?;
        (wish.console, wish.keys) = (config.console, config.keys);
    }
    let socket = options
        .name
        .as_deref()
        .map(Path::new)
        .filter(|path| is_socket(path));
    if let Some(socket) = socket {
        return leave(show_at(socket, None, world, wish).await?, world);
    }
    let known = known::one(world, options.name.as_deref()).await?;
    if known.state.over() {
        return Err(ended(&known.state));
    }
    if !known::answers(&known.dir.socket()).await {
        return Err(
            Fault::new(Kind::Refused, format!("no engine of {} runs", known.name)).hint(format!(
                "start it: tidegate run -c FILE   look back: tidegate replay {}",
                known.name
            )),
        );
    }
    console(&known.dir, world, wish).await
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Shows the console, then says how to come back.
pub async fn console(dir: &StateDir, world: &World, wish: Wish) -> Result<Exit> {
    leave(show(dir, world, wish).await?, world)
}

fn leave(left: Left, world: &World) -> Result<Exit> {
    let Some(state) = left.state else {
        return Ok(Exit::Done);
    };
    let name = state.name();
    if let Some(ending) = state.ending() {
        world.say(&format!(
            "{name} has ended, {ending}. what happened: tidegate report {name}\n"
        ))?;
    } else if left.gone {
        world.say(&format!(
            "the engine of {name} has ended; everything is kept. go on: tidegate run -c FILE\n"
        ))?;
    } else {
        let way_back = if state.way_back() == WayBack::LosesNothing {
            "loses 0"
        } else {
            "see status"
        };
        world.say(&format!(
            "detached. {name} goes on: {}, writes on {}, way back {way_back}.\n\
             \x20 look   tidegate attach {name}        pause  tidegate send {name} pause        all  tidegate list\n",
            headless::progress(&state),
            if state.owner() == Owner::Target { "target" } else { "source" },
        ))?;
    }
    Ok(Exit::Done)
}

/// How much colour: the command line has the last word.
pub fn colour(world: &World, configured: Option<Color>) -> tui::term::Colour {
    match world.color().or(configured).unwrap_or(Color::Auto) {
        Color::Auto => tui::term::Colour::Auto,
        Color::Always => tui::term::Colour::Always,
        Color::Never => tui::term::Colour::Never,
    }
}

/// The terminal, as others see it in the list of who is here.
fn terminal() -> String {
    let tty = nix::unistd::ttyname(std::io::stdin())
        .ok()
        .map(|path| path.display().to_string());
    let tty = tty
        .map(|path| path.trim_start_matches("/dev/").to_string())
        .unwrap_or_else(|| "a terminal".into());
    if std::env::var_os("SSH_CONNECTION").is_some() {
        format!("{tty} over ssh")
    } else {
        tty
    }
}
