//! What is put aside comes back as it was; what can't be put aside or come back says so.

use super::*;
use crate::domain::position::Position;
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<u64>().prop_map(|bits| Value::Real(f64::from_bits(bits))),
        any::<Vec<u8>>().prop_map(|b| Value::Text(b.into())),
        any::<Vec<u8>>().prop_map(|b| Value::Blob(b.into())),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    proptest::collection::vec(value(), 0..5).prop_map(Row::from)
}

fn image() -> impl Strategy<Value = Image> {
    prop_oneof![
        row().prop_map(Image::Inserted),
        row().prop_map(Image::Updated),
        row().prop_map(Image::Present),
        proptest::collection::vec(proptest::option::of(value()), 0..5)
            .prop_map(|cells| Image::Partial(cells.into())),
        Just(Image::Gone),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let key = proptest::collection::vec(value(), 0..3);
    (0..3_u16, key, image()).prop_map(|(table, key, image)| Change {
        table: TableId(table),
        key: Key::normal(key, &[]),
        image,
    })
}

const HEAD: Head = Head {
    position: Position(9),
    xid: None,
    own: false,
};

fn all(txn: &Txn) -> Vec<Change> {
    let pieces: Result<Vec<_>> = txn.pieces().collect();
    pieces.unwrap().iter().flat_map(|p| p.to_vec()).collect()
}

fn numbered(n: i64, bytes: usize) -> Change {
    Change {
        table: TableId(0),
        key: Key::normal([Value::Integer(n)], &[]),
        image: Image::Inserted([Value::Integer(n), Value::text(&"x".repeat(bytes))].into()),
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        changes in proptest::collection::vec(change(), 0..40),
        emptied in proptest::option::of((0..40_usize, 0..3_u16)),
        keep in 0..3_000_u64,
        piece in 0..2_000_u64,
    ) {
        let spill = Spill::default().sized(keep, piece);
        let mut gathered = Gathered::new(&spill);
        let mut kept = Vec::new();
        for (n, change) in changes.into_iter().enumerate() {
            if let Some((at, table)) = emptied && at == n {
                gathered.forget(TableId(table));
                kept.retain(|change: &Change| change.table.0 != table);
            }
            kept.push(change.clone());
            gathered.push(change).unwrap();
        }
        prop_assert_eq!(gathered.is_empty(), kept.is_empty());
        let txn = gathered.txn(HEAD).unwrap();
        prop_assert_eq!(txn.count(), kept.len() as u64);
        prop_assert_eq!(txn.tables(), kept.iter().map(|change| change.table).collect());
        prop_assert_eq!(all(&txn), kept.clone());
        prop_assert_eq!(all(&txn), kept, "once more, and from the beginning");
    }

    #[test]
    fn nothing_else_is_taken_for_a_change(bytes in any::<Vec<u8>>()) {
        // It may be one; it must not be the end of the program.
        if let Some(change) = decode(&bytes) {
            let mut again = Vec::new();
            encode(&change, &mut again);
            prop_assert_eq!(decode(&again), Some(change));
        }
    }
}

#[test]
fn a_small_transaction_has_no_file_and_a_large_one_weighs_no_more_than_it_may() {
    let mut gathered = Gathered::new(&Spill::default());
    gathered.push(numbered(1, 100)).unwrap();
    assert!(gathered.txn(HEAD).unwrap().overflow.is_none());

    let mut gathered = Gathered::new(&Spill::default());
    for n in 0..20_000 {
        gathered.push(numbered(n, 1_000)).unwrap();
    }
    let txn = gathered.txn(HEAD).unwrap();
    let more = txn.overflow.clone().unwrap();
    assert!(txn.changes.is_empty() && txn.weight() < KEEP + 1_000);
    assert!(more.length() > 20_000_000, "it is all there");
    let mut at = 0;
    for piece in txn.pieces() {
        let piece = piece.unwrap();
        let weight: u64 = piece.iter().map(Change::weight).sum();
        assert!(weight < PIECE + 2_000, "{weight}");
        for change in piece.iter() {
            assert_eq!(*change, numbered(at, 1_000));
            at += 1;
        }
    }
    assert_eq!(at, 20_000);
}

#[test]
fn a_row_larger_than_any_block_survives() {
    let mut gathered = Gathered::new(&Spill::default().sized(0, 1));
    let changes = [1, 3 << 20, 5, 200_000].map(|bytes| numbered(7, bytes));
    for change in &changes {
        gathered.push(change.clone()).unwrap();
    }
    assert_eq!(all(&gathered.txn(HEAD).unwrap()), changes);
}

#[test]
fn the_file_has_no_name_and_is_its_owners() {
    let dir = tempfile::tempdir().unwrap();
    let file = Spill::into_folder(dir.path()).begin().unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let mode = file.file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A folder that is not made yet is no reason to fail.
    Spill::into_folder(dir.path().join("later"))
        .begin()
        .unwrap();
}

#[test]
fn a_full_disk_has_its_name() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else {
        println!("not tested: a full disk, because there is no /dev/full here");
        return;
    };
    let mut file = Spill::default().begin().unwrap();
    file.file = full;
    let pushed = (0..100).try_for_each(|n| file.push(&numbered(n, 2_000)));
    let fault = pushed.unwrap_err();
    assert_eq!((fault.kind, &*fault.code), (Kind::Blocked, FULL));
}

#[test]
fn a_file_that_is_cut_short_is_never_half_a_transaction_in_silence() {
    let mut file = Spill::default().begin().unwrap();
    for n in 0..1_000 {
        file.push(&numbered(n, 1_000)).unwrap();
    }
    let file = file.finish().unwrap();
    file.file.set_len(500_000).unwrap();
    let last = file.pieces().last().unwrap();
    let fault = last.unwrap_err();
    assert_eq!((fault.kind, &*fault.code), (Kind::Transient, FAILED));
}
