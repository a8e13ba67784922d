//! Where the program is called, and how.

use rusqlite::Connection;
use std::path::PathBuf;
use std::process::{Command, Output};

/// What a call came to.
pub struct Called {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A folder of its own, with a place for state in it.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    pub fn call(&self, args: &[&str]) -> Called {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(args)
            .current_dir(self.0.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        Called {
            code: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }
    pub fn database(&self, name: &str, sql: &str) -> Connection {
        let conn = Connection::open(self.path(name)).unwrap();
        conn.pragma_update(None, "journal_mode", "wal").unwrap();
        conn.execute_batch(sql).unwrap();
        conn
    }
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }
}

/// A small shop.
pub const SHOP: &str = "
    create table customers(id integer primary key, email text not null);
    create table orders(id integer primary key, customer integer, total real);
    create index orders_customer on orders(customer);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
        insert into customers select i, 'c' || i || '@example.org' from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
        insert into orders select i, i % 2000, i * 0.5 from n;";
