-- name: chat^
SELECT * FROM chats WHERE id = :id;

-- name: chats_of_customer
SELECT * FROM chats
WHERE customer_id = :customer_id AND (:status = '' OR status = :status)
AND (arrival < :place OR (arrival = :place AND id < :id))
ORDER BY arrival DESC, id DESC
LIMIT :limit;

-- name: chats
-- Those of one status: nobody lists the chats of all together.
SELECT * FROM chats
WHERE status = :status
AND (arrival < :place OR (arrival = :place AND id < :id))
ORDER BY arrival DESC, id DESC
LIMIT :limit;

-- name: open_chats_of$
SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM chats WHERE customer_id = :customer_id AND status = 'open' LIMIT :most
) AS found
/*+ FIRST SELECT 1 FROM accounts WHERE id = :customer_id FOR NO KEY UPDATE */;

-- name: opened_before_others$
-- When the customer opened the chat before the last so many others.
SELECT opened_at FROM chats WHERE customer_id = :customer_id
ORDER BY arrival DESC, id DESC
LIMIT 1 OFFSET :others;

-- name: customer_of$
SELECT customer_id FROM chats WHERE id = :id;

-- name: insert_chat!
INSERT INTO chats
    (id, subject, status, customer_id, customer_name, employee_id, employee_name,
     employee_role, order_id,
     order_number, order_restaurant, opened_at, taken_at, closed_at, closed_by, waiting_since,
     last_message, customer_unread, support_unread, arrival)
VALUES
    (:id, :subject, :status, :customer_id, :customer_name, :employee_id, :employee_name,
     :employee_role, :order_id,
     :order_number, :order_restaurant, :opened_at, :taken_at, :closed_at, :closed_by,
     :waiting_since, :last_message, :customer_unread, :support_unread,
     (SELECT COALESCE(MAX(arrival), 0) + 1 FROM chats));

-- name: update_chat!
UPDATE chats
SET subject = :subject, status = :status, customer_name = :customer_name,
    employee_id = :employee_id, employee_name = :employee_name, employee_role = :employee_role,
    taken_at = :taken_at,
    closed_at = :closed_at, closed_by = :closed_by, waiting_since = :waiting_since,
    last_message = :last_message, customer_unread = :customer_unread,
    support_unread = :support_unread
WHERE id = :id;

-- name: locked_chat^
SELECT * FROM chats WHERE id = :id /*+ FOR NO KEY UPDATE */;

-- name: set_last_message^
-- No row where the sender may not write in the chat, has sent that message before, or is gone.
UPDATE chats
SET last_message = :last_message,
    customer_name = CASE WHEN customer_id = :sender_id THEN :name ELSE customer_name END,
    employee_name = CASE WHEN employee_id = :sender_id THEN :name ELSE employee_name END,
    waiting_since = CASE
        WHEN customer_id = :sender_id THEN COALESCE(waiting_since, :sent_at)
        WHEN employee_id IS NULL THEN waiting_since
    END,
    customer_unread = customer_unread + CASE WHEN customer_id <> :sender_id THEN 1 ELSE 0 END,
    support_unread = support_unread + CASE WHEN customer_id = :sender_id THEN 1 ELSE 0 END
WHERE id = :id AND status = 'open'
AND (customer_id = :sender_id OR (:is_staff AND COALESCE(employee_id, :sender_id) = :sender_id))
AND NOT EXISTS (
    SELECT 1 FROM chat_messages
    WHERE chat_id = :id AND sender_id = :sender_id AND client_id = :client_id
)
AND EXISTS (SELECT 1 FROM accounts WHERE id = :sender_id)
RETURNING *
/*+ FIRST SELECT 1 FROM accounts WHERE id = :sender_id FOR NO KEY UPDATE */;

-- name: insert_message!
INSERT INTO chat_messages
    (chat_id, seq, client_id, sender_id, sender_name, sender_role, text, sent_at)
VALUES
    (:chat_id, :seq, :client_id, :sender_id, :sender_name, :sender_role, :text, :sent_at);

-- name: message_by_client_id^
SELECT * FROM chat_messages
WHERE chat_id = :chat_id AND sender_id = :sender_id AND client_id = :client_id;

-- name: messages_before
SELECT * FROM chat_messages
WHERE chat_id = :chat_id AND seq < :before
ORDER BY seq DESC
LIMIT :limit;

-- name: unread_by_customer$
-- Among the newest: a mark must not cost more with each message that was ever sent.
SELECT COUNT(*) FROM (
    SELECT sender_role FROM chat_messages WHERE chat_id = :chat_id AND seq > :seq
    ORDER BY seq DESC
    LIMIT :most
) AS newest
WHERE sender_role <> 'customer';

-- name: unread_by_support$
SELECT COUNT(*) FROM (
    SELECT sender_role FROM chat_messages WHERE chat_id = :chat_id AND seq > :seq
    ORDER BY seq DESC
    LIMIT :most
) AS newest
WHERE sender_role = 'customer';

-- name: move_read_marker!
INSERT INTO chat_reads (chat_id, account_id, name, role, seq, seq_check, at)
VALUES (:chat_id, :account_id, :name, :role, :seq, :seq_check, :at)
ON CONFLICT (chat_id, account_id) DO UPDATE
SET name = excluded.name, seq = excluded.seq, seq_check = excluded.seq_check, at = excluded.at
WHERE chat_reads.seq < excluded.seq;

-- name: read_markers
SELECT account_id, name, role, seq, seq_check, at FROM chat_reads
WHERE chat_id = :chat_id
ORDER BY role, account_id;

-- name: chats_naming
SELECT id FROM chats WHERE customer_id = :account_id
UNION
SELECT chat_id AS id FROM chat_staff WHERE account_id = :account_id
UNION
SELECT chat_id AS id FROM chat_reads WHERE account_id = :account_id;

-- name: claimed_by
SELECT chats.id FROM chat_staff JOIN chats ON chats.id = chat_staff.chat_id
WHERE chat_staff.account_id = :account_id AND chats.employee_id = :account_id
AND chats.status = 'open';

-- name: add_staff!
INSERT INTO chat_staff (account_id, chat_id) VALUES (:account_id, :chat_id)
ON CONFLICT (account_id, chat_id) DO NOTHING;

-- name: drop_staff!
DELETE FROM chat_staff WHERE account_id = :account_id;

-- name: remove_texts!
UPDATE chat_messages SET text = :removed WHERE chat_id = :chat_id;

-- name: remove_texts_of!
UPDATE chat_messages SET text = :removed, sender_name = :name
WHERE chat_id = :chat_id AND sender_id = :account_id;

-- name: drop_read_marker!
DELETE FROM chat_reads WHERE chat_id = :chat_id AND account_id = :account_id;

-- name: extend_lease!
UPDATE presence_leases SET until = :until WHERE process = :process AND until > :now;

-- name: start_lease!
INSERT INTO presence_leases (process, until) VALUES (:process, :until)
ON CONFLICT (process) DO UPDATE SET until = excluded.until;

-- name: end_lease!
UPDATE presence_leases SET until = '' WHERE process = :process;

-- name: expired_leases
SELECT process FROM presence_leases WHERE until <= :now;

-- name: expired_lease$
SELECT 1 AS expired FROM presence_leases WHERE process = :process AND until <= :now
/*+ FOR UPDATE */;

-- name: drop_lease!
DELETE FROM presence_leases WHERE process = :process;

-- name: rooms_of_process
SELECT DISTINCT chat_id FROM presence WHERE process = :process ORDER BY chat_id LIMIT :limit;

-- name: present
SELECT account_id, name, role FROM presence
JOIN presence_leases ON presence_leases.process = presence.process
WHERE chat_id = :chat_id AND until > :now
/*+ FIRST SELECT 1 FROM chats WHERE id = :chat_id FOR NO KEY UPDATE */;

-- name: present_through
SELECT account_id, name, role FROM presence WHERE chat_id = :chat_id AND process = :process;

-- name: put_presence!
INSERT INTO presence (chat_id, process, account_id, name, role)
VALUES (:chat_id, :process, :account_id, :name, :role)
ON CONFLICT (chat_id, process, account_id) DO UPDATE SET name = excluded.name;

-- name: drop_presence!
DELETE FROM presence
WHERE chat_id = :chat_id AND process = :process AND account_id = :account_id;

-- name: drop_presence_of!
DELETE FROM presence WHERE chat_id = :chat_id AND account_id = :account_id;
