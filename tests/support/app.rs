//! Applications that write to the shop: the demo's own in a process, and a rough one at full speed in a thread.

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidegate::demo::app::{self, AppOptions, ack, control};
use tidegate::demo::witness;

const APP: &str = "TIDEGATE_TEST_APP";

/// What the process is when it was started to be the application. Call it from a test named `application`.
pub fn be_the_application() {
    let Ok(options) = std::env::var(APP) else {
        return;
    };
    let (rate, db) = options.split_once(' ').unwrap();
    let db = PathBuf::from(db);
    app::run_app(AppOptions {
        control_dir: control_dir(&db),
        db,
        writes_per_second: rate.parse().unwrap(),
        seed: 7,
        tethered: true,
    })
    .unwrap();
}

fn control_dir(db: &Path) -> PathBuf {
    db.with_extension("app")
}

/// The demo's application in a process of its own. It ends with this value, or with this process.
pub struct App {
    child: Child,
    db: PathBuf,
}

impl App {
    /// Starts it and waits until it writes.
    pub fn start(db: &Path, rate: u32) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "application", "--nocapture"])
            .env(APP, format!("{rate} {}", db.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let app = Self {
            child,
            db: db.to_path_buf(),
        };
        let began = Instant::now();
        while app.acknowledged() == 0 {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the application does not write"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        app
    }

    pub fn acknowledged(&self) -> u64 {
        let status = witness::status(&control_dir(&self.db)).ok();
        status
            .filter(|s| s.pid == self.child.id())
            .map_or(0, |s| s.acknowledged)
    }

    /// Ends it, and says what it found wrong: transactions that failed for good.
    pub fn stop(mut self) -> witness::Status {
        control::send(&control_dir(&self.db), &"stop".parse().unwrap()).unwrap();
        assert!(self.child.wait().unwrap().success());
        witness::status(&control_dir(&self.db)).unwrap()
    }

    /// Everything it was told is committed is in `db`, once.
    pub fn assert_whole(source: &Path, db: &Path) {
        let counted = witness::count(&ack::path(&control_dir(source)), db).unwrap();
        assert!(counted.whole(), "{counted:?}");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Already over in most tests; a failed one must not leave it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes to a shop as fast as it can: inserts, updates, deletes, changed keys, REPLACE that evicts other rows.
pub struct Rough {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    busy: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

const DEEDS: &[&str] = &[
    "UPDATE orders SET remark = 'changed ' || ?1 WHERE id = 1 + ?1 % (SELECT max(id) FROM orders)",
    "UPDATE customers SET name = name || '.', updated_at = ?1 WHERE id = 1 + ?1 % (SELECT max(id) FROM customers)",
    "UPDATE customers SET name = 'N' || ?1, note = CASE ?1 % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE '0' END WHERE id = 1 + ?1 % (SELECT max(id) FROM customers)",
    "INSERT INTO customers (email, name, created_at, updated_at) VALUES ('r' || ?1 || '@x', 'R', 'now', ?1)",
    "INSERT INTO orders (customer_id, status, placed_at, remark) SELECT id, 'new', ?1, NULL FROM customers LIMIT 1",
    "DELETE FROM order_items WHERE order_id = 1 + ?1 % (SELECT max(id) FROM orders)",
    "DELETE FROM sessions WHERE token = (SELECT token FROM sessions WHERE token > printf('%08x', ?1 * 2654435761 % 4294967296) LIMIT 1)",
    "INSERT INTO sessions (token, payload, seen_at) VALUES (printf('%08x', ?1 * 2654435761 % 4294967296) || 'R' || ?1, NULL, ?1)",
    // Keys change, in case only too; half of a composite key.
    "UPDATE OR REPLACE sessions SET token = CASE ?1 % 2 WHEN 0 THEN upper(token) ELSE token || 'm' END WHERE token = (SELECT token FROM sessions WHERE token > printf('%08x', ?1 * 2654435761 % 4294967296) LIMIT 1)",
    "UPDATE OR REPLACE customers SET id = id + 1 WHERE id = 1 + ?1 % (SELECT max(id) FROM customers)",
    "UPDATE OR IGNORE payments SET id = (SELECT max(id) + 1 FROM payments) WHERE id = (SELECT id FROM payments WHERE id > ?1 LIMIT 1)",
    "UPDATE OR REPLACE inventory SET warehouse = 'ber' WHERE warehouse = 'ams' AND product_id = 1 + ?1 % 500",
    // Rows are evicted: by the key, by a unique column, by an index over an expression, by a partial one.
    "REPLACE INTO products (id, sku, name, price_cents, weight_kg, attributes, thumbnail) SELECT id, sku, 'P' || ?1, ?1 % 1000, NULL, '{}', x'00' FROM products WHERE id = 1 + ?1 % (SELECT max(id) FROM products)",
    "REPLACE INTO payments (order_id, reference, method, amount_cents, paid_at) SELECT order_id, reference, 'again', 1, ?1 FROM payments WHERE id > ?1 LIMIT 1",
    "REPLACE INTO addresses (customer_id, kind, street, city, postcode) SELECT customer_id, upper(kind), 'R' || ?1, city, postcode FROM addresses WHERE id > ?1 % 1000 LIMIT 1",
    "REPLACE INTO sessions (token, customer_id, remembered, seen_at) SELECT 'rem' || ?1, customer_id, 1, ?1 FROM sessions WHERE remembered = 1 LIMIT 1",
];

impl Rough {
    /// Writes with so much patience for locks; between two transactions it sleeps so long.
    pub fn start(path: &Path, patience: Duration, pause: Duration) -> Self {
        let mut rough = Self {
            stop: Arc::default(),
            done: Arc::default(),
            busy: Arc::default(),
            thread: None,
        };
        let (stop, done) = (Arc::clone(&rough.stop), Arc::clone(&rough.done));
        let busy = Arc::clone(&rough.busy);
        let path = path.to_path_buf();
        let thread = std::thread::spawn(move || {
            let conn = Connection::open(path).unwrap();
            conn.busy_timeout(patience).unwrap();
            conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = 0")
                .unwrap();
            let mut random = fastrand::Rng::with_seed(11);
            while !stop.load(Ordering::Relaxed) {
                let deed = DEEDS[random.usize(..DEEDS.len())];
                match write(&conn, deed, random.i64(1..1 << 30)) {
                    Ok(()) => {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) if is_busy(&error) => {
                        busy.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => assert!(error.to_string().contains("UNIQUE"), "{error}: {deed}"),
                }
                if !pause.is_zero() {
                    std::thread::sleep(pause);
                }
            }
        });
        rough.thread = Some(thread);
        rough
    }

    /// At full speed, patient.
    pub fn full(path: &Path) -> Self {
        Self::start(path, Duration::from_secs(10), Duration::ZERO)
    }

    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How often it met a lock for longer than its patience.
    pub fn busy(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }

    /// Ends it; gives how many transactions it committed.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.done()
    }
}

impl Drop for Rough {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(conn: &Connection, deed: &str, number: i64) -> rusqlite::Result<()> {
    if number % 8 != 0 {
        return conn.prepare_cached(deed)?.execute([number]).map(drop);
    }
    // Several statements in one transaction; two rows exchange what must be unique.
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let both = conn
        .prepare_cached(deed)
        .and_then(|mut s| s.execute([number]))
        .and_then(|_| {
            conn.execute_batch(&format!(
                "CREATE TEMP TABLE IF NOT EXISTS pair (a, ea, b, eb); DELETE FROM temp.pair;
                 INSERT INTO temp.pair SELECT x.id, x.email, y.id, y.email FROM customers x, customers y
                   WHERE x.id = (SELECT id FROM customers WHERE id >= {number} % (SELECT max(id) FROM customers) LIMIT 1)
                   AND y.id = (SELECT id FROM customers WHERE id >= {number} / 7 % (SELECT max(id) FROM customers) LIMIT 1) AND x.id <> y.id;
                 UPDATE customers SET email = 'between' WHERE id = (SELECT a FROM temp.pair);
                 UPDATE customers SET email = (SELECT ea FROM temp.pair) WHERE id = (SELECT b FROM temp.pair);
                 UPDATE customers SET email = (SELECT eb FROM temp.pair) WHERE id = (SELECT a FROM temp.pair);"
            ))
        });
    match both.and_then(|()| conn.execute_batch("COMMIT")) {
        Ok(()) => Ok(()),
        Err(error) => {
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK")?;
            }
            Err(error)
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
