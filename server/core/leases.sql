-- name: lease^
SELECT holder, until FROM leases WHERE name = :name;

-- name: take_lease!
INSERT INTO leases (name, holder, until) VALUES (:name, :holder, :until)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE leases.holder = excluded.holder OR leases.until <= :now;

-- name: give_lease_up!
DELETE FROM leases WHERE name = :name AND holder = :holder;
