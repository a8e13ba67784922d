//! What goes wrong is told in one sentence, with its cause and what to try.

use crate::bed::Bed;
use rusqlite::Connection;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use tidegate::db::{ChunkMark, Landing, Part, Sizes, sqlite};
use tidegate::domain::fault::{Fault, Kind, Outcome};
use tidegate::domain::id::{ChunkId, MigrationName, TableId};
use tidegate::domain::key::{Bound, Range};
use tidegate::domain::plan::{Plan, Side};
use tidegate::domain::position::Position;
use tidegate::domain::unit::Rows;
use tidegate::domain::value::Value;

async fn refused(path: impl Into<std::path::PathBuf>, side: Side, kind: Kind, code: &str) -> Fault {
    let Err(fault) = sqlite::open(path, side).await else {
        panic!("it opens")
    };
    assert_eq!((fault.kind, fault.code.as_str()), (kind, code), "{fault:?}");
    assert!(
        fault.what.contains(side.label()) && fault.hint.is_some(),
        "{fault:?}"
    );
    fault
}

#[tokio::test]
async fn what_is_no_database_is_said_to_be_none() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing.db");
    refused(&missing, Side::Source, Kind::Blocked, "NO-DATABASE").await;
    assert!(!missing.exists(), "a source is never created");
    refused(dir.path(), Side::Source, Kind::Usage, "NOT-A-DATABASE").await;
    refused(dir.path(), Side::Target, Kind::Usage, "NOT-A-DATABASE").await;
    let text = dir.path().join("notes.txt");
    std::fs::write(
        &text,
        "not a database, only some words that are long enough".repeat(40),
    )
    .unwrap();
    refused(&text, Side::Source, Kind::Blocked, "NOT-A-DATABASE").await;
    let broken = dir.path().join("broken.db");
    let conn = Connection::open(&broken).unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    drop(conn);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&broken)
        .unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(100)).unwrap();
    file.write_all(&[0xff; 400]).unwrap();
    drop(file);
    refused(&broken, Side::Source, Kind::Blocked, "DATABASE-CORRUPT").await;
}

#[tokio::test]
async fn what_may_not_be_read_or_written_is_told() {
    if nix::unistd::geteuid().is_root() {
        // Root reads and writes what it likes: the case below can't be made.
        return;
    }
    let bed = Bed::new("CREATE TABLE t(id INTEGER PRIMARY KEY)").await;
    let path = bed.path("source.db");
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o444);
    let found = bed.source.findings(&bed.plan).await.unwrap();
    assert!(found.iter().any(|finding| finding.code == "NOT-WRITABLE"));
    mode(0o000);
    refused(path.clone(), Side::Source, Kind::Blocked, "CANNOT-OPEN").await;
}

#[tokio::test]
async fn looking_makes_nothing() {
    let bed =
        Bed::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 2)").await;
    bed.app
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let before = std::fs::read(bed.path("source.db")).unwrap();
    for end in [&bed.source, &bed.target] {
        end.survey(Sizes::Told).await.unwrap();
        end.findings(&bed.plan).await.unwrap();
        end.leftovers().await.unwrap();
        end.pulse(&bed.plan).await.unwrap();
        end.gate(&bed.plan).await.unwrap().read().await.unwrap();
    }
    for part in [Part::Capture, Part::Ledger, Part::Gate] {
        bed.source.objects(part, &bed.plan).await.unwrap();
    }
    for part in [Part::Ledger, Part::Gate] {
        bed.target.objects(part, &bed.plan).await.unwrap();
    }
    bed.target
        .remove(&[Part::Ledger], None)
        .await
        .settled()
        .unwrap();
    assert_eq!(std::fs::read(bed.path("source.db")).unwrap(), before);
    assert_eq!(
        std::fs::metadata(bed.path("source.db-wal")).unwrap().len(),
        0,
        "nothing was written"
    );
    assert!(!bed.path("target.db").exists());
    assert!(bed.target.writer(&bed.plan).await.is_err());
    assert!(!bed.path("target.db").exists());
}

#[tokio::test]
async fn a_ledger_is_one_migrations() {
    let (bed, writer) = Bed::installed("CREATE TABLE t(id INTEGER PRIMARY KEY)").await;
    let other = Plan {
        name: MigrationName::new("other").unwrap(),
        ..(*bed.plan).clone()
    };
    let Outcome::NotDone(fault) = bed.target.install(Part::Ledger, &other).await else {
        panic!("it is taken")
    };
    assert_eq!(fault.code, "OTHER-MIGRATION");
    assert!(fault.what.contains("\"test\""), "{fault}");
    assert!(bed.target.writer(&other.clone().into()).await.is_err());
    let found = bed.target.findings(&other).await.unwrap();
    assert!(
        found
            .iter()
            .any(|finding| finding.code == "OTHER-MIGRATION"),
        "{found:?}"
    );
    writer.ledger().await.unwrap();
}

#[tokio::test]
async fn a_landed_chunk_keeps_its_bounds_and_the_stream_its_beginning() {
    let (bed, writer) = Bed::installed("CREATE TABLE t(id INTEGER PRIMARY KEY)").await;
    let at = writer.ledger().await.unwrap().applied;
    writer.begin_at(Position(at.0 + 1)).await.settled().unwrap();
    writer.begin_at(at).await.settled().unwrap();
    let table = TableId(0);
    let land = |hi: Option<i64>| {
        let range = Range {
            lo: None,
            hi: hi.map(|n| Bound([Value::Integer(n)].into())),
        };
        let mark = ChunkMark {
            chunk: ChunkId { table, no: 0 },
            range,
            rows: Rows(0),
        };
        writer.land(Landing {
            table,
            mark: Some(mark),
            ..Landing::default()
        })
    };
    land(Some(5)).await.settled().unwrap();
    land(Some(5)).await.settled().unwrap();
    for other in [Some(6), None] {
        let Outcome::NotDone(fault) = land(other).await else {
            panic!("a chunk is never split or merged")
        };
        assert_eq!(fault.code, "CHUNK-DIFFERS");
    }
    let Outcome::NotDone(fault) = writer.begin_at(Position(at.0 + 9)).await else {
        panic!("rows have landed")
    };
    assert_eq!(fault.code, "ALREADY-LANDED");
    writer.begin_at(at).await.settled().unwrap();
    assert_eq!(bed.target.leftovers().await.unwrap().len(), 2);
}
