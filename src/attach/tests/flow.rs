//! Much at once: bursts arrive whole, who is slow gets the state afterwards, who hangs holds nobody up.

use super::rig::{Rig, Seen, note};
use crate::attach::client::Client;
use crate::attach::wire::Greeting;
use crate::domain::command::{Command, Role};
use crate::domain::id::{CommandId, Seq};
use crate::tap::{Ask, Tap as _};
use std::time::Duration;

const BURST: usize = 50_000;

async fn burst(rig: &Rig) -> Seq {
    let mut last = Seq(0);
    for block in 0..BURST / 1_000 {
        let drafts =
            (0..1_000).map(|i| note(format!("fact {block}/{i} of a burst, as long as usual")));
        last = rig.append(drafts.collect()).await;
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_fifty_thousand_records_arrives_whole_and_in_order() {
    let rig = Rig::new().await;
    let greeting = Greeting {
        every: true,
        ..Greeting::new(Role::Observer, "")
    };
    let mut client = Client::attach(rig.socket(), greeting).await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut client, |s| s.snapshots == 1).await;
    let begun = seen.state.seq;
    let (last, ()) = tokio::join!(burst(&rig), async {
        // It listens meanwhile, so that nothing has to be kept for it.
        seen.upto(&mut client, Seq(begun.0 + BURST as u64)).await;
    });
    seen.upto(&mut client, last).await;
    assert_eq!(seen.events, last.0 - begun.0, "each one, once");
    assert_eq!(seen.snapshots, 1);
    assert_eq!(seen.state, *rig.state().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_console_that_does_not_listen_gets_the_state_afterwards_and_can_still_brake() {
    let mut rig = Rig::new().await;
    let mut slow = rig.client(Role::Operator).await;
    let mut seen = Seen::default();
    seen.until(&mut slow, |s| s.snapshots == 1).await;
    let last = burst(&rig).await;
    assert!(seen.state.seq < last);
    // Its ears are full. Its voice is not.
    slow.send(Ask::Command {
        id: CommandId(1),
        seen: seen.state.seq,
        command: Command::Pause,
        reason: None,
    })
    .unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(20), rig.asked.recv()).await;
    assert_eq!(heard.unwrap().unwrap().command, Command::Pause);

    let engine = rig.state().await;
    seen.upto(&mut slow, engine.seq).await;
    assert_eq!(seen.state, *engine);
    assert_eq!(seen.snapshots, 2, "the state once more");
    assert!(
        seen.events < BURST as u64,
        "instead of {} events",
        seen.events
    );
    assert!(
        seen.other
            .iter()
            .any(|t| matches!(t, crate::tap::Tapped::Reply { .. }))
            || {
                seen.until(&mut slow, |s| s.other.len() > 1).await;
                true
            }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_console_that_hangs_holds_up_neither_another_nor_the_end() {
    let rig = Rig::new().await;
    let hanging = rig.client(Role::Operator).await;
    let mut good = rig.client(Role::Operator).await;
    let mut seen = Seen::default();
    let last = burst(&rig).await;
    seen.upto(&mut good, last).await;
    rig.stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), rig.server)
        .await
        .expect("the engine's end does not wait for it")
        .unwrap();
    drop(hanging);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measurements_are_thinned_and_the_rest_is_counted() {
    let rig = Rig::new().await;
    let mut client = rig.client(Role::Observer).await;
    let mut seen = Seen::default();
    seen.until(&mut client, |s| s.snapshots == 1).await;
    let publish = async {
        for no in 1..=600 {
            rig.measure(no);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let hear = seen.until(&mut client, |s| {
        s.samples.last().is_some_and(|l| l.copy_rate.0 == 600)
    });
    tokio::join!(publish, hear);
    let last = seen.samples.last().unwrap();
    let heard = seen.samples.iter().filter(|s| s.copy_rate.0 > 0).count();
    assert_eq!(heard as u64 + last.dropped, 600);
    assert!(
        seen.samples.len() < 100,
        "{} got through",
        seen.samples.len()
    );
    assert!(seen.samples.is_sorted_by_key(|s| s.copy_rate));
}
