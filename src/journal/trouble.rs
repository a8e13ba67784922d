//! What SQLite says, as faults.

use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::unit::Bytes;
use std::path::Path;

/// SQLite's primary result code for a full disk.
const FULL: i32 = 13;

/// The code of a full disk.
pub(super) const FULL_CODE: &str = "JOURNAL-FULL";

/// What must be free before a full disk counts as usable again (half of a disk that is smaller than twice that).
const ENOUGH: Bytes = Bytes(64_000_000);

/// A failed write. `JOURNAL-FULL` where the disk is full, `JOURNAL-LOST` for everything else (I/O error, read-only, removed).
pub(super) fn writing(path: &Path, error: &sqlx::Error) -> Fault {
    if primary_code(error) == Some(FULL) {
        full(path, error)
    } else {
        Fault::new(
            Kind::Own,
            format!("{} can't be written any more", path.display()),
        )
        .code("JOURNAL-LOST")
        .cause(error)
        .hint(
            "look at the disk; the engine stands still and goes on when the journal can be written",
        )
    }
}

/// The disk below the journal is full, as an I/O error of our own files says it.
pub(super) fn io(path: &Path, error: &std::io::Error) -> Fault {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded) {
        full(path, error)
    } else {
        Fault::new(Kind::Own, format!("{} can't be written", path.display()))
            .code("JOURNAL-LOST")
            .cause(error)
    }
}

/// Refuses to go on where too little is free: a journal that fills its disk again at once would only flap.
pub(super) fn room_to_go_on(path: &Path) -> Result<()> {
    // A file system that can't say has to show it by the write that follows.
    let Ok(disk) = nix::sys::statvfs::statvfs(path.parent().unwrap_or(path)) else {
        return Ok(());
    };
    let free = disk.blocks_available() * disk.fragment_size();
    let half = disk.blocks() * disk.fragment_size() / 2;
    if free < ENOUGH.0.min(half) {
        return Err(full(path, "too little is free to go on"));
    }
    Ok(())
}

fn full(path: &Path, cause: impl std::fmt::Display) -> Fault {
    let dir = path.parent().unwrap_or(path);
    let free = nix::sys::statvfs::statvfs(dir)
        .map(|v| {
            format!(
                " ({} free)",
                Bytes(v.blocks_available() * v.fragment_size())
            )
        })
        .unwrap_or_default();
    Fault::new(Kind::Own, format!("{} is full{free}", dir.display()))
        .code(FULL_CODE)
        .cause(cause)
        .hint(format!(
            "nothing is lost; the engine goes on when {ENOUGH} are free"
        ))
}

/// A failed read.
pub(super) fn reading(path: &Path, error: &sqlx::Error) -> Fault {
    Fault::new(Kind::Own, format!("{} can't be read", path.display()))
        .code("JOURNAL-UNREADABLE")
        .cause(error)
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
