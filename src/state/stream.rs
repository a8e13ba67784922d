//! Changes laid over rows: what a read missed, and what many changes come to.
//!
//! Both functions rest on one property of a stream that is applied in order: at every moment a row of the target *is* the
//! source's row at the applied position, in landed ranges because they landed so, elsewhere because INSERT makes a row,
//! DELETE removes it, and UPDATE changes only what is there.

use crate::domain::bulk::Bulk;
use crate::domain::change::{Change, Image, Net, Txn, merge};
use crate::domain::id::TableId;
use crate::domain::key::{Key, Pick};
use crate::domain::table::Table;
use crate::domain::value::{Row, Value};
use foldhash::HashMapExt;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The rows of one read, while the changes that the read did not see are laid over them, in commit order.
///
/// **It never adds a key that the read did not have** (or, for a pick of keys, was not asked for). It need not: the
/// stream has applied those INSERTs itself by the time the rows land, because it makes rows everywhere, landed or not. And
/// it could not: whether a key lies inside a range only the database can say. So no key comparison is needed here.
///
/// The key index is built at the first change that is laid over: a copy without writes beside it never pays for it.
#[derive(Debug)]
pub struct Fold {
    rows: Bulk,
    keys: Option<HashMap<Key, usize>>,
    /// What changes made of the row at a place: none, where it is not there. Keys that were asked for and not read lie behind
    /// the rows.
    changed: BTreeMap<usize, Option<Row>>,
    asked: Vec<Key>,
    /// A change touched sealed rows: they can't be used any more.
    spoilt: bool,
}

/// What a fold gives: the source's rows at the position up to which changes were laid over.
#[derive(Debug, Default, PartialEq)]
pub struct Folded {
    /// Rows that are there.
    pub rows: Bulk,
    /// Keys of the pick that are not there. Always empty for a range.
    pub gone: Vec<Key>,
}

impl Fold {
    /// Starts with the rows of a read of `pick`.
    pub fn over(rows: Bulk, pick: &Pick) -> Self {
        Self {
            rows,
            keys: None,
            changed: BTreeMap::new(),
            asked: match pick {
                Pick::Range(_) => Vec::new(),
                Pick::Keys(keys) => keys.clone(),
            },
            spoilt: false,
        }
    }

    /// Whether a change touched rows that are sealed: they have to be read again in a form that can be looked into.
    pub fn spoilt(&self) -> bool {
        self.spoilt
    }

    /// Lays one change of this table over the rows.
    pub fn lay(&mut self, table: &Table, key: &Key, image: &Image) {
        let Some(&at) = self.index(table).get(key) else {
            return;
        };
        if self.rows.is_sealed() {
            self.spoilt = true;
            return;
        }
        let there = match self.changed.get(&at) {
            Some(row) => row.is_some(),
            None => true,
        };
        let now = match image {
            Image::Inserted(row) | Image::Present(row) => Some(row.clone()),
            Image::Updated(row) if there => Some(row.clone()),
            Image::Partial(cells) if there => {
                let before = self.changed.remove(&at).flatten();
                let mut row = before.unwrap_or_else(|| self.rows.row(at));
                merge(&mut row, cells);
                Some(row)
            }
            Image::Updated(_) | Image::Partial(_) | Image::Gone => None,
        };
        self.changed.insert(at, now);
    }

    /// The rows as they are now.
    pub fn finish(mut self, table: &Table) -> Folded {
        if !self.asked.is_empty() {
            self.index(table);
        }
        if self.changed.is_empty() {
            return Folded {
                rows: self.rows,
                gone: Vec::new(),
            };
        }
        let absent = |at| self.changed.get(at).is_some_and(Option::is_none);
        let gone = match &self.keys {
            Some(keys) => self
                .asked
                .iter()
                .filter(|key| keys.get(key).is_none_or(absent))
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        let changed = self.changed.iter().map(|(at, row)| (*at, row.as_ref()));
        Folded {
            rows: self.rows.with(changed),
            gone,
        }
    }

    fn index(&mut self, table: &Table) -> &HashMap<Key, usize> {
        let Self {
            rows,
            keys,
            changed,
            asked,
            spoilt,
        } = self;
        keys.get_or_insert_with(|| {
            let mut index: HashMap<Key, usize> = HashMap::with_capacity(rows.len());
            for at in 0..rows.len() {
                match table.key_in(rows, at) {
                    Some(key) => drop(index.insert(key, at)),
                    None => *spoilt = true,
                }
            }
            let mut behind = rows.len();
            for key in asked.iter() {
                if !index.contains_key(key) {
                    index.insert(key.clone(), behind);
                    changed.insert(behind, None);
                    behind += 1;
                }
            }
            index
        })
    }
}

/// What a key's changes come to, so far.
enum SumOf<'a> {
    /// Made and removed again: it was not there before and is not now.
    Nothing,
    Gone,
    Inserted(Cow<'a, [Value]>),
    Updated(Cow<'a, [Value]>),
    Present(Cow<'a, [Value]>),
    Partial(Cow<'a, [Option<Value>]>),
}

impl<'a> SumOf<'a> {
    fn first(image: &'a Image) -> Self {
        match image {
            Image::Inserted(row) => Self::Inserted(Cow::Borrowed(row)),
            Image::Updated(row) => Self::Updated(Cow::Borrowed(row)),
            Image::Present(row) => Self::Present(Cow::Borrowed(row)),
            Image::Partial(cells) => Self::Partial(Cow::Borrowed(cells)),
            Image::Gone => Self::Gone,
        }
    }

    fn then(self, image: &'a Image) -> Self {
        match (self, image) {
            (Self::Nothing, Image::Inserted(_) | Image::Present(_)) => Self::first(image),
            (Self::Nothing, _) | (Self::Inserted(_), Image::Gone) => Self::Nothing,
            (_, Image::Gone) | (Self::Gone, Image::Updated(_) | Image::Partial(_)) => Self::Gone,
            (Self::Inserted(_), Image::Inserted(row) | Image::Updated(row)) => {
                Self::Inserted(Cow::Borrowed(row))
            }
            (Self::Inserted(row), Image::Partial(cells)) => Self::Inserted(merged(row, cells)),
            (Self::Updated(row), Image::Partial(cells)) => Self::Updated(merged(row, cells)),
            (Self::Present(row), Image::Partial(cells)) => Self::Present(merged(row, cells)),
            (Self::Updated(_) | Self::Partial(_), Image::Updated(row)) => {
                Self::Updated(Cow::Borrowed(row))
            }
            (Self::Partial(mut before), Image::Partial(cells)) => {
                for (cell, new) in before.to_mut().iter_mut().zip(cells) {
                    if new.is_some() {
                        cell.clone_from(new);
                    }
                }
                Self::Partial(before)
            }
            (_, Image::Inserted(row) | Image::Updated(row) | Image::Present(row)) => {
                Self::Present(Cow::Borrowed(row))
            }
        }
    }

    /// Whether it is just what `image`, the last one that it came to it by, says.
    fn is(&self, image: &Image) -> bool {
        matches!(
            (self, image),
            (Self::Gone, Image::Gone)
                | (Self::Inserted(Cow::Borrowed(_)), Image::Inserted(_))
                | (Self::Updated(Cow::Borrowed(_)), Image::Updated(_))
                | (Self::Present(Cow::Borrowed(_)), Image::Present(_))
                | (Self::Partial(Cow::Borrowed(_)), Image::Partial(_))
        )
    }

    fn image(self) -> Option<Image> {
        Some(match self {
            Self::Nothing => return None,
            Self::Gone => Image::Gone,
            Self::Inserted(row) => Image::Inserted(row.into()),
            Self::Updated(row) => Image::Updated(row.into()),
            Self::Present(row) => Image::Present(row.into()),
            Self::Partial(cells) => Image::Partial(cells.into()),
        })
    }
}

fn merged<'a>(row: Cow<'a, [Value]>, cells: &[Option<Value>]) -> Cow<'a, [Value]> {
    let mut row = row.into_owned();
    merge(&mut row, cells);
    Cow::Owned(row)
}

/// What transactions in commit order come to: at most one change a key, removals first, otherwise in the order in which the
/// keys were first touched.
///
/// Made and removed comes to nothing; removed and made again to [`Image::Present`], because a landed range has the row
/// and another may not; changed only never makes a row, so that a range that has not landed stays without it. The result
/// is to be applied as a set: a swap of unique values passes through no intermediate state any more.
///
/// Of transactions that are in memory: one that has outgrown it comes to many such pieces, each [`net`] by itself.
pub fn collapse(log: &[Arc<Txn>]) -> Net {
    let count = log.iter().map(|txn| txn.changes.len()).sum();
    let changes = log.iter().enumerate().flat_map(|(txn, of)| {
        let changes = of.changes.iter().enumerate();
        changes.map(move |(at, change)| ((txn, at), change))
    });
    let mut all = Net::default();
    for sum in sums(changes, count) {
        match sum.is {
            Some((txn, at)) => all.push_logged(txn, at),
            None => {
                if let Some(change) = sum.change() {
                    all.push(change);
                }
            }
        }
    }
    all
}

/// The same of changes.
pub fn net<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<Change> {
    let changes = changes.into_iter().map(|change| ((), change));
    let count = changes.size_hint().0;
    sums(changes, count).filter_map(Sum::change).collect()
}

/// What the changes of a key come to.
struct Sum<'a, P> {
    table: TableId,
    key: &'a Key,
    net: SumOf<'a>,
    /// The place of a change that says just this.
    is: Option<P>,
}

impl<P> Sum<'_, P> {
    fn change(self) -> Option<Change> {
        Some(Change {
            table: self.table,
            key: self.key.clone(),
            image: self.net.image()?,
        })
    }
}

/// The sums of about so many changes at their places, removals first.
fn sums<'a, P: Copy>(
    changes: impl Iterator<Item = (P, &'a Change)>,
    count: usize,
) -> impl Iterator<Item = Sum<'a, P>> {
    let mut places: foldhash::HashMap<(TableId, &Key), usize> = HashMapExt::with_capacity(count);
    let mut sums: Vec<Sum<'a, P>> = Vec::new();
    for (place, Change { table, key, image }) in changes {
        match places.entry((*table, key)) {
            Entry::Occupied(there) => {
                let sum = &mut sums[*there.get()];
                let before = std::mem::replace(&mut sum.net, SumOf::Nothing);
                let stays = matches!(before, SumOf::Gone);
                sum.net = before.then(image);
                if sum.net.is(image) {
                    sum.is = Some(place);
                } else if !(stays && matches!(sum.net, SumOf::Gone)) {
                    sum.is = None;
                }
            }
            Entry::Vacant(new) => {
                new.insert(sums.len());
                sums.push(Sum {
                    table: *table,
                    key,
                    net: SumOf::first(image),
                    is: Some(place),
                });
            }
        }
    }
    let (gone, rest): (Vec<_>, Vec<_>) = sums
        .into_iter()
        .partition(|sum| matches!(sum.net, SumOf::Gone));
    gone.into_iter().chain(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::{Collation, Range};
    use crate::domain::position::{Head, Position};
    use crate::domain::table::{Column, KeySpec, Mode};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn table() -> Table {
        let column = |name: &str| Column {
            name: name.into(),
            declared: String::new(),
            masked: false,
            becomes: String::new(),
        };
        Table {
            source: "t".into(),
            target: "t".into(),
            columns: vec![column("id"), column("a"), column("b")],
            mode: Mode::Live(KeySpec {
                columns: vec![0],
                collations: vec![Collation::Binary],
            }),
            shape: String::new(),
        }
    }

    fn row(id: i64, a: i64, b: i64) -> Row {
        [id, a, b].map(Value::Integer).into()
    }

    fn key(id: i64) -> Key {
        Key::normal([Value::Integer(id)], &[Collation::Binary])
    }

    type State = BTreeMap<i64, Row>;

    /// What each image means, in the plainest words: the yardstick for both functions.
    fn apply(state: &mut State, id: i64, image: &Image) {
        match image {
            Image::Inserted(row) | Image::Present(row) => {
                state.insert(id, row.clone());
            }
            Image::Updated(row) => {
                if let Some(old) = state.get_mut(&id) {
                    *old = row.clone();
                }
            }
            Image::Partial(cells) => {
                if let Some(old) = state.get_mut(&id) {
                    merge(old, cells);
                }
            }
            Image::Gone => {
                state.remove(&id);
            }
        }
    }

    /// A change as a legal log can hold it, given what the source has.
    fn legal(truth: &mut State, id: i64, choice: u8, n: i64) -> Image {
        let image = match (truth.contains_key(&id), choice % 6) {
            (false, 0..=3) => Image::Inserted(row(id, n, n)),
            (true, 0 | 1) => Image::Updated(row(id, n, n)),
            (true, 2) => Image::Partial([None, Some(Value::Integer(n)), None].into()),
            (true, 3) => Image::Partial([None, None, Some(Value::Integer(n))].into()),
            (_, 4) => Image::Present(row(id, n, n)),
            _ => Image::Gone,
        };
        apply(truth, id, &image);
        image
    }

    fn txn(id: i64, image: Image) -> Txn {
        let head = Head {
            position: Position(0),
            xid: None,
            own: false,
        };
        let change = Change {
            table: TableId(0),
            key: key(id),
            image,
        };
        Txn::new(head, vec![change])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_collapsed_log_does_what_the_log_does(
            start in proptest::collection::btree_map(0..5_i64, 0..9_i64, 0..5),
            landed in 0..5_i64,
            stray in any::<u8>(),
            steps in proptest::collection::vec((0..5_i64, any::<u8>()), 0..24),
            cut in 0..24_usize,
        ) {
            let mut truth: State = start.iter().map(|(id, v)| (*id, row(*id, *v, *v))).collect();
            // Keys from `landed` on have not landed: their rows may or may not be on the target.
            let target: State = truth
                .clone()
                .into_iter()
                .filter(|(id, _)| *id < landed || stray >> id & 1 == 1)
                .collect();
            let log: Vec<(i64, Txn)> = steps
                .iter()
                .enumerate()
                .map(|(n, (id, choice))| (*id, txn(*id, legal(&mut truth, *id, *choice, n as i64 + 100))))
                .collect();
            let (mut in_order, mut in_pieces, mut as_set) = (target.clone(), target.clone(), target);
            for (id, txn) in &log {
                apply(&mut in_order, *id, &txn.changes[0].image);
            }
            let txns: Vec<Arc<Txn>> = log.iter().map(|(_, txn)| txn.clone().into()).collect();
            let net = collapse(&txns);
            let net: Vec<&Change> = net.changes(&txns).collect();
            let keys: HashSet<&Key> = net.iter().map(|change| &change.key).collect();
            prop_assert_eq!(keys.len(), net.len(), "one change a key");
            for change in net.iter().rev() {
                let Value::Integer(id) = change.key.parts()[0] else { unreachable!() };
                apply(&mut as_set, id, &change.image);
            }
            prop_assert_eq!(&in_order, &as_set);
            // What a first part comes to may stand for that part: a net effect can be gathered piece by piece.
            let all: Vec<Change> = log.iter().flat_map(|(_, txn)| txn.changes.clone()).collect();
            let copied = super::net(&all);
            prop_assert_eq!(net, copied.iter().collect::<Vec<_>>(), "copied or not");
            let (first, rest) = all.split_at(cut.min(all.len()));
            let first = super::net(first);
            for change in super::net(first.iter().chain(rest)) {
                let Value::Integer(id) = change.key.parts()[0] else { unreachable!() };
                apply(&mut in_pieces, id, &change.image);
            }
            prop_assert_eq!(in_order, in_pieces);
        }

        #[test]
        fn a_fold_gives_what_the_source_has_for_every_key_the_read_had(
            start in proptest::collection::btree_map(0..5_i64, 0..9_i64, 0..5),
            steps in proptest::collection::vec((0..5_i64, any::<u8>()), 0..24),
            by_key in any::<bool>(),
        ) {
            let mut truth: State = start.iter().map(|(id, v)| (*id, row(*id, *v, *v))).collect();
            let pick = if by_key { Pick::Keys((0..5).map(key).collect()) } else { Pick::Range(Range::default()) };
            let mut fold = Fold::over(truth.values().cloned().collect(), &pick);
            for (n, (id, choice)) in steps.iter().enumerate() {
                let image = legal(&mut truth, *id, *choice, n as i64 + 100);
                fold.lay(&table(), &key(*id), &image);
            }
            let folded = fold.finish(&table());
            let got: State = folded.rows.iter().map(|r| {
                let Value::Integer(id) = r[0] else { unreachable!() };
                (id, r.clone())
            }).collect();
            prop_assert_eq!(got.len(), folded.rows.len());
            if by_key {
                prop_assert_eq!(&got, &truth);
                for id in 0..5 {
                    prop_assert_eq!(folded.gone.contains(&key(id)), !truth.contains_key(&id));
                }
            } else {
                truth.retain(|id, _| start.contains_key(id));
                prop_assert_eq!(got, truth);
                prop_assert!(folded.gone.is_empty());
            }
        }
    }

    #[test]
    fn the_named_cases_of_the_rule() {
        let i = |n| Image::Inserted(row(1, n, n));
        let u = |n| Image::Updated(row(1, n, n));
        let p = |n| Image::Partial([None, Some(Value::Integer(n)), None].into());
        let net = |images: Vec<Image>| {
            let log = images.into_iter().map(|image| txn(1, image).into());
            let log: Vec<Arc<Txn>> = log.collect();
            let net = collapse(&log);
            net.changes(&log).next().map(|change| change.image.clone())
        };
        assert_eq!(net(vec![i(1), u(2), Image::Gone]), None);
        assert_eq!(net(vec![i(1), Image::Gone, i(3)]), Some(i(3)));
        assert_eq!(
            net(vec![Image::Gone, i(2)]),
            Some(Image::Present(row(1, 2, 2)))
        );
        assert_eq!(net(vec![u(1), Image::Gone]), Some(Image::Gone));
        assert_eq!(net(vec![Image::Gone, i(1), Image::Gone]), Some(Image::Gone));
        assert_eq!(net(vec![u(1), u(2)]), Some(u(2)));
        assert_eq!(net(vec![u(1), p(7)]), Some(Image::Updated(row(1, 7, 1))));
        assert_eq!(net(vec![i(1), p(7)]), Some(Image::Inserted(row(1, 7, 1))));
        assert_eq!(net(vec![p(7), p(8)]), Some(p(8)));
        assert_eq!(net(vec![p(7), u(8)]), Some(u(8)));
    }

    #[test]
    fn a_range_never_gains_a_key_its_read_did_not_have() {
        let mut fold = Fold::over(
            [row(1, 0, 0)].iter().collect(),
            &Pick::Range(Range::default()),
        );
        fold.lay(&table(), &key(2), &Image::Inserted(row(2, 5, 5)));
        fold.lay(&table(), &key(3), &Image::Present(row(3, 5, 5)));
        assert_eq!(fold.finish(&table()).rows, [row(1, 0, 0)].iter().collect());
    }

    #[test]
    fn no_change_means_no_index() {
        let fold = Fold::over(
            [row(1, 0, 0)].iter().collect(),
            &Pick::Range(Range::default()),
        );
        assert!(fold.keys.is_none());
        assert_eq!(fold.finish(&table()).rows.len(), 1);
    }
}
