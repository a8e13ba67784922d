//! A server goes away: the engine says so, lets it go, and goes on when it is back.

use crate::load::{Load, full};
use crate::server::Private;
use crate::stand::Stand;
use serde_json::Value as Json;
use std::time::Duration;

/// Everything in step, with pgbench's tables and others.
fn in_step(what: &str, from: &Private, to: &Private) -> Stand {
    let mut stand = Stand::between(what, from.server(), to.server());
    Load::prepare(&stand.source);
    stand.start_answering();
    stand.synced();
    stand
}

fn alerts(status: &Json) -> String {
    status["alerts"].to_string()
}

/// It stands still and says why; a figure that only the server knows is not known.
fn until_missed(stand: &mut Stand, side: &str) {
    stand.until("missed", |status| {
        !status["paused"].as_array().unwrap().is_empty() && alerts(status).contains(side)
    });
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_source_that_goes_away_is_told_and_gone_on_with() {
    let (from, to) = (Private::start(""), Private::start(""));
    let mut stand = in_step("gone_source", &from, &to);
    assert!(from.shut_down(20), "the engine holds the source up");
    until_missed(&mut stand, "source");
    stand.until("nothing known", |status| status["lag"].is_null());
    from.start_again();
    stand.until("on again", |status| {
        status["paused"].as_array().unwrap().is_empty()
    });
    stand
        .source
        .sql("UPDATE quiet SET t = 'after' WHERE id = 7");
    stand.until_equal();
    stand.assert_equal();
    stand.park();
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_target_that_goes_away_is_told_and_gone_on_with() {
    let (from, to) = (Private::start(""), Private::start(""));
    let mut stand = in_step("gone_target", &from, &to);
    assert!(to.shut_down(20), "the engine holds the target up");
    until_missed(&mut stand, "target");
    stand
        .source
        .sql("UPDATE quiet SET t = 'meanwhile' WHERE id = 7");
    to.start_again();
    stand.until("on again", |status| {
        status["paused"].as_array().unwrap().is_empty()
    });
    stand.until_equal();
    stand.assert_equal();
    stand.park();
}

/// Changes are applied without waiting for the target's disk. Its log writer sleeps here, so that a crash takes with it whatever was
/// committed since the engine last asked for it to be on the disk.
#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn what_a_target_had_committed_and_lost_comes_again() {
    let from = Private::start("");
    let to = Private::start("wal_writer_delay = 10s\nwal_writer_flush_after = 1GB");
    let mut stand = in_step("lost_target", &from, &to);
    let load = Load::start(&stand.source, stand.path("life.sql"));
    for crash in 0..if full() { 8 } else { 4 } {
        std::thread::sleep(Duration::from_millis(500 + 70 * crash));
        to.restart_immediate();
        stand.until("on again", |status| {
            status["paused"].as_array().unwrap().is_empty() && !status["lag"].is_null()
        });
    }
    load.stop();
    stand.until_equal();
    stand.assert_equal();
    assert!(
        stand
            .log()
            .contains("has lost changes that it had committed")
    );
    stand.park();
}

/// It waits until every reader of its log has told that it has all of it, which the target can't any more.
#[test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
fn a_server_of_both_sides_can_be_shut_down() {
    let both = Private::start("");
    let mut stand = Stand::between("gone_both", both.server(), both.server());
    Load::prepare(&stand.source);
    let load = Load::start(&stand.source, stand.path("life.sql"));
    stand.start_answering();
    stand.synced();
    assert!(both.shut_down(30), "the engine holds the server up");
    until_missed(&mut stand, "source");
    both.start_again();
    stand.until("on again", |status| {
        status["paused"].as_array().unwrap().is_empty()
    });
    load.stop();
    stand.until_equal();
    stand.assert_equal();
    stand.park();
}
