//! One direction of flow: parallel reads land beside one stream, and at every moment every landed range holds exactly the
//! source's state at the applied position.
//!
//! [`LaneCore`] decides; it is pure and deterministic, and `tests/interleave.rs` drives it through random schedules.
//! [`Lane`] is the task around it: it owns the feed, and writes.
//!
//! ## The landing rule
//!
//! **The log delivers a change before a read can see it.** Nothing here relies on a read seeing what was delivered.
//!
//! 1. A worker says [`begin`](LaneCore::begin) *before* it opens its view: from now on delivered changes are kept for it.
//!    On engines whose log runs ahead of their reads, changes are kept from before, until a view's `Seen` proves them.
//! 2. It opens its view, emits the marker *after* that, reads, and hands over the rows ([`read`](LaneCore::read)).
//! 3. The chunk is folded up to the first moment at which both its rows are here and its marker was delivered: everything
//!    delivered until then by transactions that the view does not see, in commit order. Whatever is delivered later the
//!    view can't see either, so it may not stop at the marker itself. The stream is applied no further than it is
//!    delivered, so it never overtakes a fold.
//! 4. Landing starts once everything delivered up to the fold is applied. Until it has ended the applier stops before the
//!    first transaction that touches a key of the chunk; all else flows. Such a transaction came after the fold, so the
//!    oldest folded chunk can always land: no deadlock.
//! 5. The fold adds no key that the read did not have: the stream makes those rows itself (`state::stream::Fold`).
//!
//! Two facts follow, and the tests hold both: a landed range equals the source at the applied position, and any row that
//! the target has at all equals the source's row there. A constraint that the source's states meet is therefore met by
//! every state of the target.
//!
//! ## Where it starts
//!
//! From a position that the target's ledger holds. Every view must contain what lies at or before that position
//! (`db::Endpoint::view` promises it): what was delivered to an earlier life of the engine is not delivered again.

mod acts;
mod core;
mod feeder;
mod handle;
mod kept;
mod landed;
mod markers;
mod queue;
mod reads;
mod retry;
mod task;
mod waits;
mod watch;

pub use core::{Action, Allow, LaneCore, Options, Weaken};
pub use handle::{Intent, KeyWatch, LandedAt, LaneHandle, LaneStats, WatchRef};
pub use reads::{ChunkRead, Ticket};
pub use task::Lane;
pub use waits::WaitId;
pub use watch::{Changed, WatchId};
