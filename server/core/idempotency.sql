-- name: stored^
SELECT digest, body FROM idempotency
WHERE account_id = :account_id AND route = :route AND idempotency_key = :key;

-- name: store!
INSERT INTO idempotency (account_id, route, idempotency_key, digest, status, body, expires_at)
VALUES (:account_id, :route, :key, :digest, :status, :body, :expires_at);

-- name: forget_account!
DELETE FROM idempotency WHERE account_id = :account_id;

-- name: drop_expired!
DELETE FROM idempotency WHERE expires_at <= :now;
