-- name: insert_account!
INSERT INTO accounts
(id, email, password_hash, role, name, restaurant_id, phone, address, demo, created_at)
VALUES
(:id, :email, :password_hash, :role, :name, :restaurant_id, :phone, :address, :demo, :created_at)
ON CONFLICT (email) DO NOTHING;

-- name: account_by_id^
SELECT id, email, password_hash, role, name, restaurant_id, phone, address, work_address, avatar_url,
    demo
FROM accounts WHERE id = :id;

-- name: lock_account^
SELECT id, email, password_hash, role, name, restaurant_id, phone, address, work_address, avatar_url,
    demo
FROM accounts WHERE id = :id /*+ FOR NO KEY UPDATE */;

-- name: contact^
SELECT name, phone FROM accounts WHERE id = :id /*+ FOR NO KEY UPDATE */;

-- name: account_by_email^
SELECT id, email, password_hash, role, name, restaurant_id, phone, address, work_address, avatar_url,
    demo
FROM accounts WHERE email = :email;

-- name: demo_account^
SELECT id, email, password_hash, role, name, restaurant_id, phone, address, work_address, avatar_url,
    demo
FROM accounts WHERE role = :role AND demo IS NOT NULL
ORDER BY demo, id
LIMIT 1;

-- name: number_of$
SELECT number FROM account_counts WHERE role = :role;

-- name: count_account!
INSERT INTO account_counts (role, number) VALUES (:role, :more)
ON CONFLICT (role) DO UPDATE SET number = account_counts.number + excluded.number;

-- name: update_profile!
UPDATE accounts
SET name = :name, phone = :phone, address = :address, work_address = :work_address
WHERE id = :id;

-- name: set_avatar!
UPDATE accounts SET avatar_url = :avatar_url WHERE id = :id;

-- name: replace_password!
UPDATE accounts SET password_hash = :replacement
WHERE id = :id AND password_hash = :password_hash;

-- name: set_password!
UPDATE accounts SET password_hash = :password_hash WHERE id = :id;

-- name: set_role!
UPDATE accounts SET role = :role, restaurant_id = :restaurant_id WHERE id = :id;

-- name: accounts
SELECT id, email, role, name, restaurant_id, created_at, demo,
    (SELECT COUNT(*) FROM sessions WHERE account_id = accounts.id AND expires_at > :now) AS sessions
FROM accounts
WHERE email > :after AND (:role = '' OR role = :role)
ORDER BY email
LIMIT :limit;

-- name: renew_demo_passwords!
UPDATE accounts SET password_hash = :password_hash WHERE demo IS NOT NULL;

-- name: any_account$
SELECT 1 AS found FROM accounts LIMIT 1;

-- name: delete_account$
DELETE FROM accounts WHERE id = :id
RETURNING role;

-- name: insert_session!
INSERT INTO sessions (id, account_id, created_at, expires_at, last_used_at, address, client)
VALUES (:id, :account_id, :created_at, :expires_at, :created_at, :address, :client);

-- name: delete_oldest_sessions
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE account_id = :account_id AND id <> :new
    ORDER BY last_used_at DESC, id DESC
    LIMIT :many OFFSET :others
)
RETURNING id;

-- name: identity_of^
SELECT accounts.name, accounts.role, accounts.restaurant_id
FROM sessions
JOIN accounts ON accounts.id = sessions.account_id
WHERE sessions.id = :id AND sessions.expires_at > :now AND (accounts.demo IS NULL OR :demo);

-- name: signed_in
SELECT accounts.id, accounts.name, accounts.role FROM accounts
WHERE accounts.role = 'employee' AND accounts.restaurant_id = :restaurant_id
AND EXISTS (
    SELECT 1 FROM sessions WHERE sessions.account_id = accounts.id AND sessions.last_used_at > :since
)
ORDER BY accounts.name, accounts.id;

-- name: session^
SELECT id, account_id, created_at, expires_at FROM sessions WHERE id = :id;

-- name: sessions_of
SELECT id, created_at, last_used_at, address, client FROM sessions
WHERE account_id = :account_id AND expires_at > :now AND (:only = '' OR id = :only)
AND (last_used_at < :last_used_at OR (last_used_at = :last_used_at AND id < :before_id))
ORDER BY last_used_at DESC, id DESC
LIMIT :limit;

-- name: prolong_session!
UPDATE sessions
SET expires_at = :expires_at, last_used_at = :now, address = :address, client = :client
WHERE id = :id;

-- name: delete_session$
DELETE FROM sessions WHERE id = :id
RETURNING account_id;

-- name: delete_other_sessions
DELETE FROM sessions WHERE account_id = :account_id AND id <> :kept
RETURNING id;

-- name: insert_token!
INSERT INTO refresh_tokens (digest, session_id, expires_at)
VALUES (:digest, :session_id, :expires_at);

-- name: spend_token$
UPDATE refresh_tokens
SET spent_at = :now, successor = :successor, expires_at = COALESCE(:kept_until, expires_at)
WHERE digest = :digest AND spent_at IS NULL AND expires_at > :now
RETURNING session_id;

-- name: token^
SELECT t.session_id, t.spent_at, t.successor, n.spent_at AS successor_spent_at
FROM refresh_tokens t
LEFT JOIN refresh_tokens n ON n.digest = t.successor
WHERE t.digest = :digest;

-- name: remember_address!
INSERT INTO sign_in_addresses (account_id, address, seen_at)
VALUES (:account_id, :address, :seen_at)
ON CONFLICT (account_id, address) DO UPDATE SET seen_at = excluded.seen_at;

-- name: drop_older_addresses!
DELETE FROM sign_in_addresses
WHERE account_id = :account_id AND address NOT IN (
    SELECT address FROM sign_in_addresses WHERE account_id = :account_id
    ORDER BY seen_at DESC, address
    LIMIT :kept
);

-- name: knows_address$
SELECT 1 AS known FROM sign_in_addresses
WHERE account_id = :account_id AND address = :address AND seen_at > :since;

-- name: drop_addresses_before!
DELETE FROM sign_in_addresses WHERE seen_at <= :since;

-- name: drop_expired_tokens!
DELETE FROM refresh_tokens WHERE expires_at <= :now;

-- name: drop_expired_sessions!
DELETE FROM sessions WHERE expires_at <= :now;
