-- Photos take turns by account, and nothing in their queue goes by a clock.

-- `turn`: accounts take turns, and the lowest is next; an account's photos have one each.
-- `arrival` counts the photos in the order they came, 0 for those that never were in the queue.
-- `beat` moves while a worker has the photo; where it has stood still for as long as a lease, its
-- worker is lost. `excused` are those of the `attempts` that ended through no fault of the photo.
-- `original_bytes` and `result_bytes` are what its blobs take. `due_at` is set only while a photo
-- waits for another attempt.
ALTER TABLE uploads ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN arrival INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN beat INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN excused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN original_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN result_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE uploads SET due_at = NULL;
UPDATE uploads SET original_bytes = size WHERE original_removed_at IS NULL;
UPDATE uploads SET arrival = numbered.place
FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY created_at, id) AS place FROM uploads) AS numbered
WHERE numbered.id = uploads.id;

-- One row: the turn that it is, and how many photos have come.
CREATE TABLE upload_turns (
    turn INTEGER NOT NULL,
    arrivals INTEGER NOT NULL
);
INSERT INTO upload_turns (turn, arrivals) SELECT 0, COUNT(*) FROM uploads;

DROP INDEX uploads_due;
DROP INDEX uploads_finished;
CREATE INDEX uploads_ready ON uploads (turn, arrival) WHERE status = 'queued' AND due_at IS NULL;
CREATE INDEX uploads_paused ON uploads (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX uploads_at_work ON uploads (id, attempts, beat) WHERE status = 'processing';
CREATE INDEX uploads_kept ON uploads (account_id, status, turn, original_bytes, result_bytes);
CREATE INDEX uploads_shown ON uploads (menu_item_id, account_id) WHERE shown = 1;
CREATE INDEX uploads_originals ON uploads (status, finished_at) WHERE original_removed_at IS NULL;
