//! `tidegate demo`: a live migration between two real SQLite files with an application writing, no server, no config.
//!
//! The application is a process of its own, and so is the engine; this one plays the scenario, shows the console, and counts
//! with the witness at the end.

mod director;
mod ending;
mod stage;

use super::attach;
use super::world::{Exit, World, own};
use crate::demo::app::{self, AppOptions};
use crate::demo::error::DemoError;
use crate::demo::scenario::{self, Scenario};
use crate::domain::fault::{Fault, Kind, Result};
use crate::tui::model::Overlay;
use clap::Args;
use director::Director;
use stage::Stage;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Options {
    /// The story: a name or a TOML file
    #[arg(long, value_name = "NAME", default_value = scenario::DEFAULT)]
    pub scenario: String,
    /// Tell the story as lines, without a screen; exits 0 only when nothing was lost and both sides are equal
    #[arg(long)]
    pub headless: bool,
    /// Play the story without hands
    #[arg(long)]
    pub auto: bool,
    /// Play it so many times as fast
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub speed: f64,
    /// The seed of everything that chance decides
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Rows of the shop
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Where the files go, instead of the temporary folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Leave engine, application and files when leaving
    #[arg(long)]
    pub keep: bool,
}

/// Options of the hidden subcommand that is the application.
#[derive(Debug, Args)]
pub struct AppArgs {
    #[arg(long)]
    db: PathBuf,
    #[arg(long)]
    control: PathBuf,
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    untethered: bool,
}

/// The application's process.
pub fn application(args: &AppArgs) -> Result<Exit> {
    let options = AppOptions {
        db: args.db.clone(),
        control_dir: args.control.clone(),
        writes_per_second: args.rate,
        seed: args.seed,
        tethered: !args.untethered,
    };
    app::run_app(options).map(|_| Exit::Done).map_err(told)
}

fn told(error: DemoError) -> Fault {
    let fault = Fault::new(Kind::Own, error.sentence);
    match error.cause {
        Some(cause) => fault.cause(cause),
        None => fault,
    }
}

/// Plays.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    if !(0.1..=100.0).contains(&options.speed) {
        return Err(Fault::new(Kind::Usage, "--speed takes 0.1 to 100"));
    }
    let mut scenario = Scenario::load(&options.scenario).map_err(|error| Fault {
        kind: Kind::Usage,
        ..told(error)
    })?;
    scenario.seed = options.seed.unwrap_or(scenario.seed);
    scenario.rows = options.rows.unwrap_or(scenario.rows);
    let screen = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let headless = options.headless || !screen;
    if headless && !options.headless {
        world.aside("no terminal: telling the story as lines (--headless)");
    }
    let stage = Stage::set(&scenario, options, world).await?;
    let outcome = play(&stage, scenario, options, world, headless).await;
    match outcome {
        Ok(played) => ending::tell(stage, played, options, world).await,
        Err(fault) => {
            stage.clear().await;
            Err(fault)
        }
    }
}

/// What was played, for the summary.
#[derive(Debug, Default)]
pub struct Played {
    /// The whole story was told.
    pub finished: bool,
    /// Steps that never came true in time.
    pub late: Vec<String>,
    /// Files are to stay.
    pub keep: bool,
    /// Rows that were damaged from outside.
    pub damaged: u64,
    /// Times the engine was killed.
    pub kills: u32,
}

async fn play(
    stage: &Stage,
    scenario: Scenario,
    options: &Options,
    world: &World,
    headless: bool,
) -> Result<Played> {
    let overlay = watch::Sender::new(Overlay {
        demo: !options.keep,
        ..Overlay::default()
    });
    let seen = overlay.subscribe();
    let stop = CancellationToken::new();
    let auto = options.auto || headless;
    let director = Director::new(
        stage,
        scenario,
        auto,
        options.speed,
        overlay,
        headless.then(|| world.clone()),
    );
    if headless {
        let interrupted = tokio::signal::ctrl_c();
        return tokio::select! {
            played = director.direct(stop.clone()) => played,
            _ = interrupted => Err(Fault::new(Kind::Interrupted, "the demo was interrupted; its files are gone")),
        };
    }
    let wish = attach::Wish {
        overlay: Some(seen),
        ..attach::Wish::default()
    };
    let directing = director.direct(stop.clone());
    let showing = attach::show(stage.dir(), world, wish);
    tokio::pin!(directing, showing);
    let mut played = None;
    let left = loop {
        tokio::select! {
            left = &mut showing => break left,
            told = &mut directing, if played.is_none() => played = Some(told),
        }
    };
    stop.cancel();
    let mut played = match played {
        Some(played) => played?,
        None => directing.await?,
    };
    played.keep = options.keep || left?.keep;
    Ok(played)
}

fn folder_failed(error: std::io::Error, at: &std::path::Path) -> Fault {
    own(&format!("cannot write to {}", at.display()), error)
        .hint("try --dir with a folder that can be written")
}
