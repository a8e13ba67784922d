//! The replication connection, read in bursts by a thread of its own.
//!
//! The server sends every change as a message of its own, and to hand one to a reader that waits for it costs the server more
//! than to decode it; where the reader is awake, each even crosses the network by itself. A reader that sleeps between two reads
//! lets them gather: with 60,000 transactions of pgbench in its log the server spends half the time on it. So once messages come
//! quickly, this thread sleeps after each burst, with everything that runs on it, and finds many of them in the socket when it
//! wakes. Where few come, each is handed on at once.

use super::place::Place;
use super::replication::{Replication, Told};
use super::wire;
use crate::domain::fault::{Fault, Kind, Result};
use futures_util::future::poll_immediate;
use pgwire_replication::ReplicationConfig;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::unconstrained;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How long the start of the stream may take.
const START: Duration = Duration::from_secs(30);
/// How often the server hears how far we are where that has changed, at most.
pub(super) const STATUS: Duration = Duration::from_millis(250);
/// And after how many times that it hears it again where it has not: well below the server's `wal_sender_timeout` of 60 s.
const IDLE: u32 = 20;
/// How long the server may take to end the connection.
const END: Duration = Duration::from_millis(500);
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
/// Looks at the socket before it counts as empty: whether something has come is heard between two.
const LOOKS: usize = 2;
const OPENING: &str = "open the stream";

type Wired<T> = pgwire_replication::Result<T>;

/// What the thread has read.
pub(super) struct Pull {
    bursts: mpsc::Receiver<Wired<Vec<Told>>>,
    burst: std::vec::IntoIter<Told>,
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
    pub(super) async fn recv(&mut self) -> Wired<Option<Told>> {
        loop {
            if let Some(told) = self.burst.next() {
                return Ok(Some(told));
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
    held: watch::Receiver<u64>,
    stop: CancellationToken,
    opened: oneshot::Sender<Wired<()>>,
    out: mpsc::Sender<Wired<Vec<Told>>>,
) {
    let opening = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        opening = Replication::open(&config) => opening,
    };
    let stream = match opening {
        Ok(stream) => stream,
        Err(error) => {
            // Who opens it may be gone; then nobody wants to know.
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    let mut due = interval(STATUS);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reader = Reader {
        stream,
        held,
        due,
        idle: IDLE,
        out,
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        ended = reader.read() => {
            // Where nobody takes it any more, nobody wants to know.
            if let Err(error) = ended {
                let _ = reader.out.send(Err(error)).await;
            }
            return;
        }
    }
    // Nothing to do about it: the server keeps a little more log if it does not hear of what is held.
    let _ = tokio::time::timeout(END, reader.end()).await;
}

struct Reader {
    stream: Replication,
    held: watch::Receiver<u64>,
    /// When the server may hear of what is held on the target again.
    due: Interval,
    /// How often it was due since it heard.
    idle: u32,
    out: mpsc::Sender<Wired<Vec<Told>>>,
}

impl Reader {
    /// Hands on one burst after the other, until the connection breaks or nobody takes them.
    async fn read(&mut self) -> Wired<()> {
        let (mut since, mut slept, mut nap, mut quick) = (0, 0, TRIAL, false);
        loop {
            tokio::select! {
                biased;
                _ = self.due.tick() => {
                    self.say().await?;
                    continue;
                }
                more = unconstrained(self.stream.more()) => more?,
            }
            let (mut empty, mut many) = (false, 0);
            while !empty {
                let mut burst = Vec::new();
                let gathered = self.gather(&mut burst).await;
                many += burst.len();
                // What came before the connection broke is whole.
                if !burst.is_empty() && !self.hand_on(burst).await? {
                    return Ok(());
                }
                empty = gathered?;
                if poll_immediate(self.due.tick()).await.is_some() {
                    self.say().await?;
                }
            }
            if slept > 0 {
                quick = many >= QUICK * slept;
            }
            since += many;
            slept = match quick {
                true => (nap * 2).min(NAP),
                false if since >= MESSAGES => TRIAL,
                false => 0,
            };
            if slept > 0 {
                (since, nap) = (0, slept);
                std::thread::sleep(Duration::from_millis(slept as u64));
            }
        }
    }

    /// Takes messages that are there already; whether those are all for now.
    async fn gather(&mut self, burst: &mut Vec<Told>) -> Wired<bool> {
        let mut bytes = 0;
        loop {
            while let Some(told) = self.stream.next()? {
                match &told {
                    Told::Data(data) => bytes += data.len(),
                    Told::Alive { asks: true, .. } => self.tell().await?,
                    Told::Alive { asks: false, .. } => {}
                }
                burst.push(told);
                if burst.len() >= MESSAGES || bytes >= BYTES {
                    return Ok(false);
                }
            }
            let mut looks = 0;
            while poll_immediate(unconstrained(self.stream.more()))
                .await
                .transpose()?
                .is_none()
            {
                looks += 1;
                if looks == LOOKS {
                    return Ok(true);
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Hands a burst on, once there is room; the server hears from us meanwhile. False where nobody takes it any more.
    async fn hand_on(&mut self, burst: Vec<Told>) -> Wired<bool> {
        loop {
            tokio::select! {
                biased;
                room = self.out.reserve() => {
                    let taken = room.map(|room| room.send(Ok(burst)));
                    return Ok(taken.is_ok());
                }
                _ = self.due.tick() => {}
            }
            // What the server asks meanwhile is not read.
            self.tell().await?;
        }
    }

    /// Tells the server what is held, where that is new or was not told for long.
    async fn say(&mut self) -> Wired<()> {
        self.idle += 1;
        if self.idle >= IDLE || self.held.has_changed().unwrap_or(false) {
            self.tell().await?;
        }
        Ok(())
    }

    async fn tell(&mut self) -> Wired<()> {
        self.idle = 0;
        let held = *self.held.borrow_and_update();
        self.stream.tell(held).await
    }

    /// Ends the connection; the server should hear of what is held before.
    async fn end(mut self) -> Wired<()> {
        self.tell().await?;
        self.stream.end().await
    }
}
