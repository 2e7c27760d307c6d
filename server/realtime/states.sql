-- name: count_up$
INSERT INTO states (topic, seq, type, subject, data, at) VALUES (:topic, 1, '', '', '', '')
ON CONFLICT (topic) DO UPDATE SET seq = states.seq + 1
RETURNING seq;

-- name: put_state!
UPDATE states SET type = :type, subject = :subject, data = :data, at = :at WHERE topic = :topic;

-- name: keep_state!
UPDATE states SET data = :data WHERE topic = :topic;

-- name: state^
SELECT topic, seq, type, subject, data, at FROM states WHERE topic = :topic;

-- name: drop_state!
DELETE FROM states WHERE topic = :topic;
