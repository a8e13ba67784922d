//! A session with a server that stays open, so that asking costs what the question costs.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::runtime::{Builder, Runtime};

/// A session.
pub struct Session {
    runtime: Runtime,
    conn: PgConnection,
}

impl Session {
    pub fn open(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let conn = runtime.block_on(PgConnection::connect(url)).unwrap();
        Self { runtime, conn }
    }

    pub fn run(&mut self, sql: &str) {
        self.try_run(sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    pub fn try_run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let ran = sqlx::raw_sql(sql).execute(&mut self.conn);
        self.runtime.block_on(ran).map(|_| ())
    }

    /// The one value that a query gives.
    pub fn text(&mut self, sql: &str) -> String {
        let sql = format!("SELECT (SELECT one FROM ({sql}) AS asked(one))::text");
        let asked = sqlx::query_scalar(&sql).fetch_one(&mut self.conn);
        let text: Option<String> = self
            .runtime
            .block_on(asked)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
        text.unwrap_or_else(|| panic!("nothing: {sql}"))
    }

    /// A statement with one number.
    pub fn run_with(&mut self, sql: &str, number: i32) {
        let ran = sqlx::query(sql).bind(number).execute(&mut self.conn);
        self.runtime.block_on(ran).unwrap();
    }

    /// What a query with one number gives: a number and a figure a row.
    pub fn figures(&mut self, sql: &str, number: i32) -> Vec<(i32, f64)> {
        let asked = sqlx::query_as(sql).bind(number).fetch_all(&mut self.conn);
        self.runtime.block_on(asked).unwrap()
    }
}
