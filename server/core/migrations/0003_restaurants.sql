-- Restaurants, their menus, their drivers.

CREATE TABLE restaurants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    cuisine TEXT NOT NULL,
    description TEXT NOT NULL,
    address TEXT NOT NULL,
    lat DOUBLE PRECISION NOT NULL,
    lng DOUBLE PRECISION NOT NULL,
    preparation_minutes INTEGER NOT NULL,
    last_number INTEGER NOT NULL
);
CREATE UNIQUE INDEX restaurants_name ON restaurants (name);

-- A dish that is removed stays for the orders that name it; `available` is 0 or 1.
CREATE TABLE menu_items (
    id TEXT PRIMARY KEY,
    restaurant_id TEXT NOT NULL REFERENCES restaurants (id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    available INTEGER NOT NULL,
    photo_url TEXT,
    removed_at TEXT
);
CREATE INDEX menu_items_restaurant ON menu_items (restaurant_id, position);

CREATE TABLE drivers (
    id TEXT PRIMARY KEY,
    restaurant_id TEXT NOT NULL REFERENCES restaurants (id),
    name TEXT NOT NULL,
    vehicle TEXT NOT NULL,
    phone TEXT
);
CREATE INDEX drivers_restaurant ON drivers (restaurant_id, name);
