-- Accounts, their sessions, and the refresh tokens each session has gone through.

-- `email` is stored folded, so that its uniqueness is case-insensitive. `demo` is null but for
-- accounts of the demo's town: the lowest number of a role is whom the demo log-in lets in.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    restaurant_id TEXT,
    phone TEXT,
    address TEXT,
    avatar_url TEXT,
    demo INTEGER,
    created_at TEXT NOT NULL
);
CREATE INDEX accounts_demo ON accounts (role, demo) WHERE demo IS NOT NULL;

-- A session is a family of refresh tokens. It holds while its row is there: to revoke it is to
-- delete it, and its tokens with it.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);
CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Only digests are stored. A spent token stays until it expires, so that its reuse is noticed;
-- `successor` is the digest of the one it was exchanged for.
CREATE TABLE refresh_tokens (
    digest TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL,
    spent_at TEXT,
    successor TEXT
);
CREATE INDEX refresh_tokens_session_id ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);
