"""Orders over REST."""

import json

from aiohttp import web

from server.core.routing import (
    CUSTOMER,
    CUSTOMER_OR_EMPLOYEE,
    EMPLOYEE,
    PREFIX,
    Answer,
    Encoded,
    IdempotencyKey,
    Router,
    identity_of,
)
from server.core.services import service
from server.features.orders.schemas import (
    Cancellation,
    NewRating,
    Order,
    PlaceOrder,
    Quote,
    StatusChange,
)
from server.features.orders.service import OrderService
from server.features.shared.schemas import Id

router = Router("orders")


@router.route("POST", "/orders", roles=CUSTOMER, status=201, problems=(409,))
async def place_order(
    request: web.Request, basket: PlaceOrder, idempotency_key: IdempotencyKey = None
) -> Answer[Order]:
    """Place an order; the same key and content again gives the same order."""
    orders = service(request, OrderService)
    order = await orders.place(identity_of(request), basket, idempotency_key)
    location = f"{PREFIX}/orders/{json.loads(order)['id']}"
    return Answer(Encoded(order), headers={"Location": location})


@router.route("POST", "/orders/quote", roles=CUSTOMER, problems=(409,))
async def quote_order(request: web.Request, basket: PlaceOrder) -> Quote:
    """What a basket would cost now, part by part.

    Its `total_cents` is what an order's `expected_total_cents` should be; its own is ignored.
    """
    return await service(request, OrderService).quote(basket)


@router.route("GET", "/orders/{id}", roles=CUSTOMER_OR_EMPLOYEE)
async def get_order(request: web.Request, id: Id) -> Encoded[Order]:
    """One order."""
    return Encoded(await service(request, OrderService).order(identity_of(request), id))


@router.route("POST", "/orders/{id}/status", roles=EMPLOYEE, problems=(409,))
async def change_status(request: web.Request, id: Id, change: StatusChange) -> Encoded[Order]:
    """Move the order to its next status, or change its driver or minutes."""
    return Encoded(await service(request, OrderService).step(identity_of(request), id, change))


@router.route("POST", "/orders/{id}/cancel", roles=CUSTOMER, problems=(409,))
async def cancel_order(request: web.Request, id: Id, cancellation: Cancellation) -> Encoded[Order]:
    """Cancel one of the caller's orders, until the kitchen starts on it."""
    orders = service(request, OrderService)
    return Encoded(await orders.cancel(identity_of(request), id, cancellation.reason))


@router.route("POST", "/orders/{id}/rating", roles=CUSTOMER, problems=(409,))
async def rate_order(request: web.Request, id: Id, rating: NewRating) -> None:
    """Rate one of the caller's orders once it was delivered; another rating replaces it."""
    await service(request, OrderService).rate(identity_of(request), id, rating)
