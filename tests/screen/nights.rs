//! The nights that are told: each a state that a console may have to show.

use super::*;
use tidegate::domain::command::Drifted;
use tidegate::domain::fault::{Fault, Kind};
use tidegate::domain::id::RepairId;
use tidegate::domain::key::Key;
use tidegate::domain::sample::ShadowLine;
use tidegate::domain::value::Value;
use tidegate::domain::verdict::{DriftClass, RowDiff};
use tidegate::state::conditions::FINISH_MADE;

impl Story {
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
