//! Where one migration keeps its files on the operator's side.

use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::MigrationName;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The folder of one migration: `<root>/<name>/`, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    dir: PathBuf,
}

impl StateDir {
    /// The folder of `name` below `root`. Makes nothing; see [`StateDir::create`].
    pub fn new(root: impl AsRef<Path>, name: &MigrationName) -> Self {
        Self {
            dir: root.as_ref().join(name.as_str()),
        }
    }

    /// Where state lives unless `--state-dir` says otherwise: `$XDG_STATE_HOME/tidegate`, else `~/.local/state/tidegate`.
    /// The environment is handed in, so that nothing below the command line reads it. An XDG path that is not absolute is
    /// ignored, as its specification asks.
    pub fn default_root(var: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
        let absolute = |name| var(name).map(PathBuf::from).filter(|p| p.is_absolute());
        if let Some(state) = absolute("XDG_STATE_HOME") {
            return Ok(state.join("tidegate"));
        }
        absolute("HOME")
            .map(|home| home.join(".local/state/tidegate"))
            .ok_or_else(|| {
                Fault::new(
                    Kind::Usage,
                    "there is no place to keep the migration's state",
                )
                .cause("neither XDG_STATE_HOME nor HOME is set to an absolute path")
                .hint("say where with --state-dir")
            })
    }

    /// The names of all migrations below `root` that have a journal, in alphabetical order. A root that is not there has none.
    pub fn names(root: &Path) -> Result<Vec<MigrationName>> {
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => {
                return Err(
                    Fault::new(Kind::Own, format!("{} can't be read", root.display())).cause(e),
                );
            }
        };
        let mut names: Vec<_> = entries
            .flatten()
            .filter_map(|entry| MigrationName::new(entry.file_name().to_str()?).ok())
            .filter(|name| Self::new(root, name).journal().is_file())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Makes the folder, and those above it, for the owner only (0700).
    pub fn create(&self) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|e| {
                Fault::new(Kind::Own, format!("{} can't be made", self.dir.display()))
                    .cause(e)
                    .hint("choose another place with --state-dir")
            })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.dir
    }
    /// The record of facts.
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.db")
    }
    /// What repairs replaced: row data, apart from the journal, so that the journal may be handed on.
    pub fn undo(&self) -> PathBuf {
        self.dir.join("undo.db")
    }
    /// The engine's own log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("engine.log")
    }
    /// Where consoles attach.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }
    /// The engine's process id.
    pub fn pid(&self) -> PathBuf {
        self.dir.join("engine.pid")
    }
    /// Room kept free for the last facts when the disk is full.
    pub fn reserve(&self) -> PathBuf {
        self.dir.join("journal.reserve")
    }
    /// Held locked by whoever writes the journal; names the process.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("journal.lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_root_follows_xdg_then_home() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                pairs
                    .iter()
                    .find(|(k, _)| *k == name)
                    .map(|(_, v)| OsString::from(v))
            }
        };
        let root = |pairs| StateDir::default_root(env(pairs));
        assert_eq!(
            root(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]).unwrap(),
            Path::new("/s/tidegate")
        );
        assert_eq!(
            root(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]).unwrap(),
            Path::new("/h/.local/state/tidegate")
        );
        assert_eq!(root(&[]).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn the_folder_is_the_owners_and_is_listed_once_it_has_a_journal() {
        let root = tempfile::tempdir().unwrap();
        let name = MigrationName::new("shop").unwrap();
        let dir = StateDir::new(root.path().join("a"), &name);
        assert_eq!(StateDir::names(&root.path().join("a")).unwrap(), []);
        dir.create().unwrap();
        dir.create().unwrap();
        let mode = std::fs::metadata(dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(StateDir::names(&root.path().join("a")).unwrap(), []);
        std::fs::write(dir.journal(), "").unwrap();
        assert_eq!(StateDir::names(&root.path().join("a")).unwrap(), [name]);
    }
}
