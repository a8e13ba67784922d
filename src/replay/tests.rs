//! Going to and fro gives what folding from the start gives.

use super::keyframes::Keyframes;
use super::{Player, Recording, To};
use crate::domain::command::{Answer, Command, Query, Reply};
use crate::domain::event::{Body, Event, Fact};
use crate::domain::id::{ChunkId, CommandId, MigrationName, Seq, TableId, Who};
use crate::domain::key::{Bound, Range};
use crate::domain::sample::Sample;
use crate::domain::unit::{At, RowsPerSecond, Tick};
use crate::domain::value::Value;
use crate::journal::paths::StateDir;
use crate::journal::{Beside, Draft, Entry, Journal, Opening};
use crate::state::migration::Migration;
use crate::tap::{Ask, QueryId, Tap as _, Tapped};
use std::sync::Arc;

const RECORDS: u64 = 3_000;

fn draft(i: u64) -> Draft {
    let body = if i.is_multiple_of(7) {
        let copy_rate = RowsPerSecond(i);
        Body::Sample(Box::new(Sample {
            copy_rate,
            ..Sample::default()
        }))
    } else {
        let text = format!("note {i}");
        Body::Fact(Fact::Noted {
            text,
            by: Who::Engine,
        })
    };
    // Two records a second, in pairs of the same moment.
    Draft {
        at: At(1_000 * (i as i64 / 2)),
        tick: Tick(1_000_000 * (i / 2)),
        cause: None,
        body,
    }
}

async fn journal(root: &std::path::Path) -> (Journal, Vec<Event>) {
    let dir = StateDir::new(root, &MigrationName::new("shop").unwrap());
    dir.create().unwrap();
    let journal = Journal::open(&dir, Opening::Create).await.unwrap();
    let drafts = (1..=RECORDS).map(draft).collect::<Vec<_>>();
    let events = journal.append(drafts).await.unwrap().into_inner();
    (journal, events)
}

fn folded(events: &[Event], upto: u64) -> Migration {
    let mut state = Migration::default();
    for event in events.iter().take(upto as usize) {
        state.apply(event);
    }
    state
}

#[tokio::test]
async fn every_way_to_a_moment_gives_the_same_state() {
    let root = tempfile::tempdir().unwrap();
    let (journal, events) = journal(root.path()).await;
    let mut player = Player::open(journal.path()).await.unwrap();
    assert_eq!(player.last().seq, Seq(RECORDS));
    assert_eq!(*player.state().as_ref(), Migration::default());
    // To the end, back, near a keyframe, before it, on it, to the beginning, and all over the place.
    let mut places = vec![RECORDS, 1, 257, 256, 255, 0, 2_999, 512, 511, 513];
    let mut chance = fastrand::Rng::with_seed(7);
    places.extend((0..40).map(|_| chance.u64(0..=RECORDS)));
    for place in places {
        let state = player.seek(To::Record(Seq(place))).await.unwrap();
        assert_eq!(*state, folded(&events, place), "at {place}");
    }
    assert!(player.frames().kept().0 >= 11);
    let beyond = player.seek(To::Record(Seq(u64::MAX))).await.unwrap();
    assert_eq!(beyond.seq, Seq(RECORDS));

    for (to, seq) in [
        (To::Moment(Tick(0)), 1),
        (To::Moment(Tick(1_000_000)), 3),
        (To::Moment(Tick(1_999_999)), 3),
        (To::Moment(Tick(u64::MAX)), RECORDS),
        (To::At(At(-1)), 0),
        (To::At(At(999)), 1),
        (To::At(At(1_000)), 3),
        (To::At(At(i64::MAX)), RECORDS),
        (To::Last, RECORDS),
    ] {
        assert_eq!(player.seek(to).await.unwrap().seq, Seq(seq), "{to:?}");
    }

    // An engine that writes on is followed.
    let _ = journal.append(vec![draft(RECORDS + 1)]).await.unwrap();
    assert_eq!(player.seek(To::Last).await.unwrap().seq, Seq(RECORDS + 1));
    assert_eq!(player.last().tick, Tick(1_000_000 * (RECORDS / 2)));
}

#[test]
fn keyframes_stay_within_their_budget_and_evenly_spread() {
    let budget = 8 << 20;
    let mut frames = Keyframes::within(budget);
    let mut offered = 0;
    let mut seq = Seq(0);
    while seq.0 < 1_000_000 {
        seq = frames.next_after(seq);
        offered += 1;
        frames.offer(&Arc::new(Migration {
            seq,
            ..Migration::default()
        }));
        assert!(frames.kept().1 <= budget);
    }
    let (kept, _) = frames.kept();
    assert!((8..=16).contains(&kept), "{kept} of {offered}");
    // From anywhere, the nearest is no further than a sixth of all.
    for wanted in (200_000..1_000_000).step_by(10_000) {
        let near = frames.before(Seq(wanted)).unwrap().seq.0;
        assert!(
            near <= wanted && wanted - near < 1_000_000 / 6,
            "{near} for {wanted}"
        );
    }
    assert!(frames.before(Seq(10)).is_none());
}

#[tokio::test]
async fn a_recording_shows_its_end_answers_from_the_file_and_refuses_to_act() {
    let root = tempfile::tempdir().unwrap();
    let (journal, events) = journal(root.path()).await;
    let bounds = |no: u32, lo: Option<i64>| Beside::Bounds {
        chunk: ChunkId {
            table: TableId(0),
            no,
        },
        range: Range {
            lo: lo.map(|i| Bound([Value::Integer(i)].into())),
            hi: None,
        },
    };
    let beside = vec![bounds(0, None), bounds(1, Some(50))];
    let _ = journal
        .append(Entry {
            drafts: Vec::new(),
            beside,
        })
        .await
        .unwrap();
    let copy = root.path().join("copy.journal");
    journal.reader().await.unwrap().export(&copy).await.unwrap();

    let mut tap = Recording::open(&copy).await.unwrap();
    let Some(Tapped::Snapshot(state)) = tap.next().await else {
        panic!("the state first")
    };
    assert_eq!(*state, folded(&events, RECORDS));
    let command = Command::Pause;
    tap.send(Ask::Command {
        id: CommandId(1),
        seen: state.seq,
        command,
        reason: None,
    })
    .unwrap();
    let query = Query::Bounds {
        table: TableId(0),
        first: 0,
        count: 9,
    };
    tap.send(Ask::Query {
        id: QueryId(2),
        query,
    })
    .unwrap();
    let query = Query::Locate {
        table: TableId(0),
        key: "1".into(),
    };
    tap.send(Ask::Query {
        id: QueryId(3),
        query,
    })
    .unwrap();
    let Some(Tapped::Reply {
        id: CommandId(1),
        reply: Reply::Refused(fault),
    }) = tap.next().await
    else {
        panic!("a refusal")
    };
    assert_eq!(fault.code, "RECORDING");
    let answer = Answer::Bounds(vec![String::new(), "50".into()]);
    assert_eq!(
        tap.next().await,
        Some(Tapped::Answer {
            id: QueryId(2),
            answer
        })
    );
    let failed = tap.next().await;
    assert!(matches!(
        failed,
        Some(Tapped::Answer {
            id: QueryId(3),
            answer: Answer::Failed(_)
        })
    ));
    // Then nothing, for ever, without ending.
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), tap.next()).await;
    assert!(nothing.is_err());
}
