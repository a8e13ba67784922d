//! L5: the one place that names concrete adapters.

use crate::config::url::Url;
use crate::db::Endpoint;
use crate::db::spill::Spill;
use crate::db::{postgres, sqlite};
use crate::domain::fault::Result;
use crate::domain::plan::Side;
use std::sync::Arc;

/// The adapter for a URL, as one side of a migration. Writes nothing. `spill`: where it keeps large transactions aside.
///
/// # Errors
/// A source that isn't there, or a database that can't be read.
pub async fn open(url: &Url, side: Side, spill: Spill) -> Result<Arc<dyn Endpoint>> {
    match url {
        Url::Sqlite(path) => sqlite::open_with(path, side, spill).await,
        Url::Postgres(url) => postgres::open_with(url.expose(), side, spill).await,
    }
}

/// What changes whenever somebody commits to the database; none where that can't be told.
pub fn stamp(url: &Url) -> Option<String> {
    match url {
        Url::Sqlite(path) => sqlite::stamp::stamp(path),
        // Its reads tell: they say what they have seen.
        Url::Postgres(_) => None,
    }
}

/// What tells one database from all others, whatever its name; none while it doesn't exist.
pub fn identity(url: &Url) -> Option<String> {
    match url {
        Url::Sqlite(path) => sqlite::stamp::identity(path),
        Url::Postgres(url) => postgres::identity(url.expose()),
    }
}
