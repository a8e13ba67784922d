//! Measurements: the latest wins, drops are counted, one a second goes into the journal for replay.

use super::position::Position;
use super::signal::Signal;
use super::unit::{Bytes, Rows, RowsPerSecond, Span};
use serde::{Deserialize, Serialize};

/// What the engine measured last. Every field that could not be measured is `None`, never a guess.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// The newest position known on the source.
    pub head: Position,
    /// The position the target has applied and made durable.
    pub applied: Position,
    /// The source gives no answer: what only it would know is not known.
    pub silent: bool,
    /// Age of the oldest change that is not applied yet; zero when none waits.
    pub lag: Option<Span>,
    /// Bytes of the stream that are not known to be durable on the target; none where positions are not bytes.
    pub lag_bytes: Option<Bytes>,
    /// Changes waiting.
    pub waiting: u64,
    /// Changes the application made, a second.
    pub incoming_per_s: u64,
    /// Changes applied, a second.
    pub applied_per_s: u64,
    /// Rows copied, a second.
    pub copy_rate: RowsPerSecond,
    /// Bytes copied, a second.
    pub copy_bytes_per_s: Bytes,
    /// What the pace allows now; none when unlimited.
    pub allowed: Option<RowsPerSecond>,
    /// What holds the copy back now, in words: `stream lag 2.9 of 3.0s`, `pace set by ana`. Empty: nothing does.
    pub held_by: String,
    /// What the copy heeds, each with its figure and limit; those that are not known with what to do about it.
    pub signals: Vec<Signal>,
    /// The longest that anybody on the source was held up by us in the last second; none when nobody was.
    pub source_lock: Option<Span>,
    /// Bytes of our log on the source.
    pub log_bytes: Option<Bytes>,
    /// Rows of our log on the source that are not pruned.
    pub log_rows: Option<Rows>,
    /// Bytes that the source may still write before it drops log that we need; none where it has no such limit.
    pub log_room: Option<Bytes>,
    /// Free space where the source lies.
    pub source_free: Option<Bytes>,
    /// Free space where the target lies.
    pub target_free: Option<Bytes>,
    /// How long a pause may last before the log fills what it may, at the present rate; none when unknown or not growing.
    pub runway: Option<Span>,
    /// Chunks being copied now.
    pub copying: Vec<super::id::ChunkId>,
    /// Rows compared a second (each side).
    pub verify_rate: RowsPerSecond,
    /// Rows that differ but were changed between both reads; looked at again.
    pub in_flight: u64,
    /// Guard triggers that should stand on the target and do not, by table.
    pub guards_missing: Vec<String>,
    /// Shadow compare, a line a query.
    pub shadow: Vec<ShadowLine>,
    /// Memory of the engine's process.
    pub memory: Option<Bytes>,
    /// Samples that were dropped because a console was slow.
    pub dropped: u64,
}

/// Shadow compare of one query, since it was switched on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShadowLine {
    /// Its name.
    pub name: String,
    /// Comparisons made.
    pub compared: u64,
    /// Equal results.
    pub matched: u64,
    /// Different results that stayed different when no change lay between both reads.
    pub mismatched: u64,
    /// Results that differed while the source had moved on: not counted as either.
    pub unproven: u64,
    /// Errors on the source.
    pub source_errors: u64,
    /// Errors on the target.
    pub target_errors: u64,
    /// Median and 95th percentile on the source.
    pub source_p50: Span,
    /// 95th percentile on the source.
    pub source_p95: Span,
    /// Median on the target.
    pub target_p50: Span,
    /// 95th percentile on the target.
    pub target_p95: Span,
    /// The last mismatch in words: which parameters, which row, both values (masked columns masked).
    pub last_mismatch: Option<String>,
}
