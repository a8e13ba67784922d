//! `tidegate attach`: another console on a running migration.

use super::world::{Exit, World};
use crate::attach::client::Client;
use crate::attach::wire::Greeting;
use crate::config::written::{Color, Console};
use crate::domain::command::Role;
use crate::domain::fault::{Fault, Kind, Result};
use crate::journal::paths::StateDir;
use crate::tui;
use crate::tui::model::Overlay;
use std::io::IsTerminal as _;
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
}

/// Shows the console until it is left.
pub async fn show(dir: &StateDir, world: &World, wish: Wish) -> Result<Left> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Fault::new(Kind::Usage, "no terminal")
            .hint("over ssh: ssh -t HOST tidegate attach NAME; or as text: tidegate status NAME"));
    }
    let role = if wish.observe {
        Role::Observer
    } else {
        Role::Operator
    };
    let client = Client::attach(dir.socket(), Greeting::new(role, terminal())).await?;
    let options = tui::Options {
        wish: tui::term::Wish {
            // The command line has the last word.
            colour: match world.color().unwrap_or(wish.console.color) {
                Color::Auto => tui::term::Colour::Auto,
                Color::Always => tui::term::Colour::Always,
                Color::Never => tui::term::Colour::Never,
            },
            ascii: world.ascii() || wish.console.ascii,
            light: None,
        },
        keys: wish.keys,
        journal: Some(dir.journal()),
        overlay: wish.overlay,
        ..tui::Options::default()
    };
    let exit = tui::run(Box::new(client), options).await?;
    for report in &exit.reports {
        world.aside(report);
    }
    match exit.how {
        tui::How::DemoOver { keep } => Ok(Left { keep }),
        tui::How::Detached | tui::How::HungUp => Ok(Left::default()),
        tui::How::Ended(fault) => Err(fault),
    }
}

/// Shows the console, then says how to come back.
pub async fn console(dir: &StateDir, world: &World, wish: Wish) -> Result<Exit> {
    show(dir, world, wish).await?;
    Ok(Exit::Done)
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
