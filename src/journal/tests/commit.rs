//! Many callers, one writer: places without gaps, group commits, readers that follow.

use super::*;
use crate::domain::fault::Kind;
use crate::domain::id::Seq;
use crate::journal::{Entry, Reader};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

#[tokio::test]
async fn what_was_appended_comes_back_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let mut plain = note("zwei\n\"🚪\"");
    plain.cause = None;
    plain.at = At(-5);
    plain.tick = Tick(u64::MAX);
    let events = journal
        .append(vec![note("one"), plain])
        .await
        .unwrap()
        .into_inner();
    assert_eq!(events.iter().map(|e| e.seq.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(*journal.head().borrow(), Seq(2));
    journal.close().await.unwrap();

    let journal = Journal::open(&state_dir(root.path()), Opening::Resume)
        .await
        .unwrap();
    let mut reader = journal.reader().await.unwrap();
    assert_eq!(reader.events(Seq(1), 10).await.unwrap(), events);
    assert_eq!(reader.events(Seq(2), 10).await.unwrap(), events[1..]);
    assert_eq!(reader.events(Seq(1), 1).await.unwrap(), events[..1]);
    assert_eq!(reader.events(Seq(3), 10).await.unwrap(), []);
    assert_eq!(*journal.head().borrow(), Seq(2));
    let mode = std::fs::metadata(journal.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_share_a_commit_and_get_places_without_gaps() {
    const CALLERS: usize = 400;
    const EACH: usize = 10;
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let journal = journal.clone();
        callers.spawn(async move {
            for i in 0..EACH {
                let head = journal.head();
                let drafts = vec![
                    note(format!("{caller}/{i}/a")),
                    note(format!("{caller}/{i}/b")),
                ];
                let events = journal.append(drafts).await.unwrap().into_inner();
                // One piece stays one piece, and nobody is told before everybody could read it.
                assert_eq!(events[1].seq.0, events[0].seq.0 + 1);
                assert!(*head.borrow() >= events[1].seq);
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let written = journal.written();
    assert_eq!(written.records, 2 * (CALLERS * EACH) as u64);
    assert!(
        written.commits * 4 < (CALLERS * EACH) as u64,
        "{} commits for {} appends",
        written.commits,
        CALLERS * EACH
    );

    let mut reader = journal.reader().await.unwrap();
    let mut last = std::collections::HashMap::new();
    let mut from = Seq(1);
    loop {
        let events = reader.events(from, 777).await.unwrap();
        let Some(end) = events.last() else { break };
        assert!(events.len() <= 777);
        for (event, seq) in events.iter().zip(from.0..) {
            assert_eq!(event.seq.0, seq);
            let mut parts = text(event).splitn(2, '/');
            let (caller, rest) = (parts.next().unwrap(), parts.next().unwrap());
            let before = last.insert(caller.to_owned(), rest.to_owned());
            assert!(before.is_none_or(|b| b.as_str() < rest), "{caller}: order");
        }
        from = Seq(end.seq.0 + 1);
    }
    assert_eq!(from.0, written.records + 1);
}

#[tokio::test]
async fn a_payload_comes_back_only_with_its_facts_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let (events, durable) = journal.record(vec![note("intent")], "act").await.unwrap();
    let mut reader = Reader::open(journal.path()).await.unwrap();
    assert_eq!(reader.events(Seq(1), 9).await.unwrap(), events);
    assert_eq!(*durable.get(), "act");
    let (events, durable) = journal.record(Entry::default(), "flush").await.unwrap();
    assert_eq!((events.len(), durable.into_inner()), (0, "flush"));
}

#[tokio::test]
async fn one_process_writes_and_the_second_is_told_who() {
    let root = tempfile::tempdir().unwrap();
    let dir = state_dir(root.path());
    let journal = fresh(root.path()).await;
    journal.append(vec![note("mine")]).await.unwrap();
    let second = Journal::open(&dir, Opening::Either).await.err().unwrap();
    assert_eq!(
        (second.kind, &*second.code),
        (Kind::Blocked, "JOURNAL-HELD")
    );
    assert!(
        second.what.contains(&std::process::id().to_string()),
        "{second}"
    );
    let clone = journal.clone();
    journal.close().await.unwrap();
    assert_eq!(
        clone.append(vec![note("late")]).await.unwrap_err().code,
        "JOURNAL-LOST"
    );
    Journal::open(&dir, Opening::Resume).await.unwrap();
}

#[tokio::test]
async fn opening_says_what_is_there_and_what_is_not() {
    let root = tempfile::tempdir().unwrap();
    let dir = state_dir(root.path());
    let code = async |opening| Journal::open(&dir, opening).await.err().map(|f| f.code);
    assert_eq!(code(Opening::Resume).await.unwrap(), "JOURNAL-MISSING");
    assert!(!dir.journal().exists());
    // A start that died before its first fact is no migration yet.
    Journal::open(&dir, Opening::Create)
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    assert_eq!(code(Opening::Resume).await.unwrap(), "JOURNAL-MISSING");
    let journal = Journal::open(&dir, Opening::Create).await.unwrap();
    journal.append(vec![note("one")]).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(code(Opening::Create).await.unwrap(), "JOURNAL-EXISTS");
    assert_eq!(code(Opening::Either).await, None);
}

#[tokio::test]
async fn newer_foreign_and_altered_files_are_refused_untouched() {
    let root = tempfile::tempdir().unwrap();
    let dir = state_dir(root.path());
    let journal = fresh(root.path()).await;
    journal
        .append(vec![note("one"), note("two"), note("three")])
        .await
        .unwrap();
    journal.close().await.unwrap();
    for (sql, code, reads) in [
        ("PRAGMA user_version = 2", "JOURNAL-NEWER", false),
        ("PRAGMA application_id = 1", "JOURNAL-FOREIGN", false),
        (
            "UPDATE record SET tick = 9 WHERE seq = 2",
            "JOURNAL-BROKEN",
            true,
        ),
        ("DELETE FROM record WHERE seq = 2", "JOURNAL-BROKEN", true),
    ] {
        let whole = std::fs::read(dir.journal()).unwrap();
        super::audit::tamper(&dir.journal(), sql).await;
        let altered = std::fs::read(dir.journal()).unwrap();
        let fault = Journal::open(&dir, Opening::Either).await.err().unwrap();
        assert_eq!(fault.code, code, "{sql}: {fault}");
        let read = Reader::open(dir.journal()).await;
        assert_eq!(read.is_ok(), reads, "{sql}");
        assert_eq!(std::fs::read(dir.journal()).unwrap(), altered);
        std::fs::write(dir.journal(), whole).unwrap();
    }
    std::fs::write(
        dir.journal(),
        "not a database, but long enough to be looked at",
    )
    .unwrap();
    assert!(Journal::open(&dir, Opening::Either).await.is_err());
}

#[tokio::test]
async fn a_reader_follows_while_it_is_written_and_stays_bounded() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let mut reader = journal.reader().await.unwrap();
    assert_eq!(reader.head().await.unwrap(), crate::journal::Anchor::START);
    let tail = tokio::spawn(async move {
        let events = reader
            .tail(Seq(1), 10, Duration::from_millis(2))
            .await
            .unwrap();
        (reader, events)
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    journal.append(vec![note("now")]).await.unwrap();
    let (mut reader, events) = tail.await.unwrap();
    assert_eq!(text(&events[0]), "now");

    let big = "x".repeat(1 << 20);
    for _ in 0..9 {
        journal.append(vec![note(big.as_str())]).await.unwrap();
    }
    let piece = reader.events(Seq(2), 100).await.unwrap();
    assert_eq!(piece.len(), 4, "4 MB at a time");
    let huge = vec![note("y".repeat(12 << 20))];
    let seq = journal.append(huge).await.unwrap().get()[0].seq;
    assert_eq!(reader.events(seq, 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_commit_is_synced() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let mut conn = crate::journal::schema::connect_writer(journal.path())
        .await
        .unwrap();
    let setting = async |conn: &mut sqlx::SqliteConnection, name: &str| {
        let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        let value = sqlx::query_scalar::<_, String>(&sql).fetch_one(conn).await;
        value.unwrap()
    };
    // 2 is FULL: in WAL mode the log is synced at each commit, not only at checkpoints.
    assert_eq!(setting(&mut conn, "synchronous").await, "2");
    assert_eq!(setting(&mut conn, "journal_mode").await, "wal");
}

#[tokio::test]
async fn a_place_is_found_by_the_clock() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let mut reader = journal.reader().await.unwrap();
    assert_eq!(reader.find(At(0)).await.unwrap(), Seq(1));
    let drafts = [10, 20, 20, 30].map(|at| Draft {
        at: At(at),
        tick: Tick(at as u64),
        ..note("")
    });
    journal.append(drafts.to_vec()).await.unwrap();
    for (at, seq) in [(0, 1), (10, 1), (11, 2), (20, 2), (21, 4), (30, 4), (31, 5)] {
        assert_eq!(reader.find(At(at)).await.unwrap(), Seq(seq), "{at}");
    }
    for (tick, seq) in [
        (0, 1),
        (9, 1),
        (10, 2),
        (20, 4),
        (29, 4),
        (30, 5),
        (u64::MAX, 5),
    ] {
        assert_eq!(reader.after(Tick(tick)).await.unwrap(), Seq(seq), "{tick}");
    }
}

#[tokio::test]
async fn a_copy_is_one_file_that_reads_anywhere() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let events = journal
        .append(vec![note("one"), note("two")])
        .await
        .unwrap()
        .into_inner();
    let copies = root.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    let copy = copies.join("it's a copy.journal");
    let mut reader = journal.reader().await.unwrap();
    reader.export(&copy).await.unwrap();
    assert!(reader.export(&copy).await.is_err(), "never overwrites");
    let head = reader.head().await.unwrap();

    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o444)).unwrap();
    std::fs::set_permissions(&copies, std::fs::Permissions::from_mode(0o555)).unwrap();
    let mut reader = Reader::open(&copy).await.unwrap();
    assert_eq!(reader.events(Seq(1), 9).await.unwrap(), events);
    assert_eq!(reader.head().await.unwrap(), head);
    reader.close().await;
    assert_eq!(std::fs::read_dir(&copies).unwrap().count(), 1);
    std::fs::set_permissions(&copies, std::fs::Permissions::from_mode(0o755)).unwrap();
}
