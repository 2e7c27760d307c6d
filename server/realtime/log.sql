-- name: meta_value$
SELECT value FROM meta WHERE name = :name;

-- name: keep_meta!
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- name: count_up^
INSERT INTO topics (name, seq, changed, oldest)
VALUES (:topic, 1, (SELECT COALESCE(MAX(changed), 0) + 1 FROM topics), :at)
ON CONFLICT (name) DO UPDATE SET seq = topics.seq + 1, changed = excluded.changed
RETURNING seq, oldest;

-- name: set_oldest!
UPDATE topics SET oldest = :at WHERE name = :topic;

-- name: last_changes^
SELECT topics, states FROM last_changes;

-- name: changed_topics
SELECT name, seq FROM topics WHERE changed > :after LIMIT :limit;

-- name: changed_states
SELECT topic AS name, seq FROM states WHERE changed > :after LIMIT :limit;

-- name: insert_event!
INSERT INTO events (topic, seq, type, subject, data, at)
VALUES (:topic, :seq, :type, :subject, :data, :at);

-- name: topic^
SELECT t.seq, t.trimmed, t.trimmed_check, e.at FROM topics t
LEFT JOIN events e ON e.topic = t.name AND e.seq = t.seq
WHERE t.name = :topic;

-- name: topic_at^
SELECT t.seq, t.trimmed, t.trimmed_check, e.at FROM topics t
LEFT JOIN events e ON e.topic = t.name AND e.seq = :seq
WHERE t.name = :topic;

-- name: events_after
SELECT topic, seq, type, subject, data, at FROM events
WHERE topic = :topic AND seq > :after
ORDER BY seq
LIMIT :limit;

-- name: newest_event^
SELECT topic, seq, type, subject, data, at FROM events WHERE topic = :topic
ORDER BY seq DESC
LIMIT 1;

-- name: expired
SELECT name, trimmed, trimmed_check FROM topics WHERE oldest < :before
ORDER BY oldest
LIMIT :limit
/*+ FOR UPDATE SKIP LOCKED */;

-- name: first_events
SELECT seq, at FROM events WHERE topic = :topic
ORDER BY seq
LIMIT :limit;

-- name: mark_trimmed!
UPDATE topics SET trimmed = :seq, trimmed_check = :seq_check, oldest = :oldest
WHERE name = :topic;

-- name: drop_events!
DELETE FROM events WHERE topic = :topic AND seq <= :seq;

-- name: events_about
SELECT topic, seq, data FROM events WHERE subject = :subject;

-- name: rewrite_event!
UPDATE events SET data = :data WHERE topic = :topic AND seq = :seq;
