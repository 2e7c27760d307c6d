-- What is remembered of each driver's ride, to judge the next position by; JSON, read whole.

CREATE TABLE driver_tracks (
    driver_id TEXT PRIMARY KEY REFERENCES drivers (id),
    track TEXT NOT NULL
);

-- What a driver carries now.
CREATE INDEX orders_driver ON orders (driver_id, status);
