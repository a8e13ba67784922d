CREATE SCHEMA "Shop";
CREATE EXTENSION pg_trgm;
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE DOMAIN positive AS numeric(12,2) DEFAULT 1 NOT NULL CHECK (VALUE > 0) CONSTRAINT small CHECK (VALUE < 1e9);
CREATE TYPE address AS (street text COLLATE "C", zip varchar(10), how mood);
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FUNCTION "Shop".tax(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT amount * 0.2 $$;
CREATE SEQUENCE "Shop".tickets INCREMENT BY -2 START WITH 100 MINVALUE 1 MAXVALUE 1000;
CREATE SEQUENCE counter AS integer CYCLE CACHE 5;

CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 2) PRIMARY KEY,
  email varchar(100) NOT NULL UNIQUE,
  status varchar(10) DEFAULT 'new' CHECK (status IN ('new', 'old', 'gone')),
  feeling mood DEFAULT 'sad',
  home address,
  favourite bigint,
  born timestamp(3) without time zone,
  code text COLLATE "C",
  CHECK (born > '1900-01-01' OR feeling = 'happy' AND NOT (status = 'old'))
);
CREATE TABLE "Shop"."Order Items" (
  "Order" serial,
  "Item No" int DEFAULT nextval('counter'),
  price positive,
  gross numeric GENERATED ALWAYS AS (price + "Shop".tax(price)) STORED,
  customer bigint REFERENCES customers,
  tags text[] DEFAULT '{a,b}',
  during span,
  note text,
  PRIMARY KEY ("Order", "Item No"),
  EXCLUDE USING gist (during WITH &&)
) WITH (fillfactor = 70);
ALTER TABLE customers ADD COLUMN dropped int;
ALTER TABLE customers DROP COLUMN dropped;
ALTER TABLE customers ADD COLUMN last_item int;
ALTER TABLE customers ADD CONSTRAINT "last order" FOREIGN KEY (favourite, last_item) REFERENCES "Shop"."Order Items" ("Order", "Item No")
  MATCH FULL ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE customers ALTER COLUMN favourite TYPE int;
ALTER TABLE "Shop"."Order Items" ADD CONSTRAINT noted CHECK (note <> '') NOT VALID;
CREATE INDEX lower_email ON customers (lower(email) DESC NULLS LAST) WHERE status <> 'gone';
CREATE INDEX trgm ON customers USING gin (email gin_trgm_ops);
CREATE UNIQUE INDEX "one Note" ON "Shop"."Order Items" (note) INCLUDE (price) WHERE note IS NOT NULL;
CREATE STATISTICS linked (dependencies, ndistinct) ON email, status FROM customers;
CREATE STATISTICS "Shop".expr ON (price * 2), note FROM "Shop"."Order Items";

CREATE TABLE events (id uuid NOT NULL, at date NOT NULL, kind text, payload jsonb, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE events_2 PARTITION OF events (CONSTRAINT late CHECK (kind <> 'early')) FOR VALUES FROM ('2025-01-01') TO (MAXVALUE) PARTITION BY HASH (at);
CREATE TABLE events_2a PARTITION OF events_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_2b PARTITION OF events_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX events_kind ON events (kind);
CREATE INDEX events_only_2a ON events_2a (payload);
ALTER TABLE events ADD COLUMN customer bigint REFERENCES customers;

CREATE TABLE keyed (a int NOT NULL, b text NOT NULL, c text);
CREATE UNIQUE INDEX keyed_by ON keyed (b, a);
ALTER TABLE keyed REPLICA IDENTITY USING INDEX keyed_by;
CREATE TABLE whole (id int PRIMARY KEY, t text COLLATE ci);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE keyless (a int);
CREATE TABLE nothing (a int PRIMARY KEY);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE UNLOGGED TABLE cache (a int PRIMARY KEY);
CREATE TABLE parent (a int PRIMARY KEY);
CREATE TABLE child (b int) INHERITS (parent);
CREATE TABLE later (a int PRIMARY KEY DEFERRABLE);

CREATE VIEW "Shop".summary WITH (security_barrier) AS SELECT c.id, c.email, o.price FROM customers c JOIN "Shop"."Order Items" o ON o.customer = c.id;
CREATE VIEW a_view AS SELECT * FROM "Shop".summary WHERE price > 1;
CREATE MATERIALIZED VIEW totals AS SELECT customers.id, count(*) AS n FROM customers LEFT JOIN a_view ON a_view.id = customers.id GROUP BY customers.id;
CREATE UNIQUE INDEX totals_id ON totals (id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.born := now(); RETURN NEW; END $f$;
CREATE FUNCTION best(n int) RETURNS SETOF customers LANGUAGE sql AS $$ SELECT * FROM public.customers LIMIT n $$;
CREATE TRIGGER touched BEFORE UPDATE OF email ON customers FOR EACH ROW WHEN (OLD.email <> NEW.email) EXECUTE FUNCTION touch();
CREATE TRIGGER asleep AFTER INSERT ON "Shop"."Order Items" FOR EACH STATEMENT EXECUTE FUNCTION touch();
ALTER TABLE "Shop"."Order Items" DISABLE TRIGGER asleep;

COMMENT ON SCHEMA "Shop" IS 'what''s sold';
COMMENT ON TABLE customers IS 'who buys
in two lines \ and a backslash';
COMMENT ON COLUMN "Shop"."Order Items"."Item No" IS 'counted';
COMMENT ON INDEX lower_email IS 'for logins';
COMMENT ON CONSTRAINT "last order" ON customers IS 'a cycle';
COMMENT ON TYPE mood IS 'how';
COMMENT ON DOMAIN positive IS 'above zero';
COMMENT ON CONSTRAINT small ON DOMAIN positive IS 'less than a milliard';
COMMENT ON TYPE address IS 'where';
COMMENT ON VIEW a_view IS 'seen';
COMMENT ON FUNCTION touch() IS 'touches';
COMMENT ON TRIGGER touched ON customers IS 'fires';
COMMENT ON SEQUENCE counter IS 'counts';

INSERT INTO customers (email, born) VALUES ('a@b', '2000-01-01'), ('c@d', '2001-01-01');
INSERT INTO "Shop"."Order Items" (customer, note) VALUES (10, 'x');
INSERT INTO events SELECT gen_random_uuid(), '2024-12-30'::date + n, 'k' FROM generate_series(1, 10) n;
SELECT nextval('"Shop".tickets'), nextval('"Shop".tickets');
