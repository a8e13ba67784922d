//! What keeps a read back after the stream was started: the gap between what the stream delivers and what reads see.
//!
//! A commit is written to the log first, and becomes visible to reads a moment later: while a standby is waited for, after any
//! time. So a commit may lie before the place where the stream starts, and still be invisible to a read that begins after that
//! start. The stream does not deliver it any more, the read does not see it: its rows would be lost. This happens when the slot
//! is made, and whenever the stream starts again behind what an earlier life of the engine had applied.
//!
//! Therefore an own transaction id is taken once the server has acknowledged the start. Every commit that lies before the start
//! took its id earlier, so it has a smaller one. When a read's snapshot has an `xmin` of at least our id, all of them have ended,
//! and it sees them.

use tokio::sync::watch;

/// Where the reads of one end stand towards its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fenced {
    /// No stream was ever started here: a read is about nothing but itself.
    Never,
    /// A stream is being started, or could not be: no read may be used.
    Closed,
    /// A read may be used whose snapshot's `xmin` is not smaller than this.
    Least(u64),
}

/// Shared between the feeds and the views of one end. Made with `default()`.
#[derive(Debug)]
pub(super) struct StartFence(watch::Sender<(u64, Fenced)>);

/// One start of a stream. A later start makes it worthless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start(u64);

impl Default for StartFence {
    fn default() -> Self {
        Self(watch::Sender::new((0, Fenced::Never)))
    }
}

impl StartFence {
    /// A stream is about to be started: no read may be used from here on.
    pub(super) fn close(&self) -> Start {
        let mut start = 0;
        self.0.send_modify(|state| {
            start = state.0 + 1;
            *state = (start, Fenced::Closed);
        });
        Start(start)
    }

    /// The stream of this start was acknowledged, and `least` was taken after that. Nothing happens when another was begun since.
    pub(super) fn open(&self, start: Start, least: u64) {
        self.0.send_if_modified(|state| {
            let newest = state.0 == start.0;
            if newest {
                state.1 = Fenced::Least(least);
            }
            newest
        });
    }

    /// Where reads stand now.
    #[cfg(test)]
    pub(super) fn now(&self) -> Fenced {
        self.0.borrow().1
    }

    /// Waits while a stream is being started. Gives the least `xmin`; none when no stream was ever started here.
    pub(super) async fn least(&self) -> Option<u64> {
        let mut changes = self.0.subscribe();
        // The sender is in self, so this never fails.
        let open = changes.wait_for(|state| state.1 != Fenced::Closed).await;
        match open.map(|state| state.1) {
            Ok(Fenced::Least(least)) => Some(least),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_start_opens() {
        let fence = StartFence::default();
        assert_eq!(fence.now(), Fenced::Never);
        let first = fence.close();
        let second = fence.close();
        fence.open(first, 5);
        assert_eq!(fence.now(), Fenced::Closed);
        fence.open(second, 7);
        assert_eq!(fence.now(), Fenced::Least(7));
        fence.close();
        fence.open(second, 7);
        assert_eq!(fence.now(), Fenced::Closed);
    }
}
