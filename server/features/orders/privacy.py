"""Removes an account's personal data from an order."""

import json
from typing import Any

DELETED = "Deleted account"


def without(order: dict[str, Any], account_id: str) -> dict[str, Any]:
    """The JSON of an Order, with that account's name, phone, address, notes and reasons taken out.

    What was ordered, for how much and when stays: the restaurant's accounts need it. It is changed
    in place: an account may have thousands of orders, and others wait until all are rewritten.
    """
    for entry in order["timeline"]:
        if entry["by"]["id"] == account_id:
            entry["by"]["name"] = DELETED
            entry.pop("reason", None)
    assigned_by = order.get("driver", {}).get("assigned_by")
    if assigned_by and assigned_by["id"] == account_id:
        assigned_by["name"] = DELETED
    if order["customer"]["id"] == account_id:
        order["customer"] = {"id": account_id, "name": DELETED}
        order["address"] = {"text": DELETED, "lat": 0.0, "lng": 0.0}
        for one in (order, *order["items"]):
            one.pop("note", None)
        order.get("rating", {}).pop("text", None)
    return order


def rewritten(data: str, account_id: str) -> str:
    """The same of an order's JSON as text."""
    return as_json(without(json.loads(data), account_id))


def as_json(value: object) -> str:
    """As orders are stored."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
