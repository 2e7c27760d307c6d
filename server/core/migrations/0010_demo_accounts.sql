-- Every account of the demo's town is marked, its autopilots too, and the published password that
-- all of them had is taken away: the next start of a demo gives them one of its own.

UPDATE accounts SET demo = 1000
WHERE
    demo IS NULL AND role = 'employee' AND email LIKE 'robin@%.tiffin.example'
    AND EXISTS (SELECT 1 FROM meta WHERE name = 'demo_town');

UPDATE accounts SET password_hash = '' WHERE demo IS NOT NULL;
