-- Which topics have changed since a process last asked: each change takes the next number.
ALTER TABLE topics ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX topics_changed ON topics (changed);
ALTER TABLE states ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX states_changed ON states (changed);
