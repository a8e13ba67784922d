//! A schema with everything in it is surveyed, built somewhere else, and surveyed again.

use super::ground::{Base, plan};
use crate::db::postgres::connect::Session;
use crate::db::postgres::{ddl, shape, survey};
use crate::db::{Ddl, Sizes, Survey};
use crate::domain::fault::Result;
use crate::domain::plan::{Plan, Side};
use crate::domain::table::Mode;

const RICH: &str = include_str!("rich.sql");

async fn surveyed(base: &Base) -> Survey {
    survey::survey(&mut base.session(Side::Source).await, Sizes::Told)
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
    all.extend(live().filter_map(|found| found.key.clone()));
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
        let whole = there.tables.iter().filter(|_| round > 0);
        let whole = whole.filter(|found| found.table.key().is_some());
        let whole = whole.map(|found| found.whole());
        for ddl in all(&there).into_iter().chain(whole) {
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
            super::super::form::same(&one.whole().sql, &other.whole().sql),
            "{}\n{}",
            one.whole().sql,
            other.whole().sql
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

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn tables_get_the_names_that_the_plan_has() {
    let old = Base::new("names_old", "").await;
    let new = Base::new("names_new", "").await;
    old.run(&format!("SET search_path = public; {RICH}")).await;
    new.run("CREATE SCHEMA moved").await;
    let there = surveyed(&old).await;
    let mut plan = plan(&there);
    for (from, to) in [
        ("public.customers", "moved.\"Clients\""),
        ("\"Shop\".\"Order Items\"", "\"Shop\".items"),
        ("public.events", "public.happened"),
    ] {
        let table = plan
            .tables
            .iter_mut()
            .find(|table| table.source == from)
            .expect(from);
        table.target = to.to_owned();
    }
    let mut session = new.session(Side::Target).await;
    for _ in 0..2 {
        for ddl in all(&there) {
            // Its body is text: the application's own.
            if ddl.name.contains("best(") {
                continue;
            }
            if let Err(fault) = build(&mut session, &plan, &ddl).await {
                panic!("{fault}\n{} {}\n{}", ddl.kind, ddl.name, ddl.sql);
            }
        }
    }
    let again = surveyed(&new).await;
    let found = |name: &str| {
        again
            .tables
            .iter()
            .find(|found| found.table.source == name)
            .expect(name)
    };
    for (from, to) in plan
        .tables
        .iter()
        .filter(|t| t.key().is_some())
        .map(|t| (&t.source, &t.target))
    {
        let here = there
            .tables
            .iter()
            .find(|found| found.table.source == *from)
            .unwrap();
        assert_eq!(here.table.shape, found(to).table.shape, "{to}");
        assert_eq!(here.after.len(), found(to).after.len(), "{to}");
    }
    assert!(
        found("\"Shop\".items")
            .after
            .iter()
            .any(|ddl| ddl.sql.contains("REFERENCES moved.\"Clients\""))
    );
    let of =
        |survey: &Survey, kind: &str| survey.rest.iter().filter(|ddl| ddl.kind == kind).count();
    for kind in ["view", "trigger", "sequence"] {
        assert_eq!(of(&there, kind), of(&again, kind), "{kind}");
    }
    old.drop().await;
    new.drop().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_is_there_in_another_form_is_refused() {
    let old = Base::new("forms_old", "").await;
    let new = Base::new("forms_new", "").await;
    let sql = "CREATE TYPE public.mood AS ENUM ('a', 'b'); CREATE TABLE public.t (id int PRIMARY KEY, m public.mood, n text); \
        CREATE INDEX i ON public.t (n); CREATE VIEW public.v AS SELECT id FROM public.t; CREATE SEQUENCE public.s; \
        ALTER TABLE public.t ADD CONSTRAINT self FOREIGN KEY (id) REFERENCES public.t; \
        CREATE FUNCTION public.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT setval('public.s', 50)";
    old.run(sql).await;
    let other = sql
        .replace("'a', 'b'", "'a', 'c'")
        .replace("n text", "n varchar")
        .replace("public.t (n)", "public.t (n) WHERE n > ''")
        .replace("SELECT id", "SELECT id + 1 AS id")
        .replace("public.s;", "public.s CACHE 7;")
        .replace(
            "REFERENCES public.t",
            "REFERENCES public.t ON DELETE CASCADE",
        )
        .replace("'SELECT 1'", "'SELECT 2'");
    new.run(&other.replace("'public.s', 50", "'public.s', 80"))
        .await;
    let there = surveyed(&old).await;
    let plan = plan(&there);
    let mut session = new.session(Side::Target).await;
    let mut refused = Vec::new();
    for ddl in all(&there) {
        if let Err(fault) = build(&mut session, &plan, &ddl).await {
            assert_eq!(fault.code, "SCHEMA-DIFFERS", "{fault}");
            refused.push(format!("{} {}", ddl.kind, ddl.name));
        }
    }
    assert_eq!(
        refused,
        [
            "sequence public.s",
            "type public.mood",
            "table public.t",
            "index public.i",
            "constraint self on public.t",
            "function public.f(integer)",
            "view public.v",
        ]
    );
    // A counter is raised, never lowered.
    let raise = |survey: &Survey| {
        survey
            .rest
            .iter()
            .find(|ddl| ddl.kind == "sequence")
            .unwrap()
            .sql
            .clone()
    };
    assert!(raise(&surveyed(&new).await).contains("80"));
    old.run("SELECT setval('public.s', 90)").await;
    let later = surveyed(&old).await.rest;
    for ddl in later.iter().filter(|ddl| ddl.kind == "sequence") {
        build(&mut session, &plan, ddl).await.unwrap();
    }
    assert!(raise(&surveyed(&new).await).contains("90"));
    old.drop().await;
    new.drop().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_large_table_is_estimated() {
    let base = Base::new("large", "").await;
    base.run(
        "CREATE TABLE public.large (id int PRIMARY KEY, t text); ANALYZE public.large; \
        INSERT INTO public.large SELECT n, repeat('x', 300) FROM generate_series(1, 150000) n",
    )
    .await;
    let survey = surveyed(&base).await;
    let found = &survey.tables[0];
    assert!(!found.exact);
    assert_eq!(survey.rows(), (found.rows, false));
    assert!(
        (20_000..2_000_000).contains(&found.rows.0),
        "{}",
        found.rows
    );
    base.drop().await;
}
