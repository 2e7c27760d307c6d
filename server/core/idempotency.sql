-- name: stored^
SELECT digest, body FROM idempotency
WHERE account_id = :account_id AND route = :route AND idempotency_key = :key;

-- name: claim!
INSERT INTO idempotency (account_id, route, idempotency_key, digest, status, body, expires_at)
VALUES (:account_id, :route, :key, :digest, 0, '', :expires_at)
ON CONFLICT (account_id, route, idempotency_key) DO NOTHING;

-- name: store!
UPDATE idempotency SET status = :status, body = :body
WHERE account_id = :account_id AND route = :route AND idempotency_key = :key;

-- name: forget_account!
DELETE FROM idempotency WHERE account_id = :account_id;

-- name: drop_expired!
DELETE FROM idempotency WHERE expires_at <= :now;
