//! What preflight says: each with a code, evidence and a remedy.

use crate::bed::{Bed, plan};
use rusqlite::Connection;
use tidegate::db::sqlite;
use tidegate::domain::finding::{Finding, Stage};
use tidegate::domain::plan::{Plan, Prune, Side};

async fn source_of(schema: &str, pragmas: &str) -> Vec<Finding> {
    let bed = Bed::with(schema, pragmas).await;
    let found = bed.source.findings(&bed.plan).await.unwrap();
    for finding in &found {
        assert_eq!(finding.side, Some(Side::Source));
        assert!(
            !finding.what.is_empty() && !finding.remedy.is_empty(),
            "{finding:?}"
        );
    }
    found
}

fn one<'a>(found: &'a [Finding], code: &str, stage: Stage) -> &'a Finding {
    let mut with = found.iter().filter(|finding| finding.code == code);
    let first = with
        .next()
        .unwrap_or_else(|| panic!("no {code} in {found:#?}"));
    assert_eq!(with.next(), None);
    assert_eq!(first.stage, stage);
    assert!(!first.evidence.is_empty(), "{first:?}");
    first
}

fn codes(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.code.as_str()).collect()
}

const WAL: &str = "PRAGMA journal_mode = WAL";

#[tokio::test]
async fn a_plain_source_has_nothing_but_what_is_good_to_know() {
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE); CREATE INDEX i ON t(v); CREATE VIEW w AS SELECT * FROM t";
    assert_eq!(codes(&source_of(schema, WAL).await), ["BUSY-TIMEOUT"]);
    let bed = Bed::new(schema).await;
    let at_end = Plan {
        prune: Prune::AtEnd,
        ..(*bed.plan).clone()
    };
    assert_eq!(bed.source.findings(&at_end).await.unwrap(), []);
}

#[tokio::test]
async fn a_source_is_told_what_stands_against_it() {
    let found = source_of(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE stays(x REFERENCES child);
         CREATE TABLE child(k TEXT PRIMARY KEY, p REFERENCES parent, q REFERENCES stays, e TEXT);
         CREATE TRIGGER t AFTER INSERT ON child BEGIN INSERT INTO stays VALUES (1); END;
         CREATE VIRTUAL TABLE words USING fts5(body);
         CREATE TRIGGER u AFTER INSERT ON parent BEGIN INSERT INTO words VALUES ('x'); END;",
        "PRAGMA journal_mode = TRUNCATE",
    )
    .await;
    assert_eq!(
        one(&found, "NOT-WAL", Stage::KnowBefore).sql,
        ["PRAGMA journal_mode = WAL"]
    );
    assert!(
        one(&found, "KEY-NULLABLE", Stage::KnowBefore)
            .evidence
            .contains('k')
    );
    assert!(
        one(&found, "ROWID-NOT-KEPT", Stage::KnowBefore)
            .evidence
            .contains("child")
    );
    let ties: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == "FOREIGN-KEY-TIE")
        .collect();
    assert_eq!(
        ties.iter().map(|tie| tie.stage).collect::<Vec<_>>(),
        [Stage::BlocksCutover, Stage::KnowBefore]
    );
    let ties: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == "TRIGGER-TIE")
        .collect();
    assert_eq!(
        ties.iter()
            .map(|tie| tie.evidence.as_str())
            .collect::<Vec<_>>(),
        ["trigger t names stays", "trigger u names words"]
    );
}

#[tokio::test]
async fn what_can_not_be_captured_blocks_the_copy() {
    let found = source_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE UNIQUE INDEX u ON t(v + id)",
        WAL,
    )
    .await;
    let refused = found
        .iter()
        .find(|finding| finding.code == "UNIQUE-FROM-ROWID")
        .unwrap();
    assert_eq!(
        (refused.stage, refused.table.as_deref()),
        (Stage::BlocksCopy, Some("t"))
    );
}

#[tokio::test]
async fn what_only_the_application_can_make_is_found_by_trying() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("source.db");
    let app = Connection::open(&path).unwrap();
    app.execute_batch(WAL).unwrap();
    let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC
        | rusqlite::functions::FunctionFlags::SQLITE_UTF8;
    app.create_scalar_function("own", 1, flags, |_| Ok(1))
        .unwrap();
    app.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE w(id INTEGER PRIMARY KEY, v, g AS (own(v)));
         CREATE INDEX by_own ON t(own(v))",
    )
    .unwrap();
    let source = sqlite::open(&path, Side::Source).await.unwrap();
    let plan = plan(&dir, &*source).await;
    let found = source.findings(&plan).await.unwrap();
    let made: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == "SCHEMA-NOT-BUILDABLE")
        .map(|finding| (finding.table.as_deref().unwrap(), finding.stage))
        .collect();
    assert_eq!(
        made,
        [("t", Stage::BlocksCutover), ("w", Stage::BlocksCopy)]
    );
}

async fn target_of(source: &str, target: &str) -> Vec<Finding> {
    let bed = Bed::new(source).await;
    let there = Connection::open(bed.path("target.db")).unwrap();
    there.execute_batch(target).unwrap();
    let end = sqlite::open(bed.path("target.db"), Side::Target)
        .await
        .unwrap();
    let found = end.findings(&bed.plan).await.unwrap();
    assert!(
        found
            .iter()
            .all(|finding| finding.side == Some(Side::Target))
    );
    found
}

#[tokio::test]
async fn a_target_that_would_change_values_is_refused() {
    let source = "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, i INT, x)";
    assert_eq!(
        codes(&target_of(source, &format!("{WAL}; {source}")).await),
        Vec::<&str>::new()
    );
    let wide =
        "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, i BIGINT, x, extra DEFAULT 1)";
    let found = target_of(source, wide).await;
    one(&found, "TARGET-TO-WAL", Stage::KnowBefore);
    one(&found, "TARGET-EXTRA-COLUMNS", Stage::KnowBefore);
    assert_eq!(
        found.len(),
        2,
        "BIGINT and INT are one affinity: {found:#?}"
    );
    let found = target_of(
        source,
        "CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL, i TEXT, x AS (1), extra NOT NULL)",
    )
    .await;
    let types = one(&found, "TARGET-TYPES", Stage::BlocksCopy);
    assert!(
        types.evidence.contains("i: INT on the source, TEXT")
            && types.evidence.contains("x: computed"),
        "{types:?}"
    );
    one(&found, "TARGET-COLLATION", Stage::BlocksCopy);
    one(&found, "TARGET-EXTRA-COLUMNS", Stage::BlocksCopy);
    let found = target_of(
        source,
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE other(a)",
    )
    .await;
    one(&found, "ENCODING-DIFFERS", Stage::BlocksCopy);
}

#[tokio::test]
async fn a_target_that_is_not_there_needs_its_directory() {
    let bed = Bed::new("CREATE TABLE t(id INTEGER PRIMARY KEY)").await;
    assert_eq!(bed.target.findings(&bed.plan).await.unwrap(), []);
    let nowhere = sqlite::open(bed.path("no/such/target.db"), Side::Target)
        .await
        .unwrap();
    one(
        &nowhere.findings(&bed.plan).await.unwrap(),
        "NO-DIRECTORY",
        Stage::BlocksCopy,
    );
    assert!(
        nowhere
            .install(tidegate::db::Part::Ledger, &bed.plan)
            .await
            .settled()
            .is_err()
    );
}
