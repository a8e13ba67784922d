//! Where a database lies, and how its errors are told: one sentence, PostgreSQL's own words as the cause, what to try.

use crate::db::refused;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use sqlx::postgres::PgDatabaseError;
use std::fmt;

/// One database at one end of the migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) side: Side,
    /// Host and database, without user and password.
    pub(super) label: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.side.label(), self.label)
    }
}

const TLS: (Kind, &str, &str) = (
    Kind::Blocked,
    "TLS",
    "look at sslmode and sslrootcert in the URL, and at the server's certificate",
);

impl Place {
    /// Says that `doing` failed here.
    pub(super) fn fault(&self, doing: &str, error: &sqlx::Error) -> Fault {
        match error {
            sqlx::Error::Database(_) => {
                self.told(doing, state(error).unwrap_or_default(), cause(error))
            }
            sqlx::Error::Configuration(_) => self.failed(
                doing,
                (
                    Kind::Usage,
                    "URL",
                    "for example postgres://user@host/database",
                ),
                cause(error),
            ),
            sqlx::Error::Tls(_) => self.failed(doing, TLS, cause(error)),
            // A certificate that is not accepted shows as data that can't be right.
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
                self.failed(doing, TLS, io)
            }
            // The resolver's words; there is no kind for them.
            sqlx::Error::Io(io) if io.to_string().contains("failed to lookup") => self.failed(
                doing,
                (
                    Kind::Transient,
                    "CONNECTION-LOST",
                    "is the host's name right, and does this machine know it?",
                ),
                io,
            ),
            _ => self.failed(
                doing,
                (
                    Kind::Transient,
                    "CONNECTION-LOST",
                    "is the server up, and does it listen there?",
                ),
                cause(error),
            ),
        }
    }

    /// Says that `doing` failed here, with an SQLSTATE and the server's words.
    pub(super) fn told(&self, doing: &str, state: &str, cause: impl fmt::Display) -> Fault {
        self.failed(doing, self.meaning(state), cause)
    }

    fn failed(
        &self,
        doing: &str,
        (kind, code, hint): (Kind, &str, &str),
        cause: impl fmt::Display,
    ) -> Fault {
        let fault = Fault::new(kind, format!("could not {doing}: {self}"))
            .code(code)
            .cause(cause);
        if hint.is_empty() {
            fault
        } else {
            fault.hint(hint)
        }
    }

    /// What an SQLSTATE means for us (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    fn meaning(&self, state: &str) -> (Kind, &'static str, &'static str) {
        let full = match self.side {
            Side::Source => "SOURCE-FULL",
            Side::Target => "TARGET-FULL",
        };
        match state {
            "40001" | "40P01" | "55P03" | "55006" => (
                Kind::Transient,
                "DATABASE-LOCKED",
                "another session holds its lock; the same works once it lets go",
            ),
            "53100" => (
                Kind::Own,
                full,
                "free space where the server keeps its data; nothing of the failed write was kept",
            ),
            "53300" | "53400" => (
                Kind::Transient,
                "TOO-MANY-CONNECTIONS",
                "raise max_connections, or end sessions that nobody needs",
            ),
            "42501" => (
                Kind::Blocked,
                "PRIVILEGE",
                "`tidegate check` prints the GRANTs that are needed",
            ),
            "25006" => (
                Kind::Blocked,
                "NOT-WRITABLE",
                "this server is a standby, or read-only: use the primary",
            ),
            "3D000" => (
                Kind::Blocked,
                "NO-DATABASE",
                "check the database's name; none is ever created",
            ),
            "42710" | "42P07" => (
                Kind::Blocked,
                "NAME-TAKEN",
                "something of that name is there already",
            ),
            "57014" => (
                Kind::Transient,
                "CANCELLED",
                "somebody cancelled it, or statement_timeout did",
            ),
            _ => match state.get(..2).unwrap_or_default() {
                "08" | "57" => (
                    Kind::Transient,
                    "CONNECTION-LOST",
                    "is the server up, and does it take connections?",
                ),
                "28" => (
                    Kind::Blocked,
                    "LOGIN",
                    "check user and password, and the server's pg_hba.conf",
                ),
                "23" => (
                    Kind::Blocked,
                    refused::PARKED,
                    "compare that constraint's definition on both sides, and the rows it names",
                ),
                _ if matches!(
                    state,
                    "22001" | "22003" | "22007" | "22008" | "22021" | "22P02" | "22P03" | "22P05"
                ) =>
                {
                    (
                        Kind::Blocked,
                        refused::PARKED,
                        "a column can't hold a value: compare its type on both sides",
                    )
                }
                "58" | "XX" => (
                    Kind::Own,
                    "DISK-FAILED",
                    "look at the server's log and its disk before trying again",
                ),
                _ => (Kind::Blocked, "", ""),
            },
        }
    }

    /// The stream does not hold every change since a position.
    pub(super) fn capture_lost(&self, cause: impl fmt::Display) -> Fault {
        refused::capture_lost(self, cause)
    }
}

/// The error's SQLSTATE, where the server sent one.
pub(super) fn state(error: &sqlx::Error) -> Option<&str> {
    pg(error).map(PgDatabaseError::code)
}

/// Whether a row that is already there is in the way (unique or exclusion constraint).
pub(super) fn in_the_way(error: &sqlx::Error) -> bool {
    matches!(state(error), Some("23505" | "23P01"))
}

fn pg(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
}

/// PostgreSQL's own words without its DETAIL, which holds values.
fn cause(error: &sqlx::Error) -> String {
    match pg(error) {
        Some(error) => match error.constraint() {
            Some(constraint) if !error.message().contains(constraint) => {
                format!("{} ({constraint})", error.message())
            }
            _ => error.message().to_owned(),
        },
        None => match error {
            sqlx::Error::Io(io) => io.to_string(),
            error => error.to_string(),
        },
    }
}

/// Turns PostgreSQL's errors into faults, at the place where they happened.
pub(super) trait OrFault<T> {
    fn or_fault(self, place: &Place, doing: &str) -> Result<T>;
}

impl<T> OrFault<T> for sqlx::Result<T> {
    fn or_fault(self, place: &Place, doing: &str) -> Result<T> {
        self.map_err(|error| place.fault(doing, &error))
    }
}
