-- name: insert!
INSERT INTO audit (at, id, action, account_id, actor, address, details)
VALUES (:at, :id, :action, :account_id, :actor, :address, :details);

-- name: page
SELECT audit.*, accounts.email FROM audit
LEFT JOIN accounts ON accounts.id = audit.account_id
WHERE (audit.at, audit.id) < (:at, :id) AND audit.at >= :since
AND (:action = '' OR action = :action)
ORDER BY audit.at DESC, audit.id DESC
LIMIT :limit;

-- name: page_of_account
SELECT audit.*, accounts.email FROM audit
LEFT JOIN accounts ON accounts.id = audit.account_id
WHERE account_id = :account_id AND (audit.at, audit.id) < (:at, :id) AND audit.at >= :since
AND (:action = '' OR action = :action)
ORDER BY audit.at DESC, audit.id DESC
LIMIT :limit;

-- name: drop_old!
DELETE FROM audit WHERE (at, id) IN (
    SELECT at, id FROM audit WHERE at < :before ORDER BY at, id LIMIT :limit
);
