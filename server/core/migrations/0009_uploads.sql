-- Uploaded photos, which are at the same time the queue of those whose background is to go.

-- `due_at`: while queued, when it may be taken; while processing, when the lease of its worker
-- ends; null once it is final. `attempts` counts the workers that have taken it, and a worker ends
-- its own attempt alone. The blobs are names in the blob store. `shown` is 1 where it is the
-- dish's photo or the avatar at present. Without `account_id` it is the photo of a dish whose
-- sender's account was deleted.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    account_id TEXT,
    purpose TEXT NOT NULL,
    restaurant_id TEXT,
    menu_item_id TEXT,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at TEXT,
    error TEXT,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    original_blob TEXT NOT NULL,
    original_type TEXT NOT NULL,
    result_blob TEXT,
    width INTEGER,
    height INTEGER,
    shown INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    original_removed_at TEXT
);
CREATE INDEX uploads_account ON uploads (account_id, created_at, id);
CREATE INDEX uploads_due ON uploads (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX uploads_finished ON uploads (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX uploads_menu_item ON uploads (menu_item_id) WHERE menu_item_id IS NOT NULL;

-- Blobs that nothing needs from then on: written down in the transaction that gives them up, or
-- before a blob is written that no row names yet, so that a crash leaves none behind.
CREATE TABLE unneeded_blobs (
    name TEXT PRIMARY KEY,
    due_at TEXT NOT NULL
);
CREATE INDEX unneeded_blobs_due_at ON unneeded_blobs (due_at);
