-- Support chat: chats, their messages, and how far everybody has read.

-- A chat as the queue shows it. `employee_id` is who took it up, `waiting_since` since when the
-- customer waits for an answer; `closed_by` and `last_message` are JSON, read and sent whole.
-- `customer_unread` and `support_unread` count the messages of the other side.
CREATE TABLE chats (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    status TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    customer_name TEXT NOT NULL,
    employee_id TEXT,
    employee_name TEXT,
    order_id TEXT,
    order_number INTEGER,
    order_restaurant TEXT,
    opened_at TEXT NOT NULL,
    taken_at TEXT,
    closed_at TEXT,
    closed_by TEXT,
    waiting_since TEXT,
    last_message TEXT,
    customer_unread INTEGER NOT NULL,
    support_unread INTEGER NOT NULL
);
CREATE INDEX chats_customer ON chats (customer_id, opened_at, id);
CREATE INDEX chats_status ON chats (status, opened_at, id);
CREATE INDEX chats_employee ON chats (employee_id);

-- `seq` is that of the message's event in the chat's topic: history stays when events are trimmed.
CREATE TABLE chat_messages (
    chat_id TEXT NOT NULL REFERENCES chats (id),
    seq BIGINT NOT NULL,
    client_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    sender_name TEXT NOT NULL,
    sender_role TEXT NOT NULL,
    text TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    PRIMARY KEY (chat_id, seq)
);
CREATE UNIQUE INDEX chat_messages_client_id ON chat_messages (chat_id, sender_id, client_id);
CREATE INDEX chat_messages_sender ON chat_messages (sender_id);

CREATE TABLE chat_reads (
    chat_id TEXT NOT NULL REFERENCES chats (id),
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (chat_id, account_id)
);
CREATE INDEX chat_reads_account ON chat_reads (account_id);
