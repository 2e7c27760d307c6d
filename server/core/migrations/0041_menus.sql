-- A menu without the dishes that were ever removed from it.
CREATE INDEX menu_items_served ON menu_items (restaurant_id, position, id) WHERE removed_at IS NULL;
