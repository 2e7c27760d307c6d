-- A restaurant's orders of a day or of some hours, for its summary.
CREATE INDEX orders_by_day ON orders (restaurant_id, placed_at, id);
