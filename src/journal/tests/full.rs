//! Disks that are full and writes that the system refuses.

use super::*;
use crate::domain::fault::Kind;
use crate::domain::id::{ChunkId, Seq, TableId};
use crate::journal::chain::audit;
use crate::journal::{Beside, Entry};

fn run_blocking(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

/// A private mount for a disk of its own: as root, or as root of a user namespace.
fn own_mounts() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-Urm"]];
    ways.into_iter().find(|way| {
        Command::new(way[0])
            .args(&way[1..])
            .args(["sh", "-c", "mount -t tmpfs none /mnt"])
            .output()
            .is_ok_and(|out| out.status.success())
    })
}

#[test]
fn a_full_disk_refuses_keeps_the_last_words_and_goes_on() {
    let Some(way) = own_mounts() else {
        eprintln!("not tested: this machine lets nobody mount a small disk");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let test = "journal::tests::full::child_fills_a_disk";
    let out = child(way, test, root.path()).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
#[ignore = "run by a_full_disk_refuses_keeps_the_last_words_and_goes_on"]
fn child_fills_a_disk() {
    let root = child_dir();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "none"])
        .arg(&root)
        .status();
    assert!(mounted.unwrap().success());
    run_blocking(async {
        let journal = fresh(&root).await;
        let dir = state_dir(&root);
        assert!(dir.reserve().exists());
        let (acknowledged, fault) = until_refused(&journal, 40_000).await;
        assert_eq!((fault.kind, &*fault.code), (Kind::Own, "JOURNAL-FULL"));
        assert!(fault.what.contains("is full ("), "{fault}");

        // Small ones are refused too, also beside the chain: order must not depend on size.
        let small = journal.append(vec![note("small")]).await.unwrap_err();
        assert_eq!(small.code, "JOURNAL-FULL");
        let side = Entry {
            drafts: Vec::new(),
            beside: vec![Beside::Bounds {
                chunk: ChunkId {
                    table: TableId(0),
                    no: 0,
                },
                range: Default::default(),
            }],
        };
        assert!(journal.append(side).await.is_err());
        assert!(journal.record(Entry::default(), "act").await.is_err());
        assert_eq!(journal.probe().await.unwrap_err().code, "JOURNAL-FULL");

        let last = journal.append_last(vec![note("paused: disk full")]).await;
        let last = last.unwrap().into_inner()[0].seq;
        assert_eq!(last.0, acknowledged + 1);
        assert_eq!(*journal.head().borrow(), last);
        assert!(!dir.reserve().exists());
        assert!(journal.append(vec![note("still refused")]).await.is_err());

        std::fs::remove_file(root.join("ballast")).unwrap();
        assert_eq!(journal.probe().await.unwrap(), []);
        assert!(dir.reserve().exists());
        let next = journal.append(vec![note("on")]).await.unwrap();
        assert_eq!(next.get()[0].seq.0, last.0 + 1);
        journal.close().await.unwrap();
        let report = audit(&dir.journal(), None).await.unwrap();
        assert!(report.verdict.holds(), "{}", report.verdict);
        assert_eq!(report.records, last.0 + 1);
    });
}

#[test]
fn a_write_that_the_system_refuses_leaves_nothing_half_written() {
    let root = tempfile::tempdir().unwrap();
    let test = "journal::tests::full::child_meets_a_file_size_limit";
    let limited = [
        "sh",
        "-c",
        "trap '' XFSZ; ulimit -f 4096; exec \"$@\"",
        "sh",
    ];
    let out = child(&limited, test, root.path()).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    // And outside of the limit the same journal goes on.
    run_blocking(async {
        let journal = Journal::open(&state_dir(root.path()), Opening::Resume)
            .await
            .unwrap();
        journal.append(vec![note("on")]).await.unwrap();
        let report = audit(journal.path(), None).await.unwrap();
        assert!(report.verdict.holds(), "{}", report.verdict);
    });
}

#[test]
#[ignore = "run by a_write_that_the_system_refuses_leaves_nothing_half_written"]
fn child_meets_a_file_size_limit() {
    run_blocking(async {
        let journal = fresh(&child_dir()).await;
        let mut acknowledged = 0;
        for _ in 0..3 {
            let (upto, fault) = until_refused(&journal, 100_000).await;
            assert_eq!((fault.kind, &*fault.code), (Kind::Own, "JOURNAL-LOST"));
            acknowledged = upto.max(acknowledged);
            assert_eq!(journal.head().borrow().0, acknowledged);
            let mut reader = journal.reader().await.unwrap();
            assert_eq!(reader.head().await.unwrap().seq, Seq(acknowledged));
            // The write-ahead log may be folded in by opening anew, and then there is room for a while.
            assert_eq!(journal.probe().await.unwrap_or_default(), []);
        }
        let report = audit(journal.path(), None).await.unwrap();
        assert!(report.verdict.holds(), "{}", report.verdict);
        assert_eq!(report.records, acknowledged);
    });
}

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_is_noticed_at_the_next_fact() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    journal.append(vec![note("one")]).await.unwrap();
    let away = root.path().join("away.db");
    let log = |path: &Path| path.with_extension("db-wal");
    std::fs::rename(journal.path(), &away).unwrap();
    let fault = journal.append(vec![note("lost?")]).await.unwrap_err();
    assert_eq!(fault.code, "JOURNAL-LOST");
    assert!(journal.probe().await.is_err());
    std::fs::rename(log(journal.path()), log(&away)).unwrap();
    // Another migration's journal in its place is not taken for it.
    let other = tempfile::tempdir().unwrap();
    let stranger = fresh(other.path()).await;
    stranger.append(vec![note("stranger")]).await.unwrap();
    let path = stranger.path().to_owned();
    stranger.close().await.unwrap();
    std::fs::copy(path, journal.path()).unwrap();
    assert_eq!(journal.probe().await.unwrap_err().code, "JOURNAL-LOST");
    assert!(journal.append(vec![note("lost?")]).await.is_err());
    std::fs::rename(&away, journal.path()).unwrap();
    std::fs::rename(log(&away), log(journal.path())).unwrap();
    assert_eq!(journal.probe().await.unwrap(), []);
    let two = journal.append(vec![note("two")]).await.unwrap();
    assert_eq!(two.get()[0].seq, Seq(2));
}

/// Appends until it is refused; gives the last acknowledged place. The first time it leaves most of a small disk to a
/// file that is not ours.
async fn until_refused(journal: &Journal, size: usize) -> (u64, crate::domain::fault::Fault) {
    let ballast = child_dir().join("ballast");
    if !ballast.exists() {
        std::fs::write(ballast, vec![1; 2 << 20]).unwrap();
    }
    let mut last = journal.head().borrow().0;
    loop {
        match journal.append(vec![note("z".repeat(size))]).await {
            Ok(events) => last = events.get()[0].seq.0,
            Err(fault) => return (last, fault),
        }
        assert!(last < 10_000, "it never gets full");
    }
}
