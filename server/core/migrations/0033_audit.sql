-- Who did what to accounts and announcements, when, and from which address. Rows are only added, and
-- removed once they are old. They name accounts by their ids, also those that are gone by now.
CREATE TABLE audit (
    at TEXT NOT NULL,
    id TEXT NOT NULL,
    action TEXT NOT NULL,
    account_id TEXT,
    actor TEXT,
    address TEXT,
    details TEXT,
    PRIMARY KEY (at, id)
);
CREATE INDEX audit_account ON audit (account_id, at, id);

-- The role of who has claimed a chat: an employee where it is null.
ALTER TABLE chats ADD COLUMN employee_role TEXT;
