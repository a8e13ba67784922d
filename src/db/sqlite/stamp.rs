//! Whether anybody committed to a file meanwhile, told from outside: without a lock, without a connection.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What changes with every commit: the file change counter in the header (bytes 24 to 27,
/// <https://sqlite.org/fileformat2.html#file_change_counter>) with size and time of the file, and the write-ahead log's header,
/// size and time, and its index's header, which is what makes a commit visible, maybe long after its pages were written
/// (<https://sqlite.org/walformat.html>, the first copy of WalIndexHdr; read marks come behind it). A checkpoint changes the
/// stamp too: an equal one means that nobody committed, another one only that somebody may have. None when the file can't be
/// read.
pub fn stamp(path: &Path) -> Option<String> {
    let main = part(path, 100)?;
    let log = part(&beside(path, "-wal"), 32).unwrap_or_default();
    let mut index = Vec::new();
    if let Ok(file) = std::fs::File::open(beside(path, "-shm")) {
        file.take(48).read_to_end(&mut index).ok()?;
    }
    Some(format!("{main}/{log}/{}", blake3::hash(&index).to_hex()))
}

/// Device and inode: the same for every name of one file. None when there is no file.
pub fn identity(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    Some(format!("{}:{}", meta.dev(), meta.ino()))
}

fn part(path: &Path, header: u64) -> Option<String> {
    let file = std::fs::File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    let mut bytes = Vec::new();
    file.take(header).read_to_end(&mut bytes).ok()?;
    let header = blake3::hash(&bytes).to_hex();
    Some(format!(
        "{}:{}:{}:{}.{:09}:{header}",
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
            writer.execute("update t set a = 2", []).unwrap();
            assert_ne!(stamp(&path), Some(before), "{mode}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_has_none() {
        assert_eq!(stamp(Path::new("/nowhere/a.db")), None);
    }
}
