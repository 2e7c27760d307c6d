-- Money, hours and ratings. Zero, and no hours at all, are what a restaurant had before: always open,
-- no minimum, no fee.

ALTER TABLE restaurants ADD COLUMN currency TEXT NOT NULL DEFAULT 'EUR';
-- OpeningHours as JSON; without any day it is always open.
ALTER TABLE restaurants ADD COLUMN opening_hours TEXT NOT NULL DEFAULT '{}';
ALTER TABLE restaurants ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';
ALTER TABLE restaurants ADD COLUMN minimum_cents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restaurants ADD COLUMN fee_base_cents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restaurants ADD COLUMN fee_per_km_cents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restaurants ADD COLUMN paused_until TEXT;
ALTER TABLE restaurants ADD COLUMN extra_minutes INTEGER NOT NULL DEFAULT 0;
-- The sum and the number of its ratings, so that no average has to read them.
ALTER TABLE restaurants ADD COLUMN rating_stars INTEGER NOT NULL DEFAULT 0;
ALTER TABLE restaurants ADD COLUMN rating_count INTEGER NOT NULL DEFAULT 0;

-- `tags` is a JSON list.
ALTER TABLE menu_items ADD COLUMN category TEXT NOT NULL DEFAULT '';
ALTER TABLE menu_items ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';

-- `fees` (never changed) and `rating` are JSON, sent whole.
ALTER TABLE orders ADD COLUMN fees TEXT NOT NULL DEFAULT '[]';
ALTER TABLE orders ADD COLUMN tip_cents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN currency TEXT NOT NULL DEFAULT 'EUR';
ALTER TABLE orders ADD COLUMN promised_at TEXT;
ALTER TABLE orders ADD COLUMN rating TEXT;

-- An order with the names of its restaurant and driver, in place of order_details, which is what the
-- last version reads.
CREATE VIEW whole_orders AS
SELECT o.id, o.number, o.restaurant_id, r.name AS restaurant_name, r.lat AS restaurant_lat,
    r.lng AS restaurant_lng, o.customer_id, o.customer_name, o.customer_phone, o.items, o.fees,
    o.tip_cents, o.total_cents, o.currency, o.status, o.version, o.timeline, o.driver_id,
    d.name AS driver_name, d.vehicle AS driver_vehicle, o.assigned_by, o.eta, o.ready_by,
    o.promised_at, o.address, o.lat, o.lng, o.note, o.placed_at, o.rating, o.arrival, o.ended
FROM orders o
JOIN restaurants r ON r.id = o.restaurant_id
LEFT JOIN drivers d ON d.id = o.driver_id;
