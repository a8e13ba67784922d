//! Databases of a test.

use crate::db::Survey;
use crate::db::postgres::connect::{Server, Session};
use crate::domain::id::MigrationName;
use crate::domain::plan::*;
use crate::domain::unit::{Bytes, Span};

/// A database that is there while this is.
pub(super) struct Base {
    admin: String,
    pub(super) url: String,
    pub(super) name: String,
}

impl Base {
    pub(super) async fn new(test: &str, options: &str) -> Self {
        let admin = std::env::var("TIDEGATE_TEST_POSTGRES").expect("the URL of a superuser");
        let name = format!("cat_{test}_{}", std::process::id());
        let mut session = session(&admin, Side::Target).await;
        session
            .run(
                &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                "drop",
            )
            .await
            .unwrap();
        session
            .run(
                &format!("CREATE DATABASE {name} TEMPLATE template0 {options}"),
                "make",
            )
            .await
            .unwrap();
        let (front, query) = admin.split_once('?').unwrap_or((&admin, ""));
        let at = front.rfind('/').unwrap();
        let url = format!("{}/{name}?{query}", &front[..at]);
        Self { admin, url, name }
    }

    pub(super) async fn session(&self, side: Side) -> Session {
        session(&self.url, side).await
    }

    pub(super) async fn run(&self, sql: &str) {
        self.session(Side::Source)
            .await
            .run(sql, "prepare")
            .await
            .unwrap();
    }

    pub(super) async fn drop(self) {
        let mut session = session(&self.admin, Side::Target).await;
        session
            .run(&format!("DROP DATABASE {} WITH (FORCE)", self.name), "drop")
            .await
            .unwrap();
    }
}

pub(super) fn server(url: &str, side: Side) -> Server {
    Server::at(url, side).unwrap()
}

/// The same server, as somebody else.
pub(super) fn server_as(url: &str, role: &str, side: Side) -> Server {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    server(&format!("{scheme}://{role}@{host}"), side)
}

async fn session(url: &str, side: Side) -> Session {
    server(url, side).session().await.unwrap()
}

/// Everything of a survey as a plan, names unchanged.
pub(super) fn plan(survey: &Survey) -> Plan {
    let end = EndPlan {
        engine: Engine::Postgres,
        url: String::new(),
        label: String::new(),
    };
    Plan {
        name: MigrationName::new("cat").unwrap(),
        environment: Environment::Dev,
        source: end.clone(),
        target: end,
        tables: survey
            .tables
            .iter()
            .map(|found| found.table.clone())
            .collect(),
        backfill: Backfill {
            chunk_time: Span::seconds(1),
            chunk_bytes: Bytes(1 << 20),
            workers: 1,
            max_rows_per_second: None,
        },
        throttle: Throttle {
            max_lag: Span::seconds(3),
            max_lock_wait: Span::seconds(1),
            stale_after: Span::seconds(5),
            ..Throttle::default()
        },
        verify: Verify {
            max_age: Span::seconds(60),
            max_rows_per_second: None,
        },
        shadow: Vec::new(),
        prune: Prune::Auto,
        adopt: Vec::new(),
        signals: Vec::new(),
        wal_space: None,
    }
}
