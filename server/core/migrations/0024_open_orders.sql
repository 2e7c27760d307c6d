-- The open orders of a customer and of a restaurant, in the order of their lists: few, however many
-- are over.
DROP INDEX orders_open;
CREATE INDEX orders_open_customer ON orders (customer_id, arrival, id)
WHERE status NOT IN ('delivered', 'cancelled');
CREATE INDEX orders_open_restaurant ON orders (restaurant_id, number, id)
WHERE status NOT IN ('delivered', 'cancelled');
