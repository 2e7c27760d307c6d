-- Orders. `items` (never changed) and `timeline` (only added to) are JSON, read and sent whole.

CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    restaurant_id TEXT NOT NULL REFERENCES restaurants (id),
    customer_id TEXT NOT NULL,
    customer_name TEXT NOT NULL,
    customer_phone TEXT,
    items TEXT NOT NULL,
    total_cents INTEGER NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    timeline TEXT NOT NULL,
    driver_id TEXT REFERENCES drivers (id),
    assigned_by TEXT,
    eta TEXT,
    ready_by TEXT,
    address TEXT NOT NULL,
    lat DOUBLE PRECISION NOT NULL,
    lng DOUBLE PRECISION NOT NULL,
    note TEXT,
    placed_at TEXT NOT NULL
);
CREATE INDEX orders_customer ON orders (customer_id, placed_at, id);
CREATE INDEX orders_restaurant ON orders (restaurant_id, placed_at, id);
CREATE INDEX orders_open ON orders (restaurant_id, status);

-- An order with the names of its restaurant and driver.
CREATE VIEW order_details AS
SELECT o.id, o.number, o.restaurant_id, r.name AS restaurant_name, r.lat AS restaurant_lat,
    r.lng AS restaurant_lng, o.customer_id, o.customer_name, o.customer_phone, o.items,
    o.total_cents, o.status, o.version, o.timeline, o.driver_id, d.name AS driver_name,
    d.vehicle AS driver_vehicle, o.assigned_by, o.eta, o.ready_by, o.address, o.lat, o.lng, o.note,
    o.placed_at
FROM orders o
JOIN restaurants r ON r.id = o.restaurant_id
LEFT JOIN drivers d ON d.id = o.driver_id;
