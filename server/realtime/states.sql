-- name: put_state$
INSERT INTO states (topic, seq, type, subject, data, at, checks, changed)
VALUES (:topic, 1, :type, :subject, :data, :at, :seq_check,
    (SELECT COALESCE(MAX(changed), 0) + 1 FROM states))
ON CONFLICT (topic) DO UPDATE SET seq = states.seq + 1, type = excluded.type,
    subject = excluded.subject, data = excluded.data, at = excluded.at,
    checks = SUBSTR(excluded.checks || states.checks, 1, :kept), changed = excluded.changed
RETURNING seq;

-- name: replace_state_data!
UPDATE states SET data = :data WHERE topic = :topic;

-- name: state^
SELECT topic, seq, type, subject, data, at FROM states WHERE topic = :topic;

-- name: checks^
SELECT seq, checks, at FROM states WHERE topic = :topic;

-- name: drop_state!
DELETE FROM states WHERE topic = :topic;
