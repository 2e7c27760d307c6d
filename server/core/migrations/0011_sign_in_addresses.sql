-- Where from an account has signed in lately: there its owner is let in while strangers guess. Only
-- keyed hashes of the addresses are stored, and a few of each account.
CREATE TABLE sign_in_addresses (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    PRIMARY KEY (account_id, address)
);
CREATE INDEX sign_in_addresses_seen_at ON sign_in_addresses (seen_at);
