-- The announcements of an audience are found without passing over those of another.
CREATE INDEX announcements_audience ON announcements (audience, arrival, id)
WHERE withdrawn_at IS NULL;
