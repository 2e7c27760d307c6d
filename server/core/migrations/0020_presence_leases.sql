-- Who is in the rooms of chats: a row for each account in a room through a process, and one lease
-- for each process. Who was present before this is dropped: they connect again.

-- A process renews its lease before `until`. Its rows in `presence` count only while it holds.
CREATE TABLE presence_leases (
    process TEXT PRIMARY KEY,
    until TEXT NOT NULL
);

CREATE TABLE presence (
    chat_id TEXT NOT NULL REFERENCES chats (id),
    process TEXT NOT NULL REFERENCES presence_leases (process),
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (chat_id, process, account_id)
);
CREATE INDEX presence_process ON presence (process, chat_id);
