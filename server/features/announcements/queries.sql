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
-- Each audience by its index: a page looks at no more of each than it may give.
SELECT a.*, k.at AS acknowledged_at FROM (
    SELECT * FROM (
        SELECT id, arrival FROM announcements
        WHERE audience = 'everyone'
        AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
        AND (arrival < :place OR (arrival = :place AND id < :id))
        ORDER BY arrival DESC, id DESC
        LIMIT :limit
    ) AS everyones
    UNION ALL
    SELECT * FROM (
        SELECT id, arrival FROM announcements
        WHERE audience = 'customers' AND :audience IN ('all', 'customers')
        AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
        AND (arrival < :place OR (arrival = :place AND id < :id))
        ORDER BY arrival DESC, id DESC
        LIMIT :limit
    ) AS customers
    UNION ALL
    SELECT * FROM (
        SELECT id, arrival FROM announcements
        WHERE audience = 'employees' AND :audience IN ('all', 'employees')
        AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
        AND (arrival < :place OR (arrival = :place AND id < :id))
        ORDER BY arrival DESC, id DESC
        LIMIT :limit
    ) AS employees
    ORDER BY arrival DESC, id DESC
    LIMIT :limit
) AS page
JOIN announcements a ON a.id = page.id
LEFT JOIN announcement_acks k ON k.announcement_id = a.id AND k.account_id = :account_id
ORDER BY page.arrival DESC, page.id DESC;

-- name: count_unread$
-- Of the newest so many current ones of each audience, those that the account has neither made nor
-- acknowledged.
SELECT COUNT(*) FROM (
    SELECT * FROM (
        SELECT id, author_id FROM announcements
        WHERE audience = 'everyone'
        AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
        ORDER BY arrival DESC, id DESC
        LIMIT :most
    ) AS everyones
    UNION ALL
    SELECT * FROM (
        SELECT id, author_id FROM announcements
        WHERE audience = :audience
        AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
        ORDER BY arrival DESC, id DESC
        LIMIT :most
    ) AS own
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

-- name: acks_of
SELECT a.id, a.title, a.published_at, k.at AS acknowledged_at FROM announcement_acks k
JOIN announcements a ON a.id = k.announcement_id
WHERE k.account_id = :account_id AND (k.at, k.announcement_id) < (:at, :id)
ORDER BY k.at DESC, k.announcement_id DESC
LIMIT :limit;

-- name: delete_acks_of
DELETE FROM announcement_acks
WHERE account_id = :account_id AND (
    :audience = ''
    OR (SELECT audience FROM announcements WHERE id = announcement_id) = :audience
)
RETURNING announcement_id;

-- name: rename_author
UPDATE announcements SET author_name = :name WHERE author_id = :author_id
RETURNING id;

-- name: drop_gone
DELETE FROM announcements WHERE withdrawn_at < :before OR expires_at < :before
RETURNING id;
