-- name: reached$
SELECT value FROM meta WHERE name = 'retention_time';

-- name: save_reached!
INSERT INTO meta (name, value) VALUES ('retention_time', :reached)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;
