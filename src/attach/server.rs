//! The engine's end: a Unix socket, a task for each console.

use super::session;
use super::wire::Frame;
use crate::domain::command::{Answer, Query, Reply, Request, Role};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{MigrationName, Seq, SessionId, Who};
use crate::domain::sample::Sample;
use crate::state::migration::Migration;
use nix::unistd::{Gid, Group, Uid, User};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// More consoles than this are turned away: each costs a connection to the journal.
const MOST_CONSOLES: usize = 64;

/// A console that hangs does not keep an engine from stopping.
const GOODBYE: Duration = Duration::from_secs(2);

/// The latest measurement, with its number: consoles tell by it how many they left out.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    /// One more with each measurement.
    pub no: u64,
    /// The measurement.
    pub sample: Arc<Sample>,
}

/// A console comes or goes.
#[derive(Debug)]
pub enum Visit {
    /// It is there. Its commands come after `known` was answered (by the engine having taken notice; it need not have
    /// recorded it: a console must be able to attach while the journal's disk is full).
    Attached {
        /// Its connection.
        session: SessionId,
        /// Who.
        who: Who,
        /// As what.
        role: Role,
        /// Its terminal, as it says.
        from: String,
        /// To be answered.
        known: oneshot::Sender<()>,
    },
    /// It is gone; nothing comes from it any more.
    Detached {
        /// Its connection.
        session: SessionId,
    },
}

/// What the consoles need of the engine. A channel that is closed means that the engine ends.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The journal's file; each console reads it itself.
    pub journal: PathBuf,
    /// The last durable record.
    pub head: watch::Receiver<Seq>,
    /// The last measurement.
    pub samples: watch::Receiver<Latest>,
    /// Asks for the folded state: of durable records only, as of its own `seq`.
    pub snapshots: mpsc::Sender<oneshot::Sender<Arc<Migration>>>,
    /// Commands. Each is to be answered; dropping the sender refuses it.
    pub requests: mpsc::Sender<(Request, oneshot::Sender<Reply>)>,
    /// Queries. Each is to be answered; dropping the sender refuses it.
    pub queries: mpsc::Sender<(Query, oneshot::Sender<Answer>)>,
    /// Consoles that come and go.
    pub visits: mpsc::Sender<Visit>,
}

/// Who may connect. What they may do then is the engine's matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The engine's own user (0600).
    Owner,
    /// The members of a group too (0660).
    Group(String),
}

/// What all consoles of one engine share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: MigrationName,
    pub(super) ports: Ports,
    pub(super) stop: CancellationToken,
}

/// The socket, bound and ready.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    name: MigrationName,
    ports: Ports,
}

impl Server {
    /// Makes the socket at `path`. One that a dead engine left behind is replaced; one that answers is refused. Nobody else
    /// can connect before its permissions are right.
    pub fn bind(path: &Path, access: &Access, name: MigrationName, ports: Ports) -> Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(Fault::new(
                Kind::Blocked,
                format!("an engine listens on {} already", path.display()),
            )
            .code("SOCKET-HELD")
            .hint("attach to it, or stop it first"));
        }
        let failed = |cause: String| {
            Fault::new(
                Kind::Own,
                format!("consoles can't be let in at {}", path.display()),
            )
            .code("SOCKET-LOST")
            .cause(cause)
            .hint("a socket's path has at most 107 bytes and its folder must be writable; a shorter one can be named with --state-dir")
        };
        // Made under another name and moved: connecting works only when its owner, group and mode are set.
        let raw = path.with_extension("new");
        let _ = std::fs::remove_file(&raw);
        let listener = UnixListener::bind(&raw).map_err(|e| failed(e.to_string()))?;
        let mode = match access {
            Access::Owner => 0o600,
            Access::Group(group) => {
                let gid = group_id(group).map_err(&failed)?;
                nix::unistd::chown(&raw, None, Some(gid))
                    .map_err(|e| failed(format!("group {group}: {e}")))?;
                0o660
            }
        };
        std::fs::set_permissions(&raw, std::fs::Permissions::from_mode(mode))
            .and_then(|()| std::fs::rename(&raw, path))
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            name,
            ports,
        })
    }

    /// Lets consoles in until `stop`, then says goodbye to them and removes the socket. A console that fails takes nothing
    /// with it.
    pub async fn run(self, stop: CancellationToken) {
        let shared = Arc::new(Shared {
            name: self.name,
            ports: self.ports,
            stop: stop.clone(),
        });
        let mut consoles = JoinSet::new();
        let mut session = SessionId(0);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = consoles.join_next(), if !consoles.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if consoles.len() >= MOST_CONSOLES => {
                        consoles.spawn(turn_away(stream));
                    }
                    Ok((stream, _)) => {
                        session.0 += 1;
                        consoles.spawn(welcome(stream, session, Arc::clone(&shared)));
                    }
                    Err(error) => {
                        // Out of descriptors, most likely: what is attached goes on, the rest waits.
                        tracing::warn!(%error, "a console can't be let in");
                        sleep(Duration::from_millis(200)).await;
                    }
                }
            }
        }
        // Gone before the goodbyes: who comes now is to find no engine, not one that ends.
        let _ = std::fs::remove_file(&self.path);
        let goodbyes = async { while consoles.join_next().await.is_some() {} };
        if timeout(GOODBYE, goodbyes).await.is_err() {
            consoles.shutdown().await;
        }
    }
}

async fn welcome(stream: UnixStream, session: SessionId, shared: Arc<Shared>) {
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => {
            tracing::warn!(%error, "a console without an identity was turned away");
            return;
        }
    };
    // Names may come from a directory server.
    let name = tokio::task::spawn_blocking(move || {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        user.map_or_else(|| format!("uid {uid}"), |user| user.name)
    });
    let name = name.await.unwrap_or_else(|_| format!("uid {uid}"));
    session::serve(stream, session, Who::Person { uid, name }, shared).await;
}

async fn turn_away(mut stream: UnixStream) {
    let bye = Frame::Bye {
        why: format!("{MOST_CONSOLES} consoles are attached already"),
        again: false,
    };
    if let Ok(line) = bye.to_line() {
        // Whether it hears it or not, it is turned away.
        let _ = stream.write_all(&line).await;
    }
}

fn group_id(name: &str) -> Result<Gid, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!("there is no group {name}")),
        Err(e) => Err(format!("group {name}: {e}")),
    }
}
