//! One PostgreSQL database as an end of a migration.

use super::connect::Server;
use crate::db::Endpoint;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use std::sync::Arc;

/// Opens a database as one end. Nothing is written.
///
/// # Errors
/// A URL that can't be read, a server that can't be reached, a database that isn't there.
pub async fn open(url: &str, side: Side) -> Result<Arc<dyn Endpoint>> {
    let server = Server::at(url, side)?;
    let session = server.session().await?;
    session.rest();
    Err(Fault::new(Kind::Usage, "not yet"))
}

/// What tells a database from others by its URL alone: host, port and name.
pub fn identity(url: &str) -> Option<String> {
    let server = Server::at(url, Side::Source).ok()?;
    Some(format!("{} {}", server.place.label, server.options.get_port()))
}
