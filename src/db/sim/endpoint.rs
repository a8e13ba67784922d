//! One end of a migration, in memory.

use super::base::{Base, Refused, Snapshot, Stmt};
use super::faults::{Op, Script, Trouble};
use super::feed::SimFeed;
use super::gate::SimGate;
use super::query;
use super::table::{Definition, at};
use super::view::SimView;
use super::writer::SimWriter;
use crate::db::refused::one_cell;
use crate::db::{
    Abilities, Beside, Ddl, Endpoint, Feed, Gate, GateState, Made, Part, Pulse, Sizes, Survey,
    Surveyed, View, Writer,
};
use crate::domain::fault::{Fault, Kind as FaultKind, Outcome, Result};
use crate::domain::finding::{Finding, Object};
use crate::domain::id::{MigrationName, TableId};
use crate::domain::plan::{Engine, Plan, Side};
use crate::domain::position::Position;
use crate::domain::table::Table;
use crate::domain::unit::{Bytes, Rows, Span};
use crate::domain::value::Value;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A database in memory that tasks share.
#[derive(Debug)]
pub struct Sim {
    base: Mutex<Base>,
    script: Mutex<Script>,
    /// Counts commits, for whoever waits for one.
    commits: watch::Sender<u64>,
}

impl Sim {
    /// Shares a database.
    pub fn new(base: Base) -> Arc<Self> {
        Arc::new(Self {
            base: Mutex::new(base),
            script: Mutex::new(Script::default()),
            commits: watch::channel(0).0,
        })
    }

    /// Looks at the database, or changes it. Whoever waits for a change looks again.
    pub fn with<T>(&self, act: impl FnOnce(&mut Base) -> T) -> T {
        let result = act(&mut self.lock());
        self.commits.send_modify(|n| *n += 1);
        result
    }

    /// Runs statements as one transaction of the application, which waits for locks, and hears that it is done when reads
    /// see it. The stream may have delivered it before.
    pub fn commit(&self, stmts: &[Stmt]) -> Result<Position, Refused> {
        let position = loop {
            match self.with(|base| base.commit(stmts)) {
                Err(Refused::Waits) => std::thread::yield_now(),
                done => break done?,
            }
        };
        std::thread::yield_now();
        self.with(|base| base.reveal_upto(position));
        Ok(position)
    }

    /// Lets something go wrong, once, the next time it is tried.
    pub fn trouble(&self, op: Op, trouble: Trouble) {
        self.script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(op, trouble);
    }

    pub(super) fn goes_wrong(&self, op: Op) -> Option<Trouble> {
        self.script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(op)
    }

    /// Reads fail here if they are to.
    pub(super) fn may(&self, op: Op) -> Result<()> {
        match self.goes_wrong(op) {
            Some(trouble) => Err(trouble.fault()),
            None => Ok(()),
        }
    }

    /// Never held across an await; a test that panicked leaves the rows as they are.
    pub(super) fn lock(&self) -> MutexGuard<'_, Base> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// This database as an end of a migration.
    pub fn end(self: &Arc<Self>, side: Side) -> Arc<dyn Endpoint> {
        Arc::new(SimEnd {
            sim: Arc::clone(self),
            side,
        })
    }
}

/// Which table of the database is which of the plan.
#[derive(Debug, Clone)]
pub(super) struct Map(Vec<Option<TableId>>);

impl Map {
    pub fn of(base: &Base, plan: &Plan, side: Side) -> Self {
        let place = |table: &Table| base.find(table.name_on(side));
        Self(plan.tables.iter().map(place).collect())
    }

    pub fn here(&self, table: TableId) -> Result<TableId> {
        let place = self.0.get(usize::from(table.0)).copied().flatten();
        place.ok_or_else(|| {
            Fault::new(
                FaultKind::Blocked,
                format!("there is no table number {table}"),
            )
            .code("TABLE-MISSING")
        })
    }

    pub fn planned(&self, here: TableId) -> Option<TableId> {
        let at = self.0.iter().position(|place| *place == Some(here))?;
        u16::try_from(at).ok().map(TableId)
    }
}

struct SimEnd {
    sim: Arc<Sim>,
    side: Side,
}

impl SimEnd {
    fn part_objects(&self, part: Part, plan: &Plan) -> Vec<Object> {
        let object = |kind: &str, name: String| Object {
            side: self.side,
            kind: kind.into(),
            sql: format!("create {kind} {name}"),
            name,
        };
        let each = |prefix: &'static str| {
            let tables = plan.tables.iter().filter(|table| table.key().is_some());
            tables.map(move |table| format!("{prefix}{}", table.name_on(self.side)))
        };
        match part {
            Part::Capture => each("tidegate_capture_")
                .map(|name| object("trigger", name))
                .collect(),
            Part::Ledger => vec![object("table", "tidegate_ledger".into())],
            Part::Gate => std::iter::once(object("table", "tidegate_gate".into()))
                .chain(each("tidegate_guard_").map(|name| object("trigger", name)))
                .collect(),
        }
    }

    fn has(&self, part: Part) -> Result<()> {
        if self.sim.lock().parts.iter().any(|(p, _)| *p == part) {
            return Ok(());
        }
        let (what, code) = match part {
            Part::Capture => ("change capture", "CAPTURE-LOST"),
            Part::Ledger => ("ledger", "NO-LEDGER"),
            Part::Gate => ("gate", "NO-GATE"),
        };
        let what = format!("there is no {what} on the {}", self.side.label());
        Err(Fault::new(FaultKind::Blocked, what).code(code))
    }
}

#[async_trait]
impl Endpoint for SimEnd {
    fn engine(&self) -> Engine {
        Engine::Sim
    }

    fn side(&self) -> Side {
        self.side
    }

    fn abilities(&self) -> Abilities {
        let gapped = self.sim.lock().gapped();
        Abilities {
            workers: if gapped { 8 } else { 1 },
            delivers_before_visible: gapped,
            longest_read: None,
        }
    }

    async fn survey(&self, sizes: Sizes) -> Result<Survey> {
        let base = self.sim.lock();
        let tables: Vec<Surveyed> = base
            .committed
            .iter()
            .filter(|rows| !rows.definition.table.source.is_empty())
            .map(|rows| surveyed(&rows.definition, rows.len(), sizes))
            .collect();
        Ok(Survey {
            version: format!("sim {:?}", base.kind()),
            properties: vec![("seed".into(), base.identity.to_string())],
            before: Vec::new(),
            tables,
            rest: Vec::new(),
            extensions: Vec::new(),
            bytes: Bytes(0),
        })
    }

    async fn findings(&self, _plan: &Plan) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    async fn beside(&self) -> Result<Option<Beside>> {
        Ok(None)
    }

    async fn not_carried(&self, _plan: &Plan, _there: Option<&Beside>) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    async fn objects(&self, part: Part, plan: &Plan) -> Result<Vec<Object>> {
        Ok(self.part_objects(part, plan))
    }

    async fn install(&self, part: Part, plan: &Plan) -> Outcome<Vec<Object>> {
        let objects = self.part_objects(part, plan);
        self.sim.with(|base| {
            if base.parts.iter().any(|(p, _)| *p == part) {
                return;
            }
            base.parts.push((part, objects.clone()));
            if part == Part::Gate {
                base.gate = Some(GateState {
                    open: self.side == Side::Source,
                    epoch: 0,
                    unguarded: plan
                        .ids()
                        .filter(|(_, table)| table.key().is_some())
                        .map(|(id, _)| id)
                        .collect(),
                });
            }
        });
        Outcome::Done(objects)
    }

    async fn remove(&self, parts: &[Part], _of: Option<&MigrationName>) -> Outcome<Vec<Object>> {
        self.sim.with(|base| {
            base.parts.retain(|(part, _)| !parts.contains(part));
            if parts.contains(&Part::Gate) {
                base.gate = None;
            }
            if parts.contains(&Part::Ledger) {
                base.marks.clear();
                base.applied = Position::START;
                // Whoever still holds a lease holds one of nothing.
                base.take_lease();
            }
        });
        Outcome::Done(Vec::new())
    }

    async fn discard(&self, made: &[Made]) -> Outcome<Vec<Made>> {
        self.sim.with(|base| {
            base.discard(|name| {
                made.iter()
                    .any(|made| made.kind == "table" && made.name == name)
            })
        });
        Outcome::Done(Vec::new())
    }

    async fn leftovers(&self) -> Result<Vec<Object>> {
        let parts = self.sim.lock().parts.clone();
        Ok(parts.into_iter().flat_map(|(_, objects)| objects).collect())
    }

    fn belongs(&self, _object: &Object, _migration: &MigrationName) -> Option<bool> {
        None
    }

    async fn view(&self, plan: &Arc<Plan>) -> Result<Box<dyn View>> {
        tokio::task::yield_now().await;
        self.sim.may(Op::View)?;
        let snapshot: Snapshot = self.sim.with(|base| {
            // Time passes while a read is opened: some of what was hidden comes to be seen, and all that must.
            let some = base.hidden() / 2;
            (0..some).for_each(|_| base.reveal());
            base.reveal_upto(base.fed_from);
            base.snapshot()
        });
        let ledger = self.has(Part::Ledger).is_ok();
        let map = Map::of(&self.sim.lock(), plan, self.side);
        Ok(Box::new(SimView::new(
            Arc::clone(&self.sim),
            snapshot,
            map,
            ledger,
        )))
    }

    async fn feed(&self, plan: &Arc<Plan>, from: Position) -> Result<Box<dyn Feed>> {
        tokio::task::yield_now().await;
        self.sim.may(Op::Feed)?;
        self.has(Part::Capture)?;
        let map = Map::of(&self.sim.lock(), plan, self.side);
        self.sim.with(|base| {
            if from < base.released || from > base.head() {
                let what = format!("the stream can't be read from {from}");
                return Err(Fault::new(FaultKind::Blocked, what)
                    .code("CAPTURE-LOST")
                    .hint("changes may be missing; give the migration up and begin again"));
            }
            base.fed_from = from;
            Ok(())
        })?;
        Ok(Box::new(SimFeed::new(Arc::clone(&self.sim), map, from)))
    }

    async fn writer(&self, plan: &Arc<Plan>) -> Result<Box<dyn Writer>> {
        self.has(Part::Ledger)?;
        let token = self.sim.with(Base::take_lease);
        Ok(Box::new(SimWriter::new(
            Arc::clone(&self.sim),
            Arc::clone(plan),
            self.side,
            token,
        )))
    }

    async fn gate(&self, _plan: &Arc<Plan>) -> Result<Box<dyn Gate>> {
        Ok(Box::new(SimGate::new(Arc::clone(&self.sim))))
    }

    async fn pulse(&self, plan: &Arc<Plan>) -> Result<Pulse> {
        let base = self.sim.lock();
        let map = Map::of(&base, plan, self.side);
        let shapes = plan.ids().filter_map(|(id, _)| {
            let rows = at(&base.committed, map.here(id).ok()?)?;
            Some((id, rows.definition.table.shape.clone()))
        });
        Ok(Pulse {
            head: base.head(),
            log_rows: Some(Rows(base.truth(base.released, base.head()).count() as u64)),
            log_bytes: None,
            behind: None,
            written: None,
            room: None,
            free: None,
            identity: format!("sim {}", base.identity),
            shapes: shapes.collect(),
            held: None,
            active: None,
            standbys: Vec::new(),
            blind: String::new(),
        })
    }

    async fn figure(&self, sql: &str, _within: Span) -> Result<Value> {
        let snapshot = self.sim.lock().snapshot();
        one_cell(query::run(&snapshot, sql, &[], 1)?)
    }
}

fn surveyed(definition: &Definition, rows: usize, sizes: Sizes) -> Surveyed {
    let exact = sizes == Sizes::Told;
    // The definition as JSON is its DDL; it always serialises: strings, numbers and enums only.
    let sql = serde_json::to_string(definition).unwrap_or_default();
    Surveyed {
        table: definition.table.clone(),
        rows: if exact { Rows(rows as u64) } else { Rows(0) },
        exact,
        create: Ddl {
            kind: "table".into(),
            name: definition.table.source.clone(),
            sql,
        },
        key: None,
        after: Vec::new(),
        outline: Default::default(),
    }
}
