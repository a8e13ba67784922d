//! Goes to any moment of a journal.

use super::keyframes::Keyframes;
use crate::domain::fault::Result;
use crate::domain::id::Seq;
use crate::domain::unit::{At, Tick};
use crate::journal::Reader;
use crate::state::migration::Migration;
use std::path::Path;
use std::sync::Arc;

/// Records folded between two moments at which a dropped call may stop.
const PIECE: u32 = 2_000;

/// A record's place and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Its number; 0 when there is no record.
    pub seq: Seq,
    /// Its time on the wall clock.
    pub at: At,
    /// Its time on the migration's clock.
    pub tick: Tick,
}

/// Where to go. Beyond either end is that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The state after this record.
    Record(Seq),
    /// The state at this time of the migration's clock.
    Moment(Tick),
    /// The state at this time of the wall clock.
    At(At),
    /// The state after the last record there is by now.
    Last,
}

/// One traveller on one journal.
pub struct Player {
    reader: Reader,
    state: Arc<Migration>,
    frames: Keyframes,
    last: Moment,
}

impl Player {
    /// Opens a journal, live or a copy, and stands before its first record.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self> {
        let mut player = Self {
            reader: Reader::open(file).await?,
            state: Arc::default(),
            frames: Keyframes::new(),
            last: Moment::default(),
        };
        player.look().await?;
        Ok(player)
    }

    /// The last record, as of the last look.
    pub fn last(&self) -> Moment {
        self.last
    }

    /// The state where it stands.
    pub fn state(&self) -> &Arc<Migration> {
        &self.state
    }

    /// Looks how far the journal goes by now.
    pub async fn look(&mut self) -> Result<Moment> {
        let head = self.reader.head().await?.seq;
        if head != self.last.seq
            && let Some(event) = self.reader.events(head, 1).await?.first()
        {
            self.last = Moment {
                seq: event.seq,
                at: event.at,
                tick: event.tick,
            };
        }
        Ok(self.last)
    }

    /// Goes there and gives the state. Costs the records since the nearest state that is known: back and forth over the same
    /// stretch is cheap. Dropped halfway it stands somewhere in between, in a state that was; ask again to go on.
    pub async fn seek(&mut self, to: To) -> Result<Arc<Migration>> {
        let last = self.look().await?.seq;
        let seq = match to {
            To::Record(seq) => seq,
            To::Moment(tick) => before(self.reader.after(tick).await?),
            To::At(at) => before(self.reader.find(At(at.0.saturating_add(1))).await?),
            To::Last => last,
        };
        self.go(seq.min(last)).await?;
        Ok(Arc::clone(&self.state))
    }

    async fn go(&mut self, to: Seq) -> Result<()> {
        let known = self.frames.before(to);
        if self.state.seq > to {
            self.state = known.map_or_else(Arc::default, Arc::clone);
        } else if let Some(known) = known.filter(|known| known.seq > self.state.seq) {
            self.state = Arc::clone(known);
        }
        while self.state.seq < to {
            let from = Seq(self.state.seq.0 + 1);
            let left = u32::try_from(to.0 - self.state.seq.0).unwrap_or(u32::MAX);
            let events = self.reader.events(from, left.min(PIECE)).await?;
            if events.is_empty() {
                // It was the last record there is; a journal only grows, so this can't be, and is no reason to hang.
                return Ok(());
            }
            for event in &events {
                let keyframe = self.frames.next_after(self.state.seq);
                Arc::make_mut(&mut self.state).apply(event);
                if event.seq == keyframe {
                    self.frames.offer(&self.state);
                }
            }
        }
        Ok(())
    }

    pub(super) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    #[cfg(test)]
    pub(super) fn frames(&mut self) -> &mut Keyframes {
        &mut self.frames
    }
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(1))
}
