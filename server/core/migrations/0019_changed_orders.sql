-- Which orders changed after a cursor: the `seq` that the customer's state topic had at the last
-- change of each. 0: it has not changed since this was introduced.
ALTER TABLE orders ADD COLUMN changed_seq BIGINT NOT NULL DEFAULT 0;
CREATE INDEX orders_changed ON orders (customer_id, changed_seq);
