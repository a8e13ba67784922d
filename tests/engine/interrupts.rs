//! Killed at every kind of fact, at random, and between the target's commit and the journal's.

use crate::support::app::App;
use crate::support::child::{ChildEngine, End, Say};
use crate::support::facts::{self, Follower, all_kinds, kind};
use crate::support::{PATIENCE, World, assert_equal, seeds, told};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tidegate::domain::command::{Command, Pace, Scope};
use tidegate::domain::event::{Body, Event, Fact, Phase, Subject};
use tidegate::domain::plan::ShadowQuery;
use tidegate::domain::unit::{RowsPerSecond, Span};
use tidegate::journal::paths::StateDir;
use tidegate::state::migration::{Migration, RepairState};

/// How many of each kind were seen, over all lives of the engine.
type Seen = BTreeMap<String, u32>;

enum Act {
    Order(fn(&Migration) -> Option<Command>),
    Say(fn() -> Say),
    /// Something done to the files by somebody else. Done once, or again and again until it worked.
    Outside(fn(&World)),
    Again(fn(&World)),
    /// Somebody locks the file of what repairs replace, or lets go.
    LockUndo(bool),
    /// The engine is ended and started with another plan.
    Replan,
    Wait,
}

struct Step {
    name: &'static str,
    ready: fn(&Migration) -> bool,
    act: Act,
    done: fn(&Migration, &Seen) -> bool,
}

fn has(seen: &Seen, kind: &str) -> bool {
    seen.contains_key(kind)
}

fn synced(state: &Migration) -> bool {
    state.phase == Phase::Synced
}

/// Everything that can be done to a migration, so that every fact comes about.
fn script() -> Vec<Step> {
    vec![
        Step {
            name: "pace",
            ready: |s| s.phase == Phase::Copy,
            act: Act::Order(|_| Some(Command::Pace(Pace::Limit(RowsPerSecond(1_500))))),
            done: |_, seen| has(seen, "pace-set"),
        },
        Step {
            name: "limit",
            ready: |s| s.phase == Phase::Copy,
            act: Act::Order(|_| {
                Some(Command::Limit {
                    signal: "stream lag".into(),
                    at: Span::millis(700).into(),
                })
            }),
            done: |_, seen| has(seen, "limit-set"),
        },
        Step {
            name: "note",
            ready: |_| true,
            act: Act::Order(|_| {
                Some(Command::Note {
                    text: "here we go".into(),
                })
            }),
            done: |_, seen| has(seen, "noted"),
        },
        Step {
            name: "an observer presses P",
            ready: |_| true,
            act: Act::Say(|| Say::Observe(Command::Pause)),
            done: |_, seen| has(seen, "refused"),
        },
        Step {
            name: "a visit",
            ready: |_| true,
            act: Act::Say(|| Say::Visit),
            done: |_, seen| has(seen, "detached"),
        },
        Step {
            name: "pause",
            ready: |s| s.phase == Phase::Copy,
            act: Act::Order(|s| (!s.paused()).then_some(Command::Pause)),
            done: |_, seen| has(seen, "rested"),
        },
        Step {
            name: "resume",
            ready: |_| true,
            act: Act::Order(|_| Some(Command::Resume)),
            done: |s, seen| has(seen, "resumed") && !s.paused(),
        },
        Step {
            name: "faster",
            ready: |_| true,
            act: Act::Order(|_| Some(Command::Pace(Pace::Auto))),
            done: |s, _| s.pace.is_none(),
        },
        Step {
            name: "synced, with one thing that could not be made",
            ready: synced,
            act: Act::Wait,
            done: |s, seen| synced(s) && has(seen, "failed") && has(seen, "pass-finished"),
        },
        Step {
            name: "shadow on",
            ready: |_| true,
            act: Act::Order(|_| Some(Command::Shadow { per_second: 20 })),
            done: |s, _| s.shadow_per_second == 20,
        },
        Step {
            name: "shadow off",
            ready: |_| true,
            act: Act::Order(|_| Some(Command::Shadow { per_second: 0 })),
            done: |s, _| s.shadow_per_second == 0,
        },
        Step {
            name: "somebody locks the target",
            ready: |s| s.sample.lag.is_some(),
            act: Act::Again(|world| {
                let target = world.target();
                target.execute_batch("BEGIN IMMEDIATE").unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(1_200));
                    drop(target);
                });
            }),
            done: |_, seen| has(seen, "throttle-held") && has(seen, "throttle-freed"),
        },
        Step {
            name: "a row is changed on the target",
            ready: |_| true,
            act: Act::Outside(|world| change(world, 5)),
            done: |s, _| s.drift().confirmed == 1,
        },
        Step {
            name: "the alert is seen",
            ready: |_| true,
            act: Act::Order(|s| {
                let drift = |subject: &Subject| matches!(subject, Subject::Drift(_));
                let open = s.alerts.iter().find(|(_, open)| drift(&open.alert.subject));
                open.map(|(id, _)| Command::Acknowledge(*id))
            }),
            done: |_, seen| has(seen, "alert-acknowledged"),
        },
        Step {
            name: "another row is changed",
            ready: |_| true,
            act: Act::Outside(|world| change(world, 6)),
            done: |s, seen| has(seen, "alert-changed") && s.drift().confirmed == 2,
        },
        Step {
            name: "repair",
            ready: |_| true,
            act: Act::Order(|_| Some(Command::Repair(Scope::All))),
            done: |s, seen| {
                has(seen, "repaired") && has(seen, "alert-cleared") && s.drift().confirmed == 0
            },
        },
        Step {
            name: "undo",
            ready: |_| true,
            act: Act::Order(|s| last_done(s).map(Command::Undo)),
            done: |_, seen| has(seen, "repair-undone"),
        },
        Step {
            name: "the difference is found again",
            ready: |_| true,
            act: Act::Wait,
            done: |s, _| s.drift().confirmed == 2,
        },
        Step {
            name: "what is replaced can't be kept",
            ready: |_| true,
            act: Act::LockUndo(true),
            done: |_, _| true,
        },
        Step {
            name: "a repair that fails",
            ready: |_| true,
            act: Act::Order(|_| Some(Command::Repair(Scope::All))),
            done: |_, seen| has(seen, "repair-failed"),
        },
        Step {
            name: "it can be kept again",
            ready: |_| true,
            act: Act::LockUndo(false),
            done: |_, _| true,
        },
        Step {
            name: "repair again",
            ready: |_| true,
            act: Act::Order(|s| {
                let ordered = |r: &tidegate::state::migration::Repair| {
                    r.state == RepairState::Ordered || matches!(r.state, RepairState::Done { .. })
                };
                let under_way = s.repairs.values().last().is_some_and(ordered);
                (!under_way).then_some(Command::Repair(Scope::All))
            }),
            done: |s, _| s.drift().confirmed == 0 && last_done(s).is_some() && s.synced_and_equal(),
        },
        Step {
            name: "another plan",
            ready: |_| true,
            act: Act::Replan,
            done: |_, seen| has(seen, "plan-changed"),
        },
        Step {
            name: "park",
            ready: |_| true,
            act: Act::Order(|_| Some(Command::Park)),
            done: |_, seen| has(seen, "engine-parked"),
        },
    ]
}

fn last_done(state: &Migration) -> Option<tidegate::domain::id::RepairId> {
    let (id, repair) = state.repairs.iter().next_back()?;
    matches!(repair.state, RepairState::Done { .. }).then_some(*id)
}

/// A table that the application does not write to.
fn with_a_quiet_table(world: &World) {
    world
        .source()
        .execute_batch(
            "CREATE TABLE quiet (id INTEGER PRIMARY KEY, a, b TEXT);
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
             INSERT INTO quiet SELECT n, n % 7, 'quiet ' || n FROM n",
        )
        .unwrap();
}

fn change(world: &World, id: i64) {
    let changed = world
        .behind()
        .execute("UPDATE quiet SET b = b || '!' WHERE id = ?1", [id])
        .unwrap();
    assert_eq!(changed, 1);
}

/// A migration whose engine is killed as soon as it has recorded a kind of fact for the first time.
struct Story {
    world: World,
    engine: Option<ChildEngine>,
    follower: Follower,
    seen: Seen,
    killed_after: BTreeSet<String>,
    lives: u32,
    undo_lock: Option<rusqlite::Connection>,
}

impl Story {
    fn new(world: World) -> Self {
        Self {
            world,
            engine: None,
            follower: Follower::default(),
            seen: Seen::new(),
            killed_after: BTreeSet::new(),
            lives: 0,
            undo_lock: None,
        }
    }

    fn state(&self) -> &Migration {
        &self.follower.state
    }

    /// Keeps an engine running, reads what it has recorded, and kills it after what is new.
    async fn turn(&mut self) {
        if self.engine.as_mut().is_some_and(ChildEngine::is_over) {
            self.engine = None;
        }
        if self.engine.is_none() && !self.state().over() {
            self.engine = Some(ChildEngine::start(&self.world));
            self.lives += 1;
        }
        let events = self.follower.new_events(&self.world.dir().journal()).await;
        let mut fresh = Vec::new();
        for event in &events {
            if let Body::Fact(fact) = &event.body {
                let kind = kind(fact);
                *self.seen.entry(kind.clone()).or_default() += 1;
                if self.killed_after.insert(kind.clone()) {
                    fresh.push(kind);
                }
            }
        }
        if !fresh.is_empty()
            && let Some(engine) = self.engine.take()
        {
            engine.kill();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn step(&mut self, step: &Step) {
        let began = Instant::now();
        let mut acted: Option<(Instant, u32)> = None;
        let mut once = false;
        while !(step.done)(self.state(), &self.seen) {
            assert!(
                began.elapsed() < PATIENCE,
                "never done: {}; lives {}; {}",
                step.name,
                self.lives,
                told(self.state())
            );
            self.turn().await;
            let running = self.state().engine.as_ref().is_some_and(|e| e.running);
            // Whoever did not get an answer asks again, as a person would.
            let due = acted.is_none_or(|(at, life)| {
                life != self.lives || at.elapsed() > Duration::from_secs(3)
            });
            let listening = self.state().people.lead.is_some();
            if !(step.ready)(self.state()) || !due || !running || !listening {
                continue;
            }
            let Some(engine) = &mut self.engine else {
                continue;
            };
            match &step.act {
                Act::Order(command) => {
                    let Some(command) = command(&self.follower.state) else {
                        continue;
                    };
                    engine.order(command);
                }
                Act::Say(say) => engine.say(&say()),
                Act::Outside(act) if !once => {
                    once = true;
                    act(&self.world);
                }
                Act::Again(act) => act(&self.world),
                // Once: its engine must live to read the new plan, whatever is still known of the one before.
                Act::Replan if !once => {
                    once = true;
                    if let Some(engine) = self.engine.take() {
                        engine.kill();
                    }
                    self.world.set.hash = "second".into();
                    self.world.set.max_age = Span::seconds(2);
                }
                Act::Outside(_) | Act::Replan | Act::LockUndo(_) | Act::Wait => {}
            }
            acted = Some((Instant::now(), self.lives));
        }
        if let Act::LockUndo(locks) = step.act {
            self.undo_lock = locks.then(|| {
                let undo = rusqlite::Connection::open(self.world.dir().undo()).unwrap();
                undo.busy_timeout(PATIENCE).unwrap();
                undo.execute_batch("BEGIN IMMEDIATE").unwrap();
                undo
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_every_kind_of_fact_it_loses_nothing_and_copies_nothing_twice() {
    let mut world = World::shop(6_000);
    with_a_quiet_table(&world);
    let before = schema_of(&world);
    world.set.chunk_time = Span::millis(50);
    world.set.max_lag = Span::millis(800);
    world.set.max_age = Span::seconds(1);
    world.set.shadow = vec![ShadowQuery {
        name: "customers".into(),
        sql: "SELECT count(*) FROM quiet".into(),
        params: None,
        ordered: true,
    }];
    // A view of that name is there already and is another: it is left alone, told, and all else goes on.
    world
        .target()
        .execute_batch("PRAGMA journal_mode = WAL; CREATE VIEW customer_revenue AS SELECT 1 AS x")
        .unwrap();
    let app = App::start(&world.source, 60);
    let mut story = Story::new(world);
    for step in script() {
        story.step(&step).await;
    }
    assert_eq!(app.stop().failed, 0, "the application was disturbed");
    let stopped = story.state().tick;
    let began = Instant::now();
    loop {
        story.turn().await;
        let s = story.state();
        let running = s.engine.as_ref().is_some_and(|e| e.running);
        let newer = s.sample_tick.since(stopped) > Span::millis(1_500);
        if running && newer && s.sample.head == s.sample.applied && s.synced_and_equal() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "never drained: {}", told(s));
    }
    assert_equal(&story.world);
    App::assert_whole(&story.world.source, &story.world.target);
    facts::assert_whole(&story.world).await;

    let abort = Step {
        name: "abort",
        ready: |s| s.phase == Phase::Synced,
        act: Act::Order(|s| {
            Some(Command::Abort {
                drop_target: true,
                confirm: s.name().into(),
            })
        }),
        done: |s, _| s.over(),
    };
    story.step(&abort).await;
    if let Some(engine) = story.engine.take() {
        engine.ended();
    }
    assert_eq!(schema_of(&story.world), before, "the source is as it was");
    let left: Vec<String> = names(&story.world.target());
    assert_eq!(left, ["view customer_revenue"], "the target is as it was");
    facts::assert_whole(&story.world).await;

    let missing: Vec<String> = all_kinds()
        .into_iter()
        .filter(|kind| !story.killed_after.contains(kind))
        .collect();
    assert!(
        missing.is_empty(),
        "never recorded, so never killed after it: {missing:?}. Make the script bring it about."
    );
    let starts = story.seen["engine-started"];
    assert!(starts > 20, "{starts} lives");
    println!("{} lives, {starts} starts", story.lives);
}

/// Everything in a schema, byte for byte.
fn schema_of(world: &World) -> Vec<(String, String, String, Option<String>)> {
    let source = world.source();
    let mut rows = source
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")
        .unwrap();
    rows.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })
    .unwrap()
    .map(Result::unwrap)
    .collect()
}

fn names(conn: &rusqlite::Connection) -> Vec<String> {
    conn.prepare("SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

async fn follow(follower: &mut Follower, dir: &StateDir) -> Vec<Event> {
    follower.new_events(&dir.journal()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_under_heavy_writes_it_ends_equal() {
    for seed in 0..seeds(1, 6) {
        let mut world = World::shop(8_000);
        world.set.chunk_time = Span::millis(30);
        world.set.pace = Some(6_000);
        let app = App::start(&world.source, 250);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut follower = Follower::default();
        for _ in 0..9 {
            let engine = ChildEngine::start(&world);
            tokio::time::sleep(Duration::from_millis(random.u64(40..900))).await;
            engine.kill();
            follow(&mut follower, &world.dir()).await;
        }
        let engine = ChildEngine::start(&world);
        until(&mut follower, &world, "synced and equal", |s| {
            s.synced_and_equal()
        })
        .await;
        assert_eq!(app.stop().failed, 0);
        finish(engine, &mut follower, &world).await;
    }
}

async fn until(
    follower: &mut Follower,
    world: &World,
    what: &str,
    is: impl Fn(&Migration) -> bool,
) {
    let began = Instant::now();
    while !is(&follower.state) {
        assert!(
            began.elapsed() < PATIENCE,
            "never {what}: {}",
            told(&follower.state)
        );
        follow(follower, &world.dir()).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Nobody writes any more: everything is applied, parked, compared.
async fn finish(mut engine: ChildEngine, follower: &mut Follower, world: &World) {
    let stopped = follower.state.tick;
    until(follower, world, "drained", |s| {
        let newer = s.sample_tick.since(stopped) > Span::millis(1_500);
        newer && s.sample.head == s.sample.applied && s.synced_and_equal()
    })
    .await;
    engine.order(Command::Park);
    let end = engine.ended();
    assert!(matches!(end, End::Itself(Ok(_))), "{end:?}");
    assert_equal(world);
    App::assert_whole(&world.source, &world.target);
    facts::assert_whole(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_the_target_committed_and_the_journal_did_not_are_found_not_copied_again() {
    let mut world = World::shop(12_000);
    world.set.chunk_time = Span::millis(20);
    world.set.pace = Some(20_000);
    let app = App::start(&world.source, 50);
    let mut follower = Follower::default();
    let engine = ChildEngine::start(&world);
    until(&mut follower, &world, "some chunks", |s| s.copied() > 0.1).await;
    // Whoever holds this lock keeps the journal from committing; the target does not know.
    let journal = rusqlite::Connection::open(world.dir().journal()).unwrap();
    journal.busy_timeout(PATIENCE).unwrap();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    follow(&mut follower, &world.dir()).await;
    let known: u32 = follower.state.tables.iter().map(|t| t.chunks.len()).sum();
    let target = world.target();
    let marks = |select: &str| -> Vec<String> {
        let mut rows = target.prepare(select).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    const MARKS: &str = "SELECT tbl || ' ' || no || ' ' || coalesce(lo, '') || ' ' || coalesce(hi, '') || ' ' || rows FROM tidegate_chunk ORDER BY 1";
    crate::support::wait("chunks beyond the journal", || {
        marks(MARKS).len() as u32 >= known + 3
    })
    .await;
    engine.kill();
    journal.execute_batch("ROLLBACK").unwrap();
    let landed = marks(MARKS);

    let engine = ChildEngine::start(&world);
    until(&mut follower, &world, "synced and equal", |s| {
        s.synced_and_equal()
    })
    .await;
    assert_eq!(app.stop().failed, 0);
    let after = marks(MARKS);
    for mark in &landed {
        assert!(after.contains(mark), "{mark} was landed otherwise");
    }
    finish(engine, &mut follower, &world).await;
    let found = facts::facts(&world)
        .await
        .into_iter()
        .find_map(|fact| match fact {
            Fact::EngineStarted { found, .. } if found > 0 => Some(found),
            _ => None,
        });
    assert!(found.is_some_and(|found| found >= 3), "{found:?}");
}
