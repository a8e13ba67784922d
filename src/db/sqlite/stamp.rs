//! Whether anybody committed to a file meanwhile, told from outside: without a lock, without a connection.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What changes with every commit: size and time of the file and of its write-ahead log. A checkpoint changes the stamp too:
/// an equal one means that nobody committed (as finely as the file system keeps time), another one only that somebody may
/// have. None when there is no file.
///
/// It only asks for metadata. Opening the file and closing it again would drop every lock that this process holds on it
/// through SQLite: that is how POSIX locks are (<https://sqlite.org/howtocorrupt.html>, section 2.2).
pub fn stamp(path: &Path) -> Option<String> {
    let main = part(path)?;
    let log = part(&beside(path, "-wal")).unwrap_or_default();
    Some(format!("{main}/{log}"))
}

/// Device and inode: the same for every name of one file. None when there is no file.
pub fn identity(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    Some(format!("{}:{}", meta.dev(), meta.ino()))
}

fn part(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    Some(format!(
        "{}:{}:{}:{}.{:09}",
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec()
    ))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn a_commit_changes_the_stamp_and_a_read_does_not() {
        for mode in ["wal", "delete"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let writer = Connection::open(&path).unwrap();
            writer.pragma_update(None, "journal_mode", mode).unwrap();
            writer
                .execute_batch("create table t(a); insert into t values (1)")
                .unwrap();
            let reader = Connection::open(&path).unwrap();
            let before = stamp(&path).unwrap();
            let rows: i64 = reader
                .query_row("select count(*) from t", [], |row| row.get(0))
                .unwrap();
            assert_eq!((rows, stamp(&path).as_ref()), (1, Some(&before)), "{mode}");
            // Past the file system's clock tick: what commits within one can't be told apart by times alone.
            std::thread::sleep(std::time::Duration::from_millis(30));
            writer.execute("update t set a = 2", []).unwrap();
            assert_ne!(stamp(&path), Some(before), "{mode}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_has_none() {
        assert_eq!(stamp(Path::new("/nowhere/a.db")), None);
    }
}
