-- name: track$
-- Locks the row, so that two positions of one driver are processed one after the other.
INSERT INTO driver_tracks (driver_id, track) VALUES (:driver_id, '')
ON CONFLICT (driver_id) DO UPDATE SET track = driver_tracks.track
RETURNING track;

-- name: save_track!
UPDATE driver_tracks SET track = :track WHERE driver_id = :driver_id;
