CREATE UNIQUE INDEX customers_email ON customers (email);
CREATE INDEX customers_name ON customers (lower(name));
CREATE INDEX customers_in_credit ON customers (credit_cents) WHERE credit_cents > 0;
CREATE UNIQUE INDEX addresses_one_of_a_kind ON addresses (customer_id, lower(kind));
CREATE INDEX products_price ON products (price_cents);
CREATE INDEX inventory_product ON inventory (product_id);
CREATE INDEX orders_customer ON orders (customer_id, placed_at DESC);
CREATE INDEX orders_open ON orders (placed_at) WHERE status IN ('new', 'paid');
CREATE INDEX order_items_product ON order_items (product_id);
CREATE INDEX payments_order ON payments (order_id);
CREATE UNIQUE INDEX sessions_remembered ON sessions (customer_id) WHERE remembered = 1;
CREATE INDEX sessions_seen ON sessions (seen_at);
CREATE INDEX sessions_customer ON sessions (customer_id);
CREATE INDEX activity_op ON activity (op);

CREATE VIEW customer_revenue AS
  SELECT c.id, c.name, count(o.id) AS orders, coalesce(sum(o.grand_total_cents), 0) AS cents
  FROM customers c LEFT JOIN orders o ON o.customer_id = c.id
  GROUP BY c.id;

CREATE TRIGGER order_items_total AFTER INSERT ON order_items BEGIN
  UPDATE orders SET total_cents = total_cents + NEW.quantity * NEW.unit_price_cents WHERE id = NEW.order_id;
END;
