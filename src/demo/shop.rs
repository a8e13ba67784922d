//! A believable shop in one SQLite file: composite, text and automatic keys, unique indexes of every sort (plain, partial,
//! over an expression, case-insensitive), a generated column of both sorts, a view, a trigger and foreign keys. The file
//! is the same for the same number of rows and seed.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::error::{DemoError, Doing, Result};

/// Rows when nothing else is asked for.
pub const DEFAULT_ROWS: u64 = 300_000;
/// Fewer do not make a shop: every table needs some.
pub const LEAST_ROWS: u64 = 100;
/// More would overflow the arithmetic that stands in for chance.
pub const MOST_ROWS: u64 = 100_000_000;

/// The shop's tables, parents before children.
pub const TABLES: [&str; 9] = [
    "customers",
    "addresses",
    "products",
    "inventory",
    "orders",
    "order_items",
    "payments",
    "sessions",
    "activity",
];

const FIRST: &[&str] = &[
    "Ana", "Bram", "Chiara", "Deniz", "Elif", "Farah", "Goran", "Hanna", "Ines", "Jonas", "Katja",
    "Liam", "Mei", "Noor", "Oskar", "Priya", "Quinn", "Rosa", "Søren", "Tomás", "Uma", "Věra",
    "Wim", "Xenia", "Yusuf", "Zoë", "Łukasz",
];
const LAST: &[&str] = &[
    "Jansen",
    "Müller",
    "O'Neill",
    "García",
    "Novák",
    "Yılmaz",
    "Nguyen",
    "Rossi",
    "Kowalska",
    "Haddad",
    "de Vries",
    "Lindqvist",
    "Okafor",
    "Papadopoulos",
    "Schmidt",
    "Silva",
    "Tanaka",
    "Petrov",
    "Dubois",
    "Andersson",
    "李",
    "Bakker",
];
const STREET: &[&str] = &[
    "Dorpsstraat",
    "Hauptstraße",
    "Rue de la Paix",
    "Via Roma",
    "Stationsweg",
    "Karlsgatan",
    "Kerkplein",
];
const CITY: &[&str] = &[
    "Utrecht", "Gent", "Köln", "Lyon", "Malmö", "Porto", "Kraków", "Praha", "Torino", "Leiden",
    "Århus",
];
const ADJECTIVE: &[&str] = &[
    "Plain", "Heavy", "Folding", "Quiet", "Tall", "Round", "Woollen", "Copper", "Small", "Warm",
    "Striped",
];
const THING: &[&str] = &[
    "kettle",
    "lamp",
    "chair",
    "blanket",
    "notebook",
    "bicycle bell",
    "teapot",
    "shelf",
    "clock",
    "basket",
    "rug",
];

/// How many rows went where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Each table with its rows, in the order of [`TABLES`].
    pub tables: Vec<(&'static str, u64)>,
}

impl Built {
    /// All rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}

/// Makes a new shop at `path` with about `rows_total` rows (within 1 %), in WAL mode.
///
/// # Errors
/// When the file exists already, cannot be written, or the size is outside [`LEAST_ROWS`]..=[`MOST_ROWS`].
pub fn build(path: &Path, rows_total: u64, seed: u64) -> Result<Built> {
    if !(LEAST_ROWS..=MOST_ROWS).contains(&rows_total) {
        return Err(DemoError::new(format!(
            "a shop has {LEAST_ROWS} to {MOST_ROWS} rows, not {rows_total}"
        )));
    }
    if path.exists() {
        return Err(DemoError::new(format!(
            "{} exists already and is left alone",
            path.display()
        )));
    }
    let mut db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )
    .doing(|| format!("cannot write to {}", path.display()))?;
    // Nobody else has the file yet and a half-built one is thrown away, so nothing is logged while it is filled.
    db.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -65536;")
        .doing(|| format!("cannot write to {}", path.display()))?;
    let built = fill(&mut db, rows_total, seed)
        .doing(|| format!("cannot build the shop in {}", path.display()))?;
    db.execute_batch("PRAGMA journal_mode = WAL;")
        .doing(|| format!("cannot switch {} to WAL mode", path.display()))?;
    Ok(built)
}

fn fill(db: &mut Connection, total: u64, seed: u64) -> rusqlite::Result<Built> {
    let tx = db.transaction()?;
    tx.execute_batch(include_str!("shop_tables.sql"))?;
    for (name, list) in [
        ("first", FIRST),
        ("last", LAST),
        ("street", STREET),
        ("city", CITY),
        ("adjective", ADJECTIVE),
        ("thing", THING),
    ] {
        tx.execute_batch(&format!(
            "CREATE TEMP TABLE w_{name} (i INTEGER PRIMARY KEY, w TEXT)"
        ))?;
        let mut insert = tx.prepare(&format!("INSERT INTO w_{name} (i, w) VALUES (?1, ?2)"))?;
        for (i, word) in list.iter().enumerate() {
            insert.execute((i, word))?;
        }
    }
    let seed = seed % 1_000_003;
    let part = |percent: u64| (total * percent / 100).max(1);
    let (customers, products, orders) = (part(8), part(3), part(18));
    let n = |rows: u64| {
        format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows}), \
             a AS (SELECT n, (n * 48271 + {seed} * 16807 + 11) % 2147483647 AS a FROM n), \
             b AS (SELECT n, a, (a * a) % 2147483647 AS b FROM a), \
             r AS (SELECT n, a, b, (b * b + n) % 2147483647 AS c FROM b)"
        )
    };
    let word = |list: &str, by: &str, words: &[&str]| {
        format!(
            "(SELECT w FROM w_{list} WHERE i = ({by}) % {})",
            words.len()
        )
    };
    let first = word("first", "b", FIRST);
    let last = word("last", "c", LAST);

    let statements = [
        format!(
            "{} INSERT INTO customers SELECT n, 'c' || n || '@' || CASE c % 3 WHEN 0 THEN 'Example.com' ELSE 'shop.example' END, \
             {first} || ' ' || {last}, CASE b % 5 WHEN 0 THEN 'DE' WHEN 1 THEN 'BE' ELSE 'NL' END, \
             CASE WHEN b % 9 = 0 THEN c % 5000 ELSE 0 END, c % 2, \
             CASE b % 4 WHEN 0 THEN NULL WHEN 1 THEN n WHEN 2 THEN 'C-' || n ELSE CAST('c' || n AS BLOB) END, \
             CASE WHEN c % 11 = 0 THEN 'rings twice' WHEN c % 11 = 1 THEN '' END, \
             datetime(1600000000 + n * 900, 'unixepoch'), 1750000000 + c % 1000000 FROM r",
            n(customers)
        ),
        format!(
            "{} INSERT INTO addresses SELECT n, 1 + (n - 1) % {customers}, CASE WHEN n <= {customers} THEN 'Home' ELSE 'billing' END, \
             {} || ' ' || (1 + c % 240), {}, printf('%04d %c%c', 1000 + b % 9000, 65 + c % 26, 65 + b % 26), \
             CASE b % 5 WHEN 0 THEN 'DE' WHEN 1 THEN 'BE' ELSE 'NL' END FROM r",
            n(part(10).min(customers * 2)),
            word("street", "b", STREET),
            word("city", "c", CITY),
        ),
        format!(
            "{} INSERT INTO products SELECT n, printf('SKU-%06d', n), {} || ' ' || {}, 199 + c % 19800, \
             CASE WHEN b % 7 = 0 THEN NULL ELSE (b % 4000) / 128.0 END, \
             '{{\"colour\":' || (c % 12) || ',\"eco\":' || CASE b % 2 WHEN 0 THEN 'true' ELSE 'false' END || '}}', \
             CASE WHEN c % 5 = 0 THEN zeroblob(b % 24) ELSE CAST(printf('%08x%08x', b, c) AS BLOB) END FROM r",
            n(products),
            word("adjective", "b", ADJECTIVE),
            word("thing", "c", THING),
        ),
        // Ordered by key: a table without rowid is its own index, and random order would split pages.
        format!(
            "{} INSERT INTO inventory SELECT CASE (n - 1) / {products} WHEN 0 THEN 'ams' WHEN 1 THEN 'ber' ELSE 'lyo' END, \
             1 + (n - 1) % {products}, c % 400, CASE WHEN b % 3 > 0 THEN 1750000000 + b % 1000000 END FROM r",
            n(part(7).min(products * 3))
        ),
        format!(
            "{} INSERT INTO orders (id, customer_id, status, placed_at, shipping_cents, remark) SELECT n, 1 + c % {customers}, \
             CASE WHEN n % 9 >= 7 THEN 'new' WHEN b % 10 = 0 THEN 'returned' WHEN b % 10 < 3 THEN 'paid' ELSE 'shipped' END, \
             1700000000 + n * 60, CASE WHEN b % 4 = 0 THEN 0 ELSE 495 END, \
             CASE WHEN c % 8 = 0 THEN 'leave with the neighbours' END FROM r",
            n(orders)
        ),
        // Six lines are three orders of one, two and three lines.
        format!(
            "{}, l AS (SELECT a, b, c, (n - 1) / 6 * 3 + CASE WHEN (n - 1) % 6 = 0 THEN 1 WHEN (n - 1) % 6 < 3 THEN 2 ELSE 3 END AS o, \
             CASE (n - 1) % 6 WHEN 0 THEN 1 WHEN 1 THEN 1 WHEN 3 THEN 1 WHEN 2 THEN 2 WHEN 4 THEN 2 ELSE 3 END AS line FROM r) \
             INSERT INTO order_items SELECT o, line, 1 + c % {products}, 1 + b % 4, 199 + c % 19800 FROM l WHERE o <= {orders}",
            n(orders * 2)
        ),
        "UPDATE orders SET total_cents = t.sum FROM \
         (SELECT order_id, sum(quantity * unit_price_cents) AS sum FROM order_items GROUP BY order_id) t WHERE t.order_id = orders.id"
            .to_owned(),
        "INSERT INTO payments (order_id, reference, method, amount_cents, fee, answer, paid_at) \
         SELECT id, printf('PAY-%010d', id), CASE id % 3 WHEN 0 THEN 'card' WHEN 1 THEN 'ideal' ELSE 'invoice' END, \
         grand_total_cents, grand_total_cents / 4096.0, CASE WHEN id % 4 > 0 THEN CAST(printf('ok:%x', id * 48271) AS BLOB) END, \
         placed_at + 30 FROM orders WHERE status <> 'new'"
            .to_owned(),
        format!(
            "{} INSERT INTO sessions SELECT printf('%08x%08x', (b * 2 + n % 2), n), \
             CASE WHEN n <= {customers} THEN n END, CASE WHEN n <= {customers} AND c % 4 = 0 THEN 1 ELSE 0 END, \
             CASE c % 3 WHEN 0 THEN NULL WHEN 1 THEN zeroblob(c % 16) ELSE CAST('cart=' || c AS BLOB) END, 1750000000 + b % 1000000 FROM r",
            n(part(4))
        ),
    ];
    for statement in &statements {
        tx.execute(statement, [])?;
    }
    tx.execute_batch(include_str!("shop_after.sql"))?;
    tx.execute_batch("ANALYZE")?;
    let tables = TABLES
        .iter()
        .map(|table| {
            Ok((
                *table,
                tx.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                    row.get(0)
                })?,
            ))
        })
        .collect::<rusqlite::Result<_>>()?;
    tx.commit()?;
    Ok(Built { tables })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_is_whole_in_wal_mode_and_of_the_size_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        let built = build(&path, 20_000, 7).unwrap();
        assert!((19_800..=20_200).contains(&built.rows()), "{built:?}");
        let db = Connection::open(&path).unwrap();
        let text = |sql: &str| {
            db.query_row(sql, [], |row| row.get::<_, String>(0))
                .unwrap()
        };
        assert_eq!(text("PRAGMA journal_mode"), "wal");
        assert_eq!(text("PRAGMA integrity_check"), "ok");
        let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(number("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        assert_eq!(
            number("SELECT count(*) FROM orders WHERE total_cents = 0"),
            0,
            "every order has lines and a total"
        );
        assert!(number("SELECT count(DISTINCT typeof(legacy_ref)) FROM customers") == 4);
        assert!(number("SELECT count(*) FROM customer_revenue WHERE cents > 0") > 100);
    }

    #[test]
    fn the_same_seed_gives_the_same_shop_and_another_seed_another() {
        let dir = tempfile::tempdir().unwrap();
        let shop = |name: &str, seed| {
            let path = dir.path().join(name);
            build(&path, 2_000, seed).unwrap();
            path
        };
        let (a, b, c) = (shop("a.db", 7), shop("b.db", 7), shop("c.db", 8));
        assert!(crate::demo::compare::compare(&a, &b, &[]).unwrap().equal());
        assert!(!crate::demo::compare::compare(&a, &c, &[]).unwrap().equal());
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        std::fs::write(&path, "mine").unwrap();
        assert!(build(&path, 1_000, 7).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        assert!(build(&dir.path().join("tiny.db"), 3, 7).is_err());
    }
}
