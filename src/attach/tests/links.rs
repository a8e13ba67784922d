//! Links that break and come back.

use super::rig::{Rig, Seen, name, note};
use crate::attach::server::{Access, Server};
use crate::attach::wire::Frame;
use crate::domain::command::{Command, Reply, Role};
use crate::domain::fault::Kind;
use crate::domain::id::{CommandId, Seq};
use crate::domain::unit::Span;
use crate::tap::{Ask, Tap as _, Tapped};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

fn pause(id: u64, reason: Option<&str>) -> Ask {
    Ask::Command {
        id: CommandId(id),
        seen: Seq(0),
        command: Command::Pause,
        reason: reason.map(str::to_owned),
    }
}

fn refused(seen: &Seen, wanted: u64) -> Option<(Kind, String)> {
    seen.other.iter().find_map(|t| match t {
        Tapped::Reply {
            id,
            reply: Reply::Refused(fault),
        } if id.0 == wanted => Some((fault.kind, fault.code.clone())),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_link_comes_back_and_no_command_waits_in_between() {
    let mut rig = Rig::new().await;
    let mut client = rig.client(Role::Operator).await;
    let mut seen = Seen::default();
    let seq = rig.append(vec![note("before")]).await;
    seen.upto(&mut client, seq).await;
    // Sent, taken, not answered: nobody knows.
    client.send(pause(1, Some("hang"))).unwrap();
    rig.asked.recv().await.unwrap();
    rig.stop.cancel();
    (&mut rig.server).await.unwrap();
    assert!(!rig.socket().exists());
    let lost = |t: &Tapped| matches!(t, Tapped::LinkLost { .. });
    seen.until(&mut client, |s| s.other.iter().any(lost)).await;
    assert_eq!(
        refused(&seen, 1),
        Some((Kind::InDoubt, "NOT-ANSWERED".into()))
    );

    client.send(pause(2, None)).unwrap();
    seen.until(&mut client, |s| refused(s, 2).is_some()).await;
    assert_eq!(
        refused(&seen, 2),
        Some((Kind::Refused, "NOT-CONNECTED".into()))
    );
    // Tries go on, with growing pauses that stay short.
    seen.until(&mut client, |s| {
        s.other.iter().filter(|t| lost(t)).count() >= 4
    })
    .await;
    let waits = seen.other.iter().filter_map(|t| match t {
        Tapped::LinkLost { tries, retry, .. } => Some((*tries, *retry)),
        _ => None,
    });
    for (tries, retry) in waits {
        assert_eq!(
            retry,
            Span::millis(100 << tries.min(10)).min(Span::seconds(5))
        );
    }

    let missed = rig.append(vec![note("while it was away")]).await;
    let stop = CancellationToken::new();
    let server = Server::bind(&rig.socket(), &Access::Owner, name(), rig.ports.clone()).unwrap();
    let server = tokio::spawn(server.run(stop.clone()));
    seen.upto(&mut client, missed).await;
    assert!(seen.other.contains(&Tapped::LinkBack));
    let welcomes = seen
        .other
        .iter()
        .filter(|t| matches!(t, Tapped::Welcome(_)));
    assert_eq!(welcomes.count(), 2);
    assert_eq!(seen.snapshots, 2);
    client.send(pause(3, None)).unwrap();
    let accepted = |t: &Tapped| {
        matches!(
            t,
            Tapped::Reply {
                id: CommandId(3),
                reply: Reply::Accepted { .. }
            }
        )
    };
    seen.until(&mut client, |s| s.other.iter().any(accepted))
        .await;
    let ids: Vec<_> = std::iter::from_fn(|| rig.asked.try_recv().ok())
        .map(|r| r.id.0)
        .collect();
    assert_eq!(ids, [3], "the second was never sent");
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_on_its_way_out_sends_nobody_away_for_good() {
    let mut rig = Rig::new().await;
    let mut client = rig.client(Role::Operator).await;
    let mut seen = Seen::default();
    let seq = rig.append(vec![note("before")]).await;
    seen.upto(&mut client, seq).await;
    rig.stop.cancel();
    (&mut rig.server).await.unwrap();

    // It still lets the console in, and has nothing to say any more but that it stops.
    let listener = UnixListener::bind(rig.socket()).unwrap();
    let lost = |t: &&Tapped| matches!(t, Tapped::LinkLost { .. });
    let tries = |s: &Seen| s.other.iter().filter(lost).count();
    let stopping = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (why, again) = ("the engine has stopped".to_owned(), true);
        let bye = Frame::Bye { why, again }.to_line().unwrap();
        stream.write_all(&bye).await.unwrap();
    };
    tokio::join!(stopping, seen.until(&mut client, |s| tries(s) >= 1));
    drop(listener);
    seen.until(&mut client, |s| tries(s) >= 3).await;
    let ended = |t: &Tapped| matches!(t, Tapped::Ended(_));
    assert!(!seen.other.iter().any(ended), "{:?}", seen.other);
}
