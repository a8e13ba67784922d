//! What people do in a shop, one transaction each, chosen for what makes a migration hard: keys that change (in case only,
//! too), REPLACE that evicts another row through a unique, partial or expression index, upserts, cascades, triggers.

use rusqlite::{OptionalExtension, Transaction, params_from_iter, types::Value};
use xxhash_rust::xxh3::Xxh3;

type Done = rusqlite::Result<bool>;
type Deed = fn(&mut Visit<'_>) -> Done;

/// Each deed with how often it happens, in percent.
const DEEDS: [(u32, &str, Deed); 17] = [
    (22, "order", |v| v.order()),
    (14, "pay", |v| v.pay()),
    (4, "pay again", |v| v.pay_again()),
    (2, "renumber payment", |v| v.renumber_payment()),
    (12, "edit customer", |v| v.edit_customer()),
    (4, "register", |v| v.register()),
    (2, "close account", |v| v.close_account()),
    (4, "move house", |v| v.move_house()),
    (9, "log in", |v| v.log_in()),
    (3, "stay logged in", |v| v.stay_logged_in()),
    (6, "browse", |v| v.browse()),
    (5, "renew token", |v| v.renew_token()),
    (4, "log out", |v| v.log_out()),
    (4, "count stock", |v| v.count_stock()),
    (2, "move stock", |v| v.move_stock()),
    (2, "edit product", |v| v.edit_product()),
    (1, "cancel order", |v| v.cancel_order()),
];

/// Does operation `op` and adds its row to `activity`; the caller commits. Returns the digest of what was done. The same
/// `op` and `seed` do the same to the same database.
pub(super) fn perform(
    tx: &Transaction<'_>,
    op: u64,
    seed: u64,
    at_ms: i64,
) -> rusqlite::Result<i64> {
    let rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ op);
    let mut visit = Visit {
        tx,
        rng,
        digest: Xxh3::new(),
        op: op as i64,
        now: at_ms / 1_000,
    };
    let mut roll = visit.rng.u32(..100);
    let mut kind = "log in";
    let mut deed: Deed = |v| v.log_in();
    for (percent, name, candidate) in DEEDS {
        if roll < percent {
            (kind, deed) = (name, candidate);
            break;
        }
        roll -= percent;
    }
    // Nothing to pay, nobody to log out: somebody new comes in instead.
    if !deed(&mut visit)? {
        kind = "log in";
        visit.log_in()?;
    }
    visit.digest.update(kind.as_bytes());
    let digest = visit.digest.digest() as i64;
    tx.prepare_cached("INSERT INTO activity (op, kind, digest, at_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute((op as i64, kind, digest, at_ms))?;
    Ok(digest)
}

/// The digest of an operation that is already in the database.
pub(super) fn recorded(tx: &Transaction<'_>, op: u64) -> rusqlite::Result<Option<i64>> {
    tx.query_row(
        "SELECT digest FROM activity WHERE op = ?1",
        [op as i64],
        |row| row.get(0),
    )
    .optional()
}

/// The bug of the new version: a status that the schema does not allow.
pub(super) fn blunder(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE orders SET status = 'shiped' WHERE id = (SELECT max(id) FROM orders)",
        [],
    )
    .map(drop)
}

struct Visit<'t> {
    tx: &'t Transaction<'t>,
    rng: fastrand::Rng,
    digest: Xxh3,
    op: i64,
    now: i64,
}

const A_CUSTOMER: &str = "SELECT id FROM customers WHERE id >= ?1 % (SELECT max(id) + 1 FROM customers) ORDER BY id LIMIT 1";
const A_PRODUCT: &str = "SELECT id FROM products WHERE id >= ?1 % (SELECT max(id) + 1 FROM products) ORDER BY id LIMIT 1";
const AN_ORDER: &str =
    "SELECT id FROM orders WHERE id >= ?1 % (SELECT max(id) + 1 FROM orders) ORDER BY id LIMIT 1";
const AN_OPEN_ORDER: &str = "SELECT id FROM orders WHERE status IN ('new', 'paid') AND placed_at >= 1700000000 + ?1 % (?2 - 1700000000) \
                             ORDER BY placed_at LIMIT 1";

impl Visit<'_> {
    /// Runs one statement, counts it into the digest, and says whether it changed a row.
    fn run(&mut self, sql: &str, values: &[Value]) -> Done {
        self.digest.update(sql.as_bytes());
        for value in values {
            match value {
                Value::Null => self.digest.update(b"n"),
                Value::Integer(i) => self.digest.update(&i.to_le_bytes()),
                Value::Real(r) => self.digest.update(&r.to_le_bytes()),
                Value::Text(t) => self.digest.update(t.as_bytes()),
                Value::Blob(b) => self.digest.update(b),
            }
            self.digest.update(b"|");
        }
        Ok(self
            .tx
            .prepare_cached(sql)?
            .execute(params_from_iter(values))?
            > 0)
    }

    fn any(&mut self, sql: &str) -> rusqlite::Result<Option<i64>> {
        let chance = self.rng.i64(0..1 << 40);
        let mut statement = self.tx.prepare_cached(sql)?;
        let used = statement.parameter_count();
        let binds = [chance, self.now.max(1_700_000_001)];
        statement
            .query_row(params_from_iter(&binds[..used]), |row| row.get(0))
            .optional()
    }

    fn any_token(&mut self) -> rusqlite::Result<Option<String>> {
        let from = format!("{:08x}", self.rng.u32(..));
        self.tx
            .prepare_cached("SELECT token FROM sessions WHERE token >= ?1 ORDER BY token LIMIT 1")?
            .query_row([from], |row| row.get(0))
            .optional()
    }

    fn new_token(&mut self) -> String {
        format!("{:08x}{:012x}", self.rng.u32(..), self.op)
    }

    fn payload(&mut self) -> Value {
        match self.rng.u8(..6) {
            0 => Value::Null,
            1 => Value::Blob(vec![0; self.rng.usize(..12)]),
            2 => Value::Text(format!("cart={}", self.rng.u16(..))),
            _ => Value::Blob(
                std::iter::repeat_with(|| self.rng.u8(..))
                    .take(24)
                    .collect(),
            ),
        }
    }

    fn note(&mut self) -> Value {
        match self.rng.u8(..6) {
            0 => Value::Null,
            1 => Value::Text(String::new()),
            2 => Value::Text("it's \"fragile\"; don't shake — ★ 猫".to_owned()),
            3 => Value::Text("ends in a NUL\0".to_owned()),
            _ => Value::Text(format!("called at {}", self.now)),
        }
    }

    fn warehouse(&mut self) -> Value {
        Value::Text(["ams", "ber", "lyo"][self.rng.usize(..3)].to_owned())
    }

    fn order(&mut self) -> Done {
        let Some(customer) = self.any(A_CUSTOMER)? else {
            return Ok(false);
        };
        let remark = self.note();
        self.run(
            "INSERT INTO orders (customer_id, status, placed_at, remark) VALUES (?1, 'new', ?2, ?3)",
            &[customer.into(), self.now.into(), remark],
        )?;
        let order = self.tx.last_insert_rowid();
        for line in 1..=self.rng.i64(1..=4) {
            let Some(product) = self.any(A_PRODUCT)? else {
                break;
            };
            let quantity = self.rng.i64(1..=3);
            self.run(
                "INSERT INTO order_items (order_id, line, product_id, quantity, unit_price_cents) \
                 SELECT ?1, ?2, id, ?4, price_cents FROM products WHERE id = ?3",
                &[order.into(), line.into(), product.into(), quantity.into()],
            )?;
            self.run(
                "UPDATE inventory SET quantity = quantity - ?2 WHERE product_id = ?1",
                &[product.into(), quantity.into()],
            )?;
        }
        Ok(true)
    }

    fn pay(&mut self) -> Done {
        let Some(order) = self.any(AN_OPEN_ORDER)? else {
            return Ok(false);
        };
        let reference = format!("PAY-{:x}-{order}", self.op);
        self.run(
            "INSERT INTO payments (order_id, reference, method, amount_cents, fee, answer, paid_at) \
             SELECT id, ?2, 'card', grand_total_cents, grand_total_cents * 0.014 + 0.25, NULL, ?3 FROM orders WHERE id = ?1",
            &[order.into(), reference.into(), self.now.into()],
        )?;
        self.run(
            "UPDATE orders SET status = CASE status WHEN 'new' THEN 'paid' ELSE 'shipped' END WHERE id = ?1",
            &[order.into()],
        )
    }

    /// The bank sends the same reference again: the row under it goes, one with a new key comes.
    fn pay_again(&mut self) -> Done {
        let Some(order) = self.any(AN_ORDER)? else {
            return Ok(false);
        };
        let answer = self.payload();
        self.run(
            "INSERT OR REPLACE INTO payments (order_id, reference, method, amount_cents, fee, answer, paid_at) \
             SELECT order_id, reference, 'transfer', amount_cents, 0.0, ?2, ?3 FROM payments WHERE order_id = ?1 LIMIT 1",
            &[order.into(), answer, self.now.into()],
        )
    }

    fn renumber_payment(&mut self) -> Done {
        let Some(order) = self.any(AN_ORDER)? else {
            return Ok(false);
        };
        self.run(
            "UPDATE payments SET id = (SELECT max(id) + 1 FROM payments) \
             WHERE id = (SELECT min(id) FROM payments WHERE order_id = ?1)",
            &[order.into()],
        )
    }

    fn edit_customer(&mut self) -> Done {
        let Some(customer) = self.any(A_CUSTOMER)? else {
            return Ok(false);
        };
        let (id, now): (Value, Value) = (customer.into(), self.now.into());
        match self.rng.u8(..4) {
            0 => self.run(
                "UPDATE customers SET email = upper(email), updated_at = ?2 WHERE id = ?1",
                &[id, now],
            ),
            1 => self.run(
                "UPDATE customers SET credit_cents = credit_cents + 500 WHERE id = ?1",
                &[id],
            ),
            2 => {
                let other = self.payload();
                self.run(
                    "UPDATE customers SET legacy_ref = ?2 WHERE id = ?1",
                    &[id, other],
                )
            }
            _ => {
                let note = self.note();
                self.run(
                    "UPDATE customers SET note = ?2, updated_at = ?3 WHERE id = ?1",
                    &[id, note, now],
                )
            }
        }
    }

    fn register(&mut self) -> Done {
        let email = format!("New{}@shop.example", self.op);
        self.run(
            "INSERT INTO customers (email, name, newsletter, created_at, updated_at) \
             VALUES (?1, 'Newcomer ' || ?2, ?2 % 2, datetime(?3, 'unixepoch'), ?3)",
            &[email.into(), self.op.into(), self.now.into()],
        )?;
        let customer = self.tx.last_insert_rowid();
        self.run(
            "INSERT INTO addresses (customer_id, kind, street, city, postcode) VALUES (?1, 'Home', 'Kerkplein 1', 'Leiden', '2311 AA')",
            &[customer.into()],
        )
    }

    /// Takes addresses and sessions along by cascade; customers with orders stay.
    fn close_account(&mut self) -> Done {
        let Some(customer) = self.any(A_CUSTOMER)? else {
            return Ok(false);
        };
        self.run(
            "DELETE FROM customers WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM orders WHERE customer_id = ?1)",
            &[customer.into()],
        )
    }

    /// Evicts the old address through the index on an expression, whatever the case it was written in.
    fn move_house(&mut self) -> Done {
        let Some(customer) = self.any(A_CUSTOMER)? else {
            return Ok(false);
        };
        let kind = ["home", "HOME", "Billing"][self.rng.usize(..3)].to_owned();
        let street = format!("Stationsweg {}", self.rng.u8(..));
        self.run(
            "INSERT OR REPLACE INTO addresses (customer_id, kind, street, city, postcode) VALUES (?1, ?2, ?3, 'Gent', '9000')",
            &[customer.into(), kind.into(), street.into()],
        )
    }

    fn log_in(&mut self) -> Done {
        let customer = self.any(A_CUSTOMER)?.map_or(Value::Null, Value::Integer);
        let (token, payload) = (self.new_token(), self.payload());
        self.run(
            "INSERT INTO sessions (token, customer_id, payload, seen_at) VALUES (?1, ?2, ?3, ?4)",
            &[token.into(), customer, payload, self.now.into()],
        )
    }

    /// Evicts the customer's remembered session through a partial unique index.
    fn stay_logged_in(&mut self) -> Done {
        let Some(customer) = self.any(A_CUSTOMER)? else {
            return Ok(false);
        };
        let (token, payload) = (self.new_token(), self.payload());
        self.run(
            "REPLACE INTO sessions (token, customer_id, remembered, payload, seen_at) VALUES (?1, ?2, 1, ?3, ?4)",
            &[token.into(), customer.into(), payload, self.now.into()],
        )
    }

    fn browse(&mut self) -> Done {
        let Some(token) = self.any_token()? else {
            return Ok(false);
        };
        let payload = self.payload();
        self.run(
            "UPDATE sessions SET payload = ?2, seen_at = ?3 WHERE token = ?1",
            &[token.into(), payload, self.now.into()],
        )
    }

    /// The key changes; one time in four only in case, which this table's collation calls the same.
    fn renew_token(&mut self) -> Done {
        let Some(token) = self.any_token()? else {
            return Ok(false);
        };
        let new = if self.rng.u8(..4) == 0 {
            token.to_uppercase()
        } else {
            self.new_token()
        };
        self.run(
            "UPDATE sessions SET token = ?2 WHERE token = ?1",
            &[token.into(), new.into()],
        )
    }

    fn log_out(&mut self) -> Done {
        let Some(token) = self.any_token()? else {
            return Ok(false);
        };
        self.run("DELETE FROM sessions WHERE token = ?1", &[token.into()])
    }

    fn count_stock(&mut self) -> Done {
        let Some(product) = self.any(A_PRODUCT)? else {
            return Ok(false);
        };
        let (warehouse, quantity) = (self.warehouse(), self.rng.i64(..400).abs());
        self.run(
            "INSERT INTO inventory (warehouse, product_id, quantity, counted_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (warehouse, product_id) DO UPDATE SET quantity = excluded.quantity, counted_at = excluded.counted_at",
            &[warehouse, product.into(), quantity.into(), self.now.into()],
        )
    }

    /// Half of the composite key changes; stock that is there already is overwritten.
    fn move_stock(&mut self) -> Done {
        let Some(product) = self.any(A_PRODUCT)? else {
            return Ok(false);
        };
        let (from, to) = (self.warehouse(), self.warehouse());
        self.run(
            "UPDATE OR REPLACE inventory SET warehouse = ?3 WHERE warehouse = ?1 AND product_id = ?2",
            &[from, product.into(), to],
        )
    }

    fn edit_product(&mut self) -> Done {
        let Some(product) = self.any(A_PRODUCT)? else {
            return Ok(false);
        };
        if self.rng.bool() {
            // The whole row again under the same key, as an import does it.
            return self.run(
                "REPLACE INTO products (id, sku, name, price_cents, weight_kg, attributes, thumbnail) \
                 SELECT id, sku, name, price_cents + 1, weight_kg * 1.5, attributes, NULL FROM products WHERE id = ?1",
                &[product.into()],
            );
        }
        let sku = format!("SKU-N{:08}", self.op);
        self.run(
            "UPDATE products SET sku = ?2 WHERE id = ?1",
            &[product.into(), sku.into()],
        )
    }

    fn cancel_order(&mut self) -> Done {
        let Some(order) = self.any(AN_ORDER)? else {
            return Ok(false);
        };
        self.run("DELETE FROM orders WHERE id = ?1", &[order.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::shop;

    #[test]
    fn the_deeds_are_a_hundred_percent_and_each_one_works() {
        assert_eq!(DEEDS.iter().map(|d| d.0).sum::<u32>(), 100);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        shop::build(&path, 2_000, 7).unwrap();
        let mut db = rusqlite::Connection::open(&path).unwrap();
        db.pragma_update(None, "foreign_keys", true).unwrap();
        let tx = db.transaction().unwrap();
        for op in 1..=3_000 {
            perform(&tx, op, 7, 1_790_000_000_000).unwrap();
        }
        let mut kinds = tx
            .prepare("SELECT kind, count(*) FROM activity GROUP BY kind")
            .unwrap();
        let kinds: Vec<(String, i64)> = kinds
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(kinds.len(), DEEDS.len(), "{kinds:?}");
        let broken: i64 = tx
            .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |r| {
                r.get(0)
            })
            .unwrap();
        assert_eq!(broken, 0);
        assert!(blunder(&tx).is_err());
        assert_eq!(recorded(&tx, 3_001).unwrap(), None);
        assert!(recorded(&tx, 3_000).unwrap().is_some());
    }
}
