-- Lists go by numbers that only grow, not by a clock that may be put back; dishes have a version,
-- restaurants a delivery radius.

-- `arrival` counts a customer's orders, all chats and all announcements as they come; a restaurant's
-- orders have their `number`, photos have had their `arrival` before.
ALTER TABLE orders ADD COLUMN arrival BIGINT NOT NULL DEFAULT 0;
UPDATE orders SET arrival = numbered.place
FROM (
    SELECT id, ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY placed_at, id) AS place
    FROM orders
) AS numbered
WHERE numbered.id = orders.id;
DROP INDEX orders_customer;
DROP INDEX orders_restaurant;
CREATE INDEX orders_customer ON orders (customer_id, arrival, id);
CREATE INDEX orders_restaurant ON orders (restaurant_id, number, id);

DROP VIEW order_details;
CREATE VIEW order_details AS
SELECT o.id, o.number, o.restaurant_id, r.name AS restaurant_name, r.lat AS restaurant_lat,
    r.lng AS restaurant_lng, o.customer_id, o.customer_name, o.customer_phone, o.items,
    o.total_cents, o.status, o.version, o.timeline, o.driver_id, d.name AS driver_name,
    d.vehicle AS driver_vehicle, o.assigned_by, o.eta, o.ready_by, o.address, o.lat, o.lng, o.note,
    o.placed_at, o.arrival
FROM orders o
JOIN restaurants r ON r.id = o.restaurant_id
LEFT JOIN drivers d ON d.id = o.driver_id;

ALTER TABLE chats ADD COLUMN arrival BIGINT NOT NULL DEFAULT 0;
UPDATE chats SET arrival = numbered.place
FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY opened_at, id) AS place FROM chats) AS numbered
WHERE numbered.id = chats.id;
DROP INDEX chats_customer;
DROP INDEX chats_status;
CREATE INDEX chats_customer ON chats (customer_id, arrival, id);
CREATE INDEX chats_status ON chats (status, arrival, id);
CREATE INDEX chats_arrival ON chats (arrival);

ALTER TABLE announcements ADD COLUMN arrival BIGINT NOT NULL DEFAULT 0;
UPDATE announcements SET arrival = numbered.place
FROM (
    SELECT id, ROW_NUMBER() OVER (ORDER BY published_at, id) AS place FROM announcements
) AS numbered
WHERE numbered.id = announcements.id;
DROP INDEX announcements_published;
CREATE INDEX announcements_arrival ON announcements (arrival, id);

-- Photos that were never in the queue had no number: they came before the others.
UPDATE upload_turns SET arrivals = arrivals + (SELECT COUNT(*) FROM uploads WHERE arrival = 0);
UPDATE uploads SET arrival = arrival + (SELECT COUNT(*) FROM uploads WHERE arrival = 0)
WHERE arrival > 0;
UPDATE uploads SET arrival = numbered.place
FROM (
    SELECT id, ROW_NUMBER() OVER (ORDER BY created_at, id) AS place FROM uploads WHERE arrival = 0
) AS numbered
WHERE numbered.id = uploads.id;
DROP INDEX uploads_account;
CREATE INDEX uploads_account ON uploads (account_id, arrival, id);

-- `version` counts a dish's changes of name, description and price from 1.
ALTER TABLE menu_items ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- In metres, straight; 0 is no limit, as it was. The demo's town is one that bicycles ride.
ALTER TABLE restaurants ADD COLUMN delivery_radius_m INTEGER NOT NULL DEFAULT 0;
UPDATE restaurants SET delivery_radius_m = 5000
WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'demo_town');

-- The time that old data is judged by: see server/core/retention.py.
INSERT INTO meta (name, value)
SELECT 'retention_time', newest.at FROM (SELECT MAX(at) AS at FROM events) AS newest
WHERE newest.at IS NOT NULL;
