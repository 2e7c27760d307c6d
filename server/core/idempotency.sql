-- name: stored^
SELECT digest, body FROM idempotency
WHERE account_id = :account_id AND route = :route AND idempotency_key = :key
/*+ FIRST SELECT 1 FROM accounts WHERE id = :account_id FOR NO KEY UPDATE */;

-- name: store!
INSERT INTO idempotency (account_id, route, idempotency_key, digest, status, body, expires_at)
VALUES (:account_id, :route, :key, :digest, :status, :body, :expires_at);

-- name: forget_account!
DELETE FROM idempotency WHERE account_id = :account_id;

-- name: drop_expired!
DELETE FROM idempotency WHERE expires_at <= :now;
