-- Beside `address`, the home: where else the account has orders delivered. An Address as JSON.
ALTER TABLE accounts ADD COLUMN work_address TEXT;
