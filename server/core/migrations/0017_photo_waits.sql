-- Photos wait for a store that is away, and no attempt is counted for it.

-- `waits` are those of the `attempts` that ended because the store could not be used.
ALTER TABLE uploads ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
