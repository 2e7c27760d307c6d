-- name: restaurants
SELECT id, name, cuisine, description, address, lat, lng, preparation_minutes, delivery_radius_m
FROM restaurants ORDER BY name, id;

-- name: restaurant^
SELECT id, name, cuisine, description, address, lat, lng, preparation_minutes, delivery_radius_m
FROM restaurants WHERE id = :id;

-- name: restaurant_named$
SELECT id FROM restaurants WHERE id = :name OR LOWER(name) = LOWER(:name);

-- name: insert_restaurant!
-- Each starts in another thousand, so that a customer seldom has the same number from two.
INSERT INTO restaurants
    (id, name, cuisine, description, address, lat, lng, preparation_minutes, delivery_radius_m,
     last_number)
SELECT :id, :name, :cuisine, :description, :address, :lat, :lng, :preparation_minutes,
    :delivery_radius_m, 1000 * (1 + COUNT(*) % 9)
FROM restaurants;

-- name: set_radius!
UPDATE restaurants SET delivery_radius_m = :metres WHERE id = :id;

-- name: next_number$
UPDATE restaurants SET last_number = last_number + 1 WHERE id = :id RETURNING last_number;

-- name: menu
SELECT id, name, description, price_cents, available, photo_url, version FROM menu_items
WHERE restaurant_id = :restaurant_id AND removed_at IS NULL
ORDER BY position, id;

-- name: menu_item^
SELECT id, name, description, price_cents, available, photo_url, version FROM menu_items
WHERE id = :id AND restaurant_id = :restaurant_id AND removed_at IS NULL;

-- name: lock_menu_item^
SELECT id, name, description, price_cents, available, photo_url, version FROM menu_items
WHERE id = :id AND restaurant_id = :restaurant_id AND removed_at IS NULL
/*+ FOR NO KEY UPDATE */;

-- name: menu_length$
SELECT COUNT(*) FROM menu_items WHERE restaurant_id = :restaurant_id AND removed_at IS NULL
/*+ FIRST SELECT 1 FROM restaurants WHERE id = :restaurant_id FOR NO KEY UPDATE */;

-- name: insert_menu_item!
INSERT INTO menu_items
    (id, restaurant_id, position, name, description, price_cents, available)
SELECT :id, :restaurant_id, COALESCE(MAX(position), 0) + 1,
    :name, :description, :price_cents, :available
FROM menu_items WHERE restaurant_id = :restaurant_id;

-- name: update_menu_item!
UPDATE menu_items
SET name = :name, description = :description, price_cents = :price_cents, available = :available,
    version = :version
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
