//! The engine over real SQLite files, with somebody writing.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{World, assert_equal};
use tidegate::domain::command::{Command, Reply};
use tidegate::domain::event::Phase;

/// Writes to the shop as fast as it can until told to stop; gives how many transactions it committed.
fn writer(path: std::path::PathBuf, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let conn = rusqlite::Connection::open(path).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(10))
            .unwrap();
        let mut random = fastrand::Rng::with_seed(11);
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            let id = random.i64(1..20_000);
            let sql = match random.u8(0..10) {
                0..=4 => {
                    "UPDATE orders SET remark = 'changed ' || ?1 WHERE id = 1 + ?1 % (SELECT max(id) FROM orders)"
                }
                5 => {
                    "DELETE FROM order_items WHERE rowid = (SELECT min(rowid) + ?1 % 1000 FROM order_items)"
                }
                6 => {
                    "UPDATE sessions SET token = 'moved-' || ?1 WHERE rowid = (SELECT min(rowid) + ?1 % 1000 FROM sessions)"
                }
                _ => {
                    "UPDATE customers SET name = name || ?1 WHERE id = 1 + ?1 % (SELECT max(id) FROM customers)"
                }
            };
            match conn.execute(sql, [id]) {
                Ok(_) => done += 1,
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("UNIQUE")
                            || text.contains("locked")
                            || text.contains("FOREIGN")
                            || text.contains("CHECK"),
                        "{text}: {sql}"
                    );
                }
            }
        }
        done
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_is_written_to_ends_synced_and_equal() {
    let world = World::shop(20_000);
    let stop = Arc::new(AtomicBool::new(false));
    let application = writer(world.source.clone(), Arc::clone(&stop));
    let running = world.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    stop.store(true, Ordering::Relaxed);
    assert!(application.join().unwrap() > 50);
    running
        .until("drained", |s| {
            s.sample.waiting == 0 && s.sample.head == s.sample.applied
        })
        .await;
    running.park().await;
    assert_equal(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_rests_and_a_resumed_engine_goes_on_where_the_parked_one_stopped() {
    let mut world = World::shop(20_000);
    world.pace = Some(8_000);
    let running = world.start().await;
    running.until("copying", |s| s.copied() > 0.1).await;
    assert!(matches!(
        running.send(Command::Pause).await,
        Reply::Accepted { .. }
    ));
    let rested = running.until("rested", |s| s.rested).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let later = running.state().await;
    assert_eq!(
        rested.copied(),
        later.copied(),
        "a rested copy stands still"
    );
    assert!(matches!(
        running.send(Command::Resume).await,
        Reply::Accepted { .. }
    ));
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
}
