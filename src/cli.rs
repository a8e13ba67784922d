//! L5: the command line. One file a subcommand; this one lists them, and runs the one that was asked for.

mod attach;
mod audit;
mod check;
mod clean;
pub mod complain;
mod completions;
pub mod demo;
pub mod ends;
mod engine;
mod explain;
mod host;
mod init;
pub mod known;
mod picture;
pub mod planned;
mod replay;
mod report;
mod round;
mod row;
mod run;
mod send;
mod status;
mod stop;
mod talk;
mod unit;
mod verbs;
mod verify;
pub mod world;

use crate::config::written::Color;
use crate::domain::fault::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use world::{Exit, World};

/// Watch, steer and undo a live database migration.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done · 1 differs · 2 usage or config · 3 blocked · 4 in doubt · 5 refused · 6 not proven · 7 own failure · 130 interrupted"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where journals, logs and sockets lie [default: $XDG_STATE_HOME/tidegate]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Colours: on a terminal, always, or never; NO_COLOR is heeded
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, hide_possible_values = true, value_name = "WHEN")]
    pub color: Color,
    /// Draw with ASCII only
    #[arg(long, global = true)]
    pub ascii: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A live migration between two real SQLite files with an application writing; no server, no config
    Demo(demo::Options),
    /// Look at two databases and write a commented config
    Init(init::Options),
    /// What a plan would do, and what stands in its way; changes nothing
    Check(check::Options),
    /// Compare two databases to the row, reading only
    Verify(verify::Options),
    /// Start the engine in the background, or find it, and attach the console
    Run(run::Options),
    /// The engine in the foreground, without a screen
    Engine(engine::Options),
    /// Another console on a running migration
    Attach(attach::Options),
    /// How a migration stands, engine up or down
    Status(status::Options),
    /// The migrations of this machine
    List(status::ListOptions),
    /// A console's key as a command: pause, resume, throttle, verify, repair, …
    Send(send::Options),
    /// Park an engine: everything is kept, run resumes
    Stop(stop::Options),
    /// One row on both sides, with what is known of it
    Row(row::Options),
    /// What happened, with evidence and without row data: Markdown, HTML or JSON
    Report(report::Options),
    /// The console over a recorded journal, with a scrubber
    Replay(replay::Options),
    /// Whether a journal's chain of hashes holds
    Audit(audit::Options),
    /// Find and remove what a lost run left behind
    Clean(clean::Options),
    /// A systemd unit that keeps the engine running
    Unit(unit::Options),
    /// What a finding's or an error's code means, and what is safe to do
    Explain(explain::Options),
    /// A completion script for your shell
    Completions(completions::Options),
    /// The manual page
    Man,
    /// A screen over a recorded journal, as SVG
    #[command(hide = true)]
    Picture(picture::Options),
    /// The demo's application
    #[command(hide = true)]
    DemoApp(demo::AppArgs),
}

/// Runs what the process was called with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return complain::usage(&error),
    };
    let world = World::new(&cli.global);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(cause) => {
            return complain::fault(&world, &world::own("no threads can be started", cause));
        }
    };
    match runtime.block_on(run(cli.command, &world)) {
        Ok(exit) => exit.into(),
        Err(fault) => complain::fault(&world, &fault),
    }
}

async fn run(command: Command, world: &World) -> Result<Exit> {
    match command {
        Command::Demo(options) => demo::run(&options, world).await,
        Command::Init(options) => init::run(&options, world).await,
        Command::Check(options) => check::run(&options, world).await,
        Command::Verify(options) => verify::run(&options, world).await,
        Command::Run(options) => run::run(&options, world).await,
        Command::Engine(options) => engine::run(&options, world).await,
        Command::Attach(options) => attach::run(&options, world).await,
        Command::Status(options) => status::run(&options, world).await,
        Command::List(options) => status::list(&options, world).await,
        Command::Send(options) => send::run(&options, world).await,
        Command::Stop(options) => stop::run(&options, world).await,
        Command::Row(options) => row::run(&options, world).await,
        Command::Report(options) => report::run(&options, world).await,
        Command::Replay(options) => replay::run(&options, world).await,
        Command::Audit(options) => audit::run(&options, world).await,
        Command::Clean(options) => clean::run(&options, world).await,
        Command::Unit(options) => unit::run(&options, world),
        Command::Explain(options) => explain::run(&options, world),
        Command::Completions(options) => completions::run(&options, world, Cli::command()),
        Command::Man => completions::manual(world, Cli::command()),
        Command::Picture(options) => picture::run(&options, world).await,
        Command::DemoApp(options) => demo::application(&options),
    }
}
