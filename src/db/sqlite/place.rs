//! Where a database lies, and how its errors are told: one sentence, SQLite's own words as the cause, what to try.

use crate::db::refused;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use rusqlite::ErrorCode;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One file at one end of the migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) side: Side,
    pub(super) path: PathBuf,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.side.label(), self.path.display())
    }
}

impl Place {
    /// Says that `doing` failed here.
    pub(super) fn fault(&self, doing: &str, error: &rusqlite::Error) -> Fault {
        let said = |kind, code: &str, hint: &str| {
            let fault = Fault::new(kind, format!("could not {doing}: {self}"))
                .code(code)
                .cause(cause(error));
            if hint.is_empty() {
                fault
            } else {
                fault.hint(hint)
            }
        };
        let full = match self.side {
            Side::Source => "SOURCE-FULL",
            Side::Target => "TARGET-FULL",
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => said(
                Kind::Transient,
                "DATABASE-LOCKED",
                "another program holds its lock; the same works once it lets go",
            ),
            Some(ErrorCode::DiskFull) => said(
                Kind::Own,
                full,
                "free space where the file lies; nothing of the failed write was kept",
            ),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => said(
                Kind::Blocked,
                "NOT-WRITABLE",
                "give this user write access to the file and to its directory",
            ),
            Some(ErrorCode::CannotOpen) => said(
                Kind::Blocked,
                "CANNOT-OPEN",
                "check that this user may read the file and, in WAL mode, write its directory",
            ),
            Some(ErrorCode::NotADatabase) => said(
                Kind::Blocked,
                "NOT-A-DATABASE",
                "the file is not a SQLite database, or it is encrypted",
            ),
            Some(ErrorCode::DatabaseCorrupt) => said(
                Kind::Blocked,
                "DATABASE-CORRUPT",
                "run PRAGMA integrity_check and restore or .recover the file first",
            ),
            Some(ErrorCode::SystemIoFailure) => said(
                Kind::Own,
                "DISK-FAILED",
                "look at the disk and the system's log before trying again",
            ),
            Some(ErrorCode::ConstraintViolation) => said(
                Kind::Blocked,
                refused::PARKED,
                "compare that constraint's definition on both sides, and the rows it names",
            ),
            Some(ErrorCode::OperationInterrupted) => said(Kind::Interrupted, "", ""),
            Some(ErrorCode::TooBig) => said(
                Kind::Blocked,
                "ROW-TOO-LARGE",
                "SQLite holds at most 1,000,000,000 bytes in a row",
            ),
            _ => said(Kind::Blocked, "", ""),
        }
    }

    /// The file is not what it was when the migration began to use it.
    pub(super) fn replaced(&self, cause: impl fmt::Display) -> Fault {
        let code = match self.side {
            Side::Source => "SOURCE-REPLACED",
            Side::Target => "TARGET-REPLACED",
        };
        Fault::new(Kind::Blocked, format!("{self} is not the database it was"))
            .code(code)
            .cause(cause)
            .hint("put the original file back, or abort and start a new migration from this one")
    }

    /// The capture does not hold every change since a position.
    pub(super) fn capture_lost(&self, cause: impl fmt::Display) -> Fault {
        refused::capture_lost(self, cause)
    }

    /// What the file is: device and inode. None where there is no file.
    ///
    /// # Errors
    /// When it can't be looked at, or is no file.
    pub(super) fn identity(&self) -> Result<Option<FileId>> {
        match std::fs::metadata(&self.path) {
            Ok(meta) if meta.is_dir() => Err(Fault::new(
                Kind::Usage,
                format!("{self} is a directory, not a database file"),
            )
            .code("NOT-A-DATABASE")
            .hint("name the file inside it")),
            Ok(meta) => Ok(Some(FileId {
                device: meta.dev(),
                inode: meta.ino(),
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(
                Fault::new(Kind::Blocked, format!("could not look at {self}"))
                    .code("CANNOT-OPEN")
                    .cause(error),
            ),
        }
    }

    /// Whether there is no file yet, or one that nothing was ever written into.
    ///
    /// # Errors
    /// As [`identity`](Self::identity).
    pub(super) fn is_unwritten(&self) -> Result<bool> {
        Ok(self.identity()?.is_none()
            || std::fs::metadata(&self.path).is_ok_and(|meta| meta.len() == 0))
    }

    /// There is no such file.
    pub(super) fn missing(&self) -> Fault {
        Fault::new(Kind::Blocked, format!("there is no database: {self}"))
            .code("NO-DATABASE")
            .cause("no such file")
            .hint("check the path; a source is never created")
    }

    /// The directory the file lies in.
    pub(super) fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }
}

/// Which file a path leads to. VACUUM, WAL and growth keep it; `mv` and `cp` onto the path do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {} inode {}", self.device, self.inode)
    }
}

/// SQLite's own words. They name tables, columns and constraints, never values.
fn cause(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

/// Turns SQLite's errors into faults, at the place where they happened.
pub(super) trait OrFault<T> {
    fn or_fault(self, place: &Place, doing: &str) -> Result<T>;
}

impl<T> OrFault<T> for rusqlite::Result<T> {
    fn or_fault(self, place: &Place, doing: &str) -> Result<T> {
        self.map_err(|error| place.fault(doing, &error))
    }
}
