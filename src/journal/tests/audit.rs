//! Forgers: what the hash chain shows of edits, cuts and rewrites, and what only an anchor shows.

use super::*;
use crate::domain::id::Seq;
use crate::journal::chain::{Anchor, Verdict, audit};
use crate::journal::record::Record;
use crate::journal::{Reader, chain, record};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::path::PathBuf;

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap()
}

pub(super) async fn tamper(path: &Path, sql: &str) {
    let mut conn = raw(path).await;
    conn.execute(sql).await.unwrap();
    conn.close().await.unwrap();
}

/// A journal of twelve records, its head, and where to put copies.
async fn sample() -> (tempfile::TempDir, PathBuf, Anchor) {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    for i in 1..=12 {
        journal
            .append(vec![note(format!("fact {i}"))])
            .await
            .unwrap();
    }
    let path = journal.path().to_owned();
    let head = journal.reader().await.unwrap().head().await.unwrap();
    journal.close().await.unwrap();
    (root, path, head)
}

#[tokio::test]
async fn edits_cuts_moves_and_rewrites_are_told_apart() {
    let (root, path, head) = sample().await;
    let altered = |n| Verdict::Altered { seq: Seq(n) };
    let missing = |first, last| Verdict::Missing {
        first: Seq(first),
        last: Seq(last),
    };
    let swap = "UPDATE record SET seq = -1 WHERE seq = 5; UPDATE record SET seq = 5 WHERE seq = 9;
                UPDATE record SET seq = 9 WHERE seq = -1";
    let cases: &[(&str, u64, Verdict)] = &[
        ("SELECT 1", 12, Verdict::Intact { anchored: Seq(12) }),
        (
            "UPDATE record SET body = replace(body, 'fact 7', 'fact 8') WHERE seq = 7",
            6,
            altered(7),
        ),
        ("UPDATE record SET at = at + 1 WHERE seq = 1", 0, altered(1)),
        ("UPDATE record SET tick = 5 WHERE seq = 12", 11, altered(12)),
        (
            "UPDATE record SET session = NULL, command = NULL WHERE seq = 3",
            2,
            altered(3),
        ),
        ("UPDATE record SET command = 8 WHERE seq = 3", 2, altered(3)),
        (
            "UPDATE record SET hash = zeroblob(32) WHERE seq = 4",
            3,
            altered(4),
        ),
        (
            "UPDATE record SET prev = x'00' WHERE seq = 4",
            3,
            altered(4),
        ),
        ("DELETE FROM record WHERE seq = 1", 0, missing(1, 1)),
        ("DELETE FROM record WHERE seq IN (5, 6)", 4, missing(5, 6)),
        (
            "DELETE FROM record WHERE seq > 9",
            9,
            Verdict::TailMissing {
                first: Seq(10),
                last: Seq(12),
            },
        ),
        (
            "DELETE FROM record",
            0,
            Verdict::TailMissing {
                first: Seq(1),
                last: Seq(12),
            },
        ),
        (
            swap,
            4,
            Verdict::Moved {
                seq: Seq(5),
                found: Seq(9),
            },
        ),
        // Taken out, and the gap closed: what now lies at 5 never did.
        (
            "DELETE FROM record WHERE seq = 5; UPDATE record SET seq = -seq WHERE seq > 5;
             UPDATE record SET seq = -seq - 1 WHERE seq < 0",
            4,
            altered(5),
        ),
    ];
    for (i, (sql, reach, verdict)) in cases.iter().enumerate() {
        let copy = root.path().join(format!("{i}.journal"));
        std::fs::copy(&path, &copy).unwrap();
        tamper(&copy, sql).await;
        let report = audit(&copy, Some(head)).await.unwrap();
        assert_eq!(&report.verdict, verdict, "{sql}");
        assert_eq!(report.head.seq, Seq(*reach), "{sql}");
        assert_eq!(report.verdict.holds(), i == 0);
    }
}

/// Hashes everything from `from` on again, as somebody would who knows how.
async fn forge(path: &Path, from: u64, upto: u64) {
    let mut conn = raw(path).await;
    let mut rows = Record::last(&mut conn, 100).await.unwrap();
    rows.reverse();
    let mut head = Anchor::START;
    let mut kept = Vec::new();
    for (seq, _, hash, record) in rows {
        if seq < from {
            head = Anchor {
                seq: Seq(seq),
                hash: chain::Hash::from_slice(&hash).unwrap(),
            };
        } else if seq <= upto {
            kept.push(record);
        }
    }
    conn.execute(format!("DELETE FROM record WHERE seq BETWEEN {from} AND {upto}").as_str())
        .await
        .unwrap();
    record::insert(&mut conn, head, kept).await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn only_an_anchor_shows_a_chain_that_was_hashed_again() {
    let (_root, path, head) = sample().await;
    let edit = "UPDATE record SET body = replace(body, 'fact 7', 'fact 0') WHERE seq = 7";
    tamper(&path, edit).await;
    forge(&path, 7, 7).await;
    let report = audit(&path, Some(head)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Severed { seq: Seq(8) });

    forge(&path, 7, 12).await;
    let report = audit(&path, None).await.unwrap();
    assert_eq!(report.verdict, Verdict::NotAnchored);
    assert!(report.verdict.holds() && report.verdict.to_string().contains("not anchored"));
    let report = audit(&path, Some(head)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Rewritten { seq: Seq(12) });
    // An anchor from before the forgery vouches only up to itself.
    let early = {
        let mut conn = raw(&path).await;
        let rows = Record::last(&mut conn, 100).await.unwrap();
        let (seq, _, hash, _) = rows.iter().find(|r| r.0 == 6).unwrap();
        Anchor {
            seq: Seq(*seq),
            hash: chain::Hash::from_slice(hash).unwrap(),
        }
    };
    let report = audit(&path, Some(early)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Intact { anchored: Seq(6) });
}

#[tokio::test]
async fn an_empty_journal_is_not_a_pass_and_a_damaged_file_is_a_fault() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let path = journal.path().to_owned();
    journal.close().await.unwrap();
    let report = audit(&path, None).await.unwrap();
    assert_eq!(report.verdict, Verdict::Empty);
    assert!(!report.verdict.holds());

    let (_root, path, _) = sample().await;
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(
        audit(&path, None).await.unwrap_err().code,
        "JOURNAL-UNREADABLE"
    );
}

#[tokio::test]
async fn a_live_journal_is_audited_while_it_is_written() {
    let root = tempfile::tempdir().unwrap();
    let journal = fresh(root.path()).await;
    let mut reader = journal.reader().await.unwrap();
    for i in 0..30 {
        journal.append(vec![note(format!("{i}"))]).await.unwrap();
        let head = reader.head().await.unwrap();
        let report = audit(journal.path(), Some(head)).await.unwrap();
        assert_eq!(report.verdict, Verdict::Intact { anchored: head.seq });
        assert_eq!(report.records, i + 1);
    }
    let copy = root.path().join("copy.journal");
    reader.export(&copy).await.unwrap();
    let head = reader.head().await.unwrap();
    let copied = Reader::open(&copy).await.unwrap().head().await.unwrap();
    assert_eq!(copied, head);
    assert!(audit(&copy, Some(head)).await.unwrap().verdict.holds());
}

#[test]
fn an_anchor_is_written_by_hand() {
    let text = format!("42:{}", "0f".repeat(32));
    let anchor: Anchor = text.parse().unwrap();
    assert_eq!(anchor.seq, Seq(42));
    assert_eq!(anchor.to_string(), text);
    let json = serde_json::to_string(&anchor).unwrap();
    assert_eq!(serde_json::from_str::<Anchor>(&json).unwrap(), anchor);
    for bad in ["", "42", "x:00", "42:0f", &text[..text.len() - 1], "-1:00"] {
        assert!(bad.parse::<Anchor>().is_err(), "{bad}");
    }
}
