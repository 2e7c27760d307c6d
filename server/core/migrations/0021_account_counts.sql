-- How many accounts each role has: an announcement and each acknowledgement say how large the
-- audience is, and should not count it.
CREATE TABLE account_counts (
    role TEXT PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO account_counts (role, number) SELECT role, COUNT(*) FROM accounts GROUP BY role;
DROP INDEX accounts_role;
