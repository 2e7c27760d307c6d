"""Orders made by hand, for what needs no server."""

from datetime import UTC, datetime, timedelta
from typing import Any

from server.features.orders.schemas import Order, TimelineEntry
from server.features.shared.schemas import Actor

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WAY = ["placed", "accepted", "preparing", "ready", "out_for_delivery", "delivered"]
ANA = {"id": "acc_ana", "name": "Ana", "role": "customer"}
MAYA = {"id": "acc_maya", "name": "Maya", "role": "employee"}


def an_order(number: int = 1, status: str = "placed", **changes: Any) -> Order:
    """Order `number`, placed that many minutes past noon and a minute a step."""
    steps = WAY[: WAY.index(status) + 1] if status in WAY else ["placed", "accepted", status]
    began = NOON + timedelta(minutes=number)
    values: dict[str, Any] = {
        "id": f"ord_{number}",
        "number": number,
        "restaurant": {"id": "rst_1", "name": "Thai Basil", "lat": 47.0, "lng": 15.0},
        "customer": {"id": ANA["id"], "name": ANA["name"]},
        "items": [
            {"menu_item_id": "dish_1", "name": "Pad thai", "price_cents": 900, "quantity": 2},
            {"menu_item_id": "dish_2", "name": "Tom yum", "price_cents": 680, "quantity": 1},
        ],
        "total_cents": 2480,
        "status": status,
        "version": len(steps),
        "timeline": [
            {
                "status": step,
                "at": began + timedelta(minutes=at),
                "by": ANA if step == "placed" else MAYA,
            }
            for at, step in enumerate(steps)
        ],
        "address": {"text": "1 Quay Street", "lat": 47.1, "lng": 15.1},
    }
    return Order.model_validate(values | changes)


def a_step(status: str, reason: str | None = None) -> TimelineEntry:
    """A step that Maya took."""
    return TimelineEntry.model_validate(
        {"status": status, "at": NOON, "by": Actor.model_validate(MAYA), "reason": reason}
    )
