//! Two PostgreSQL databases from the command line.

use crate::place::{Called, Place};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, postgres::PgConnectOptions};

const SECRET: &str = "s3cret-w0rd";

/// Two databases on the server of the tests, the first with rows.
struct Pair {
    admin: String,
    names: [String; 2],
}

impl Pair {
    async fn new(test: &str) -> Self {
        let admin = std::env::var("TIDEGATE_TEST_POSTGRES").expect("the URL of a superuser");
        let name = |side: &str| format!("cli_{test}_{side}_{}", std::process::id());
        let pair = Self {
            admin,
            names: [name("old"), name("new")],
        };
        for name in &pair.names {
            pair.run(
                None,
                &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            )
            .await;
            pair.run(None, &format!("CREATE DATABASE {name} TEMPLATE template0"))
                .await;
        }
        let rows = "CREATE TABLE shop (id int PRIMARY KEY, name text); \
                    INSERT INTO shop SELECT n, 'name ' || n FROM generate_series(1, 2000) AS n";
        pair.run(Some(0), rows).await;
        pair
    }

    async fn run(&self, of: Option<usize>, sql: &str) {
        let options: PgConnectOptions = match of {
            Some(at) => self.url(at, "").parse().unwrap(),
            None => self.admin.parse().unwrap(),
        };
        let mut conn = options.connect().await.unwrap();
        conn.execute(sqlx::raw_sql(sql)).await.unwrap();
        conn.close().await.unwrap();
    }

    /// A database's URL, with a password that the server does not ask for.
    fn url(&self, at: usize, password: &str) -> String {
        let (front, query) = self.admin.split_once('?').unwrap_or((&self.admin, ""));
        let (server, _) = front.rsplit_once('/').unwrap();
        let server = match password {
            "" => server.to_owned(),
            password => server.replace('@', &format!(":{password}@")),
        };
        format!("{server}/{}?{query}", self.names[at])
    }

    async fn drop(self) {
        for name in &self.names {
            self.run(None, &format!("DROP DATABASE {name} WITH (FORCE)"))
                .await;
        }
    }
}

fn quiet(called: &Called, what: &str) {
    let all = format!("{}{}", called.out, called.err);
    assert!(!all.contains(SECRET), "{what}: {all}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_password_is_told_to_nobody_and_words_are_postgresqls() {
    let pair = Pair::new("secret").await;
    let place = Place::new();
    let (old, new) = (pair.url(0, SECRET), pair.url(1, SECRET));
    let init = place.call(&["init", "--source", &old, "--target", &new, "--name", "shop"]);
    assert_eq!(init.code, 0, "{}", init.err);
    quiet(&init, "init");
    assert!(
        init.out.contains("TIDEGATE_SOURCE_PASSWORD"),
        "{}",
        init.out
    );
    assert!(!init.out.contains("triggers"), "{}", init.out);
    let written = std::fs::read_to_string(place.path("tidegate.toml")).unwrap();
    assert!(
        !written.contains(SECRET) && !written.contains("SQLITE"),
        "{written}"
    );
    // The same as the environment would give it, without setting it for all tests of this process.
    let filled = written
        .replace("${TIDEGATE_SOURCE_PASSWORD}", SECRET)
        .replace("${TIDEGATE_TARGET_PASSWORD}", SECRET);
    place.write("tidegate.toml", &filled);

    let check = place.call(&["check", "--profile"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    quiet(&check, "check");
    assert!(!check.out.contains("collation_version ,"), "{}", check.out);
    let sql = place.call(&["check", "--sql"]).out;
    assert_eq!(sql.matches("CREATE SCHEMA").count(), 1, "{sql}");
    quiet(&place.call(&["check", "--json"]), "check --json");

    let engine = place.call(&["engine", "--until", "synced"]);
    assert_eq!(engine.code, 0, "{}", engine.err);
    quiet(&engine, "engine");
    assert!(
        engine.err.contains("WAL") || engine.out.contains("WAL"),
        "{}{}",
        engine.out,
        engine.err
    );
    for args in [
        &["status", "shop"][..],
        &["status", "shop", "--json"],
        &["report", "shop"],
        &["report", "shop", "--format", "json"],
        &["row", "-c", "tidegate.toml", "shop", "7"],
        &["verify", "-c", "tidegate.toml"],
        &["verify", &old, &new],
        &["list"],
        &["audit", "shop"],
        &["clean", "-c", "tidegate.toml"],
    ] {
        quiet(&place.call(args), args[0]);
    }
    let report = place.call(&["report", "shop"]).out;
    assert!(
        report.contains("schema public | was there before"),
        "{report}"
    );
    assert!(!report.contains("plpgsql"), "{report}");
    for file in std::fs::read_dir(place.path("state/tidegate/shop")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let holds = bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!holds, "{} holds the password", path.display());
    }

    let twice = place.call(&["verify", &old, &format!("{old}&application_name=x")]);
    assert_eq!(twice.code, 2, "{}", twice.out);
    assert!(twice.err.contains("the same database"), "{}", twice.err);
    quiet(&twice, "the same twice");

    let run = place.call(&["run", "--no-console"]);
    assert_eq!(run.code, 0, "{}", run.err);
    quiet(&run, "run");
    let abort = place.call(&[
        "send",
        "shop",
        "abort",
        "--confirm",
        "shop",
        "--drop-target",
    ]);
    assert_eq!(abort.code, 0, "{}{}", abort.out, abort.err);
    quiet(&abort, "abort");
    pair.drop().await;
}

#[test]
fn what_can_not_be_reached_is_told_without_its_password() {
    let place = Place::new();
    let url = format!("postgres://app:{SECRET}@localhost:1/shop?sslmode=disable");
    for args in [
        &["verify", &url, "postgres://app@localhost:1/new"][..],
        &["init", "--source", &url, "--target", "new.db"],
    ] {
        let called = place.call(args);
        assert_eq!(called.code, 3, "{}", called.err);
        assert!(called.err.contains("localhost:1/shop"), "{}", called.err);
        quiet(&called, args[0]);
    }
    let odd = format!("postgres://app@localhost:1/shop?sslpassword={SECRET}");
    let called = place.call(&["verify", &odd, "new.db"]);
    assert_eq!(called.code, 2, "{}", called.err);
    assert!(called.err.contains("sslpassword"), "{}", called.err);
    quiet(&called, "a parameter");
}
