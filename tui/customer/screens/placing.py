"""Sends a basket off so that it becomes one order, however often it is sent."""

from typing import TYPE_CHECKING

from server.features.restaurants.schemas import Restaurant
from tui.common.client.errors import ApiError
from tui.common.client.reconnect import is_final
from tui.common.trouble import field_of

if TYPE_CHECKING:
    from server.features.orders.schemas import Order, PlaceOrder
    from tui.common.client.api import Api
    from tui.customer.screens.basket import Basket

STAYS_ONE = "Your basket is kept: send it again, it stays one order."


async def place(api: "Api", basket: "Basket", content: "PlaceOrder") -> "tuple[Order, bool]":
    """Send `content` under the basket's key; the order, and whether it is of this very content.

    Should the server say that the key already stands for another content, then one that was sent
    before did arrive: that one is asked for, and is the order. After a refusal that is final the
    basket has another key. Raises as `Api.place_order`.
    """
    earlier = [sent for sent in basket.in_doubt if sent != content]
    if content not in basket.in_doubt:
        basket.in_doubt.append(content)
    attempts = [content, *reversed(earlier)]
    while True:
        attempt = attempts.pop(0)
        try:
            return await api.place_order(attempt, basket.key), attempt is content
        except ApiError as refusal:
            used = refusal.status == 422 and field_of(refusal) == "Idempotency-Key"
            if used and attempts:
                continue
            # A 409 that names a time is the same send, still running on the server.
            running = refusal.status == 409 and refusal.retry_after is not None
            if is_final(refusal) and not used and not running:
                basket.refused(attempt)
            raise


def menu_in(refusal: Exception) -> Restaurant | None:
    """The menu as it is now, which a refusal because of it carries."""
    if not isinstance(refusal, ApiError):
        return None
    try:
        return Restaurant.model_validate((refusal.problem.model_extra or {}).get("restaurant"))
    except ValueError:
        return None
