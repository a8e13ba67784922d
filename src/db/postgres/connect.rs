//! Sessions: opened for one kind of work, kept for the next of it, never used again once something was left half done.

use super::place::{OrFault, Place};
use super::service;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Sessions that wait to be used again.
const KEPT: usize = 8;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// What makes text lose nothing, and a session ours: the same on every connection, the replication one too.
///
/// Without a search path, names in what the server writes (of types, of classes) are complete.
pub(super) const SETTINGS: [(&str, &str); 10] = [
    ("datestyle", "ISO,YMD"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("search_path", ""),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// How to reach one database.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) place: Arc<Place>,
    pub(super) options: PgConnectOptions,
    kept: Arc<Mutex<Vec<PgConnection>>>,
}

impl Server {
    /// Reads a URL as libpq does, with its service file, environment and password file.
    pub(super) fn at(url: &str, side: Side) -> Result<Self> {
        Self::of(
            &service::complete(url, side, &|name| std::env::var(name).ok())?,
            side,
        )
    }

    /// The same of a URL that names no service.
    pub(super) fn of(url: &str, side: Side) -> Result<Self> {
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            // The parser's error may repeat the text.
            drop(error);
            Fault::new(
                Kind::Usage,
                format!("the {}'s URL can't be read", side.label()),
            )
            .code("URL")
            .hint("for example postgres://user@host/database")
        })?;
        // A folder of sockets may be told by PGHOST as well.
        let options = match options.get_host().starts_with('/') && options.get_socket().is_none() {
            true => {
                let folder = options.get_host().to_owned();
                options.socket(folder)
            }
            false => options,
        };
        let place = Arc::new(Place {
            side,
            label: format!("{}/{}", address(&options), database(&options)),
        });
        // What is slow is told in our own words: making an index takes its time.
        let options = options
            .application_name("tidegate")
            .options(SETTINGS)
            .disable_statement_logging();
        Ok(Self {
            place,
            options,
            kept: Arc::default(),
        })
    }

    /// A session, kept from earlier work or new.
    pub(super) async fn session(&self) -> Result<Session> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let alive = match kept {
            Some(mut conn) => conn.ping().await.is_ok().then_some(conn),
            None => None,
        };
        let fresh = alive.is_none();
        let conn = match alive {
            Some(conn) => conn,
            None => {
                // Where one is gone the server was restarted, and all others are gone too.
                self.forget();
                self.connect().await?
            }
        };
        Ok(Session {
            conn: Some(conn),
            fresh,
            server: self.clone(),
        })
    }

    /// The same database with sessions of its own: what is set in them stays among them.
    pub(super) fn apart(&self) -> Self {
        Self {
            kept: Arc::default(),
            ..self.clone()
        }
    }

    async fn connect(&self) -> Result<PgConnection> {
        let doing = "connect";
        let connecting = PgConnection::connect_with(&self.options);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(conn) => conn.or_fault(&self.place, doing),
            Err(_) => Err(Fault::new(
                Kind::Transient,
                format!("could not {doing}: {}", self.place),
            )
            .code("CONNECTION-LOST")
            .cause("no answer within 10 s")
            .hint("is the server up, and does it listen there?")),
        }
    }

    /// Stops what a session of ours is doing.
    pub(super) async fn cancel(&self, pid: i32) -> Result<()> {
        let mut session = self.session().await?;
        let cancel = format!("SELECT pg_catalog.pg_cancel_backend({pid})");
        session.run(&cancel, "stop a read").await?;
        session.rest();
        Ok(())
    }

    /// Sessions from before are not used any more.
    pub(super) fn forget(&self) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Whether what goes over the wire can be read by others.
    pub(super) fn plain(&self) -> bool {
        self.options.get_socket().is_none()
            && matches!(
                self.options.get_ssl_mode(),
                PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
            )
    }
}

/// The host's name, or the folder of its socket.
pub(super) fn host(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(path) => path.display().to_string(),
        None => options.get_host().to_owned(),
    }
}

/// The host, with its port where that is not the usual one.
fn address(options: &PgConnectOptions) -> String {
    match (options.get_socket(), options.get_port()) {
        (None, port) if port != 5432 => format!("{}:{port}", host(options)),
        _ => host(options),
    }
}

/// The database's name; the user's, where none is given.
pub(super) fn database(options: &PgConnectOptions) -> &str {
    options
        .get_database()
        .unwrap_or_else(|| options.get_username())
}

/// One session. It is given back by [`rest`](Self::rest) only; dropped, it is closed, because an answer that is still on its
/// way would be taken for that of the next question.
pub(super) struct Session {
    conn: Option<PgConnection>,
    fresh: bool,
    server: Server,
}

impl Session {
    pub(super) fn place(&self) -> &Place {
        &self.server.place
    }

    /// The place on its own, for errors of calls that borrow the session.
    pub(super) fn shared_place(&self) -> Arc<Place> {
        Arc::clone(&self.server.place)
    }

    /// Whether nothing was set in it yet.
    pub(super) fn fresh(&self) -> bool {
        self.fresh
    }

    /// The connection.
    ///
    /// # Errors
    /// Never while the session is held: it was not given back yet.
    pub(super) fn conn(&mut self) -> Result<&mut PgConnection> {
        let place = &self.server.place;
        self.conn
            .as_mut()
            .ok_or_else(|| Fault::new(Kind::Own, format!("the session is at rest: {place}")))
    }

    /// Runs statements that give nothing back.
    pub(super) async fn run(&mut self, sql: &str, doing: &str) -> Result<()> {
        self.count(sql, doing).await.map(drop)
    }

    /// Runs statements; the rows that all of them touched or found.
    pub(super) async fn count(&mut self, sql: &str, doing: &str) -> Result<u64> {
        let place = Arc::clone(&self.server.place);
        self.conn()?
            .execute(sqlx::raw_sql(sql))
            .await
            .map(|done| done.rows_affected())
            .or_fault(&place, doing)
    }

    /// Keeps the session for the next work: every answer was read, no transaction is open.
    pub(super) fn rest(mut self) {
        let mut kept = self
            .server
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.extend(self.conn.take());
        }
    }
}
