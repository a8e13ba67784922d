//! An engine's front door: the control socket, and the bridge from its consoles to the supervisor.

use crate::attach::server::{Access, Latest, Ports, Server, Visit};
use crate::config::meant::Config;
use crate::domain::fault::Result;
use crate::engine::{Ask, Engine};
use crate::journal::paths::StateDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Asks of one kind that wait for the supervisor.
const WAITING: usize = 64;

/// The open door.
pub struct Host {
    stop: CancellationToken,
    server: JoinHandle<()>,
    bridge: JoinHandle<()>,
}

impl Host {
    /// Binds the socket and lets consoles in.
    pub fn open(config: &Config, dir: &StateDir, engine: &Engine) -> Result<Self> {
        let (snapshots, mut snapshots_in) = mpsc::channel(WAITING);
        let (requests, mut requests_in) = mpsc::channel(WAITING);
        let (queries, mut queries_in) = mpsc::channel(WAITING);
        let (visits, mut visits_in) = mpsc::channel(WAITING);
        let latest = watch::Sender::new(Latest::default());
        let ports = Ports {
            journal: engine.journal.clone(),
            head: engine.head.clone(),
            samples: latest.subscribe(),
            snapshots,
            requests,
            queries,
            visits,
        };
        let access = config.group.clone().map_or(Access::Owner, Access::Group);
        let server = Server::bind(&dir.socket(), &access, config.name.clone(), ports)?;
        let stop = CancellationToken::new();
        let asks = engine.asks.clone();
        let mut samples = engine.samples.clone();
        let until = stop.clone();
        let bridge = tokio::spawn(async move {
            loop {
                let ask = tokio::select! {
                    () = until.cancelled() => return,
                    Some(reply) = snapshots_in.recv() => Ask::Snapshot(reply),
                    Some((request, reply)) = requests_in.recv() => Ask::Request(request, reply),
                    Some((query, reply)) = queries_in.recv() => Ask::Query(query, reply),
                    Some(visit) = visits_in.recv() => match visit {
                        Visit::Attached { session, who, role, from, known } => Ask::Arrive { session, who, role, from, done: known },
                        Visit::Detached { session } => Ask::Leave(session),
                    },
                    Ok(()) = samples.changed() => {
                        let sample = samples.borrow_and_update().clone();
                        latest.send_modify(|l| {
                            l.no += 1;
                            l.sample = sample;
                        });
                        continue;
                    }
                    else => return,
                };
                if asks.send(ask).await.is_err() {
                    return;
                }
            }
        });
        let server = tokio::spawn(server.run(stop.clone()));
        Ok(Self {
            stop,
            server,
            bridge,
        })
    }

    /// Says goodbye to the consoles and removes the socket.
    pub async fn close(self) {
        self.stop.cancel();
        let _ = tokio::join!(self.server, self.bridge);
    }
}
