//! Killed while it writes, again and again.

use super::*;
use crate::domain::id::Seq;
use crate::journal::chain::audit;
use std::io::Write as _;
use std::time::Duration;

/// Killed at any moment, everything that was acknowledged is there, in a chain that holds, and the next engine goes on.
#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let acks = root.path().join("acks");
    let test = "journal::tests::crash::child_appends_for_ever";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut before = 0;
    for round in 1..=6 {
        let mut process = child(&[], test, root.path()).spawn().unwrap();
        // Kills at another point of the work each time; waits as long as needed for the first acknowledgements.
        let enough = before + 40 * round * round;
        while count_lines(&acks) < enough {
            assert!(process.try_wait().unwrap().is_none(), "the child ended");
            std::thread::sleep(Duration::from_millis(1));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        before = count_lines(&acks);
        runtime.block_on(check(root.path(), &acks));
    }
    assert!(before >= 6 * 40);
}

fn count_lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
}

async fn check(root: &Path, acks: &Path) {
    let journal = Journal::open(&state_dir(root), Opening::Resume)
        .await
        .unwrap();
    let mut reader = journal.reader().await.unwrap();
    let head = reader.head().await.unwrap();
    let report = audit(journal.path(), Some(head)).await.unwrap();
    assert!(report.verdict.holds(), "{}", report.verdict);
    assert_eq!(report.records, head.seq.0);

    let acks = std::fs::read_to_string(acks).unwrap();
    let mut events = Vec::new();
    while let next = reader
        .events(Seq(events.len() as u64 + 1), 1_000)
        .await
        .unwrap()
        && !next.is_empty()
    {
        events.extend(next);
    }
    for line in acks.lines() {
        let (seq, said) = line.split_once(' ').unwrap();
        let seq: usize = seq.parse().unwrap();
        let event = events
            .get(seq - 1)
            .unwrap_or_else(|| panic!("{seq} was acknowledged and is gone"));
        assert_eq!(text(event), said, "record {seq} is another one");
    }
    // Pieces of three are whole or absent.
    assert_eq!(events.len() % 3, 0);
    journal.close().await.unwrap();
}

#[test]
#[ignore = "run by kill_9_loses_nothing_that_was_acknowledged"]
fn child_appends_for_ever() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let root = child_dir();
        let journal = Journal::open(&state_dir(&root), Opening::Either)
            .await
            .unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16 {
            let journal = journal.clone();
            let mut acks = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(root.join("acks"))
                .unwrap();
            let pid = std::process::id();
            tasks.spawn(async move {
                for i in 0.. {
                    let said = ["a", "b", "c"].map(|part| format!("{pid} {task} {i} {part}"));
                    let drafts = said.iter().map(note).collect::<Vec<_>>();
                    let events = journal.append(drafts).await.unwrap().into_inner();
                    let mut lines = String::new();
                    for event in &events {
                        lines += &format!("{} {}\n", event.seq, text(event));
                    }
                    // One write, so that a kill leaves whole lines.
                    acks.write_all(lines.as_bytes()).unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
}
