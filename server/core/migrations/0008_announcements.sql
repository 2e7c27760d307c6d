-- Announcements, and who has taken note of them.

-- `acknowledged` counts the rows below, so that it need not be counted with each of them. What was
-- withdrawn or has expired stays for a while, for whoever asks once more.
CREATE TABLE announcements (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    severity TEXT NOT NULL,
    audience TEXT NOT NULL,
    author_id TEXT NOT NULL,
    author_name TEXT NOT NULL,
    author_role TEXT NOT NULL,
    published_at TEXT NOT NULL,
    expires_at TEXT,
    withdrawn_at TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX announcements_published ON announcements (published_at, id);
CREATE INDEX announcements_author ON announcements (author_id);

CREATE TABLE announcement_acks (
    announcement_id TEXT NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (announcement_id, account_id)
);
CREATE INDEX announcement_acks_account ON announcement_acks (account_id);

-- How large an audience is.
CREATE INDEX accounts_role ON accounts (role);
