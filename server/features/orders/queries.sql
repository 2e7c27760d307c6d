-- name: order^
SELECT * FROM whole_orders WHERE id = :id
/*+ FIRST SELECT 1 FROM orders WHERE id = :id FOR NO KEY UPDATE */;

-- name: orders_of_customer
-- Those under way, or those that have ended.
SELECT * FROM whole_orders
WHERE customer_id = :owner AND ended = :ended AND arrival >= :least
AND (arrival < :before OR (arrival = :before AND id < :id))
ORDER BY arrival DESC, id DESC
LIMIT :limit;

-- name: orders_of_restaurant
SELECT * FROM whole_orders
WHERE restaurant_id = :owner AND ended = :ended AND number >= :least
AND (number < :before OR (number = :before AND id < :id))
ORDER BY number DESC, id DESC
LIMIT :limit;

-- name: orders_placed
SELECT details.*
FROM orders JOIN whole_orders details ON details.id = orders.id
WHERE orders.restaurant_id = :owner AND orders.placed_at >= :since
AND (orders.placed_at < :before OR (orders.placed_at = :before AND orders.id < :id))
ORDER BY orders.placed_at DESC, orders.id DESC
LIMIT :limit;

-- name: changed_orders
SELECT details.*, orders.changed_seq
FROM orders JOIN whole_orders details ON details.id = orders.id
WHERE orders.customer_id = :customer_id AND orders.changed_seq > :after
ORDER BY orders.changed_seq
LIMIT :limit;

-- name: placed_before_others$
-- When the customer placed the order that came before their last `others` orders: `arrival` counts
-- them, and none is ever deleted.
SELECT placed_at FROM orders
WHERE customer_id = :customer_id AND ended IN (0, 1) AND arrival = (
    SELECT MAX(arrival) FROM (
        SELECT MAX(arrival) AS arrival FROM orders WHERE customer_id = :customer_id AND ended = 0
        UNION ALL
        SELECT MAX(arrival) AS arrival FROM orders WHERE customer_id = :customer_id AND ended = 1
    ) AS last
) - :others
/*+ FIRST SELECT 1 FROM accounts WHERE id = :customer_id FOR NO KEY UPDATE */;

-- name: tracked^
SELECT id, restaurant_id, customer_id, status, version, eta, timeline FROM orders WHERE id = :id;

-- name: parties^
SELECT restaurant_id, customer_id FROM orders WHERE id = :id;

-- name: insert_order!
INSERT INTO orders
    (id, number, restaurant_id, customer_id, customer_name, customer_phone, items, fees,
     tip_cents, total_cents, currency, status, version, timeline, driver_id, eta, ready_by,
     promised_at, address, lat, lng, note, placed_at, changed_seq, ended, arrival)
VALUES
    (:id, :number, :restaurant_id, :customer_id, :customer_name, :customer_phone, :items,
     :fees, :tip_cents, :total_cents, :currency, :status, :version, :timeline, :driver_id, :eta,
     :ready_by, :promised_at, :address, :lat, :lng, :note, :placed_at, :changed_seq, :ended,
     (SELECT COALESCE(MAX(arrival), 0) + 1 FROM (
         SELECT MAX(arrival) AS arrival FROM orders WHERE customer_id = :customer_id AND ended = 0
         UNION ALL
         SELECT MAX(arrival) AS arrival FROM orders WHERE customer_id = :customer_id AND ended = 1
     ) AS last));

-- name: update_order!
UPDATE orders
SET status = :status, version = :version, timeline = :timeline, driver_id = :driver_id,
    assigned_by = :assigned_by, eta = :eta, ready_by = :ready_by, promised_at = :promised_at,
    changed_seq = :changed_seq
WHERE id = :id;

-- name: rate_order!
UPDATE orders SET rating = :rating, changed_seq = :changed_seq WHERE id = :id;

-- name: end_order!
-- Apart from the other steps: a column that is set is written into its indexes, changed or not.
UPDATE orders SET ended = 1 WHERE id = :id;

-- name: carried
SELECT id, number, status, driver_id FROM orders
WHERE restaurant_id = :restaurant_id AND driver_id IS NOT NULL AND ended = 0
ORDER BY number, id;

-- name: on_the_way
SELECT * FROM whole_orders
WHERE driver_id = :driver_id AND status = 'out_for_delivery'
ORDER BY number, id;

-- name: deliveries
SELECT id, restaurant_id, customer_id FROM orders
WHERE driver_id = :driver_id AND status = 'out_for_delivery'
ORDER BY number, id;

-- name: open_orders_of$
SELECT COUNT(*) FROM orders
WHERE customer_id = :customer_id AND ended = 0;

-- name: orders_naming
SELECT * FROM whole_orders WHERE id IN (
    SELECT id FROM orders WHERE customer_id = :account_id
    UNION
    SELECT order_id FROM order_staff WHERE account_id = :account_id
)
/*+ FIRST SELECT 1 FROM orders WHERE id IN (
    SELECT id FROM orders WHERE customer_id = :account_id
    UNION
    SELECT order_id FROM order_staff WHERE account_id = :account_id
) ORDER BY id FOR NO KEY UPDATE */;

-- name: add_staff!
INSERT INTO order_staff (account_id, order_id) VALUES (:account_id, :order_id)
ON CONFLICT (account_id, order_id) DO NOTHING;

-- name: drop_staff!
DELETE FROM order_staff WHERE account_id = :account_id;

-- name: rewrite_order!
UPDATE orders
SET customer_name = :customer_name, customer_phone = :customer_phone, items = :items,
    timeline = :timeline, assigned_by = :assigned_by, address = :address, lat = :lat, lng = :lng,
    note = :note, rating = :rating
WHERE id = :id;
