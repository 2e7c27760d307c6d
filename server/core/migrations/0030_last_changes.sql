-- Up to which number all changes of topics are known. A view, as databases number them differently.
CREATE VIEW last_changes AS
SELECT (SELECT COALESCE(MAX(changed), 0) FROM topics) AS topics,
    (SELECT COALESCE(MAX(changed), 0) FROM states) AS states;
