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

/// Where to go, and which of all wishes it is.
#[derive(Clone, Copy)]
struct Wish {
    no: u64,
    to: To,
}

/// A traveller on a journal. Only the newest wish counts: an older one still under way is given up, and what was reached for
/// it meanwhile is not told any more.
pub struct Past {
    wish: watch::Sender<Option<Wish>>,
    seen: mpsc::Receiver<(u64, Result<Seen>)>,
    made: u64,
    /// The newest wish, until it was told what became of it.
    open: Option<u64>,
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
        Ok(Self {
            wish,
            seen,
            made: 0,
            open: None,
        })
    }

    /// Go there.
    pub fn seek(&mut self, to: To) {
        self.made += 1;
        self.open = Some(self.made);
        self.wish.send_replace(Some(Wish { no: self.made, to }));
    }

    /// Whether a wish is still under way.
    pub fn seeking(&self) -> bool {
        self.open.is_some()
    }

    /// Nothing is wished for any more.
    pub fn forget(&mut self) {
        self.open = None;
    }

    /// What was reached for the newest wish. Cancel-safe.
    pub async fn seen(&mut self) -> Option<Result<Seen>> {
        loop {
            let (no, seen) = self.seen.recv().await?;
            if self.open == Some(no) {
                self.open = None;
                return Some(seen);
            }
        }
    }
}

fn no_thread(e: std::io::Error) -> Fault {
    Fault::new(Kind::Own, "no thread could be started to read the past").cause(e)
}

async fn travel(
    journal: PathBuf,
    mut wishes: watch::Receiver<Option<Wish>>,
    tell: mpsc::Sender<(u64, Result<Seen>)>,
) {
    let mut player: Option<Player> = None;
    while wishes.changed().await.is_ok() {
        let Some(Wish { no, to }) = *wishes.borrow_and_update() else {
            continue;
        };
        let seen = tokio::select! {
            biased;
            // Dropped halfway the player stands in between; the newer wish goes on from there.
            newer = wishes.changed() => {
                if newer.is_err() {
                    // Nobody is there to wish any more.
                    return;
                }
                wishes.mark_changed();
                continue;
            }
            seen = reach(&mut player, &journal, to) => seen,
        };
        if tell.send((no, seen)).await.is_err() {
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

#[cfg(test)]
mod tests {
    use super::Past;
    use crate::domain::event::{Body, Fact};
    use crate::domain::id::{MigrationName, Seq, Who};
    use crate::domain::unit::{At, Tick};
    use crate::journal::paths::StateDir;
    use crate::journal::{Draft, Journal, Opening};
    use crate::replay::To;
    use std::time::Duration;

    #[tokio::test]
    async fn what_was_reached_for_an_older_wish_takes_no_newer_one_s_place() {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::new(root.path(), &MigrationName::new("shop").unwrap());
        dir.create().unwrap();
        let journal = Journal::open(&dir, Opening::Create).await.unwrap();
        let drafts = (1..=9).map(|i| Draft {
            at: At(i),
            tick: Tick(i as u64),
            cause: None,
            body: Body::Fact(Fact::Noted {
                text: format!("note {i}"),
                by: Who::Engine,
            }),
        });
        let _ = journal.append(drafts.collect::<Vec<_>>()).await.unwrap();

        let mut past = Past::on(journal.path().to_path_buf()).unwrap();
        for wished in [1, 4, 2] {
            past.seek(To::Last);
            // It lies there unread when the next is wished for.
            while past.seen.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            past.seek(To::Record(Seq(wished)));
            assert!(past.seeking());
            let seen = past.seen().await.unwrap().unwrap();
            assert_eq!((seen.state.seq, seen.last.seq), (Seq(wished), Seq(9)));
            assert!(!past.seeking());
        }

        // After a return to now nothing old comes up, and the next wish is told.
        past.seek(To::Last);
        past.forget();
        assert!(!past.seeking());
        past.seek(To::Record(Seq(3)));
        assert_eq!(past.seen().await.unwrap().unwrap().state.seq, Seq(3));
    }
}
