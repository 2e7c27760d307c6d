-- What PostgreSQL has beside the migrations; it may be run again.

-- Transactions commit in another order than that in which they count: a change is numbered by its
-- transaction, and what every transaction before a number has done is known once none of them runs.
CREATE OR REPLACE FUNCTION number_change() RETURNS trigger AS $$
BEGIN
    NEW.changed := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END
$$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER topics_change BEFORE INSERT OR UPDATE OF seq ON topics
FOR EACH ROW EXECUTE FUNCTION number_change();
CREATE OR REPLACE TRIGGER states_change BEFORE INSERT OR UPDATE OF seq ON states
FOR EACH ROW EXECUTE FUNCTION number_change();
CREATE OR REPLACE VIEW last_changes AS
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS topics,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS states;
