//! Two databases on a PostgreSQL server that `tests/run` starts.

use crate::ground::{Application, Ground, Habits, Pair, Spec, Write, key_names, plan, upsert};
use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _};
use std::str::FromStr as _;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use tidegate::db::{Sizes, postgres};
use tidegate::domain::id::MigrationName;
use tidegate::domain::plan::{EndPlan, Engine, Side};
use tidegate::domain::table::Table;
use tidegate::domain::value::Value;

pub struct Server;

/// The URL of a database on the server, as its superuser.
fn url(database: &str) -> String {
    let base =
        std::env::var("TIDEGATE_TEST_POSTGRES").expect("TIDEGATE_TEST_POSTGRES names a server");
    let (before, after) = base.split_once("/postgres?").expect("…/postgres?host=…");
    format!("{before}/{database}?{after}")
}

#[async_trait]
impl Ground for Server {
    fn habits(&self) -> Habits {
        Habits {
            typed: true,
            folds_keys: false,
            head_is_ours: false,
            releases_at_once: false,
        }
    }

    async fn pair(&self, tables: &[Spec]) -> Pair {
        let name = format!("conformance_{}_{}", std::process::id(), fastrand::u32(..));
        let (from, to) = (format!("{name}_source"), format!("{name}_target"));
        let admin = Sql::open("postgres");
        for database in [&from, &to] {
            admin.run(&format!("CREATE DATABASE {database}")).unwrap();
        }
        let app = [Sql::open(&from), Sql::open(&to)];
        for spec in tables {
            app[0].run(&create(spec)).unwrap();
        }
        let source = postgres::open(&url(&from), Side::Source).await.unwrap();
        let target = postgres::open(&url(&to), Side::Target).await.unwrap();
        let named = |spec: &Spec, table: &Table| table.source == format!("public.{}", spec.name);
        let survey = source.survey(Sizes::Told).await.unwrap();
        let mut found: Vec<Table> = survey.tables.into_iter().map(|found| found.table).collect();
        found.sort_by_key(|table| tables.iter().position(|spec| named(spec, table)));
        let mut plan = plan(end(&from), end(&to), found.clone());
        // Slots have one name on the whole server.
        Arc::make_mut(&mut plan).name = MigrationName::new(name).unwrap();
        let catalogs = [Sql::open(&from), Sql::open(&to)];
        let catalog = move |side| catalogs[usize::from(side == Side::Target)].texts(CATALOG);
        Pair {
            source,
            target,
            plan,
            app: Arc::new(App {
                sql: app,
                tables: found,
            }),
            catalog: Box::new(catalog),
            _kept: Box::new(Databases(vec![from, to])),
        }
    }
}

/// Everything that a database's catalog holds and that its slots are.
const CATALOG: &str = "\
    SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database() \
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication \
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_' \
    UNION ALL SELECT relkind::text || ' ' || relnamespace::regnamespace::text || '.' || relname FROM pg_class \
      WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' \
    UNION ALL SELECT 'trigger ' || tgname || ' ' || tgrelid::regclass::text FROM pg_trigger \
    UNION ALL SELECT 'function ' || p.oid::regprocedure::text FROM pg_proc p \
      WHERE pronamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY 1";

fn end(database: &str) -> EndPlan {
    EndPlan {
        engine: Engine::Postgres,
        url: url(database),
        label: database.into(),
    }
}

/// Removes the databases with their slots.
struct Databases(Vec<String>);

impl Drop for Databases {
    fn drop(&mut self) {
        let admin = Sql::open("postgres");
        for database in &self.0 {
            let slots = format!(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{database}' AND active"
            );
            let drop = format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{database}'"
            );
            for _ in 0..50 {
                let _ = admin.run(&slots);
                if admin.run(&drop).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            let _ = admin.run(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
        }
    }
}

fn create(spec: &Spec) -> String {
    let columns: Vec<String> = spec
        .columns
        .iter()
        .enumerate()
        .map(|(i, (name, declared))| {
            let declared = match (*declared, *name) {
                ("INTEGER", _) | ("", "v") => "bigint",
                _ => "text",
            };
            let unique = if spec.unique.contains(&i) {
                " UNIQUE"
            } else {
                ""
            };
            format!("{name} {declared}{unique}")
        })
        .collect();
    let key: Vec<_> = spec
        .key
        .iter()
        .map(|place| spec.columns[*place].0)
        .collect();
    format!(
        "CREATE TABLE {}({}, PRIMARY KEY ({}))",
        spec.name,
        columns.join(", "),
        key.join(", ")
    )
}

type Job = Box<dyn FnOnce(&tokio::runtime::Runtime, &mut PgConnection) + Send>;

/// A connection on a thread of its own, asked without a runtime.
struct Sql(Mutex<mpsc::Sender<Job>>);

impl Sql {
    fn open(database: &str) -> Self {
        let options = PgConnectOptions::from_str(&url(database)).unwrap();
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let mut conn = runtime
                .block_on(PgConnection::connect_with(&options))
                .unwrap();
            for job in inbox {
                job(&runtime, &mut conn);
            }
        });
        Self(Mutex::new(jobs))
    }

    fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&tokio::runtime::Runtime, &mut PgConnection) -> T + Send + 'static,
    ) -> T {
        let (reply, answer) = mpsc::channel();
        let job: Job = Box::new(move |runtime, conn| {
            let _ = reply.send(act(runtime, conn));
        });
        self.0.lock().unwrap().send(job).unwrap();
        answer.recv().unwrap()
    }

    fn run(&self, sql: &str) -> Result<(), String> {
        let sql = sql.to_owned();
        self.ask(move |runtime, conn| {
            let done = runtime.block_on(conn.execute(sqlx::raw_sql(&sql)));
            done.map(drop).map_err(|error| error.to_string())
        })
    }

    fn texts(&self, sql: &'static str) -> Vec<String> {
        self.ask(move |runtime, conn| {
            runtime
                .block_on(sqlx::query_scalar(sql).fetch_all(conn))
                .unwrap()
        })
    }
}

/// An application with a connection to each side.
struct App {
    sql: [Sql; 2],
    tables: Vec<Table>,
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Text(text) => format!(
            "'{}'",
            String::from_utf8(text.to_vec())
                .unwrap()
                .replace('\'', "''")
        ),
        other => format!("'{other}'"),
    }
}

impl Application for App {
    fn commit(&self, side: Side, writes: &[Write]) -> Result<(), String> {
        let mut sql = String::from("BEGIN; ");
        for write in writes {
            sql.push_str(&match write {
                Write::Put(id, row) => {
                    let table = &self.tables[usize::from(id.0)];
                    let values: Vec<_> = row.iter().map(literal).collect();
                    upsert(table, &values) + "; "
                }
                Write::Delete(id, key) => {
                    let table = &self.tables[usize::from(id.0)];
                    let is: Vec<_> = key_names(table)
                        .iter()
                        .zip(key.parts())
                        .map(|(name, part)| format!("{name} = {}", literal(part)))
                        .collect();
                    format!("DELETE FROM {} WHERE {}; ", table.source, is.join(" AND "))
                }
            });
        }
        sql.push_str("COMMIT");
        let here = &self.sql[usize::from(side == Side::Target)];
        here.run(&sql).inspect_err(|_| {
            let _ = here.run("ROLLBACK");
        })
    }
}
