//! Every kind of damage, as the independent compare sees it.

use super::*;
use crate::demo::{
    compare::{Comparison, compare},
    shop,
};

const STORY: Corruption = Corruption {
    missing: 1,
    changed: 1,
    swapped_pairs: 1,
    extra: 1,
};

struct Pair {
    _dir: tempfile::TempDir,
    source: std::path::PathBuf,
    target: std::path::PathBuf,
}

fn pair(rows: u64) -> Pair {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (
        dir.path().join("shop-old.db"),
        dir.path().join("shop-new.db"),
    );
    shop::build(&source, rows, 7).unwrap();
    Connection::open(&source)
        .unwrap()
        .execute("VACUUM INTO ?1", [target.to_str().unwrap()])
        .unwrap();
    Pair {
        _dir: dir,
        source,
        target,
    }
}

fn compared(pair: &Pair) -> Comparison {
    compare(&pair.source, &pair.target, &[]).unwrap()
}

#[test]
fn every_table_can_be_damaged_and_exactly_so_many_rows_differ() {
    let how = Corruption {
        missing: 3,
        changed: 4,
        swapped_pairs: 2,
        extra: 2,
    };
    for table in shop::TABLES.iter().filter(|t| **t != "activity") {
        let pair = pair(4_000);
        let deeds = corrupt(&pair.target, table, how, 11).unwrap();
        assert_eq!(deeds.len(), 11, "{table}");
        let all = compared(&pair);
        let found = all.table(table).unwrap();
        assert_eq!(
            (found.missing, found.extra, found.changed),
            (3, 2, 8),
            "{all}\n{deeds:?}"
        );
        assert_eq!(found.differ(), how.rows());
        assert_eq!(all.differ(), how.rows(), "no other table is touched");
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let (a, b, c) = (pair(4_000), pair(4_000), pair(4_000));
    let did = |p: &Pair, seed| corrupt(&p.target, "orders", STORY, seed).unwrap();
    assert_eq!(did(&a, 7), did(&b, 7));
    assert_ne!(did(&c, 8), did(&a, 8), "the second time finds other rows");
}

#[test]
fn a_crc_xor_checksum_does_not_see_the_swap() {
    let pair = pair(10_000);
    let swap = Corruption {
        swapped_pairs: 1,
        ..Default::default()
    };
    let deeds = corrupt(&pair.target, "orders", swap, 7).unwrap();
    let Deed::Swapped { values, column, .. } = &deeds[0] else {
        panic!("{deeds:?}")
    };
    assert_ne!(values[0], values[1]);
    assert_eq!(column, "total_cents", "money first");
    let checksum = |path: &Path| {
        let db = Connection::open(path).unwrap();
        let mut rows = db
            .prepare(
                "SELECT concat_ws('#', id, customer_id, status, placed_at, total_cents, shipping_cents, remark, remark IS NULL) FROM orders",
            )
            .unwrap();
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.fold(0, |sum, row| sum ^ crc32(row.unwrap().as_bytes()))
    };
    assert_eq!(checksum(&pair.source), checksum(&pair.target));
    assert_eq!(
        compared(&pair).table("orders").unwrap().changed,
        2,
        "the independent compare does"
    );
    let change = Corruption {
        changed: 1,
        ..Default::default()
    };
    corrupt(&pair.target, "orders", change, 7).unwrap();
    assert_ne!(
        checksum(&pair.source),
        checksum(&pair.target),
        "the checksum of this test can fail"
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn the_guard_of_this_table_goes_and_stays_gone() {
    let pair = pair(1_000);
    let db = Connection::open(&pair.target).unwrap();
    db.execute_batch(
        "CREATE TRIGGER tidegate_guard_orders_update BEFORE UPDATE ON orders BEGIN SELECT raise(ABORT, 'guarded'); END;
         CREATE TRIGGER tidegate_guard_orders_delete BEFORE DELETE ON orders BEGIN SELECT raise(ABORT, 'guarded'); END;
         CREATE TRIGGER tidegate_guard_products_update BEFORE UPDATE ON products BEGIN SELECT raise(ABORT, 'guarded'); END;",
    )
    .unwrap();
    assert!(db.execute("UPDATE orders SET remark = 'x'", []).is_err());
    let deeds = corrupt(&pair.target, "orders", STORY, 7).unwrap();
    assert_eq!(
        deeds
            .iter()
            .filter(|d| matches!(d, Deed::GuardDropped { .. }))
            .count(),
        2
    );
    assert_eq!(
        deeds[0].to_string(),
        "trigger tidegate_guard_orders_delete dropped"
    );
    let left: String = db
        .query_row(
            "SELECT group_concat(name) FROM sqlite_schema WHERE name LIKE 'tidegate%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, "tidegate_guard_products_update");
    assert_eq!(
        drop_guard(&pair.target, "products").unwrap(),
        ["tidegate_guard_products_update"]
    );
    assert!(drop_guard(&pair.target, "products").unwrap().is_empty());
}

#[test]
fn too_much_is_refused_and_nothing_done() {
    let pair = pair(1_000);
    assert!(
        corrupt(&pair.target, "nope", STORY, 7)
            .unwrap_err()
            .to_string()
            .contains("no table nope")
    );
    let all = Corruption {
        missing: 1_000,
        ..Default::default()
    };
    assert!(corrupt(&pair.target, "orders", all, 7).is_err());
    assert!(compared(&pair).equal());
}
