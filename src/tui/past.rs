//! Folding the past on a thread of its own: a million records must not stand between a key and the screen.

use crate::domain::fault::{Fault, Kind, Result};
use crate::replay::{Moment, Player, To};
use crate::state::migration::Migration;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A state of the past, and the last record there is.
pub struct Seen {
    /// The state there.
    pub state: Arc<Migration>,
    /// The last record, as of the look.
    pub last: Moment,
}

/// A traveller on a journal. Only the newest wish counts: an older one still under way is given up.
pub struct Past {
    wish: watch::Sender<Option<To>>,
    seen: mpsc::Receiver<Result<Seen>>,
}

impl Past {
    /// Starts one. The journal is opened at the first wish, so that one that can't be read costs nothing until then.
    pub fn on(journal: PathBuf) -> Result<Self> {
        let (wish, wishes) = watch::channel(None);
        let (tell, seen) = mpsc::channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(no_thread)?;
        std::thread::Builder::new()
            .name("past".into())
            .spawn(move || runtime.block_on(travel(journal, wishes, tell)))
            .map_err(no_thread)?;
        Ok(Self { wish, seen })
    }

    /// Go there.
    pub fn seek(&self, to: To) {
        self.wish.send_replace(Some(to));
    }

    /// What was reached. Cancel-safe.
    pub async fn seen(&mut self) -> Option<Result<Seen>> {
        self.seen.recv().await
    }
}

fn no_thread(e: std::io::Error) -> Fault {
    Fault::new(Kind::Own, "no thread could be started to read the past").cause(e)
}

async fn travel(
    journal: PathBuf,
    mut wishes: watch::Receiver<Option<To>>,
    tell: mpsc::Sender<Result<Seen>>,
) {
    let mut player: Option<Player> = None;
    while wishes.changed().await.is_ok() {
        let Some(to) = *wishes.borrow_and_update() else {
            continue;
        };
        let seen = tokio::select! {
            biased;
            // Dropped halfway the player stands in between; the newer wish goes on from there.
            _ = wishes.changed() => {
                wishes.mark_changed();
                continue;
            }
            seen = reach(&mut player, &journal, to) => seen,
        };
        if tell.send(seen).await.is_err() {
            return;
        }
    }
}

async fn reach(player: &mut Option<Player>, journal: &PathBuf, to: To) -> Result<Seen> {
    let player = match player {
        Some(player) => player,
        None => player.insert(Player::open(journal).await?),
    };
    let state = player.seek(to).await?;
    let last = player.last();
    Ok(Seen { state, last })
}
