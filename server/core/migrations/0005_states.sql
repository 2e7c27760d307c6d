-- State topics: only the newest counts, so each is one row.

CREATE TABLE states (
    topic TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL,
    at TEXT NOT NULL
);
