-- name: insert_announcement!
INSERT INTO announcements
    (id, title, body, severity, audience, author_id, author_name, author_role, published_at,
     expires_at, arrival)
VALUES
    (:id, :title, :body, :severity, :audience, :author_id, :author_name, :author_role,
     :published_at, :expires_at, (SELECT COALESCE(MAX(arrival), 0) + 1 FROM announcements));

-- name: announcement^
SELECT * FROM announcements WHERE id = :id;

-- name: history
SELECT a.*, k.at AS acknowledged_at FROM announcements a
LEFT JOIN announcement_acks k ON k.announcement_id = a.id AND k.account_id = :account_id
WHERE a.withdrawn_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > :now)
AND (:audience = 'all' OR a.audience = 'everyone' OR a.audience = :audience)
AND (a.arrival < :place OR (a.arrival = :place AND a.id < :id))
ORDER BY a.arrival DESC, a.id DESC
LIMIT :limit;

-- name: count_unread$
-- Of the newest so many that stand, those that the account has neither made nor acknowledged.
SELECT COUNT(*) FROM (
    SELECT id, author_id FROM announcements
    WHERE withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
    AND (audience = 'everyone' OR audience = :audience)
    ORDER BY arrival DESC, id DESC
    LIMIT :most
) AS a
LEFT JOIN announcement_acks k ON k.announcement_id = a.id AND k.account_id = :account_id
WHERE k.at IS NULL AND a.author_id <> :account_id;

-- name: withdraw!
UPDATE announcements SET withdrawn_at = :at WHERE id = :id AND withdrawn_at IS NULL;

-- name: insert_ack!
INSERT INTO announcement_acks (announcement_id, account_id, at) VALUES (:id, :account_id, :at)
ON CONFLICT (announcement_id, account_id) DO NOTHING;

-- name: count_acks$
UPDATE announcements SET acknowledged = acknowledged + :more WHERE id = :id
RETURNING acknowledged;

-- name: delete_acks_of
DELETE FROM announcement_acks WHERE account_id = :account_id
RETURNING announcement_id;

-- name: rename_author
UPDATE announcements SET author_name = :name WHERE author_id = :author_id
RETURNING id;

-- name: drop_gone
DELETE FROM announcements WHERE withdrawn_at < :before OR expires_at < :before
RETURNING id;
