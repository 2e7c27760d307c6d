"""Removes an account's personal data from an order."""

from typing import Any

from server.features.orders.schemas import Order, OrderCustomer
from server.features.shared.schemas import Actor

DELETED = "Deleted account"


def without(order: Order, account_id: str) -> Order:
    """The order with that account's name, phone, address, notes and reasons taken out.

    What was ordered, for how much and when stays: the restaurant's accounts need it.
    """

    def hidden(by: Actor) -> Actor:
        return by.model_copy(update={"name": DELETED}) if by.id == account_id else by

    changes: dict[str, Any] = {
        "timeline": [
            entry.model_copy(
                update={
                    "by": hidden(entry.by),
                    "reason": None if entry.by.id == account_id else entry.reason,
                }
            )
            for entry in order.timeline
        ]
    }
    if order.driver and order.driver.assigned_by:
        assigned_by = hidden(order.driver.assigned_by)
        changes["driver"] = order.driver.model_copy(update={"assigned_by": assigned_by})
    if order.customer.id == account_id:
        changes |= {
            "customer": OrderCustomer(id=account_id, name=DELETED),
            "address": order.address.model_copy(update={"text": DELETED, "lat": 0.0, "lng": 0.0}),
            "items": [item.model_copy(update={"note": None}) for item in order.items],
            "note": None,
        }
        if order.rating:
            changes["rating"] = order.rating.model_copy(update={"text": None})
    return order.model_copy(update=changes)


def rewritten(data: str, account_id: str) -> str:
    """The same of an order's JSON."""
    return without(Order.model_validate_json(data), account_id).model_dump_json()
