//! The demo's files and processes: set, struck, and never left behind unless asked to be.

use super::{Options, folder_failed, told};
use crate::cli::world::{World, own};
use crate::demo::app::control::{self, Command as AppCommand};
use crate::demo::scenario::Scenario;
use crate::demo::shop;
use crate::domain::fault::Result;
use crate::domain::id::MigrationName;
use crate::journal::paths::StateDir;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The name that a cutover or an abort of the demo is armed with.
const NAME: &str = "shop-demo";
/// How long an engine may take to let the console in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything the demo has made.
pub struct Stage {
    folder: PathBuf,
    dir: StateDir,
    engine: Mutex<Option<Child>>,
    app: Mutex<Option<(Child, Option<ChildStdin>)>>,
    keep: bool,
    /// Rows of the shop.
    pub rows: u64,
}

impl Stage {
    /// Builds the shop, starts the application and the engine.
    pub async fn set(scenario: &Scenario, options: &Options, world: &World) -> Result<Self> {
        let root = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        let folder = root.join(format!("tidegate-demo-{:04x}", std::process::id() & 0xffff));
        std::fs::create_dir_all(folder.join("app")).map_err(|error| folder_failed(error, &root))?;
        let name = MigrationName::new(NAME).map_err(|why| own("the demo has no name", why))?;
        let dir = StateDir::new(folder.join("state"), &name);
        let mut stage = Self {
            folder,
            dir,
            engine: Mutex::new(None),
            app: Mutex::new(None),
            keep: options.keep,
            rows: scenario.rows,
        };
        let rows = crate::domain::unit::Rows(scenario.rows);
        world.aside(&format!(
            "tidegate demo: a shop of {rows} rows moves while it is being used. Files: {}{}. Seed {}.",
            stage.folder.display(),
            if options.keep { "" } else { " (gone when you leave)" },
            scenario.seed,
        ));
        if let Err(fault) = stage.begin(scenario).await {
            stage.clear().await;
            return Err(fault);
        }
        Ok(stage)
    }

    async fn begin(&mut self, scenario: &Scenario) -> Result<()> {
        let (source, rows, seed) = (self.source(), scenario.rows, scenario.seed);
        let built = tokio::task::spawn_blocking(move || shop::build(&source, rows, seed)).await;
        self.rows = built
            .map_err(|e| own("the shop can't be built", e))?
            .map_err(told)?
            .rows();
        self.start_app(scenario)?;
        let config = config(self, scenario);
        std::fs::write(self.config(), config)
            .map_err(|error| folder_failed(error, &self.folder))?;
        self.dir.create()?;
        self.start_engine()?;
        let began = Instant::now();
        while !crate::cli::run::listens(&self.dir) {
            let ended = match self.lock_engine().as_mut() {
                Some(child) => child.try_wait().ok().flatten().is_some(),
                None => true,
            };
            if ended || began.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.dir.log()).unwrap_or_default();
                return Err(own(
                    "the demo's engine did not start",
                    log.lines().last().unwrap_or("it said nothing"),
                ));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The shop as it is used.
    pub fn source(&self) -> PathBuf {
        self.folder.join("shop-old.db")
    }
    /// Where it moves.
    pub fn target(&self) -> PathBuf {
        self.folder.join("shop-new.db")
    }
    /// Where the application is spoken to, and leaves its record.
    pub fn control(&self) -> PathBuf {
        self.folder.join("app")
    }
    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
    /// The engine's folder.
    pub fn dir(&self) -> &StateDir {
        &self.dir
    }
    fn config(&self) -> PathBuf {
        self.folder.join("tidegate.toml")
    }

    fn start_app(&self, scenario: &Scenario) -> Result<()> {
        let mut command = Command::new(program()?);
        command
            .arg("demo-app")
            .arg("--db")
            .arg(self.source())
            .arg("--control")
            .arg(self.control());
        command.args([
            "--rate",
            &scenario.app.writes_per_s.to_string(),
            "--seed",
            &scenario.seed.to_string(),
        ]);
        if self.keep {
            command.arg("--untethered").stdin(Stdio::null());
        } else {
            command.stdin(Stdio::piped());
        }
        let log = self.log("app.log")?;
        // A process group of its own: a Ctrl-C that ends the story must leave it to us to end the application in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| own("the application can't be started", e))?;
        let tether = child.stdin.take();
        *self.app.lock().unwrap_or_else(PoisonError::into_inner) = Some((child, tether));
        Ok(())
    }

    /// Starts the engine, the first time or after it was killed.
    pub fn start_engine(&self) -> Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.log())
            .map_err(|e| own("the engine's log can't be written", e))?;
        let errors = log
            .try_clone()
            .map_err(|e| own("the engine's log can't be written", e))?;
        let mut command = Command::new(program()?);
        command
            .arg("engine")
            .arg("--config")
            .arg(self.config())
            .arg("--state-dir")
            .arg(self.folder.join("state"));
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| own("the engine can't be started", e))?;
        *self.lock_engine() = Some(child);
        Ok(())
    }

    /// Kills the engine with SIGKILL: it is given no chance to put anything in order.
    pub fn kill_engine(&self) {
        if let Some(mut child) = self.lock_engine().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Tells the application something.
    pub async fn tell_app(&self, command: AppCommand) -> Result<()> {
        let control = self.control();
        let told_it = tokio::task::spawn_blocking(move || control::send(&control, &command)).await;
        told_it
            .map_err(|e| own("the application was not told", e))?
            .map_err(told)
    }

    /// Stops the application after its present transaction.
    pub async fn stop_app(&self) {
        let app = self
            .app
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((mut child, tether)) = app else {
            return;
        };
        let _ = self.tell_app(AppCommand::Stop).await;
        drop(tether);
        wait_or_kill(&mut child).await;
    }

    /// Parks the engine.
    pub async fn stop_engine(&self) {
        let child = self.lock_engine().take();
        let Some(mut child) = child else { return };
        if let Ok(pid) = i32::try_from(child.id()) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            );
        }
        wait_or_kill(&mut child).await;
    }

    /// Lets engine and application go on by themselves.
    pub fn let_go(&self) {
        self.lock_engine().take();
        self.app
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Ends what still runs and removes the files.
    pub async fn clear(self) {
        self.stop_app().await;
        self.stop_engine().await;
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    fn lock_engine(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, name: &str) -> Result<std::fs::File> {
        std::fs::File::create(self.folder.join(name))
            .map_err(|error| folder_failed(error, &self.folder))
    }
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| own("this program does not know where it is", e))
}

async fn wait_or_kill(child: &mut Child) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A config like anybody's: the demo has no way into the engine that others do not have.
fn config(stage: &Stage, scenario: &Scenario) -> String {
    let pace = scenario
        .copy
        .max_rows_per_s
        .map(|rows| format!("max_rows_per_second = {rows}\n"))
        .unwrap_or_default();
    format!(
        r#"[migration]
name = "{NAME}"
environment = "demo"

[source]
url = "sqlite://{source}"

[target]
url = "sqlite://{target}"

[backfill]
chunk_time = "100ms"
{pace}
[throttle]
max_lag = "3s"

[verify]
max_age = "4s"

[[shadow]]
name = "orders of a customer"
sql = "SELECT id, status, grand_total_cents FROM orders WHERE customer_id = ?1 ORDER BY id"
params = "SELECT id FROM customers ORDER BY random() LIMIT 200"
ordered = true

[[shadow]]
name = "revenue by status"
sql = "SELECT status, count(*), sum(total_cents) FROM orders GROUP BY status"
"#,
        source = stage.source().display(),
        target = stage.target().display(),
    )
}
