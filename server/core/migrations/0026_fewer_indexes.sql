-- What a commit writes is counted in pages: indexes that each event, message or order wrote into and
-- that little asked for.

-- When a topic's first event was appended that is still stored; null where none is. Old events are
-- found by it: unlike an index of all events, it is not written with each of them.
ALTER TABLE topics ADD COLUMN oldest TEXT;
UPDATE topics SET oldest = (SELECT at FROM events WHERE topic = name ORDER BY seq LIMIT 1);
CREATE INDEX topics_oldest ON topics (oldest) WHERE oldest IS NOT NULL;
DROP INDEX events_at;

-- The employees who have written in a chat are among those whom it names.
INSERT INTO chat_staff (account_id, chat_id)
SELECT DISTINCT sender_id, chat_id FROM chat_messages WHERE sender_role = 'employee'
ON CONFLICT (account_id, chat_id) DO NOTHING;
DROP INDEX chat_messages_sender;
