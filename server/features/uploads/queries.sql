-- name: next_arrival^
UPDATE upload_turns SET arrivals = arrivals + 1 RETURNING turn, arrivals;

-- name: last_turn$
SELECT MAX(turn) FROM uploads WHERE account_id = :account_id AND status = 'queued';

-- name: insert_upload!
INSERT INTO uploads
    (id, account_id, purpose, restaurant_id, menu_item_id, status, attempts, media_type, size,
    original_bytes, original_blob, original_type, shown, created_at, turn, arrival)
VALUES
    (:id, :account_id, :purpose, :restaurant_id, :menu_item_id, 'queued', 0, :media_type, :size,
    :size, :original_blob, :media_type, 0, :created_at, :turn, :arrival);

-- name: upload^
SELECT * FROM uploads WHERE id = :id /*+ FOR NO KEY UPDATE */;

-- name: uploads_of
SELECT * FROM uploads
WHERE account_id = :account_id
AND (arrival < :place OR (arrival = :place AND id < :id))
ORDER BY arrival DESC, id DESC
LIMIT :limit;

-- name: usage_of^
SELECT COUNT(*) AS uploads, COALESCE(SUM(original_bytes + result_bytes), 0) AS bytes,
    COUNT(CASE WHEN status IN ('queued', 'processing') THEN 1 END) AS pending
FROM uploads WHERE account_id = :account_id
/*+ FIRST SELECT 1 FROM accounts WHERE id = :account_id FOR NO KEY UPDATE */;

-- name: any_ready$
SELECT 1 AS found FROM uploads WHERE status = 'queued' AND due_at IS NULL LIMIT 1;

-- name: any_pause_over$
SELECT 1 AS found FROM uploads WHERE due_at <= :now OR due_at > :latest LIMIT 1;

-- name: any_paused$
SELECT 1 AS found FROM uploads WHERE due_at IS NOT NULL LIMIT 1;

-- name: end_pauses!
UPDATE uploads SET due_at = NULL WHERE due_at <= :now OR due_at > :latest;

-- name: claim^
UPDATE uploads
SET status = 'processing', attempts = attempts + 1, beat = 0, started_at = :now
WHERE status = 'queued' AND id = (
    SELECT id FROM uploads
    WHERE status = 'queued' AND due_at IS NULL
    ORDER BY turn, arrival
    LIMIT 1
    /*+ FOR UPDATE SKIP LOCKED */
)
RETURNING *;

-- name: advance_turn!
UPDATE upload_turns SET turn = :turn WHERE turn < :turn;

-- name: active_attempts
SELECT id, attempts, beat FROM uploads WHERE status = 'processing';

-- name: reclaim!
UPDATE uploads SET status = 'queued'
WHERE id = :id AND attempts = :attempts AND beat = :beat AND status = 'processing';

-- name: fail_exhausted!
UPDATE uploads SET status = 'failed', error = :error, finished_at = :now
WHERE id = :id AND status = 'queued'
AND (attempts - waits - excused >= :most OR attempts - waits >= :most_of_all);

-- name: renew!
UPDATE uploads SET beat = beat + 1
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: finish!
UPDATE uploads
SET status = 'done', error = NULL, finished_at = :now, original_bytes = :original_bytes,
    result_bytes = :result_bytes, original_blob = :original_blob, original_type = :original_type,
    result_blob = :result_blob, width = :width, height = :height
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: fail!
UPDATE uploads SET status = 'failed', error = :error, finished_at = :now
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: requeue!
UPDATE uploads
SET status = 'queued', due_at = :due_at, error = :error, excused = excused + :excused,
    waits = waits + :waits
WHERE id = :id AND attempts = :attempts AND status = 'processing';

-- name: newer_shown$
SELECT 1 AS found FROM uploads
WHERE shown = 1 AND purpose = :purpose
AND ((menu_item_id IS NOT NULL AND menu_item_id = :menu_item_id)
    OR (menu_item_id IS NULL AND account_id = :account_id))
AND arrival > :arrival
LIMIT 1
/*+ FIRST SELECT 1 FROM menu_items WHERE id = :menu_item_id FOR NO KEY UPDATE */
/*+ FIRST SELECT 1 FROM accounts WHERE id = :account_id FOR NO KEY UPDATE */;

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

-- name: disown_dish_photos!
UPDATE uploads SET account_id = NULL
WHERE account_id = :account_id AND shown = 1 AND purpose = 'menu_item';

-- name: delete_uploads_of
DELETE FROM uploads WHERE account_id = :account_id
RETURNING *;

-- name: count_ahead$
SELECT COUNT(*) FROM (
    SELECT 1 FROM uploads
    WHERE status = 'queued' AND due_at IS NULL
    AND (turn < :turn OR (turn = :turn AND arrival < :arrival))
    LIMIT :most
) AS before_it;

-- name: count_queued$
SELECT COUNT(*) FROM (
    SELECT 1 FROM uploads WHERE status = 'queued' AND due_at IS NULL LIMIT :most
) AS waiting;

-- name: recently_done
SELECT started_at, finished_at FROM uploads
WHERE status = 'done' AND original_removed_at IS NULL AND started_at IS NOT NULL
ORDER BY finished_at DESC
LIMIT :limit;

-- name: old_originals
SELECT id FROM uploads
WHERE original_removed_at IS NULL AND status = :status AND finished_at <= :before
ORDER BY finished_at
LIMIT :limit;

-- name: drop_original^
UPDATE uploads SET original_removed_at = :now, original_bytes = 0
WHERE id = :id AND original_removed_at IS NULL
RETURNING original_blob;

-- name: schedule_removal!
INSERT INTO unneeded_blobs (name, due_at) VALUES (:name, :due_at)
ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at;

-- name: cancel_removal!
DELETE FROM unneeded_blobs WHERE name = :name;

-- name: removals_due
SELECT name FROM unneeded_blobs WHERE due_at <= :now ORDER BY due_at LIMIT :limit;
