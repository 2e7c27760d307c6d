-- name: placed_beyond$
SELECT id FROM orders
WHERE restaurant_id = :restaurant_id AND placed_at >= :since AND placed_at < :until
LIMIT 1 OFFSET :most;

-- name: placed
SELECT id, placed_at, status, total_cents, currency, items, timeline, ready_by FROM orders
WHERE restaurant_id = :restaurant_id AND placed_at >= :since AND placed_at < :until
AND (placed_at > :since OR id > :id)
ORDER BY placed_at, id
LIMIT :limit;
