//! One console at the engine's end. Two halves in one task: what it asks is taken even while it is slow to listen.

use super::server::{Shared, Visit};
use super::wire::{Frame, Greeting, LONGEST_ASK, Line, PROTO, VERSION};
use crate::domain::command::{Answer, Reply, Request, Role};
use crate::domain::fault::{Fault, Kind};
use crate::domain::id::{CommandId, Seq, SessionId, Who};
use crate::journal::Reader;
use crate::state::migration::Migration;
use crate::tap::{QueryId, Welcome};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::codec::{FramedRead, LinesCodec};

/// Who says nothing for so long is an onlooker.
const GREETING: Duration = Duration::from_secs(1);

/// A console that takes not a single byte for so long is let go; it comes back by itself when it wakes.
const STALLED: Duration = Duration::from_secs(30);

/// Measurements go out no more often than this.
const BEAT: Duration = Duration::from_millis(100);

/// After so many beats without a word, one is said.
const QUIET_BEATS: u32 = 10;

/// A console so many records behind gets the state instead of the records.
const FAR_BEHIND: u64 = 20_000;

/// Records in one piece.
const PIECE: u32 = 512;

/// Commands and queries of one console that wait for their answer.
const UNANSWERED: usize = 64;

type Lines = FramedRead<OwnedReadHalf, LinesCodec>;
type Waiting = BoxFuture<'static, Frame>;

/// Why it ends. The console is gone unless a word was left for it.
struct End(Option<Frame>);

impl End {
    const GONE: Self = Self(None);

    fn engine_ends() -> Self {
        Self(Some(Frame::Bye {
            why: "the engine has stopped".to_owned(),
            again: true,
        }))
    }

    fn fault(why: impl ToString, again: bool) -> Self {
        Self(Some(Frame::Bye {
            why: why.to_string(),
            again,
        }))
    }
}

/// Serves a console until it goes, hangs, or the engine stops.
pub(super) async fn serve(stream: UnixStream, session: SessionId, who: Who, shared: Arc<Shared>) {
    let (read, write) = stream.into_split();
    let mut outlet = Outlet { write };
    let mut lines = FramedRead::new(read, LinesCodec::new_with_max_length(LONGEST_ASK));
    let greeting = tokio::select! {
        () = shared.stop.cancelled() => return,
        greeting = greet(&mut lines, &outlet.write) => greeting,
    };
    let end = match greeting {
        Ok(greeting) => attached(&mut outlet, lines, greeting, session, who, &shared).await,
        Err(end) => end,
    };
    if let End(Some(bye)) = end {
        // Said to somebody who may be gone or hang; the connection ends either way.
        let _ = timeout(GREETING, outlet.put(&bye)).await;
    }
}

async fn greet(lines: &mut Lines, write: &OwnedWriteHalf) -> Result<Greeting, End> {
    match timeout(GREETING, lines.next()).await {
        // Who connects and goes at once only wanted to know whether an engine answers: that is no visit.
        Ok(None) if hung_up(write) => Err(End::GONE),
        Err(_) | Ok(None) => Ok(Greeting::onlooker()),
        Ok(Some(Ok(line))) => match serde_json::from_str(&line) {
            Ok(Line::Hello(greeting)) => Ok(greeting),
            Ok(_) => Err(End::fault("say hello first", false)),
            Err(e) => Err(End::fault(
                format!("the first line is no hello: {e}"),
                false,
            )),
        },
        Ok(Some(Err(e))) => Err(End::fault(e, false)),
    }
}

/// Whether the other end closed both ways; one that only has nothing to say still listens. Writing nothing tells: a closed
/// socket refuses even that.
fn hung_up(write: &OwnedWriteHalf) -> bool {
    write
        .try_write(&[])
        .is_err_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn attached(
    outlet: &mut Outlet,
    lines: Lines,
    greeting: Greeting,
    session: SessionId,
    who: Who,
    shared: &Arc<Shared>,
) -> End {
    let why = greeting.mismatch();
    let role = if why.is_some() {
        Role::Observer
    } else {
        greeting.role
    };
    let (known, noticed) = oneshot::channel();
    let visit = Visit::Attached {
        session,
        who: who.clone(),
        role,
        from: greeting.from.clone(),
        known,
    };
    if shared.ports.visits.send(visit).await.is_err() || noticed.await.is_err() {
        return End::engine_ends();
    }
    let welcome = Welcome {
        proto: PROTO,
        version: VERSION.to_owned(),
        name: shared.name.to_string(),
        pid: std::process::id(),
        session,
        you: who.clone(),
        role,
        why: why.clone(),
    };
    let (waiting, answers) = mpsc::channel(UNANSWERED);
    let intake = Intake {
        session,
        who,
        role,
        why,
        waiting,
        shared: Arc::clone(shared),
    };
    let end = {
        let asking = intake.run(lines);
        let telling = outlet.run(welcome, greeting.every, answers, shared);
        tokio::pin!(asking, telling);
        tokio::select! {
            end = &mut telling => end,
            // It has nothing more to say, which is not yet to say that it does not listen: its outlet finds out.
            () = &mut asking => telling.await,
        }
    };
    // An engine that ends has nobody to tell.
    let _ = shared.ports.visits.send(Visit::Detached { session }).await;
    end
}

/// What the console asks.
struct Intake {
    session: SessionId,
    who: Who,
    role: Role,
    why: Option<String>,
    waiting: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
}

impl Intake {
    async fn run(self, mut lines: Lines) {
        while let Some(line) = lines.next().await {
            let waiting = match line {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(line) => self.ask(line).await,
                    Err(e) => Some(says(format!("this line is not understood: {e}"))),
                },
                Err(e) => Some(says(e.to_string())),
            };
            let Some(waiting) = waiting else { continue };
            if self.waiting.send(waiting).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&self, line: Line) -> Option<Waiting> {
        match line {
            Line::Hello(_) => None,
            Line::Command { id, .. } if self.role == Role::Observer => {
                let why = self
                    .why
                    .clone()
                    .unwrap_or_else(|| "this console is attached to look only".to_owned());
                let fault = Fault::new(Kind::Refused, why).code("OBSERVER");
                let reply = Reply::Refused(fault);
                Some(Box::pin(std::future::ready(Frame::Reply { id, reply })))
            }
            Line::Command {
                id,
                seen,
                command,
                reason,
            } => {
                let request = Request {
                    id,
                    session: self.session,
                    who: self.who.clone(),
                    role: self.role,
                    seen,
                    command,
                    reason,
                };
                let (reply, answer) = oneshot::channel();
                // A failed send drops the sender, which the answer then tells.
                let _ = self.shared.ports.requests.send((request, reply)).await;
                Some(Box::pin(replied(id, answer)))
            }
            Line::Query { id, query } => {
                let (reply, answer) = oneshot::channel();
                let _ = self.shared.ports.queries.send((query, reply)).await;
                Some(Box::pin(answered(id, answer)))
            }
        }
    }
}

async fn replied(id: CommandId, answer: oneshot::Receiver<Reply>) -> Frame {
    let reply = answer.await.unwrap_or_else(|_| Reply::Refused(stopping()));
    Frame::Reply { id, reply }
}

async fn answered(id: QueryId, answer: oneshot::Receiver<Answer>) -> Frame {
    let answer = answer.await.unwrap_or_else(|_| Answer::Failed(stopping()));
    Frame::Answer { id, answer }
}

fn says(why: String) -> Waiting {
    Box::pin(std::future::ready(Frame::Bye { why, again: false }))
}

fn stopping() -> Fault {
    Fault::new(Kind::Refused, "the engine is stopping; this was not done").code("ENGINE-STOPS")
}

/// What the console is told.
struct Outlet {
    write: OwnedWriteHalf,
}

/// A write that can't be finished ends the console: it is gone, or hangs.
type Told = Result<(), End>;

impl Outlet {
    async fn run(
        &mut self,
        welcome: Welcome,
        every: bool,
        answers: mpsc::Receiver<Waiting>,
        shared: &Shared,
    ) -> End {
        match self.follow(welcome, every, answers, shared).await {
            Ok(()) => End::engine_ends(),
            Err(end) => end,
        }
    }

    /// Tells what happens until the engine stops.
    async fn follow(
        &mut self,
        welcome: Welcome,
        every: bool,
        mut answers: mpsc::Receiver<Waiting>,
        shared: &Shared,
    ) -> Told {
        let mut head = shared.ports.head.clone();
        let mut samples = shared.ports.samples.clone();
        let mut last_sample = samples.borrow().no;
        // The one that is there already is told too.
        samples.mark_changed();
        self.put(&Frame::Hello(Box::new(welcome))).await?;
        let mut reader = Reader::open(&shared.ports.journal)
            .await
            .map_err(|fault| End::fault(fault, true))?;
        let mut cursor = self.reseed(shared).await?;

        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = 0;
        let mut listens = true;
        let mut waiting = FuturesUnordered::new();
        let mut dropped = 0;
        loop {
            let newest = *head.borrow_and_update();
            let behind = newest.0.saturating_sub(cursor.0);
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ok(()),
                Some(frame) = waiting.next(), if !waiting.is_empty() => {
                    if matches!(frame, Frame::Bye { .. }) {
                        return Err(End(Some(frame)));
                    }
                    self.put(&frame).await?;
                    quiet = 0;
                }
                more = answers.recv(), if listens && waiting.len() < UNANSWERED => match more {
                    Some(more) => waiting.push(more),
                    None => {
                        // It says nothing more. Whether it still listens shows by speaking to it.
                        listens = false;
                        self.put(&Frame::Beat { seq: newest }).await?;
                    }
                },
                _ = beat.tick() => {
                    quiet += 1;
                    if samples.has_changed().map_err(|_| End::engine_ends())? {
                        let latest = samples.borrow_and_update().clone();
                        dropped += latest.no.saturating_sub(last_sample + 1);
                        last_sample = latest.no;
                        let mut sample = Box::new((*latest.sample).clone());
                        sample.dropped = dropped;
                        self.put(&Frame::Sample(sample)).await?;
                        quiet = 0;
                    } else if quiet >= QUIET_BEATS {
                        self.put(&Frame::Beat { seq: newest }).await?;
                        quiet = 0;
                    }
                }
                () = std::future::ready(()), if behind > 0 => {
                    cursor = if behind > FAR_BEHIND && !every {
                        self.reseed(shared).await?
                    } else {
                        self.piece(&mut reader, cursor).await?
                    };
                    quiet = 0;
                }
                changed = head.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Tells the whole state; gives the record it is as of.
    async fn reseed(&mut self, shared: &Shared) -> Result<Seq, End> {
        let (reply, answer) = oneshot::channel();
        let asked = shared.ports.snapshots.send(reply).await;
        asked.map_err(|_| End::engine_ends())?;
        let state: Arc<Migration> = answer.await.map_err(|_| End::engine_ends())?;
        let seq = state.seq;
        // A million chunks take a while to write down; other consoles are served meanwhile.
        let line = tokio::task::spawn_blocking(move || Frame::Snapshot(state).to_line());
        match line.await {
            Ok(Ok(line)) => self.write(&line).await?,
            Ok(Err(e)) => return Err(End::fault(e, true)),
            Err(e) => return Err(End::fault(e, true)),
        }
        Ok(seq)
    }

    /// Tells the next records after `cursor`; gives the last of them.
    async fn piece(&mut self, reader: &mut Reader, cursor: Seq) -> Result<Seq, End> {
        let events = reader
            .events(Seq(cursor.0 + 1), PIECE)
            .await
            .map_err(|fault| End::fault(fault, true))?;
        if events.is_empty() {
            let why = format!("record {} is not in the journal", cursor.0 + 1);
            return Err(End::fault(why, true));
        }
        let mut lines = Vec::new();
        let mut last = cursor;
        for event in events {
            last = event.seq;
            let line = Frame::Event(Box::new(event)).to_line();
            lines.extend(line.map_err(|e| End::fault(e, true))?);
        }
        self.write(&lines).await?;
        Ok(last)
    }

    async fn put(&mut self, frame: &Frame) -> Told {
        let line = frame.to_line().map_err(|e| End::fault(e, true))?;
        self.write(&line).await
    }

    /// Writes it all, as long as it goes on at all: a slow line is not a hanging one.
    async fn write(&mut self, mut bytes: &[u8]) -> Told {
        while !bytes.is_empty() {
            match timeout(STALLED, self.write.write(bytes)).await {
                Ok(Ok(0)) | Ok(Err(_)) | Err(_) => return Err(End::GONE),
                Ok(Ok(n)) => bytes = &bytes[n..],
            }
        }
        Ok(())
    }
}
