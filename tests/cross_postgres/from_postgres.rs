//! PostgreSQL to SQLite, from a database that does not order text by its bytes.

use crate::bed::{Bed, Writer, parked};
use tidegate::domain::compared::Answer;
use tidegate::domain::finding::Stage;
use tidegate::domain::plan::Side;

const ICU: &str = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0";

const SHOP: &str = "\
    CREATE SCHEMA sales; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN few AS integer CHECK (VALUE > 0); \
    CREATE TABLE customers(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name varchar(40) DEFAULT 'x''y', \
      active boolean NOT NULL DEFAULT true, balance numeric(12,2) DEFAULT 0.5, created timestamptz DEFAULT now(), born date DEFAULT '2000-01-01', \
      score double precision DEFAULT -1.5, r4 real, pic bytea DEFAULT '\\x00ff', meta jsonb, tags text[], m mood DEFAULT 'ok', p few, u uuid, \
      iv interval, up text GENERATED ALWAYS AS (upper(email)) STORED); \
    CREATE TABLE \"Orders\"(id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE, \
      status text NOT NULL DEFAULT 'new' CHECK (status <> ''), total numeric, paid boolean, note text); \
    CREATE INDEX orders_status ON \"Orders\"(status, id); CREATE INDEX orders_part ON \"Orders\"(id) WHERE paid; \
    CREATE TABLE tags(name text PRIMARY KEY, n integer); \
    CREATE TABLE sales.pairs(a varchar(30) COLLATE \"en-x-icu\" NOT NULL, b integer NOT NULL, d date NOT NULL, v float8, PRIMARY KEY (a, b, d)); \
    CREATE TABLE nums(k numeric PRIMARY KEY, v text); CREATE TABLE ids(k uuid PRIMARY KEY, v timestamp); \
    CREATE TABLE moods(k mood, b boolean, PRIMARY KEY (k, b)); CREATE VIEW v AS SELECT * FROM customers; \
    INSERT INTO customers(email, name, active, balance, score, r4, meta, tags, m, p, u, iv) SELECT 'User' || g || '@x.org', repeat('Zoë ', g % 5), \
      g % 2 = 0, g * 1.25, CASE g % 50 WHEN 0 THEN 'Infinity' ELSE g / 3.0 END, g / 7.0, jsonb_build_object('a', g), ARRAY['a,b', g::text], 'happy', g, \
      md5(g::text)::uuid, g * interval '1 hour' FROM generate_series(1, 900) g; \
    INSERT INTO \"Orders\"(customer, status, total, paid, note) SELECT 1 + g % 900, (ARRAY['new', 'done', E'ü\\t\\n\\\\x'])[1 + g % 3], \
      CASE WHEN g % 3 > 0 THEN g::numeric / (1 + g % 4) END, CASE g % 3 WHEN 1 THEN true WHEN 2 THEN false END, repeat('large ', g % 3 * 700) \
      FROM generate_series(1, 2000) g; \
    INSERT INTO tags SELECT substr('aBcÄé_- Zz', 1 + g % 10, 1) || g, g FROM generate_series(1, 800) g; \
    INSERT INTO sales.pairs SELECT substr(name, 1, 1) || substr('bBé-', 1 + n % 4, 1), n, date '2024-01-01' + n % 9, n * 0.1 FROM tags; \
    INSERT INTO nums SELECT g::numeric / 4, g FROM generate_series(-200, 600) g; \
    INSERT INTO ids SELECT md5(g::text)::uuid, timestamp '2024-01-01' + g * interval '0.01 s' FROM generate_series(1, 800) g; \
    INSERT INTO moods VALUES ('sad', true), ('happy', false), ('ok', true), ('ok', false)";

/// What the application does next.
fn shopping() -> impl FnMut() -> String + Send + 'static {
    let mut random = fastrand::Rng::with_seed(5);
    move || {
        let (n, word) = (
            random.u32(1..900),
            random.choice(["a", "Ä", "é", "_", "-", " ", "Z"]),
        );
        let word = word.unwrap();
        match random.u32(0..10) {
            0 => format!(
                "INSERT INTO \"Orders\"(customer, total, note) VALUES ({n}, 1.50, repeat('x', 5000))"
            ),
            // The note is large and not sent again: only the other cells are.
            1 => format!("UPDATE \"Orders\" SET total = {n}.250, paid = NOT paid WHERE id = {n}"),
            2 => format!("DELETE FROM \"Orders\" WHERE id = {}", n * 2),
            3 => {
                format!("UPDATE sales.pairs SET a = '{word}' || a WHERE b = {n} AND length(a) < 20")
            }
            4 => format!("UPDATE tags SET name = '{word}' || random() WHERE n = {n}"),
            5 => format!("UPDATE nums SET k = k + 5000 WHERE k = {n}"),
            6 => format!(
                "UPDATE customers SET email = email || 'x', tags = ARRAY['q'], score = random(), u = gen_random_uuid() WHERE id = {n}"
            ),
            7 => "DELETE FROM ids WHERE k = (SELECT k FROM ids LIMIT 1)".to_owned(),
            8 => "BEGIN; DELETE FROM moods WHERE b; INSERT INTO moods VALUES ('sad', true); COMMIT"
                .to_owned(),
            _ => format!("UPDATE \"Orders\" SET id = id + 100000 WHERE id = {n}"),
        }
    }
}

async fn assert_shop(bed: &Bed) {
    let utc = "SET timezone = 'UTC'; SET extra_float_digits = 3;";
    let customers = "SELECT id, email, name, active, balance, created, born, score, r4, pic, meta, tags, m, p, u, iv FROM customers";
    bed.assert_same("ittotttrrbtttttt", customers, &format!("{utc} {customers}"))
        .await;
    let orders = "SELECT id, customer, status, total, paid, note FROM \"Orders\"";
    bed.assert_same("iittot", orders, orders).await;
    for (kinds, file, server) in [
        ("ti", "tags", "tags"),
        ("titr", "sales_pairs", "sales.pairs"),
        ("tt", "nums", "nums"),
        ("tt", "ids", "ids"),
        ("to", "moods", "moods"),
    ] {
        let all = |table: &str| format!("SELECT * FROM {table}");
        bed.assert_same(kinds, &all(file), &all(server)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_shop_that_is_written_to_ends_equal_and_every_mutation_is_found() {
    let bed = Bed::new(Side::Source, ICU, "", SHOP).await;
    let check = bed.check().await;
    assert!(check.may_copy(), "{:?}", check.findings);
    let sorted = check
        .findings
        .iter()
        .filter(|finding| finding.code == "ACROSS-ORDER");
    let sorted: Vec<_> = sorted
        .filter_map(|finding| finding.table.as_deref())
        .collect();
    assert_eq!(
        sorted,
        ["public.moods", "public.nums", "public.tags", "sales.pairs"]
    );
    let writer = Writer::to_server(&bed, shopping());
    let running = bed.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    assert!(writer.stop() > 100);
    let state = running.drained().await;
    assert_eq!(state.drift().confirmed, 0);
    running.until("compared", |s| s.synced_and_equal()).await;
    running.park().await;
    assert_shop(&bed).await;
    let compared = bed.compared().await;
    assert_eq!(compared.answer, Answer::Equal, "{compared:?}");

    let file = bed.file();
    let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    file.set_db_config(off, false).unwrap();
    let next: i64 = file
        .query_row(
            "INSERT INTO customers(email) VALUES ('next') RETURNING id",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(next > 900, "{next}");
    let row = "SELECT name, balance, born, score, hex(pic), m FROM customers WHERE email = 'next'";
    let row = file.query_row(row, [], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, f64>(3)?,
            row.get::<_, String>(4)?,
        ))
    });
    assert_eq!(
        row.unwrap(),
        ("x'y".into(), "0.5".into(), -1.5, "00FF".into())
    );
    let mutations = [
        ("DELETE FROM customers WHERE email = 'next'", ""),
        (
            "UPDATE customers SET balance = balance || '0' WHERE id = (SELECT min(id) FROM customers)",
            "public.customers",
        ),
        (
            "UPDATE \"Orders\" SET paid = NULL WHERE id = (SELECT min(id) FROM \"Orders\" WHERE paid IS NOT NULL)",
            "public.\"Orders\"",
        ),
        (
            "UPDATE tags SET name = name || ' ' WHERE name = (SELECT max(name) FROM tags)",
            "public.tags",
        ),
        (
            "UPDATE sales_pairs SET v = v + 1e-9 WHERE b = 7",
            "sales.pairs",
        ),
        (
            "DELETE FROM nums WHERE k = (SELECT min(k) FROM nums)",
            "public.nums",
        ),
        (
            "INSERT INTO ids VALUES ('00000000-0000-0000-0000-000000000000', NULL)",
            "public.ids",
        ),
        (
            "UPDATE moods SET b = 1 - b WHERE k = 'happy'",
            "public.moods",
        ),
    ];
    for (sql, _) in mutations {
        file.execute_batch(sql).unwrap();
    }
    let compared = bed.compared().await;
    assert_eq!(compared.answer, Answer::Differs);
    for (_, table) in mutations.iter().filter(|(_, table)| !table.is_empty()) {
        let found = compared
            .tables
            .iter()
            .find(|found| found.source == *table)
            .unwrap();
        assert!(found.differ.total() >= 1, "{table}: {found:?}");
    }
    drop(file);

    let running = bed.start().await;
    bed.abort(&running).await;
    let left: i64 = bed
        .file()
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
    let left = "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()) \
                + (SELECT count(*) FROM pg_namespace WHERE nspname = 'tidegate')";
    assert_eq!(bed.server(left).await.unwrap()[0][0].as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn what_would_be_lost_is_refused_before_and_parks_its_table_later() {
    let bed = Bed::new(
        Side::Source,
        "",
        "",
        "CREATE TABLE m(id integer PRIMARY KEY, v float8, d date); INSERT INTO m VALUES (1, 'NaN', '0044-03-15 BC'), (2, '-0', NULL), (3, 'Infinity', NULL); \
         CREATE TABLE days(d date PRIMARY KEY); INSERT INTO days VALUES ('2024-02-29'), ('0044-03-15 BC'), ('infinity')",
    )
    .await;
    let check = bed.check().await;
    let values: Vec<_> = check.of(Stage::BlocksCopy).collect();
    let told: Vec<_> = values
        .iter()
        .map(|finding| (finding.table.as_deref().unwrap(), finding.evidence.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "public.days",
                "d (date → TEXT): 1 × dates before the year 1 or after 9999, first at key 0044-03-15 BC"
            ),
            (
                "public.m",
                "v (double precision → REAL): 1 × NaN, first at key 1; v (double precision → REAL): 1 × -0.0, first at key 2"
            ),
        ],
        "{values:?}"
    );
    bed.server("DELETE FROM days WHERE d < '0001-01-01'; UPDATE m SET v = 0 WHERE id < 3")
        .await
        .unwrap();
    assert!(bed.check().await.may_copy());
    let running = bed.start().await;
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    bed.server("UPDATE m SET v = 'NaN' WHERE id = 2")
        .await
        .unwrap();
    let why = parked(&running).await;
    assert_eq!(
        why,
        "m holds a value in v that SQLite REAL can't hold: key 2, NaN"
    );
    let there: f64 = bed
        .file()
        .query_row("SELECT v FROM m WHERE id = 2", [], |row| row.get(0))
        .unwrap();
    assert_eq!(there, 0.0, "it is as it was");
    running.park().await;
}
