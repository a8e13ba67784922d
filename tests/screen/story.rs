//! A believable night, told as the events a journal would hold. Nothing here pokes a field: what the screens show is what
//! the fold made of these records.

use tidegate::domain::command::{Command, Drifted, Pace, Role};
use tidegate::domain::event::{Alert, Body, Event, Fact, PauseReason, Phase, Severity, Subject};
use tidegate::domain::fault::{Fault, Kind};
use tidegate::domain::id::{
    AlertId, ChunkId, MigrationName, RepairId, Seq, SessionId, TableId, Token, Who,
};
use tidegate::domain::key::{Collation, Key};
use tidegate::domain::plan::{
    Backfill, EndPlan, Engine, Environment, Plan, Prune, ShadowQuery, Side, Throttle, Verify,
};
use tidegate::domain::position::Position;
use tidegate::domain::sample::{Sample, ShadowLine};
use tidegate::domain::table::{Column, KeySpec, Mode, Table};
use tidegate::domain::unit::{At, Bytes, Rows, RowsPerSecond, Span, Tick};
use tidegate::domain::value::Value;
use tidegate::domain::verdict::{ChunkVerdict, DriftClass, DriftCounts, RowDiff};
use tidegate::state::conditions::{CAPTURE_MADE, FINISH_MADE};
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

    /// A story by its name; the copy under way where there is none of that name.
    pub fn called(name: &str) -> Self {
        match name {
            "planned" => Self::planned(),
            "started" => Self::planned().started(),
            "pausing" => Self::pausing(),
            "paused" => Self::paused(),
            "stopped" => Self::stopped(),
            "catching" => Self::catching_up(),
            "synced" => Self::synced(),
            "corrupted" => Self::corrupted(),
            "rolled" => Self::rolled_back(),
            "demo" => Self::demo(),
            "hostile" => Self::hostile(),
            _ => Self::copying(),
        }
    }

    /// The moment on the wall clock.
    pub fn now(&self) -> At {
        At(BEGAN + (self.tick.0 / 1_000) as i64)
    }

    /// A small shop, half copied: 300 chunks over all tables.
    pub fn demo() -> Self {
        let mut s = Self::planned_with(plan("shop-demo", Environment::Demo)).started_with(&[
            (CUSTOMERS, 30_000),
            (PAYMENTS, 60_000),
            (ORDERS, 90_000),
            (ITEMS, 120_000),
            (EVENTS, 0),
        ]);
        for (table, chunks) in [(CUSTOMERS, 30), (PAYMENTS, 60), (ORDERS, 41)] {
            for _ in 0..chunks {
                s.wait(Span::millis(90));
                s.land_one(table, Rows(1_000), 1);
            }
        }
        s.fact(Fact::TableCopied { table: CUSTOMERS });
        s.fact(Fact::TableCopied { table: PAYMENTS });
        s.check_sized(CUSTOMERS, 0, 30, 1_000, &[]);
        s.check_sized(PAYMENTS, 0, 21, 1_000, &[]);
        for second in 0..12u64 {
            let mut sample = s.copying_sample();
            sample.copying = vec![ChunkId {
                table: ORDERS,
                no: 41,
            }];
            sample.copy_rate = RowsPerSecond(9_000 + second * 220);
            sample.allowed = None;
            sample.held_by.clear();
            sample.waiting = 0;
            sample.incoming_per_s = 400;
            sample.applied_per_s = 400;
            sample.lag = Some(Span::millis(4));
            sample.in_flight = 0;
            s.sample(sample);
            s.wait(Span::seconds(1));
        }
        s
    }

    /// Names and texts that no terminal should have to show.
    pub fn hostile() -> Self {
        let mut plan = plan("shop-2026", Environment::Staging);
        plan.source.label = "alt\u{202e}txt.db\u{1b}[2J".into();
        plan.target.label = "新しい店".into();
        for (i, name) in [
            "kunden\n\u{7}drop",
            "支払い履歴テーブル",
            "\u{202e}sredro",
            "a_table_name_of_more_than_sixty_characters_as_some_frameworks_make_them_up",
            "e\u{301}ve\u{301}nements",
        ]
        .into_iter()
        .enumerate()
        {
            plan.tables[i].source = name.into();
        }
        let mut s = Self::planned_with(plan).started();
        s.land(CUSTOMERS, 12.1);
        s.fact(Fact::TableCopied { table: CUSTOMERS });
        s.land(PAYMENTS, 5.0);
        s.check(
            PAYMENTS,
            0,
            4,
            &[(
                2,
                DriftCounts {
                    changed: 1,
                    ..DriftCounts::default()
                },
            )],
        );
        s.alert(
            1,
            Severity::Critical,
            Subject::Drift(PAYMENTS),
            "支払い履歴テーブル: 1 row differs\u{1b}[31m, column \u{202e}x",
        );
        s.fact(Fact::Attached {
            session: SessionId(9),
            who: person("eve\u{1b}]0;owned\u{7}", 66),
            role: Role::Operator,
            from: "ssh\r\n".into(),
        });
        s.fact(Fact::Noted {
            text: "line one\nline two\ttabbed\u{200b}".into(),
            by: person("eve\u{1b}]0;owned\u{7}", 66),
        });
        let mut sample = s.copying_sample();
        sample.held_by =
            "signal \u{1b}[31m 王王王王王王王王王王王王王王王王王王王王王王王王王王王王王王王王"
                .into();
        sample.guards_missing = vec!["\u{202e}sredro".into()];
        s.sample(sample);
        s
    }

    /// The plan without reads to compare.
    pub fn without_shadow(&mut self) -> &mut Self {
        let mut changed = plan("shop-2026", Environment::Prod);
        changed.shadow.clear();
        self.fact(Fact::PlanChanged {
            plan: Box::new(changed),
            hash: "90c1".into(),
            keys: vec!["shadow".into()],
        })
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

    fn started_with(mut self, sizes: &[(TableId, u64)]) -> Self {
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

    fn check_sized(
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
            lag: Some(Span::millis(1_200)),
            waiting: 4_812,
            incoming_per_s: 3_900,
            applied_per_s: 4_100,
            copy_rate: RowsPerSecond(139_000),
            copy_bytes_per_s: Bytes(36_000_000),
            allowed: Some(RowsPerSecond(150_000)),
            held_by: "stream lag 1.2 of 3.0s".into(),
            source_lock: Some(Span::millis(3)),
            log_bytes: Some(Bytes(3_100_000_000)),
            log_rows: Some(Rows(48_211)),
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

    /// 14:03: in the middle of the copy, rows of orders and payments differ, a note, a pause behind it.
    pub fn copying() -> Self {
        let mut s = Self::planned().started();
        s.land(CUSTOMERS, 12.1);
        s.fact(Fact::TableCopied { table: CUSTOMERS });
        s.check(CUSTOMERS, 0, s.landed(CUSTOMERS), &[]);
        s.wait(Span::seconds(5_000));
        s.land(PAYMENTS, 31.8);
        s.fact(Fact::TableCopied { table: PAYMENTS });
        s.check(
            PAYMENTS,
            0,
            s.landed(PAYMENTS) - 12,
            &[(
                212,
                DriftCounts {
                    extra: 3,
                    ..DriftCounts::default()
                },
            )],
        );
        s.pause_and_resume();
        s.land(ORDERS, 144.2);
        s.fact(Fact::TableCopied { table: ORDERS });
        s.wait(Span::seconds(2_000));
        let changed = |n| DriftCounts {
            changed: n,
            ..DriftCounts::default()
        };
        s.check(
            ORDERS,
            0,
            2_400,
            &[
                (491, changed(1)),
                (
                    746,
                    DriftCounts {
                        extra: 2,
                        ..DriftCounts::default()
                    },
                ),
                (
                    1_102,
                    DriftCounts {
                        missing: 1,
                        ..DriftCounts::default()
                    },
                ),
                (1_515, changed(2)),
                (1_810, changed(2)),
                (1_837, changed(4)),
            ],
        );
        s.land(ITEMS, 412.9);
        s.fact(Fact::TableCopied { table: ITEMS });
        s.check(ITEMS, 0, 5_000, &[]);
        s.land(EVENTS, 538.0);
        s.wait(Span::seconds(2_400));
        s.ten_minutes();
        s.wait(Span::millis(150));
        s.alert(
            1,
            Severity::Warning,
            Subject::Drift(PAYMENTS),
            "payments: 3 rows differ, only on the target",
        );
        s.wait(Span::seconds(31));
        s.alert(
            2,
            Severity::Critical,
            Subject::Drift(ORDERS),
            "orders: 12 rows differ, column total",
        );
        s.fact(Fact::Noted {
            text: "promo traffic peak".into(),
            by: ben(),
        });
        s.sample(s.copying_sample());
        s.wait(Span::millis(200));
        s
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

    /// Asked to stand still by ana, not at rest yet.
    pub fn pausing() -> Self {
        let mut s = Self::copying();
        s.fact(Fact::Accepted {
            who: ana(),
            command: Command::Pause,
            reason: None,
        });
        s.fact(Fact::Paused {
            reason: PauseReason::Operator,
            by: ana(),
        });
        s
    }

    /// At rest.
    pub fn paused() -> Self {
        let mut s = Self::pausing();
        s.wait(Span::millis(800));
        s.fact(Fact::Rested);
        s.wait(Span::seconds(4));
        let mut still = s.copying_sample();
        still.copy_rate = RowsPerSecond(0);
        still.copying.clear();
        still.held_by.clear();
        still.applied_per_s = 0;
        still.waiting = 23_412;
        still.lag = Some(Span::seconds(6));
        s.sample(still);
        s
    }

    /// All copied, the rest compared and indexes built.
    pub fn catching_up() -> Self {
        let mut s = Self::copying();
        s.repair();
        s.land(EVENTS, 442.0);
        s.fact(Fact::TableCopied { table: EVENTS });
        s.wait(Span::seconds(4_000));
        s.fact(Fact::PhaseEntered {
            phase: Phase::CatchUp,
        });
        s.wait(Span::seconds(9));
        let mut sample = s.copying_sample();
        sample.copying.clear();
        sample.copy_rate = RowsPerSecond(0);
        sample.held_by.clear();
        sample.waiting = 12;
        sample.lag = Some(Span::millis(100));
        s.sample(sample);
        s
    }

    /// The repair of what differed in orders and payments, checked again.
    pub fn repair(&mut self) -> &mut Self {
        for (repair, table, chunks, expected) in [
            (
                1,
                PAYMENTS,
                vec![212],
                DriftCounts {
                    extra: 3,
                    ..DriftCounts::default()
                },
            ),
            (
                2,
                ORDERS,
                vec![491, 746, 1_102, 1_515, 1_810, 1_837],
                DriftCounts {
                    changed: 9,
                    extra: 2,
                    missing: 1,
                },
            ),
        ] {
            let ids: Vec<ChunkId> = chunks.iter().map(|no| ChunkId { table, no: *no }).collect();
            self.fact(Fact::RepairOrdered {
                repair: RepairId(repair),
                table,
                chunks: ids.clone(),
                expected,
                by: ana(),
            });
            self.wait(Span::millis(300));
            self.fact(Fact::Repaired {
                repair: RepairId(repair),
                inserted: expected.missing,
                updated: expected.changed,
                deleted: expected.extra,
                chunks: ids,
            });
            self.wait(Span::seconds(2));
            for no in chunks {
                self.check(table, no, no + 1, &[]);
            }
        }
        self.fact(Fact::AlertCleared { id: AlertId(1) });
        self.fact(Fact::AlertCleared { id: AlertId(2) })
    }

    /// In step and equal, shadow compare running.
    pub fn synced() -> Self {
        let mut s = Self::catching_up();
        for table in [CUSTOMERS, PAYMENTS, ORDERS, ITEMS, EVENTS] {
            s.check(table, 0, s.landed(table), &[]);
            s.wait(Span::seconds(200));
        }
        s.fact(Fact::Made {
            side: Side::Target,
            what: FINISH_MADE.into(),
            took: Span::seconds(2_411),
        });
        s.fact(Fact::PassFinished {
            chunks: 31_620,
            compared: 31_620,
            source_rows: Rows(1_581_000_000),
            target_rows: Rows(1_581_000_000),
            valid: true,
            position: Position(0x3F_A120_0048),
        });
        s.fact(Fact::PhaseEntered {
            phase: Phase::Synced,
        });
        s.fact(Fact::ShadowSet {
            per_second: 5,
            by: ben(),
        });
        s.wait(Span::seconds(480));
        let mut sample = s.copying_sample();
        sample.copying.clear();
        sample.copy_rate = RowsPerSecond(0);
        sample.held_by.clear();
        sample.waiting = 0;
        sample.in_flight = 0;
        sample.lag = Some(Span::millis(100));
        sample.shadow = vec![
            ShadowLine {
                name: "orders of a customer".into(),
                compared: 2_140,
                matched: 2_131,
                mismatched: 0,
                unproven: 9,
                source_errors: 0,
                target_errors: 0,
                source_p50: Span(2_100),
                source_p95: Span(11_400),
                target_p50: Span(1_700),
                target_p95: Span(9_800),
                last_mismatch: None,
            },
            ShadowLine {
                name: "payments today".into(),
                compared: 260,
                matched: 257,
                mismatched: 3,
                unproven: 0,
                source_errors: 0,
                target_errors: 1,
                source_p50: Span(120_500),
                source_p95: Span(161_000),
                target_p50: Span(98_000),
                target_p95: Span(410_000),
                last_mismatch: Some(
                    "?1 = 2026-11-20: row 1, column sum(amount): 149.990 and 149.99".into(),
                ),
            },
        ];
        s.sample(sample);
        s
    }

    /// Rows differ in a synced pair, and the guard of orders is gone.
    pub fn corrupted() -> Self {
        let mut s = Self::synced();
        s.wait(Span::seconds(40));
        s.check(
            ORDERS,
            1_837,
            1_838,
            &[(
                1_837,
                DriftCounts {
                    changed: 3,
                    missing: 1,
                    extra: 1,
                },
            )],
        );
        s.alert(
            3,
            Severity::Critical,
            Subject::Guard(ORDERS),
            "guard is OFF on orders: others can write to the target",
        );
        s.alert(
            4,
            Severity::Critical,
            Subject::Drift(ORDERS),
            "orders: 5 rows differ, column total",
        );
        let mut sample = s.state.sample.clone();
        sample.guards_missing = vec!["orders".into()];
        sample.lag = Some(Span::millis(100));
        s.sample(sample);
        s
    }

    /// Went back: the target was given up.
    pub fn rolled_back() -> Self {
        let mut s = Self::copying();
        s.fact(Fact::AbortOrdered {
            drop_target: false,
            by: ana(),
        });
        s.fact(Fact::PhaseEntered {
            phase: Phase::RollingBack,
        });
        s.wait(Span::seconds(2));
        s.fact(Fact::Removed {
            side: Side::Source,
            what: "change capture: 18 triggers, 1 table".into(),
            left: vec![],
        });
        s.fact(Fact::Removed {
            side: Side::Target,
            what: "ledger, guards".into(),
            left: vec![],
        });
        s.fact(Fact::PhaseEntered {
            phase: Phase::RolledBack,
        });
        s
    }

    /// The target can't be reached.
    pub fn stopped() -> Self {
        let mut s = Self::copying();
        let why = "disk I/O error";
        s.fact(Fact::Paused {
            reason: PauseReason::Database(Side::Target, why.into()),
            by: Who::Engine,
        });
        s.fact(Fact::Failed {
            fault: Fault::new(Kind::Blocked, "the target can't be written").cause(why),
        });
        s.alert(
            3,
            Severity::Critical,
            Subject::Pause(PauseReason::Database(Side::Target, why.into())),
            "target: disk I/O error",
        );
        s.wait(Span::millis(200));
        s.fact(Fact::Rested);
        s.wait(Span::seconds(190));
        s
    }

    /// What the engine answers when asked which rows differ, and how the first ones look on both sides.
    pub fn differing(&self) -> (Vec<Drifted>, Vec<RowDiff>) {
        let mut known = Vec::new();
        for (id, _, table) in self.state.live_tables() {
            for (no, cell) in table.chunks.cells().iter().enumerate() {
                for i in 0..cell.differ() {
                    known.push(Drifted {
                        chunk: ChunkId {
                            table: id,
                            no: no as u32,
                        },
                        key: Key::normal(
                            [Value::Integer(no as i64 * 50_000 + 14 + i64::from(i))],
                            &[Collation::Binary],
                        ),
                        class: match (id, no, i) {
                            (PAYMENTS, ..) | (ORDERS, 746, _) | (ORDERS, 1_837, 4) => {
                                DriftClass::Extra
                            }
                            (ORDERS, 1_102, _) => DriftClass::Missing,
                            _ => DriftClass::Changed,
                        },
                        age: Span::seconds(31 + u64::from(i) * 93),
                    });
                }
            }
        }
        known.sort_by_key(|d| std::cmp::Reverse((d.chunk.table, d.chunk.no)));
        let rows = known
            .iter()
            .filter(|d| known.first().is_some_and(|f| f.chunk == d.chunk))
            .map(|d| order_row(d.key.clone(), d.class))
            .collect();
        (known, rows)
    }
}

/// A row of orders whose total became text and whose note (masked) changed as well.
pub fn order_row(key: Key, class: DriftClass) -> RowDiff {
    let id = key.parts()[0].clone();
    let row = |total: Value, note: &str| {
        vec![
            id.clone(),
            Value::Integer(5_518_201),
            Value::text("paid"),
            total,
            Value::text("EUR"),
            Value::text("2026-11-20 14:02:40.118311"),
            Value::text(note),
            Value::Blob([0x7b, 0x22, 0x73, 0x72, 0x63, 0x22].into()),
            Value::Null,
        ]
    };
    let source = row(Value::Real(149.99), "Lieferung an Nachbarn (王)");
    let target = row(Value::text("149.99"), "Lieferung an die Nachbarn");
    RowDiff {
        key,
        class,
        source: (class != DriftClass::Extra).then_some(source),
        target: (class != DriftClass::Missing).then_some(target),
        columns: if class == DriftClass::Changed {
            vec![3, 6]
        } else {
            vec![]
        },
    }
}
