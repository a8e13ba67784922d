//! A believable night, told as the events a journal would hold. Nothing here pokes a field: what the screens show is what
//! the fold made of these records.

#[path = "nights.rs"]
mod nights;

#[allow(
    unused_imports,
    reason = "the screens use it, the keys do not: both read the same story"
)]
pub use nights::order_row;
use tidegate::domain::command::{Command, Pace, Role};
use tidegate::domain::event::{Alert, Body, Event, Fact, PauseReason, Phase, Severity, Subject};
use tidegate::domain::id::{AlertId, ChunkId, MigrationName, Seq, SessionId, TableId, Token, Who};
use tidegate::domain::key::Collation;
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine, Environment, Plan, Prune, ShadowQuery, Side, Throttle, Verify,
};
use tidegate::domain::position::Position;
use tidegate::domain::sample::Sample;
use tidegate::domain::table::{Column, KeySpec, Mode, Table};
use tidegate::domain::unit::{At, Bytes, Rows, RowsPerSecond, Span, Tick};
use tidegate::domain::verdict::{ChunkVerdict, DriftCounts};
use tidegate::state::conditions::CAPTURE_MADE;
use tidegate::state::migration::Migration;

/// 2026-11-20 11:10:00Z.
const BEGAN: i64 = 1_795_173_000_000;
/// Rows in a chunk of the story.
const CHUNK: u64 = 50_000;

/// Tables of the story, in the plan's order.
pub const CUSTOMERS: TableId = TableId(0);
pub const PAYMENTS: TableId = TableId(1);
pub const ORDERS: TableId = TableId(2);
pub const ITEMS: TableId = TableId(3);
pub const EVENTS: TableId = TableId(4);

/// Consoles of the story.
pub const ANA: SessionId = SessionId(1);
pub const BEN: SessionId = SessionId(2);
pub const CID: SessionId = SessionId(3);

/// A story under way.
#[derive(Clone)]
pub struct Story {
    /// What the fold made of it.
    pub state: Migration,
    /// Its last event's record.
    pub seq: u64,
    /// Its clock.
    pub tick: Tick,
    chunks: Vec<u32>,
}

pub fn person(name: &str, uid: u32) -> Who {
    Who::Person {
        uid,
        name: name.into(),
    }
}

pub fn ana() -> Who {
    person("ana", 501)
}

pub fn ben() -> Who {
    person("ben", 502)
}

fn column(name: &str, declared: &str) -> Column {
    Column {
        name: name.into(),
        declared: declared.into(),
        masked: name == "note" || name == "email",
        becomes: String::new(),
    }
}

fn table(name: &str, columns: &[(&str, &str)]) -> Table {
    Table {
        source: name.into(),
        target: name.into(),
        columns: columns.iter().map(|(n, d)| column(n, d)).collect(),
        mode: Mode::Live(KeySpec {
            columns: vec![0],
            collations: vec![Collation::Binary],
        }),
        shape: "5e1f".into(),
    }
}

pub fn plan(name: &str, environment: Environment) -> Plan {
    let end = |file: &str| EndPlan {
        engine: Engine::Sqlite,
        url: format!("sqlite:///srv/shop/{file}"),
        label: file.into(),
    };
    let mut audit = table("audit_log", &[("at", "TEXT"), ("what", "TEXT")]);
    audit.mode = Mode::LeftOut("no key".into());
    Plan {
        name: MigrationName::new(name).unwrap(),
        environment,
        source: end("shop-old.db"),
        target: end("shop-new.db"),
        tables: vec![
            table(
                "customers",
                &[("id", "INTEGER"), ("email", "TEXT"), ("name", "TEXT")],
            ),
            table("payments", &[("id", "INTEGER"), ("amount", "NUMERIC")]),
            table(
                "orders",
                &[
                    ("id", "INTEGER"),
                    ("customer_id", "INTEGER"),
                    ("status", "TEXT"),
                    ("total", "NUMERIC"),
                    ("currency", "TEXT"),
                    ("updated_at", "TEXT"),
                    ("note", "TEXT"),
                    ("meta", "BLOB"),
                    ("deleted_at", "TEXT"),
                ],
            ),
            table("order_items", &[("id", "INTEGER"), ("sku", "TEXT")]),
            table("events", &[("id", "INTEGER"), ("body", "TEXT")]),
            audit,
        ],
        backfill: Backfill {
            chunk_time: Span::millis(500),
            chunk_bytes: Bytes(64_000_000),
            workers: 2,
            max_rows_per_second: None,
        },
        throttle: Throttle {
            max_lag: Span::seconds(3),
            max_lock_wait: Span::millis(500),
            stale_after: Span::seconds(15),
            ..Throttle::default()
        },
        verify: Verify {
            max_age: Span::seconds(3_600),
            max_rows_per_second: None,
        },
        shadow: vec![
            ShadowQuery {
                name: "orders of a customer".into(),
                sql: "select id, status, total from orders where customer_id = ?1 order by id"
                    .into(),
                params: Some("select id from customers order by random() limit 50".into()),
                ordered: true,
            },
            ShadowQuery {
                name: "payments today".into(),
                sql: "select count(*), sum(amount) from payments where paid_at > ?1".into(),
                params: None,
                ordered: false,
            },
        ],
        prune: Prune::Auto,
        adopt: Vec::new(),
        signals: Vec::new(),
        wal_space: None,
    }
}

impl Story {
    /// The first record: 11:10:00Z.
    pub fn planned() -> Self {
        Self::planned_with(plan("shop-2026", Environment::Prod))
    }

    pub fn planned_with(plan: Plan) -> Self {
        let tables = plan.tables.len();
        let mut story = Self {
            state: Migration::default(),
            seq: 0,
            tick: Tick(0),
            chunks: vec![0; tables],
        };
        story.fact(Fact::Created {
            plan: Box::new(plan),
            hash: "7be1c402d5aa".into(),
            version: "0.1.0".into(),
        });
        story
    }

    /// The moment on the wall clock.
    pub fn now(&self) -> At {
        At(BEGAN + (self.tick.0 / 1_000) as i64)
    }

    pub fn fact(&mut self, fact: Fact) -> &mut Self {
        self.body(Body::Fact(fact))
    }

    pub fn sample(&mut self, sample: Sample) -> &mut Self {
        self.body(Body::Sample(Box::new(sample)))
    }

    fn body(&mut self, body: Body) -> &mut Self {
        self.seq += 1;
        let before = self.state.illegal;
        self.state.apply(&Event {
            seq: Seq(self.seq),
            at: At(BEGAN + (self.tick.0 / 1_000) as i64),
            tick: self.tick,
            cause: None,
            body,
        });
        assert_eq!(
            before, self.state.illegal,
            "record {} can't follow",
            self.seq
        );
        self
    }

    pub fn wait(&mut self, span: Span) -> &mut Self {
        self.tick = self.tick.plus(span);
        self
    }

    /// Engine up, ana leads, ben helps, cid looks on.
    pub fn started(self) -> Self {
        self.started_with(&[
            (CUSTOMERS, 12_100_000),
            (PAYMENTS, 31_800_000),
            (ORDERS, 144_200_000),
            (ITEMS, 412_900_000),
            (EVENTS, 980_000_000),
        ])
    }

    pub fn started_with(mut self, sizes: &[(TableId, u64)]) -> Self {
        self.wait(Span::seconds(30));
        self.fact(Fact::EngineStarted {
            pid: 4182,
            host: "db-ops".into(),
            version: "0.1.0".into(),
            token: Some(Token(1)),
            applied: Position(0),
            found: 0,
            resumed: false,
        });
        for (session, who, role, from) in [
            (ANA, ana(), Role::Operator, "tty3"),
            (BEN, ben(), Role::Operator, "ssh 10.0.4.7"),
            (CID, person("cid", 503), Role::Observer, "ssh 10.0.4.9"),
        ] {
            self.fact(Fact::Attached {
                session,
                who,
                role,
                from: from.into(),
            });
        }
        self.fact(Fact::LeadChanged { session: Some(ANA) });
        self.fact(Fact::PhaseEntered {
            phase: Phase::Schema,
        });
        self.wait(Span::seconds(20));
        self.fact(Fact::Made {
            side: Side::Target,
            what: "6 tables with their keys".into(),
            took: Span::millis(230),
        });
        self.fact(Fact::Made {
            side: Side::Source,
            what: CAPTURE_MADE.into(),
            took: Span::millis(41),
        });
        for (table, rows) in sizes {
            self.fact(Fact::TableSized {
                table: *table,
                rows: Rows(*rows),
                exact: *table == CUSTOMERS,
            });
        }
        self.wait(Span::seconds(70));
        self.fact(Fact::PhaseEntered { phase: Phase::Copy });
        self
    }

    pub fn land(&mut self, table: TableId, millions: f64) -> &mut Self {
        let chunks = ((millions * 1e6) as u64).div_ceil(CHUNK);
        for _ in 0..chunks {
            self.land_one(table, Rows(CHUNK), 1);
        }
        self
    }

    pub fn land_one(&mut self, table: TableId, rows: Rows, attempt: u8) -> &mut Self {
        let next = &mut self.chunks[usize::from(table.0)];
        let chunk = ChunkId { table, no: *next };
        *next += 1;
        self.fact(Fact::ChunkLanded {
            chunk,
            rows,
            bytes: Bytes(rows.0 * 259),
            took: Span::millis(512),
            position: Position(0x3F_9A00_0000 + u128::from(self.seq)),
            attempt,
        })
    }

    /// Compares chunks `from..to`; `differ` of them, by number, with so many changed rows.
    pub fn check(
        &mut self,
        table: TableId,
        from: u32,
        to: u32,
        differ: &[(u32, DriftCounts)],
    ) -> &mut Self {
        self.check_sized(table, from, to, CHUNK, differ)
    }

    pub fn check_sized(
        &mut self,
        table: TableId,
        from: u32,
        to: u32,
        rows: u64,
        differ: &[(u32, DriftCounts)],
    ) -> &mut Self {
        for no in from..to {
            let found = differ.iter().find(|(n, _)| *n == no).map(|(_, d)| *d);
            let differ = found.unwrap_or_default();
            self.fact(Fact::ChunkChecked {
                chunk: ChunkId { table, no },
                verdict: ChunkVerdict {
                    position: Position(0x3F_9A10_C2E8),
                    source_rows: Rows(rows),
                    target_rows: Rows(rows - u64::from(differ.missing)),
                    in_flight: 0,
                    differ,
                    columns: if found.is_some() { vec![3] } else { vec![] },
                },
            });
        }
        self
    }

    pub fn landed(&self, table: TableId) -> u32 {
        self.chunks[usize::from(table.0)]
    }

    /// Ten minutes of measurements up to now, one a second, with the speed swinging as it does.
    pub fn ten_minutes(&mut self) -> &mut Self {
        for second in 0..600u64 {
            let swing = ((second as f64 / 47.0).sin() * 38_000.0) as i64;
            let rate = 128_000i64 + swing + ((second * 7919) % 4_001) as i64;
            let mut sample = self.copying_sample();
            sample.copy_rate = RowsPerSecond(rate as u64);
            sample.lag = (second != 300).then(|| {
                Span::millis(
                    (900.0 + (second as f64 / 31.0).cos() * 500.0 + (second % 7) as f64 * 40.0)
                        as u64,
                )
            });
            self.sample(sample);
            if second == 440 {
                self.fact(Fact::Accepted {
                    who: ana(),
                    command: Command::Pace(Pace::Limit(RowsPerSecond(150_000))),
                    reason: None,
                });
                self.fact(Fact::PaceSet {
                    limit: Some(RowsPerSecond(150_000)),
                    by: ana(),
                });
            }
            self.wait(Span::seconds(1));
        }
        self
    }

    pub fn copying_sample(&self) -> Sample {
        Sample {
            head: Position(0x3F_9A10_C2E8),
            applied: Position(0x3F_9A10_A110),
            silent: false,
            lag: Some(Span::millis(1_200)),
            lag_bytes: None,
            waiting: 4_812,
            incoming_per_s: 3_900,
            applied_per_s: 4_100,
            copy_rate: RowsPerSecond(139_000),
            copy_bytes_per_s: Bytes(36_000_000),
            allowed: Some(RowsPerSecond(150_000)),
            held_by: "stream lag 1.2 of 3.0s".into(),
            signals: Vec::new(),
            source_lock: Some(Span::millis(3)),
            log_bytes: Some(Bytes(3_100_000_000)),
            log_rows: Some(Rows(48_211)),
            log_room: None,
            source_free: Some(Bytes(60_900_000_000)),
            target_free: Some(Bytes(812_000_000_000)),
            runway: Some(Span::seconds(7_800)),
            copying: vec![ChunkId {
                table: EVENTS,
                no: self.landed(EVENTS),
            }],
            verify_rate: RowsPerSecond(210_000),
            in_flight: 31,
            guards_missing: Vec::new(),
            shadow: Vec::new(),
            memory: Some(Bytes(48_000_000)),
            dropped: 0,
        }
    }

    pub fn alert(
        &mut self,
        id: u32,
        severity: Severity,
        subject: Subject,
        text: &str,
    ) -> &mut Self {
        self.fact(Fact::AlertRaised {
            alert: Alert {
                id: AlertId(id),
                severity,
                subject,
                text: text.into(),
            },
        })
    }

    pub fn pause_and_resume(&mut self) -> &mut Self {
        self.fact(Fact::Accepted {
            who: ana(),
            command: Command::Pause,
            reason: Some("backup window".into()),
        });
        self.fact(Fact::Paused {
            reason: PauseReason::Operator,
            by: ana(),
        });
        self.wait(Span::millis(700));
        self.fact(Fact::Rested);
        self.wait(Span::seconds(132));
        self.fact(Fact::Accepted {
            who: ana(),
            command: Command::Resume,
            reason: None,
        });
        self.fact(Fact::Resumed {
            reason: PauseReason::Operator,
            by: ana(),
        })
    }
}
