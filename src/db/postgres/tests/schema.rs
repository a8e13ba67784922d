//! A schema with everything in it is surveyed, built somewhere else, and surveyed again.

use super::ground::{Base, plan};
use crate::db::postgres::connect::Session;
use crate::db::postgres::{ddl, shape, survey};
use crate::db::{Ddl, Survey};
use crate::domain::fault::Result;
use crate::domain::plan::{Plan, Side};
use crate::domain::table::Mode;

const RICH: &str = include_str!("rich.sql");

async fn surveyed(base: &Base) -> Survey {
    survey::survey(&mut base.session(Side::Source).await)
        .await
        .unwrap()
}

async fn build(session: &mut Session, plan: &Plan, ddl: &Ddl) -> Result<()> {
    session.run("BEGIN", "begin").await?;
    let built = ddl::build(session, plan, ddl).await;
    session
        .run(if built.is_ok() { "COMMIT" } else { "ROLLBACK" }, "end")
        .await?;
    built
}

/// In the engine's order.
fn all(survey: &Survey) -> Vec<Ddl> {
    let mut all = survey.before.clone();
    let live = || {
        survey
            .tables
            .iter()
            .filter(|found| found.table.key().is_some())
    };
    all.extend(live().map(|found| found.create.clone()));
    let mut after: Vec<Ddl> = live().flat_map(|found| found.after.clone()).collect();
    after.sort_by_key(|ddl| match ddl.kind.as_str() {
        "analyze" => 1,
        "constraint" => 2,
        "comment" => 3,
        _ => 0,
    });
    all.extend(after);
    all.extend(survey.rest.clone());
    all
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_rich_schema_is_the_same_when_it_was_built_elsewhere() {
    let old = Base::new("rich_old", "").await;
    let new = Base::new("rich_new", "").await;
    old.run(&format!("SET search_path = public; {RICH}")).await;
    let there = surveyed(&old).await;
    let plan = plan(&there);
    let live = |name: &str| {
        let found = there
            .tables
            .iter()
            .find(|found| found.table.source == name)
            .expect(name);
        match &found.table.mode {
            Mode::Live(key) => key
                .columns
                .iter()
                .map(|at| found.table.columns[usize::from(*at)].name.clone())
                .collect::<Vec<_>>(),
            Mode::LeftOut(why) => vec!["left out".to_owned(), why.clone()],
        }
    };
    assert_eq!(live("public.keyed"), ["b", "a"]);
    assert_eq!(live("public.whole"), ["id"]);
    assert_eq!(live("\"Shop\".\"Order Items\""), ["Order", "Item No"]);
    assert_eq!(live("public.events"), ["id", "at"]);
    for name in ["keyless", "nothing", "cache", "parent", "child", "later"] {
        assert_eq!(live(&format!("public.{name}"))[0], "left out");
    }
    let items = there
        .tables
        .iter()
        .find(|found| found.table.source.contains("Order Items"))
        .unwrap();
    assert!(
        items
            .table
            .columns
            .iter()
            .all(|column| column.name != "gross")
    );
    let events = there
        .tables
        .iter()
        .find(|found| found.table.source == "public.events")
        .unwrap();
    assert_eq!((events.rows.0, events.exact), (10, true));

    let mut session = new.session(Side::Target).await;
    for round in 0..2 {
        for ddl in all(&there) {
            if let Err(fault) = build(&mut session, &plan, &ddl).await {
                panic!(
                    "round {round}: {fault}\n{} {}\n{}",
                    ddl.kind, ddl.name, ddl.sql
                );
            }
        }
    }
    let again = surveyed(&new).await;
    assert_eq!(there.before, again.before);
    let live: Vec<_> = there
        .tables
        .iter()
        .filter(|found| found.table.key().is_some())
        .collect();
    assert_eq!(live.len(), again.tables.len());
    for (one, other) in live.iter().zip(&again.tables) {
        assert_eq!(one.table, other.table);
        assert!(
            super::super::form::same(&one.create.sql, &other.create.sql),
            "{}\n{}",
            one.create.sql,
            other.create.sql
        );
        assert_eq!(one.after, other.after);
    }
    assert_eq!(names(&there.rest), names(&again.rest));
    let mut source = old.session(Side::Source).await;
    let shapes = shape::shapes(&mut session, &plan, Side::Target)
        .await
        .unwrap();
    let wanted: Vec<_> = shape::shapes(&mut source, &plan, Side::Source)
        .await
        .unwrap()
        .into_iter()
        .filter(|(id, _)| plan.table(*id).unwrap().key().is_some())
        .collect();
    assert_eq!(wanted, shapes);
    for (id, shape) in &shapes {
        assert_eq!(*shape, plan.table(*id).unwrap().shape);
    }
    old.drop().await;
    new.drop().await;
}

fn names(ddls: &[Ddl]) -> Vec<(String, String)> {
    ddls.iter()
        .map(|ddl| (ddl.kind.clone(), ddl.name.clone()))
        .collect()
}
