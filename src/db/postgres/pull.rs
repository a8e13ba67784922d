//! The replication connection, read in bursts by a thread of its own.
//!
//! The server sends every change as a message of its own, and to hand one to a reader that waits for it costs the server more
//! than to decode it; where the reader is awake, each even crosses the network by itself. A reader that sleeps between two reads
//! lets them gather: with 60,000 transactions of pgbench in its log the server spends half the time on it. So once messages come
//! quickly, this thread sleeps after each burst, with everything that runs on it, and finds many of them in the socket when it
//! wakes. Where few come, each is handed on at once.

use super::place::Place;
use super::wire::{self, STATUS};
use crate::domain::fault::{Fault, Kind, Result};
use futures_util::future::poll_immediate;
use pgwire_replication::{
    Lsn, PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent,
};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;

/// How long the start of the stream may take.
const START: Duration = Duration::from_secs(30);
/// Bursts that wait to be taken.
const BURSTS: usize = 2;
/// Messages in one burst, and bytes of them (and one more message, however large).
const MESSAGES: usize = 256;
const BYTES: usize = 256 << 10;
/// The sleep between two bursts, in ms: a first one after every [`MESSAGES`], to learn whether they come quickly, and twice as long
/// each time that they did. After 1 ms the server would still find the reader awake half of the time.
const TRIAL: usize = 1;
const NAP: usize = 8;
/// Messages come quickly when there are so many for each ms of a sleep.
const QUICK: usize = 16;
/// Turns that whoever reads the socket gets before it counts as empty: to hear that something came, and to read it.
const TURNS: usize = 3;
const OPENING: &str = "open the stream";

type Told = pgwire_replication::Result<Vec<ReplicationEvent>>;

/// What the thread has read.
pub(super) struct Pull {
    bursts: mpsc::Receiver<Told>,
    burst: std::vec::IntoIter<ReplicationEvent>,
}

impl Pull {
    /// Opens the connection. It ends with `stop`. `held`: what the server is told is held on the target.
    ///
    /// # Errors
    /// What the server says to it, and no answer within [`START`].
    pub(super) async fn open(
        config: ReplicationConfig,
        held: watch::Receiver<u64>,
        stop: CancellationToken,
        place: &Place,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let (told, bursts) = mpsc::channel(BURSTS);
        let (opened, started) = oneshot::channel();
        let thread = runtime.and_then(|runtime| {
            std::thread::Builder::new()
                .name("stream".to_owned())
                .spawn(move || runtime.block_on(pull(config, held, stop, opened, told)))
        });
        if let Err(error) = thread {
            let what = format!("no thread can be started to read the stream of {place}");
            return Err(Fault::new(Kind::Transient, what).cause(error));
        }
        match tokio::time::timeout(START, started).await {
            Ok(Ok(started)) => {
                started.map_err(|error| wire::fault(place, OPENING, &error))?;
            }
            Ok(Err(_)) => return Err(wire::lost(place, OPENING)),
            Err(_) => return Err(wire::lost(place, OPENING).cause("no answer within 30 s")),
        }
        Ok(Self {
            bursts,
            burst: Vec::new().into_iter(),
        })
    }

    /// The next message; none where the connection has ended. Dropped, it loses nothing.
    ///
    /// # Errors
    /// Why nothing comes any more.
    pub(super) async fn recv(&mut self) -> pgwire_replication::Result<Option<ReplicationEvent>> {
        loop {
            if let Some(event) = self.burst.next() {
                return Ok(Some(event));
            }
            match self.bursts.recv().await {
                Some(burst) => self.burst = burst?.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

/// What the thread does.
async fn pull(
    config: ReplicationConfig,
    mut held: watch::Receiver<u64>,
    stop: CancellationToken,
    opened: oneshot::Sender<pgwire_replication::Result<()>>,
    told: mpsc::Sender<Told>,
) {
    let starting = async {
        let mut client = ReplicationClient::connect(config).await?;
        client.wait_started().await?;
        Ok::<_, PgWireError>(client)
    };
    let mut client = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        started = starting => match started {
            Ok(client) => client,
            Err(error) => {
                // Who opens it may be gone; then nobody wants to know.
                let _ = opened.send(Err(error));
                return;
            }
        },
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = bursts(&mut client, &mut held, &told) => {}
    }
    let held = *held.borrow();
    part(client, held).await;
}

/// Messages that came together.
#[derive(Default)]
struct Burst {
    events: Vec<ReplicationEvent>,
    bytes: usize,
    /// The connection ended after them; with why, unless it was told to.
    ended: Option<Option<PgWireError>>,
}

impl Burst {
    fn take(&mut self, next: pgwire_replication::Result<Option<ReplicationEvent>>) {
        match next {
            Ok(Some(event)) => {
                self.bytes += match &event {
                    ReplicationEvent::XLogData { data, .. } => data.len(),
                    ReplicationEvent::Message { content, .. } => content.len(),
                    _ => 0,
                };
                self.events.push(event);
            }
            Ok(None) => self.ended = Some(None),
            Err(error) => self.ended = Some(Some(error)),
        }
    }

    fn open(&self) -> bool {
        self.ended.is_none() && self.events.len() < MESSAGES && self.bytes < BYTES
    }
}

/// Hands on one burst after the other, until the connection ends or nobody takes them.
async fn bursts(
    client: &mut ReplicationClient,
    held: &mut watch::Receiver<u64>,
    told: &mpsc::Sender<Told>,
) -> Option<()> {
    let (mut since, mut slept, mut nap, mut quick) = (0, 0, TRIAL, false);
    loop {
        // Also where there is always another message.
        if held.has_changed().unwrap_or(false) {
            tell(client, held);
        }
        let mut burst = Burst::default();
        tokio::select! {
            biased;
            first = unconstrained(client.recv()) => burst.take(first),
            Ok(()) = held.changed() => {
                tell(client, held);
                continue;
            }
        }
        let mut empty = false;
        while burst.open() && !empty {
            match at_once(client).await {
                Some(next) => burst.take(next),
                None => empty = true,
            }
        }
        let many = burst.events.len();
        hand_on(client, held, told, Ok(burst.events)).await?;
        if let Some(ended) = burst.ended {
            return hand_on(client, held, told, Err(ended?)).await;
        }
        if slept > 0 {
            quick = many >= QUICK * slept;
        }
        since += many;
        slept = match empty {
            true if quick => (nap * 2).min(NAP),
            true if since >= MESSAGES => TRIAL,
            _ => 0,
        };
        if slept > 0 {
            (since, nap) = (0, slept);
            // The task that reads the socket is on this thread, and is to sleep too.
            std::thread::sleep(Duration::from_millis(slept as u64));
        }
    }
}

/// The next message where it has come already. The task that reads the socket gets its turns first.
async fn at_once(
    client: &mut ReplicationClient,
) -> Option<pgwire_replication::Result<Option<ReplicationEvent>>> {
    for _ in 0..TURNS {
        let next = poll_immediate(unconstrained(client.recv())).await;
        if next.is_some() {
            return next;
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Hands something on, once there is room; what is held on the target is told meanwhile. None where nobody takes it any more.
async fn hand_on(
    client: &ReplicationClient,
    held: &mut watch::Receiver<u64>,
    told: &mpsc::Sender<Told>,
    what: Told,
) -> Option<()> {
    loop {
        tokio::select! {
            biased;
            room = told.reserve() => {
                room.ok()?.send(what);
                return Some(());
            }
            Ok(()) = held.changed() => tell(client, held),
        }
    }
}

fn tell(client: &ReplicationClient, held: &mut watch::Receiver<u64>) {
    client.update_applied_lsn(Lsn(*held.borrow_and_update()));
}

/// Ends the connection; the server should hear of what is held before. It keeps a little more log if it does not.
async fn part(mut client: ReplicationClient, held: u64) {
    client.update_applied_lsn(Lsn(held));
    let metrics = client.metrics();
    let ended = async {
        while metrics.last_applied_lsn().as_u64() < held && client.is_running() {
            tokio::time::sleep(STATUS / 10).await;
        }
    };
    // Nothing to do about it, of both.
    let _ = tokio::time::timeout(STATUS * 2, ended).await;
    let _ = tokio::time::timeout(STATUS * 2, client.shutdown()).await;
}
