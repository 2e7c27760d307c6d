-- The event log, and what makes a repeated request harmless.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- `seq` lives only here: the transaction that appends locks this row and counts it up, so that
-- a rollback leaves no hole and commit order is `seq` order. Events up to `trimmed` are gone.
CREATE TABLE topics (
    name TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    trimmed BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE events (
    topic TEXT NOT NULL,
    seq BIGINT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (topic, seq)
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_subject ON events (subject);

CREATE TABLE idempotency (
    account_id TEXT NOT NULL,
    route TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    digest TEXT NOT NULL,
    status INTEGER,
    body TEXT,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (account_id, route, idempotency_key)
);
CREATE INDEX idempotency_expires_at ON idempotency (expires_at);
