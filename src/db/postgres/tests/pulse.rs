//! What is measured on a server.

use super::ground::{Base, plan, server, server_as};
use crate::db::Sizes;
use crate::db::postgres::{pulse, survey};
use crate::domain::plan::Side;
use crate::domain::unit::Span;
use crate::domain::value::Value;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, postgres::PgConnectOptions};

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn whoever_waits_for_a_lock_of_ours_is_measured() {
    let base = Base::new("held", "").await;
    base.run("CREATE TABLE public.t (id int PRIMARY KEY)").await;
    let server = server(&base.url, Side::Source);
    let mut session = server.session().await.unwrap();
    let plan = plan(&survey::survey(&mut session, Sizes::Told).await.unwrap());
    let before = pulse::pulse(&mut session, &plan, Side::Source).await;
    let before = before.unwrap();
    assert_eq!(before.held, None);
    assert!(before.written.is_some() && before.room.is_none() && before.log_bytes.is_none());
    assert!(before.identity.contains('/'), "{}", before.identity);

    let mut ours = server.session().await.unwrap();
    ours.run("BEGIN; LOCK TABLE public.t IN ACCESS SHARE MODE", "lock")
        .await
        .unwrap();
    let options: PgConnectOptions = base.url.parse().unwrap();
    let mut other = options.application_name("shop").connect().await.unwrap();
    let waits = async {
        other
            .execute("ALTER TABLE public.t ADD COLUMN n int")
            .await
            .unwrap();
        other.close().await.unwrap();
    };
    let measured = async {
        let held = loop {
            let pulse = pulse::pulse(&mut session, &plan, Side::Source).await;
            match pulse.unwrap().held {
                Some(held) if held > Span::millis(20) => break held,
                _ => tokio::task::yield_now().await,
            }
        };
        ours.run("ROLLBACK", "let go").await.unwrap();
        held
    };
    let (held, ()) = tokio::join!(measured, waits);
    assert!(held < Span::seconds(60), "{held}");
    let after = pulse::pulse(&mut session, &plan, Side::Source).await;
    assert_eq!(after.unwrap().held, None);
    drop((session, ours));
    base.drop().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_others_run_is_counted_and_what_is_hidden_is_not_taken_for_nothing() {
    let base = Base::new("active", "").await;
    let role = format!("blind_{}", std::process::id());
    base.run(&format!("CREATE ROLE {role} LOGIN")).await;
    let mut session = base.session(Side::Source).await;
    let mut plan = plan(&survey::survey(&mut session, Sizes::Told).await.unwrap());
    let unlimited = pulse::pulse(&mut session, &plan, Side::Source).await;
    assert_eq!(unlimited.unwrap().active, None, "nobody wants to know");
    plan.throttle.max_active = Some(40);
    let options: PgConnectOptions = base.url.parse().unwrap();
    let mut other = options.application_name("shop").connect().await.unwrap();
    let busy = other.execute("SELECT pg_sleep(2)");
    let measured = async {
        loop {
            let pulse = pulse::pulse(&mut session, &plan, Side::Source).await;
            if pulse.unwrap().active > Some(0) {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut blind = server_as(&base.url, &role, Side::Source)
            .session()
            .await
            .unwrap();
        let pulse = pulse::pulse(&mut blind, &plan, Side::Source).await;
        let pulse = pulse.unwrap();
        assert_eq!(pulse.active, None);
        assert!(pulse.blind.contains("GRANT pg_monitor"), "{}", pulse.blind);
        let target = pulse::pulse(&mut session, &plan, Side::Target).await;
        assert_eq!(target.unwrap().active, None, "the source alone is asked");
    };
    let (_, ()) = tokio::join!(busy, measured);
    other.close().await.unwrap();
    drop(session);
    base.run(&format!("DROP ROLE {role}")).await;
    base.drop().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_figure_is_read_by_a_transaction_that_can_not_write_and_ends_in_time() {
    let base = Base::new("figure", "").await;
    base.run("CREATE TABLE public.t (n numeric); INSERT INTO public.t VALUES (0.5), (7)")
        .await;
    let end = crate::db::postgres::open(&base.url, Side::Source)
        .await
        .unwrap();
    let ask = async |sql: &str| end.figure(sql, Span::millis(500)).await;
    assert_eq!(ask("SELECT count(*) FROM t").await, Ok(Value::Integer(2)));
    let half = ask("SELECT min(n) FROM t;").await;
    assert_eq!(half, Ok(Value::Text(b"0.5".as_slice().into())));
    for (sql, expected) in [
        ("SELECT n FROM t", "several rows"),
        ("SELECT n FROM t WHERE n > 9", "no row"),
        ("DELETE FROM t", "only reads"),
        (
            "WITH d AS (DELETE FROM t RETURNING n) SELECT count(*) FROM d",
            "",
        ),
        ("SELECT n FROM nowhere", "nowhere"),
        ("SELECT 1 FROM pg_sleep(60)", "timeout"),
    ] {
        let fault = ask(sql).await.unwrap_err();
        let said = format!("{fault} {:?}", fault.cause);
        assert!(said.contains(expected), "{sql}: {said}");
    }
    assert_eq!(ask("SELECT count(*) FROM t").await, Ok(Value::Integer(2)));
    drop(end);
    base.drop().await;
}
