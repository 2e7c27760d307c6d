-- Sessions are shown to their account: when each was last refreshed, from where, and by what. Of
-- those of before, the last refresh is known from the tokens, and nothing else.
ALTER TABLE sessions ADD COLUMN last_used_at TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN address TEXT;
ALTER TABLE sessions ADD COLUMN client TEXT;
UPDATE sessions SET last_used_at = COALESCE(
    (SELECT MAX(spent_at) FROM refresh_tokens WHERE session_id = sessions.id), created_at
);
DROP INDEX sessions_account_id;
CREATE INDEX sessions_of_account ON sessions (account_id, last_used_at, id);
