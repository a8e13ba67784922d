//! The plain way, and a writer that never stops.

use crate::support::app::{App, Rough};
use crate::support::{World, assert_equal, facts};
use std::time::Duration;
use tidegate::domain::command::{Answer, Command, Query};
use tidegate::domain::event::{Body, Fact, Phase};
use tidegate::engine::Exit;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_is_written_to_ends_synced_and_equal() {
    let world = World::shop(20_000);
    let app = App::start(&world.source, 100);
    let running = world.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    let status = app.stop();
    assert_eq!(status.failed, 0, "{status:?}");
    running.drained().await;
    running.park().await;
    assert_equal(&world);
    App::assert_whole(&world.source, &world.target);
    facts::assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_rests_and_a_resumed_engine_goes_on_where_the_parked_one_stopped() {
    let mut world = World::shop(20_000);
    world.set.pace = Some(8_000);
    let running = world.start().await;
    running.until("copying", |s| s.copied() > 0.1).await;
    running.order(Command::Pause).await;
    let rested = running.until("rested", |s| s.rested).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let later = running.state().await;
    assert_eq!(
        rested.copied(),
        later.copied(),
        "a rested copy stands still"
    );
    running.order(Command::Resume).await;
    running
        .until("copying again", |s| s.copied() > later.copied())
        .await;
    running.park().await;
    let running = world.start().await;
    let resumed = running.state().await;
    assert_eq!(resumed.engine_starts, 2);
    let done = running.until("synced", |s| s.phase == Phase::Synced).await;
    assert!(done.copied() >= 1.0 && done.illegal == 0);
    running.park().await;
    assert_equal(&world);
    facts::assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_step_until_then_is_in_step_with_what_was_written_while_no_engine_ran() {
    let world = World::shop(4_000);
    let running = world.start_until(Some(Phase::Synced)).await;
    assert_eq!(running.ended().await.unwrap(), Exit::Reached);
    let app = App::start(&world.source, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    app.stop();
    let (source, _) = world.ends().await;
    let head = source.pulse(&world.plan(&source).await.into()).await;
    let running = world.start_until(Some(Phase::Synced)).await;
    assert_eq!(running.ended().await.unwrap(), Exit::Reached);
    assert_equal(&world);
    // Every measurement in this engine's record is its own: nothing was written since, so all saw the same head.
    let events = facts::Follower::default()
        .new_events(&world.dir().journal())
        .await;
    let own = events.iter().rev().map_while(|event| match &event.body {
        Body::Fact(Fact::EngineStarted { .. }) => None,
        body => Some(body),
    });
    let heads: Vec<_> = own
        .filter_map(|body| match body {
            Body::Sample(sample) => Some(sample.head),
            Body::Fact(_) => None,
        })
        .collect();
    let head = head.unwrap().head;
    assert!(
        !heads.is_empty() && heads.iter().all(|h| *h == head),
        "{heads:?} at {head}"
    );
    facts::assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_at_full_speed_with_pauses_and_restarts_ends_equal() {
    let mut world = World::shop(15_000);
    world.set.chunk_time = tidegate::domain::unit::Span::millis(20);
    let writer = Rough::full(&world.source);
    let mut running = world.start().await;
    for part in [0.2, 0.5, 0.8] {
        running.until("copying", |s| s.copied() > part).await;
        running.order(Command::Pause).await;
        running.until("rested", |s| s.rested).await;
        let before = writer.done();
        crate::support::wait("it writes on", || writer.done() > before + 50).await;
        running.order(Command::Resume).await;
        running.park().await;
        running = world.start().await;
    }
    running
        .until("copied and compared", |s| {
            matches!(s.phase, Phase::CatchUp | Phase::Synced) && s.drift().uncovered.0 == 0
        })
        .await;
    let written = writer.stop();
    assert!(written > 500, "{written}");
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    let state = running.drained().await;
    assert_eq!(state.drift().confirmed, 0);
    running.park().await;
    assert_equal(&world);
    facts::assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_pace_is_what_holds_and_a_key_beyond_the_copy_is_in_no_chunk() {
    let mut world = World::shop(20_000);
    world.set.pace = Some(500);
    let running = world.start().await;
    let state = running
        .until("held by the pace", |s| {
            let held = s.sample.held_by.contains("the pace that was set");
            held && s.live_tables().any(|(_, _, t)| t.chunks.len() > 1)
        })
        .await;
    running.order(Command::Pause).await;
    let table = state
        .live_tables()
        .find(|(_, _, t)| t.chunks.len() > 1 && !t.complete)
        .map(|(id, _, _)| id)
        .unwrap();
    for (key, found) in [("1", true), ("999999999", false)] {
        let key = key.to_string();
        match running.query(Query::Locate { table, key }).await {
            Answer::Located(chunk) => assert_eq!(chunk.is_some(), found, "{chunk:?}"),
            other => panic!("{other:?}"),
        }
    }
    running.park().await;
}
