//! What every adapter refuses in the same words, whatever database it stands before.

use super::ResultSet;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::finding::{Finding, Stage};
use crate::domain::plan::Side;
use crate::domain::position::Position;
use crate::domain::table::Table;
use crate::domain::value::Value;
use std::fmt::Display;

/// A constraint that a row ran into: the code that parks a table.
pub const PARKED: &str = "PARKED";

/// The ledger is not there, or another migration's.
pub(super) fn not_ours(place: impl Display, owner: Option<&str>) -> Fault {
    match owner {
        None => Fault::new(Kind::Blocked, format!("there is no ledger in {place}"))
            .code("NO-LEDGER")
            .hint("it is made when the migration starts; if it was there, somebody removed it"),
        Some(owner) => Fault::new(
            Kind::Blocked,
            format!("{place} belongs to another migration, \"{owner}\""),
        )
        .code("OTHER-MIGRATION")
        .hint("finish or abort that one, or run `tidegate clean` if it is lost"),
    }
}

/// The ledger holds something that is not ours.
pub(super) fn unreadable_ledger(place: impl Display) -> Fault {
    Fault::new(
        Kind::InDoubt,
        format!("the ledger in {place} can't be read"),
    )
    .code("LEDGER-UNREADABLE")
    .hint("somebody else wrote into it; compare both sides before going on")
}

/// The lease was lost: another engine holds a newer token. Nothing more can be written with this one.
pub(super) fn lease_lost(place: impl Display) -> Fault {
    Fault::new(
        Kind::Refused,
        format!("another engine has taken over the migration's lease on {place}"),
    )
    .code("LEASE-LOST")
    .hint("this engine stops; attach to the other one")
}

/// Changes that are older than what is there.
pub(super) fn position_back(place: impl Display, there: Position, given: Position) -> Fault {
    Fault::new(
        Kind::Refused,
        format!("{place} holds changes up to {there}, and was given older ones up to {given}"),
    )
    .code("POSITION-BACK")
}

/// The code of a target that has lost what it had committed.
pub const WENT_BACK: &str = "TARGET-WENT-BACK";

/// The target has less than it had committed: it lost power before that was on its disk, or another server took its place. Nothing
/// may be built on what it had; the stream goes on behind what it has.
pub fn went_back(place: impl Display, there: Position, after: Position) -> Fault {
    Fault::new(
        Kind::Transient,
        format!("{place} has lost changes that it had committed"),
    )
    .code(WENT_BACK)
    .cause(format!(
        "its ledger holds everything up to {there}, and held everything up to {after}"
    ))
    .hint("the stream is opened anew and brings them again; why did the server lose them: a crash, a failover?")
}

/// The stream does not hold every change since a position.
pub(super) fn capture_lost(place: impl Display, cause: impl Display) -> Fault {
    Fault::new(
        Kind::Blocked,
        format!("the capture on {place} no longer holds every change since the last position"),
    )
    .code("CAPTURE-LOST")
    .cause(cause)
    .hint("what was copied can't be continued from here: abort, and copy again")
}

/// Why the gate, as it is (open, epoch), can't be moved to where it is asked for; none where it can.
pub(super) fn gate_move(
    place: impl Display,
    there: Option<(bool, u64)>,
    open: bool,
    epoch: u64,
) -> Option<Fault> {
    match there {
        None => {
            Some(Fault::new(Kind::Blocked, format!("there is no gate in {place}")).code("NO-GATE"))
        }
        Some((is, at)) if at > epoch || (at == epoch && is != open && at != 0) => Some(
            Fault::new(
                Kind::Refused,
                format!(
                    "the gate of {place} has moved on to epoch {at}, and was asked for {epoch}"
                ),
            )
            .code("EPOCH-BACK")
            .hint("another engine moved it: read both gates again"),
        ),
        Some(_) => None,
    }
}

/// A query of the operator's that might write.
pub(super) fn not_a_read(why: &str, words: &str) -> Fault {
    Fault::new(
        Kind::Refused,
        format!("this is not a query that only reads: {why}"),
    )
    .code("NOT-A-READ")
    .hint(format!("use one {words} statement"))
}

/// The one cell of a figure's read.
pub(super) fn one_cell(found: ResultSet) -> Result<Value> {
    let wrong = |what: &str| {
        Fault::new(
            Kind::Refused,
            format!("the read gave {what}, not one figure"),
        )
        .code("SIGNAL-UNKNOWN")
        .hint("it gives one row with one column, like select count(*) from jobs")
    };
    if found.more || found.rows.len() > 1 {
        return Err(wrong("several rows"));
    }
    let Some(row) = found.rows.into_iter().next() else {
        return Err(wrong("no row"));
    };
    match &*row {
        [one] => Ok(one.clone()),
        more => Err(wrong(&format!("{} columns", more.len()))),
    }
}

/// A query with another number of parameters than it was given.
pub(super) fn parameters(has: usize, given: usize) -> Fault {
    Fault::new(
        Kind::Usage,
        format!("the query has {has} parameters and was given {given}"),
    )
}

/// Columns that only the target's table has; `needed`: one of them can't be without a value.
pub(super) fn extra_columns(table: &Table, extra: &[&str], needed: bool) -> Option<Finding> {
    let (stage, remedy) = match needed {
        true => (
            Stage::BlocksCopy,
            "give the column a default or let it be NULL: the source has no value for it",
        ),
        false => (
            Stage::KnowBefore,
            "nothing; new rows get the column's default",
        ),
    };
    let what = format!(
        "target {} has columns that the source does not have",
        table.target
    );
    (!extra.is_empty()).then(|| Finding {
        table: Some(table.source.clone()),
        evidence: extra.join(", "),
        remedy: remedy.to_owned(),
        ..finding(Side::Target, "TARGET-EXTRA-COLUMNS", stage, what)
    })
}

/// A finding of one side with its fixed parts.
pub(super) fn finding(side: Side, code: &str, stage: Stage, what: impl Into<String>) -> Finding {
    Finding {
        code: code.to_owned(),
        stage,
        side: Some(side),
        table: None,
        what: what.into(),
        evidence: String::new(),
        remedy: String::new(),
        sql: Vec::new(),
    }
}
