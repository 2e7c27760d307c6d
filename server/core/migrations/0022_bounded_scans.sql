-- What makes these queries read only what they give, however much is stored.

-- Deleting an account: the employees that an order or a chat names, in its row or in its events.
-- Orders name employees of their own restaurant only; account ids have 24 characters.
CREATE TABLE order_staff (
    account_id TEXT NOT NULL,
    order_id TEXT NOT NULL REFERENCES orders (id),
    PRIMARY KEY (account_id, order_id)
);
INSERT INTO order_staff (account_id, order_id)
SELECT a.id, o.id FROM accounts a JOIN orders o ON o.restaurant_id = a.restaurant_id
WHERE o.timeline LIKE '%"' || a.id || '"%' OR o.assigned_by LIKE '%"' || a.id || '"%';

CREATE TABLE chat_staff (
    account_id TEXT NOT NULL,
    chat_id TEXT NOT NULL REFERENCES chats (id),
    PRIMARY KEY (account_id, chat_id)
);
INSERT INTO chat_staff (account_id, chat_id)
SELECT employee_id, id FROM chats WHERE employee_id IS NOT NULL
UNION
SELECT SUBSTR(closed_by, 8, 24), id FROM chats
WHERE closed_by IS NOT NULL AND SUBSTR(closed_by, 8, 24) <> customer_id;
DROP INDEX chats_employee;

-- What is under way at a restaurant and of a customer, in the order of their lists.
CREATE INDEX orders_under_way ON orders (restaurant_id, number, id)
WHERE status NOT IN ('delivered', 'cancelled');
CREATE INDEX orders_under_way_of_customer ON orders (customer_id, arrival, id)
WHERE status NOT IN ('delivered', 'cancelled');
DROP INDEX orders_open;

-- Announcements that are gone, which are deleted after a while.
CREATE INDEX announcements_withdrawn ON announcements (withdrawn_at)
WHERE withdrawn_at IS NOT NULL;
CREATE INDEX announcements_expiring ON announcements (expires_at) WHERE expires_at IS NOT NULL;
