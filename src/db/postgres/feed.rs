//! The change stream: a replication slot, read by the protocol for it.
//!
//! A position is the place in the log where a commit ends. A thread of the feed's own reads the wire (`pull.rs`) and a task
//! puts its messages together: the server must hear from us while nobody takes anything, and a call of `next` that is dropped
//! must lose nothing. What is handed out waits in a short channel, several items at a time where they come quickly; beyond that the
//! server is not read from, and keeps the log.

use super::assemble::Assembler;
use super::connect::Server;
use super::fence::StartFence;
use super::names;
use super::pull::Pull;
use super::relations::Relations;
use super::replication::Told;
use super::slot;
use super::wire;
use crate::db::Feed;
use crate::db::spill::Spill;
use crate::domain::change::Item;
use crate::domain::fault::{Fault, Result};
use crate::domain::plan::Plan;
use crate::domain::position::Position;
use async_trait::async_trait;
use futures_util::future::poll_immediate;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Handfuls of items that wait to be taken. Few, because each item may be as large as `db::spill` leaves it in memory.
const HANDFULS: usize = 4;
/// Items of a handful, and bytes beyond which none is added.
const ITEMS: usize = 32;
const BYTES: u64 = 64 << 10;
/// So often in a row, at one place of its log, a server may ask how far we are: an idle one does it twice a minute.
const ASKED: u32 = 1_000;
/// After so long without a word it is asked whether the server still sends.
const SILENCE: Duration = Duration::from_secs(30);
/// Positions passed without a change that are told in one, while there is always another message.
const PASSED: u32 = 64;
const READ: &str = "read the stream";

/// The stream of one slot.
pub(super) struct PgFeed {
    handfuls: mpsc::Receiver<Result<Vec<Item>>>,
    /// Of the last one what is not handed out yet.
    items: std::vec::IntoIter<Item>,
    /// Up to where the server may forget.
    release: watch::Sender<u64>,
    /// Up to where items were handed out.
    delivered: u64,
    /// Why nothing comes any more.
    ended: Option<Fault>,
    lost: Fault,
    _stop: DropGuard,
}

impl PgFeed {
    /// Opens the stream after `from`; [`Position::START`] is the place where the slot was made. Reads are fenced off until the
    /// server has acknowledged that.
    ///
    /// # Errors
    /// `CAPTURE-LOST` when the slot does not hold everything after `from`, a passing fault when it is being read by somebody
    /// else, and whatever keeps the server from being reached.
    pub(super) async fn open(
        server: Server,
        plan: Arc<Plan>,
        from: Position,
        fence: Arc<StartFence>,
        spill: Spill,
    ) -> Result<Self> {
        let place = Arc::clone(&server.place);
        let start = fence.close();
        let name = names::capture(&plan.name);
        let mut session = server.session().await?;
        let ready = slot::ready(&mut session, &name, from).await?;
        let config = wire::config(&server, &name, ready.from)?;
        let (release, held) = watch::channel(ready.held);
        let stop = CancellationToken::new();
        let stops = stop.clone().drop_guard();
        let pull = Pull::open(config, held, stop.clone(), &place).await?;
        let xid = slot::own_xid(&mut session).await?;
        fence.open(start, xid);
        let mut relations = Relations::new(server.clone(), plan, name.clone());
        let missing = relations.unpublished(&mut session).await?;
        session.rest();

        let (out, handfuls) = mpsc::channel(HANDFULS);
        let pump = Pump {
            assembler: Assembler::new(server.clone(), relations, xid, spill),
            server,
            name,
            pull,
            out,
            handful: Vec::new(),
            bytes: 0,
            said: ready.from,
            passed: None,
            unsaid: 0,
            asked: Asked::default(),
        };
        let first = missing.into_iter().map(Item::Schema);
        let first = first.chain([Item::Idle(Position(ready.from.into()))]);
        tokio::spawn(pump.run(first.collect(), stop));
        Ok(Self {
            handfuls,
            items: Vec::new().into_iter(),
            release,
            delivered: ready.from,
            ended: None,
            lost: wire::lost(&place, READ),
            _stop: stops,
        })
    }
}

#[async_trait]
impl Feed for PgFeed {
    async fn next(&mut self) -> Result<Item> {
        let item = loop {
            if let Some(item) = self.items.next() {
                break item;
            }
            match self.handfuls.recv().await {
                Some(Ok(items)) => self.items = items.into_iter(),
                Some(Err(fault)) => {
                    self.ended = Some(fault.clone());
                    return Err(fault);
                }
                None => return Err(self.ended.as_ref().unwrap_or(&self.lost).clone()),
            }
        };
        let position = match &item {
            Item::Txn(txn) => Some(txn.head.position),
            Item::Idle(position) => Some(*position),
            Item::Marker(_) | Item::Truncate(_) | Item::Schema(_) => None,
        };
        if let Some(position) = position.and_then(|position| u64::try_from(position.0).ok()) {
            self.delivered = self.delivered.max(position);
        }
        Ok(item)
    }

    async fn release(&mut self, durable: Position) -> Result<()> {
        if let Some(fault) = &self.ended {
            return Err(fault.clone());
        }
        let upto = u64::try_from(durable.0)
            .unwrap_or(u64::MAX)
            .min(self.delivered);
        self.release.send_if_modified(|released| {
            let more = upto > *released;
            *released = upto.max(*released);
            more
        });
        Ok(())
    }
}

/// The task that reads the wire.
struct Pump {
    server: Server,
    name: String,
    pull: Pull,
    assembler: Assembler,
    out: mpsc::Sender<Result<Vec<Item>>>,
    /// What goes out next, as soon as nothing more is there at once.
    handful: Vec<Item>,
    bytes: u64,
    /// The last position that was handed on.
    said: u64,
    /// A later one, with nothing up to it.
    passed: Option<u64>,
    unsaid: u32,
    asked: Asked,
}

/// How often the server has asked in a row how far we are, at one place of its log.
#[derive(Default)]
struct Asked {
    at: u64,
    times: u32,
}

impl Asked {
    /// Whether it asks without end. A server that shuts down does not end before every reader has told that it has all of the
    /// log, and asks again at each answer; who can't say so, because the target can't be reached, must let go of it.
    fn without_end(&mut self, at: u64) -> bool {
        self.times = if self.at == at { self.times + 1 } else { 1 };
        self.at = at;
        self.times > ASKED
    }
}

/// What the pump woke for.
enum Woken {
    Told(pgwire_replication::Result<Option<Told>>),
    Silence,
    /// Nothing more is there for now.
    Quiet,
}

impl Pump {
    async fn run(mut self, first: Vec<Item>, stop: CancellationToken) {
        let fault = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            fault = self.pump(first) => Some(fault),
        };
        if let Some(fault) = fault {
            tokio::select! {
                () = stop.cancelled() => {}
                // The feed may be gone; then nobody wants to know.
                _ = self.out.send(Err(fault)) => {}
            }
        }
    }

    /// Reads until something breaks.
    async fn pump(&mut self, first: Vec<Item>) -> Fault {
        for item in first {
            self.say(item).await;
        }
        self.hand_on().await;
        loop {
            if let Err(fault) = self.step().await {
                // What came before it is whole.
                self.hand_on().await;
                return fault;
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        match self.woken().await {
            Woken::Told(told) => {
                let place = &self.server.place;
                let told = told
                    .map_err(|error| wire::fault(place, READ, &error))?
                    .ok_or_else(|| wire::lost(place, READ))?;
                self.told(told).await?;
            }
            Woken::Silence => self.look().await?,
            Woken::Quiet => {
                self.say_passed().await;
                self.hand_on().await;
            }
        }
        if self.unsaid >= PASSED {
            self.say_passed().await;
        }
        Ok(())
    }

    async fn woken(&mut self) -> Woken {
        let mut told = pin!(self.pull.recv());
        if self.passed.is_some() || !self.handful.is_empty() {
            return match poll_immediate(&mut told).await {
                Some(told) => Woken::Told(told),
                None => Woken::Quiet,
            };
        }
        tokio::select! {
            biased;
            told = &mut told => Woken::Told(told),
            () = tokio::time::sleep(SILENCE) => Woken::Silence,
        }
    }

    async fn told(&mut self, told: Told) -> Result<()> {
        match told {
            Told::Data(data) => {
                let Some((end, items)) = self.assembler.data(data).await? else {
                    return Ok(());
                };
                for item in items {
                    if let Item::Txn(_) = item {
                        self.said = self.said.max(end);
                        (self.passed, self.unsaid) = (None, 0);
                    }
                    self.say(item).await;
                }
                self.pass(end);
            }
            Told::Alive { end, .. } if self.asked.without_end(end) => {
                return Err(wire::lost(&self.server.place, READ)
                    .cause("the server seems to be shutting down, and waits for us"));
            }
            // While a transaction is being sent, what the server has read may lie anywhere around its commit.
            Told::Alive { end, .. } if !self.assembler.within() => self.pass(end),
            Told::Alive { .. } => {}
        }
        Ok(())
    }

    /// Nothing up to here that was not handed on.
    fn pass(&mut self, position: u64) {
        if position > self.said.max(self.passed.unwrap_or(0)) {
            self.passed = Some(position);
            self.unsaid += 1;
        }
    }

    async fn say_passed(&mut self) {
        self.unsaid = 0;
        if let Some(position) = self.passed.take() {
            self.said = position;
            self.say(Item::Idle(Position(position.into()))).await;
        }
    }

    /// Hands an item on, with those that come right behind it.
    async fn say(&mut self, item: Item) {
        if let Item::Txn(txn) = &item {
            self.bytes += txn.weight();
        }
        self.handful.push(item);
        if self.handful.len() >= ITEMS || self.bytes >= BYTES {
            self.hand_on().await;
        }
    }

    /// Hands on what has gathered, once there is room for it.
    async fn hand_on(&mut self) {
        if self.handful.is_empty() {
            return;
        }
        self.bytes = 0;
        let handful = std::mem::take(&mut self.handful);
        if self.out.send(Ok(handful)).await.is_err() {
            // The feed is gone, and this task is about to be.
            std::future::pending().await
        }
    }

    /// Nothing was heard for long: a server that is idle, or a connection that died without a word.
    async fn look(&mut self) -> Result<()> {
        let mut session = self.server.session().await?;
        let read = slot::read_from(&mut session, &self.name).await?;
        session.rest();
        if read {
            Ok(())
        } else {
            Err(wire::lost(&self.server.place, READ).cause("the server does not send any more"))
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
