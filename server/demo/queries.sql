-- name: town_claimed$
SELECT value FROM meta WHERE name = 'demo_town';

-- name: claim_town!
INSERT INTO meta (name, value) VALUES ('demo_town', :at) ON CONFLICT (name) DO NOTHING;

-- name: photos_claimed$
SELECT value FROM meta WHERE name = 'demo_photos';

-- name: claim_photos!
INSERT INTO meta (name, value) VALUES ('demo_photos', :at) ON CONFLICT (name) DO NOTHING;

-- name: dish^
-- The photo belongs to the demo's employee if it is their restaurant, else to its autopilot.
SELECT menu_items.id AS menu_item_id, menu_items.restaurant_id, menu_items.photo_url, accounts.id AS account_id
FROM menu_items
JOIN restaurants ON restaurants.id = menu_items.restaurant_id
JOIN accounts ON accounts.restaurant_id = restaurants.id AND accounts.role = 'employee'
WHERE restaurants.name = :restaurant AND menu_items.name = :name AND menu_items.removed_at IS NULL
ORDER BY accounts.demo IS NULL, accounts.demo, accounts.created_at
LIMIT 1;

-- name: add_photo!
-- Without `started_at` it does not count in the estimate of how long photos take.
INSERT INTO uploads
    (id, account_id, purpose, restaurant_id, menu_item_id, status, attempts, media_type, size,
    original_blob, original_type, result_blob, width, height, shown, created_at, finished_at,
    arrival)
VALUES
    (:id, :account_id, :purpose, :restaurant_id, :menu_item_id, 'done', 1, 'image/jpeg', :size,
    :original_blob, 'image/jpeg', :result_blob, :width, :height, 1, :at, :at,
    :arrival);
