//! The migrations this machine knows of: found by name, read from their journals, asked whether their engine answers.

use super::world::World;
use crate::config::nearest;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{MigrationName, Seq};
use crate::faces::status::{self, Engine};
use crate::journal::Reader;
use crate::journal::paths::StateDir;
use crate::state::migration::Migration;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Records read at once while folding.
const PIECE: u32 = 4_096;
/// An engine that doesn't take a connection for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// One migration as its journal tells it now.
pub struct Known {
    /// Its name.
    pub name: MigrationName,
    /// Where its files are.
    pub dir: StateDir,
    /// Its state.
    pub state: Migration,
    /// How its engine stands.
    pub engine: Engine,
}

impl Known {
    async fn read(root: &Path, name: MigrationName) -> Result<Self> {
        let dir = StateDir::new(root, &name);
        let state = folded(&dir.journal()).await?;
        let engine = Engine::of(&state, answers(&dir.socket()).await);
        Ok(Self {
            name,
            dir,
            state,
            engine,
        })
    }
}

/// All migrations of this machine, with those whose journal can't be read beside.
///
/// # Errors
/// When there is no place for state.
pub async fn all(world: &World) -> Result<Vec<(MigrationName, Result<Known>)>> {
    let root = world.state_root(None)?;
    let mut found = Vec::new();
    for name in StateDir::names(&root)? {
        found.push((name.clone(), Known::read(&root, name).await));
    }
    Ok(found)
}

/// One migration by its name; without a name the only one there is.
///
/// # Errors
/// `Usage` when there is none of that name, with those there are.
pub async fn one(world: &World, name: Option<&str>) -> Result<Known> {
    let (root, name) = place(world, name).await?;
    Known::read(&root, name).await
}

/// Where a migration's files are, without reading its journal.
///
/// # Errors
/// As [`one`].
pub async fn folder(world: &World, name: Option<&str>) -> Result<(MigrationName, StateDir)> {
    let (root, name) = place(world, name).await?;
    let dir = StateDir::new(&root, &name);
    Ok((name, dir))
}

async fn place(world: &World, asked: Option<&str>) -> Result<(std::path::PathBuf, MigrationName)> {
    let root = world.state_root(None)?;
    let mut names = StateDir::names(&root)?;
    if let Some(asked) = asked {
        if let Some(at) = names.iter().position(|name| name.as_str() == asked) {
            return Ok((root, names.swap_remove(at)));
        }
        return Err(unknown(&root, &names, asked).await);
    }
    match names.len() {
        1 => Ok((root, names.swap_remove(0))),
        0 => Err(Fault::new(
            Kind::Usage,
            format!("no migration has begun here: {} holds none", root.display()),
        )
        .hint("tidegate run -c FILE begins one; --state-dir names another place")),
        _ => Err(
            Fault::new(Kind::Usage, "there are several migrations; say which one")
                .hint(visible(&root, &names).await),
        ),
    }
}

async fn unknown(root: &Path, names: &[MigrationName], asked: &str) -> Fault {
    let fault = Fault::new(Kind::Usage, format!("no migration \"{asked}\" here"));
    if names.is_empty() {
        return fault.hint(format!(
            "there is none in {}; --state-dir names another place",
            root.display()
        ));
    }
    let plain: Vec<&str> = names.iter().map(MigrationName::as_str).collect();
    let seen = visible(root, names).await;
    fault.hint(match nearest(asked, plain.iter().copied()) {
        Some(near) => format!("did you mean {near}?  {seen}"),
        None => seen,
    })
}

/// `you may see: shop-2026 (copy 61 %), crm-test (paused)`
async fn visible(root: &Path, names: &[MigrationName]) -> String {
    let mut shown = Vec::new();
    for name in names.iter().take(6) {
        let words = match folded(&StateDir::new(root, name).journal()).await {
            Ok(state) if state.paused() => format!("{name} (paused)"),
            Ok(state) => format!("{name} ({})", status::phase(&state)),
            Err(_) => format!("{name} (its journal can't be read)"),
        };
        shown.push(words);
    }
    format!("you may see: {}", shown.join(", "))
}

/// The state that a journal makes.
///
/// # Errors
/// A journal that can't be read.
pub async fn folded(journal: &Path) -> Result<Migration> {
    let mut reader = Reader::open(journal).await?;
    let mut state = Migration::default();
    loop {
        let events = reader.events(Seq(state.seq.0 + 1), PIECE).await?;
        if events.is_empty() {
            return Ok(state);
        }
        events.iter().for_each(|event| state.apply(event));
    }
}

/// Whether an engine takes connections there.
pub async fn answers(socket: &Path) -> bool {
    matches!(
        timeout(PATIENCE, UnixStream::connect(socket)).await,
        Ok(Ok(_))
    )
}
