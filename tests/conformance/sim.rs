//! The simulated database, with each of its habits.

use crate::ground::{Application, Ground, Habits, Pair, Spec, Write, plan};
use async_trait::async_trait;
use std::sync::Arc;
use tidegate::db::sim::{Base, Definition, Kind, Refused, Sim, Stmt};
use tidegate::domain::plan::{EndPlan, Engine, Side};
use tidegate::domain::table::{Column, KeySpec, Mode, Table};

pub struct Memory(pub Kind);

#[async_trait]
impl Ground for Memory {
    fn habits(&self) -> Habits {
        Habits::LOOSE
    }

    async fn pair(&self, tables: &[Spec]) -> Pair {
        let definitions: Vec<Definition> = tables.iter().map(definition).collect();
        let planned = definitions.iter().map(|d| d.table.clone()).collect();
        let from = Sim::new(Base::new(self.0, definitions, 1));
        let to = Sim::new(Base::new(self.0, Vec::new(), 2));
        let app = Arc::new(App {
            from: Arc::clone(&from),
            to: Arc::clone(&to),
            names: tables.iter().map(|spec| spec.name).collect(),
        });
        let (source, target) = (from.end(Side::Source), to.end(Side::Target));
        let catalog = move |side| {
            let sim = if side == Side::Source { &from } else { &to };
            sim.with(|base| base.catalog())
        };
        Pair {
            source,
            target,
            plan: plan(end("from"), end("to"), planned),
            app,
            catalog: Box::new(catalog),
            _kept: Box::new(()),
        }
    }
}

fn end(label: &str) -> EndPlan {
    EndPlan {
        engine: Engine::Sim,
        url: "sim:".into(),
        label: label.into(),
    }
}

fn definition(spec: &Spec) -> Definition {
    let place = |at: &usize| u16::try_from(*at).unwrap();
    let columns = spec.columns.iter().map(|(name, declared)| Column {
        name: (*name).into(),
        declared: (*declared).into(),
        masked: false,
        becomes: String::new(),
    });
    Definition {
        table: Table {
            source: spec.name.into(),
            target: spec.name.into(),
            columns: columns.collect(),
            mode: Mode::Live(KeySpec {
                columns: spec.key.iter().map(place).collect(),
                collations: spec.collations.into(),
            }),
            shape: spec.name.into(),
        },
        unique: spec.unique.iter().map(|at| vec![place(at)]).collect(),
        toast: None,
    }
}

struct App {
    from: Arc<Sim>,
    to: Arc<Sim>,
    names: Vec<&'static str>,
}

impl Application for App {
    fn commit(&self, side: Side, writes: &[Write]) -> Result<(), String> {
        let sim = if side == Side::Source {
            &self.from
        } else {
            &self.to
        };
        let place = |id: tidegate::domain::id::TableId| {
            sim.with(|base| base.find(self.names[usize::from(id.0)]))
                .unwrap()
        };
        let stmts: Vec<Stmt> = writes
            .iter()
            .map(|write| match write {
                Write::Put(id, row) => Stmt::Put(place(*id), row.clone()),
                Write::Delete(id, key) => Stmt::Discard(place(*id), key.clone()),
            })
            .collect();
        match sim.commit(&stmts) {
            Ok(_) => Ok(()),
            Err(Refused::Gate) => Err("tidegate has closed this database to writes".into()),
            Err(refused) => Err(format!("{refused:?}")),
        }
    }
}
