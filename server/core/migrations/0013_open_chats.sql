-- An account's open chats are counted with each one it opens.
CREATE INDEX chats_open ON chats (customer_id) WHERE status = 'open';
