//! An engine reduced to what consoles see of it: a journal, the fold of it, and answers.

use crate::attach::client::Client;
use crate::attach::server::{Access, Latest, Ports, Server, Visit};
use crate::attach::wire::Greeting;
use crate::domain::command::{Answer, Query, Reply, Request, Role};
use crate::domain::event::{Body, Fact};
use crate::domain::id::{ChunkId, CommandId, MigrationName, Seq, SessionId, TableId, Who};
use crate::domain::sample::Sample;
use crate::domain::unit::{At, RowsPerSecond, Tick};
use crate::journal::paths::StateDir;
use crate::journal::{Draft, Journal, Opening};
use crate::state::migration::Migration;
use crate::tap::{Tap as _, Tapped};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) struct Rig {
    pub(super) root: tempfile::TempDir,
    pub(super) dir: StateDir,
    pub(super) samples: watch::Sender<Latest>,
    pub(super) stop: CancellationToken,
    /// Every request the engine got.
    pub(super) asked: mpsc::Receiver<Request>,
    pub(super) ports: Ports,
    pub(super) server: JoinHandle<()>,
    drafts: mpsc::Sender<(Vec<Draft>, oneshot::Sender<Seq>)>,
}

pub(super) fn fact(cause: Option<(SessionId, CommandId)>, fact: Fact) -> Draft {
    Draft {
        at: At(1_700_000_000_000),
        tick: Tick(1),
        cause,
        body: Body::Fact(fact),
    }
}

pub(super) fn note(text: impl Into<String>) -> Draft {
    let (text, by) = (text.into(), Who::Engine);
    fact(None, Fact::Noted { text, by })
}

pub(super) fn name() -> MigrationName {
    MigrationName::new("shop").unwrap()
}

impl Rig {
    pub(super) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::new(root.path(), &name());
        dir.create().unwrap();
        let journal = Journal::open(&dir, Opening::Create).await.unwrap();
        let (samples, latest) = watch::channel(Latest::default());
        let (snapshots, snapshot_asks) = mpsc::channel(8);
        let (requests, request_asks) = mpsc::channel(8);
        let (queries, query_asks) = mpsc::channel(8);
        let (visits, visit_asks) = mpsc::channel(8);
        let (drafts, draft_asks) = mpsc::channel(8);
        let (told, asked) = mpsc::channel(64);
        let ports = Ports {
            journal: journal.path().to_owned(),
            head: journal.head(),
            samples: latest,
            snapshots,
            requests,
            queries,
            visits,
        };
        let engine = Engine {
            journal,
            state: Arc::default(),
            told,
            hanging: Vec::new(),
        };
        let inboxes = (
            snapshot_asks,
            request_asks,
            query_asks,
            visit_asks,
            draft_asks,
        );
        tokio::spawn(engine.run(inboxes));
        let stop = CancellationToken::new();
        let socket = Server::bind(&dir.socket(), &Access::Owner, name(), ports.clone()).unwrap();
        let server = tokio::spawn(socket.run(stop.clone()));
        Self {
            root,
            dir,
            samples,
            stop,
            asked,
            ports,
            server,
            drafts,
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.socket()
    }

    pub(super) async fn append(&self, drafts: Vec<Draft>) -> Seq {
        let (reply, answer) = oneshot::channel();
        self.drafts.send((drafts, reply)).await.unwrap();
        answer.await.unwrap()
    }

    pub(super) async fn state(&self) -> Arc<Migration> {
        let (reply, answer) = oneshot::channel();
        self.ports.snapshots.send(reply).await.unwrap();
        answer.await.unwrap()
    }

    pub(super) fn measure(&self, no: u64) {
        let sample = Sample {
            copy_rate: RowsPerSecond(no),
            ..Sample::default()
        };
        self.samples.send_replace(Latest {
            no,
            sample: Arc::new(sample),
        });
    }

    pub(super) async fn client(&self, role: Role) -> Client {
        let greeting = Greeting::new(role, "pts/0");
        Client::attach(self.socket(), greeting).await.unwrap()
    }
}

struct Engine {
    journal: Journal,
    state: Arc<Migration>,
    told: mpsc::Sender<Request>,
    /// Answers that never come.
    hanging: Vec<oneshot::Sender<Reply>>,
}

type Inboxes = (
    mpsc::Receiver<oneshot::Sender<Arc<Migration>>>,
    mpsc::Receiver<(Request, oneshot::Sender<Reply>)>,
    mpsc::Receiver<(Query, oneshot::Sender<Answer>)>,
    mpsc::Receiver<Visit>,
    mpsc::Receiver<(Vec<Draft>, oneshot::Sender<Seq>)>,
);

impl Engine {
    async fn run(mut self, inboxes: Inboxes) {
        let (mut snapshots, mut requests, mut queries, mut visits, mut drafts) = inboxes;
        loop {
            tokio::select! {
                Some(reply) = snapshots.recv() => drop(reply.send(Arc::clone(&self.state))),
                Some((request, reply)) = requests.recv() => {
                    let cause = Some((request.session, request.id));
                    let seq = self.append(vec![fact(cause, Fact::Accepted {
                        who: request.who.clone(),
                        command: request.command.clone(),
                        reason: request.reason.clone(),
                    })]).await;
                    // A request with this reason hangs, as one would on a busy engine.
                    if request.reason.as_deref() == Some("hang") {
                        self.hanging.push(reply);
                    } else {
                        let _ = reply.send(Reply::Accepted { seq });
                    }
                    self.told.try_send(request).unwrap();
                }
                Some((query, reply)) = queries.recv() => {
                    let chunk = ChunkId { table: TableId(0), no: 3 };
                    let _ = reply.send(match query {
                        Query::Locate { .. } => Answer::Located(Some(chunk)),
                        _ => Answer::Best(RowsPerSecond(1)),
                    });
                }
                Some(visit) = visits.recv() => match visit {
                    Visit::Attached { session, who, role, from, known } => {
                        let came = Fact::Attached { session, who, role, from };
                        self.append(vec![fact(None, came)]).await;
                        let _ = known.send(());
                    }
                    Visit::Detached { session } => {
                        self.append(vec![fact(None, Fact::Detached { session })]).await;
                    }
                },
                Some((drafts, reply)) = drafts.recv() => {
                    let _ = reply.send(self.append(drafts).await);
                }
                else => return,
            }
        }
    }

    async fn append(&mut self, drafts: Vec<Draft>) -> Seq {
        let events = self.journal.append(drafts).await.unwrap().into_inner();
        let state = Arc::make_mut(&mut self.state);
        for event in &events {
            state.apply(event);
        }
        state.seq
    }
}

/// What a console has come to know, and how.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) state: Migration,
    pub(super) events: u64,
    pub(super) snapshots: u64,
    pub(super) samples: Vec<Sample>,
    pub(super) other: Vec<Tapped>,
}

impl Seen {
    pub(super) fn take(&mut self, tapped: Tapped) {
        match tapped {
            Tapped::Snapshot(state) => {
                assert!(state.seq >= self.state.seq, "never back");
                self.state = (*state).clone();
                self.snapshots += 1;
            }
            Tapped::Event(event) => {
                assert_eq!(event.seq.0, self.state.seq.0 + 1, "no gap, no repetition");
                self.state.apply(&event);
                self.events += 1;
            }
            Tapped::Sample(sample) => self.samples.push(*sample),
            Tapped::Beat => {}
            other => self.other.push(other),
        }
    }

    /// Listens until the state has this record.
    pub(super) async fn upto(&mut self, client: &mut Client, seq: Seq) {
        self.until(client, |seen| seen.state.seq >= seq).await;
    }

    pub(super) async fn until(&mut self, client: &mut Client, done: impl Fn(&Self) -> bool) {
        let listening = async {
            while !done(self) {
                let tapped = client.next().await.expect("still attached");
                self.take(tapped);
            }
        };
        // Generous: what is tested is that it comes, not how fast.
        tokio::time::timeout(Duration::from_secs(60), listening)
            .await
            .expect("what was waited for never came");
    }
}
