//! Talking to a running engine: one command or query at a time, and what follows from it.

use crate::attach::client::Client;
use crate::attach::wire::Greeting;
use crate::domain::command::{Answer, Command, Query, Reply, Role};
use crate::domain::event::Event;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::id::{CommandId, Seq, SessionId};
use crate::engine::decide::SEND;
use crate::journal::paths::StateDir;
use crate::state::migration::Migration;
use crate::tap::{Ask, QueryId, Tap, Tapped};
use std::collections::VecDeque;

/// A conversation with an engine, and the state as far as it was told.
pub struct Talk {
    tap: Client,
    session: SessionId,
    /// The state up to the last event heard.
    pub state: Migration,
    asked: u64,
    early: VecDeque<Event>,
}

impl Talk {
    /// Attaches as an operator that is no console, and takes in the state.
    ///
    /// # Errors
    /// When no engine answers, or it lets this program only look.
    pub async fn begin(dir: &StateDir) -> Result<Self> {
        let greeting = Greeting {
            every: true,
            ..Greeting::new(Role::Operator, SEND)
        };
        let mut tap = Client::attach(dir.socket(), greeting).await?;
        let mut session = None;
        loop {
            match tap.next().await {
                Some(Tapped::Welcome(welcome)) => {
                    if let Some(why) = welcome.why {
                        return Err(Fault::new(Kind::Refused, why));
                    }
                    session = Some(welcome.session);
                }
                Some(Tapped::Snapshot(state)) => {
                    let session = session.ok_or_else(|| broken("it did not introduce itself"))?;
                    return Ok(Self {
                        tap,
                        session,
                        state: (*state).clone(),
                        asked: 0,
                        early: VecDeque::new(),
                    });
                }
                Some(Tapped::LinkLost { why, .. }) => return Err(broken(why)),
                Some(Tapped::Ended(fault)) => return Err(fault),
                Some(_) => {}
                None => return Err(broken("it hung up")),
            }
        }
    }

    /// Sends a command; gives the record that accepted it. Events heard meanwhile are kept for [`Talk::event`].
    ///
    /// # Errors
    /// The engine's refusal; or in doubt, when the connection broke before its answer.
    pub async fn command(&mut self, command: Command, reason: Option<String>) -> Result<Accepted> {
        self.asked += 1;
        let id = CommandId(self.asked);
        self.tap.send(Ask::Command {
            id,
            seen: self.state.seq,
            command,
            reason,
        })?;
        loop {
            match self.hear().await? {
                Heard::Event(event) => self.early.push_back(*event),
                Heard::Reply(of, Reply::Accepted { seq }) if of == id => {
                    return Ok(Accepted {
                        seq,
                        id,
                        session: self.session,
                    });
                }
                Heard::Reply(of, Reply::Refused(fault)) if of == id => return Err(fault),
                Heard::Reply(..) | Heard::Answer(..) => {}
            }
        }
    }

    /// Asks for what is not in the state.
    ///
    /// # Errors
    /// What the engine says, or the connection's end.
    pub async fn query(&mut self, query: Query) -> Result<Answer> {
        self.asked += 1;
        let id = QueryId(self.asked);
        self.tap.send(Ask::Query { id, query })?;
        loop {
            match self.hear().await? {
                Heard::Answer(of, Answer::Failed(fault)) if of == id => return Err(fault),
                Heard::Answer(of, answer) if of == id => return Ok(answer),
                Heard::Event(event) => self.early.push_back(*event),
                Heard::Answer(..) | Heard::Reply(..) => {}
            }
        }
    }

    /// The next event; it is in the state already.
    ///
    /// # Errors
    /// The connection's end: what was accepted goes on without us.
    pub async fn event(&mut self) -> Result<Event> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        loop {
            if let Heard::Event(event) = self.hear().await? {
                return Ok(*event);
            }
        }
    }

    async fn hear(&mut self) -> Result<Heard> {
        loop {
            match self.tap.next().await {
                Some(Tapped::Event(event)) => {
                    self.state.apply(&event);
                    return Ok(Heard::Event(event));
                }
                Some(Tapped::Sample(sample)) => self.state.measure(&sample),
                Some(Tapped::Snapshot(state)) => self.state = (*state).clone(),
                Some(Tapped::Reply { id, reply }) => return Ok(Heard::Reply(id, reply)),
                Some(Tapped::Answer { id, answer }) => return Ok(Heard::Answer(id, answer)),
                Some(Tapped::Ended(fault)) => return Err(fault),
                Some(Tapped::LinkLost { why, .. }) => return Err(broken(why)),
                Some(_) => {}
                None => return Err(broken("it hung up")),
            }
        }
    }
}

/// A command that was taken.
pub struct Accepted {
    /// The record that says so.
    pub seq: Seq,
    id: CommandId,
    session: SessionId,
}

impl Accepted {
    /// What the facts that follow from it name as their cause.
    pub fn cause(&self) -> (SessionId, CommandId) {
        (self.session, self.id)
    }

    /// Whether an event follows from this command.
    pub fn caused(&self, event: &Event) -> bool {
        event.cause == Some(self.cause())
    }
}

enum Heard {
    Event(Box<Event>),
    Reply(CommandId, Reply),
    Answer(QueryId, Answer),
}

fn broken(why: impl std::fmt::Display) -> Fault {
    Fault::new(
        Kind::InDoubt,
        "the connection to the engine ended before its answer",
    )
    .code("ENGINE-SILENT")
    .cause(why)
    .hint("tidegate status shows whether it was done")
}
