-- name: town_claimed$
SELECT value FROM meta WHERE name = 'demo_town';

-- name: claim_town!
INSERT INTO meta (name, value) VALUES ('demo_town', :at) ON CONFLICT (name) DO NOTHING;
