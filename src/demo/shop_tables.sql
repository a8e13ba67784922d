CREATE TABLE customers (
  id           INTEGER PRIMARY KEY,
  email        TEXT NOT NULL COLLATE NOCASE,
  name         TEXT NOT NULL,
  country      TEXT NOT NULL DEFAULT 'NL',
  credit_cents INTEGER NOT NULL DEFAULT 0,
  newsletter   BOOLEAN NOT NULL DEFAULT 0,
  legacy_ref,                                   -- came from an older system: number, text, bytes or nothing
  note         TEXT,
  created_at   TEXT NOT NULL,
  updated_at   INTEGER NOT NULL
);

CREATE TABLE addresses (
  id           INTEGER PRIMARY KEY,
  customer_id  INTEGER NOT NULL REFERENCES customers(id) ON DELETE CASCADE,
  kind         TEXT NOT NULL,
  street       TEXT NOT NULL,
  city         TEXT NOT NULL,
  postcode     TEXT NOT NULL,
  country      TEXT NOT NULL DEFAULT 'NL'
);

CREATE TABLE products (
  id           INTEGER PRIMARY KEY,
  sku          TEXT NOT NULL UNIQUE,
  name         TEXT NOT NULL,
  price_cents  INTEGER NOT NULL CHECK (price_cents >= 0),
  weight_kg    REAL,
  attributes   TEXT,
  thumbnail    BLOB,
  price_eur    REAL GENERATED ALWAYS AS (price_cents / 100.0) VIRTUAL
);

CREATE TABLE inventory (
  warehouse    TEXT NOT NULL,
  product_id   INTEGER NOT NULL REFERENCES products(id),
  quantity     INTEGER NOT NULL DEFAULT 0,
  counted_at   INTEGER,
  PRIMARY KEY (warehouse, product_id)
) WITHOUT ROWID;

CREATE TABLE orders (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,
  customer_id       INTEGER NOT NULL REFERENCES customers(id),
  status            TEXT NOT NULL CHECK (status IN ('new', 'paid', 'shipped', 'returned')),
  placed_at         INTEGER NOT NULL,
  total_cents       INTEGER NOT NULL DEFAULT 0,
  shipping_cents    INTEGER NOT NULL DEFAULT 495,
  remark            TEXT,
  grand_total_cents INTEGER GENERATED ALWAYS AS (total_cents + shipping_cents) STORED
);

CREATE TABLE order_items (
  order_id         INTEGER NOT NULL REFERENCES orders(id) ON DELETE CASCADE,
  line             INTEGER NOT NULL,
  product_id       INTEGER NOT NULL REFERENCES products(id),
  quantity         INTEGER NOT NULL,
  unit_price_cents INTEGER NOT NULL,
  PRIMARY KEY (order_id, line)
);

CREATE TABLE payments (
  id           INTEGER PRIMARY KEY,
  order_id     INTEGER NOT NULL REFERENCES orders(id) ON DELETE CASCADE,
  reference    TEXT NOT NULL UNIQUE,
  method       TEXT NOT NULL,
  amount_cents INTEGER NOT NULL,
  fee          REAL NOT NULL DEFAULT 0.0,
  answer       BLOB,
  paid_at      INTEGER NOT NULL
);

CREATE TABLE sessions (
  token        TEXT PRIMARY KEY COLLATE NOCASE NOT NULL,
  customer_id  INTEGER REFERENCES customers(id) ON DELETE CASCADE,
  remembered   INTEGER NOT NULL DEFAULT 0,
  payload      BLOB,
  seen_at      INTEGER NOT NULL
);

-- One row for each write the application had acknowledged. `op` is unique by the way it is counted, and deliberately not by
-- a constraint: a write that landed twice must be visible, not refused.
CREATE TABLE activity (
  id           INTEGER PRIMARY KEY,
  op           INTEGER NOT NULL,
  kind         TEXT NOT NULL,
  digest       INTEGER NOT NULL,
  at_ms        INTEGER NOT NULL
);
