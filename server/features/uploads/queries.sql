-- name: insert_upload!
INSERT INTO uploads
    (id, account_id, purpose, restaurant_id, menu_item_id, status, attempts, due_at, media_type,
    size, original_blob, original_type, shown, created_at)
VALUES
    (:id, :account_id, :purpose, :restaurant_id, :menu_item_id, 'queued', 0, :created_at,
    :media_type, :size, :original_blob, :media_type, 0, :created_at);

-- name: upload^
SELECT * FROM uploads WHERE id = :id;

-- name: uploads_of
SELECT * FROM uploads
WHERE account_id = :account_id
AND (created_at < :before_at OR (created_at = :before_at AND id < :before_id))
ORDER BY created_at DESC, id DESC
LIMIT :limit;

-- name: counts_of^
SELECT COUNT(*) AS kept, COUNT(due_at) AS pending FROM uploads WHERE account_id = :account_id;

-- name: due$
SELECT 1 AS found FROM uploads WHERE due_at <= :now LIMIT 1;

-- name: claim^
-- The outer conditions are asked again once a row that another worker has locked is free.
UPDATE uploads
SET status = 'processing', attempts = attempts + 1, due_at = :until, started_at = :now
WHERE due_at <= :before AND attempts < :most AND id = (
    SELECT id FROM uploads
    WHERE due_at <= :before AND attempts < :most
    ORDER BY created_at, id
    LIMIT 1
)
RETURNING *;

-- name: at_work$
SELECT 1 AS found FROM uploads WHERE status = 'processing' AND due_at > :now LIMIT 1;

-- name: give_up!
-- Their worker was lost without a word, once too often.
UPDATE uploads
SET status = 'failed', due_at = NULL, error = :error, finished_at = :now
WHERE due_at <= :now AND attempts >= :most;

-- name: renew!
UPDATE uploads SET due_at = :until
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: finish!
UPDATE uploads
SET status = 'done', due_at = NULL, error = NULL, finished_at = :now,
    original_blob = :original_blob, original_type = :original_type, result_blob = :result_blob,
    width = :width, height = :height
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: fail!
UPDATE uploads SET status = 'failed', due_at = NULL, error = :error, finished_at = :now
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: requeue!
UPDATE uploads SET status = 'queued', due_at = :due_at, error = :error
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: newer_shown$
SELECT 1 AS found FROM uploads
WHERE shown = 1 AND purpose = :purpose
AND ((menu_item_id IS NOT NULL AND menu_item_id = :menu_item_id)
    OR (menu_item_id IS NULL AND account_id = :account_id))
AND (created_at > :created_at OR (created_at = :created_at AND id > :id))
LIMIT 1;

-- name: hide_others
UPDATE uploads SET shown = 0
WHERE shown = 1 AND purpose = :purpose AND id <> :id
AND ((menu_item_id IS NOT NULL AND menu_item_id = :menu_item_id)
    OR (menu_item_id IS NULL AND account_id = :account_id))
RETURNING *;

-- name: show!
UPDATE uploads SET shown = 1 WHERE id = :id;

-- name: delete_upload!
DELETE FROM uploads WHERE id = :id;

-- name: leave_dishes_their_photos!
UPDATE uploads SET account_id = NULL
WHERE account_id = :account_id AND shown = 1 AND purpose = 'menu_item';

-- name: delete_uploads_of
DELETE FROM uploads WHERE account_id = :account_id
RETURNING *;

-- name: ahead$
SELECT COUNT(*) FROM uploads
WHERE due_at IS NOT NULL AND (created_at < :created_at OR (created_at = :created_at AND id < :id));

-- name: pending
SELECT status, COUNT(*) AS uploads FROM uploads WHERE due_at IS NOT NULL GROUP BY status;

-- name: recent
SELECT started_at, finished_at FROM uploads
WHERE finished_at IS NOT NULL AND started_at IS NOT NULL AND status = 'done'
ORDER BY finished_at DESC
LIMIT :limit;

-- name: old_originals$
SELECT 1 AS found FROM uploads
WHERE finished_at <= :before AND original_removed_at IS NULL LIMIT 1;

-- name: drop_originals
UPDATE uploads SET original_removed_at = :now
WHERE finished_at <= :before AND original_removed_at IS NULL
RETURNING original_blob;

-- name: unneed!
INSERT INTO unneeded_blobs (name, due_at) VALUES (:name, :due_at)
ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at;

-- name: need!
DELETE FROM unneeded_blobs WHERE name = :name;

-- name: unneeded
SELECT name FROM unneeded_blobs WHERE due_at <= :now ORDER BY due_at LIMIT :limit;
