//! `tidegate unit`: a systemd unit that keeps the engine running.

use super::world::{Exit, World, own};
use crate::config;
use crate::domain::fault::Result;
use crate::journal::paths::StateDir;
use clap::Args;
use std::path::{Path, PathBuf};

/// `tidegate unit`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tidegate unit > ~/.config/systemd/user/tidegate-shop.service\n  systemctl --user enable --now tidegate-shop"
)]
pub struct Options {
    /// The config
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
}

/// Prints the unit.
pub fn run(options: &Options, world: &World) -> Result<Exit> {
    let config = config::load(&options.config, &|name| std::env::var(name).ok())?;
    let program =
        std::env::current_exe().map_err(|cause| own("this program has no path", cause))?;
    let file = std::path::absolute(&options.config)
        .map_err(|cause| own("the config has no absolute path", cause))?;
    let root = world.state_root(config.state_dir.as_deref())?;
    let dir = StateDir::new(&root, &config.name);
    let folder = file.parent().unwrap_or(Path::new("/"));
    let name = &config.name;
    world.say(&format!(
        "# tidegate's engine for {name}. As yourself: save as ~/.config/systemd/user/tidegate-{name}.service, then\n\
         #   systemctl --user enable --now tidegate-{name}     (and once: loginctl enable-linger, to survive logout)\n\
         # Consoles attach with: tidegate attach {name}\n\
         [Unit]\n\
         Description=tidegate engine for {name}\n\
         \n\
         [Service]\n\
         ExecStart={} engine --config {} --state-dir {}\n\
         WorkingDirectory={}\n\
         # A crash or a full disk (7) may pass; a wrong config, a blocked plan, a doubt or a refusal (2 to 6) will not.\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         RestartPreventExitStatus=2 3 4 5 6\n\
         # SIGTERM parks it: what is in flight is finished, everything is kept.\n\
         TimeoutStopSec=300\n\
         StandardOutput=append:{}\n\
         StandardError=inherit\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        quoted(&program),
        quoted(&file),
        quoted(&root),
        plain(folder),
        plain(&dir.log()),
    ))?;
    Ok(Exit::Done)
}

/// As a word of `ExecStart`: systemd takes quotes, and doubles `%` and `$`.
fn quoted(path: &Path) -> String {
    let text = path
        .display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{}\"", text.replace('%', "%%").replace('$', "$$"))
}

/// As a value that is a path up to the end of the line.
fn plain(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(quoted(Path::new("/a b/50%/$x")), "\"/a b/50%%/$$x\"");
        assert_eq!(plain(Path::new("/a b/50%")), "/a b/50%%");
    }
}
