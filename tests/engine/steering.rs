//! Who may do what, and that it is done: pause, pace, scope, alerts, lead, the way back.

use crate::support::app::{App, Rough};
use crate::support::{Running, World, facts, me, person, refused, wait};
use std::time::Duration;
use tidegate::domain::command::{Command, Pace, Reply, Request, Role, Scope};
use tidegate::domain::event::{Body, Event, Fact, PauseReason, Phase};
use tidegate::domain::fault::Kind;
use tidegate::domain::id::{AlertId, CommandId, Seq, SessionId, TableId, Who};
use tidegate::domain::unit::{At, RowsPerSecond, Span, Tick};
use tidegate::engine::{Exit, decide, schedule};
use tidegate::state::migration::Migration;

fn bob() -> Who {
    person(1_001, "bob")
}

async fn by_bob(running: &Running, command: Command) -> Reply {
    running.send_as(2, bob(), Role::Operator, command).await
}

fn accepted(reply: Reply) {
    if let Reply::Refused(fault) = reply {
        panic!("refused: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_acts_others_brake_and_everything_is_in_the_journal() {
    let mut world = World::shop(20_000);
    world.set.pace = Some(2_000);
    let running = world.start().await;
    running.arrive(2, bob(), Role::Operator).await;
    running.until("copying", |s| s.copied() > 0.02).await;

    // Anybody may brake, and take back a slip of their own.
    accepted(by_bob(&running, Command::Pause).await);
    running.until("resting", |s| s.rested).await;
    accepted(by_bob(&running, Command::Resume).await);
    assert!(!running.state().await.paused());

    // Nobody takes back the lead's pause by pressing P once more.
    running.order(Command::Pause).await;
    accepted(by_bob(&running, Command::Pause).await);
    let fault = refused(by_bob(&running, Command::Resume).await);
    assert!(fault.what.contains("ana leads"), "{fault}");
    accepted(by_bob(&running, Command::StopAll).await);
    let state = running.until("resting", |s| s.rested).await;
    assert_eq!(state.pauses.len(), 2);
    running.order(Command::Resume).await;
    assert!(!running.state().await.paused());

    // Slower is a brake, faster is not.
    let pace = |rows| Command::Pace(Pace::Limit(RowsPerSecond(rows)));
    accepted(by_bob(&running, pace(1_000)).await);
    refused(by_bob(&running, pace(5_000)).await);
    refused(by_bob(&running, Command::Pace(Pace::Auto)).await);
    refused(running.send(pace(0)).await);

    let limit = |seconds| Command::Limit {
        signal: "stream lag".into(),
        at: Span::seconds(seconds).into(),
    };
    accepted(by_bob(&running, limit(2)).await);
    refused(by_bob(&running, limit(9)).await);
    accepted(running.send(limit(9)).await);
    let known = running.state().await.limit("stream lag").unwrap();
    assert_eq!(known.limit.at, Span::seconds(9).into());
    let nobody = Command::Limit {
        signal: "cpu".into(),
        at: 5.into(),
    };
    let fault = refused(running.send(nobody).await);
    assert!(fault.hint.unwrap().contains("our lock on the source"));

    // What only the lead may.
    let disruptive = [
        Command::Repair(Scope::All),
        Command::Shadow { per_second: 1 },
        Command::Park,
        Command::Abort {
            drop_target: true,
            confirm: "shop".into(),
        },
    ];
    for command in disruptive {
        let fault = refused(by_bob(&running, command).await);
        assert_eq!(fault.kind, Kind::Refused);
        assert!(fault.what.contains("ana leads"), "{fault}");
    }
    // What everybody may, and what makes no sense.
    accepted(
        by_bob(
            &running,
            Command::Note {
                text: "  I look at the disk ".into(),
            },
        )
        .await,
    );
    refused(by_bob(&running, Command::Note { text: " ".into() }).await);
    refused(by_bob(&running, Command::Acknowledge(AlertId(77))).await);
    accepted(by_bob(&running, Command::Verify(Scope::All)).await);
    refused(running.send(Command::Resume).await);
    refused(running.send(Command::Shadow { per_second: 5 }).await);

    // One who looks on can't even brake, and is told who can.
    running.arrive(3, person(7, "olaf"), Role::Observer).await;
    for command in [
        Command::Pause,
        Command::StopAll,
        Command::Lead { take: true },
    ] {
        let reply = running.send_as(3, person(7, "olaf"), Role::Observer, command);
        assert!(refused(reply.await).what.contains("ana leads"));
    }

    // The lead changes hands by giving and taking only.
    let take = || Command::Lead { take: true };
    refused(by_bob(&running, take()).await);
    refused(by_bob(&running, Command::Lead { take: false }).await);
    running.order(Command::Lead { take: false }).await;
    accepted(by_bob(&running, take()).await);
    let fault = refused(running.send(pace(9_000)).await);
    assert!(fault.what.contains("bob leads"), "{fault}");
    accepted(by_bob(&running, pace(9_000)).await);
    // A console that is gone leads no more.
    running.leave(2).await;
    let state = running.state().await;
    assert_eq!(state.people.lead, None);
    // The same person from another console may take it over.
    running.arrive(4, me(), Role::Operator).await;
    running.order(take()).await;
    accepted(running.send_as(4, me(), Role::Operator, take()).await);
    assert_eq!(running.state().await.people.lead, Some(SessionId(4)));
    accepted(
        running
            .send_as(4, me(), Role::Operator, Command::Park)
            .await,
    );
    assert_eq!(running.ended().await.unwrap(), Exit::Parked);

    let facts = facts::facts(&world).await;
    let refusals: Vec<(String, String)> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Refused { who, verb, .. } => Some((who.to_string(), verb.clone())),
            _ => None,
        })
        .collect();
    let count = |who: &str, verb: &str| {
        let wanted = (who.to_string(), verb.to_string());
        refusals.iter().filter(|r| **r == wanted).count()
    };
    assert_eq!(count("bob", "resume"), 1, "{refusals:?}");
    assert_eq!(count("bob", "throttle"), 2, "{refusals:?}");
    assert_eq!(count("bob", "abort"), 1, "{refusals:?}");
    assert_eq!(count("olaf", "pause"), 1, "{refusals:?}");
    assert_eq!(count("olaf", "lead"), 1, "{refusals:?}");
    assert_eq!(count("ana", "throttle"), 2, "{refusals:?}");
    let noted = |fact: &Fact| matches!(fact, Fact::Noted { text, by } if text == "I look at the disk" && *by == bob());
    assert!(facts.iter().any(noted));
    facts::assert_whole(&world).await;
}

/// A migration in which `ana` leads and `bob` paused at second 100.
fn paused_by_bob() -> Migration {
    let mut state = Migration::default();
    let attached = |session, who, role| Fact::Attached {
        session: SessionId(session),
        who,
        role,
        from: "test".into(),
    };
    let facts = [
        attached(1, me(), Role::Operator),
        Fact::LeadChanged {
            session: Some(SessionId(1)),
        },
        attached(2, bob(), Role::Operator),
        Fact::Paused {
            reason: PauseReason::Operator,
            by: bob(),
        },
    ];
    for (seq, fact) in (1..).zip(facts) {
        state.apply(&event(seq, 100, fact));
    }
    state
}

fn event(seq: u64, second: u64, fact: Fact) -> Event {
    Event {
        seq: Seq(seq),
        at: At(0),
        tick: Tick(Span::seconds(second).0),
        cause: None,
        body: Body::Fact(fact),
    }
}

#[test]
fn a_slip_is_taken_back_within_ten_seconds_by_the_same_person_and_takes_nothing_else_along() {
    let resume = |state: &Migration, session, who| {
        let request = Request {
            id: CommandId(1),
            session: SessionId(session),
            who,
            role: Role::Operator,
            seen: Seq(0),
            command: Command::Resume,
            reason: None,
        };
        let decision = decide::on_request(state, &request, &Vec::new());
        let lifted = decision.facts.into_iter().filter_map(|fact| match fact {
            Fact::Resumed { reason, .. } => Some(reason),
            _ => None,
        });
        (decision.refused.is_none(), lifted.collect::<Vec<_>>())
    };
    let at = |state: &mut Migration, second| {
        let note = Fact::Noted {
            text: "time goes by".into(),
            by: me(),
        };
        state.apply(&event(90, second, note));
    };
    let mut state = paused_by_bob();
    at(&mut state, 110);
    let operator = vec![PauseReason::Operator];
    assert_eq!(resume(&state, 2, bob()), (true, operator.clone()));
    assert!(!resume(&state, 3, person(3, "eve")).0);
    let stop_all = Fact::Paused {
        reason: PauseReason::StopAll,
        by: me(),
    };
    state.apply(&event(91, 110, stop_all));
    assert_eq!(resume(&state, 2, bob()), (true, operator));
    assert_eq!(resume(&state, 1, me()).1.len(), 2, "the lead resumes all");
    at(&mut state, 111);
    assert!(!resume(&state, 2, bob()).0, "eleven seconds are no slip");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pace_is_obeyed_when_it_is_set_and_when_it_changes() {
    let mut world = World::shop(24_000);
    world.set.pace = Some(4_000);
    world.set.chunk_time = Span::millis(100);
    let running = world.start().await;
    running.until("copying", |s| s.copied() > 0.35).await;
    running
        .order(Command::Pace(Pace::Limit(RowsPerSecond(1_500))))
        .await;
    running.until("slower", |s| s.copied() > 0.6).await;
    running.park().await;
    let mut rows: Vec<(Tick, u64)> = Vec::new();
    let mut slower = None;
    for event in facts::events(&world).await {
        match event.body {
            Body::Fact(Fact::ChunkLanded { rows: n, .. }) => rows.push((event.tick, n.0)),
            Body::Fact(Fact::PaceSet { .. }) => slower = Some(event.tick),
            _ => {}
        }
    }
    let slower = slower.unwrap();
    let speed = |from: Tick, to: Tick| {
        let inside = rows.iter().filter(|(at, _)| *at > from && *at <= to);
        let sum: u64 = inside.map(|(_, n)| n).sum();
        sum as f64 / to.since(from).as_secs_f64()
    };
    // From the first landing on: what was saved up before is spent there.
    let fast = speed(rows[0].0, slower);
    // What was read at the old pace may still land.
    let settled = slower.plus(Span::seconds(1));
    let slow = speed(settled, rows.last().unwrap().0);
    assert!(fast < 4_000.0 * 1.2, "{fast} rows/s of 4,000");
    assert!(slow < 1_500.0 * 1.2, "{slow} rows/s of 1,500");
    assert!(fast > 2_000.0, "{fast} rows/s: hardly moving");
    assert!(slow > 700.0, "{slow} rows/s: hardly moving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_is_compared_when_asked_for_and_stop_all_stops_comparing() {
    // Of itself so little is compared again that it can't be taken for what was asked for.
    let mut world = World::shop(60_000);
    world.set.chunk_bytes = 20_000;
    world.set.max_age = Span::seconds(3_600);
    let running = world.start().await;
    let state = running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    let plan = state.plan.clone().unwrap();
    // The tables of all compared chunks, in the order in which they were compared.
    let compared = async || -> Vec<TableId> {
        let facts = facts::facts(&world).await;
        facts
            .into_iter()
            .flat_map(|fact| match fact {
                Fact::ChunksEqual { table, rows, .. } => vec![table; rows.len()],
                Fact::ChunkChecked { chunk, .. } => vec![chunk.table],
                _ => Vec::new(),
            })
            .collect()
    };
    let orders = plan.find("orders").unwrap();
    let of_orders = |tables: &[TableId]| tables.iter().filter(|t| **t == orders).count();
    let chunks = state.table(orders).unwrap().chunks.len() as usize;
    assert!(chunks > 5, "{chunks}");
    let before = compared().await.len();
    running.order(Command::Verify(Scope::Table(orders))).await;
    // A batch that was under way may come first.
    let soon = schedule::BATCH + chunks;
    let after = until_compared(&compared, before + soon).await;
    let asked = of_orders(&after[before..before + soon]);
    assert!(
        asked >= chunks,
        "{asked} of {chunks} chunks: not what was asked for"
    );

    running.order(Command::StopAll).await;
    running.until("resting", |s| s.rested).await;
    // One batch may have been under way.
    running.order(Command::Verify(Scope::All)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stopped = compared().await.len();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(compared().await.len(), stopped);
    // What was asked for meanwhile is not lost, and comes at once: of itself that much takes a minute.
    running.order(Command::Resume).await;
    let all: u32 = state.tables.iter().map(|t| t.chunks.len()).sum();
    let began = std::time::Instant::now();
    until_compared(&compared, stopped + all as usize).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    running.park().await;
}

async fn until_compared(compared: &impl AsyncFn() -> Vec<TableId>, count: usize) -> Vec<TableId> {
    let began = std::time::Instant::now();
    loop {
        let all = compared().await;
        if all.len() >= count {
            return all;
        }
        assert!(began.elapsed() < crate::support::PATIENCE, "never compared");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

type Schema = Vec<(String, String, i64, Option<String>)>;

fn schema(conn: &rusqlite::Connection) -> Schema {
    conn.prepare("SELECT type, name, rootpage, sql FROM sqlite_schema ORDER BY type, name")
        .unwrap()
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn abort(drop_target: bool) -> Command {
    Command::Abort {
        drop_target,
        confirm: "shop".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_leaves_the_source_as_it_was_and_the_rows_where_they_are() {
    let mut world = World::shop(8_000);
    world.set.pace = Some(4_000);
    let before = schema(&world.source());
    let app = App::start(&world.source, 100);
    let running = world.start().await;
    running.until("copying", |s| s.copied() > 0.3).await;
    let wrong = Command::Abort {
        drop_target: false,
        confirm: "shopp".into(),
    };
    refused(running.send(wrong).await);
    running.order(abort(false)).await;
    assert_eq!(running.ended().await.unwrap(), Exit::Over);
    assert_eq!(schema(&world.source()), before);
    let target = world.target();
    let ours = schema(&target)
        .into_iter()
        .filter(|(_, name, ..)| name.contains("tidegate"))
        .count();
    assert_eq!(ours, 0);
    let kept: i64 = target
        .query_row("SELECT count(*) FROM addresses", [], |row| row.get(0))
        .unwrap();
    assert!(kept > 100, "{kept}");
    // Nobody guards it any more, and the application goes on where it was.
    target.execute("DELETE FROM addresses", []).unwrap();
    let written = app.acknowledged();
    wait("it writes on", || app.acknowledged() > written).await;
    assert_eq!(app.stop().failed, 0);
    let ended = world.try_start(None).await.err().unwrap();
    assert_eq!(ended.kind, Kind::Usage, "{ended}");
    facts::assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_takes_what_was_made_and_never_what_was_there_before() {
    let world = World::shop(3_000);
    // One that has nothing to do with it, and an empty one of a table that moves.
    let create = "CREATE TABLE plain (id INTEGER PRIMARY KEY, x)";
    let rows = "INSERT INTO plain VALUES (1, 'a'), (2, 'b')";
    world
        .source()
        .execute_batch(&format!("{create}; {rows}"))
        .unwrap();
    let before = schema(&world.source());
    world
        .target()
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; CREATE TABLE mine (x); INSERT INTO mine VALUES (1); \
             CREATE VIEW of_mine AS SELECT x FROM mine; {create}"
        ))
        .unwrap();
    let running = world.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    running.order(abort(true)).await;
    assert_eq!(running.ended().await.unwrap(), Exit::Over);
    assert_eq!(schema(&world.source()), before);
    let left: Vec<String> = schema(&world.target())
        .into_iter()
        .map(|(_, name, ..)| name)
        .filter(|name| !name.starts_with("sqlite_"))
        .collect();
    assert_eq!(left, ["mine", "plain", "of_mine"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_at_any_moment_nothing_of_ours_is_left_on_the_source() {
    for wait in [0, 15, 40, 90, 160, 300] {
        let world = World::shop(1_000);
        let before = schema(&world.source());
        let writer = Rough::start(
            &world.source,
            Duration::from_secs(10),
            Duration::from_millis(1),
        );
        let running = world.start().await;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        running.order(abort(true)).await;
        let ended = running.ended().await;
        assert_eq!(ended.unwrap(), Exit::Over, "after {wait} ms");
        writer.stop();
        assert_eq!(schema(&world.source()), before, "after {wait} ms");
        let left: Vec<String> = schema(&world.target())
            .into_iter()
            .map(|(_, name, ..)| name)
            .filter(|name| !name.starts_with("sqlite_"))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "after {wait} ms");
        let last = facts::facts(&world).await;
        let over = Fact::PhaseEntered {
            phase: Phase::RolledBack,
        };
        assert!(last.contains(&over));
    }
}
