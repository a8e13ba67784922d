//! A config, both its ends, and the plan they make together: what `check`, `engine` and `run` begin with.

use super::ends::Ends;
use super::world::World;
use crate::config;
use crate::config::meant::Config;
use crate::db::spill::Spill;
use crate::domain::fault::Result;
use crate::domain::plan::Plan;
use crate::journal::paths::StateDir;
use std::path::Path;
use std::sync::Arc;

/// Everything that was decided, and the way to both ends.
pub struct Planned {
    /// The config.
    pub config: Config,
    /// Both ends, looked at.
    pub ends: Ends,
    /// The plan as of now. A migration that has begun runs by the plan in its journal: see [`config::plan::diff`].
    pub plan: Arc<Plan>,
    /// Its hash.
    pub hash: String,
    /// Where the migration keeps its files; nothing is made there yet.
    pub state: StateDir,
}

/// Reads the config and both catalogs; changes nothing.
///
/// # Errors
/// A mistake in the config, or an end that can't be read.
pub async fn load(file: &Path, world: &World) -> Result<Planned> {
    let config = config::load(file, &|name| std::env::var(name).ok())?;
    let state = StateDir::new(world.state_root(config.state_dir.as_deref())?, &config.name);
    let spill = Spill::into_folder(state.path());
    let ends = Ends::open_with(config.source.clone(), config.target.clone(), spill).await?;
    let plan = config::plan::resolve(&config, &ends.ours, &ends.theirs)?;
    let hash = config::plan::hash(&plan)?;
    Ok(Planned {
        config,
        ends,
        plan: Arc::new(plan),
        hash,
        state,
    })
}

impl Planned {
    /// Whether this machine has a journal of the migration: then what stands of ours belongs to it.
    pub fn begun(&self) -> bool {
        self.state.journal().is_file()
    }
}
