//! Events by chance: whatever a journal could hold, in any order, with numbers out of range as well.

use super::story::{ana, person, plan};
use fastrand::Rng;
use tidegate::domain::command::{Command, Role};
use tidegate::domain::event::{Alert, Body, Event, Fact, PauseReason, Phase, Severity, Subject};
use tidegate::domain::fault::{Fault, Kind};
use tidegate::domain::id::{AlertId, ChunkId, RepairId, Seq, SessionId, TableId, Who};
use tidegate::domain::plan::{Environment, Side};
use tidegate::domain::position::Position;
use tidegate::domain::sample::{Sample, ShadowLine};
use tidegate::domain::signal::{Bound, Figure, Limit, Measure, Signal};
use tidegate::domain::unit::{At, Bytes, Rows, RowsPerSecond, Span, Tick};
use tidegate::domain::verdict::{ChunkVerdict, DriftCounts};
use tidegate::state::migration::Migration;

/// The state after so many events.
pub fn state(seed: u64, events: usize) -> Migration {
    let mut rng = Rng::with_seed(seed);
    let mut state = Migration::default();
    let mut tick = Tick(0);
    for seq in 1..=events as u64 {
        tick = tick.plus(Span(rng.u64(0..5_000_000)));
        let body = if rng.u8(0..4) == 0 {
            Body::Sample(Box::new(sample(&mut rng)))
        } else {
            Body::Fact(fact(&mut rng, seq, &state))
        };
        state.apply(&Event {
            seq: Seq(seq),
            at: At(1_795_173_000_000 + (tick.0 / 1_000) as i64),
            tick,
            cause: None,
            body,
        });
    }
    state
}

pub fn text(rng: &mut Rng) -> String {
    const PIECES: [&str; 9] = [
        "orders",
        " ",
        "王",
        "\u{1b}[2J",
        "\n",
        "é",
        "\u{202e}",
        "a-very-long-word-without-any-space-in-it",
        "👩‍👩‍👧",
    ];
    (0..rng.usize(0..9))
        .map(|_| PIECES[rng.usize(0..PIECES.len())])
        .collect()
}

/// Small mostly, and now and then as large as it can be.
fn number(rng: &mut Rng) -> u64 {
    match rng.u8(0..10) {
        0 => u64::MAX,
        1 => rng.u64(..),
        2 => 0,
        _ => rng.u64(0..5_000_000),
    }
}

fn maybe<T>(rng: &mut Rng, value: T) -> Option<T> {
    rng.bool().then_some(value)
}

fn who(rng: &mut Rng) -> Who {
    match rng.u8(0..4) {
        0 => Who::Engine,
        1 => Who::Rule(text(rng)),
        2 => person(&text(rng), 7),
        _ => ana(),
    }
}

fn table(rng: &mut Rng) -> TableId {
    TableId(rng.u16(0..7))
}

fn pause(rng: &mut Rng) -> PauseReason {
    match rng.u8(0..8) {
        0 => PauseReason::StopAll,
        1 => PauseReason::StaleMetrics(text(rng)),
        2 => PauseReason::Database(Side::Source, text(rng)),
        3 => PauseReason::SchemaChanged(table(rng)),
        4 => PauseReason::TargetFull,
        5 => PauseReason::Parked(table(rng), text(rng)),
        6 => PauseReason::Failed(text(rng)),
        _ => PauseReason::Operator,
    }
}

fn sample(rng: &mut Rng) -> Sample {
    let (lag, runway, free) = (Span(number(rng)), Span(number(rng)), Bytes(number(rng)));
    Sample {
        silent: rng.bool(),
        lag: maybe(rng, lag),
        lag_bytes: maybe(rng, free),
        waiting: number(rng),
        incoming_per_s: number(rng),
        applied_per_s: number(rng),
        copy_rate: RowsPerSecond(number(rng)),
        held_by: text(rng),
        signals: (0..rng.usize(0..4)).map(|_| signal(rng)).collect(),
        source_lock: maybe(rng, lag),
        log_bytes: maybe(rng, free),
        log_room: maybe(rng, free),
        source_free: maybe(rng, free),
        target_free: maybe(rng, free),
        runway: maybe(rng, runway),
        copying: vec![ChunkId {
            table: table(rng),
            no: rng.u32(0..99),
        }],
        verify_rate: RowsPerSecond(number(rng)),
        in_flight: number(rng),
        guards_missing: if rng.bool() { vec![text(rng)] } else { vec![] },
        shadow: vec![ShadowLine {
            name: "payments today".into(),
            compared: number(rng),
            mismatched: number(rng),
            source_p95: Span(number(rng)),
            target_p95: Span(number(rng)),
            target_errors: u64::from(rng.u32(..)),
            last_mismatch: Some(text(rng)),
            ..ShadowLine::default()
        }],
        ..Sample::default()
    }
}

fn signal(rng: &mut Rng) -> Signal {
    let measures = [Measure::Number, Measure::Seconds, Measure::Bytes];
    let figure = |rng: &mut Rng| Figure::new(number(rng) as f64 / 7.0).unwrap();
    Signal {
        name: text(rng),
        figure: rng.bool().then(|| figure(rng)),
        limit: Limit {
            bound: if rng.bool() {
                Bound::Most
            } else {
                Bound::Least
            },
            at: figure(rng),
        },
        measure: measures[rng.usize(0..3)],
        age: rng.bool().then(|| Span(number(rng))),
        holds: rng.bool(),
        trouble: text(rng),
    }
}

fn fact(rng: &mut Rng, seq: u64, state: &Migration) -> Fact {
    if state.plan.is_none() && seq < 4 {
        return Fact::Created {
            plan: Box::new(plan(
                "shop-2026",
                [
                    Environment::Prod,
                    Environment::Staging,
                    Environment::Dev,
                    Environment::Demo,
                ][rng.usize(0..4)],
            )),
            hash: "7be1".into(),
            version: "0".into(),
        };
    }
    let at = table(rng);
    let landed = state.table(at).map_or(0, |t| t.chunks.len());
    let differ = DriftCounts {
        missing: rng.u32(0..3),
        extra: rng.u32(0..3),
        changed: if rng.u8(0..9) == 0 {
            u32::MAX
        } else {
            rng.u32(0..3)
        },
    };
    match rng.u8(0..27) {
        0 => Fact::EngineStarted {
            pid: 1,
            host: text(rng),
            version: text(rng),
            token: None,
            applied: Position(9),
            found: 3,
            resumed: rng.bool(),
        },
        1 => Fact::EngineParked { by: who(rng) },
        2 | 3 => {
            let next = Phase::ALL
                .iter()
                .position(|p| *p == state.phase)
                .unwrap_or(0)
                + 1;
            let any = if rng.u8(0..4) == 0 {
                rng.usize(0..Phase::ALL.len())
            } else {
                next % Phase::ALL.len()
            };
            Fact::PhaseEntered {
                phase: Phase::ALL[any],
            }
        }
        4 => Fact::TableSized {
            table: at,
            rows: Rows(number(rng)),
            exact: rng.bool(),
        },
        5..=10 => Fact::ChunkLanded {
            chunk: ChunkId {
                table: at,
                no: landed,
            },
            rows: Rows(number(rng) % 100_000),
            bytes: Bytes(number(rng)),
            took: Span(5),
            position: Position(seq.into()),
            attempt: rng.u8(..),
        },
        11 => Fact::TableCopied { table: at },
        12..=14 => Fact::ChunkChecked {
            chunk: ChunkId {
                table: at,
                no: rng.u32(0..landed + 2),
            },
            verdict: ChunkVerdict {
                position: Position(seq.into()),
                source_rows: Rows(number(rng) % 100_000),
                target_rows: Rows(7),
                in_flight: 0,
                differ,
                columns: vec![0, 3, 900],
            },
        },
        15 => Fact::Paused {
            reason: pause(rng),
            by: who(rng),
        },
        16 => Fact::Rested,
        17 => Fact::Resumed {
            reason: pause(rng),
            by: who(rng),
        },
        18 => Fact::AlertRaised {
            alert: Alert {
                id: AlertId(rng.u32(0..9)),
                severity: [Severity::Notice, Severity::Warning, Severity::Critical]
                    [rng.usize(0..3)],
                subject: Subject::Drift(at),
                text: text(rng),
            },
        },
        19 => Fact::AlertAcknowledged {
            id: AlertId(rng.u32(0..9)),
            by: who(rng),
        },
        20 => Fact::Noted {
            text: text(rng),
            by: who(rng),
        },
        21 => Fact::Attached {
            session: SessionId(rng.u64(0..5)),
            who: who(rng),
            role: if rng.bool() {
                Role::Observer
            } else {
                Role::Operator
            },
            from: text(rng),
        },
        22 => Fact::LeadChanged {
            session: Some(SessionId(rng.u64(0..5))),
        },
        23 => Fact::RepairOrdered {
            repair: RepairId(1),
            table: at,
            chunks: vec![ChunkId { table: at, no: 0 }],
            expected: differ,
            by: who(rng),
        },
        24 => Fact::PassFinished {
            chunks: 9,
            compared: 7,
            source_rows: Rows(number(rng)),
            target_rows: Rows(0),
            valid: rng.bool(),
            position: Position(u128::MAX),
        },
        25 => Fact::Failed {
            fault: Fault::new(Kind::Own, text(rng))
                .cause(text(rng))
                .hint(text(rng)),
        },
        _ => Fact::Accepted {
            who: who(rng),
            command: Command::Pause,
            reason: Some(text(rng)),
        },
    }
}
