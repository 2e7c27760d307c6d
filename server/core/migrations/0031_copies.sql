-- What tells the events of a database from those of its copies: see Cursor in realtime/event.py.

-- The check of the last event that was dropped: a reader may have a cursor of it.
ALTER TABLE topics ADD COLUMN trimmed_check TEXT NOT NULL DEFAULT '';

-- The checks of a state's last events, the newest first, each of eight characters.
ALTER TABLE states ADD COLUMN checks TEXT NOT NULL DEFAULT '';
UPDATE states SET checks = SUBSTR(at, 15, 5) || SUBSTR(at, 21, 3);

-- A message and its event have the same time, so that both give the same cursor.
UPDATE events SET at = (
    SELECT sent_at FROM chat_messages
    WHERE chat_messages.chat_id = events.subject AND chat_messages.seq = events.seq
)
WHERE type = 'message' AND topic = 'chat:' || subject AND EXISTS (
    SELECT 1 FROM chat_messages
    WHERE chat_messages.chat_id = events.subject AND chat_messages.seq = events.seq
);

-- The check of the event up to which somebody has read.
ALTER TABLE chat_reads ADD COLUMN seq_check TEXT NOT NULL DEFAULT '';
UPDATE chat_reads SET seq_check = COALESCE(
    (
        SELECT SUBSTR(sent_at, 15, 5) || SUBSTR(sent_at, 21, 3) FROM chat_messages
        WHERE chat_messages.chat_id = chat_reads.chat_id AND chat_messages.seq = chat_reads.seq
    ),
    (
        SELECT SUBSTR(at, 15, 5) || SUBSTR(at, 21, 3) FROM events
        WHERE topic = 'chat:' || chat_reads.chat_id AND events.seq = chat_reads.seq
    ),
    ''
);
