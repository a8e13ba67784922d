//! Consoles on one engine: they hold the same state, each gets its own replies, and none can harm another.

use super::rig::{Rig, Seen, name, note};
use crate::attach::client::Client;
use crate::attach::server::{Access, Server};
use crate::attach::wire::{Frame, Greeting};
use crate::domain::command::{Answer, Command, Query, Reply, Role};
use crate::domain::event::{Body, Fact};
use crate::domain::fault::Kind;
use crate::domain::id::{CommandId, Seq, TableId, Who};
use crate::domain::unit::RowsPerSecond;
use crate::tap::{Ask, QueryId, Tap as _, Tapped, Welcome};
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

fn command(id: u64, command: Command) -> Ask {
    Ask::Command {
        id: CommandId(id),
        seen: Seq(0),
        command,
        reason: Some("because".to_owned()),
    }
}

fn welcome(seen: &Seen) -> Welcome {
    let found = seen.other.iter().find_map(|t| match t {
        Tapped::Welcome(welcome) => Some((**welcome).clone()),
        _ => None,
    });
    found.expect("welcomed first")
}

fn reply(seen: &Seen, wanted: u64) -> Option<Reply> {
    seen.other.iter().find_map(|t| match t {
        Tapped::Reply { id, reply } if id.0 == wanted => Some(reply.clone()),
        _ => None,
    })
}

#[tokio::test]
async fn two_consoles_hold_the_same_state_and_only_the_asking_one_gets_the_reply() {
    let mut rig = Rig::new().await;
    rig.append(vec![note("before anybody came")]).await;
    let (mut ana, mut ben) = (
        rig.client(Role::Operator).await,
        rig.client(Role::Operator).await,
    );
    let (mut a, mut b) = (Seen::default(), Seen::default());
    let seq = rig.append(vec![note("both are here")]).await;
    a.upto(&mut ana, seq).await;
    b.upto(&mut ben, seq).await;

    ana.send(command(7, Command::Pause)).unwrap();
    let query = Query::Locate {
        table: TableId(0),
        key: "5".into(),
    };
    ana.send(Ask::Query {
        id: QueryId(9),
        query,
    })
    .unwrap();
    a.until(&mut ana, |s| reply(s, 7).is_some() && s.other.len() >= 3)
        .await;
    let Some(Reply::Accepted { seq }) = reply(&a, 7) else {
        panic!("{:?}", a.other)
    };
    let located = |t: &Tapped| matches!(t, Tapped::Answer { id: QueryId(9), answer: Answer::Located(Some(c)) } if c.no == 3);
    assert!(a.other.iter().any(located), "{:?}", a.other);

    let seq = rig.append(vec![note("after")]).await.max(seq);
    a.upto(&mut ana, seq).await;
    b.upto(&mut ben, seq).await;
    assert!(reply(&b, 7).is_none());
    let engine = rig.state().await;
    assert_eq!(a.state, *engine);
    assert_eq!(b.state, *engine);
    assert_eq!((a.snapshots, b.snapshots), (1, 1));

    // The engine knows who asked from the socket, not from the console.
    let request = rig.asked.recv().await.unwrap();
    let me = welcome(&a);
    assert_eq!((request.session, &request.who), (me.session, &me.you));
    assert_ne!(me.session, welcome(&b).session);
    let uid = nix::unistd::getuid().as_raw();
    assert!(matches!(me.you, Who::Person { uid: u, .. } if u == uid));
    assert_eq!(request.reason.as_deref(), Some("because"));
    assert_eq!(engine.people.present.len(), 2);
}

#[tokio::test]
async fn an_observer_and_another_version_may_only_look() {
    let mut rig = Rig::new().await;
    let newer = Greeting {
        version: "99.0.0".to_owned(),
        ..Greeting::new(Role::Operator, "pts/1")
    };
    let other = Greeting {
        proto: 99,
        ..Greeting::new(Role::Operator, "pts/2")
    };
    for (greeting, says) in [
        (Greeting::new(Role::Observer, "pts/0"), "look only"),
        (newer, "99.0.0"),
        (other, "protocol 99"),
    ] {
        let mut client = Client::attach(rig.socket(), greeting).await.unwrap();
        let mut seen = Seen::default();
        client.send(command(1, Command::Pause)).unwrap();
        seen.until(&mut client, |s| reply(s, 1).is_some()).await;
        let Some(Reply::Refused(fault)) = reply(&seen, 1) else {
            panic!("{:?}", seen.other)
        };
        assert_eq!((fault.kind, &*fault.code), (Kind::Refused, "OBSERVER"));
        assert!(fault.what.contains(says), "{fault}");
        assert_eq!(welcome(&seen).role, Role::Observer);
        // It sees everything, and may ask what changes nothing.
        let seq = rig.append(vec![note("look")]).await;
        seen.upto(&mut client, seq).await;
        client
            .send(Ask::Query {
                id: QueryId(1),
                query: Query::Best,
            })
            .unwrap();
        let best = |s: &Seen| {
            let is = |t: &Tapped| {
                matches!(
                    t,
                    Tapped::Answer {
                        answer: Answer::Best(RowsPerSecond(1)),
                        ..
                    }
                )
            };
            s.other.iter().any(is)
        };
        seen.until(&mut client, best).await;
    }
    assert!(
        rig.asked.try_recv().is_err(),
        "the engine heard of none of it"
    );
}

#[tokio::test]
async fn who_says_nothing_is_shown_lines_that_jq_reads() {
    let rig = Rig::new().await;
    let first = rig.append(vec![note("one")]).await;
    let mut lines = BufReader::new(UnixStream::connect(rig.socket()).await.unwrap()).lines();
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|k| k != "event") {
        let line = lines.next_line().await.unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), 1, "{line}");
        kinds.extend(object.keys().cloned());
        if kinds.len() == 2 {
            rig.append(vec![note("two")]).await;
        }
        if kinds.last().is_some_and(|k| k == "event") {
            assert_eq!(json["event"]["body"]["fact"]["noted"]["text"], "two");
            assert!(json["event"]["seq"].as_u64().unwrap() > first.0);
        }
    }
    kinds.retain(|k| k != "beat" && k != "sample");
    assert_eq!(kinds, ["hello", "snapshot", "event"]);
}

#[tokio::test]
async fn who_only_looks_whether_an_engine_answers_is_no_visitor_and_a_half_closed_pipe_is() {
    let rig = Rig::new().await;
    for _ in 0..20 {
        drop(UnixStream::connect(rig.socket()).await.unwrap());
    }
    // As `socat -u` may do it: nothing to say, all ears.
    let (read, mut write) = UnixStream::connect(rig.socket())
        .await
        .unwrap()
        .into_split();
    write.shutdown().await.unwrap();
    let mut lines = BufReader::new(read).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.starts_with("{\"hello\""), "{first}");
    let state = rig.state().await;
    let visits = state
        .timeline
        .iter()
        .filter(|line| line.text.starts_with("attached"));
    assert_eq!(visits.count(), 1, "{:?}", state.timeline);
}

#[tokio::test]
async fn what_is_not_understood_ends_that_console_only() {
    let rig = Rig::new().await;
    let mut good = rig.client(Role::Operator).await;
    let hello = serde_json::json!({"hello": Greeting::new(Role::Operator, "")}).to_string();
    let long = format!("{hello}\n{}\n", "x".repeat(5 << 20));
    for words in [
        "rubbish\n",
        r#"{"query":{"id":1,"query":"best"}}"#,
        &format!("{hello}\nrubbish\n"),
        &long,
    ] {
        let (read, mut write) = UnixStream::connect(rig.socket())
            .await
            .unwrap()
            .into_split();
        let saying = async {
            // The engine may hang up before it was all said.
            let _ = write.write_all(words.as_bytes()).await;
            let _ = write.write_all(b"\n").await;
        };
        let hearing = async {
            let mut lines = BufReader::new(read).lines();
            let mut last = None;
            while let Ok(Some(line)) = lines.next_line().await {
                last = Some(line);
            }
            last.unwrap()
        };
        let ((), last) = tokio::join!(saying, hearing);
        let last: Frame = serde_json::from_str(&last).unwrap();
        assert!(matches!(last, Frame::Bye { again: false, .. }), "{last:?}");
    }
    let seq = rig.append(vec![note("on")]).await;
    Seen::default().upto(&mut good, seq).await;
}

#[tokio::test]
async fn a_killed_console_is_noticed_and_harms_nobody() {
    let rig = Rig::new().await;
    let mut good = rig.client(Role::Operator).await;
    let mut seen = Seen::default();
    for _ in 0..20 {
        let stream = UnixStream::connect(rig.socket()).await.unwrap();
        let hello =
            serde_json::json!({"hello": Greeting::new(Role::Operator, "pts/9")}).to_string();
        let (read, mut write) = stream.into_split();
        write
            .write_all(format!("{hello}\n").as_bytes())
            .await
            .unwrap();
        let mut lines = BufReader::new(read).lines();
        lines.next_line().await.unwrap();
        // Gone in the middle of whatever is being said.
        rig.append((0..50).map(|i| note(format!("{i}"))).collect())
            .await;
    }
    let went = |s: &Seen| s.state.people.present.len() == 1 && s.state.seq.0 > 20 * 52;
    seen.until(&mut good, went).await;
    good.send(command(1, Command::Pause)).unwrap();
    seen.until(&mut good, |s| reply(s, 1).is_some()).await;
    let engine = rig.state().await;
    seen.upto(&mut good, engine.seq).await;
    assert_eq!(seen.state, *engine);
}

#[tokio::test]
async fn the_socket_is_its_owners_and_one_engine_holds_it() {
    let rig = Rig::new().await;
    let mode = std::fs::metadata(rig.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let bind = |path: &std::path::Path, access: Access| {
        Server::bind(path, &access, name(), rig.ports.clone())
    };
    let fault = bind(&rig.socket(), Access::Owner).unwrap_err();
    assert_eq!((fault.kind, &*fault.code), (Kind::Blocked, "SOCKET-HELD"));

    // What a dead engine left behind is replaced.
    let dead = rig.root.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    drop(bind(&dead, Access::Owner).unwrap());

    let shared = rig.root.path().join("shared.sock");
    let gid = nix::unistd::getgid();
    let group = nix::unistd::Group::from_gid(gid).unwrap().unwrap().name;
    drop(bind(&shared, Access::Group(group)).unwrap());
    let mode = std::fs::metadata(&shared).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let nobody = bind(&shared, Access::Group("no-such-group".into())).unwrap_err();
    assert!(nobody.to_string().contains("no-such-group"), "{nobody}");
    let long = rig.root.path().join("x".repeat(120));
    assert_eq!(bind(&long, Access::Owner).unwrap_err().code, "SOCKET-LOST");

    // Its own folder is shut.
    let absent = rig.root.path().join("absent.sock");
    let fault = Client::attach(absent, Greeting::new(Role::Observer, ""))
        .await
        .err()
        .unwrap();
    assert_eq!((fault.kind, &*fault.code), (Kind::Blocked, "NOT-RUNNING"));
}

#[tokio::test]
async fn facts_carry_the_command_they_follow_from() {
    let rig = Rig::new().await;
    let mut client = rig.client(Role::Operator).await;
    let mut seen = Seen::default();
    // Asked any earlier, what follows could be part of the first snapshot.
    seen.until(&mut client, |s| s.snapshots == 1).await;
    let session = welcome(&seen).session;
    client.send(command(42, Command::Pause)).unwrap();
    loop {
        if let Tapped::Event(event) = client.next().await.unwrap()
            && let Body::Fact(Fact::Accepted { .. }) = event.body
        {
            assert_eq!(event.cause, Some((session, CommandId(42))));
            return;
        }
    }
}
