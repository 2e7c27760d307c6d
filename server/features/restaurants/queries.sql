-- name: restaurants
SELECT * FROM restaurants ORDER BY name, id;

-- name: restaurant^
SELECT * FROM restaurants WHERE id = :id;

-- name: lock_restaurant^
SELECT * FROM restaurants WHERE id = :id
/*+ FOR NO KEY UPDATE */;

-- name: restaurant_named$
SELECT id FROM restaurants WHERE id = :name OR LOWER(name) = LOWER(:name);

-- name: insert_restaurant!
-- Each starts in another thousand, so that a customer seldom has the same number from two.
INSERT INTO restaurants
    (id, name, cuisine, description, address, lat, lng, preparation_minutes, delivery_radius_m,
     currency, opening_hours, time_zone, minimum_cents, fee_base_cents, fee_per_km_cents,
     last_number)
SELECT :id, :name, :cuisine, :description, :address, :lat, :lng, :preparation_minutes,
    :delivery_radius_m, :currency, :opening_hours, :time_zone, :minimum_cents, :fee_base_cents,
    :fee_per_km_cents, 1000 * (1 + COUNT(*) % 9)
FROM restaurants;

-- name: update_restaurant!
UPDATE restaurants
SET cuisine = :cuisine, description = :description, preparation_minutes = :preparation_minutes,
    extra_minutes = :extra_minutes, delivery_radius_m = :delivery_radius_m,
    paused_until = :paused_until, currency = :currency, opening_hours = :opening_hours,
    time_zone = :time_zone, minimum_cents = :minimum_cents, fee_base_cents = :fee_base_cents,
    fee_per_km_cents = :fee_per_km_cents
WHERE id = :id;

-- name: reprice!
UPDATE menu_items SET version = version + 1
WHERE restaurant_id = :restaurant_id AND removed_at IS NULL;

-- name: add_rating!
UPDATE restaurants
SET rating_stars = rating_stars + :stars, rating_count = rating_count + :number
WHERE id = :id;

-- name: set_radius!
UPDATE restaurants SET delivery_radius_m = :metres WHERE id = :id;

-- name: next_number^
UPDATE restaurants SET last_number = last_number + 1 WHERE id = :id
RETURNING last_number, paused_until;

-- name: menu
SELECT id, name, description, price_cents, available, category, tags, photo_url, version
FROM menu_items
WHERE restaurant_id = :restaurant_id AND removed_at IS NULL
ORDER BY position, id;

-- name: menu_item^
SELECT id, name, description, price_cents, available, category, tags, photo_url, version
FROM menu_items
WHERE id = :id AND restaurant_id = :restaurant_id AND removed_at IS NULL;

-- name: lock_menu_item^
SELECT id, name, description, price_cents, available, category, tags, photo_url, version
FROM menu_items
WHERE id = :id AND restaurant_id = :restaurant_id AND removed_at IS NULL
/*+ FOR NO KEY UPDATE */;

-- name: menu_length$
SELECT COUNT(*) FROM menu_items WHERE restaurant_id = :restaurant_id AND removed_at IS NULL
/*+ FIRST SELECT 1 FROM restaurants WHERE id = :restaurant_id FOR NO KEY UPDATE */;

-- name: insert_menu_item!
INSERT INTO menu_items
    (id, restaurant_id, position, name, description, price_cents, available, category, tags)
SELECT :id, :restaurant_id, COALESCE(MAX(position), 0) + 1,
    :name, :description, :price_cents, :available, :category, :tags
FROM menu_items WHERE restaurant_id = :restaurant_id;

-- name: update_menu_item!
UPDATE menu_items
SET name = :name, description = :description, price_cents = :price_cents, available = :available,
    category = :category, tags = :tags, version = :version
WHERE id = :id;

-- name: set_photo!
UPDATE menu_items SET photo_url = :photo_url
WHERE id = :id AND restaurant_id = :restaurant_id AND removed_at IS NULL;

-- name: remove_menu_item!
UPDATE menu_items SET removed_at = :at
WHERE id = :id AND restaurant_id = :restaurant_id AND removed_at IS NULL;

-- name: drivers
SELECT id, name, vehicle, phone FROM drivers
WHERE restaurant_id = :restaurant_id ORDER BY name, id;

-- name: driver^
SELECT id, name, vehicle, phone FROM drivers
WHERE id = :id AND restaurant_id = :restaurant_id;

-- name: insert_driver!
INSERT INTO drivers (id, restaurant_id, name, vehicle, phone)
VALUES (:id, :restaurant_id, :name, :vehicle, :phone);
