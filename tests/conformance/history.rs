//! An application whose every state is remembered, so that whoever reads it can be asked: which state is this?
//!
//! Each of its transactions writes the number of the state it makes into row 0 of `items`, together with changes to both
//! tables. Rows of one state with the number of another are a read, a stream or a landing that is not of one instant.

use crate::ground::{Application, ITEMS_ID, NOTES_ID, Pair, Write, item, note};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tidegate::domain::change::{Change, Image};
use tidegate::domain::id::TableId;
use tidegate::domain::key::Key;
use tidegate::domain::plan::{Plan, Side};
use tidegate::domain::value::{Row, Value};

/// Rows by table and key.
pub type State = HashMap<(TableId, Key), Row>;

/// The application while it runs.
pub struct History {
    plan: Arc<Plan>,
    states: Arc<Mutex<Vec<State>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl History {
    /// Starts writing to the source, from a filled state on, until stopped.
    pub fn start(pair: &Pair, seed: u64) -> Self {
        let mut state = State::new();
        let mut first = Vec::new();
        for n in 0..40 {
            first.push(Write::Put(ITEMS_ID, item(n, &format!("name {n}"), 0)));
            first.push(Write::Put(
                NOTES_ID,
                note(&format!("Note {}", n % 7), n, "first"),
            ));
        }
        commit(&pair.plan, &*pair.app, &mut state, &first);
        let states = Arc::new(Mutex::new(vec![state.clone()]));
        let stop = Arc::new(AtomicBool::new(false));
        let (plan, app) = (Arc::clone(&pair.plan), Arc::clone(&pair.app));
        let (told, ended) = (Arc::clone(&states), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut number = 0;
            while !ended.load(Ordering::Relaxed) {
                number += 1;
                let writes = step(&mut chance, &state, number);
                let mut next = state.clone();
                model(&plan, &mut next, &writes);
                // Remembered before it is committed: a reader may see it at once.
                told.lock().unwrap().push(next.clone());
                app.commit(Side::Source, &writes).unwrap();
                state = next;
            }
        });
        Self {
            plan: Arc::clone(&pair.plan),
            states,
            stop,
            thread: Some(thread),
        }
    }

    /// Stops the application; its last state.
    pub fn stop(&mut self) -> State {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.states.lock().unwrap().last().unwrap().clone()
    }

    /// How many states were made.
    pub fn len(&self) -> usize {
        self.states.lock().unwrap().len()
    }

    /// Waits until the application has made some more states.
    pub async fn more(&self, states: usize) {
        let wanted = self.len() + states;
        while self.len() < wanted {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Asserts that these rows are one of the states, whole; gives its number.
    pub fn assert_is_one(&self, found: &State) -> usize {
        let zero = Key::normal([Value::Integer(0)], &[]);
        let Value::Integer(number) = found[&(ITEMS_ID, zero)][2] else {
            panic!("row 0 holds no number")
        };
        let states = self.states.lock().unwrap();
        let wanted = &states[number as usize];
        assert_eq!(found.len(), wanted.len(), "state {number} has other rows");
        for (key, row) in wanted {
            assert_eq!(found.get(key), Some(row), "state {number} at {key:?}");
        }
        number as usize
    }

    /// Rows as read, as a state.
    pub fn state_of(&self, tables: [(TableId, Vec<Row>); 2]) -> State {
        let mut state = State::new();
        for (id, rows) in tables {
            let table = self.plan.table(id).unwrap();
            state.extend(rows.into_iter().map(|row| ((id, table.key_of(&row)), row)));
        }
        state
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Changes of both tables, with names that wander between items, and the state's number.
fn step(chance: &mut fastrand::Rng, state: &State, number: i64) -> Vec<Write> {
    let mut writes = vec![Write::Put(ITEMS_ID, item(0, "name 0", number))];
    for _ in 0..chance.usize(1..6) {
        let n = chance.i64(1..60);
        let key = Key::normal([Value::Integer(n)], &[]);
        match chance.u8(0..5) {
            0 => writes.push(Write::Delete(ITEMS_ID, key)),
            1 => {
                let other = chance.i64(1..60);
                let name = |n: i64| {
                    let key = (ITEMS_ID, Key::normal([Value::Integer(n)], &[]));
                    state.get(&key).map(|row| row[1].clone())
                };
                // Only rows that no other write of this transaction touches, or a name could be taken twice.
                let fresh = writes.iter().all(|write| match write {
                    Write::Put(ITEMS_ID, row) => {
                        row[0] != Value::Integer(n) && row[0] != Value::Integer(other)
                    }
                    Write::Delete(ITEMS_ID, key) => {
                        key.parts()[0] != Value::Integer(n)
                            && key.parts()[0] != Value::Integer(other)
                    }
                    _ => true,
                });
                if let (Some(mine), Some(theirs), true, true) =
                    (name(n), name(other), n != other, fresh)
                {
                    writes.push(Write::Put(
                        ITEMS_ID,
                        [
                            Value::Integer(n),
                            Value::text("on its way"),
                            Value::Integer(number),
                        ]
                        .into(),
                    ));
                    writes.push(Write::Put(
                        ITEMS_ID,
                        [Value::Integer(other), mine, Value::Integer(number)].into(),
                    ));
                    writes.push(Write::Put(
                        ITEMS_ID,
                        [Value::Integer(n), theirs, Value::Integer(number)].into(),
                    ));
                }
            }
            2 => writes.push(Write::Put(
                ITEMS_ID,
                item(n, &format!("made {number} {n}"), number),
            )),
            3 => {
                let case = if chance.bool() { "NOTE" } else { "note" };
                let row = note(&format!("{case} {}", n % 7), n, &format!("at {number}"));
                writes.push(Write::Put(NOTES_ID, row));
            }
            _ => {
                let key = Key::normal(
                    [Value::text(&format!("note {}", n % 7)), Value::Integer(n)],
                    &[],
                );
                writes.push(Write::Delete(NOTES_ID, key));
            }
        }
    }
    writes
}

fn commit(plan: &Plan, app: &dyn Application, state: &mut State, writes: &[Write]) {
    model(plan, state, writes);
    app.commit(Side::Source, writes).unwrap();
}

fn model(plan: &Plan, state: &mut State, writes: &[Write]) {
    for write in writes {
        match write {
            Write::Put(id, row) => {
                state.insert((*id, plan.table(*id).unwrap().key_of(row)), row.clone());
            }
            Write::Delete(id, key) => {
                state.remove(&(*id, key.clone()));
            }
        }
    }
}

/// Lays a change over rows, as a target does.
pub fn lay(state: &mut State, change: &Change) {
    let at = (change.table, change.key.clone());
    match &change.image {
        Image::Inserted(row) | Image::Present(row) => {
            state.insert(at, row.clone());
        }
        Image::Updated(row) => {
            if let Some(old) = state.get_mut(&at) {
                old.clone_from(row);
            }
        }
        Image::Partial(cells) => {
            if let Some(old) = state.get_mut(&at) {
                for (old, new) in old.iter_mut().zip(cells) {
                    if let Some(new) = new {
                        old.clone_from(new);
                    }
                }
            }
        }
        Image::Gone => {
            state.remove(&at);
        }
    }
}
