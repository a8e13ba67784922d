//! The console's end: a tap on a running engine that comes back by itself.

use super::wire::{Frame, Greeting, LONGEST_FRAME, Line, PROTO, VERSION};
use crate::domain::command::{Answer, Reply};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::CommandId;
use crate::domain::unit::Span;
use crate::tap::{Ask, QueryId, Tap, Tapped};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{FramedRead, LinesCodec};

/// Things heard that the console has not looked at yet. When it is full, the engine is not listened to; it then sends the
/// state instead of everything that was missed.
const HEARD: usize = 256;

/// Asks on their way, and asks not answered yet.
const ASKED: usize = 64;

/// An engine that says nothing for so long at the start is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// An engine that was there and says nothing for so long is lost: a tunnel can hang without closing.
const SILENCE: Duration = Duration::from_secs(10);

/// The first wait before trying again; doubled each time, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait before trying again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A console's tap on an engine's socket. Dropped, it detaches.
pub struct Client {
    heard: mpsc::Receiver<Tapped>,
    asks: mpsc::Sender<Ask>,
    task: JoinHandle<()>,
}

impl Client {
    /// Attaches to the engine that listens at `socket`. Fails when none does (`NOT-RUNNING`) or it turns the console away;
    /// once attached it comes back by itself whenever the connection is lost, with a pause between tries that is never
    /// longer than five seconds. Must be called within a tokio runtime.
    ///
    /// What was asked and not answered when the connection broke is answered as in doubt; what is asked while there is none
    /// is refused: no command waits unseen to be done later.
    pub async fn attach(socket: impl AsRef<Path>, greeting: Greeting) -> Result<Self> {
        let socket = socket.as_ref().to_owned();
        let link = Link::connect(&socket, &greeting).await?;
        let (tell, heard) = mpsc::channel(HEARD);
        let (asks, inbox) = mpsc::channel(ASKED);
        let runner = Runner {
            socket,
            greeting,
            tell,
            asks: inbox,
            commands: BTreeSet::new(),
            queries: BTreeSet::new(),
        };
        let task = tokio::spawn(runner.run(link));
        Ok(Self { heard, asks, task })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Tap for Client {
    async fn next(&mut self) -> Option<Tapped> {
        self.heard.recv().await
    }

    fn send(&mut self, ask: Ask) -> Result<()> {
        self.asks.try_send(ask).map_err(|_| {
            Fault::new(
                Kind::Refused,
                "too much is waiting to be answered; this was not sent",
            )
            .code("CONSOLE-BUSY")
        })
    }
}

/// One connection, with the engine's first words.
struct Link {
    lines: FramedRead<OwnedReadHalf, LinesCodec>,
    write: OwnedWriteHalf,
    welcome: Tapped,
    /// Speaks as this console does: what is not understood is then damaged, not new.
    same: bool,
}

impl Link {
    async fn connect(socket: &Path, greeting: &Greeting) -> Result<Self> {
        timeout(PATIENCE, Self::greet(socket, greeting))
            .await
            .unwrap_or_else(|_| Err(not_running(socket, "it does not answer")))
    }

    async fn greet(socket: &Path, greeting: &Greeting) -> Result<Self> {
        let stream = UnixStream::connect(socket).await.map_err(|e| {
            if e.kind() == std::io::ErrorKind::PermissionDenied {
                Fault::new(
                    Kind::Refused,
                    format!("you may not attach at {}", socket.display()),
                )
                .code("SOCKET-DENIED")
                .cause(e)
                .hint("the socket is its owner's, or a group's where the config names one")
            } else {
                not_running(socket, e)
            }
        })?;
        let (read, mut write) = stream.into_split();
        let mut lines = FramedRead::new(read, LinesCodec::new_with_max_length(LONGEST_FRAME));
        put(&mut write, &Line::Hello(greeting.clone()))
            .await
            .map_err(|why| not_running(socket, why))?;
        let first = match lines.next().await {
            Some(Ok(first)) => first,
            Some(Err(e)) => return Err(not_running(socket, e)),
            None => return Err(not_running(socket, "it hung up")),
        };
        match serde_json::from_str(&first) {
            Ok(Frame::Hello(welcome)) => Ok(Self {
                lines,
                write,
                same: (welcome.proto, &*welcome.version) == (PROTO, VERSION),
                welcome: Tapped::Welcome(welcome),
            }),
            // It is on its way out: whoever wants another one may try again.
            Ok(Frame::Bye { why, again: true }) => Err(not_running(socket, why)),
            Ok(Frame::Bye { why, again: false }) => {
                Err(Fault::new(Kind::Refused, why).code("TURNED-AWAY"))
            }
            Ok(_) => Err(not_running(socket, "what answers is no engine")),
            Err(e) => Err(not_running(socket, e)),
        }
    }
}

fn not_running(socket: &Path, cause: impl std::fmt::Display) -> Fault {
    Fault::new(
        Kind::Blocked,
        format!("no engine answers at {}", socket.display()),
    )
    .code("NOT-RUNNING")
    .cause(cause)
    .hint("`tidegate list` shows what runs here; `tidegate run` starts it")
}

/// How a connection ended.
enum End {
    /// Broken, or the engine stopped: try again.
    Lost(String),
    /// No use in trying again.
    Over(Fault),
    /// The console itself is gone.
    Dropped,
}

struct Runner {
    socket: PathBuf,
    greeting: Greeting,
    tell: mpsc::Sender<Tapped>,
    asks: mpsc::Receiver<Ask>,
    commands: BTreeSet<CommandId>,
    queries: BTreeSet<QueryId>,
}

impl Runner {
    async fn run(mut self, mut link: Link) {
        loop {
            let end = self.talk(link).await;
            self.doubt().await;
            let back = match end {
                End::Lost(why) => self.reconnect(why).await,
                end => Err(end),
            };
            match back {
                Ok(again) => link = again,
                Err(End::Over(fault)) => {
                    // Nobody listens any more if this fails.
                    let _ = self.tell.send(Tapped::Ended(fault)).await;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// Passes things both ways until the connection ends. A console that is slow to listen can still ask.
    async fn talk(&mut self, mut link: Link) -> End {
        let tell = self.tell.clone();
        let mut held = Some(link.welcome);
        let mut read = 0;
        loop {
            tokio::select! {
                biased;
                ask = self.asks.recv(), if self.room() => match ask {
                    None => return End::Dropped,
                    Some(ask) => {
                        if let Some(line) = self.line(ask)
                            && let Err(why) = put(&mut link.write, &line).await
                        {
                            return End::Lost(why);
                        }
                    }
                },
                permit = tell.reserve(), if held.is_some() => match (permit, held.take()) {
                    (Ok(permit), Some(tapped)) => permit.send(tapped),
                    _ => return End::Dropped,
                },
                () = sleep(SILENCE), if held.is_none() => {
                    // The engine speaks every second, but a long line on a slow connection takes its time.
                    let now = link.lines.read_buffer().len();
                    if now == read {
                        return End::Lost("nothing was heard from the engine".to_owned());
                    }
                    read = now;
                }
                line = link.lines.next(), if held.is_none() => match line {
                    None => return End::Lost("the engine hung up".to_owned()),
                    Some(Err(e)) => return End::Lost(e.to_string()),
                    Some(Ok(line)) => match serde_json::from_str(&line) {
                        Ok(Frame::Bye { why, again: true }) => return End::Lost(why),
                        Ok(Frame::Bye { why, again: false }) => {
                            return End::Over(Fault::new(Kind::Refused, why).code("TURNED-AWAY"));
                        }
                        Ok(frame) => held = self.tapped(frame),
                        Err(e) if link.same => return End::Lost(e.to_string()),
                        Err(e) => return End::Over(other_version(e)),
                    },
                },
            }
        }
    }

    fn room(&self) -> bool {
        self.commands.len() + self.queries.len() < ASKED
    }

    fn line(&mut self, ask: Ask) -> Option<Line> {
        match ask {
            Ask::Command {
                id,
                seen,
                command,
                reason,
            } => {
                self.commands.insert(id);
                Some(Line::Command {
                    id,
                    seen,
                    command,
                    reason,
                })
            }
            Ask::Query { id, query } => {
                self.queries.insert(id);
                Some(Line::Query { id, query })
            }
        }
    }

    fn tapped(&mut self, frame: Frame) -> Option<Tapped> {
        Some(match frame {
            Frame::Hello(welcome) => Tapped::Welcome(welcome),
            Frame::Snapshot(state) => Tapped::Snapshot(state),
            Frame::Event(event) => Tapped::Event(event),
            Frame::Sample(sample) => Tapped::Sample(sample),
            Frame::Beat { .. } => Tapped::Beat,
            // An answer that nobody waits for was given already, in doubt.
            Frame::Reply { id, reply } => {
                return self
                    .commands
                    .remove(&id)
                    .then_some(Tapped::Reply { id, reply });
            }
            Frame::Answer { id, answer } => {
                return self
                    .queries
                    .remove(&id)
                    .then_some(Tapped::Answer { id, answer });
            }
            Frame::Bye { .. } => return None,
        })
    }

    /// Answers what was asked over a connection that is gone.
    async fn doubt(&mut self) {
        for id in std::mem::take(&mut self.commands) {
            let fault = Fault::new(
                Kind::InDoubt,
                "the connection broke before the engine answered",
            )
            .code("NOT-ANSWERED")
            .hint("look in the timeline whether it was done before asking again");
            let reply = Reply::Refused(fault);
            let _ = self.tell.send(Tapped::Reply { id, reply }).await;
        }
        for id in std::mem::take(&mut self.queries) {
            let answer = Answer::Failed(not_connected());
            let _ = self.tell.send(Tapped::Answer { id, answer }).await;
        }
    }

    async fn reconnect(&mut self, mut why: String) -> Result<Link, End> {
        let mut wait = FIRST_WAIT;
        for tries in 0.. {
            let lost = Tapped::LinkLost {
                why,
                tries,
                retry: Span::from(wait),
            };
            self.tell.send(lost).await.map_err(|_| End::Dropped)?;
            self.refuse_for(wait).await?;
            match Link::connect(&self.socket, &self.greeting).await {
                Ok(link) => {
                    let told = self.tell.send(Tapped::LinkBack).await;
                    return told.map(|()| link).map_err(|_| End::Dropped);
                }
                Err(fault) if fault.code == "TURNED-AWAY" => return Err(End::Over(fault)),
                Err(fault) => why = fault.to_string(),
            }
            wait = LONGEST_WAIT.min(wait * 2);
        }
        Err(End::Dropped)
    }

    /// Waits; whatever is asked meanwhile is refused at once.
    async fn refuse_for(&mut self, wait: Duration) -> Result<(), End> {
        let pause = sleep(wait);
        tokio::pin!(pause);
        loop {
            let refused = tokio::select! {
                () = &mut pause => return Ok(()),
                ask = self.asks.recv() => match ask {
                    None => return Err(End::Dropped),
                    Some(Ask::Command { id, .. }) => Tapped::Reply {
                        id,
                        reply: Reply::Refused(not_connected()),
                    },
                    Some(Ask::Query { id, .. }) => Tapped::Answer {
                        id,
                        answer: Answer::Failed(not_connected()),
                    },
                },
            };
            self.tell.send(refused).await.map_err(|_| End::Dropped)?;
        }
    }
}

fn not_connected() -> Fault {
    Fault::new(
        Kind::Refused,
        "there is no connection to the engine; this was not sent",
    )
    .code("NOT-CONNECTED")
}

fn other_version(cause: serde_json::Error) -> Fault {
    Fault::new(
        Kind::Usage,
        "the engine is another version of tidegate, and this console does not understand it",
    )
    .code("OTHER-VERSION")
    .cause(cause)
    .hint("attach with the tidegate that runs the engine")
}

async fn put(write: &mut OwnedWriteHalf, line: &Line) -> Result<(), String> {
    let mut bytes = serde_json::to_vec(line).map_err(|e| e.to_string())?;
    bytes.push(b'\n');
    match timeout(PATIENCE, write.write_all(&bytes)).await {
        Ok(written) => written.map_err(|e| e.to_string()),
        Err(_) => Err("the engine does not listen".to_owned()),
    }
}
