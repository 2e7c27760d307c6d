-- A restaurant's employees are few among all accounts.
CREATE INDEX accounts_restaurant ON accounts (restaurant_id) WHERE restaurant_id IS NOT NULL;
