//! Facts: what matters for ever. Journaled in order, never dropped, the only thing state is made of.

use super::command::{Command, Role};
use super::fault::Fault;
use super::id::{AlertId, ChunkId, CommandId, RepairId, Seq, SessionId, TableId, Token, Who};
use super::plan::{Plan, Side};
use super::position::Position;
use super::sample::Sample;
use super::signal::Figure;
use super::unit::{At, Bytes, Rows, RowsPerSecond, Span, Tick};
use super::verdict::{ChunkVerdict, DriftCounts};
use serde::{Deserialize, Serialize};

/// One record of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place, from 1, without gaps.
    pub seq: Seq,
    /// When, by the wall clock; for people.
    pub at: At,
    /// When, by the migration's own clock; for ages and rates.
    pub tick: Tick,
    /// The command it follows from, where it does: session and number.
    pub cause: Option<(SessionId, CommandId)>,
    /// What happened, or what was measured.
    pub body: Body,
}

/// A fact or a thinned-out measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Something that matters for ever.
    Fact(Fact),
    /// The latest measurement, once a second.
    Sample(Box<Sample>),
}

/// The phases of a migration. The one table of legal moves is in `state::phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Decided, nothing made yet.
    Plan,
    /// Making tables on the target and capture on the source.
    Schema,
    /// Copying chunks while changes are applied.
    Copy,
    /// All copied; indexes are built, the rest of the stream is applied, what is not yet compared is compared.
    CatchUp,
    /// In step and compared.
    Synced,
    /// Reads are moving.
    Reads,
    /// Writes are moving.
    Cutover,
    /// The target owns writes, the source is kept current.
    Soak,
    /// Done, everything of ours is gone.
    Final,
    /// Going back.
    RollingBack,
    /// Back: the source owns writes, ours is gone.
    RolledBack,
    /// An outcome is unknown; both sides stay closed and a person is asked.
    InDoubt,
}

impl Phase {
    /// Every phase, in the order of the way forward, then the ways back.
    pub const ALL: [Self; 12] = [
        Self::Plan,
        Self::Schema,
        Self::Copy,
        Self::CatchUp,
        Self::Synced,
        Self::Reads,
        Self::Cutover,
        Self::Soak,
        Self::Final,
        Self::RollingBack,
        Self::RolledBack,
        Self::InDoubt,
    ];
    /// The word on the screen, in `--until` and in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Schema => "schema",
            Self::Copy => "copy",
            Self::CatchUp => "catch-up",
            Self::Synced => "synced",
            Self::Reads => "reads",
            Self::Cutover => "cutover",
            Self::Soak => "soak",
            Self::Final => "final",
            Self::RollingBack => "rolling-back",
            Self::RolledBack => "rolled-back",
            Self::InDoubt => "in-doubt",
        }
    }
}

/// Why nothing moves. Paused is not a phase but a set of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseReason {
    /// An operator pressed `P`.
    Operator,
    /// An operator pressed `!`: verify and shadow stand still as well.
    StopAll,
    /// A signal could not be read.
    StaleMetrics(String),
    /// A database can't be reached or refuses; the text says which and why.
    Database(Side, String),
    /// A table's definition changed on the source.
    SchemaChanged(TableId),
    /// The source's file was replaced or went back in time.
    SourceReplaced(String),
    /// No room where the target lies.
    TargetFull,
    /// Something failed in a way that trying again will not mend by itself; resuming tries again.
    Failed(String),
    /// A change could not be applied; the text names the constraint.
    Parked(TableId, String),
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Somebody should look.
    Warning,
    /// Somebody must look.
    Critical,
}

/// What an alert is about; at most one alert is open for each subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// Rows of a table differ.
    Drift(TableId),
    /// A guard is missing on a table of the target.
    Guard(TableId),
    /// The stream lags beyond its limit.
    Lag,
    /// A pause that the engine put itself into.
    Pause(PauseReason),
    /// Shadow compare of a query found a difference.
    Shadow(String),
    /// Something else, by code.
    Other(String),
}

/// Something a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number.
    pub id: AlertId,
    /// How bad.
    pub severity: Severity,
    /// What about.
    pub subject: Subject,
    /// One line.
    pub text: String,
}

/// Everything that matters for ever. Closed on purpose: a new fact breaks every fold until it is thought about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// The migration exists. The first record of a journal.
    Created {
        /// What was decided.
        plan: Box<Plan>,
        /// Its hash, in hex.
        hash: String,
        /// The version of tidegate.
        version: String,
    },
    /// An engine took the lease and found out where things stand.
    EngineStarted {
        /// Its process.
        pid: u32,
        /// Its host.
        host: String,
        /// Its version.
        version: String,
        /// Its lease on the target's ledger; none while there is no ledger yet.
        token: Option<Token>,
        /// The target's applied position.
        applied: Position,
        /// Chunks found landed on the target that the journal did not know of.
        found: u32,
        /// Whether a journal was there before: a resume, not a start.
        resumed: bool,
    },
    /// The engine stopped in good order; everything is kept for resuming.
    EngineParked {
        /// Who asked.
        by: Who,
    },
    /// The plan was changed in ways that may change live.
    PlanChanged {
        /// The plan that holds now.
        plan: Box<Plan>,
        /// Its hash.
        hash: String,
        /// Keys of the config that differ.
        keys: Vec<String>,
    },
    /// The phase moved, by the table of legal moves.
    PhaseEntered {
        /// Where to.
        phase: Phase,
    },
    /// Something of ours was made in a database.
    Made {
        /// Where.
        side: Side,
        /// What: `table orders`, `index orders_customer`, `capture triggers on 9 tables`.
        what: String,
        /// How long it took.
        took: Span,
    },
    /// Something of ours is gone from a database, read back from its catalog.
    Removed {
        /// Where.
        side: Side,
        /// What.
        what: String,
        /// Objects of ours that are still there.
        left: Vec<String>,
    },
    /// How many rows a table has, as far as the source tells.
    TableSized {
        /// Which.
        table: TableId,
        /// Rows.
        rows: Rows,
        /// Whether they were counted (or estimated).
        exact: bool,
    },
    /// A chunk's rows and its ledger mark are durable on the target.
    ChunkLanded {
        /// Which.
        chunk: ChunkId,
        /// Rows in it.
        rows: Rows,
        /// Bytes of them.
        bytes: Bytes,
        /// From the read's start to the commit.
        took: Span,
        /// The stream's applied position when it landed.
        position: Position,
        /// 1 the first time.
        attempt: u8,
    },
    /// The last chunk of a table has landed.
    TableCopied {
        /// Which.
        table: TableId,
    },
    /// A chunk was compared at a known position.
    ChunkChecked {
        /// Which.
        chunk: ChunkId,
        /// What it gave.
        verdict: ChunkVerdict,
    },
    /// Neighbouring chunks were compared and found equal: one record for many, because this happens for ever.
    ChunksEqual {
        /// The table.
        table: TableId,
        /// The first of them.
        first: u32,
        /// Rows of each, on both sides, from the first on.
        rows: Vec<u32>,
        /// The target's applied position in the compared read.
        position: Position,
    },
    /// Every chunk of the map has been compared once more.
    PassFinished {
        /// Chunks in the map.
        chunks: u32,
        /// Chunks compared.
        compared: u32,
        /// Rows counted on the source.
        source_rows: Rows,
        /// Rows counted on the target.
        target_rows: Rows,
        /// Whether it counts: a pass over nothing, or with fewer chunks than the map, is INVALID.
        valid: bool,
        /// The oldest position compared at.
        position: Position,
    },
    /// A repair was ordered: these rows will be landed again from the source.
    RepairOrdered {
        /// Its number.
        repair: RepairId,
        /// The table.
        table: TableId,
        /// Its chunks.
        chunks: Vec<ChunkId>,
        /// What was known to differ when it was ordered.
        expected: DriftCounts,
        /// By whom.
        by: Who,
    },
    /// Rows were landed again; before-images are kept for undo.
    Repaired {
        /// Which repair.
        repair: RepairId,
        /// Rows put in that were missing.
        inserted: u32,
        /// Rows made as on the source.
        updated: u32,
        /// Rows taken out that only the target had.
        deleted: u32,
        /// The chunks that are to be compared again.
        chunks: Vec<ChunkId>,
    },
    /// A repair could not be done; nothing was changed.
    RepairFailed {
        /// Which repair.
        repair: RepairId,
        /// Why.
        fault: Fault,
    },
    /// What a repair replaced was put back.
    RepairUndone {
        /// Which repair.
        repair: RepairId,
        /// Rows put back.
        rows: u32,
        /// The chunks that are to be compared again.
        chunks: Vec<ChunkId>,
    },
    /// A command was accepted; what follows from it has it as cause.
    Accepted {
        /// Who.
        who: Who,
        /// What.
        command: Command,
        /// Why, where they said so.
        reason: Option<String>,
    },
    /// A command was refused. Kept for the audit.
    Refused {
        /// Who.
        who: Who,
        /// What: its verb.
        verb: String,
        /// Why.
        why: String,
    },
    /// A reason to stand still was added.
    Paused {
        /// Why.
        reason: PauseReason,
        /// By whom.
        by: Who,
    },
    /// Everything in flight has come to rest: asked has become done.
    Rested,
    /// A reason to stand still went away.
    Resumed {
        /// Which.
        reason: PauseReason,
        /// By whom.
        by: Who,
    },
    /// The allowed speed was set.
    PaceSet {
        /// None: as the signals allow.
        limit: Option<RowsPerSecond>,
        /// By whom.
        by: Who,
    },
    /// The limit of a signal was set.
    LimitSet {
        /// The signal.
        signal: String,
        /// Its limit from now on, until the config says another.
        at: Figure,
        /// By whom.
        by: Who,
    },
    /// A signal began to hold the copy back.
    ThrottleHeld {
        /// The signal with its figure and limit: `stream lag 2.9 of 3.0s`.
        signal: String,
    },
    /// Nothing holds the copy back any more.
    ThrottleFreed {
        /// What had.
        signal: String,
        /// For how long.
        held: Span,
    },
    /// Shadow compare was set.
    ShadowSet {
        /// Comparisons a second; zero is off.
        per_second: u32,
        /// By whom.
        by: Who,
    },
    /// Somebody should look.
    AlertRaised {
        /// At what.
        alert: Alert,
    },
    /// An alert's figures changed.
    AlertChanged {
        /// Which.
        id: AlertId,
        /// Its new line.
        text: String,
    },
    /// What an alert was about is over.
    AlertCleared {
        /// Which.
        id: AlertId,
    },
    /// Somebody has seen it.
    AlertAcknowledged {
        /// Which.
        id: AlertId,
        /// Who.
        by: Who,
    },
    /// Somebody wrote something down.
    Noted {
        /// What.
        text: String,
        /// Who.
        by: Who,
    },
    /// A console attached.
    Attached {
        /// Its connection.
        session: SessionId,
        /// Who.
        who: Who,
        /// As what.
        role: Role,
        /// Where from: its terminal.
        from: String,
    },
    /// A console went away.
    Detached {
        /// Its connection.
        session: SessionId,
    },
    /// The lead is with this session now; with nobody when none.
    LeadChanged {
        /// Whose.
        session: Option<SessionId>,
    },
    /// Giving up the target was ordered.
    AbortOrdered {
        /// Whether tables that we made there go too.
        drop_target: bool,
        /// By whom.
        by: Who,
    },
    /// Something failed in a way that does not stop everything.
    Failed {
        /// What.
        fault: Fault,
    },
}
