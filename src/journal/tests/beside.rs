//! What lies beside the chain: bounds and differing keys, and that a million of them stay off memory.

use super::*;
use crate::domain::id::{ChunkId, TableId};
use crate::domain::key::{Bound, Key, Range};
use crate::domain::value::Value;
use crate::domain::verdict::DriftClass;
use crate::journal::{Beside, Entry};

fn chunk(table: u16, no: u32) -> ChunkId {
    ChunkId {
        table: TableId(table),
        no,
    }
}

fn bound(i: i64) -> Option<Bound> {
    Some(Bound(Box::new([Value::Integer(i), Value::text("é")])))
}

fn beside(items: Vec<Beside>) -> Entry {
    Entry {
        drafts: vec![note("with its fact")],
        beside: items,
    }
}

#[tokio::test]
async fn bounds_are_found_by_number_and_replaced() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let range = |lo, hi| Range { lo, hi };
    let ranges = [
        (chunk(1, 0), range(None, bound(10))),
        (chunk(1, 1), range(bound(10), bound(20))),
        (chunk(1, 2), range(bound(20), None)),
        (chunk(2, 0), range(None, None)),
    ];
    let items = ranges.iter().cloned();
    let items = items.map(|(chunk, range)| Beside::Bounds { chunk, range });
    journal.append(beside(items.collect())).await.unwrap();

    let mut reader = journal.reader().await.unwrap();
    for (chunk, range) in &ranges {
        assert_eq!(reader.bounds(*chunk).await.unwrap().as_ref(), Some(range));
    }
    assert_eq!(reader.bounds(chunk(1, 3)).await.unwrap(), None);
    assert_eq!(reader.bounds(chunk(3, 0)).await.unwrap(), None);
    let from = reader.bounds_from(TableId(1), 1, 9).await.unwrap();
    assert_eq!(from, [(1, ranges[1].1.clone()), (2, ranges[2].1.clone())]);
    assert_eq!(reader.bounds_from(TableId(1), 0, 1).await.unwrap().len(), 1);
    let last = reader.bounds_last(TableId(1)).await.unwrap();
    assert_eq!(last, Some((2, ranges[2].1.clone())));
    assert_eq!(reader.bounds_last(TableId(9)).await.unwrap(), None);

    let again = Beside::Bounds {
        chunk: chunk(1, 2),
        range: range(bound(20), bound(30)),
    };
    journal.append(beside(vec![again])).await.unwrap();
    let last = reader.bounds_last(TableId(1)).await.unwrap();
    assert_eq!(last, Some((2, range(bound(20), bound(30)))));
}

#[tokio::test]
async fn each_verdict_replaces_the_chunks_differing_keys_and_keeps_their_age() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let key = |i| Key::normal([Value::Integer(i), Value::Blob([0, 9].into())], &[]);
    let verdict = |no, tick, keys: &[(i64, DriftClass)]| {
        beside(vec![Beside::Drift {
            chunk: chunk(1, no),
            keys: keys.iter().map(|(i, class)| (key(*i), *class)).collect(),
            tick: Tick(tick),
        }])
    };
    use DriftClass::{Changed, Extra, Missing};
    for entry in [
        verdict(0, 10, &[(1, Missing), (2, Extra)]),
        verdict(5, 11, &[(9, Changed)]),
        verdict(0, 20, &[(2, Changed), (3, Extra)]),
    ] {
        journal.append(entry).await.unwrap();
    }
    let mut reader = journal.reader().await.unwrap();
    let seen = |found: Vec<crate::journal::Drifter>| {
        let line = |d: crate::journal::Drifter| (d.chunk.no, d.key, d.class, d.since.0);
        found.into_iter().map(line).collect::<Vec<_>>()
    };
    let in_zero = seen(reader.drifted_in(chunk(1, 0), 9).await.unwrap());
    assert_eq!(in_zero, [(0, key(2), Changed, 10), (0, key(3), Extra, 20)]);
    assert_eq!(reader.drifted(None, 9).await.unwrap().len(), 3);
    assert_eq!(reader.drifted(None, 2).await.unwrap().len(), 2);
    assert_eq!(reader.drifted(Some(TableId(1)), 9).await.unwrap().len(), 3);
    assert_eq!(reader.drifted(Some(TableId(2)), 9).await.unwrap(), []);

    journal.append(verdict(0, 30, &[])).await.unwrap();
    let left = seen(reader.drifted(None, 9).await.unwrap());
    assert_eq!(left, [(5, key(9), Changed, 11)]);
}

#[test]
fn a_million_bounds_stay_off_memory() {
    let root = tempfile::tempdir().unwrap();
    let test = "journal::tests::beside::child_writes_a_million_bounds";
    let out = child(&[], test, root.path()).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// In a process of its own, because the peak of its memory is what counts.
#[test]
#[ignore = "run by a_million_bounds_stay_off_memory"]
fn child_writes_a_million_bounds() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let journal = fresh(&child_dir()).await;
        let mut reader = journal.reader().await.unwrap();
        let start = peak_kb();
        for block in 0..500 {
            let items = (block * 2_000..(block + 1) * 2_000).map(|no| Beside::Bounds {
                chunk: chunk(1, no),
                range: Range {
                    lo: bound(i64::from(no)),
                    hi: bound(i64::from(no) + 1),
                },
            });
            journal.append(beside(items.collect())).await.unwrap();
        }
        let last = reader.bounds_last(TableId(1)).await.unwrap().unwrap();
        assert_eq!(last.0, 999_999);
        let middle = reader.bounds(chunk(1, 500_000)).await.unwrap().unwrap();
        assert_eq!(middle.lo, bound(500_000));
        let grown = peak_kb() - start;
        assert!(grown < 24_000, "memory grew by {grown} kB");
    });
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
