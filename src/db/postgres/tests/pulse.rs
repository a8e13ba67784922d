//! What is measured on a server.

use super::ground::{Base, plan, server};
use crate::db::postgres::{pulse, survey};
use crate::domain::plan::Side;
use crate::domain::unit::Span;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, postgres::PgConnectOptions};

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn whoever_waits_for_a_lock_of_ours_is_measured() {
    let base = Base::new("held", "").await;
    base.run("CREATE TABLE public.t (id int PRIMARY KEY)").await;
    let server = server(&base.url, Side::Source);
    let mut session = server.session().await.unwrap();
    let plan = plan(&survey::survey(&mut session).await.unwrap());
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
