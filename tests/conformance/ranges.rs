//! Chunks: bounds, ranges, budgets, by the database's own order, over every kind of key.

use crate::ground::{Ground, Pair, Spec, int, rows, text};
use std::collections::HashSet;
use std::sync::Arc;
use tidegate::db::across::{self, Holds};
use tidegate::db::{Landing, View, canon};
use tidegate::domain::bulk::Bulk;
use tidegate::domain::fault::Kind;
use tidegate::domain::id::TableId;
use tidegate::domain::key::{Bound, Collation, Key, Pick, Range};
use tidegate::domain::packed::Cell;
use tidegate::domain::plan::Side;
use tidegate::domain::unit::{Bytes, Rows};
use tidegate::domain::value::{Row, Value};

const KINDS: [Spec; 6] = [
    Spec {
        name: "by_integer",
        columns: &[("k", "INTEGER"), ("v", "")],
        key: &[0],
        collations: &[Collation::Binary],
        unique: &[],
        clustered: false,
    },
    Spec {
        name: "by_text",
        columns: &[("v", ""), ("k", "TEXT")],
        key: &[1],
        collations: &[Collation::Binary],
        unique: &[],
        clustered: true,
    },
    Spec {
        name: "by_letters",
        columns: &[("k", "TEXT"), ("v", "")],
        key: &[0],
        collations: &[Collation::Nocase],
        unique: &[],
        clustered: false,
    },
    Spec {
        name: "by_padded",
        columns: &[("k", "TEXT"), ("v", "")],
        key: &[0],
        collations: &[Collation::Rtrim],
        unique: &[],
        clustered: true,
    },
    Spec {
        name: "by_anything",
        columns: &[("k", ""), ("v", "")],
        key: &[0],
        collations: &[Collation::Binary],
        unique: &[],
        clustered: false,
    },
    Spec {
        name: "by_three",
        columns: &[("a", "TEXT"), ("v", ""), ("b", "INTEGER"), ("c", "")],
        key: &[0, 2, 3],
        collations: &[Collation::Nocase, Collation::Binary, Collation::Binary],
        unique: &[],
        clustered: true,
    },
];

fn mixed(chance: &mut fastrand::Rng) -> Value {
    match chance.u8(0..6) {
        0 => int(chance.i64(-50..50)),
        1 => Value::Real(chance.i64(-50..50) as f64 + 0.5),
        2 => Value::Real(f64::from(chance.i32(-40..40))),
        3 => text(&word(chance)),
        4 => Value::Text([0xff, chance.u8(..), 0x00, b'x'].into()),
        _ => Value::Blob((0..chance.usize(0..4)).map(|_| chance.u8(..)).collect()),
    }
}

fn word(chance: &mut fastrand::Rng) -> String {
    let letters = ['a', 'A', 'b', 'B', 'ä', 'Z', 'z', '0', '_', '[', 'é'];
    (0..chance.usize(0..4))
        .map(|_| letters[chance.usize(..letters.len())])
        .collect()
}

/// What a column that holds only text takes instead.
fn as_text(value: Value) -> Value {
    match value {
        Value::Text(bytes) => text(&String::from_utf8_lossy(&bytes).replace('\0', "")),
        other => text(&other.to_string()),
    }
}

fn row(kind: usize, n: i64, chance: &mut fastrand::Rng, typed: bool) -> Row {
    let mixed = |chance: &mut fastrand::Rng| {
        let value = mixed(chance);
        if typed { as_text(value) } else { value }
    };
    match kind {
        0 => [
            if n == 0 {
                int(i64::MIN)
            } else {
                int(chance.i64(-400..400))
            },
            int(n),
        ]
        .into(),
        1 => [int(n), text(&word(chance))].into(),
        2 => [text(&word(chance)), int(n)].into(),
        3 => [
            text(&format!(
                "{}{}",
                word(chance),
                " ".repeat(chance.usize(0..3))
            )),
            int(n),
        ]
        .into(),
        4 => [mixed(chance), int(n)].into(),
        _ => [
            text(&word(chance)),
            int(n),
            int(chance.i64(0..3)),
            mixed(chance),
        ]
        .into(),
    }
}

async fn filled(ground: &impl Ground) -> Pair {
    let pair = ground.pair(&KINDS).await;
    let mut chance = fastrand::Rng::with_seed(7);
    for (kind, id) in (0..KINDS.len()).zip(0..) {
        pair.put((0..300).map(|n| {
            (
                TableId(id),
                row(kind, n, &mut chance, ground.habits().typed),
            )
        }));
    }
    pair
}

fn ids() -> impl Iterator<Item = TableId> {
    (0..KINDS.len() as u16).map(TableId)
}

async fn chunks(view: &mut dyn View, id: TableId, size: u64) -> Vec<Range> {
    let mut chunks = Vec::new();
    let mut lo: Option<Bound> = None;
    while let Some(hi) = view.bound(id, lo.as_ref(), Rows(size)).await.unwrap() {
        chunks.push(Range {
            lo: lo.take(),
            hi: Some(hi.clone()),
        });
        lo = Some(hi);
    }
    chunks.push(Range { lo, hi: None });
    chunks
}

async fn read(view: &mut dyn View, id: TableId, range: &Range) -> Vec<Row> {
    view.rows(id, &Pick::Range(range.clone()), Bytes(u64::MAX))
        .await
        .unwrap()
        .rows
        .iter()
        .collect()
}

pub async fn chunks_partition_every_kind_of_key(ground: &impl Ground) {
    let pair = filled(ground).await;
    let mut view = pair.view(Side::Source).await;
    for id in ids() {
        let all = rows(&mut *view, id).await;
        let distinct: HashSet<Key> = all.iter().map(|row| pair.key(id, row)).collect();
        assert_eq!(
            distinct.len(),
            all.len(),
            "the keys of {} are normalised to be distinct",
            pair.table(id).source
        );
        assert!(all.len() > 20, "{}", pair.table(id).source);
        for size in [1, 7, 50, 1000] {
            let chunks = chunks(&mut *view, id, size).await;
            let mut joined = Vec::new();
            for (no, chunk) in chunks.iter().enumerate() {
                let found = read(&mut *view, id, chunk).await;
                assert!(
                    no + 1 == chunks.len() || found.len() as u64 == size,
                    "{} of {size}",
                    found.len()
                );
                if let Some(lo) = &chunk.lo {
                    assert_eq!(
                        pair.table(id).bound_of(&found[0]),
                        *lo,
                        "a chunk begins with its bound"
                    );
                }
                joined.extend(found);
            }
            assert_eq!(joined, all, "{} in chunks of {size}", pair.table(id).source);
        }
        assert_eq!(
            view.bound(id, None, Rows(all.len() as u64)).await.unwrap(),
            None
        );
        assert!(
            view.bound(id, None, Rows(all.len() as u64 - 1))
                .await
                .unwrap()
                .is_some()
        );
    }
}

pub async fn a_budget_cuts_where_it_says(ground: &impl Ground) {
    let pair = filled(ground).await;
    let mut view = pair.view(Side::Source).await;
    for id in ids() {
        let all = rows(&mut *view, id).await;
        for budget in [0, 300, 5_000] {
            let mut joined = Vec::new();
            let mut range = Range::default();
            loop {
                let read = view
                    .rows(id, &Pick::Range(range.clone()), Bytes(budget))
                    .await;
                let read = match read {
                    Err(fault) if fault.code == "READ-ENDED" => {
                        view = pair.view(Side::Source).await;
                        continue;
                    }
                    read => read.unwrap(),
                };
                assert!(!read.rows.is_empty(), "at least one row is read");
                assert!(read.rows.bytes().0 <= budget || read.rows.len() == 1);
                joined.extend(read.rows.iter());
                let Some(cut) = read.cut else { break };
                range.lo = Some(cut);
            }
            assert_eq!(joined, all);
        }
    }
}

pub async fn a_cut_near_the_end_is_one_like_any_other(ground: &impl Ground) {
    let pair = filled(ground).await;
    let id = ids().next().unwrap();
    let all = rows(&mut *pair.view(Side::Source).await, id).await;
    for round in 0..200 {
        let mut view = pair.view(Side::Source).await;
        let whole = Pick::Range(Range::default());
        let read = view.rows(id, &whole, Bytes(u64::MAX)).await.unwrap();
        let few = Bytes(read.rows.bytes().0 - 1 - round % 3);
        let read = view.rows(id, &whole, few).await.unwrap();
        assert!(read.cut.is_some() && read.rows.len() < all.len());
        match view.rows(id, &whole, Bytes(u64::MAX)).await {
            Ok(again) => assert_eq!(again.rows.iter().collect::<Vec<_>>(), all),
            Err(fault) => assert_eq!((fault.kind, &*fault.code), (Kind::Transient, "READ-ENDED")),
        }
    }
}

pub async fn chunks_end_where_the_next_begins(ground: &impl Ground) {
    let pair = filled(ground).await;
    let writer = pair.install().await;
    let mut view = pair.view(Side::Source).await;
    let sizes = [(1, u64::MAX), (7, u64::MAX), (7, 300), (100_000, 5_000)];
    for id in ids() {
        let all = rows(&mut *view, id).await;
        let keys: Vec<Key> = all.iter().map(|row| pair.key(id, row)).collect();
        for ((most, budget), sealed) in sizes.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let (mut joined, mut found, mut after) = (Vec::new(), Vec::new(), None);
            loop {
                let read = view
                    .chunk(id, after.as_ref(), Rows(most), Bytes(budget), sealed)
                    .await;
                let read = match read {
                    Err(fault) if fault.code == "READ-ENDED" => {
                        view = pair.view(Side::Source).await;
                        continue;
                    }
                    read => read.unwrap(),
                };
                assert!(!read.rows.is_empty() && read.rows.len() as u64 <= most);
                assert!(read.rows.bytes().0 <= budget || read.rows.len() == 1);
                assert!(sealed || !read.rows.is_sealed());
                if budget == u64::MAX {
                    let end = view.bound(id, after.as_ref(), Rows(most)).await.unwrap();
                    assert_eq!(read.cut, end);
                }
                let table = pair.table(id);
                found.extend((0..read.rows.len()).map(|at| table.key_in(&read.rows, at).unwrap()));
                let range = Range {
                    lo: after,
                    hi: read.cut.clone(),
                };
                let mut other = pair.view(Side::Source).await;
                let within = other.rows(id, &Pick::Range(range), Bytes(u64::MAX)).await;
                let within = within.unwrap().rows;
                assert!(read.rows.is_sealed() || within == read.rows);
                joined.extend(within.iter());
                // They land as they came, again and again.
                if let Bulk::Sealed(rows) = &read.rows {
                    assert!(writer.takes_sealed(id, rows.types()).await.unwrap());
                    assert!(!writer.takes_sealed(id, &[]).await.unwrap());
                }
                let landing = Landing {
                    table: id,
                    rows: Arc::new(read.rows),
                    ..Landing::default()
                };
                writer.land(landing).await.settled().unwrap();
                after = read.cut;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!((&joined, &found), (&all, &keys));
            let landed = rows(&mut *pair.view(Side::Target).await, id).await;
            assert_eq!(landed, all);
        }
    }
}

pub async fn what_does_not_fit_is_found_once(ground: &impl Ground) {
    let pair = filled(ground).await;
    for id in ids() {
        let mut view = pair.view(Side::Source).await;
        let all = rows(&mut *view, id).await;
        let columns = &pair.table(id).columns;
        let holding = |v: Holds, other: Holds| -> Vec<Holds> {
            let held = columns.iter().map(|column| match column.name.as_str() {
                "v" => v,
                _ => other,
            });
            held.collect()
        };
        // A third or so of the rows, none, and all of them.
        for (holds, budget) in [
            (holding(Holds::Anything, Holds::Utf8), 1_000),
            (holding(Holds::Truth, Holds::Anything), 300),
            (holding(Holds::Anything, Holds::Anything), 0),
            (holding(Holds::Anything, Holds::Anything), 1_000),
            (holding(Holds::Nothing, Holds::Anything), 0),
            (holding(Holds::Nothing, Holds::Anything), 1_000),
            (holding(Holds::Nothing, Holds::Nothing), u64::MAX),
        ] {
            let (mut range, mut found, mut reads) = (Range::default(), Vec::new(), 0);
            for part in chunks(&mut *view, id, 100).await {
                range.lo = range.lo.or(part.lo);
                range.hi = part.hi;
                loop {
                    let read = view.unfit(id, &range, &holds, Bytes(budget)).await;
                    let read = match read {
                        Err(fault) if fault.code == "READ-ENDED" => {
                            view = pair.view(Side::Source).await;
                            continue;
                        }
                        read => read.unwrap(),
                    };
                    reads += 1;
                    found.extend(read.rows.iter());
                    range.lo = read.cut;
                    if range.lo.is_none() {
                        break;
                    }
                }
            }
            let unfit = |row: &&Row| across::unfit(&holds, row.iter().map(Cell::from));
            let expected: Vec<Row> = all.iter().filter(unfit).cloned().collect();
            assert_eq!(found, expected, "{holds:?} within {budget}");
            assert!(
                budget == u64::MAX || reads > all.len() / 100 + 1,
                "{reads} reads"
            );
        }
    }
}

pub async fn keys_are_found_and_placed(ground: &impl Ground) {
    let pair = filled(ground).await;
    let mut view = pair.view(Side::Source).await;
    for id in ids() {
        let name = &pair.table(id).source;
        let all = rows(&mut *view, id).await;
        let mut keys: Vec<Key> = all.iter().map(|row| pair.key(id, row)).collect();
        let nowhere = keys[0].parts().iter().map(|part| match part {
            Value::Integer(_) => int(1_000_000),
            _ => text("nowhere"),
        });
        keys.push(Key::normal(nowhere.collect::<Vec<_>>(), &[]));
        let found = view
            .rows(id, &Pick::Keys(keys.clone()), Bytes(u64::MAX))
            .await
            .unwrap()
            .rows;
        assert_eq!(
            found.len(),
            all.len(),
            "{name}: each key finds its row, another finds none"
        );
        let chunks = chunks(&mut *view, id, 9).await;
        let mut homes = vec![0; keys.len()];
        for chunk in &chunks {
            let inside = view.inside(id, chunk, &keys).await.unwrap();
            let here: HashSet<Key> = read(&mut *view, id, chunk)
                .await
                .iter()
                .map(|row| pair.key(id, row))
                .collect();
            for ((key, home), inside) in keys.iter().zip(&mut homes).zip(inside) {
                *home += i32::from(inside);
                assert!(
                    inside || !here.contains(key),
                    "{name}: {key:?} is read in {chunk:?} and not inside it"
                );
            }
        }
        assert!(
            homes.iter().all(|home| *home == 1),
            "{name}: each key is inside one chunk"
        );
        assert_eq!(
            view.inside(id, &Range::default(), &[]).await.unwrap(),
            Vec::<bool>::new()
        );
    }
}

pub async fn digests_tell_every_difference(ground: &impl Ground) {
    let pair = filled(ground).await;
    for id in ids() {
        let mut view = pair.view(Side::Source).await;
        let all = rows(&mut *view, id).await;
        let sum = |rows: &[Row]| {
            rows.iter()
                .fold(0u128, |sum, row| sum.wrapping_add(canon::row_hash(row)))
        };
        for chunk in chunks(&mut *view, id, 40).await {
            let here = read(&mut *view, id, &chunk).await;
            let digest = view.digest(id, &chunk).await.unwrap();
            assert_eq!((digest.rows.0, digest.sum), (here.len() as u64, sum(&here)));
            let hashes = view.hashes(id, &chunk).await.unwrap();
            let wanted: Vec<_> = here
                .iter()
                .map(|row| (pair.key(id, row), canon::row_hash(row)))
                .collect();
            assert_eq!(hashes, wanted);
        }
        let before = view.digest(id, &Range::default()).await.unwrap();
        drop(view);
        let place = pair
            .table(id)
            .columns
            .iter()
            .position(|column| column.name == "v")
            .unwrap();
        let others = match ground.habits().typed {
            true => vec![int(1_000_000), Value::Null],
            false => vec![
                text("1"),
                Value::Null,
                Value::Blob([b'1'].into()),
                Value::Real(0.5),
            ],
        };
        for other in others {
            let mut row = all[0].clone();
            row[place] = other;
            pair.put([(id, row)]);
            let after = pair
                .view(Side::Source)
                .await
                .digest(id, &Range::default())
                .await
                .unwrap();
            assert!(after.rows == before.rows && after.sum != before.sum);
        }
        pair.put([(id, all[0].clone())]);
        let again = pair
            .view(Side::Source)
            .await
            .digest(id, &Range::default())
            .await
            .unwrap();
        assert_eq!(again, before);
    }
}
