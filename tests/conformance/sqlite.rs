//! Two SQLite files in WAL mode.

use crate::ground::{Application, Ground, Habits, Pair, Spec, Write, key_names, plan, upsert};
use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tidegate::db::{Sizes, sqlite};
use tidegate::domain::key::Collation;
use tidegate::domain::plan::{EndPlan, Engine, Side};
use tidegate::domain::table::Table;
use tidegate::domain::value::Value;

pub struct Files;

#[async_trait]
impl Ground for Files {
    fn habits(&self) -> Habits {
        Habits::LOOSE
    }

    async fn pair(&self, tables: &[Spec]) -> Pair {
        let dir = TempDir::new().unwrap();
        let (from, to) = (dir.path().join("source.db"), dir.path().join("target.db"));
        let app = Connection::open(&from).unwrap();
        app.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        for spec in tables {
            app.execute_batch(&create(spec)).unwrap();
        }
        let source = sqlite::open(&from, Side::Source).await.unwrap();
        let target = sqlite::open(&to, Side::Target).await.unwrap();
        let mut found: Vec<Table> = source
            .survey(Sizes::Told)
            .await
            .unwrap()
            .tables
            .into_iter()
            .map(|surveyed| surveyed.table)
            .collect();
        found.sort_by_key(|table| tables.iter().position(|spec| spec.name == table.source));
        let plan = plan(end(&from), end(&to), found.clone());
        let app = Arc::new(Sql {
            from: from.clone(),
            to: to.clone(),
            open: Mutex::default(),
            tables: found,
        });
        let catalog = move |side| {
            let path = if side == Side::Source { &from } else { &to };
            let conn = Connection::open(path).unwrap();
            let mut statement = conn
                .prepare("SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1")
                .unwrap();
            statement
                .query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        Pair {
            source,
            target,
            plan,
            app,
            catalog: Box::new(catalog),
            _kept: Box::new(dir),
        }
    }
}

fn end(path: &Path) -> EndPlan {
    EndPlan {
        engine: Engine::Sqlite,
        url: format!("sqlite://{}", path.display()),
        label: "shop".into(),
    }
}

fn create(spec: &Spec) -> String {
    let columns: Vec<String> = spec
        .columns
        .iter()
        .enumerate()
        .map(|(i, (name, declared))| {
            let part = spec.key.iter().position(|place| *place == i);
            let collate = match part.map(|part| spec.collations[part]) {
                Some(Collation::Nocase) => " COLLATE NOCASE",
                Some(Collation::Rtrim) => " COLLATE RTRIM",
                _ => "",
            };
            let unique = if spec.unique.contains(&i) {
                " UNIQUE"
            } else {
                ""
            };
            let not_null = if part.is_some() { " NOT NULL" } else { "" };
            format!("{name} {declared}{collate}{not_null}{unique}")
        })
        .collect();
    let key: Vec<_> = spec
        .key
        .iter()
        .map(|place| spec.columns[*place].0)
        .collect();
    format!(
        "CREATE TABLE {}({}, PRIMARY KEY ({})){}",
        spec.name,
        columns.join(", "),
        key.join(", "),
        if spec.clustered { " WITHOUT ROWID" } else { "" }
    )
}

/// An application with a connection to each side, triggers and foreign keys on.
struct Sql {
    from: PathBuf,
    to: PathBuf,
    open: Mutex<[Option<Connection>; 2]>,
    tables: Vec<Table>,
}

struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(i) => ValueRef::Integer(*i),
            Value::Real(r) => ValueRef::Real(*r),
            Value::Text(b) => ValueRef::Text(b),
            Value::Blob(b) => ValueRef::Blob(b),
        }))
    }
}

impl Application for Sql {
    fn commit(&self, side: Side, writes: &[Write]) -> Result<(), String> {
        self.run(side, writes).map_err(|error| error.to_string())
    }
}

impl Sql {
    fn run(&self, side: Side, writes: &[Write]) -> rusqlite::Result<()> {
        let mut open = self.open.lock().unwrap();
        let (path, conn) = match side {
            Side::Source => (&self.from, &mut open[0]),
            Side::Target => (&self.to, &mut open[1]),
        };
        if conn.is_none() {
            let fresh = Connection::open(path)?;
            fresh.execute_batch("PRAGMA busy_timeout = 10000; PRAGMA synchronous = OFF")?;
            *conn = Some(fresh);
        }
        let conn = conn.as_mut().unwrap();
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for write in writes {
            match write {
                Write::Put(id, row) => {
                    let table = &self.tables[usize::from(id.0)];
                    let sql = upsert(table, &vec!["?".to_owned(); row.len()]);
                    tx.prepare_cached(&sql)?
                        .execute(params_from_iter(row.iter().map(Bound)))?;
                }
                Write::Delete(id, key) => {
                    let table = &self.tables[usize::from(id.0)];
                    let is: Vec<_> = key_names(table)
                        .iter()
                        .map(|name| format!("{name} = ?"))
                        .collect();
                    let sql = format!("DELETE FROM {} WHERE {}", table.source, is.join(" AND "));
                    tx.prepare_cached(&sql)?
                        .execute(params_from_iter(key.parts().iter().map(Bound)))?;
                }
            }
        }
        tx.commit()
    }
}
