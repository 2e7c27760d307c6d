-- What a commit writes is counted in pages: indexes that each event, message or order wrote into and
-- that little asked for.

-- When a topic's first event was appended that is still stored; null where none is. Old events are
-- found by it: unlike an index of all events, it is not written with each of them.
ALTER TABLE topics ADD COLUMN oldest TEXT;
UPDATE topics SET oldest = (SELECT at FROM events WHERE topic = name ORDER BY seq LIMIT 1);
CREATE INDEX topics_oldest ON topics (oldest) WHERE oldest IS NOT NULL;
DROP INDEX events_at;

-- The employees who have written in a chat are among those whom it names.
INSERT INTO chat_staff (account_id, chat_id)
SELECT DISTINCT sender_id, chat_id FROM chat_messages WHERE sender_role = 'employee'
ON CONFLICT (account_id, chat_id) DO NOTHING;
DROP INDEX chat_messages_sender;

-- `ended` is 1 once an order is delivered or cancelled. The lists of a customer and of a restaurant
-- are read in two halves, so that those under way need no index of their own.
ALTER TABLE orders ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
UPDATE orders SET ended = 1 WHERE status IN ('delivered', 'cancelled');
DROP INDEX orders_customer;
DROP INDEX orders_restaurant;
DROP INDEX orders_under_way;
DROP INDEX orders_under_way_of_customer;
CREATE INDEX orders_of_customer ON orders (customer_id, ended, arrival, id);
CREATE INDEX orders_of_restaurant ON orders (restaurant_id, ended, number, id);

DROP VIEW order_details;
CREATE VIEW order_details AS
SELECT o.id, o.number, o.restaurant_id, r.name AS restaurant_name, r.lat AS restaurant_lat,
    r.lng AS restaurant_lng, o.customer_id, o.customer_name, o.customer_phone, o.items,
    o.total_cents, o.status, o.version, o.timeline, o.driver_id, d.name AS driver_name,
    d.vehicle AS driver_vehicle, o.assigned_by, o.eta, o.ready_by, o.address, o.lat, o.lng, o.note,
    o.placed_at, o.arrival, o.ended
FROM orders o
JOIN restaurants r ON r.id = o.restaurant_id
LEFT JOIN drivers d ON d.id = o.driver_id;
