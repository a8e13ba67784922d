//! Records as no engine would write them: any fact at any moment, extreme numbers among them, mixed with steps that lead
//! forward, so that every corner of the state is reached.

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate::domain::command::{Command, Pace, Role};
use tidegate::domain::event::{Alert, Body, Event, Fact, PauseReason, Phase, Severity, Subject};
use tidegate::domain::fault::{Fault, Kind};
use tidegate::domain::id::{
    AlertId, ChunkId, CommandId, MigrationName, RepairId, Seq, SessionId, TableId, Token, Who,
};
use tidegate::domain::key::Collation;
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine, Environment, Plan, Prune, Side, Throttle, Verify,
};
use tidegate::domain::position::Position;
use tidegate::domain::sample::{Sample, ShadowLine};
use tidegate::domain::table::{Column, KeySpec, Mode, Table};
use tidegate::domain::unit::{At, Bytes, Rows, RowsPerSecond, Span, Tick};
use tidegate::domain::verdict::{ChunkVerdict, DriftCounts};
use tidegate::state::conditions::{CAPTURE_MADE, FINISH_MADE};
use tidegate::state::migration::Migration;

/// Tables of the plan; the last one has no key.
pub const TABLES: u16 = 3;

/// One step of a made-up journal.
#[derive(Debug, Clone)]
pub enum Step {
    /// This, whether it may follow or not.
    Body(Body),
    /// The next chunk of a table that is moved, of so many rows.
    Land(u16, u32),
    /// One of a table's landed chunks is compared.
    Check(u16, u32, ChunkVerdict),
    /// The last chunk of every table that is moved has landed.
    CopiedAll,
    /// Every landed chunk is found equal.
    EqualAll,
    /// The next phase on the way forward.
    Forward,
}

pub fn plan() -> Plan {
    let table = |name: &str, mode: Mode| Table {
        source: name.into(),
        target: name.into(),
        columns: vec![Column {
            name: "id".into(),
            declared: "INTEGER".into(),
            masked: false,
            becomes: String::new(),
        }],
        mode,
        shape: "s".into(),
    };
    let key = || {
        Mode::Live(KeySpec {
            columns: vec![0],
            collations: vec![Collation::Binary],
        })
    };
    let end = |label: &str| EndPlan {
        engine: Engine::Sim,
        url: format!("sim:{label}"),
        label: label.into(),
    };
    Plan {
        name: MigrationName::new("shop").unwrap(),
        environment: Environment::Dev,
        source: end("a"),
        target: end("b"),
        tables: vec![
            table("one", key()),
            table("two", key()),
            table("three", Mode::LeftOut("no key".into())),
        ],
        backfill: Backfill {
            chunk_time: Span::millis(500),
            chunk_bytes: Bytes(1 << 20),
            workers: 1,
            max_rows_per_second: None,
        },
        throttle: Throttle {
            max_lag: Span::seconds(3),
            max_lock_wait: Span::millis(50),
            stale_after: Span::seconds(5),
            ..Throttle::default()
        },
        verify: Verify {
            max_age: Span::seconds(3_600),
            max_rows_per_second: None,
        },
        shadow: Vec::new(),
        prune: Prune::Auto,
        adopt: Vec::new(),
        signals: Vec::new(),
        wal_space: None,
    }
}

/// The records of these steps, behind the one that creates the migration.
pub fn events(steps: &[Step]) -> Vec<Event> {
    let mut state = Migration::default();
    let mut out = Vec::new();
    let mut add = |state: &mut Migration, body: Body| {
        let seq = out.len() as u64 + 1;
        let event = Event {
            seq: Seq(seq),
            at: At(1_795_173_000_000 + seq as i64 * 700),
            tick: Tick(seq * 700_000),
            cause: seq
                .is_multiple_of(5)
                .then_some((SessionId(1), CommandId(seq))),
            body,
        };
        state.apply(&event);
        out.push(event);
    };
    let created = Fact::Created {
        plan: Box::new(plan()),
        hash: "h".into(),
        version: "0".into(),
    };
    add(&mut state, Body::Fact(created));
    for step in steps {
        match step {
            Step::Body(body) => add(&mut state, body.clone()),
            Step::Land(table, rows) => {
                let table = TableId(*table);
                let no = state.table(table).map_or(0, |t| t.chunks.len());
                add(&mut state, Body::Fact(landed(ChunkId { table, no }, *rows)));
            }
            Step::Check(table, no, verdict) => {
                let table = TableId(*table);
                let landed = state.table(table).map_or(0, |t| t.chunks.len());
                let chunk = ChunkId {
                    table,
                    no: no % landed.max(1),
                };
                let verdict = verdict.clone();
                add(
                    &mut state,
                    Body::Fact(Fact::ChunkChecked { chunk, verdict }),
                );
            }
            Step::CopiedAll => {
                for table in 0..TABLES - 1 {
                    let table = TableId(table);
                    add(&mut state, Body::Fact(Fact::TableCopied { table }));
                }
            }
            Step::EqualAll => {
                for table in (0..TABLES).map(TableId) {
                    let chunks = state.table(table).map(|t| t.chunks.cells().to_vec());
                    let rows: Vec<u32> = chunks
                        .into_iter()
                        .flatten()
                        .map(|cell| u32::try_from(cell.rows().0).unwrap())
                        .collect();
                    let fact = Fact::ChunksEqual {
                        table,
                        first: 0,
                        rows,
                        position: Position(9),
                    };
                    add(&mut state, Body::Fact(fact));
                }
            }
            Step::Forward => {
                let next = match state.phase {
                    Phase::Plan => Phase::Schema,
                    Phase::Schema => Phase::Copy,
                    Phase::Copy => Phase::CatchUp,
                    Phase::CatchUp => Phase::Synced,
                    Phase::Synced => Phase::Cutover,
                    Phase::Cutover => Phase::Soak,
                    _ => Phase::Final,
                };
                let fact = Fact::PhaseEntered { phase: next };
                add(&mut state, Body::Fact(fact));
            }
        }
    }
    out
}

fn landed(chunk: ChunkId, rows: u32) -> Fact {
    Fact::ChunkLanded {
        chunk,
        rows: Rows(u64::from(rows)),
        bytes: Bytes(u64::from(rows) * 40),
        took: Span::millis(30),
        position: Position(7),
        attempt: 1,
    }
}

/// Up to `most` steps. The way forward is at home in them: without it hardly a record would be legal.
pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => body().prop_map(Step::Body),
        3 => (0..TABLES, 0..5_000u32).prop_map(|(table, rows)| Step::Land(table, rows)),
        2 => (0..TABLES, any::<u32>(), verdict()).prop_map(|(t, no, v)| Step::Check(t, no, v)),
        1 => Just(Step::CopiedAll),
        1 => Just(Step::EqualAll),
        1 => Just(Step::Forward),
    ]
    .boxed();
    vec(step, 0..most)
}

fn body() -> BoxedStrategy<Body> {
    prop_oneof![
        8 => fact().prop_map(Body::Fact),
        1 => sample().prop_map(|sample| Body::Sample(Box::new(sample))),
    ]
    .boxed()
}

/// A number as it is met: mostly small, now and then as great as its type allows.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..10_000u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![12 => 0..6u32, 1 => Just(u32::MAX), 1 => Just(u32::MAX - 1)]
}

fn table() -> impl Strategy<Value = TableId> {
    prop_oneof![12 => (0..TABLES).prop_map(TableId), 1 => any::<u16>().prop_map(TableId)]
}

fn chunk() -> impl Strategy<Value = ChunkId> {
    (table(), small()).prop_map(|(table, no)| ChunkId { table, no })
}

fn chunks() -> impl Strategy<Value = Vec<ChunkId>> {
    vec(chunk(), 0..4)
}

fn who() -> BoxedStrategy<Who> {
    prop_oneof![
        Just(Who::Engine),
        Just(Who::Rule("max_lag".into())),
        (1000..1003u32).prop_map(|uid| Who::Person {
            uid,
            name: format!("u{uid}"),
        }),
    ]
    .boxed()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{0,12}", Just("Größe 🌊 \u{0} \"x\"".to_owned())]
}

fn phase() -> impl Strategy<Value = Phase> {
    (0..Phase::ALL.len()).prop_map(|i| Phase::ALL[i])
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Source), Just(Side::Target)]
}

fn reason() -> BoxedStrategy<PauseReason> {
    prop_oneof![
        Just(PauseReason::Operator),
        Just(PauseReason::StopAll),
        Just(PauseReason::TargetFull),
        text().prop_map(PauseReason::StaleMetrics),
        text().prop_map(PauseReason::SourceReplaced),
        text().prop_map(PauseReason::Failed),
        (side(), text()).prop_map(|(side, text)| PauseReason::Database(side, text)),
        table().prop_map(PauseReason::SchemaChanged),
        (table(), text()).prop_map(|(table, text)| PauseReason::Parked(table, text)),
    ]
    .boxed()
}

fn counts() -> impl Strategy<Value = DriftCounts> {
    (small(), small(), small()).prop_map(|(missing, extra, changed)| DriftCounts {
        missing,
        extra,
        changed,
    })
}

fn verdict() -> BoxedStrategy<ChunkVerdict> {
    (number(), number(), counts(), small(), any::<bool>())
        .prop_map(|(source, target, differ, in_flight, equal)| ChunkVerdict {
            position: Position(u128::from(source)),
            source_rows: Rows(source),
            target_rows: Rows(target),
            in_flight,
            differ: if equal {
                DriftCounts::default()
            } else {
                differ
            },
            columns: vec![0],
        })
        .boxed()
}

fn fault() -> impl Strategy<Value = Fault> {
    text().prop_map(|what| Fault::new(Kind::Transient, what).cause("c").hint("h"))
}

fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        Just(Command::Pause),
        Just(Command::StopAll),
        Just(Command::Resume),
        number().prop_map(|n| Command::Pace(Pace::Limit(RowsPerSecond(n)))),
        text().prop_map(|text| Command::Note { text }),
        small().prop_map(|id| Command::Undo(RepairId(id))),
    ]
    .boxed()
}

fn alert() -> BoxedStrategy<Alert> {
    let subject = prop_oneof![
        table().prop_map(Subject::Drift),
        table().prop_map(Subject::Guard),
        Just(Subject::Lag),
        reason().prop_map(Subject::Pause),
        text().prop_map(Subject::Other),
    ];
    (small(), subject, text())
        .prop_map(|(id, subject, text)| Alert {
            id: AlertId(id),
            severity: Severity::Warning,
            subject,
            text,
        })
        .boxed()
}

fn sample() -> BoxedStrategy<Sample> {
    (number(), number(), number(), proptest::option::of(number()))
        .prop_map(|(waiting, rate, flight, lag)| Sample {
            applied: Position(u128::from(waiting)),
            lag: lag.map(Span),
            waiting,
            copy_rate: RowsPerSecond(rate),
            in_flight: flight,
            held_by: "stream lag".into(),
            shadow: vec![ShadowLine {
                name: "q".into(),
                compared: rate,
                ..ShadowLine::default()
            }],
            ..Sample::default()
        })
        .boxed()
}

/// Every fact there is, each about as often as the others. `legal.rs` fails when one is missing here.
pub fn fact() -> BoxedStrategy<Fact> {
    let migration = prop_oneof![
        Just(Fact::Created {
            plan: Box::new(plan()),
            hash: "other".into(),
            version: "0".into(),
        }),
        (
            proptest::option::of(number()),
            number(),
            small(),
            any::<bool>()
        )
            .prop_map(|(token, applied, found, resumed)| Fact::EngineStarted {
                pid: 7,
                host: "h".into(),
                version: "0".into(),
                token: token.map(Token),
                applied: Position(u128::from(applied)),
                found,
                resumed,
            }),
        who().prop_map(|by| Fact::EngineParked { by }),
        vec(text(), 0..3).prop_map(|keys| Fact::PlanChanged {
            plan: Box::new(plan()),
            hash: "next".into(),
            keys,
        }),
        phase().prop_map(|phase| Fact::PhaseEntered { phase }),
        (side(), text(), number()).prop_map(|(side, what, took)| Fact::Made {
            side,
            what: match took % 3 {
                0 => CAPTURE_MADE.into(),
                1 => FINISH_MADE.into(),
                _ => what,
            },
            took: Span(took),
        }),
        (side(), text(), vec(text(), 0..3)).prop_map(|(side, what, left)| Fact::Removed {
            side,
            what,
            left
        }),
        (table(), number(), any::<bool>()).prop_map(|(table, rows, exact)| Fact::TableSized {
            table,
            rows: Rows(rows),
            exact,
        }),
        table().prop_map(|table| Fact::TableCopied { table }),
    ]
    .boxed();
    let chunks_of = prop_oneof![
        (chunk(), number(), number(), any::<u8>()).prop_map(|(chunk, rows, bytes, attempt)| {
            Fact::ChunkLanded {
                chunk,
                rows: Rows(rows),
                bytes: Bytes(bytes),
                took: Span(1),
                position: Position(3),
                attempt,
            }
        }),
        (chunk(), verdict()).prop_map(|(chunk, verdict)| Fact::ChunkChecked { chunk, verdict }),
        (table(), small(), vec(small(), 0..6)).prop_map(|(table, first, rows)| {
            Fact::ChunksEqual {
                table,
                first,
                rows,
                position: Position(3),
            }
        }),
        (small(), small(), number(), any::<bool>()).prop_map(|(chunks, compared, rows, valid)| {
            Fact::PassFinished {
                chunks,
                compared,
                source_rows: Rows(rows),
                target_rows: Rows(rows),
                valid,
                position: Position(3),
            }
        }),
        (small(), table(), chunks(), counts(), who()).prop_map(
            |(repair, table, chunks, expected, by)| Fact::RepairOrdered {
                repair: RepairId(repair),
                table,
                chunks,
                expected,
                by,
            }
        ),
        (small(), small(), chunks()).prop_map(|(repair, n, chunks)| Fact::Repaired {
            repair: RepairId(repair),
            inserted: n,
            updated: n,
            deleted: n,
            chunks,
        }),
        (small(), fault()).prop_map(|(repair, fault)| Fact::RepairFailed {
            repair: RepairId(repair),
            fault,
        }),
        (small(), small(), chunks()).prop_map(|(repair, rows, chunks)| Fact::RepairUndone {
            repair: RepairId(repair),
            rows,
            chunks,
        }),
    ]
    .boxed();
    let control = prop_oneof![
        (who(), command(), proptest::option::of(text())).prop_map(|(who, command, reason)| {
            Fact::Accepted {
                who,
                command,
                reason,
            }
        }),
        (who(), text(), text()).prop_map(|(who, verb, why)| Fact::Refused { who, verb, why }),
        (reason(), who()).prop_map(|(reason, by)| Fact::Paused { reason, by }),
        Just(Fact::Rested),
        (reason(), who()).prop_map(|(reason, by)| Fact::Resumed { reason, by }),
        (proptest::option::of(number()), who()).prop_map(|(limit, by)| Fact::PaceSet {
            limit: limit.map(RowsPerSecond),
            by,
        }),
        (text(), any::<bool>(), any::<u32>(), who()).prop_map(|(text, known, at, by)| {
            Fact::LimitSet {
                signal: if known { "stream lag".into() } else { text },
                at: at.into(),
                by,
            }
        }),
        text().prop_map(|signal| Fact::ThrottleHeld { signal }),
        (text(), number()).prop_map(|(signal, held)| Fact::ThrottleFreed {
            signal,
            held: Span(held),
        }),
        (small(), who()).prop_map(|(per_second, by)| Fact::ShadowSet { per_second, by }),
        (any::<bool>(), who()).prop_map(|(drop_target, by)| Fact::AbortOrdered { drop_target, by }),
        fault().prop_map(|fault| Fact::Failed { fault }),
    ]
    .boxed();
    let people = prop_oneof![
        alert().prop_map(|alert| Fact::AlertRaised { alert }),
        (small(), text()).prop_map(|(id, text)| Fact::AlertChanged {
            id: AlertId(id),
            text,
        }),
        small().prop_map(|id| Fact::AlertCleared { id: AlertId(id) }),
        (small(), who()).prop_map(|(id, by)| Fact::AlertAcknowledged {
            id: AlertId(id),
            by,
        }),
        (text(), who()).prop_map(|(text, by)| Fact::Noted { text, by }),
        (number(), who(), any::<bool>()).prop_map(|(session, who, operator)| Fact::Attached {
            session: SessionId(session),
            who,
            role: if operator {
                Role::Operator
            } else {
                Role::Observer
            },
            from: "pts/3".into(),
        }),
        number().prop_map(|session| Fact::Detached {
            session: SessionId(session),
        }),
        proptest::option::of(number()).prop_map(|session| Fact::LeadChanged {
            session: session.map(SessionId),
        }),
    ]
    .boxed();
    prop_oneof![
        9 => migration,
        8 => chunks_of,
        11 => control,
        8 => people,
    ]
    .boxed()
}
