//! The lane's task over databases in memory: what it does when it is paused, when replies are lost, when the stream breaks,
//! when a change does not fit.

mod stand;

use stand::{Stand, T, copy, key, row, within};
use std::time::Duration;
use tidegate::db::sim::{Kind, Op, Stmt, Trouble};
use tidegate::db::spill::{FAILED, FULL, Spill};
use tidegate::domain::event::PauseReason;
use tidegate::domain::fault::{Fault, Kind as FaultKind};
use tidegate::domain::id::ChunkId;
use tidegate::domain::key::{Pick, Range};
use tidegate::domain::plan::Side;
use tidegate::domain::position::Barrier;
use tidegate::domain::unit::Bytes;
use tidegate::domain::value::Value;
use tidegate::engine::decide::Controls;
use tidegate::engine::lane::{ChunkRead, Options};
use tidegate::engine::report::Report;

const KINDS: [Kind; 3] = [Kind::Snapshots, Kind::Prefix, Kind::DirtyKeys];
const STILL: Controls = Controls {
    still: true,
    stop_all: false,
    pace: None,
    shadow_per_second: 0,
    limits: std::collections::BTreeMap::new(),
};

fn update(id: i64, value: i64) -> Stmt {
    Stmt::Update(T, key(id), vec![(2, Value::Integer(value))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_copy_beside_an_application_that_writes() {
    for kind in KINDS {
        let stand = Stand::new(kind, 400, Options::default()).await;
        let application = stand.application(1, 400);
        stand.copy(400, 20, 3).await;
        let commits = application.stop().await;
        assert!(commits > 20, "{kind:?}: {commits}");
        within(stand.drained()).await;
        stand.assert_equal();
        // The figures follow the ledger, they do not move with it.
        stand
            .until("everything delivered is counted as applied", |stand| {
                let stats = stand.lane.stats();
                stats.waiting == 0
                    && stats.applied_changes > 0
                    && stats.applied_changes == stats.delivered_changes
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_are_kept_aside_flow_like_all_others() {
    for kind in KINDS {
        let stand = Stand::new(kind, 400, Options::default()).await;
        // What the application commits is smaller; the batch of dirty keys that it comes to may not be.
        stand
            .source
            .with(|base| base.set_spill(Spill::default().sized(20_000, 2_000)));
        for trouble in [Trouble::LostReply, Trouble::LostRequest, Trouble::Passing] {
            stand.target.trouble(Op::Apply, trouble);
        }
        stand.source.trouble(Op::Next, Trouble::Passing);
        let application = stand.application(5, 400);
        let at_once = async {
            let mut done = 0;
            for value in 0..5 {
                // Whatever the application has made of the rows: their unique values go round.
                let all = (0..400).map(|id| row(id, 1_000 + (id + value) % 400, value));
                let mut stmts: Vec<Stmt> = (0..400).map(|id| Stmt::Discard(T, key(id))).collect();
                stmts.extend(all.map(|row| Stmt::Put(T, row)));
                done += stand.source.with(|base| {
                    base.reveal_all();
                    u32::from(base.commit(&stmts).is_ok())
                });
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done
        };
        let ((), done) = tokio::join!(stand.copy(400, 20, 3), at_once);
        assert!(done > 2, "{kind:?}: {done}");
        let commits = application.stop().await;
        assert!(commits > 20, "{kind:?}: {commits}");
        within(stand.drained()).await;
        stand.assert_equal();
        assert_eq!(stand.target.with(|base| base.surprises.clone()), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_kept_aside_or_read_back_the_stream_begins_anew_at_the_ledger() {
    let mut stand = Stand::new(Kind::Snapshots, 100, Options::default()).await;
    stand
        .source
        .with(|base| base.set_spill(Spill::default().sized(0, 1)));
    stand.copy(100, 50, 1).await;
    let full = Fault::new(FaultKind::Blocked, "there is no room for it").code(FULL);
    let lost = Fault::new(FaultKind::Transient, "it can't be read any more").code(FAILED);
    for (n, (op, fault)) in (1..).zip([(Op::Apply, lost), (Op::Next, full)]) {
        within(stand.drained()).await;
        let before = stand.ledger();
        stand.controls.send_replace(STILL);
        stand
            .report(|report| matches!(report, Report::Rested).then_some(()))
            .await;
        let sim = match op {
            Op::Apply => &stand.target,
            _ => &stand.source,
        };
        sim.trouble(op, Trouble::Fails(fault.clone()));
        let all: Vec<Stmt> = (0..100).map(|id| update(id, id + n)).collect();
        stand.source.commit(&all).unwrap();
        stand.controls.send_replace(Controls::default());
        let task = std::mem::replace(&mut stand.task, tokio::spawn(async { Ok(()) }));
        let ended = within(task).await.unwrap();
        assert_eq!(ended, Err(fault), "it does not go on without");
        assert_eq!(stand.ledger(), before);
        stand.reopen().await;
        within(stand.drained()).await;
        stand.assert_equal();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_comes_to_rest_and_everything_stands_until_it_is_over() {
    let mut stand = Stand::new(Kind::Snapshots, 300, Options::default()).await;
    let application = stand.application(2, 300);
    stand.copy(300, 50, 2).await;
    stand.controls.send_replace(STILL);
    stand
        .report(|report| matches!(report, Report::Rested).then_some(()))
        .await;
    let (ledger, rows) = (stand.ledger(), stand.rows(Side::Target));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((stand.ledger(), stand.rows(Side::Target)), (ledger, rows));
    let barrier = Barrier::At(stand.source.with(|base| base.head()));
    let refused = within(stand.lane.wait_applied(barrier)).await.unwrap_err();
    assert_eq!(
        refused.kind,
        FaultKind::Transient,
        "nobody waits out a pause"
    );
    let commits = application.stop().await;
    assert!(commits > 20);
    stand.controls.send_replace(Controls::default());
    within(stand.drained()).await;
    stand.assert_equal();
    assert!(stand.reports.try_recv().is_err(), "it rested once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_replies_are_read_back_before_anything_else_is_sent() {
    for kind in KINDS {
        let stand = Stand::new(kind, 300, Options::default()).await;
        for n in 0..3 {
            let lost = [Trouble::LostReply, Trouble::LostRequest, Trouble::Passing];
            stand.target.trouble(Op::Apply, lost[n].clone());
            stand.target.trouble(Op::Land, lost[n].clone());
            stand.target.trouble(Op::Ledger, Trouble::Passing);
        }
        let application = stand.application(3, 300);
        stand.copy(300, 20, 3).await;
        application.stop().await;
        within(stand.drained()).await;
        stand.assert_equal();
        let twice = stand.target.with(|base| base.surprises.clone());
        assert_eq!(twice, [], "{kind:?}: no batch was applied twice");
        assert_eq!(stand.target.with(|base| base.marks().count()), 15);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_is_opened_again_where_it_broke() {
    for kind in KINDS {
        let stand = Stand::new(kind, 200, Options::default()).await;
        let application = stand.application(4, 200);
        for _ in 0..2 {
            stand.source.trouble(Op::Next, Trouble::Passing);
            stand.source.trouble(Op::Feed, Trouble::Passing);
        }
        stand.copy(200, 20, 2).await;
        application.stop().await;
        within(stand.drained()).await;
        stand.assert_equal();
        assert_eq!(stand.target.with(|base| base.surprises.clone()), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_in_memory_is_bounded_and_what_reads_never_see_is_not_kept_for_ever() {
    let options = Options {
        budget: Bytes(20_000),
        ..Options::default()
    };
    let stand = Stand::new(Kind::Snapshots, 50, options).await;
    stand.copy(50, 50, 1).await;
    // The target takes nothing for a while.
    for _ in 0..3 {
        stand.target.trouble(Op::Apply, Trouble::Passing);
    }
    for n in 0..2_000 {
        stand.source.commit(&[update(n % 50, n)]).unwrap();
    }
    let weight = 20_000 / 2_000;
    let mut most = 0;
    stand
        .until("everything is applied", |stand| {
            most = most.max(stand.lane.stats().waiting);
            stand.lane.stats().applied_changes == 2_000
        })
        .await;
    // A change weighs some hundred bytes, so far fewer than these fit.
    assert!(
        most > 0 && most < 20_000 / weight / 8,
        "{most} changes were held"
    );
    stand.assert_equal();
}

/// What is kept for a read that has begun can only be let go once the stream has passed that read: a transaction that outgrows
/// the budget must not keep the stream from getting there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_larger_than_the_budget_does_not_stop_a_read_that_waits_for_the_stream() {
    let options = Options {
        budget: Bytes(2_000),
        ..Options::default()
    };
    let stand = Stand::new(Kind::Snapshots, 50, options).await;
    let intent = stand.lane.begin().await.unwrap();
    let mut view = stand.site.source.view(&stand.site.plan).await.unwrap();
    let all: Vec<Stmt> = (0..50).map(|id| update(id, 1_000 + id)).collect();
    stand.source.commit(&all).unwrap();
    within(stand.drained()).await;
    // Its marker lies behind the transaction.
    let barrier = view.barrier().await.unwrap();
    let pick = Pick::Range(Range::default());
    let read = ChunkRead {
        table: T,
        rows: view.rows(T, &pick, Bytes(u64::MAX)).await.unwrap().rows,
        seen: view.seen().clone(),
        barrier,
        pick,
        chunk: Some(ChunkId { table: T, no: 0 }),
        keep_before: false,
    };
    within(stand.lane.land(intent, read)).await.unwrap();
    stand.assert_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_does_not_fit_is_told_with_its_constraint_and_tried_again() {
    let mut stand = Stand::new(Kind::Snapshots, 10, Options::default()).await;
    stand.copy(10, 10, 1).await;
    // Somebody put a row with this unique value on the target.
    stand
        .target
        .with(|base| base.tamper(T, &key(99), Some(row(99, 50, 0))));
    stand
        .source
        .commit(&[Stmt::Insert(T, row(50, 50, 1))])
        .unwrap();
    let (table, why) = stand
        .report(|report| match report {
            Report::Trouble(PauseReason::Parked(table, why)) => Some((*table, why.clone())),
            _ => None,
        })
        .await;
    assert_eq!(table, T);
    assert!(why.contains("unique(u)"), "{why}");
    assert!(!stand.rows(Side::Target).contains_key(&50));
    stand.target.with(|base| base.tamper(T, &key(99), None));
    within(stand.drained()).await;
    stand.assert_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_whose_lease_was_taken_ends_and_writes_nothing_more() {
    let stand = Stand::new(Kind::Snapshots, 10, Options::default()).await;
    stand.copy(10, 10, 1).await;
    let other = stand.site.target.writer(&stand.site.plan).await.unwrap();
    stand.source.commit(&[update(1, 111)]).unwrap();
    let fault = within(stand.task).await.unwrap().unwrap_err();
    assert_eq!(fault.code, "LEASE-LOST");
    let row = stand.target.with(|base| base.row(T, &key(1)).cloned());
    assert_eq!(row.unwrap()[2], Value::Integer(0));
    assert_eq!(
        stand.lane.begin().await.unwrap_err().kind,
        FaultKind::Interrupted
    );
    drop(other);
}

/// The reply to a batch is lost, and before it can be read back another engine has taken the lease and applied as far.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_is_not_taken_for_done_because_another_engine_has_done_it() {
    let stand = Stand::new(Kind::Snapshots, 10, Options::default()).await;
    stand.copy(10, 10, 1).await;
    stand.target.trouble(Op::Apply, Trouble::LostRequest);
    stand.target.trouble(Op::Ledger, Trouble::Passing);
    stand.source.commit(&[update(1, 111)]).unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let _other = stand.site.target.writer(&stand.site.plan).await.unwrap();
    let fault = within(stand.task).await.unwrap().unwrap_err();
    assert_eq!(fault.code, "LEASE-LOST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_end_it_ends_what_it_writes() {
    let mut stand = Stand::new(Kind::Snapshots, 200, Options::default()).await;
    let application = stand.application(5, 200);
    stand.copy(200, 20, 2).await;
    stand.site.stop.cancel();
    within(&mut stand.task).await.unwrap().unwrap();
    application.stop().await;
    let (ledger, rows) = (stand.ledger(), stand.target.with(|base| base.rows(T).len()));
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(stand.ledger(), ledger);
    assert_eq!(stand.target.with(|base| base.rows(T).len()), rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redefined_table_stops_the_stream_until_it_is_opened_anew() {
    let mut stand = Stand::new(Kind::Snapshots, 10, Options::default()).await;
    stand.copy(10, 10, 1).await;
    stand.source.commit(&[update(1, 1)]).unwrap();
    stand.source.with(|base| base.reshape(T, "second"));
    stand.source.commit(&[update(2, 2)]).unwrap();
    stand
        .report(|report| {
            let stopped = Report::Trouble(PauseReason::SchemaChanged(T));
            (*report == stopped).then_some(())
        })
        .await;
    let value = |stand: &Stand, id: i64| stand.rows(Side::Target)[&id][2].clone();
    stand
        .until("what came before is applied", |stand| {
            value(stand, 1) == Value::Integer(1)
        })
        .await;
    assert_eq!(value(&stand, 2), Value::Integer(0), "nothing behind it is");
    // No read of that table lands any more.
    let chunk = ChunkId { table: T, no: 1 };
    let read = copy(&stand.lane, &stand.site, chunk, Range::default());
    let read = tokio::time::timeout(Duration::from_millis(100), read).await;
    assert!(read.is_err(), "{read:?}");
    stand.controls.send_replace(STILL);
    stand
        .report(|report| matches!(report, Report::Rested).then_some(()))
        .await;
    stand.controls.send_replace(Controls::default());
    within(&mut stand.task).await.unwrap().unwrap();
    assert!(stand.site.stop.is_cancelled(), "its companions end with it");
    // The one opened anew meets the same change of the table: it can't be passed unseen.
    stand.reopen().await;
    stand
        .report(|report| {
            let stopped = Report::Trouble(PauseReason::SchemaChanged(T));
            (*report == stopped).then_some(())
        })
        .await;
    assert_eq!(value(&stand, 2), Value::Integer(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_without_a_row_is_drift_where_rows_have_landed_and_nothing_elsewhere() {
    let mut stand = Stand::new(Kind::Snapshots, 40, Options::default()).await;
    let first = Range {
        lo: None,
        hi: Some(tidegate::domain::key::Bound([Value::Integer(20)].into())),
    };
    let chunk = ChunkId { table: T, no: 0 };
    copy(&stand.lane, &stand.site, chunk, first).await.unwrap();
    // Nothing has landed there.
    stand.source.commit(&[update(30, 1)]).unwrap();
    within(stand.drained()).await;
    assert!(stand.reports.try_recv().is_err());
    stand.target.with(|base| base.tamper(T, &key(5), None));
    stand.source.commit(&[update(5, 1)]).unwrap();
    let fault = stand
        .report(|report| match report {
            Report::Failed(fault) => Some(fault.clone()),
            _ => None,
        })
        .await;
    assert_eq!(fault.code, "ROW-MISSING");
    assert!(fault.what.contains("1 in t"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_lands_beside_the_stream_and_hands_back_what_it_replaced() {
    let stand = Stand::new(Kind::Snapshots, 10, Options::default()).await;
    stand.copy(10, 10, 1).await;
    stand.target.with(|base| {
        base.tamper(T, &key(1), None);
        base.tamper(T, &key(2), Some(row(2, 2, -5)));
        base.tamper(T, &key(77), Some(row(77, 77, -5)));
    });
    let repair = async |keys: Vec<i64>| {
        let intent = stand.lane.begin().await.unwrap();
        let mut view = stand.site.source.view(&stand.site.plan).await.unwrap();
        let barrier = view.barrier().await.unwrap();
        let pick = Pick::Keys(keys.into_iter().map(key).collect());
        let read = ChunkRead {
            table: T,
            rows: view.rows(T, &pick, Bytes(u64::MAX)).await.unwrap().rows,
            seen: view.seen().clone(),
            barrier,
            pick,
            chunk: None,
            keep_before: true,
        };
        stand.lane.land(intent, read).await
    };
    let landed = within(repair(vec![1, 2, 77])).await.unwrap().landed;
    assert_eq!((landed.inserted, landed.updated, landed.deleted), (1, 1, 1));
    assert_eq!(landed.before.len(), 3);
    stand.assert_equal();
    // A repair whose reply is lost is in doubt: what it replaced can't be known any more.
    stand.target.trouble(Op::Land, Trouble::LostReply);
    let fault = within(repair(vec![3])).await.unwrap_err();
    assert_eq!(fault.code, "REPAIR-IN-DOUBT");
    stand.source.commit(&[update(3, 33)]).unwrap();
    within(stand.drained()).await;
    stand.assert_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_leaves_out_what_changed_in_between_and_nothing_else() {
    for kind in KINDS {
        let stand = Stand::new(kind, 300, Options::default()).await;
        stand.copy(300, 50, 2).await;
        let application = stand.application(6, 300);
        let (mut compared, mut left_out) = (0, 0);
        // On a busy machine the application may change almost everything while two views are opened, and more than is remembered.
        for looks in 0.. {
            if looks >= 30 && compared > 2_500 && left_out > 0 {
                break;
            }
            assert!(looks < 3_000, "{kind:?} {compared} {left_out}");
            let window = stand.lane.watch_keys().await.unwrap();
            let mut source = stand.site.source.view(&stand.site.plan).await.unwrap();
            let barrier = source.barrier().await.unwrap();
            within(stand.lane.wait_applied(barrier)).await.unwrap();
            let mut target = stand.site.target.view(&stand.site.plan).await.unwrap();
            let (seen, applied) = (source.seen().clone(), target.applied().unwrap());
            let changed = stand.lane.changed(window.to_ref(), T, seen, applied);
            let changed = match within(changed).await {
                Err(fault) if fault.kind == FaultKind::NotProven => continue,
                changed => changed.unwrap(),
            };
            let whole = Range::default();
            let mut left = source.hashes(T, &whole).await.unwrap();
            let mut right = target.hashes(T, &whole).await.unwrap();
            left_out += changed.len();
            for side in [&mut left, &mut right] {
                side.retain(|(key, _)| !changed.contains(key));
                compared += side.len();
            }
            assert_eq!(left, right, "{kind:?}");
        }
        application.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_may_forget_only_what_the_target_has() {
    let stand = Stand::new(Kind::Snapshots, 20, Options::default()).await;
    stand.copy(20, 20, 1).await;
    for n in 0..50 {
        stand.source.commit(&[update(n % 20, n)]).unwrap();
    }
    within(stand.drained()).await;
    stand
        .until("the source was told", |stand| {
            stand.source.with(|base| base.released()) == stand.ledger()
        })
        .await;
    // An application that only writes tables of nobody's concern moves the ledger along too, so that its log is freed.
    let barrier = stand.source.with(|base| {
        let seen = base.seen();
        base.barrier(&seen);
        base.head()
    });
    stand
        .until("the ledger follows an idle stream", |stand| {
            stand.ledger() == barrier
        })
        .await;
}
