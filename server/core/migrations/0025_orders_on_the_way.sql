-- A driver's deliveries, which are all that is asked for by driver: an order enters the index when
-- it leaves the kitchen, and not when it is placed.
DROP INDEX orders_driver;
CREATE INDEX orders_on_the_way ON orders (driver_id) WHERE status = 'out_for_delivery';
